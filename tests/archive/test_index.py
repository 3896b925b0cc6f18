"""An index: what it finds is what is there, whatever became of it."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("deltalake")

from mxm_dataio import DataIOWarning
from mxm_dataio.archive import Archive, Indexed, finding
from mxm_dataio.archive import index as index_module
from mxm_dataio.archive.index import NAME, Index, IndexWriter
from mxm_dataio.archive.index_table import IndexTable
from mxm_dataio.archive.names import SessionName
from mxm_dataio.errors import ConfigError, IntegrityError, StoreError
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import new_id
from tests.trust.small import end, record, session

from .archives import names, objects
from .test_faces import mxm


@pytest.fixture(params=["folder", "s3", pytest.param("weed", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest, root: Path) -> str:
    """Return the URL of an archive with the root's sessions."""
    value = request.getfixturevalue(request.param)
    assert isinstance(value, str)
    Archive(value).push(root)
    return value


@pytest.fixture
def archive(folder: str, root: Path) -> Archive:
    """Return an archive in a folder, with the root's sessions."""
    Archive(folder).push(root)
    return Archive(folder)


def more(root: Path, archive: Archive, count: int = 1) -> None:
    """Record some more sessions, and push them."""
    with RecordingStore(root) as store:
        for _ in range(count):
            held = session()
            store.begin(held)
            record(store, held, "a", b"x")
            record(store, held, f"only {held.id}", b"y")
            end(store, held)
    archive.push(root)


def hashes(archive: Archive) -> dict[str, list[Indexed]]:
    """Return all calls by their hashes, as found without an index."""
    found: dict[str, list[Indexed]] = {}
    for one in every(archive):
        found.setdefault(one.params_hash, []).append(one)
    return {
        key: sorted(calls, key=lambda call: (call.as_of, call.id)) for key, calls in found.items()
    }


def every(archive: Archive) -> Iterator[Indexed]:
    for one in archive._archived():
        yield from finding._indexed(archive._objects, one)


def finds_all(archive: Archive) -> bool:
    """Say whether each hash is found where it is, and another nowhere."""
    assert archive.find("0" * 64) == []
    return {key: archive.find(key) for key in hashes(archive)} == hashes(archive) != {}


def test_each_call_is_found(url: str) -> None:
    archive = Archive(url)
    assert finds_all(archive)
    made = archive.index()
    assert (made.sessions, made.calls, made.there, made.rows) == (3, 8, 0, 8)
    assert made.ok
    assert finds_all(archive)
    index = Index.of(archive._objects)
    assert index is not None
    assert {key: index.look_up(key) for key in hashes(archive)} == hashes(archive)


