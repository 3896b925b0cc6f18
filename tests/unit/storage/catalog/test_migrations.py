"""The schema: older files are migrated, newer ones refused."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.catalog import migrations, rows
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.catalog.database import Database
from mxm_dataio.storage.catalog.migrations import SCHEMA_VERSION
from mxm_dataio.storage.questions import Questions
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.old_schemas import make_older
from tests.trust.small import end, fill, record, session
from tests.unit.storage.catalog.test_catalog import put
from tests.unit.storage.catalog.test_catalog import session as row_of


def grown(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, *steps))
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", len(migrations.MIGRATIONS))


def test_an_older_file_is_migrated_and_keeps_its_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SQLiteCatalog(path)) as old:
        put(old, row_of("s1"), "r1")
    grown(monkeypatch, "CREATE TABLE t1 (a);", "ALTER TABLE t1 ADD b; CREATE INDEX i ON t1 (b)")
    with closing(SQLiteCatalog(path, readonly=True)) as copy:
        assert copy.database.all("SELECT a, b FROM t1") == []
        assert copy.exchange("r1") is not None
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    with closing(SQLiteCatalog(path)) as new:
        assert new.database.all("PRAGMA user_version") == [(SCHEMA_VERSION + 2,)]
        assert new.database.all("SELECT a, b FROM t1") == []
        assert new.exchange("r1") is not None
    Database(path, readonly=True).close()


def test_a_failed_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(path).close()
    with monkeypatch.context() as patch:
        grown(patch, "CREATE TABLE t1 (a)", "CREATE TABLE t2 (a); no SQL at all")
        with pytest.raises(StoreError):
            Database(path)
    with closing(Database(path)) as again:
        assert again.all("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert again.all("SELECT name FROM sqlite_master WHERE name LIKE 't_'") == []


def test_a_file_that_another_process_is_making_is_not_taken_for_a_foreign_one(path: Path) -> None:
    class Slow(sqlite3.Connection):
        """Lets another process make the tables between two looks."""

        met = 0

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "sqlite_master" in sql:
                self.met += 1
                with (
                    closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
                    contextlib.suppress(sqlite3.OperationalError),
                ):
                    other.executescript(
                        f"BEGIN; CREATE TABLE sessions (id); PRAGMA user_version=1; "
                        f"PRAGMA application_id={migrations.APPLICATION_ID}; COMMIT"
                    )
            return super().execute(sql, *values)

    with closing(sqlite3.connect(path, factory=Slow, isolation_level=None)) as db:
        assert migrations.version(db, path) == 0
        assert db.met == 1


# -- from every older version ------------------------------------------------------------------

OLDER = range(1, SCHEMA_VERSION)


def read(root: Path) -> list[Any]:
    """Return what is read of a store, in each way."""
    with RootStore(root) as store:
        catalog = store.catalog
        sessions = store.sessions()
        found: list[Any] = [sessions, catalog.leaves()]
        for one in sessions:
            found += [catalog.chain_end(one.id), catalog.sealed(one.id)]
            for exchange in store.exchanges(one.id):
                asked = exchange.request
                key = asked.source, asked.params_hash
                found += [
                    exchange,
                    catalog.newest(*key, "~"),
                    catalog.nth(*key, asked.root_id, ""),
                    catalog.variants(asked.source, asked.base_hash),
                    [catalog.names(answer.checksum or "") for answer in exchange.responses],
                ]
        found += [
            [tuple(row) for row in Questions(store).sql(f"SELECT * FROM {view}")]
            for view in ("sessions", "calls", "attempts", "headers")
        ]
        return found


@pytest.mark.parametrize("number", OLDER)
def test_what_an_older_release_has_written(tmp_path: Path, number: int) -> None:
    ids = fill(tmp_path)
    before = read(tmp_path)
    content = make_older(tmp_path, number)
    files = sorted(tmp_path.rglob("*"))
    assert read(tmp_path) == before
    assert verify_root(tmp_path).ok
    assert (tmp_path / "dataio.sqlite").read_bytes() == content, "to be read alone"
    assert {*tmp_path.rglob("*")} - {*files} <= {
        tmp_path / f"dataio.sqlite-{suffix}" for suffix in ("wal", "shm")
    }
    with RecordingStore(tmp_path) as store:
        db = store.catalog.database
        assert db.all("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        with migrations.empty() as new:
            assert db.all(migrations.SCHEMA) == new.execute(migrations.SCHEMA).fetchall()
        assert [len(list(store.catalog.sealed_calls(id))) for id in ids] == [5, 2, 1]
        held = session()
        store.begin(held)
        record(store, held, "more", b"more")
        end(store, held)
    assert verify_root(tmp_path).ok
    with RootStore(tmp_path) as store:
        assert len(store.sessions()) == 4


@pytest.mark.parametrize("number", OLDER)
@pytest.mark.parametrize("at", [1, 9, 0])
def test_a_kill_amid_the_migration_leaves_the_older(tmp_path: Path, number: int, at: int) -> None:
    fill(tmp_path)
    before = read(tmp_path)
    make_older(tmp_path, number)
    script = f"""
