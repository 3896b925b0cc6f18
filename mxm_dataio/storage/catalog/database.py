"""The SQLite file: a connection to it in WAL mode, and what is refused.

One connection a process, and none across a fork. SQLite's locks belong to the
process that took them (sqlite.org/howtocorrupt.html §2.6), but what it knows of them is in memory,
by file: a child would take its parent's lock on the database, held for as long as the parent's
connection is open, for its own, and write to a log that the parent deletes at its end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from ...concurrency import mutex
from ...errors import BusyError, IntegrityError, StoreError
from ...process import after_fork, say
from ...utils import new_id
from ..files import is_plain, open_plain, read_plain
from . import migrations, sqlite_files
from .sqlite_files import SQLiteFiles

_T = TypeVar("_T")

# What a damaged database raises. A message of SQLite's with bytes of it need not be text.
DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)

_SMALLEST = 512
# How long the program may be kept waiting for another process that holds the database's lock: in
# all, until it was found free again or the next phase of a session begins.
PATIENCE = 1.0
# While others write, one after the other, nobody holds it: it is a matter of turns, and of so many
# seconds at the most.
_TURNS = 10.0
# And a command, which says what it waits for.
_PATIENT = 60.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
# A file that was changed so long ago will show when it is changed again: times have a grain.
_SETTLED_NS = 50_000_000
_COPIES = 20
# Bytes of a text or a row: above the largest record that is written to a journal.
_LARGEST = 160 << 20
# The end of a rollback journal that names another file (sqlite.org/fileformat.html §3).
_MAGIC = bytes.fromhex("d9d505f920a163d7")


class Database:
    """One SQLite file of this store's, and this process's connection to it.

    Args:
        path: the file; made when absent, unless ``readonly``.
        readonly: never write, not even to migrate. Where the file can't be read as it is, a copy
            of it is, which is deleted at once.
        patient: wait for a minute for another process, and say so; else for :data:`PATIENCE`, and
            then the file is opened once it is used and can be.

    Attributes:
        losses: what was done to the files by others while they were open, in words.

    Raises:
        BusyError: another process holds its lock (a writable one that is not ``patient`` raises
            this as it is used).
        IntegrityError: the file is not ours, damaged, or of a newer version; it is left as it is.
        StoreError: the file can't be opened or made.
    """

    def __init__(self, path: Path, *, readonly: bool = False, patient: bool = False) -> None:
        self.path = path
        self.readonly = readonly
        self.losses: list[str] = []
        self.patient = patient
        self._patience = PATIENCE
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
        # Where what was open was written to, as another file lies at its path.
        self._kept: Path | None = None
        try:
            self._connected()
        except BusyError:
            if readonly or patient:
                raise
        _databases.add(self)

    # -- waiting -----------------------------------------------------------------------------

    def renew_patience(self) -> None:
        """Wait again for who holds the lock: another phase of the session begins."""
        self._patience = PATIENCE

    def share_patience(self, other: Database) -> None:
        """Wait no longer than what another has left, for the same program."""
        self._patience = other._patience = min(self._patience, other._patience)

    def _arm(self, db: sqlite3.Connection, seconds: float) -> None:
        """Have SQLite wait so long for a lock."""
        if seconds != self._armed:
            db.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")
            self._armed = seconds

    def _waited(self, action: Callable[[float], _T]) -> _T:
        """Return what an action returns, which may wait for a lock as long as there is patience."""
        began = time.monotonic()
        try:
            return action(self._patience)
        except (sqlite3.OperationalError, BusyError) as exc:
            if not _is_busy(exc):
                raise
            self._patience = max(0.0, self._patience - (time.monotonic() - began))
            if not self.patient:
                raise
        say(f"waiting for another process, which holds the lock of the database {self.path}")
        return action(_PATIENT)

    # -- opening -----------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        """Open the file, and return the connection."""
        try:
            db, files = self._waited(self._open)
        except BusyError:
            if not self.readonly:
                raise
            db, files = self._open_copy()
        if self._db is not None:
            # By what has interrupted this very thread amid it.
            files.close(db)
            return self._db
        self._db, self._files = db, files
        self.opened = object()
        return db

    def _open_copy(self) -> tuple[sqlite3.Connection, SQLiteFiles]:
        """Return a connection to a copy of the file, as it is now.

        Raises:
            BusyError: it is written to all the time, or open in this process, whose locks on it
                would be gone with a descriptor that is closed.
        """
        import tempfile  # rarely needed

        if sqlite_files.is_open(self.path):
            raise self._busy("another process holds its lock")
        with tempfile.TemporaryDirectory(prefix="mxm-dataio-") as folder:
            copy = Path(folder, self.path.name)
            location = f"{copy.as_uri()}?mode=ro&immutable=1"
            for _ in range(_COPIES):
                before = self._states()
                if before[0] is None or before[2] is not None:
                    break
                if time.time_ns() - max(one[2] for one in before if one) < _SETTLED_NS:
                    time.sleep(_SETTLED_NS / 1e9)
                    continue
                shutil.copyfile(self.path, copy)
                if before[1] is not None:
                    shutil.copyfile(f"{self.path}-wal", f"{copy}-wal")
                if self._states() == before:
                    with contextlib.closing(self._connect(copy.as_posix(), 0.0)) as db:
                        db.execute("PRAGMA journal_mode=DELETE").fetchone()
                    self._armed = 0.0
                    return sqlite_files.opened(
                        copy, lambda: self._checked(location, 0.0), copy=True
                    )
        raise self._busy("another process writes to it")

    def _states(self) -> list[tuple[int, int, int] | None]:
        """Return inode, size and time of change of the file, its WAL and a rollback journal."""
        found: list[tuple[int, int, int] | None] = []
        for suffix in ("", "-wal", "-journal"):
            try:
                state = os.lstat(f"{self.path}{suffix}")
                found.append((state.st_ino, state.st_size, state.st_mtime_ns))
            except FileNotFoundError:
                found.append(None)
        return found

    def _busy(self, why: str) -> BusyError:
        return BusyError(f"the database {self.path} can't be used now: {why}", path=self.path)

    def _open(self, seconds: float) -> tuple[sqlite3.Connection, SQLiteFiles]:
        self._armed = seconds
        return sqlite_files.opened(self.path, lambda: self._open_file(seconds))

    def _open_file(self, seconds: float) -> sqlite3.Connection:
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
                db = self._look(seconds)
                if self.readonly:
                    return db
                db.close()
            return self._open_writable(seconds)
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

    def _look(self, seconds: float) -> sqlite3.Connection:
        """Return a connection that changes nothing."""
        try:
            return self._open_readonly(seconds)
        except sqlite3.OperationalError as exc:
            if _code(exc) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A process was killed as it made or migrated the file, before the WAL, and who comes next
        # has to undo that. Not unless the file is ours, which shows without it.
        location = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with contextlib.closing(self._connect(location, seconds, uri=True)) as db:
                migrations.version(db, self.path, whole=False)
        except DAMAGED:
            # Half-written, it may look like nothing. If it was empty before, nothing is undone.
            if not _was_empty(Path(f"{self.path}-journal")):
                raise
        with contextlib.closing(self._connect(self.path.as_posix(), seconds)) as db:
            migrations.version(db, self.path)
        return self._open_readonly(seconds)

    def _open_writable(self, seconds: float) -> sqlite3.Connection:
        db = self._connect(self.path.as_posix(), seconds)
        try:
            if migrations.version(db, self.path) == 0:
                # For its owner alone, before anything is in it; the WAL takes after it.
                self.path.chmod(0o600)
            migrations.migrate(db, self.path)
            _patiently(lambda: db.execute("PRAGMA journal_mode=WAL").fetchone(), seconds)
            # A commit survives the process; the session's end syncs for the power cut.
            db.execute("PRAGMA synchronous=NORMAL")
            # Has the WAL opened, so that its numbers are known.
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self, database: str, seconds: float, *, uri: bool = False) -> sqlite3.Connection:
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

    def _open_readonly(self, seconds: float) -> sqlite3.Connection:
        location = self.path.absolute().as_uri()
        try:
            return self._checked(f"{location}?mode=ro", seconds)
        except sqlite3.OperationalError as exc:
            # A WAL database in a folder that may not be written needs this; without a WAL
            # file beside it nothing can be missed (sqlite.org/wal.html#read_only_databases).
            hot = _code(exc) == sqlite3.SQLITE_READONLY_ROLLBACK
            if not self.readonly or hot or Path(f"{self.path}-wal").exists():
                raise
            return self._checked(f"{location}?mode=ro&immutable=1", seconds)

    def _checked(self, location: str, seconds: float) -> sqlite3.Connection:
        db = self._connect(location, seconds, uri=True)
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
        if _is_busy(exc):
            return self._busy(f"another process holds its lock ({exc})")
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
            if self._db is not None:
                sqlite_files.abandon(self._db)
            self._writing = None
            self._pid = os.getpid()
            self._db = self._files = None
            self._patience = PATIENCE

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
            self._arm(db, self._patience)
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
                raise self._busy("this very thread is writing to it, and was interrupted")
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

    def _begin(self, db: sqlite3.Connection, wait: bool) -> None:
        def begin(seconds: float) -> None:
            # Asked for more often than SQLite's own waiting does, which many writers starve.
            self._arm(db, 0.0)
            _patiently(lambda: db.execute("BEGIN IMMEDIATE"), seconds, lambda: _written(db))

        try:
            if wait:
                self._waited(begin)
            else:
                begin(0.0)
            self._patience = PATIENCE
        finally:
            self._arm(db, self._patience)

    def probe(self) -> None:
        """Raise as :meth:`write` does if the lock was held before and still is."""
        if self._patience < PATIENCE:
            with mutex.lock, self.write(wait=False):
                pass

    def _ask(self) -> None:
        """Raise if what is open is not SQLite's any more."""
        if self._files is not None and not self._files.sound():
            raise self._busy("the program has closed its descriptors")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the database as it is now, whatever is written meanwhile.

        Raises:
            IntegrityError: the database is damaged, now or while it is used.
        """
        try:
            db, files = self._waited(
                lambda seconds: sqlite_files.opened(self.path, lambda: self._open_readonly(seconds))
            )
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

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what reading work returns; raises as :meth:`use` does."""
        # As use() does; its generator would take half the time of a small look-up.
        self._adopt()
        with mutex.lock:
            try:
                db = self._current()
                self._arm(db, self._patience)
                try:
                    return work(db)
                except sqlite3.OperationalError as exc:
                    if not (self.readonly and _is_busy(exc)):
                        raise
                # One that has it for itself may have it for long.
                self._let_go()
                self._patience = 0.0
                return work(self._connected())
            except DAMAGED as exc:
                raise self.refusal(exc) from exc

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raises as :meth:`use` does."""
        return self.read(lambda db: db.execute(sql, values).fetchall())

    # -- where it lies -----------------------------------------------------------------------

    def _in_place(self) -> sqlite3.Connection:
        """Return the connection, once what is open is what lies at its path.

        Raises:
            BusyError: it was moved away, or another file lies there.
        """
        files, db = self._files, self._db
        assert files is not None
        assert db is not None
        displaced = files.displaced(self.path)
        if not displaced:
            return db
        # What is in a WAL that nobody else finds.
        with contextlib.suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        if "" in displaced:
            return self._displaced(db, files)
        names = ", ".join(f"{self.path.name}{suffix}" for suffix in displaced)
        self._lost(f"{names} was deleted or moved while it was open")
        self._let_go()
        return self._connected()

    def _displaced(self, db: sqlite3.Connection, files: SQLiteFiles) -> sqlite3.Connection:
        number = files.number()
        deleted = number is None or not os.fstat(number).st_nlink
        there = os.path.lexists(self.path)
        if not deleted:
            where = ""
            with contextlib.suppress(OSError):
                where = f" to {Path(f'/proc/self/fd/{number}').readlink()}"
            self._lost(f"it was moved away{where} while it was open: put it back")
            raise self._busy("it was moved away")
        if self._kept is not None:
            raise self._busy("another file lies in its place")
        kept = self.path.with_name(f"{self.path.stem}-{new_id()}{self.path.suffix}")
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.closing(sqlite3.connect(kept)) as copy:
                kept.chmod(0o600)
                db.backup(copy)
            if not there:
                os.link(kept, self.path)
                kept.unlink()
        except (OSError, sqlite3.Error) as exc:
            self._lost(f"it was deleted while it was open, and can't be written anew ({exc})")
            raise self._busy("it was deleted") from exc
        if there:
            self._kept = kept
            self._lost(
                f"it was deleted while it was open, and another lies there; what it held is in "
                f"{kept.name} beside it"
            )
            raise self._busy("another file lies in its place")
        self._lost("it was deleted while it was open; what it held was written anew")
        self._let_go()
        return self._connected()

    def _lost(self, what: str) -> None:
        text = f"the database {self.path}: {what}"
        if text not in self.losses:
            self.losses.append(text)


def _code(exc: sqlite3.Error) -> int | None:
    """Return SQLite's code of an error; what the ``sqlite3`` module raises itself has none."""
    return getattr(exc, "sqlite_errorcode", None)


def _is_busy(exc: Exception) -> bool:
    """Say whether another has what an action needs."""
    if isinstance(exc, sqlite3.Error):
        code = _code(exc)
        return code is not None and code & 0xFF in _BUSY
    return isinstance(exc, BusyError)


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


def _written(db: sqlite3.Connection) -> int | None:
    """Return what changes as others write; ``None`` if it can't be read."""
    try:
        found = db.execute("PRAGMA data_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return int(found[0])


def _patiently(
    action: Callable[[], object], seconds: float, written: Callable[[], int | None] = lambda: None
) -> None:
    """Repeat what SQLite refuses at once while another process holds a lock.

    Args:
        seconds: how long, since another has written.
        written: what changes then.
    """
    began = time.monotonic()
    end, last, pause = began + seconds, None, 0.0005
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as exc:
            now = time.monotonic()
            if not seconds or not _is_busy(exc):
                raise
            if (version := written()) != last and version is not None:
                end = min(now + seconds, began + max(_TURNS, seconds)) if last else end
                last = version
            if now + pause > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
