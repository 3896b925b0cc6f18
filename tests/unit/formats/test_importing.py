"""Files are found, told apart, read and converted; one that is broken hinders no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession
from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.formats.destinations import Destinations, cases_of
from mxm_dataio.formats.foreign.conversion import Interaction, converted
from mxm_dataio.formats.importing import (
    CONVERTED,
    THERE,
    UNKNOWN,
    Found,
    Item,
    day_of,
    document_of,
    found_in,
    planned,
    put,
    read,
    write_cassette,
)
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.importing import FOREIGN


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def test_folders_are_looked_through_for_what_may_be_a_recording(tmp_path: Path) -> None:
    tree(tmp_path, "b/a.yaml", "b/a.YML", "a.json", "b/c", "x.py", ".git/a.json", "b/.a.yaml.tmp")
    (tmp_path / "folder.json").mkdir()
    found = list(found_in([tmp_path]))
    names = [one.file.relative_to(tmp_path).as_posix() for one in found]
    assert names == ["a.json", "b/a.YML", "b/a.yaml", "b/c"]
    assert {(one.base, one.named) for one in found} == {(tmp_path, False)}


def test_what_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt")
    assert list(found_in([tmp_path / "a.txt"])) == [Found(tmp_path / "a.txt", tmp_path, True)]
    with pytest.raises(StoreError, match=r"there is no file or folder .*/b\.txt"):
        list(found_in([tmp_path / "b.txt"]))


def plan(*files: Path, named: bool = True, **options: Any) -> list[Item]:
    found = [Found(file, file.parent, named) for file in files]
    return list(planned(found, destinations=Destinations(), **options))


@pytest.mark.parametrize("file", sorted(FOREIGN.glob("*-*.*")), ids=lambda file: file.name)
def test_the_format_is_found_out(file: Path, tmp_path: Path) -> None:
    (item,) = plan(file, output=tmp_path)
    assert item.format == {"vcrpy": "vcr"}.get(name := file.name.partition("-")[0], name)
    assert not item.problem + item.skipped
    assert len(read(item).recordings) >= 7


def test_a_broken_one_is_named_with_its_place(tmp_path: Path) -> None:
    (file := tmp_path / "a.yaml").write_text("interactions:\n- request: [}\n")
    (item,) = plan(file)
    with pytest.raises(IntegrityError, match=r"a\.yaml: line 2, column 13: "):
        read(item)


def test_what_is_no_recording(tmp_path: Path) -> None:
    (file := tmp_path / "a.json").write_text('{"a": 1}')
    assert "is no recording of a known format (cassette, " in plan(file)[0].problem
    assert plan(file, named=False)[0].skipped == UNKNOWN
    (item,) = plan(file, format="vcr", force=True)
    with pytest.raises(IntegrityError, match="interactions is missing"):
        read(item)
    file.write_text(" \n")
    assert plan(file, named=False)[0].problem == f"{file} is empty: nothing was recorded"
    file.write_text('{"mxm-dataio cassette": 1}')
    assert plan(file)[0].skipped == CONVERTED
    assert "can't be read: No such file" in plan(tmp_path / "gone.yaml")[0].problem


VCR = "interactions: []\n"


def test_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    (yaml := tmp_path / "a.yaml").write_text(VCR)
    (tmp_path / "a.json").write_text('{"interactions": []}')
    assert plan(yaml)[0].problem == f"{tmp_path}/a.json is there already: --force replaces it"
    assert plan(yaml, named=False)[0].skipped == THERE
    assert plan(yaml, force=True)[0].cassettes == (tmp_path / "a.json",)
    # Its own place is no other file's.
    (item,) = plan(tmp_path / "a.json", named=False)
    assert "it would take its own place" in item.problem
    assert plan(tmp_path / "a.json", force=True)[0].cassettes == (tmp_path / "a.json",)


def test_two_files_do_not_become_one(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.yml"):
        (tmp_path / name).write_text(VCR)
    first, second = plan(tmp_path / "a.yaml", tmp_path / "a.yml", force=True)
    assert first.cassettes == (tmp_path / "a.json",)
    assert second.problem == (
        f"{tmp_path}/a.yml: {tmp_path}/a.json is what {tmp_path}/a.yaml becomes already"
    )


def test_another_folder_has_the_same_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file := tmp_path / "t/cassettes/b/test_a.yaml").parent.mkdir(parents=True)
    file.write_text(VCR)
    found = [Found(file, tmp_path / "t", named=False)]

    def cassettes(tests: Destinations, output: str) -> tuple[Path, ...]:
        return next(planned(found, destinations=tests, output=Path(output))).cassettes

    assert cassettes(Destinations(), "out") == (Path("out/cassettes/b/test_a.json"),)
    assert cassettes(Destinations(), "one.json") == (Path("one.json"),)
    # A test's place may be outside of the folder that was named.
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "t/u.b.test_a.json"
    file.write_text('{"http_interactions": []}')
    found = [Found(file, tmp_path / "t", named=False)]
    tests = Destinations(cases_of(["u/b.py::test_a"], tmp_path))
    assert cassettes(tests, "out") == (Path("out/u/cassettes/b/test_a.json"),)


def recorded(*answers: tuple[str, str], content: bytes = b"x") -> list[Any]:
    interactions = [
        Interaction(
            "", "GET", "http://a.test/", (), b"", 200, "OK", (("Date", date),) if date else (),
            content, at,
        )
        for at, date in answers
    ]  # fmt: skip
    return converted(interactions).recordings


@pytest.mark.parametrize(
    ("at", "date", "day"),
    [
        ("2014-04-11T20:30:30.000000Z", "Mon, 21 Apr 2014 23:13:40 GMT", "2014-04-11"),
        ("", "Mon, 21 Apr 2014 23:13:40 GMT", "2014-04-21"),
        ("", "Mon, 21 Apr 2014 23:13:40 -0200", "2014-04-22"),
        ("", "Mon, 21 Apr 2014", ""),
        ("", "x", ""),
        ("", "", ""),
    ],
)
def test_the_day_of_a_recording(at: str, date: str, day: str) -> None:
    assert day_of(recorded((at, date))[0].exchange) == day


def test_a_cassette_names_the_day_of_most_once() -> None:
    first, later = "2014-04-11T20:30:30.000000Z", "2014-05-11T20:30:30.000000Z"
    document, beside = document_of(recorded((later, ""), (first, ""), (first, "")), "a")
    assert document.recorded == "2014-04-11"
    days = [document.recorded_of(node) for node in document.calls]
    assert days == ["2014-05-11", "2014-04-11", "2014-04-11"]
    assert "recorded" not in document.calls[1]
    assert beside == {}
    assert json.loads(document.text())["source"] == "a"


def test_a_cassette_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new/a.json"
    write_cassette(path, recorded(("", "")))
    assert json.loads(path.read_text())["source"] == "a"
    write_cassette(path, recorded(("", ""), ("", "")))
    assert len(json.loads(path.read_text())["calls"]) == 2
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_a_session_of_a_store_says_where_it_is_from(tmp_path: Path) -> None:
    recordings = recorded(("2014-05-11T20:30:30.000000Z", ""), ("", ""))
    with RecordingStore(tmp_path) as store:
        session_id = put(store, "github", recordings, "a.json (betamax)")
        session = store.session(session_id)
        calls = list(store.exchanges(session_id))
    assert session is not None
    assert (session.source, session.kind, session.status) == ("github", "import", "complete")
    assert (session.as_of, session.warnings) == ("2014-05-11", ("imported from a.json (betamax)",))
    assert calls[0].request.started_at == "2014-05-11T20:30:30.000000Z"
    # When it was made is not known: it counts as of the import.
    assert calls[1].request.started_at == session.started_at
    assert verify_root(tmp_path).ok
    with IngestSession(source="github", root=tmp_path, mode="replay") as ingest:
        assert ingest.content(ingest.request("http://a.test/")) == b"x"


@pytest.mark.parametrize("size", [70_000, 400_000])
def test_a_large_payload_is_a_file_of_its_own(size: int, tmp_path: Path) -> None:
    recordings = recorded(("", ""), ("", ""), content=b"\x00\xff" * (size // 2))
    with RecordingStore(tmp_path) as store:
        put(store, "large", recordings, "a.json (vcr)")
        (path,) = (tmp_path / "responses").glob("*.bin")
        assert path.stat().st_size == size
    assert verify_root(tmp_path).ok
    write_cassette(tmp_path / "a.json", recordings)
    assert (tmp_path / "a.json").stat().st_size < size
    assert len(read(Item(tmp_path / "a.json", "cassette")).recordings) == 2
