"""A root's database, payloads and journals together: the package's one door to disk."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from ..config.choices import Compression, Durability
from ..errors import IntegrityError, StoreError
from ..http.answers import StoredPayload
from ..models import Exchange, Request, Response, Session, Status
from ..utils import after_fork, cause
from .adoption import Adoption
from .catalog.catalog import SQLiteCatalog
from .catalog.lookups import Following
from .families import family
from .ids import request_id, session_id
from .journals import OwnJournals
from .layout import DATABASE, RESPONSES, RUNNING, WRITABLE, refuse_links
from .losses import Losses
from .payloads.folder import PayloadFolder
from .payloads.spool import Spool
from .placement import Placement
from .running import RunningSessions
from .unseen import parted


class RootStore:
    """One root folder, to be read; :class:`mxm_dataio.storage.recording_store.RecordingStore` adds.

    What people are handed of it is :class:`mxm_dataio.store.Store`.

    Args:
        root: there, or made for its owner alone, if not ``readonly``.
        readonly: make and write nothing; what replay uses. (What a process that was killed has
            left in a journal is moved to its place first, where that may be written.)
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
        compression: Compression = "none",
        durability: Durability = "process",
        patient: bool = False,
    ) -> None:
        self.root = root = Path(root)
        self.readonly = readonly
        self.payloads = PayloadFolder(root / RESPONSES, compression, temporary=root / RUNNING)
        self._reads = StoredPayload(self.payloads.open)
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
        power = durability == "power"
        self._placement = placement = Placement(catalog, self.payloads, durable=power)
        self._running = running = RunningSessions(root / RUNNING)
        self._journals = journals = OwnJournals(root, placement, running, losses)
        self._adoption = Adoption(root, journals, placement, running)
        _stores.add(self)
        try:
            self._adoption.adopt()
        except BaseException:
            catalog.close()
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.contents()}>"

    def contents(self) -> str:
        """Say, in words, where it is, and how much it holds now."""
        try:
            state = "sessions={} calls={}".format(*self._catalog.size())
        except StoreError as exc:
            state = f"({exc})"
        how = " readonly" if self.readonly else ""
        return f"root={str(self.root)!r}{how} {state}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._running.end_all()
        self._catalog.close()

    @property
    def catalog(self) -> SQLiteCatalog:
        """The catalog, for the other packages of this one."""
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
            coverage, left_out = parted(self._running.noted(session.id))
            return replace(session, coverage=coverage, left_out=left_out)
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
        return self._placed_if_any(self._catalog.exchange(request_id))

    def answering(self, request_id: str) -> Exchange | None:
        """Return a call, or the one whose stored answer it was given, as far as that is here."""
        held, led = self.exchange(request_id), {request_id}
        while held is not None and held.request.served_from not in {None, *led}:
            led.add(held.request.served_from or "")
            held = self.exchange(held.request.served_from or "") or held
        return held

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
        held = self.answering(request_id)
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

    def spool(self, limit: int) -> Spool:
        """Return an empty spool whose temporary file, if it needs one, lies in this store."""
        return Spool(self.payloads.temporary, limit)

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
                replace(
                    response, bytes_path=self.payloads.path(response.checksum), payload=self._reads
                )
                if response.checksum
                else replace(response, payload=self._reads)
                for response in exchange.responses
            ),
        )

    def abandon(self) -> None:
        """Begin anew, in a forked child: the sessions under way are the parent's."""
        self._running.abandon()


_stores: weakref.WeakSet[RootStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_stores):
        store.abandon()


after_fork(_after_fork)


def _kept(response: Response) -> tuple[str, int]:
    if response.checksum is None:
        raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
    return response.checksum, response.size
