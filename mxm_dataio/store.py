"""The store: journal, catalog and payloads together, one write path, the only door to disk."""

from __future__ import annotations

import contextlib
import errno
import math
import operator
import os
import re
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .concurrency import mutex
from .concurrency.reentry import Suppress, is_interrupt
from .errors import BusyError, ConfigError, DataIOWarning, IntegrityError, StoreError
from .models import Compression, Durability, Exchange, Request, Response, Session, Status, Unseen
from .storage import locks, unseen
from .storage.backend import Amend
from .storage.catalog import rows
from .storage.catalog.catalog import SQLiteCatalog
from .storage.catalog.lookups import Following
from .storage.descriptors import Descriptor, LostError
from .storage.entries import Entry, SessionEntry
from .storage.files import is_id, is_link, named, read_plain, sync_path
from .storage.journal import Journal, Left, framed, left
from .storage.payloads.folder import PayloadFolder
from .storage.payloads.spool import Spool
from .utils import after_fork, utc_now

DATABASE = "dataio.sqlite"
RESPONSES = "responses"
JOURNAL = "journal"
RUNNING = "running"

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")

# A payload above this goes to its file at once: written twice it would cost more than it saves.
_HELD = 65_536
# What waits in one journal, in calls and bytes, before the next is begun and it is moved.
_FULL = 2048
_FULL_SIZE = 4 << 20
# What is held in memory too, in bytes and in files, of full ones that can't be moved.
_MOST_SIZE = 16 << 20
_MOST_FULL = 64
# A full journal is moved in steps, as further calls come, so that none of them waits for all.
_STEP_EVERY = 16
# Rounds of one that closes descriptors while an entry is to be written.
_TRIES = 5
# Bytes of what a session jots down, at the most.
_JOTTED = 16 << 20
_STEP = 64


