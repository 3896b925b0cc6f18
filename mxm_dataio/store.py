"""The store: journal, catalog and payloads together, one write path, the only door to disk."""

from __future__ import annotations

import contextlib
import math
import operator
import os
import re
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from . import coverage, locks
from .catalog import Following, SQLiteCatalog
from .entries import Entry
from .errors import ConfigError, DataIOWarning, IntegrityError, StoreError
from .files import is_id, is_link, named, read_plain
from .journal import Journal, Left, framed, left
from .keeping import Amend
from .models import Compression, Durability, Exchange, Request, Response, Session, Status, Unseen
from .payloads import PayloadFolder, Spool, sync_path
from .selecting import family
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
# A full journal is moved in steps, as further calls come, so that none of them waits for all.
_STEP_EVERY = 16
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

    Raises:
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
    ) -> None:
        self.root = Path(root)
        self.readonly = readonly
        self.payloads = PayloadFolder(
            self.root / RESPONSES, compression, temporary=self.root / RUNNING
        )
        self._delay = delay
        self._due = 0.0
        self._power = durability is Durability.POWER
        self._lock = threading.RLock()
        # Held by the thread that syncs, for itself and those that wait meanwhile.
        self._syncing = threading.Lock()
        self._journal: Journal | None = None
        # Full ones, the oldest first, and how many of its entries are moved.
        self._full: list[Journal] = []
        self._moved = 0
        # Of the sessions that this process has begun, the locked files that say so.
        self._running: dict[str, int] = {}
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
        self._catalog = SQLiteCatalog(self.root / DATABASE, readonly=readonly)
        _stores.add(self)
        try:
            self._take_in()
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
            with self._lock:
                for journal in self._waiting():
                    journal.close()
                if self._journal is not None and not self._journal.entries:
                    self._journal.remove()
                self._full, self._journal = [], None
                for session_id in list(self._running):
                    self._stop(session_id)
            self._catalog.close()

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
        journal, end = self._append(entry)
        if self._power:
            self._sync(journal, end)

    def _append(self, entry: Entry) -> tuple[Journal, int]:
        """Write an entry; return the journal that has it, and where it ends there."""
        # Not under the lock: others that wait for it cost each other more than it takes.
        data = framed(entry)
        with self._lock:
            journal = self._journal
            if journal is None:
                journal = self._journal = Journal(self.root / JOURNAL)
            if not journal.entries:
                self._due = time.monotonic() + (self._delay or 0.0)
            try:
                journal.append(entry, data)
            finally:
                if not journal.sound:
                    self._full.append(journal)
                    self._journal = None
            count, end = len(journal.entries), journal.size
            if count >= _FULL or journal.size >= _FULL_SIZE:
                if self._full:
                    self._move_some(_FULL)
                self._full.append(journal)
                self._journal = None
            elif self._delay is not None and time.monotonic() >= self._due:
                self._move_some(count)
            elif self._full and not count % _STEP_EVERY:
                self._move_some(_STEP)
        return journal, end

    def _sync(self, journal: Journal, end: int) -> None:
        """Return when an entry would survive a power cut; one sync serves all that wait for it."""
        with self._syncing:
            # Large ones are in their files already.
            self.payloads.sync()
            with self._lock:
                if journal.synced >= end or journal not in self._waiting():
                    # Another thread's sync had it, or it was moved, which syncs.
                    return
                written, file = journal.size, journal.descriptor()
            try:
                os.fdatasync(file)
            finally:
                os.close(file)
            if not journal.synced:
                sync_path(self.root / JOURNAL)
                sync_path(self.root)
            journal.synced = written

    def move(self, *, wait: bool = True) -> None:
        """Move every recorded call from the journal to the catalog and to its payloads' files.

        Args:
            wait: for another process that writes to the database.

        Raises:
            StoreError: disk or database refused; the calls wait in the journal.
        """
        with self._lock:
            waiting = sum(len(journal.entries) for journal in self._waiting()) - self._moved
            try:
                while self._waiting():
                    self._move(_FULL, wait=wait)
            except Exception as exc:
                raise StoreError(
                    f"{waiting} recorded calls wait in {self.root / JOURNAL}, as they could not be "
                    f"moved to their place ({exc}); open the store again when it can be written",
                    path=self.root / JOURNAL,
                ) from exc

    def _move_some(self, count: int) -> None:
        """Move calls as others are recorded; what can't be moved now goes on waiting.

        So does the rest while another process writes to the database: the program's call does not.
        """
        with contextlib.suppress(Exception):
            self._move(count, wait=False)

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
        self._moved += count
        if self._moved >= len(journal.entries):
            self._moved = 0
            if self._full:
                del self._full[0]
                journal.remove()
            elif self._power:
                # Its bytes are counted as they are synced: no byte of it comes again.
                self._journal = None
                journal.remove()
            else:
                journal.clear()

    def _amended(self, entry: Entry) -> Entry:
        """Return a call as its session would record it now."""
        if self.amend is None:
            return entry
        try:
            made = self.amend(entry, self.payload)
        except Exception:
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
        with self._lock:
            for old in list(self._waiting()):
                entries = list(map(self._amended, old.entries))
                if all(map(operator.is_, entries, old.entries)):
                    continue
                new = Journal(self.root / JOURNAL)
                for entry in entries:
                    new.append(entry)
                if old is self._journal:
                    self._journal = new
                else:
                    self._full[self._full.index(old)] = new
                old.remove()

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
        self, catalog: SQLiteCatalog, entries: list[Entry], *, wait: bool = True
    ) -> None:
        for entry in entries:
            for checksum, content in entry.payloads.items():
                self.payloads.keep(checksum, content)
        if self._power:
            self.payloads.sync()
        catalog.put(entries, wait=wait, durable=self._power)

    def _take_in(self) -> None:
        """Take in what other processes have in their journals: the dead, and the living so far.

        What can't be is warned of: it waits for the next opening, and hinders no other.
        """
        problem: Exception | None = None
        try:
            with left(self.root / JOURNAL) as found:
                own = {journal.path for journal in (*self._full, self._journal) if journal}
                for journal in found:
                    try:
                        if journal.path not in own:
                            self._take_in_one(journal)
                    except Exception as exc:
                        problem = exc
        except OSError as exc:
            problem = exc
        with contextlib.suppress(OSError, StoreError):
            self._sweep()
        if problem is not None:
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
                self._take_jottings(path)
                path.unlink(missing_ok=True)
        if not self.readonly:
            locks.sweep(self.root / RUNNING)
            locks.sweep(self.root / JOURNAL)

    def _take_in_one(self, journal: Left) -> None:
        if not self.readonly:
            self._take_in_to(self._catalog, journal)
            return
        with contextlib.closing(SQLiteCatalog(self.root / DATABASE)) as catalog:
            self._take_in_to(catalog, journal)

    def _take_in_to(self, catalog: SQLiteCatalog, journal: Left) -> None:
        step: list[Entry] = []
        size = 0
        try:
            for entry in journal.entries():
                step.append(entry)
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
        if journal.gone:
            self.payloads.sync()
            journal.remove()

    def _take_jottings(self, path: Path) -> None:
        """Take in what a session jotted down whose process is gone."""
        found = coverage.read_lines(read_plain(path, _JOTTED))
        if found is None:
            return
        if not self.readonly:
            self._catalog.put_coverage(path.stem, found)
            return
        with contextlib.closing(SQLiteCatalog(self.root / DATABASE)) as catalog:
            catalog.put_coverage(path.stem, found)

    def begin(self, session: Session) -> None:
        """Write the row of a session that starts.

        Raises:
            StoreError: the database refused.
        """
        path = self._mark(session.id)
        # Without it the session shows as interrupted, no more.
        with self._lock, contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._running[session.id] = locks.make(path)
        self._catalog.put_session(session, durable=self._power)

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
            StoreError, OSError: disk or database refused; the calls wait in the journal.
        """
        try:
            self.move()
        except StoreError:
            self._amend_waiting()
            raise
        self._take_in()
        self.payloads.sync()
        self._remove_outdated()

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Write the row of a session that ended, and sync: what is settled survives a power cut.

        Args:
            settled: all its calls are in their place; it is sealed.
        """
        if session.coverage is None:
            # Who ends it may be another than the process that watched, and was killed.
            session = replace(session, coverage=self.jotted(session.id))
        self._catalog.put_session(session, durable=True, sealed=settled)
        with self._lock:
            self._stop(session.id)

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
        self.settle()
        known = tuple(dict.fromkeys((*session.warnings, *warnings)))
        status: Status = session.status
        if replaced:
            status = Status.INCOMPLETE if known else Status.COMPLETE
        self.end(replace(session, status=status, ended_at=utc_now(), warnings=known))

    def jot(self, session_id: str, line: bytes) -> None:
        """Keep a line with a session that is under way, for whoever finds its process gone.

        A child that was forked within the session may do so as well.
        """
        file = self._running.get(session_id)
        with contextlib.suppress(OSError):
            if file is not None:
                os.write(file, line)
            else:
                locks.append(self._mark(session_id), line)

    def jotted(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was jotted down of a session under way, ``None`` if it does not watch.

        Args:
            but: a process whose lines do not count.
        """
        try:
            content = read_plain(self._mark(session_id), _JOTTED)
        except OSError:
            return None
        return coverage.read_lines(content, but=but)

    def _mark(self, session_id: str) -> Path:
        """Return the path of the file that is locked while a session is under way."""
        return self.root / RUNNING / f"{session_id}.lock"

    def _stop(self, session_id: str) -> None:
        file = self._running.pop(session_id, None)
        if file is not None:
            with contextlib.suppress(OSError):
                self._mark(session_id).unlink()
            locks.release(file)

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
            return replace(session, coverage=self.jotted(session.id))
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
        self.move()
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
        store._lock = threading.RLock()
        store._syncing = threading.Lock()
        store.payloads.renew_lock()
        for journal in (*store._full, store._journal):
            if journal is not None:
                journal.abandon()
        for file in store._running.values():
            os.close(file)
        store._running = {}
        store._full, store._journal, store._moved = [], None, 0


after_fork(_after_fork)


def _kept(response: Response) -> tuple[str, int]:
    if response.checksum is None:
        raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
    return response.checksum, response.size
