"""The SQLite file: a connection to it in WAL mode, and what is refused.

One connection a process, and none across a fork. SQLite's locks belong to the
process that took them (sqlite.org/howtocorrupt.html §2.6), but what it knows of them is in memory,
by file: a child would take its parent's lock on the database, held for as long as the parent's
connection is open, for its own, and write to a log that the parent deletes at its end.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from ...concurrency import mutex
from ...errors import BusyError, StoreError
from ...utils import after_fork
from . import sqlite_files
from .displacement import Displacement
from .opening import DatabaseFile, OldSchemaError
from .patience import Patience, patiently, written
from .refusals import DAMAGED, busy, is_busy, refusal
from .sqlite_files import SQLiteFiles

_T = TypeVar("_T")


class Database:
    """One SQLite file of this store's, and this process's connection to it.

    Args:
        path: the file; made when absent, unless ``readonly``.
        readonly: never write, not even to migrate. Where the file can't be read as it is, a copy
            of it is, which is deleted at once.
        patient: wait for a minute for another process, and say so; else for a second, and
            then the file is opened once it is used and can be.
        patience: another's, for the same program.

    Attributes:
        losses: what was done to the files by others while they were open.

    Raises:
        BusyError: another process holds its lock (a writable one that is not ``patient`` raises
            this as it is used).
        IntegrityError: the file is not ours, damaged, or of a newer version; it is left as it is.
        StoreError: the file can't be opened or made.
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        patient: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.patience = patience or Patience(path, patient=patient)
        self.path = path
        self.readonly = readonly
        self._file = DatabaseFile(path, readonly=readonly)
        self._displacement = Displacement(path)
        self.losses = self._displacement.losses
        self._armed = -1.0
        self._pid = os.getpid()
        self._closed = False
        # Who writes, unless it was broken off.
        self._writing: FrameType | None = None
        # Another for each connection: what one has counted says nothing of the next.
        self.opened = object()
        # None: let go for a fork, or not to be had, and opened again when it is used.
        self._db: sqlite3.Connection | None = None
        self._files: SQLiteFiles | None = None
        try:
            self._connected()
        except BusyError:
            if readonly or patient:
                raise
        _databases.add(self)

    def _connected(self) -> sqlite3.Connection:
        """Open the file, and return the connection."""
        db, files = self._opened(self._file.open)
        if self._db is not None:
            # By what has interrupted this very thread amid it.
            files.close(db)
            return self._db
        self._db, self._files = db, files
        self._armed = -1.0
        self.opened = object()
        return db

    def _opened(
        self, how: Callable[[float], sqlite3.Connection]
    ) -> tuple[sqlite3.Connection, SQLiteFiles]:
        """Return a connection that waits for others as long as there is patience.

        Or one to a copy, where the file is to be read alone, and can't be as it is.
        """
        try:
            return self.patience.waited(
                lambda seconds: sqlite_files.opened(self.path, lambda: how(seconds))
            )
        except (BusyError, OldSchemaError):
            if not self.readonly:
                raise
        from .copying import open_copy  # rarely needed

        return open_copy(self._file)

    def _arm(self, db: sqlite3.Connection, seconds: float) -> None:
        """Have SQLite wait so long for a lock."""
        if seconds != self._armed:
            db.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")
            self._armed = seconds

    def refusal(self, exc: Exception) -> StoreError:
        """Return the error of ours for one that SQLite raised."""
        return refusal(self.path, exc)

    def _adopt(self) -> None:
        """Begin anew in a forked child."""
        if self._pid != os.getpid():
            # The parent's connection is neither used nor closed here; see the module's docstring.
            if self._db is not None:
                sqlite_files.abandon(self._db)
            self._writing = None
            self._pid = os.getpid()
            self._db = self._files = None
            self.patience.renew()

    def _current(self) -> sqlite3.Connection:
        """Return the connection, under the lock."""
        if self._closed:
            raise StoreError(f"the database {self.path} was closed", path=self.path)
        db, files = self._db, self._files
        if db is None or files is None:
            return self._connected()
        if files.sound():
            return db
        self._let_go()
        return self._connected()

    @contextlib.contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, for this thread alone: whoever asks has :data:`mutex.lock`.

        (Not this: what a signal's handler raises may leave it half-way until it is collected.)

        Raises:
            BusyError: it can't be used now.
            IntegrityError: the database is damaged.
            StoreError: it refused, or was closed.
        """
        self._adopt()
        try:
            db = self._current()
            self._arm(db, self.patience.left)
            yield db
        except DAMAGED as exc:
            raise self.refusal(exc) from exc

    @contextlib.contextmanager
    def write(self, *, wait: bool = True, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield the connection amid a transaction.

        Args:
            wait: for another process that writes, as long as there is patience.
            durable: what is committed survives a power cut, and all that was before: it is in the
                same WAL, or a checkpoint has synced it into the database.

        Raises:
            BusyError, IntegrityError, StoreError: as :meth:`use`; nothing was written.
        """
        with self.use() as db:
            if self._writing is not None and _runs(self._writing):
                raise busy(self.path, "this very thread is writing to it, and was interrupted")
            # Who enters this: neither this nor contextlib.
            writer = self._writing = sys._getframe(2)
            try:
                db = self._in_place()
                if durable:
                    db.execute("PRAGMA synchronous=FULL")
                if db.in_transaction:
                    # Of one that a signal's handler broke off as it was about to be undone.
                    db.execute("ROLLBACK")
                try:
                    self._begin(db, wait)
                    yield db
                    self._ask()
                    db.execute("COMMIT")
                except BaseException:
                    if self._files is not None and self._files.sound() and db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            finally:
                if self._writing is writer:
                    self._writing = None
                if durable and self._files is not None and self._files.sound():
                    db.execute("PRAGMA synchronous=NORMAL")

    def _in_place(self) -> sqlite3.Connection:
        """Return the connection, once what is open is what lies at its path."""
        db, files = self._db, self._files
        assert db is not None
        assert files is not None
        if self._displacement.is_in_place(db, files):
            return db
        self._let_go()
        return self._connected()

    def _begin(self, db: sqlite3.Connection, wait: bool) -> None:
        def begin(seconds: float) -> None:
            # Asked for more often than SQLite's own waiting does, which many writers starve.
            self._arm(db, 0.0)
            patiently(lambda: db.execute("BEGIN IMMEDIATE"), seconds, lambda: written(db))

        try:
            if wait:
                self.patience.waited(begin)
            else:
                begin(0.0)
            self.patience.renew()
        finally:
            self._arm(db, self.patience.left)

    def probe(self) -> None:
        """Raise as :meth:`write` does if the lock was held before and still is."""
        if self.patience.tried():
            with mutex.lock, self.write(wait=False):
                pass

    def _ask(self) -> None:
        """Raise if what is open is not SQLite's any more."""
        if self._files is not None and not self._files.sound():
            raise busy(self.path, "the program has closed its descriptors")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the database as it is now, whatever is written meanwhile.

        Raises:
            IntegrityError: the database is damaged, now or while it is used.
        """
        try:
            db, files = self._opened(self._file.open_readonly)
            try:
                db.execute("BEGIN")
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                yield db
            finally:
                files.close(db)
        except DAMAGED as exc:
            raise self.refusal(exc) from exc

    def close(self) -> None:
        """Close the connection, if it is this process's own."""
        if self._pid == os.getpid():
            with mutex.lock:
                self._closed = True
                self._let_go()

    def __del__(self) -> None:
        # What SQLite has open is to be known as closed.
        with contextlib.suppress(Exception):
            if self._pid == os.getpid():
                self._let_go()

    def _let_go(self) -> None:
        db, files, self._db, self._files = self._db, self._files, None, None
        if db is not None and files is not None:
            files.close(db)
            self._file.leave()

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what reading work returns; raises as :meth:`use` does."""
        # As use() does; its generator would take half the time of a small look-up.
        self._adopt()
        with mutex.lock:
            try:
                db = self._current()
                self._arm(db, self.patience.left)
                try:
                    return work(db)
                except sqlite3.OperationalError as exc:
                    if not (self.readonly and is_busy(exc)):
                        raise
                # One that has it for itself may have it for long.
                self._let_go()
                self.patience.left = 0.0
                return work(self._connected())
            except DAMAGED as exc:
                raise self.refusal(exc) from exc

    def version(self) -> object:
        """Return what is equal to an earlier one only if nothing was written in between.

        Raises:
            BusyError, IntegrityError, StoreError: as :meth:`use`.
        """
        # Asked before each answer of a replay: by read() alone it would take half as long again.
        self._adopt()
        with mutex.lock:
            try:
                return self._version_of(self._current())
            except DAMAGED:
                pass
        return self.read(self._version_of)

    def _version_of(self, db: sqlite3.Connection) -> object:
        # The one counts other connections' commits, the other what this one changes.
        number = db.execute("PRAGMA data_version").fetchone()[0]
        return self.opened, number, db.total_changes

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raises as :meth:`use` does."""
        return self.read(lambda db: db.execute(sql, values).fetchall())


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_forking = threading.local()
_FORK_SECONDS = 5.0


def _before_fork() -> None:
    """Let go of every connection, once what is under way on it in other threads is over."""
    lock = mutex.lock
    _forking.held = lock if lock.acquire(timeout=_FORK_SECONDS) else None
    if _forking.held is None:
        return
    for database in [one for one in list(_databases) if one._pid == os.getpid()]:
        # Forked by a signal's handler amid a transaction of this very thread, it has to stay.
        if database._db is not None and not database._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                database._let_go()


def _after_fork() -> None:
    if _forking.held is not None:
        _forking.held.release()
        _forking.held = None


after_fork(_after_fork, before=_before_fork, after_in_parent=_after_fork)


def _runs(frame: FrameType) -> bool:
    """Say whether what runs here was called by a frame, or has interrupted it."""
    here: FrameType | None = sys._getframe(1)
    while here is not None and here is not frame:
        here = here.f_back
    return here is not None
