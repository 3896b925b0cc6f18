"""``mxm-dataio import``, as a user calls it."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from mxm_dataio import IngestSession, Store, use_cassette
from mxm_dataio.cli import main
from mxm_dataio.formats.cassette import document
from tests.support.importing import FOREIGN
from tests.support.servers import RawServer, answer, responder

SAMPLE = FOREIGN / "vcrpy-9.4.2-urllib3.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project's folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t/cassettes").mkdir(parents=True)
    shutil.copy(SAMPLE, tmp_path / "t/cassettes/test_x[a-b].yaml")
    return tmp_path


def call(*args: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["import", *args], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def files(folder: Path, pattern: str = "*.json") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


def test_a_folder_becomes_cassettes_in_place(folder: Path) -> None:
    result = call("t")
    made = "t/cassettes/test_x[a-b].json"
    assert files(folder) == [made]
    assert result.stdout.splitlines() == [
        f"t/cassettes/test_x[a-b].yaml -> {made}: 11 calls",
        "11 calls of 1 file imported; 4 changes made so that they replay: --verbose says what",
    ]
    with (folder / made).open("rb") as fp:
        assert len(list(document.read(fp))) == 11
    again = call("t").stdout.splitlines()
    assert again == [
        "0 calls of 0 files imported",
        "1 file skipped: it is a cassette",
        "1 file skipped: its cassette is there already, --force replaces it",
    ]


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    result = call("t", "--dry-run", "--verbose")
    assert "11 calls of 1 file would be imported" in result.stdout
    assert "  interactions[1]: Content-Length: 49 made 120" in result.stdout
    call("t", "--root", "r", "--dry-run")
    assert files(folder, "*") == ["t", "t/cassettes", "t/cassettes/test_x[a-b].yaml"]


def test_one_file_to_one_cassette(folder: Path) -> None:
    file = "t/cassettes/test_x[a-b].yaml"
    call(file, "-o", "new/a.json")
    assert files(folder) == ["new/a.json"]
    again = call(file, "-o", "new/a.json", status=1)
    assert "Error: new/a.json is there already: --force replaces it" in again.stderr
    call(file, "-o", "new/a.json", "--force")


def test_each_file_finds_its_own_test(folder: Path) -> None:
    (folder / "t/cassettes/test_m").mkdir()
    (folder / "t/cassettes/test_x[a-b].yaml").rename(folder / "t/cassettes/test_m/test_x[a-b].yaml")
    (folder / "tests.txt").write_text("t/test_m.py::test_x[a/b]\n\n1 test collected in 0.01s\n")
    call("t", "--tests", "tests.txt")
    (made,) = files(folder)
    assert made.startswith("t/cassettes/test_m/test_x[a-b]-")
    (folder / "tests.txt").write_text("1 test collected in 0.01s\n")
    result = call("t", "--tests", "tests.txt", status=2)
    assert "tests.txt lists no test" in result.stderr


def test_a_broken_file_hinders_no_other(folder: Path) -> None:
    (folder / "t/bad.yaml").write_text("interactions:\n- request: {method: GET}\n")
    (folder / "t/worse.yaml").write_text("interactions: [}\n")
    result = call("t", status=1)
    assert files(folder) == ["t/cassettes/test_x[a-b].json"]
    assert result.stderr.splitlines() == [
        "Error: t/bad.yaml: interactions[0].request: uri is missing",
        "Error: t/worse.yaml: line 1, column 16: did not find expected node content",
    ]
    assert "11 calls of 1 file imported; 4 changes" in result.stdout
    assert "; 2 files not" in result.stdout


def test_sessions_of_a_store(folder: Path) -> None:
    found = lines(call("t", "--root", "r", "--source", "market", "--json"))
    assert files(folder) == []
    with Store(folder / "r", readonly=True) as store:
        (session,) = store.sessions("market")
        assert len(store.requests(session.id)) == 11
    assert found[0]["session"] == session.id
    assert session.warnings == ("imported from t/cassettes/test_x[a-b].yaml (vcr)",)
    # Our own cassettes go there too.
    call("t")
    call("t/cassettes/test_x[a-b].json", "--root", "r")
    with Store(folder / "r", readonly=True) as store:
        assert [one.source for one in store.sessions()] == ["market", "test_x[a-b]"]


def test_lines_of_json_say_all_of_it(folder: Path) -> None:
    (folder / "t/other.json").write_text("{}")
    found = lines(call("t", "--json"))
    assert [line["type"] for line in found] == ["file", "file", "imported"]
    assert found[0]["cassettes"] == ["t/cassettes/test_x[a-b].json"]
    assert (found[0]["calls"], len(found[0]["changes"]), found[0]["dropped"]) == (11, 4, [])
    assert found[1]["skipped"] == "it is no recording of a known format"
    assert found[2] == {
        "type": "imported", "files": 1, "calls": 11, "changes": 4, "dropped": 0, "skipped": 1,
        "problems": 0, "dry_run": False,
    }  # fmt: skip


def test_what_is_left_out_is_named(folder: Path) -> None:
    call_of_fields = {
        "request": {"method": "POST", "uri": "http://a.test/", "body": {"a": 1}, "headers": {}},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {}},
    }
    (folder / "a.json").write_text(json.dumps({"version": 1, "interactions": [call_of_fields]}))
    result = call("a.json", "-o", "b.json")
    assert result.stdout.splitlines()[:2] == [
        "a.json: 0 calls",
        "  left out: interactions[0]: its body is a mapping, as aiohttp's callers give it: what "
        "was sent is not known",
    ]
    # A cassette without calls is none.
    assert files(folder) == ["a.json"]


def test_secrets_stay_out_unless_they_are_asked_for(folder: Path) -> None:
    shutil.copy(FOREIGN / "vcrpy-9.4.2.json", folder / "a.json")
    call("a.json", "-o", "b.json")
    assert "k-93748201xx" not in (folder / "b.json").read_text()
    call("a.json", "-o", "c.json", "--no-redaction")
    assert "k-93748201xx" in (folder / "c.json").read_text()


def test_parameters_that_do_not_count(folder: Path) -> None:
    call("t", "--root", "r", "--source", "s", "--ignore-param", "U")
    with Store(folder / "r", readonly=True) as store:
        (session,) = store.sessions("s")
        assert {
            json.dumps(json.loads(request.identity)["params"])
            for request in store.requests(session.id)
        } == {"[]", '[["moved", "1"]]'}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["t", "-o", "a.json", "--root", "r"], "give either -o or --root"),
        (["t", "--source", "s"], "--source names the sessions of a store"),
        (["t", "t", "-o", "a.json"], "a.json is one cassette, for 2 files: give a folder"),
        (["gone"], "there is no file or folder gone"),
        (["t", "--format", "har"], "Invalid value for '--format'"),
        ([], "Missing argument 'PATH...'"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_called_wrongly(args: list[str], said: str) -> None:
    assert said in call(*args, status=2).stderr


@pytest.mark.parametrize("name", ["t", "$.meta.t", "path:/*/r"])
def test_a_cassette_of_ours_is_imported_without_what_does_not_count(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As last night's run is put into a store whose sessions ignore what varies."""
    monkeypatch.chdir(tmp_path)
    with RawServer(responder({"/1/r": answer(200, b"kept"), "/2/r": answer(200, b"x")})) as server:

        def ask(run: int) -> str:
            url = f"{server.url}/{run if name.startswith('path') else 1}/r"
            params = {"t": run} if name == "t" else {}
            when = 0 if name.startswith("path") else run
            return requests.post(url, params=params, json={"meta": {"t": when}, "k": 1}).text

        ignored = [name] if name != "t" else ["t", "meta"]
        with use_cassette("a.json"):
            assert ask(1) == "kept"
    options = [word for one in ignored for word in ("--ignore-param", one)]
    call("a.json", "--root", "r", "--source", "s", *options)
    with Store("r") as store:
        (session,) = store.sessions()
        (request,) = store.requests(session.id)
        assert request.params_hash == sha256(request.identity.encode()).hexdigest()
        assert "meta" not in request.identity or name != "t"
    with IngestSession("s", "r", "replay", ignore_params=ignored):
        assert ask(2) == "kept"


def test_what_is_no_name_to_ignore_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["import", str(tmp_path), "--ignore-param", "$x"])
    assert done.exit_code == 2
    assert "--ignore-param" in done.output
    assert "'$x' is no place in JSON" in done.output