def test_it_is_a_table_for_any_engine(archive: Archive, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    archive.index()
    table = DeltaTable(str(tmp_path / "archive" / "of the year" / "index"))
    rows = table.to_pyarrow_table().to_pylist()
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(rows, key=key) == sorted((one._asdict() for one in every(archive)), key=key)


def test_an_index_that_is_up_to_date_is_not_written(archive: Archive) -> None:
    archive.index()
    before = objects(archive.url)
    again = archive.index()
    assert (again.sessions, again.calls, again.there, again.rows) == (0, 0, 3, 8)
    assert objects(archive.url) == before


def test_only_what_it_lacks_is_read(
    archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.index()
    more(root, archive, 2)
    read = []
    calls = finding.calls
    monkeypatch.setattr(
        finding, "calls", lambda objects, one: read.append(one.session.id) or calls(objects, one)
    )
    made = archive.index()
    assert (made.sessions, made.calls, made.there, made.rows) == (2, 4, 3, 12)
    assert len(read) == 2
    read.clear()
    archive.find("0" * 64)
    assert read == []
    newest = archive.sessions()[-1]
    mine = next(one for one in every(archive) if newest.id in one.object)
    read.clear()
    archive.find(mine.params_hash)
    assert newest.id in read


def test_what_was_pushed_since_is_found_as_well(archive: Archive, root: Path) -> None:
    archive.index()
    more(root, archive)
    assert finds_all(archive)


def test_of_one_source(archive: Archive) -> None:
    (key, *_) = hashes(archive)
    (one, *_) = found = archive.find(key)
    archive.index()
    assert archive.find(key, one.source) == [each for each in found if each.source == one.source]
    assert archive.find(key, "another") == []


def test_many_runs_leave_few_files(
    archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_FILES", 3)
    monkeypatch.setattr(index_module, "_QUARTER", 0)
    for _ in range(6):
        more(root, archive)
        archive.index()
    index = Index.of(archive._objects)
    assert index is not None
    assert index.rows == 8 + 12
    assert len(index.files) <= 5
    assert finds_all(archive)
    monkeypatch.setattr(index_module, "_QUARTER", 4)
    more(root, archive, 5)
    archive.index()
    ordered = Index.of(archive._objects)
    assert ordered is not None
    assert (len(ordered.files), ordered.ordered) == (1, (1, 30))
    assert finds_all(archive)


def test_rows_in_several_changes(
    archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "BATCH", 3)
    more(root, archive, 4)
    assert archive.index().rows == 16
    assert finds_all(archive)


def test_killed_between_the_table_and_what_it_is_good_for(archive: Archive, root: Path) -> None:
    archive.index()
    store = archive._objects
    found = store.get(NAME, 1 << 20)
    assert found is not None
    more(root, archive)
    archive.index()
    store.put(NAME, found.content)
    assert finds_all(archive)
    assert archive.index().rows == 10
    assert finds_all(archive)


def test_a_call_that_is_made_every_minute_for_years(archive: Archive) -> None:
    """Files of one hash are small, and of many rows."""
    store = archive._objects
    writer = IndexWriter(store, None)
    one = SessionName("0" * 32, 0, new_id(), bytes(32))
    writer.add(
        one, [Indexed("a" * 64, "s", "2025-01-01", None, str(n), "o") for n in range(300_000)]
    )
    writer.finish()
    index = Index.of(store)
    assert index is not None
    assert max(file.rows for file, _ in index.files) > 200_000
    assert len(index.look_up("a" * 64)) == 300_000


def test_two_at_once(archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is told of the other, and neither makes the index claim what it lacks."""
    archive.index()
    more(root, archive, 2)
    append = IndexTable.append
    others = []

    def meanwhile(self: IndexTable, rows: Sequence[Any]) -> None:
        append(self, rows)
        if not others:
            others.append(None)
            # Finds rows that no one says are there, and takes them out.
            others.append(Archive(archive.url).index())

    monkeypatch.setattr(IndexTable, "append", meanwhile)
    with pytest.raises(StoreError, match="another process makes the index"):
        archive.index()
    assert others[1].sessions == 2
    assert finds_all(archive)
    assert archive.index().there == 5
    index = Index.of(archive._objects)
    assert index is not None
    assert index.rows == 12
    assert {key: index.look_up(key) for key in hashes(archive)} == hashes(archive)


def test_many_at_once(archive: Archive, root: Path) -> None:
    for _ in range(3):
        more(root, archive, 3)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(Archive(archive.url).index) for _ in range(4)]
        for future in futures:
            assert isinstance(future.exception(), StoreError | None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataIOWarning)
            assert finds_all(archive)


# -- damage ------------------------------------------------------------------------------------


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]


def test_a_flipped_byte_never_makes_a_wrong_answer(archive: Archive) -> None:
    archive.index()
    held = {name: content for name, content in objects(archive.url).items() if "index/" in name}
    store = archive._objects
    looked_up = hashes(archive)
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataIOWarning)
        for name, content in held.items():
            for at in range(0, len(content), 97):
                store.put(name, flipped(content, at))
                key = list(looked_up)[at % len(looked_up)]
                if archive.find(key) != looked_up[key]:
                    wrong.append((name, at))
            store.put(name, content)
    assert wrong == []
    assert len(held) >= 3


@pytest.mark.parametrize("how", ["gone", "empty", "another"])
@pytest.mark.parametrize("what", [NAME, "index/part-", "index/_delta_log/"])
def test_objects_of_it_that_are_gone_or_foreign(archive: Archive, what: str, how: str) -> None:
    archive.index()
    store = archive._objects
    found = [name for name in names(archive.url, "index") if name.startswith(what)]
    assert found
    for name in found:
        if how == "gone":
            store.delete([name])
        else:
            store.put(name, b"" if how == "empty" else b'{"mxm-dataio index": 1}')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataIOWarning)
        assert finds_all(archive)
    assert archive.index(again=True).rows == 8
    assert finds_all(archive)


def test_a_damaged_one_is_said_to_be(archive: Archive) -> None:
    archive.index()
    archive._objects.put(NAME, b"{}")
    with pytest.warns(DataIOWarning, match=r"every session is read: .*--again makes the index"):
        archive.find("0" * 64)
    with pytest.raises(IntegrityError, match="--again makes the index again"):
        archive.index()


def test_one_of_a_newer_release(archive: Archive) -> None:
    archive.index()
    said = {"mxm-dataio index": 2}
    archive._objects.put(NAME, index_module._text({**said, "sealed": index_module._sealed(said)}))
    with pytest.raises(IntegrityError, match="is of version 2, this release knows up to 1"):
        archive.index()
    with pytest.warns(DataIOWarning, match="is of version 2"):
        archive.find("0" * 64)


def test_the_table_is_gone_and_what_lies_beside_it_is_not(archive: Archive, root: Path) -> None:
    archive.index()
    archive._objects.delete(names(archive.url, "index/_delta_log"))
    more(root, archive)
    with pytest.raises(StoreError, match="index"):
        archive.index()
    assert finds_all(archive)


def test_an_index_of_another_archive(archive: Archive, tmp_path: Path, root: Path) -> None:
    archive.index()
    other = Archive(f"file://{tmp_path}/other")
    with RecordingStore(tmp_path / "root2") as store:
        held = session()
        store.begin(held)
        record(store, held, "b", b"x")
        end(store, held)
    other.push(tmp_path / "root2")
    shutil.copytree(tmp_path / "archive" / "of the year" / "index", tmp_path / "other" / "index")
    assert finds_all(other)


def test_a_session_that_went_from_under_it(archive: Archive, root: Path) -> None:
    archive.index()
    (gone, *_) = names(archive.url, "sessions")
    archive._objects.delete([gone])
    assert finds_all(archive)
    name = SessionName.parse(gone)
    assert name is not None
    assert all(
        name.session not in one.object for found in hashes(archive).values() for one in found
    )


def test_a_damaged_session_is_left_out_and_named(archive: Archive) -> None:
    (name, *_) = names(archive.url, "exchanges")
    content = objects(archive.url)[name]
    archive._objects.put(name, flipped(content, len(content) // 2))
    made = archive.index()
    assert made.sessions == 2
    (problem,) = made.problems
    assert name in problem
    with pytest.raises(IntegrityError, match="damaged"):
        archive.find("0" * 64)
    archive._objects.put(name, content)
    assert finds_all(archive)
    assert archive.index().sessions == 1


def test_there_is_none_in_memory(memory: str, root: Path) -> None:
    Archive(memory).push(root)
    with pytest.raises(ConfigError, match="in memory"):
        Archive(memory).index()
    assert finds_all(Archive(memory))


def test_an_archive_that_is_not_there(folder: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is archived"):
        Archive(folder).index()
    with pytest.raises(StoreError, match="nothing is archived"):
        Archive(folder).find("0" * 64)
    assert not (tmp_path / "archive").exists()


# -- the command -------------------------------------------------------------------------------


def test_what_the_command_prints(archive: Archive, root: Path) -> None:
    done = mxm("index", archive.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        f"indexed 3 sessions with 8 calls of {archive.url}: it has 8 calls, "
    )
    done = mxm("index", archive.url, "--json")
    said = json.loads(done.stdout)
    assert said.pop("bytes") > 500
    assert said == {
        "type": "index", "url": archive.url, "sessions": 0, "calls": 0, "there": 3, "rows": 8,
        "problems": [],
    }  # fmt: skip
    (name, *_) = names(archive.url, "exchanges")
    archive._objects.put(name, b"")
    done = mxm("index", archive.url, "--again")
    assert done.returncode == 1
    assert "is not in the index" in done.stdout
    assert mxm("index", "file:///nowhere/at/all").returncode == 2
    assert mxm("index", "nowhere").returncode == 2
