"""The SQLite file: what is refused, undone, kept apart across forks, synced."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.storage.catalog import opening
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.catalog.database import Database
from mxm_dataio.storage.catalog.migrations import APPLICATION_ID, SCHEMA_VERSION
from tests.unit.storage.catalog.test_catalog import put, session


def test_the_file_is_ours_private_and_in_wal_mode(path: Path, catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1"), "r1")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_an_empty_file_becomes_private_before_anything_is_in_it(path: Path) -> None:
    # What is left of a process that was killed as it made the file.
    path.touch(0o644)
    Database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_durable_row_is_synced_and_the_next_is_not(path: Path, catalog: SQLiteCatalog) -> None:
    levels: list[int] = []
    db = catalog.database._db
    assert db is not None
    db.set_trace_callback(
        lambda sql: levels.append(1) if sql == "PRAGMA synchronous=FULL" else None
    )
    put(catalog, session("s1"), "r1")
    assert levels == []
    catalog.put_session(session("s1"), durable=True)
    db.set_trace_callback(None)
    assert levels == [1]
    assert db.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize("action", ["a durable row", "a second connection", "a reading connection"])
def test_no_action_lets_go_of_sqlite_s_locks(
    path: Path, catalog: SQLiteCatalog, action: str
) -> None:
    # Closing any descriptor of the file drops all POSIX locks that the process has on it, and
    # another process then takes our WAL away (sqlite.org/howtocorrupt.html §2.2).
    put(catalog, session("s1"), "r1")
    if action == "a durable row":
        catalog.put_session(session("s1"), durable=True)
    else:
        Database(path, readonly=action == "a reading connection").close()
    script = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try: print(db.execute('PRAGMA journal_mode=DELETE').fetchone())\n"
        "except sqlite3.OperationalError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.stdout == "database is locked\n", done


def test_a_message_that_is_no_text_is_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged:
        def execute(self, *_args: object) -> None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    with closing(Database(path)) as database, monkeypatch.context() as patch:
        patch.setattr(database, "_db", Damaged())
        with pytest.raises(IntegrityError):
            database.all("SELECT 1")
        with pytest.raises(IntegrityError), database.use() as db:
            db.execute("SELECT 1")


# -- refusals: each file stays as it is ------------------------------------------------------


def refusal(path: Path, readonly: bool = False) -> IntegrityError:
    """Return the refusal without its traceback, which would hold the connection open."""
    with pytest.raises(IntegrityError) as caught:
        Database(path, readonly=readonly)
    error = caught.value
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def contents(path: Path) -> dict[str, bytes]:
    gc.collect()
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def refused(path: Path, readonly: bool, match: str) -> None:
    before = contents(path)
    error = refusal(path, readonly)
    assert re.search(match, str(error))
    assert error.path == path
    assert str(path) in str(error)
    after = contents(path)
    # What the reader of a WAL leaves beside it holds no content of its own.
    after = {name: found for name, found in after.items() if not name.endswith("-shm")}
    assert {name: before.get(name, b"") for name in after} == after


@pytest.mark.parametrize("readonly", [True, False])
def test_a_newer_file_is_refused(path: Path, readonly: bool) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    refused(path, readonly, "upgrade mxm-dataio")


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE theirs (a)", "PRAGMA user_version=1", "PRAGMA application_id=77"],
)
def test_another_program_s_database_is_refused(path: Path, readonly: bool, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("VACUUM")
    refused(path, readonly, "another program")


def test_a_file_that_is_as_we_left_it_is_opened_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def connected(database: str, seconds: float, *, uri: bool = False) -> sqlite3.Connection:
        opened.append(database)
        return connect(database, seconds, uri=uri)

    connect = opening.connect
    monkeypatch.setattr(opening, "connect", connected)
    counts = []
    for change in (None, None, path.touch, None):
        if change is not None:
            change()
        opened.clear()
        Database(path).close()
        counts.append(len(opened))
    assert counts == [1, 1, 2, 1]
    with closing(Database(path)):
        opened.clear()
        Database(path).close()
    assert len(opened) == 2


@pytest.mark.parametrize("beside", ["", "-wal"])
def test_what_took_the_place_of_our_file_is_refused(path: Path, beside: str) -> None:
    Database(path).close()
    was = path.stat()
    origin = path.with_name("origin")
    origin.mkdir()
    with closing(sqlite3.connect(origin / path.name)) as db:
        db.execute(f"PRAGMA journal_mode={'WAL' if beside else 'DELETE'}")
        db.execute("CREATE TABLE theirs (a)")
        for name in {path.name, f"{path.name}{beside}"}:
            path.with_name(name).write_bytes((origin / name).read_bytes())
    shutil.rmtree(origin)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    before = contents(path)
    assert refusal(path).path == path
    assert {name: contents(path).get(name) for name in before} == before


def test_another_program_s_wal_is_not_folded_in(path: Path) -> None:
    origin = path.with_name("origin")
    origin.mkdir()
    with closing(sqlite3.connect(origin / path.name)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE theirs (a)")
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(origin / name, path.with_name(name))
    shutil.rmtree(origin)
    before = contents(path)
    assert refusal(path).path == path
    after = contents(path)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("junk", [b"x", b"# a diary\n" * 999, b"SQLite format 2\x00" + b"\0" * 99])
def test_a_file_that_is_no_database_is_refused(path: Path, readonly: bool, junk: bytes) -> None:
    path.write_bytes(junk)
    refused(path, readonly, "no SQLite database")


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("kept", [17, 99, 1000, 4096])
def test_a_truncated_database_is_refused(path: Path, readonly: bool, kept: int) -> None:
    Database(path).close()
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, readonly, "damaged")


def test_read_only_needs_a_file_and_never_writes(path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded") as caught:
        Database(path, readonly=True)
    assert caught.value.path == path
    assert list(path.parent.iterdir()) == []
    Database(path).close()
    with closing(SQLiteCatalog(path, readonly=True)) as reader:
        with pytest.raises(StoreError):
            reader.put_session(session("s1"))
        assert reader.sessions() == []


def test_a_forked_child_uses_a_connection_of_its_own(path: Path) -> None:
    # In a process of its own: pytest's has threads, and a fork of those is warned of.
    script = """
