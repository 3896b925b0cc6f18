"""Stores as older releases wrote them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from mxm_dataio.storage.catalog.migrations import APPLICATION_ID, MIGRATIONS, empty

# From which on hashes are kept as bytes.
_PACKED = 4
_HASHES = {"params_hash", "base_hash", "body_checksum", "checksum", "original"}


def make_older(root: Path, number: int) -> bytes:
    """Give a store, which nobody has open, its rows in an older version; return the database."""
    path = root / "dataio.sqlite"
    older = root / "older"
    with contextlib.closing(sqlite3.connect(older, isolation_level=None)) as db:
        with empty(MIGRATIONS[:number]) as made:
            made.backup(db)
        db.execute("ATTACH ? AS newer", (str(path),))
        tables = db.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            names = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
            read = [
                f"CASE WHEN {name} NOT NULL THEN lower(hex({name})) END"
                if name in _HASHES and number < _PACKED
                else name
                for name in names
            ]
            db.execute(f"DELETE FROM main.{table}")
            db.execute(
                f"INSERT INTO main.{table} ({', '.join(names)}) "
                f"SELECT {', '.join(read)} FROM newer.{table}"
            )
        db.execute("DETACH newer")
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={number}")
        db.execute("PRAGMA journal_mode=WAL")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    older.replace(path)
    return path.read_bytes()
