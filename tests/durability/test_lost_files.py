"""Files of an open root that are deleted or moved: that is noticed, and what can be is saved."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import DataIOWarning, IngestSession, Status
from mxm_dataio.api import capture_of
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage import writer as writer_module
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.servers import RawServer, answer, responder


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    routes = {"/": lambda request: answer(200, b"small " * 20 + request.target.encode())}
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


class Program:
    """Records a session, amid which something becomes of the root's files."""

    def __init__(self, server: RawServer, root: Path) -> None:
        self._url = server.url
        self.ingest = IngestSession("s", root).open()
        self.called = 0

    def calls(self, count: int, *, moved: bool = False) -> None:
        """Make calls."""
        for _ in range(count):
            self.called += 1
            assert requests.get(f"{self._url}/?{self.called}").ok
        if moved:
            assert isinstance(capture_of(self.ingest).store, RootStore)
            capture_of(self.ingest).store.move()

    def end(self) -> str:
        """End the session; return the warning."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.ingest.close()
        (told,) = [str(one.message) for one in caught if issubclass(one.category, DataIOWarning)]
        assert self.ingest.session.status is Status.INCOMPLETE
        assert told.partition(";")[0] in "".join(self.ingest.session.warnings)
        return told


@pytest.fixture
def program(server: RawServer, root: Path) -> Program:
    # One that was there before.
    with IngestSession("earlier", root):
        requests.get(server.url)
    return Program(server, root)


def held(root: Path, source: str = "s") -> int:
    """Open the store as the next does; return how many calls of a source it has."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RecordingStore(root) as store:
            return sum(len(list(store.exchanges(one.id))) for one in store.sessions(source))


def sound(root: Path) -> None:
    found = verify_root(root)
    assert not found.findings, found.findings
    with RootStore(root, readonly=True) as store:
        assert len(store.catalog.leaves()) == len(store.sessions())
        assert store.sessions("s")[0].status is Status.INCOMPLETE


@pytest.mark.parametrize("wal", [True, False])
def test_the_database_is_deleted(program: Program, root: Path, wal: bool) -> None:
    program.calls(3, moved=True)
    program.calls(2)
    for suffix in ("", "-wal", "-shm") if wal else ("",):
        (root / f"dataio.sqlite{suffix}").unlink()
    program.calls(2)
    told = program.end()
    assert str(root / "dataio.sqlite") in told
    assert "deleted while it was open" in told
    assert held(root) == 7
    assert held(root, "earlier") == 1
    sound(root)


def test_it_is_deleted_before_the_first_call_is_moved(program: Program, root: Path) -> None:
    for path in root.glob("dataio.sqlite*"):
        path.unlink()
    program.calls(3)
    assert "deleted while it was open" in program.end()
    assert held(root) == 3
    sound(root)


