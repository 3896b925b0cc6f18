"""Reading a database that another process has for itself, or that an older release has written.

By a copy, which is migrated and deleted at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from ...process import wall_time_ns
from . import sqlite_files
from .migrations import FIRST_WITH_ID, migrate
from .opening import DatabaseFile, connect
from .refusals import busy
from .sqlite_files import SQLiteFiles

# A file that was changed so long ago will show when it is changed again: times have a grain.
_SETTLED_NS = 50_000_000
_COPIES = 20


def open_copy(file: DatabaseFile) -> tuple[sqlite3.Connection, SQLiteFiles]:
    """Return a connection to a copy of the file as it is now, of this release's schema.

    Raises:
        BusyError: it is written to all the time, or open in this process, whose locks on it
            would be gone with a descriptor that is closed.
    """
    path = file.path
    if sqlite_files.is_open(path):
        raise busy(path, "another process holds its lock")
    with tempfile.TemporaryDirectory(prefix="mxm-dataio-") as folder:
        copy = Path(folder, path.name)
        location = f"{copy.as_uri()}?mode=ro&immutable=1"
        for _ in range(_COPIES):
            before = _states(path)
            if before[0] is None or before[2] is not None:
                break
            if wall_time_ns() - max(one[2] for one in before if one) < _SETTLED_NS:
                time.sleep(_SETTLED_NS / 1e9)
                continue
            shutil.copyfile(path, copy)
            if before[1] is not None:
                shutil.copyfile(f"{path}-wal", f"{copy}-wal")
            if _states(path) == before:
                with contextlib.closing(connect(copy.as_posix(), 0.0)) as db:
                    db.execute("PRAGMA journal_mode=DELETE").fetchone()
                    if migrate(db, path) < FIRST_WITH_ID:
                        # Another copy would have another.
                        db.execute("UPDATE store SET id = ''")
                return sqlite_files.opened(copy, lambda: file.checked(location, 0.0), copy=True)
    raise busy(path, "another process writes to it")


def _states(path: Path) -> list[tuple[int, int, int] | None]:
    """Return inode, size and time of change of the file, its WAL and a rollback journal."""
    found: list[tuple[int, int, int] | None] = []
    for suffix in ("", "-wal", "-journal"):
        try:
            state = os.lstat(f"{path}{suffix}")
            found.append((state.st_ino, state.st_size, state.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return found