class Store:
    """One root folder.

    Args:
        root: made when absent, for its owner alone, unless ``readonly``.
        readonly: never write; what replay uses. (What a process that was killed has left in a
            journal is moved to its place first, where that may be written.)
        delay: seconds for which a recorded call may wait before it is moved to where other
            processes find it, once further calls come; ``None``: until there are many.
        compression: of the payloads that are put from now on.
        durability: what a call survives once it is recorded.
        patient: wait for a minute for another process that holds the database's lock, and say so
            on standard error; else for a second in all, as the store is opened and as a session
            ends, and then record on in the journal.

    Raises:
        BusyError: the database's lock is held by another process, and it is to be read alone or
            was waited for patiently.
        ConfigError: the library for the compression is not installed; nothing was made.
        IntegrityError: the database is foreign, damaged or newer; nothing was changed.
        StoreError: the root can't be read or made.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        readonly: bool = False,
        delay: float | None = None,
        compression: Compression = Compression.NONE,
        durability: Durability = Durability.PROCESS,
        patient: bool = False,
    ) -> None:
        self.root = Path(root)
        self.readonly = readonly
        self.payloads = PayloadFolder(
            self.root / RESPONSES, compression, temporary=self.root / RUNNING
        )
        self._delay = delay
        self._due = 0.0
        self._power = durability is Durability.POWER
        self._patient = patient
        # Set by the thread that holds the lock, while what that guards is in between: a signal's
        # handler or a finalizer that makes a call in that very thread has it wait.
        self._inside = False
        self._queued: deque[tuple[Entry | SessionEntry, bytes]] = deque()
        # Held by the thread that syncs, for itself and those that wait meanwhile.
        self._syncing = threading.RLock()
        self._journal: Journal | None = None
        # Full ones, the oldest first, and how many of its entries are moved.
        self._full: list[Journal] = []
        self._moved = 0
        # Those that were left to whoever opens the store next, this process too: with their calls.
        self._parked: dict[Path, int] = {}
        # Calls recorded by this process, by session.
        self._calls: dict[str, int] = {}
        # Of the sessions that this process has begun, the locked files that say so.
        self._running: dict[str, Descriptor] = {}
        # Why journals of processes that are gone could not be taken in.
        self._behind: BusyError | None = None
        self._losses: list[str] = []
        self.amend: Amend | None = None
        # Payload files whose calls were changed on their way, with their sizes.
        self._outdated: dict[str, int] = {}
        self.bare: list[Path] = []
        self._refuse_links()
        if not readonly:
            try:
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.payloads.create()
            except OSError as exc:
                raise StoreError(
                    f"the root {self.root} can't be made: {exc.strerror}; make the folder "
                    "writable or give another root",
                    path=self.root,
                ) from exc
        self._folders = {path: _file_of(path) for path in (self.root, self.root / RESPONSES)}
        self._catalog = SQLiteCatalog(self.root / DATABASE, readonly=readonly, patient=patient)
        _stores.add(self)
        try:
            self._adopt_journals()
        except BaseException:
            self._catalog.close()
            raise

    def _refuse_links(self) -> None:
        """Raise if a folder of the root is a link: what is written and deleted in it is elsewhere.

        The root itself may be a link; its owner says what that is.
        """
        for name in (RESPONSES, JOURNAL, RUNNING):
            path = self.root / name
            if is_link(path):
                raise IntegrityError(
                    f"{path} is a link; nothing was read or changed: put the folder itself in its "
                    "place, or give another root",
                    path=path,
                )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Move what waits to its place, and close the database.

        Raises:
            StoreError: it could not be moved; it waits in the journal for the next opening.
        """
        try:
            self.move()
        finally:
            self._alone(self._let_go)
            self._catalog.close()

    def _let_go(self) -> None:
        for journal in list(self._waiting()):
            with contextlib.suppress(OSError):
                journal = self._sound(journal)
            journal.close()
        if self._journal is not None and not self._journal.entries:
            self._journal.remove()
        self._full, self._journal = [], None
        for session_id in list(self._running):
            self._stop(session_id)

    # -- writing -----------------------------------------------------------------------------

    def spool(self, limit: int) -> Spool:
        """Return an empty spool whose temporary file, if it needs one, lies in this store."""
        return Spool(self.payloads.temporary, limit)

    def take(self, spool: Spool, checksum: str, held: dict[str, bytes]) -> None:
        """Take a call's payload: a large one into its file, a small one for the journal.

        Args:
            checksum: the payload's.
            held: checksum → content of the call's small ones; added to.

        Raises:
            OSError: the disk refused; the spool keeps its bytes.
        """
        if spool.size > _HELD or spool.file is not None:
            self.payloads.put(spool)
        else:
            held[checksum] = spool.content()

    def append(self, entry: Entry) -> None:
        """Record a call whose payloads were taken.

        When this returns, the call survives the end of the process, however it ends, or a power
        cut, if that is the store's ``durability``.

        Raises:
            OSError: the disk refused.
        """
        appended = self._append(entry)
        if self._power and appended is not None:
            self._sync(*appended)

    def _append(self, entry: Entry | SessionEntry) -> tuple[Journal, int] | None:
        """Write an entry; return the journal that has it, and where it ends there.

        ``None``: a call that this very thread was interrupted amid recording comes first; it will
        write this one.
        """
        # Not under the lock: others that wait for it cost each other more than it takes.
        own = entry, framed(entry)
        place = None
        with mutex.lock:
            self._queued.append(own)
            # Again for what has come between the last look and the end of it.
            while self._queued and not self._inside:
                try:
                    self._inside = True
                    place = self._write_queued(own) or place
                finally:
                    self._inside = False
        return place

    def _write_queued(
        self, own: tuple[Entry | SessionEntry, bytes] | None = None
    ) -> tuple[Journal, int] | None:
        """Write what waits; signals' handlers and finalizers have recorded it meanwhile, but one.

        An entry leaves the queue behind its writing: a handler that raises has it written twice at
        the most, which counts once as it is moved.

        Args:
            own: of which the place is returned, and an error is raised.
        """
        place = None
        while self._queued:
            one = self._queued[0]
            try:
                journal = self._write(*one)
                if one is own:
                    place = journal, journal.size
            except OSError as exc:
                if is_interrupt(exc):
                    raise
                self._written_off(one)
                if one is own:
                    raise
                self._lost(f"a call that interrupted another was not recorded: {exc}")
            else:
                self._written_off(one)
        return place

    def _written_off(self, one: tuple[Entry | SessionEntry, bytes]) -> None:
        if self._queued and self._queued[0] is one:
            self._queued.popleft()

    def _write(self, entry: Entry | SessionEntry, data: bytes) -> Journal:
        journal = self._journal
        if journal is None:
            journal = self._journal = self._new_journal()
        if not journal.entries:
            self._due = time.monotonic() + (self._delay or 0.0)
        try:
            for tries in range(_TRIES, -1, -1):
                try:
                    journal.append(entry, data)
                    break
                except OSError as exc:
                    # Another thread of the program may go on closing what it finds.
                    if exc.errno != errno.EBADF or not tries:
                        raise
                journal = self._anew(journal)
        finally:
            if not journal.sound:
                self._full.append(journal)
                self._journal = None
        if isinstance(entry, Entry):
            self._calls[entry.session.id] = self._calls.get(entry.session.id, 0) + 1
        if journal.renewed:
            journal.renewed = False
            self._hold_running()
        count = len(journal.entries)
        if count >= _FULL or journal.size >= _FULL_SIZE:
            if self._full:
                self._move_some(_FULL)
            self._full.append(journal)
            self._journal = None
            if len(self._full) > _MOST_FULL or sum(one.size for one in self._full) > _MOST_SIZE:
                self._park()
        elif self._delay is not None and time.monotonic() >= self._due:
            self._move_some(count)
        elif self._full and not count % _STEP_EVERY:
            self._move_some(_STEP)
        return journal

    def _new_journal(self) -> Journal:
        try:
            return Journal(self.root / JOURNAL)
        except FileNotFoundError:
            if self.root.exists():
                raise
        self.root.mkdir(mode=0o700)
        self.payloads.create()
        return Journal(self.root / JOURNAL)

    def _sound(self, journal: Journal) -> Journal:
        """Return a journal that whoever opens the store next will find, with all its entries."""
        return journal if journal.is_there() else self._anew(journal)

    def _written(self, entries: list[Entry | SessionEntry]) -> Journal:
        made = self._new_journal()
        for entry in entries:
            made.append(entry)
        return made

    def _anew(self, journal: Journal, entries: list[Entry | SessionEntry] | None = None) -> Journal:
        """Write a journal anew that was deleted, or whose descriptor the program has closed.

        Args:
            entries: what is to be in it, if not what is.
        """
        self._look_for(journal)
        made = self._written(journal.entries if entries is None else entries)
        journal.remove()
        if journal is self._journal:
            self._journal = made
        else:
            self._full[self._full.index(journal)] = made
        self._hold_running()
        return made

    def _look_for(self, journal: Journal) -> None:
        if journal.is_deleted():
            self._lost(
                f"the journal {journal.path} was deleted or moved while it was open; what waited "
                "in it was kept"
            )

    def _park(self) -> None:
        """Leave the oldest journal to whoever opens the store next, so that memory stays flat."""
        try:
            journal = self._full[0]
            entries = list(map(self._amended, journal.entries))
            changed = not all(map(operator.is_, entries, journal.entries))
            journal = self._anew(journal, entries) if changed else self._sound(journal)
            self._sync_file(journal)
        except OSError:
            # It stays in memory.
            return
        del self._full[0]
        self._moved = 0
        self._parked[journal.path] = _count(journal.entries)
        journal.close()

    def _hold_running(self) -> None:
        """Hold the files that say which sessions are under way, if they were let go."""
        for session_id, file in self._running.items():
            with contextlib.suppress(OSError):
                try:
                    file.number()
                except LostError:
                    self._running[session_id] = locks.make(self._mark(session_id))

    def _sync(self, journal: Journal, end: int) -> None:
        """Return when an entry would survive a power cut; one sync serves all that wait for it."""
        # Whoever has the lock, interrupted with it, does not wait for one who may want it.
        with contextlib.nullcontext() if mutex.held() else self._syncing:
            # Large ones are in their files already.
            self.payloads.sync()
            found: list[tuple[Journal, int, int]] = []

            def look() -> None:
                # Else another thread's sync had it, or it was moved, which syncs.
                if journal.synced < end and journal in self._waiting():
                    sound = self._sound(journal)
                    found.append((sound, sound.size, sound.descriptor()))

            self._alone(look)
            for one in found:
                self._sync_file(*one)

    def _sync_file(self, journal: Journal, written: int = 0, file: int = -1) -> None:
        written = written or journal.size
        file = file if file >= 0 else journal.descriptor()
        try:
            os.fdatasync(file)
        finally:
            os.close(file)
        if not journal.synced:
            sync_path(self.root / JOURNAL)
            sync_path(self.root)
        journal.synced = written

    def _alone(self, work: Callable[[], None]) -> None:
        """Do something with others waiting, and what interrupts this very thread behind it."""
        with mutex.lock:
            was = self._inside
            try:
                self._inside = True
                work()
                if not was:
                    self._write_queued()
            finally:
                self._inside = was

    def move(self, *, wait: bool = True) -> None:
        """Move every recorded call from the journal to the catalog and to its payloads' files.

        Args:
            wait: for another process that writes to the database.

        Raises:
            StoreError: disk or database refused; the calls wait in the journal.
        """
        with mutex.lock:
            if self._inside:
                # Asked for by what has interrupted this very thread amid it.
                return
            try:
                self._alone(lambda: self._move_all(wait))
            except Exception as exc:
                if is_interrupt(exc):
                    raise
                kind = BusyError if isinstance(exc, BusyError) else StoreError
                raise kind(self._wait(exc), path=self.root / JOURNAL) from exc

    def _move_all(self, wait: bool) -> None:
        self._write_queued()
        while self._waiting():
            self._move(_FULL, wait=wait)

    def _wait(self, why: BaseException) -> str:
        """Return, in words, what waits where, and what is to be done."""
        waiting = [entry for journal in self._waiting() for entry in journal.entries]
        count = _count(waiting[self._moved :]) + sum(self._parked.values())
        where = self.root / JOURNAL
        with contextlib.suppress(OSError):
            # Of a root that was moved, the journal was too.
            for journal in self._waiting()[:1]:
                if not journal.path.exists():
                    where = Path(f"/proc/self/fd/{journal.raw}").readlink().parent
        return (
            f"{count} recorded calls wait in {where}, as they could not be moved to their place "
            f"({why}); open the store again when it can be written, with mxm-dataio sessions"
        )

    def _move_some(self, count: int) -> None:
        """Move calls as others are recorded; what can't be moved now goes on waiting.

        So does the rest while another process writes to the database: the program's call does not.
        """
        try:
            self._move(count, wait=False)
        except Exception as exc:
            if is_interrupt(exc):
                raise

    def _waiting(self) -> list[Journal]:
        """Return the journals that hold calls, the oldest first."""
        journal = self._journal
        return [*self._full, journal] if journal is not None and journal.entries else self._full

    def _move(self, count: int, *, wait: bool = True) -> None:
        """Move the oldest calls, and delete their journal when it has no more."""
        journal = self._full[0] if self._full else self._journal
        if journal is None:
            return
        entries = journal.entries[self._moved : self._moved + count]
        entries = [self._amended(entry) for entry in entries]
        self._place_entries(self._catalog, entries, wait=wait)
        self._moved += len(entries)
        if self._moved >= len(journal.entries):
            # First what a handler may break off and that is done again: moving twice is moving.
            self._moved = 0
            if self._full:
                journal.remove()
                del self._full[0]
                return
            # With power's its bytes are counted as they are synced: no byte of it comes again.
            if not self._power:
                with contextlib.suppress(LostError):
                    journal.clear()
                    return
            journal.remove()
            self._journal = None

    def _amended(self, entry: Entry | SessionEntry) -> Entry | SessionEntry:
        """Return a call as its session would record it now."""
        if self.amend is None or isinstance(entry, SessionEntry):
            return entry
        try:
            made = self.amend(entry, self.payload)
        except Exception as exc:
            if is_interrupt(exc):
                raise
            # It is recorded, come what may.
            return entry
        if made is not entry:
            kept = made.named().keys()
            for checksum, size in entry.named().items():
                if checksum not in kept and checksum not in entry.payloads:
                    self._outdated[checksum] = size
        return made

    def _amend_waiting(self) -> None:
        """Write the journals anew as their calls are by now: others will move them."""
        self._alone(self._amend_journals)

    def _amend_journals(self) -> None:
        for journal in list(self._waiting()):
            entries = list(map(self._amended, journal.entries))
            if not all(map(operator.is_, entries, journal.entries)):
                self._anew(journal, entries)
        for path, count in list(self._parked.items()):
            with contextlib.suppress(IntegrityError):
                found = list(Left(path, gone=True).entries())
                entries = list(map(self._amended, found))
                if entries and not all(map(operator.is_, entries, found)):
                    made = self._written(entries)
                    made.close()
                    del self._parked[path]
                    path.unlink(missing_ok=True)
                    self._parked[made.path] = count

    def payload(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""
        try:
            with self.payloads.open(checksum, size) as file:
                return file.read()
        except (IntegrityError, ConfigError):
            return None

    def _remove_outdated(self) -> None:
        """Remove the payloads that no call names any more, now that theirs were changed.

        As long as others record, one that they have met may be about to be named: it stays.
        """
        outdated, self._outdated = self._outdated, {}
        for checksum, size in outdated.items():
            content = self.payload(checksum, size)
            if content is None:
                continue
            path = self.payloads.path(checksum)
            wanted = self._others() or self._catalog.names(checksum)
            gone = not wanted and self.payloads.remove(path, math.inf) is not None
            if gone and self._others():
                self.payloads.keep(checksum, content)
                self.payloads.sync()
                gone = False
            if not gone:
                self.bare.append(path)

    def _others(self) -> bool:
        """Say whether sessions are under way that this store has not begun."""
        return any(
            named(path, ".lock") and path.stem not in self._running and locks.is_held(path)
            for path in (self.root / RUNNING).glob("*.lock")
        )

    def _place_entries(
        self, catalog: SQLiteCatalog, entries: list[Entry | SessionEntry], *, wait: bool = True
    ) -> None:
        if not entries:
            return
        catalog.database.probe()
        for entry in entries:
            for checksum, content in entry.payloads.items():
                self.payloads.keep(checksum, content)
        if self._power:
            self.payloads.sync()
        catalog.put(entries, wait=wait, durable=self._power)

    def _adopt_journals(self, *, settling: bool = False) -> None:
        """Take in what other processes have in their journals: the dead, and the living so far.

        What can't be is warned of: it waits for the next opening, and hinders no other.

        Args:
            settling: a session is to be sealed, and others may have recorded in it.
        """
        self._behind = None
        problem: Exception | None = None
        waits = False
        try:
            with left(self.root / JOURNAL) as found:
                own = {journal.path for journal in (*self._full, self._journal) if journal}
                for journal in found:
                    try:
                        if journal.path not in own:
                            self._adopt_journal(journal._replace(whole=problem is None))
                            self._parked.pop(journal.path, None)
                    except Exception as exc:
                        if is_interrupt(exc):
                            raise
                        problem = exc
                        # A living owner moves them itself.
                        waits = waits or journal.gone or not isinstance(exc, BusyError)
        except OSError as exc:
            if is_interrupt(exc):
                raise
            problem, waits = exc, True
        with Suppress(OSError, StoreError):
            self._sweep()
        if waits and isinstance(problem, BusyError) and settling:
            self._behind = problem
        elif waits:
            warnings.warn(
                f"recorded calls wait in {self.root / JOURNAL} and can't be moved to their place "
                f"({problem}): open the store where it can be written",
                DataIOWarning,
                stacklevel=4,
            )

    def _sweep(self) -> None:
        """Delete what the dead have left of locks and temporary files, which may hold bodies."""
        for path in (self.root / RUNNING).glob("*.lock"):
            if named(path, ".lock") and not locks.is_held(path):
                self._adopt_unseen(path)
                path.unlink(missing_ok=True)
        if not self.readonly:
            locks.sweep(self.root / RUNNING)
            locks.sweep(self.root / JOURNAL)

    def _adopt_journal(self, journal: Left) -> None:
        with self._writable() as catalog:
            self._adopt_into(catalog, journal)

    @contextlib.contextmanager
    def _writable(self) -> Iterator[SQLiteCatalog]:
        if not self.readonly:
            yield self._catalog
            return
        database = self.root / DATABASE
        with contextlib.closing(SQLiteCatalog(database, patient=self._patient)) as catalog:
            catalog.database.share_patience(self._catalog.database)
            yield catalog

    def _adopt_into(self, catalog: SQLiteCatalog, journal: Left) -> None:
        step: list[Entry | SessionEntry] = []
        size = 0
        ends = False
        try:
            for entry in journal.entries():
                if (
                    isinstance(entry, SessionEntry)
                    and entry.calls is not None
                    and not journal.whole
                ):
                    ends = True
                    continue
                step.append(self._amended(entry) if journal.path in self._parked else entry)
                size += entry.size
                if len(step) == _STEP or size > _FULL_SIZE:
                    self._place_entries(catalog, step)
                    step, size = [], 0
        except IntegrityError as exc:
            self._place_entries(catalog, step)
            # Of a living owner's the rest is not lost: it moves them itself.
            if journal.gone:
                kept = journal.put_aside()
                warnings.warn(f"{exc}; it is kept as {kept}", DataIOWarning, stacklevel=5)
            return
        self._place_entries(catalog, step)
        if journal.gone and not ends:
            self.payloads.sync()
            journal.remove()

    def _adopt_unseen(self, path: Path) -> None:
        """Take in what a session jotted down whose process is gone."""
        found = unseen.read_lines(read_plain(path, _JOTTED))
        if found is not None:
            with self._writable() as catalog:
                catalog.put_coverage(path.stem, found)

    def begin(self, session: Session) -> None:
        """Write the row of a session that starts; into the journal, if the database can't be used.

        Raises:
            StoreError: the database refused, or the disk.
        """
        path = self._mark(session.id)
        # Without it the session shows as interrupted, no more.
        with mutex.lock, Suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._running[session.id] = locks.make(path)
        try:
            self._catalog.put_session(session, durable=self._power)
        except BusyError:
            self._append_row(session, None)

    def _append_row(self, session: Session, calls: int | None) -> None:
        entry = SessionEntry(rows.session_row(session), calls)
        try:
            appended = self._append(entry)
            if appended is not None and (self._power or calls is not None):
                self._sync(*appended)
        except OSError as exc:
            raise StoreError(
                f"session {session.id} can't be written to {self.root / JOURNAL}: "
                f"{exc.strerror or exc}",
                path=self.root / JOURNAL,
            ) from exc

    def note(self, session: Session) -> None:
        """Write the row of a session under way anew.

        Raises:
            StoreError: the database refused.
        """
        self._catalog.put_session(session)

    def settle(self) -> None:
        """Move what waits to its place, of children too that ended without a word, and sync it.

        Of others' what can't be moved is only warned of: it is no part of the session.

        Raises:
            BusyError: the database can't be used now; the calls wait in the journal.
            StoreError, OSError: disk or database refused; the calls wait in the journal.
        """
        self._catalog.database.renew_patience()
        self._settle()

    def _settle(self) -> None:
        for journal in self._waiting():
            self._look_for(journal)
        try:
            self.move()
            self._adopt_journals(settling=True)
            self._refuse_parked()
        except StoreError:
            self._amend_waiting()
            raise
        self.payloads.sync()
        self._remove_outdated()

    def _refuse_parked(self) -> None:
        why = self._behind
        if any(path.exists() for path in self._parked):
            why = why or BusyError("they could not be read", path=self.root / JOURNAL)
        if why is not None:
            raise BusyError(self._wait(why), path=self.root / JOURNAL) from why

    def lost(self) -> list[str]:
        """Return, in words, what others have deleted or moved of the files while they were open."""
        with mutex.lock:
            for path, file in self._folders.items():
                if _file_of(path) != file:
                    self._lost(
                        f"the folder {path} was deleted or moved while it was open: put back what "
                        "was in it, or record again"
                    )
            return [*self._losses, *self._catalog.database.losses]

    def _lost(self, text: str) -> None:
        if text not in self._losses:
            self._losses.append(text)

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Write the row of a session that ended, and sync: what is settled survives a power cut.

        Args:
            settled: all its calls are in their place, or wait for the database; it is sealed.

        Raises:
            BusyError: the database can't be used now; all waits in the journal, the session's end
                behind its calls, and survives a power cut.
            StoreError: disk or database refused.
        """
        if session.coverage is None:
            # Who ends it may be another than the process that watched, and was killed.
            session = replace(session, coverage=self.noted_unseen(session.id))
        try:
            if settled:
                self.move()
                self._refuse_parked()
            self._catalog.put_session(session, durable=True, sealed=settled)
        except BusyError as exc:
            self._end_later(session)
            raise BusyError(self._wait(exc.__cause__ or exc), path=self.root / JOURNAL) from exc
        finally:
            with mutex.lock:
                self._stop(session.id)

    def _end_later(self, session: Session) -> None:
        """Have a session ended and sealed by whoever takes in its calls."""
        self._alone(self._sync_waiting)
        self._append_row(session, self._calls.get(session.id, 0))

    def _sync_waiting(self) -> None:
        for journal in list(self._waiting()):
            try:
                self._sync_file(self._sound(journal))
            except OSError as exc:
                self._lost(f"the journal {journal.path} can't be synced: {exc}")
        # In one of its own, which comes after those of all others that record in the session.
        # (Not of a root that was moved: where that is, none can be made.)
        if self._journal is not None and self._journal.entries and self.root.exists():
            self._full.append(self._journal)
            self._journal = None

    def end_left(
        self, session_id: str, *, warnings: Sequence[str] = (), replaced: bool = True
    ) -> None:
        """End a session whose process is gone and has not; one that goes on, or was ended, stays.

        Args:
            warnings: what it could not record, beyond what its row says.
            replaced: its process became another program's (``os.exec…``); else it died.

        Raises:
            StoreError, OSError: disk or database refused.
        """
        session = self.session(session_id)
        if session is None or session.status is not Status.INTERRUPTED or session.ended_at:
            return
        # What it had recorded is moved first, to be sealed with it.
        self._settle()
        known = tuple(dict.fromkeys((*session.warnings, *warnings)))
        status: Status = session.status
        if replaced:
            status = Status.INCOMPLETE if known else Status.COMPLETE
        self.end(replace(session, status=status, ended_at=utc_now(), warnings=known))

    def note_unseen(self, session_id: str, line: bytes) -> None:
        """Keep a line with a session that is under way, for whoever finds its process gone.

        A child that was forked within the session may do so as well.
        """
        file = self._running.get(session_id)
        with contextlib.suppress(OSError):
            if file is not None:
                os.write(file.number(), line)
            else:
                locks.append(self._mark(session_id), line)

    def noted_unseen(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was jotted down of a session under way, ``None`` if it does not watch.

        Args:
            but: a process whose lines do not count.
        """
        try:
            content = read_plain(self._mark(session_id), _JOTTED)
        except OSError as exc:
            if is_interrupt(exc):
                raise
            return None
        return unseen.read_lines(content, but=but)

    def _mark(self, session_id: str) -> Path:
        """Return the path of the file that is locked while a session is under way."""
        return self.root / RUNNING / f"{session_id}.lock"

    def _stop(self, session_id: str) -> None:
        file = self._running.pop(session_id, None)
        if file is not None:
            if file.is_at_path():
                with Suppress(OSError):
                    self._mark(session_id).unlink()
            file.release()

    # -- reading -----------------------------------------------------------------------------

    @property
    def catalog(self) -> SQLiteCatalog:
        """The catalog, once it has what this process has recorded.

        It may lack some of that where the root is shared as a cache (``delay``), and another
        process writes to it: the program's call does not wait for that, and fetches once more.
        """
        if self._waiting():
            if self._delay is None:
                self.move()
            else:
                with contextlib.suppress(StoreError):
                    self.move(wait=False)
        return self._catalog

    def session(self, session_id: str) -> Session | None:
        """Return a session by its id."""
        session = self.catalog.session(session_id)
        return self._as_it_is(session) if session else None

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return all sessions, or those of a source, oldest first."""
        return [self._as_it_is(session) for session in self.catalog.sessions(source)]

    def sessions_of(self, root_id: str) -> list[tuple[Session, int]]:
        """Return a session and its children, oldest first, each with the count of its calls."""
        counts = self.catalog.counts(root_id)
        found = [(self.session(id), count) for id, count in counts.items()]
        return [(session, count) for session, count in found if session is not None]

    def family(self, session_id: str) -> list[Session]:
        """Return a session with those of its child processes, and theirs, oldest first.

        Raises:
            StoreError: there is no such session.
        """
        asked = self.catalog.session(session_id)
        if asked is None:
            raise StoreError(f"no session {session_id} is recorded in {self.root}", path=self.root)
        found = [self._as_it_is(session) for session in self.catalog.tree(asked.root_id)]
        return family(found, session_id)

    def endpoints(self, session_id: str) -> list[tuple[str, str, int]]:
        """Return endpoint, source and number of a session's calls, one for each endpoint."""
        return self.catalog.endpoints(session_id)

    def _as_it_is(self, session: Session) -> Session:
        """Return the session, ``interrupted`` if its process is gone without having ended it."""
        if session.status is not Status.RUNNING:
            return session
        # (A stranger's row may have anything for an id.)
        if is_id(session.id) and locks.is_held(self._mark(session.id)):
            return replace(session, coverage=self.noted_unseen(session.id))
        # It may have ended since its row was read: that is written first.
        session = self._catalog.session(session.id) or session
        if session.status is Status.RUNNING:
            return replace(session, status=Status.INTERRUPTED)
        return session

    def session_id(self, text: str) -> str:
        """Return the id of the one session whose id begins or ends so.

        Ids of one moment begin alike, so that it is their ends that tell them apart. ``latest`` is
        the newest session, ``latest~1`` the one before it, and so on; those of child processes do
        not count.

        Raises:
            StoreError: there is none, or more than one.
        """
        match = _LATEST.fullmatch(text)
        if match is None:
            return self._one_id("session", self.catalog.ids(text), text)
        found = self.catalog.latest(int(match[1] or 0))
        return self._one_id("session", [found] if found else [], text)

    def request_id(self, text: str) -> str:
        """Return the id of the one call whose id begins or ends so.

        Raises:
            StoreError: there is none, or more than one.
        """
        return self._one_id("call", self.catalog.ids(text, calls=True), text)

    def _one_id(self, noun: str, found: list[str], text: str) -> str:
        if len(found) == 1:
            return found[0]
        if not found:
            raise StoreError(f"no {noun} {text} is recorded in {self.root}", path=self.root)
        raise StoreError(
            f"several {noun}s begin or end with {text}: {', '.join(found)}: give more of the id",
            path=self.root,
        )

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        try:
            self.move()
        except StoreError:
            # Of those that wait it is the last, if a session has just made it.
            waiting = [journal.entries for journal in self._waiting()]
            for entry in reversed([one for entries in waiting for one in entries]):
                if isinstance(entry, Entry) and entry.call.id == request_id:
                    made = self._amended(entry)
                    assert isinstance(made, Entry)
                    for checksum, content in made.payloads.items():
                        self.payloads.keep(checksum, content)
                    return self.placed(rows.exchange(made))
            raise
        return self._placed_if_any(self._catalog.exchange(request_id))

    def exchanges(
        self, session_id: str, damaged: Callable[[IntegrityError], None] | None = None
    ) -> Iterator[Exchange]:
        """Return the calls of a session in the order in which they were made.

        Args:
            damaged: is told of each whose record can't be read; without it that raises.

        Raises:
            IntegrityError: a record, or the database, is damaged.
        """
        for exchange in self.catalog.exchanges(session_id, damaged):
            yield self.placed(exchange)

    def requests(self, session_id: str) -> list[Request]:
        """Return a session's requests in their order."""
        return [exchange.request for exchange in self.catalog.exchanges(session_id)]

    def responses(self, request_id: str) -> list[Response]:
        """Return a request's attempts in their order."""
        exchange = self.exchange(request_id)
        return list(exchange.responses) if exchange else []

    def first(self, session_id: str, limit: int) -> list[Exchange]:
        """Return the calls of a session that are in their place and came there first."""
        return self._catalog.first(session_id, limit)

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's next call with this hash behind the call ``after``."""
        return self._placed_if_any(self.catalog.nth(source, params_hash, root_id, after))

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""
        return self._placed_if_any(self.catalog.last(source, params_hash, root_id))

    def decoded(self, found: Following) -> Exchange:
        """Return a call that was read ahead, not yet :meth:`placed`."""
        return self._catalog.decoded(found)

    def open(self, response: Response) -> BinaryIO:
        """Return the payload of an attempt, to be read once, from its start.

        Raises:
            IntegrityError: it is missing or damaged; the file is named. Of a large one, reading
                raises this too: a block is checked before it is handed out.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        return self.payloads.open(*_kept(response))

    def verify(self, response: Response, *, beside: bool = False) -> None:
        """Check the whole payload of an attempt.

        Args:
            beside: check also what lies beside the payload to serve it sooner.

        Raises:
            IntegrityError: it is missing or damaged; the file is named.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        self.payloads.verify(*_kept(response), beside=beside)

    def _placed_if_any(self, exchange: Exchange | None) -> Exchange | None:
        return self.placed(exchange) if exchange else None

    def placed(self, exchange: Exchange) -> Exchange:
        """Return a call with the paths of its attempts' payloads."""
        return Exchange(
            exchange.request,
            tuple(
                replace(response, bytes_path=self.payloads.path(response.checksum))
                if response.checksum
                else response
                for response in exchange.responses
            ),
        )


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    """Leave the journals to the parent, in a child: what waits in them is the parent's to move."""
    for store in list(_stores):
        store._syncing = threading.RLock()
        for journal in (*store._full, store._journal):
            if journal is not None:
                journal.abandon()
        for file in store._running.values():
            file.close()
        store._running, store._parked, store._calls = {}, {}, {}
        store._inside, store._queued = False, deque()
        store._full, store._journal, store._moved = [], None, 0


after_fork(_after_fork)


def _kept(response: Response) -> tuple[str, int]:
    if response.checksum is None:
        raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
    return response.checksum, response.size


def _count(entries: list[Entry | SessionEntry]) -> int:
    """Return how many of them are calls."""
    return sum(isinstance(entry, Entry) for entry in entries)


def _file_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what lies at a path."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def family(sessions: Iterable[Session], session_id: str) -> list[Session]:
    """Return a session with those of its child processes, and theirs, oldest first."""
    ordered = sorted(sessions, key=lambda one: one.id)
    found: set[str] = set()
    # A clock that was set back has children begin before their parents; of a root all are.
    more = {session_id}
    while more:
        found |= more
        more = {one.id for one in ordered if found & {one.parent_id, one.root_id}} - found
    return [one for one in ordered if one.id in found]
