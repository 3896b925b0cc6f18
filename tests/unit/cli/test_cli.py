"""The command line: what it prints and its exit status."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mxm_dataio import DataIOError, IngestSession
from mxm_dataio.cli import main
from mxm_dataio.errors import StoreError
from mxm_dataio.integrity.proofs import Head
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import fill


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("made")
    return root, fill(root)


@pytest.fixture
def root(made: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "root"))


def run(*arguments: object, input: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments], input=input)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def tamper(root: Path) -> str:
    """Change a call whose URL moves the cursor, and return its id."""
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        db.execute("UPDATE requests SET url = char(27) || '[2J' WHERE number = 3")
        return str(db.execute("SELECT id FROM requests WHERE number = 3").fetchone()[0])


def test_verify_says_that_all_is_well(root: Path) -> None:
    done = run("verify", "--root", root)
    assert done.exit_code == 0
    first, head = done.output.splitlines()
    assert first == "3 sessions, 8 calls, 9 payloads (42 bytes): all as recorded"
    assert head == run("head", "--root", root).output.strip()
    (line,) = run("verify", "--root", root, "--json").output.splitlines()
    assert json.loads(line) == {
        "type": "verified", "ok": True, "sessions": 3, "calls": 8, "payloads": 9, "bytes": 42,
        "head": head, "findings": 0, "pruned": 0,
    }  # fmt: skip


def test_verify_names_what_is_wrong(root: Path, made: tuple[Path, list[str]]) -> None:
    id = tamper(root)
    done = run("verify", "--root", root)
    assert done.exit_code == 1
    assert done.output.splitlines()[:4] == [
        r"GET \x1b[2J",
        f"  request {id}",
        f"  session {made[1][0]}",
        "  it or one of its attempts was changed: its hash is not that of its content",
    ]
    assert "(42 bytes): 1 finding\n" in done.output
    done = run("verify", "--root", root, "--json")
    finding, summary = map(json.loads, done.output.splitlines())
    assert (finding["type"], finding["request"], finding["url"]) == ("finding", id, "\x1b[2J")
    assert (summary["ok"], done.exit_code) == (False, 1)


def test_verify_of_some_sessions(root: Path, made: tuple[Path, list[str]]) -> None:
    tamper(root)
    assert run("verify", made[1][1], "--root", root).exit_code == 0
    assert run("verify", made[1][0][:-2], "--root", root).exit_code == 1
    for wrong in ("zz", "0"):
        done = run("verify", wrong, "--root", root)
        assert (done.exit_code, done.output[:7]) == (2, "Error: ")


def test_a_damaged_database_is_a_finding(root: Path) -> None:
    (root / "dataio.sqlite").write_bytes(b"no database" * 100)
    for command in ("verify", "head"):
        done = run(command, "--root", root)
        assert done.exit_code == 1
        assert "damaged or no SQLite database" in done.output


def test_notes(root: Path) -> None:
    (root / "responses" / f"{'0' * 64}.bin").write_bytes(b"")
    done = run("verify", "--root", root)
    assert done.exit_code == 0
    assert done.output.startswith("note: no record names 000")
    first = run("verify", "--root", root, "--json").output.splitlines()[0]
    assert json.loads(first)["type"] == "note"


def test_heads(root: Path, tmp_path: Path) -> None:
    line = run("head", "--root", root).output
    head = Head.parse(line)
    assert line == f"{head}\n"
    made = json.loads(run("head", "--root", root, "--json").output)
    assert made == {"type": "head", "head": str(head), "size": 3, "root": head.root.hex()}
    kept = tmp_path / "heads"
    kept.write_text(f"{Head.of([])}\n{line}\n")
    for against in (line, kept):
        assert run("verify", "--root", root, "--against", against).exit_code == 0
    other = Head(2, bytes(32))
    done = run("verify", "--root", root, "--against", other)
    assert (done.exit_code, str(other) in done.output) == (1, True)
    for wrong in ("mxm-dataio-head", tmp_path / "none", root / "dataio.sqlite"):
        assert run("verify", "--root", root, "--against", wrong).exit_code == 2


def test_a_session_is_proved_without_the_store(
    root: Path, made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    line = run("head", "--root", root).output
    proof = tmp_path / "proof.json"
    proof.write_text(run("prove", made[1][0], "--root", root).output)
    one_line = run("prove", made[1][0], "--root", root, "--json").output
    shutil.rmtree(root)
    assert one_line.count("\n") == 1
    assert run("verify", "--proof", "-", input=one_line).exit_code == 0
    done = run("verify", "--proof", proof)
    assert done.exit_code == 0
    assert f"id         {made[1][0]}" in done.output
    assert line in done.output
    assert "compare that with the head that was published" in done.output
    done = run("verify", "--proof", proof, "--against", line)
    assert (done.exit_code, "compare" in done.output) == (0, False)
    assert json.loads(run("verify", "--proof", proof, "--json").output)["ok"]
    done = run("verify", "--proof", proof, "--against", Head(3, bytes(32)))
    assert (done.exit_code, "another head" in done.output) == (1, True)
    forged = proof.read_text().replace('"market"', '"other"')
    done = run("verify", "--proof", "-", input=forged)
    assert (done.exit_code, done.output) == (1, "the proof does not hold\n")
    assert not json.loads(run("verify", "--proof", "-", "--json", input=forged).output)["ok"]
    for wrong in ("{}", "x" * (1 << 21)):
        done = run("verify", "--proof", "-", input=wrong)
        assert (done.exit_code, done.output[:7]) == (1, "Error: ")
    assert run("verify", "x", "--proof", proof).exit_code == 2
    assert run("verify", "--proof", tmp_path / "none").exit_code == 2


def test_two_heads_are_proved_consistent(root: Path, tmp_path: Path) -> None:
    earlier = run("head", "--root", root).output.strip()
    fill(root)
    later = run("head", "--root", root).output.strip()
    proof = run("prove", "--from", earlier, "--root", root).output
    for against in (earlier, later):
        done = run("verify", "--proof", "-", "--against", against, input=proof)
        assert done.exit_code == 0
        assert done.output.splitlines()[2:4:2] == [later]
    assert run(
        "verify", "--proof", "-", input=proof.replace('"path": [\n    "', '"path": [\n    "0')
    ).exit_code
    assert run("prove", "--from", Head(2, bytes(32)), "--root", root).exit_code == 1
    for wrong in ((), ("--from", earlier, "x"), ("zz",)):
        assert run("prove", "--root", root, *wrong).exit_code == 2


def test_where_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXM_DATAIO_ROOT", str(tmp_path / "none"))
    for command in (
        "verify", "head", "sessions", "requests", "show latest", "diff", "diff a b", "stats",
        "coverage latest", "report latest", "prove latest", "export latest -o a.json", "prune",
        "prune --yes", "forget abc", "forget abc --undo", "run --mode replay x.py",
        "run --session latest x.py",
    ):  # fmt: skip
        done = run(*command.split())
        assert done.exit_code == 2, command
        if not command.startswith(("diff", "run")):
            assert str(tmp_path / "none") in done.output, command
        assert list(tmp_path.iterdir()) == [], command


def test_reading_makes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "none"
    for read in (
        lambda: RootStore(root),
        lambda: IngestSession("s", root, "replay").open(),
        lambda: IngestSession("s", root, "replay", session="x").open(),
        lambda: verify_root(root),
    ):
        with pytest.raises(DataIOError):
            read()
        assert not root.exists()
    with IngestSession("s", root, "off"):
        pass
    assert not root.exists()
    # What has begun, or lies beside, is no store either, and stays as it is.
    root.mkdir()
    with pytest.raises(StoreError, match="nothing is recorded"):
        RootStore(root)
    assert list(root.iterdir()) == []
    with RecordingStore(root) as store:
        assert not store.readonly
    with RootStore(root) as store:
        assert store.readonly
        with pytest.raises(StoreError, match="readonly"):
            store.catalog.forget("x")


def test_export_refuses_a_name_that_nothing_reads(root: Path, tmp_path: Path) -> None:
    for name in ("a", "a.yaml", "a.JSON", "a.json.gz", "a.html", ".json"):
        done = run("export", "latest", "-o", tmp_path / name, "--root", root)
        assert (done.exit_code, "ends in .json" in done.output) == (2, True), name
        assert not (tmp_path / name).exists()
    # The name that is said is one.
    said = done.output.split()[-1]
    assert run("export", "latest", "-o", said, "--root", root).exit_code == 0


@pytest.mark.parametrize("command", main.list_commands(None))
def test_every_command_has_help_and_an_example(command: str) -> None:
    shown = run(command, "--help").output
    assert f"mxm-dataio {command}" in shown.partition("Example")[2]


def test_help_loads_no_command_and_a_pipe_no_rich(root: Path) -> None:
    code = (
        "import sys\nfrom mxm_dataio.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print(*(name for name in sys.modules if name.startswith(('mxm_dataio', 'rich.'))))"
    )
    for arguments, allowed in ((["--help"], "cli.output"), (["head", "--root", root], "")):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        loaded = done.stdout.splitlines()[-1].split()
        assert not [name for name in loaded if name.startswith("rich.")]
        if allowed:
            assert "mxm_dataio.store" not in loaded
            assert "mxm_dataio.cli.output" in loaded
    assert len(main.list_commands(None)) >= 11


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; import mxm_dataio.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mxm-dataio: the command line needs: pip install 'mxm-dataio[cli]'\n"


def test_progress_is_for_terminals(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "checking" not in run("verify", "--root", root).stderr
    monkeypatch.setattr("mxm_dataio.cli.output.on_a_terminal", lambda: True)
    done = run("verify", "--root", root)
    assert done.exit_code == 0
    assert done.stdout.startswith("3 sessions")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "checking calls"),
        (("stats",), "counting calls"),
        (("requests", "--grep", "zzz", "--bodies"), "looking through calls"),
        (("diff", "latest", "latest"), "comparing calls"),
        (("prune",), "looking at files"),
    ],
)
def test_progress_shows_after_a_moment(
    root: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("mxm_dataio.cli.output.on_a_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert said not in run(*arguments, "--root", root).stderr
    monkeypatch.setattr("mxm_dataio.cli.output._SOON", 0.0)
    done = run(*arguments, "--root", root)
    assert said in done.stderr
    assert said not in done.stdout
