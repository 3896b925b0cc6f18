"""What SQLite raises, as errors of ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...errors import BusyError, IntegrityError, StoreError
from ...utils import FULL, NO_LOCKS

# What a damaged database raises. A message of SQLite's with bytes of it need not be text.
DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

_FULL = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
)  # fmt: skip
_NO_LOCKS = (
    sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK, sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
)  # fmt: skip


def refusal(path: Path, exc: Exception) -> StoreError:
    """Return the error of ours for one that SQLite raised of a database."""
    if "not a database" in str(exc):
        return IntegrityError(
            f"{path} is damaged or no SQLite database; it was left as it is: move it away "
            "or give another root",
            path=path,
        )
    if is_busy(exc):
        return busy(path, f"another process holds its lock ({exc})")
    text = "decode to UTF-8" in str(exc)
    if isinstance(exc, sqlite3.Error) and type(exc) is not sqlite3.DatabaseError and not text:
        # Its subclasses are of use and circumstance; the class itself is for corruption.
        code = code_of(exc)
        remedy = ""
        if code in _FULL:
            remedy = f"; {'' if code == sqlite3.SQLITE_FULL else 'its disk may be full: '}{FULL}"
        elif code in _NO_LOCKS:
            remedy = f": its file system has no file locks; {NO_LOCKS}"
        return StoreError(f"the database {path}: {exc}{remedy}", path=path)
    return IntegrityError(
        f"the database {path} is damaged ({exc}); it was left as it is: restore it from "
        "a copy or give another root",
        path=path,
    )


def busy(path: Path, why: str) -> BusyError:
    """Return the error for a database that another has."""
    return BusyError(f"the database {path} can't be used now: {why}", path=path)


def is_busy(exc: Exception) -> bool:
    """Say whether another has what an action needs."""
    if isinstance(exc, sqlite3.Error):
        code = code_of(exc)
        return code is not None and code & 0xFF in _BUSY
    return isinstance(exc, BusyError)


def code_of(exc: sqlite3.Error) -> int | None:
    """Return SQLite's code of an error; what the ``sqlite3`` module raises itself has none."""
    return getattr(exc, "sqlite_errorcode", None)