def test_full_journals_notice_it(
    program: Program, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_FULL", 4)
    monkeypatch.setattr(writer_module, "_STEP_EVERY", 1)
    program.calls(6)
    for path in root.glob("dataio.sqlite*"):
        path.unlink()
    program.calls(12)
    assert (root / "dataio.sqlite").exists(), "noticed as calls were moved"
    assert "deleted while it was open" in program.end()
    assert held(root) == 18
    sound(root)


@pytest.mark.parametrize("suffixes", [["-wal"], ["-shm"], ["-wal", "-shm"]])
def test_what_belongs_to_the_database_is_deleted(
    program: Program, root: Path, suffixes: list[str]
) -> None:
    program.calls(3, moved=True)
    for suffix in suffixes:
        (root / f"dataio.sqlite{suffix}").unlink()
    program.calls(2)
    assert f"dataio.sqlite{suffixes[0]}" in program.end()
    assert held(root) == 5
    assert held(root, "earlier") == 1
    sound(root)


def test_the_database_is_moved(program: Program, root: Path) -> None:
    program.calls(3, moved=True)
    away = root.parent / "away.sqlite"
    (root / "dataio.sqlite").rename(away)
    program.calls(2)
    told = program.end()
    assert str(away) in told
    assert not (root / "dataio.sqlite").exists(), "it is to be put back, not begun anew"
    with sqlite3.connect(away) as db:
        assert db.execute("SELECT count(*) FROM requests").fetchone() == (4,)
    db.close()
    away.rename(root / "dataio.sqlite")
    assert held(root) == 5
    assert held(root, "earlier") == 1
    sound(root)


def test_another_file_lies_in_its_place(program: Program, root: Path, tmp_path: Path) -> None:
    program.calls(3, moved=True)
    RecordingStore(tmp_path / "other").close()
    for suffix in ("-wal", "-shm"):
        (root / f"dataio.sqlite{suffix}").unlink()
    (tmp_path / "other" / "dataio.sqlite").replace(root / "dataio.sqlite")
    program.calls(2)
    told = program.end()
    (saved,) = root.glob("dataio-*.sqlite")
    assert saved.name in told
    with sqlite3.connect(saved) as db:
        assert db.execute("SELECT count(*) FROM requests").fetchone() == (4,)
    db.close()
    assert saved.stat().st_mode & 0o077 == 0
    assert held(root) == 2
    with RecordingStore(root) as store:
        (session,) = store.sessions("s")
        assert session.status is Status.INCOMPLETE


def test_a_foreign_file_lies_in_its_place(program: Program, root: Path) -> None:
    program.calls(3, moved=True)
    for path in root.glob("dataio.sqlite*"):
        path.unlink()
    (root / "dataio.sqlite").write_bytes(b"another program's " * 100)
    program.calls(2)
    assert "another lies there" in program.end()
    assert (root / "dataio.sqlite").read_bytes() == b"another program's " * 100
    assert len(list((root / "journal").glob("*.journal"))) >= 1


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_the_journal_is_gone(program: Program, root: Path, how: str) -> None:
    program.calls(3)
    (path,) = (root / "journal").glob("*.journal")
    if how == "deleted":
        path.unlink()
    else:
        path.rename(root.parent / "away")
    told = program.end()
    assert str(path) in told
    assert held(root) == 3
    sound(root)


def test_the_folder_of_journals_is_deleted_amid_calls(program: Program, root: Path) -> None:
    program.calls(3)
    shutil.rmtree(root / "journal")
    program.calls(3)
    assert "journal" in program.end()
    assert held(root) == 6
    sound(root)


def test_the_folder_of_payloads_is_deleted(program: Program, root: Path) -> None:
    program.calls(3, moved=True)
    shutil.rmtree(root / "responses")
    program.calls(2)
    told = program.end()
    assert str(root / "responses") in told
    assert held(root) == 5
    missing = [one.what for one in verify_root(root).findings]
    assert len(missing) >= 3
    assert all("is missing" in what for what in missing)


def test_the_folder_of_payloads_is_moved_and_put_back(program: Program, root: Path) -> None:
    program.calls(3, moved=True)
    (root / "responses").rename(root.parent / "away")
    program.calls(2)
    told = program.end()
    assert str(root / "responses") in told
    (root.parent / "away").rename(root / "responses")
    assert held(root) == 5
    assert verify_root(root).payloads


@pytest.mark.parametrize("calls", [0, 2])
def test_the_root_is_deleted(program: Program, root: Path, calls: int) -> None:
    program.calls(3)
    shutil.rmtree(root)
    program.calls(calls)
    told = program.end()
    assert str(root) in told
    assert "deleted or moved" in told or "deleted while it was open" in told
    assert held(root) == 3 + calls


def test_the_root_is_moved(program: Program, root: Path) -> None:
    program.calls(3, moved=True)
    program.calls(2)
    away = root.parent / "away"
    root.rename(away)
    program.calls(2)
    told = program.end()
    assert str(root) in told
    assert held(away) == 7
    assert not root.exists()


def test_a_root_within_a_folder_that_is_gone(server: RawServer, tmp_path: Path) -> None:
    """A temporary folder of the program's, which is not made anew behind it."""
    folder = tmp_path / "temporary"
    program = Program(server, folder / "root")
    program.calls(2)
    shutil.rmtree(folder)
    assert requests.get(server.url).ok
    program.end()
    assert not folder.exists()


def test_nothing_is_said_where_nothing_is_gone(program: Program, root: Path) -> None:
    program.calls(2, moved=True)
    program.calls(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program.ingest.close()
    assert held(root) == 4
