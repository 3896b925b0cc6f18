"""The store: a root's database, payloads and journals together, the only door to disk."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .errors import IntegrityError, StoreError
from .models import Compression, Durability, Exchange, Request, Response, Session, Status, Unseen
from .storage.adoption import Adoption
from .storage.backend import Amend
from .storage.catalog import rows
from .storage.catalog.catalog import SQLiteCatalog
from .storage.catalog.lookups import Following
from .storage.entries import Entry
from .storage.families import family as family
from .storage.ids import request_id, session_id
from .storage.journals import OwnJournals
from .storage.layout import DATABASE as DATABASE
from .storage.layout import JOURNAL as JOURNAL
from .storage.layout import RESPONSES as RESPONSES
from .storage.layout import RUNNING as RUNNING
from .storage.layout import WRITABLE, refuse_links
from .storage.lifecycle import Lifecycle
from .storage.losses import Losses
from .storage.payloads.folder import PayloadFolder
from .storage.payloads.spool import Spool
from .storage.placement import Placement
from .storage.running import RunningSessions
from .storage.writer import Writer
from .utils import after_fork, cause

# A payload above this goes to its file at once: written twice it would cost more than it saves.
_HELD = 65_536


class Store:
    """One root folder.

    Args:
        root: there, or made for its owner alone, if not ``readonly``.
        readonly: make and write nothing; what replay uses. (What a process that was killed has
            left in a journal is moved to its place first, where that may be written.)
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
        StoreError: the root can't be read or made; or nothing is recorded there, to be read.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        readonly: bool = True,
        delay: float | None = None,
        compression: Compression = Compression.NONE,
        durability: Durability = Durability.PROCESS,
        patient: bool = False,
    ) -> None:
        self.root = root = Path(root)
        self.readonly = readonly
        self._delay = delay
        self.payloads = PayloadFolder(root / RESPONSES, compression, temporary=root / RUNNING)
        refuse_links(root)
        if root.is_file():
            folder = f": {root.parent}" if root.name == DATABASE else " of a store"
            raise StoreError(f"the root {root} is a file; give the folder{folder}", path=root)
        if not readonly:
            try:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.payloads.create()
            except OSError as exc:
                raise StoreError(
                    f"the root {root} can't be made: {cause(exc, WRITABLE)}",
                    path=root,
                ) from exc
        self._losses = losses = Losses(root, root / RESPONSES)
        self._catalog = catalog = SQLiteCatalog(root / DATABASE, readonly=readonly, patient=patient)
        power = durability is Durability.POWER
        self._placement = placement = Placement(catalog, self.payloads, durable=power)
        self._running = running = RunningSessions(root / RUNNING)
        journals = OwnJournals(root, placement, running, losses)
        self._writer = writer = Writer(journals, placement, losses, delay)
        adoption = Adoption(root, journals, placement, running)
        self._lifecycle = Lifecycle(journals, placement, writer, adoption, running)
        _stores.add(self)
        try:
            adoption.adopt()
        except BaseException:
            catalog.close()
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
            self._writer.close()
            self._running.end_all()
            self._catalog.close()

    # -- reading -----------------------------------------------------------------------------

    @property
    def catalog(self) -> SQLiteCatalog:
        """The catalog, once it has what this process has recorded.

        It may lack some of that where the root is shared as a cache (``delay``), and another
        process writes to it: the program's call does not wait for that, and fetches once more.
        """
        if self._writer.waits():
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
        if self._running.is_under_way(session.id):
            return replace(session, coverage=self._running.noted(session.id))
        # It may have ended since its row was read: that is written first.
        session = self._catalog.session(session.id) or session
        if session.status is Status.RUNNING:
            return replace(session, status=Status.INTERRUPTED)
        return session

    def session_id(self, text: str, source: str | None = None) -> str:
        """Return the id of a session; see :func:`mxm_dataio.storage.ids.session_id`."""
        return session_id(self.catalog, text, source)

    def request_id(self, text: str) -> str:
        """Return the id of a call; see :func:`mxm_dataio.storage.ids.request_id`."""
        return request_id(self.catalog, text)

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        try:
            self.move()
        except StoreError:
            waiting = self._writer.find(request_id)
            if waiting is None:
                raise
            return self.placed(rows.exchange(waiting))
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

    def forgotten(self, request: Request) -> str | None:
        """Return when a call was forgotten, or the one that it was answered with; else nothing."""
        found = self.catalog.forgotten()
        return found.get(request.id) or found.get(request.served_from or "")

    def forget(self, request_id: str, *, undo: bool = False) -> bool:
        """Have a call answer none any more: replay does not find it, and ``auto`` asks again.

        What was recorded stays, and can be proved as before: a mark beside it says so. A call that
        was answered from the store stands for the one that answered it, and for all that did.

        Args:
            request_id: the whole of it.
            undo: have it answer again.

        Returns:
            Whether that changes anything.

        Raises:
            StoreError: there is no such call, or the database refused.
        """
        held, led = self.exchange(request_id), {request_id}
        while held is not None and held.request.served_from not in {None, *led}:
            led.add(held.request.served_from or "")
            held = self.exchange(held.request.served_from or "") or held
        if held is None:
            raise StoreError(f"no call {request_id} is recorded in {self.root}", path=self.root)
        return self._catalog.forget(held.request.id, undo=undo)

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

    def payload(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""
        return self.payloads.read(checksum, size)

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

    # -- what a session that records asks of it: storage.backend.Backend -----------------------

    @property
    def amend(self) -> Amend | None:
        """Changes calls on their way to their place, if set; see :mod:`mxm_dataio.ingest.late`."""
        return self._placement.amend

    @amend.setter
    def amend(self, amend: Amend | None) -> None:
        self._placement.amend = amend

    @property
    def bare(self) -> list[Path]:
        """Payloads from before such a change, which could not be removed."""
        return self._placement.bare

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
        """Record a call; see :meth:`~mxm_dataio.storage.writer.Writer.append`."""
        self._writer.append(entry)

    def move(self, *, wait: bool = True) -> None:
        """Move calls to their place; see :meth:`~mxm_dataio.storage.writer.Writer.move`."""
        self._writer.move(wait=wait)

    def begin(self, session: Session) -> None:
        """Note a session that starts; see :class:`~mxm_dataio.storage.lifecycle.Lifecycle`."""
        self._lifecycle.begin(session)

    def note(self, session: Session) -> None:
        """Write the row of a session under way anew.

        Raises:
            StoreError: the database refused.
        """
        self._catalog.put_session(session)

    def settle(self) -> None:
        """Have all that was recorded in its place, and synced, before a session ends."""
        self._catalog.database.patience.renew()
        self._lifecycle.settle()

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Note a session that ended, and sync."""
        self._lifecycle.end(session, settled=settled)

    def end_left(
        self,
        session_id: str,
        *,
        warnings: Sequence[str] = (),
        replaced: bool = True,
        stopped_by: int | None = None,
    ) -> None:
        """End a session whose process is gone and has not."""
        self._lifecycle.end_left(
            self.session(session_id), warnings, replaced=replaced, stopped_by=stopped_by
        )

    def note_unseen(self, session_id: str, line: bytes) -> None:
        """Keep a line of coverage with a session that is under way."""
        self._running.note(session_id, line)

    def noted_unseen(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was noted with a session that is under way, but for one process's notes."""
        return self._running.noted(session_id, but=but)

    def lost(self) -> list[str]:
        """Return, in words, what others have deleted or moved of the files while they were open."""
        return [*self._losses.look(), *self._catalog.database.losses.look()]


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: what waits is the parent's to move, and so are its sessions."""
    for store in list(_stores):
        store._writer.abandon()
        store._running.abandon()


after_fork(_after_fork)


def _kept(response: Response) -> tuple[str, int]:
    if response.checksum is None:
        raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
    return response.checksum, response.size
