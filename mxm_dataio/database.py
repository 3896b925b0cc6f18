"""The SQLite file: a connection to it in WAL mode, and what is refused.

One connection a process, under a lock, and none across a fork. SQLite's locks belong to the
process that took them (sqlite.org/howtocorrupt.html §2.6), but what it knows of them is in memory,
by file: a child would take its parent's lock on the database, held for as long as the parent's
connection is open, for its own, and write to a log that the parent deletes at its end.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import migrations
from .errors import IntegrityError, StoreError
from .files import is_plain, open_plain, read_plain

# What a damaged database raises. A message of SQLite's with bytes of it need not be text.
DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)

_SMALLEST = 512
_BUSY_SECONDS = 60.0
# Bytes of a text or a row: above the largest record that is written to a journal.
_LARGEST = 160 << 20
# The end of a rollback journal that names another file (sqlite.org/fileformat.html §3).
_MAGIC = bytes.fromhex("d9d505f920a163d7")


class Database:
    """One SQLite file of this store's, and this process's connection to it.

    Args:
        path: the file; made when absent, unless ``readonly``.
        readonly: never write, not even to migrate.

    Raises:
        IntegrityError: the file is not ours, damaged, or of a newer version; it is left as it is.
        StoreError: the file can't be opened or made.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.readonly = readonly
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed = False
        # Another for each connection: what one has counted says nothing of the next.
        self.opened = object()
        # None: let go for a fork, and opened again when it is used.
        self._db: sqlite3.Connection | None = self._open()
        _databases.add(self)

    # -- opening -----------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        # The file is only ever opened by SQLite: closing any other descriptor of it would drop
        # all of this process's locks (sqlite.org/howtocorrupt.html §2.2).
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
                raise self.refusal(sqlite3.DatabaseError("file is not a database"))
            if existed or self.readonly:
                # A look that can't change a file which may not be ours.
                db = self._look()
                if self.readonly:
                    return db
                db.close()
            return self._open_writable()
        except DAMAGED as exc:
            raise self.refusal(exc) from exc
        except OSError as exc:
            raise StoreError(
                f"the database {self.path} can't be opened: {exc.strerror}; make the folder "
                "writable or give another root",
                path=self.path,
            ) from exc

    def _is_there(self) -> bool:
        """Say whether the file is there; refuse what SQLite would follow or wait for."""
        for suffix in ("-wal", "-shm", "-journal", ""):
            path = Path(f"{self.path}{suffix}")
            plain = is_plain(path)
            if plain is False:
                raise IntegrityError(
                    f"{path} is a link or no plain file; nothing was read or changed: put the "
                    "file itself in its place, or give another root",
                    path=path,
                )
            if plain and suffix == "-journal" and _names_another(path):
                raise IntegrityError(
                    f"{path} is of a transaction over several databases, which are none of ours; "
                    "nothing was read or changed: give another root",
                    path=path,
                )
        return bool(plain)

    def _look(self) -> sqlite3.Connection:
        """Return a connection that changes nothing."""
        try:
            return self._open_readonly()
        except sqlite3.OperationalError as exc:
            if _code(exc) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A process was killed as it made or migrated the file, before the WAL, and who comes next
        # has to undo that. Not unless the file is ours, which shows without it.
        location = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with contextlib.closing(self._connect(location, uri=True)) as db:
                migrations.version(db, self.path, whole=False)
        except DAMAGED:
            # Half-written, it may look like nothing. If it was empty before, nothing is undone.
            if not _was_empty(Path(f"{self.path}-journal")):
                raise
        with contextlib.closing(self._connect(self.path.as_posix())) as db:
            migrations.version(db, self.path)
        return self._open_readonly()

    def _open_writable(self) -> sqlite3.Connection:
        db = self._connect(self.path.as_posix())
        try:
            if migrations.version(db, self.path) == 0:
                # For its owner alone, before anything is in it; the WAL takes after it.
                self.path.chmod(0o600)
            migrations.migrate(db, self.path)
            _patiently(lambda: db.execute("PRAGMA journal_mode=WAL").fetchone())
            # A commit survives the process; the session's end syncs for the power cut.
            db.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self, database: str, *, uri: bool = False) -> sqlite3.Connection:
        db = sqlite3.connect(
            database,
            uri=uri,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        # More than any text of ours; a file from elsewhere may state anything.
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
        return db

    def _open_readonly(self) -> sqlite3.Connection:
        location = self.path.absolute().as_uri()
        try:
            return self._checked(f"{location}?mode=ro")
        except sqlite3.OperationalError as exc:
            # A WAL database in a folder that may not be written needs this; without a WAL
            # file beside it nothing can be missed (sqlite.org/wal.html#read_only_databases).
            hot = _code(exc) == sqlite3.SQLITE_READONLY_ROLLBACK
            if not self.readonly or hot or Path(f"{self.path}-wal").exists():
                raise
            return self._checked(f"{location}?mode=ro&immutable=1")

    def _checked(self, location: str) -> sqlite3.Connection:
        db = self._connect(location, uri=True)
        try:
            version = migrations.version(db, self.path)
            if self.readonly and version < migrations.SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} is of schema version {version}, this release reads "
                    f"{migrations.SCHEMA_VERSION}: open it once for recording, which migrates it",
                    path=self.path,
                )
        except BaseException:
            db.close()
            raise
        return db

    # -- using -------------------------------------------------------------------------------

    def refusal(self, exc: Exception) -> StoreError:
        """Return the error of ours for one that SQLite raised."""
        if "not a database" in str(exc):
            return IntegrityError(
                f"{self.path} is damaged or no SQLite database; it was left as it is: move it away "
                "or give another root",
                path=self.path,
            )
        text = "decode to UTF-8" in str(exc)
        if isinstance(exc, sqlite3.Error) and type(exc) is not sqlite3.DatabaseError and not text:
            # Its subclasses are of use and circumstance; the class itself is for corruption.
            return StoreError(f"the database {self.path}: {exc}", path=self.path)
        return IntegrityError(
            f"the database {self.path} is damaged ({exc}); it was left as it is: restore it from "
            "a copy or give another root",
            path=self.path,
        )

    def _adopt(self) -> None:
        """Begin anew in a forked child."""
        if self._pid != os.getpid():
            # The parent's connection is neither used nor closed here; see the module's docstring.
            _ORPHANS.append(self._db)
            self._lock = threading.RLock()
            self._pid = os.getpid()
            self._db = None

    def _current(self) -> sqlite3.Connection:
        """Return the connection, under the lock."""
        if self._closed:
            raise StoreError(f"the database {self.path} was closed", path=self.path)
        if self._db is None:
            self._db = self._open()
            self.opened = object()
        return self._db

    @contextlib.contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, for this thread alone.

        Raises:
            IntegrityError: the database is damaged.
            StoreError: it refused, or was closed.
        """
        self._adopt()
        with self._lock:
            db = self._current()
            try:
                yield db
            except DAMAGED as exc:
                raise self.refusal(exc) from exc

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the database as it is now, whatever is written meanwhile.

        Raises:
            IntegrityError: the database is damaged, now or while it is used.
        """
        try:
            with contextlib.closing(self._open_readonly()) as db:
                db.execute("BEGIN")
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                yield db
        except DAMAGED as exc:
            raise self.refusal(exc) from exc

    def close(self) -> None:
        """Close the connection, if it is this process's own."""
        if self._pid == os.getpid():
            with self._lock:
                self._closed = True
                self._let_go()

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raises as :meth:`use` does."""
        # As use() does; its generator would take half the time of a small look-up.
        self._adopt()
        with self._lock:
            db = self._current()
            try:
                return db.execute(sql, values).fetchall()
            except DAMAGED as exc:
                raise self.refusal(exc) from exc


def _code(exc: sqlite3.Error) -> int | None:
    """Return SQLite's code of an error; what the ``sqlite3`` module raises itself has none."""
    return getattr(exc, "sqlite_errorcode", None)


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