import itertools, os, signal
from pathlib import Path
from mxm_dataio.storage.catalog import migrations
from mxm_dataio.storage.catalog.database import Database

take, packed, calls = migrations._take, migrations._packed, itertools.count(1)
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def packed_or_killed(content):
    return packed(content) if next(calls) != {at} else kill()
def taken(db, migration):
    take(db, migration)
    # Written, but for the commit.
    {at} or "packed" in migration and kill()
migrations._take, migrations._packed = taken, packed_or_killed
Database(Path({str(tmp_path / "dataio.sqlite")!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (number,)
    assert read(tmp_path) == before
    RecordingStore(tmp_path).close()
    assert read(tmp_path) == before
    assert verify_root(tmp_path).ok


def test_an_older_release_that_has_it_open_writes_no_more(tmp_path: Path) -> None:
    """It keeps its calls in its journal, as whenever the database refuses."""
    fill(tmp_path)
    make_older(tmp_path, 3)
    path = tmp_path / "dataio.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        rows = old.execute("SELECT * FROM requests").fetchall()
        RecordingStore(tmp_path).close()
        old.execute("DELETE FROM requests")
        with pytest.raises(sqlite3.IntegrityError):
            old.execute(f"INSERT INTO requests VALUES ({', '.join('?' * len(rows[0]))})", rows[0])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE requests SET params_hash = 'x'",
        "UPDATE requests SET params_hash = upper(params_hash)",
        "UPDATE requests SET params_hash = substr(params_hash, 1, 63) || char(0)",
        "UPDATE requests SET params_hash = CAST(x'ff' || substr(params_hash, 2) AS TEXT)",
        "UPDATE requests SET params_hash = x'ff'",
        "UPDATE requests SET body_checksum = 7",
        "UPDATE responses SET checksum = '../../etc/passwd'",
        "UPDATE responses SET checksum = CAST(x'ff' AS TEXT)",
        "UPDATE responses SET original = 1.5",
    ],
)
def test_damage_in_an_older_file_is_found(tmp_path: Path, statement: str) -> None:
    fill(tmp_path)
    make_older(tmp_path, 3)
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite", isolation_level=None)) as db:
        table = statement.split()[1]
        assert db.execute(f"{statement} WHERE {table}.rowid = 1").rowcount == 1
    for _ in range(2):
        found = verify_root(tmp_path)
        assert not found.ok
        assert "Error" not in str(found)
        with RootStore(tmp_path) as store:
            [(id,)] = store.catalog.database.all("SELECT id FROM requests WHERE number = 1")
            with pytest.raises(IntegrityError, match=id):
                store.exchange(id)
        RecordingStore(tmp_path).close()


# -- hashes ------------------------------------------------------------------------------------


@given(st.none() | st.text(max_size=70) | st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_a_hash_is_read_as_it_was_written(text: str | None) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        kept = rows.packed(text)
        read = f"SELECT {rows.hex_of('v')} FROM (SELECT ? AS v)"
        assert db.execute(read, (kept,)).fetchone() == (text,)
        assert isinstance(kept, bytes) == (text is not None and rows.packed(text) != text)


@pytest.mark.parametrize("value", ["ab" * 32, b"ab" * 32, b"\xab" * 31, 7, 1.5])
def test_what_is_kept_as_no_hash_is_not_read_as_one(value: Any) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        read = f"SELECT {rows.hex_of('v')} FROM (SELECT ? AS v)"
        ((found,),) = db.execute(read, (value,))
        assert not (isinstance(found, str) and len(found) == 64)