import os, sys
from pathlib import Path
from mxm_dataio.storage.catalog import opening
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.models import Mode, Session, Status
def session(id): return Session(id, "src", Mode.RECORD, "d", Status.COMPLETE, "t")
catalog = SQLiteCatalog(Path(sys.argv[1]))
catalog.put_session(session("parent-before"))
child = os.fork()
if not child:
    assert catalog.database._db is None
    catalog.put_session(session("child"))
    assert len(catalog.sessions()) == 2, catalog.sessions()
    catalog.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
catalog.put_session(session("parent-after"))
assert [one.id for one in catalog.sessions()] == ["child", "parent-after", "parent-before"]
assert catalog.database.all("PRAGMA integrity_check") == [("ok",)]
catalog.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with closing(SQLiteCatalog(path, readonly=True)) as again:
        assert len(again.sessions()) == 3


def test_what_a_forked_child_writes_outlives_its_parent_s_catalog(path: Path) -> None:
    # The last of a process that closes the database deletes its log, if SQLite knows of no other.
    script = """
import os, signal, sys
from pathlib import Path
from mxm_dataio.storage.catalog import opening
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.models import Mode, Session, Status
def session(id): return Session(id, "src", Mode.RECORD, "d", Status.COMPLETE, "t")
catalog = SQLiteCatalog(Path(sys.argv[1]))
catalog.put_session(session("parent"))
ready, told = os.pipe()
go, say = os.pipe()
child = os.fork()
if not child:
    assert catalog.sessions()
    os.write(told, b"x")
    os.read(go, 1)
    for number in range(9):
        catalog.put_session(session(f"child {number}"))
    os.kill(os.getpid(), signal.SIGKILL)
os.read(ready, 1)
catalog.put_session(session("parent again"))
catalog.close()
os.write(say, b"x")
os.waitpid(child, 0)
assert len(SQLiteCatalog(Path(sys.argv[1])).sessions()) == 11
"""
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def hot(path: Path, application: int) -> None:
    """Make a database whose writer was killed amid a transaction before there was a WAL."""
    origin = path.with_name("origin")
    with closing(sqlite3.connect(origin, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute(f"PRAGMA application_id={application}")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (zeroblob(50000))")
        db.execute("DROP TABLE t")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (randomblob(60000))")
        for suffix in ("", "-journal"):
            shutil.copy(f"{origin}{suffix}", f"{path}{suffix}")
        db.execute("ROLLBACK")
    for left in path.parent.glob("origin*"):
        left.unlink()


def check_undone(path: Path, readonly: bool) -> None:
    """Open what was killed as it was made: there is nothing in it, and nothing left of the kill."""
    if readonly:
        with pytest.raises(StoreError, match="schema version 0"):
            Database(path, readonly=True)
    else:
        with closing(SQLiteCatalog(path)) as catalog:
            assert catalog.sessions() == []
            assert catalog.database.all("PRAGMA integrity_check") == [("ok",)]
    assert not Path(f"{path}-journal").exists()


@pytest.mark.parametrize("readonly", [False, True])
def test_what_was_killed_before_the_wal_is_undone(path: Path, readonly: bool) -> None:
    hot(path, APPLICATION_ID)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("PRAGMA user_version")
        assert caught.value.sqlite_errorname == "SQLITE_READONLY_ROLLBACK", "this tests nothing"
    check_undone(path, readonly)


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_a_new_file_that_was_written_by_half_is_undone(
    path: Path, readonly: bool, pages: int
) -> None:
    """As a kill leaves it amid the commit of the first migration: there was nothing before."""
    origin = path.with_name("origin")
    with closing(sqlite3.connect(origin, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (randomblob(60000))")
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        for suffix in ("", "-journal"):
            shutil.copy(f"{origin}{suffix}", f"{path}{suffix}")
        db.execute("ROLLBACK")
    origin.unlink()
    with path.open("r+b") as file:
        file.truncate(pages * 4096)
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db,
        pytest.raises(sqlite3.DatabaseError, match=r"malformed|not a database"),
    ):
        db.execute("SELECT * FROM sqlite_master").fetchall()
    check_undone(path, readonly)


def test_another_program_s_is_not_undone(path: Path) -> None:
    hot(path, 77)
    files = {one: one.read_bytes() for one in path.parent.iterdir()}
    assert len(files) == 2
    with pytest.raises(IntegrityError, match="another program"):
        Database(path)
    assert {one: one.read_bytes() for one in path.parent.iterdir()} == files
