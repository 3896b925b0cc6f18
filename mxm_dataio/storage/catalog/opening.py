"""Opening the SQLite file: in WAL mode, of this release's schema, and only if it is ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ...errors import IntegrityError, StoreError
from ...utils import cause
from ..files import is_plain, open_plain, read_plain
from ..layout import WRITABLE
from . import migrations
from .patience import patiently
from .refusals import DAMAGED, code_of, refusal

_SMALLEST = 512
# Bytes of a text or a row: above the largest record that is written to a journal.
_LARGEST = 160 << 20
# The end of a rollback journal that names another file (sqlite.org/fileformat.html §3).
_MAGIC = bytes.fromhex("d9d505f920a163d7")
# How files of ours were left here, the latest: path → inode, size and time. They need no look.
_left: dict[Path, tuple[int, ...]] = {}
_MOST_LEFT = 64


class OldSchemaError(StoreError):
    """A database that is to be read alone is of an older release: a copy of it can be migrated."""


class DatabaseFile:
    """A file that is, or is to be, a database of ours.

    It is only ever opened by SQLite: closing any other descriptor of it would drop all of this
    process's locks (sqlite.org/howtocorrupt.html §2.2).

    Args:
        readonly: never write, not even to migrate.
    """

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly

    def open(self, seconds: float) -> sqlite3.Connection:
        """Return a connection to it.

        Args:
            seconds: for which to wait for another process.

        Raises:
            BusyError, IntegrityError, StoreError: as of a
                :class:`~mxm_dataio.storage.catalog.database.Database`.
        """
        try:
            existed = self._is_there()
            if self.readonly and not existed:
                raise StoreError(
                    f"nothing is recorded under {self.path.parent}: {self.path.name} is not "
                    "there; record first, or give the root of the recording",
                    path=self.path,
                )
            if existed and 0 < self.path.stat().st_size < _SMALLEST:
                # SQLite would take so short a file for an empty database, and write over it.
                raise refusal(self.path, sqlite3.DatabaseError("file is not a database"))
            known = existed and self._is_as_left()
            if self.readonly or (existed and not known):
                # A look that can't change a file which may not be ours.
                db = self._look(seconds)
                if self.readonly:
                    return db
                db.close()
            return self._open_writable(seconds, known=known)
        except DAMAGED as exc:
            raise refusal(self.path, exc) from exc
        except OSError as exc:
            raise StoreError(
                f"the database {self.path} can't be opened: {cause(exc, WRITABLE)}",
                path=self.path,
            ) from exc

    def leave(self) -> None:
        """Note how the file is, as a connection to it has been closed that could write."""
        state = None if self.readonly else _state(self.path)
        if state is not None:
            if len(_left) >= _MOST_LEFT:
                _left.clear()
            _left[self.path] = state

    def _is_as_left(self) -> bool:
        state = _state(self.path)
        return state is not None and state == _left.get(self.path)

    def _is_there(self) -> bool:
        """Say whether the file is there; refuse what SQLite would follow or wait for."""
        for suffix in ("-wal", "-shm", "-journal", ""):
            path = f"{self.path}{suffix}"
            plain = is_plain(path)
            if plain is False:
                raise IntegrityError(
                    f"{path} is a link or no plain file; nothing was read or changed: put the "
                    "file itself in its place, or give another root",
                    path=Path(path),
                )
            if plain and suffix == "-journal" and _names_another(Path(path)):
                raise IntegrityError(
                    f"{path} is of a transaction over several databases, which are none of ours; "
                    "nothing was read or changed: give another root",
                    path=Path(path),
                )
        return bool(plain)

    def _look(self, seconds: float) -> sqlite3.Connection:
        """Return a connection that changes nothing."""
        try:
            return self.open_readonly(seconds)
        except sqlite3.OperationalError as exc:
            if code_of(exc) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A process was killed as it made or migrated the file, before the WAL, and who comes next
        # has to undo that. Not unless the file is ours, which shows without it.
        location = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with contextlib.closing(connect(location, seconds, uri=True)) as db:
                migrations.version(db, self.path, whole=False)
        except DAMAGED:
            # Half-written, it may look like nothing. If it was empty before, nothing is undone.
            if not _was_empty(Path(f"{self.path}-journal")):
                raise
        with contextlib.closing(connect(self.path.as_posix(), seconds)) as db:
            migrations.version(db, self.path)
        return self.open_readonly(seconds)

    def _open_writable(self, seconds: float, *, known: bool) -> sqlite3.Connection:
        """Return a connection that writes.

        Args:
            known: the file was looked at, and is as it was then.
        """
        db = connect(self.path.as_posix(), seconds)
        try:
            found = int(db.execute("PRAGMA user_version").fetchone()[0]) if known else 0
            if found != migrations.SCHEMA_VERSION:
                found = migrations.version(db, self.path)
            if found == 0:
                # For its owner alone, before anything is in it; the WAL takes after it.
                self.path.chmod(0o600)
            if found != migrations.SCHEMA_VERSION:
                migrations.migrate(db, self.path)
            patiently(lambda: db.execute("PRAGMA journal_mode=WAL").fetchone(), seconds)
            # A commit survives the process; the session's end syncs for the power cut.
            db.execute("PRAGMA synchronous=NORMAL")
            # Has the WAL opened, so that its numbers are known.
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def open_readonly(self, seconds: float) -> sqlite3.Connection:
        """Return a connection that can't write."""
        location = self.path.absolute().as_uri()
        try:
            return self.checked(f"{location}?mode=ro", seconds)
        except sqlite3.OperationalError as exc:
            # A WAL database in a folder that may not be written needs this; without a WAL
            # file beside it nothing can be missed (sqlite.org/wal.html#read_only_databases).
            hot = code_of(exc) == sqlite3.SQLITE_READONLY_ROLLBACK
            if not self.readonly or hot or Path(f"{self.path}-wal").exists():
                raise
            return self.checked(f"{location}?mode=ro&immutable=1", seconds)

    def checked(self, location: str, seconds: float) -> sqlite3.Connection:
        """Return a connection by a URI, if what is there can be used as it is."""
        db = connect(location, seconds, uri=True)
        try:
            version = migrations.version(db, self.path)
            if self.readonly and version < migrations.SCHEMA_VERSION:
                # (Nothing was made yet of a version 0.)
                raise (OldSchemaError if version else StoreError)(
                    f"{self.path} is of schema version {version}, this release reads "
                    f"{migrations.SCHEMA_VERSION}: open it once for recording, which migrates it",
                    path=self.path,
                )
        except BaseException:
            db.close()
            raise
        return db


def connect(database: str, seconds: float, *, uri: bool = False) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself."""
    db = sqlite3.connect(
        database,
        uri=uri,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    # More than any text of ours; a file from elsewhere may state anything.
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
    return db


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what is another once somebody has written to a file, or put one in its place.

    ``None``, if it is in use.
    """
    if os.path.lexists(f"{path}-wal") or os.path.lexists(f"{path}-journal"):
        return None
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _was_empty(journal: Path) -> bool:
    """Say whether what a rollback journal belongs to had no pages before it.

    (sqlite.org/fileformat.html §3; a journal, unlike the database, may be opened by others.)
    """
    with contextlib.suppress(OSError):
        header = read_plain(journal, 28)
        return header.startswith(_MAGIC) and header[16:20] == bytes(4)
    return False


def _names_another(path: Path) -> bool:
    """Say whether a rollback journal names a file for SQLite to delete, as none of ours does."""
    with contextlib.suppress(OSError), os.fdopen(open_plain(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - len(_MAGIC)))
        return file.read() == _MAGIC
    return False