# Connections of a parent process that could not be let go: kept, so that no finalizer closes them
# in the child.
_ORPHANS: list[sqlite3.Connection | None] = []

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_forking = threading.local()
_FORK_SECONDS = 5.0


def _before_fork() -> None:
    """Let go of every connection, once what is under way on it in other threads is over."""
    found = [one for one in list(_databases) if one._pid == os.getpid()]
    _forking.held = [one for one in found if one._lock.acquire(timeout=_FORK_SECONDS)]
    for database in _forking.held:
        # Forked by a signal's handler amid a transaction of this very thread, it has to stay.
        if database._db is not None and not database._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                database._let_go()


def _after_fork() -> None:
    for database in _forking.held:
        database._lock.release()
    _forking.held = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


def _patiently(action: Any) -> None:
    """Repeat what SQLite refuses at once when another process is opening the same file."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def synced(db: sqlite3.Connection, durable: bool) -> Iterator[None]:
    """Have what is committed within survive a power cut, if asked for.

    Such a commit's sync takes every earlier one with it: they are in the same WAL, or a checkpoint
    has synced them into the database.
    """
    if durable:
        db.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        if durable:
            db.execute("PRAGMA synchronous=NORMAL")


@contextlib.contextmanager
def writing(db: sqlite3.Connection, *, wait: bool = True) -> Iterator[None]:
    """Write within one transaction.

    Args:
        wait: for another process that writes, not raise at once.
    """
    try:
        if not wait:
            db.execute("PRAGMA busy_timeout=0")
        try:
            db.execute("BEGIN IMMEDIATE")
        finally:
            if not wait:
                db.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000:.0f}")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
