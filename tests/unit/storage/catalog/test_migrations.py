"""The schema: older files are migrated, newer ones refused."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import StoreError
from mxm_dataio.storage.catalog import migrations
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.catalog.database import Database
from mxm_dataio.storage.catalog.migrations import SCHEMA_VERSION
from tests.unit.storage.catalog.test_catalog import put, session


def grown(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, *steps))
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", len(migrations.MIGRATIONS))


def test_an_older_file_is_migrated_and_keeps_its_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SQLiteCatalog(path)) as old:
        put(old, session("s1"), "r1")
    grown(monkeypatch, "CREATE TABLE t1 (a);", "ALTER TABLE t1 ADD b; CREATE INDEX i ON t1 (b)")
    with pytest.raises(StoreError, match="open it once for recording"):
        Database(path, readonly=True)
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
