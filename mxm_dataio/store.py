"""The store: journal, catalog and payloads together, one write path, the only door to disk."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .catalog import SQLiteCatalog
from .entries import Entry
from .errors import DataIOWarning, IntegrityError, StoreError
from .journal import Journal, Left, left
from .models import Exchange, Request, Response, Session, Status
from .payloads import PayloadFolder, Spool
from .utils import after_fork

DATABASE = "dataio.sqlite"
RESPONSES = "responses"
JOURNAL = "journal"

# A payload above this goes to its file at once: written twice it would cost more than it saves.
_HELD = 65_536
# What waits in one journal, in calls and bytes, before the next is begun and it is moved.
_FULL = 2048
_FULL_SIZE = 4 << 20
# A full journal is moved in steps, as further calls come, so that none of them waits for all.
_STEP_EVERY = 16
_STEP = 64


class Store:
    """One root folder.

    Args:
        root: made when absent, for its owner alone, unless ``readonly``.
        readonly: never write; what replay uses. (What a process that was killed has left in a
            journal is moved to its place first, where that may be written.)
        delay: seconds for which a recorded call may wait before it is moved to where other
            processes find it, once further calls come; ``None``: until there are many.

    Raises:
        IntegrityError: the database is foreign, damaged or newer; nothing was changed.
        StoreError: the root can't be read or made.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        readonly: bool = False,
        delay: float | None = None,
    ) -> None:
        self.root = Path(root)
        self.readonly = readonly
        self.payloads = PayloadFolder(self.root / RESPONSES)
        self._delay = delay
        self._due = 0.0
        self._lock = threading.RLock()
        self._journal: Journal | None = None
        # Full ones, the oldest first, and how many of its entries are moved.
        self._full: list[Journal] = []
        self._moved = 0
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
                for journal in self._journals():
                    journal.close()
                self._full, self._journal = [], None
            self._catalog.close()

    # -- writing -----------------------------------------------------------------------------

    def spool(self, limit: int) -> Spool:
        """Return an empty spool whose temporary file, if it needs one, lies in this store."""
        return Spool(self.payloads.folder, limit)

    def take(self, spool: Spool, held: dict[str, bytes]) -> None:
        """Take a call's payload: a large one into its file, a small one for the journal.

        Args:
            held: checksum → content of the call's small ones; added to.

        Raises:
            OSError: the disk refused; the spool keeps its bytes.
        """
        if spool.size > _HELD or spool.file is not None:
            self.payloads.put(spool)
        else:
            held[spool.checksum] = spool.content()

    def append(self, entry: Entry) -> None:
        """Record a call whose payloads were taken.

        When this returns, the call survives the end of the process, however it ends.

        Raises:
            OSError: the disk refused.
        """
        with self._lock:
            journal = self._journal
            if journal is None:
                journal = self._journal = Journal(self.root / JOURNAL)
            if not journal.entries:
                self._due = time.monotonic() + (self._delay or 0.0)
            journal.append(entry)
            count = len(journal.entries)
            if count >= _FULL or journal.size >= _FULL_SIZE:
                if self._full:
                    self._move_some(_FULL)
                self._full.append(journal)
                self._journal = None
            elif self._delay is not None and time.monotonic() >= self._due:
                self._move_some(count)
            elif self._full and not count % _STEP_EVERY:
                self._move_some(_STEP)

    def move(self) -> None:
        """Move every recorded call from the journal to the catalog and to its payloads' files.

        Raises:
            StoreError: disk or database refused; the calls wait in the journal.
        """
        with self._lock:
            waiting = sum(len(journal.entries) for journal in self._journals()) - self._moved
            try:
                while self._journals():
                    self._move(_FULL)
            except (StoreError, OSError) as exc:
                raise StoreError(
                    f"{waiting} recorded calls wait in {self.root / JOURNAL}, as they could not be "
                    f"moved to their place ({exc}); open the store again when it can be written",
                    path=self.root / JOURNAL,
                ) from exc

    def _move_some(self, count: int) -> None:
        """Move calls as others are recorded; what can't be moved now goes on waiting."""
        with contextlib.suppress(StoreError, OSError):
            self._move(count)

    def _journals(self) -> list[Journal]:
        return [*self._full, self._journal] if self._journal is not None else self._full

    def _move(self, count: int) -> None:
        """Move the oldest calls, and delete their journal when it has no more."""
        journal = self._full[0] if self._full else self._journal
        if journal is None:
            return
        self._place_entries(self._catalog, journal.entries[self._moved : self._moved + count])
        self._moved += count
        if self._moved >= len(journal.entries):
            self._moved = 0
            if self._full:
                del self._full[0]
            else:
                self._journal = None
            journal.remove()

    def _place_entries(self, catalog: SQLiteCatalog, entries: list[Entry]) -> None:
        for entry in entries:
            for checksum, content in entry.payloads.items():
                self.payloads.keep(checksum, content)
        catalog.put(entries)

    def _take_in(self) -> None:
        """Take in what other processes have in their journals: the dead, and the living so far."""
        with left(self.root / JOURNAL) as found:
            own = {journal.path for journal in self._journals()}
            others = [journal for journal in found if journal.path not in own]
            if not others:
                return
            catalog = self._catalog
            try:
                if self.readonly:
                    catalog = SQLiteCatalog(self.root / DATABASE)
                for journal in others:
                    self._take_in_one(catalog, journal)
            except (StoreError, OSError) as exc:
                if not self.readonly:
                    raise
                warnings.warn(
                    f"recorded calls wait in {self.root / JOURNAL} and can't be moved to their "
                    f"place ({exc}): open the store where it can be written",
                    DataIOWarning,
                    stacklevel=4,
                )
            finally:
                if catalog is not self._catalog:
                    catalog.close()

    def _take_in_one(self, catalog: SQLiteCatalog, journal: Left) -> None:
        step: list[Entry] = []
        try:
            for entry in journal.entries():
                step.append(entry)
                if len(step) == _STEP:
                    self._place_entries(catalog, step)
                    step = []
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

    def begin(self, session: Session) -> None:
        """Write the row of a session that starts."""
        self._catalog.put_session(session)

    def settle(self) -> None:
        """Move what waits to its place, of children too that ended without a word, and sync it.

        Raises:
            StoreError, OSError: disk or database refused; the calls wait in the journal.
        """
        self.move()
        self._take_in()
        self.payloads.sync()

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Write the row of a session that ended, and sync: what is settled survives a power cut.

        Args:
            settled: all its calls are in their place; it is sealed.
        """
        self._catalog.put_session(session, durable=True, sealed=settled)

    # -- reading -----------------------------------------------------------------------------

    @property
    def catalog(self) -> SQLiteCatalog:
        """The catalog, once it has what this process has recorded."""
        if self._full or self._journal is not None:
            self.move()
        return self._catalog

    def session(self, session_id: str) -> Session | None:
        """Return a session by its id."""
        session = self.catalog.session(session_id)
        return _as_it_is(session) if session else None

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return all sessions, or those of a source, oldest first."""
        return [_as_it_is(session) for session in self.catalog.sessions(source)]

    def session_id(self, prefix: str) -> str:
        """Return the id of the one session whose id begins so.

        Raises:
            StoreError: there is none, or more than one.
        """
        found = self.catalog.ids(prefix)
        if prefix in found:
            return prefix
        if len(found) == 1:
            return found[0]
        if not found:
            raise StoreError(f"no session {prefix} is recorded in {self.root}", path=self.root)
        raise StoreError(
            f"several sessions begin with {prefix}: {', '.join(found)}: give more of the id",
            path=self.root,
        )

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        return self._placed(self.catalog.exchange(request_id))

    def exchanges(self, session_id: str) -> Iterator[Exchange]:
        """Return the calls of a session in the order in which they were made."""
        for exchange in self.catalog.exchanges(session_id):
            yield self._place(exchange)

    def requests(self, session_id: str) -> list[Request]:
        """Return a session's requests in their order."""
        return [exchange.request for exchange in self.catalog.exchanges(session_id)]

    def responses(self, request_id: str) -> list[Response]:
        """Return a request's attempts in their order."""
        exchange = self.exchange(request_id)
        return list(exchange.responses) if exchange else []

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's next call with this hash behind the call ``after``."""
        return self._placed(self.catalog.nth(source, params_hash, root_id, after))

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""
        return self._placed(self.catalog.last(source, params_hash, root_id))

    def open(self, response: Response) -> BinaryIO:
        """Return the verified payload of an attempt.

        Raises:
            IntegrityError: it is missing or damaged; the file is named.
        """
        if response.checksum is None:
            raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
        return self.payloads.open(response.checksum, response.size)

    def _placed(self, exchange: Exchange | None) -> Exchange | None:
        return self._place(exchange) if exchange else None

    def _place(self, exchange: Exchange) -> Exchange:
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
        for journal in store._journals():
            journal.abandon()
        store._full, store._journal, store._moved = [], None, 0


after_fork(_after_fork)


def _as_it_is(session: Session) -> Session:
    """Return the session, ``interrupted`` if its process is gone without having ended it."""
    if session.status is Status.RUNNING and not _alive(session.pid):
        return replace(session, status=Status.INTERRUPTED)
    return session


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
