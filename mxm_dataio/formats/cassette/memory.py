"""Keeps a session's calls in memory, and finds those of cassettes: a store without a root.

What was recorded before answers, what is recorded now is kept for the cassette's writer: it is
found by its id alone, so that a program that asks twice gets the source's two answers.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...errors import IntegrityError
from ...http.answers import in_memory
from ...models import Exchange, Request, Response, Session, Unseen
from ...storage.backend import Amend
from ...storage.catalog.lookups import Following
from ...storage.entries import Entry
from ...storage.payloads.spool import Spool
from ..recordings import exchange_of
from .loaded import CassetteCall, LoadedCassette
from .runs import Run


class RecordedCall(NamedTuple):
    """A call recorded now.

    Attributes:
        entry: as the recorder wrote it.
        elsewhere: by another thread than the one that opened the session.
        test: node id of the test that was running.
        phase: of that test.
    """

    entry: Entry
    elsewhere: bool
    test: str = ""
    phase: str = ""


class MemoryStore:
    """See :class:`mxm_dataio.storage.backend.Backend`.

    Args:
        root: the cassette's path, for messages.
        source: the session's.
        tapes: where calls are looked for, the first that holds a call answers.
        readonly: nothing is to be recorded.
        repeats: cassettes that answer with their last again, once they have no more.
        run: the run of tests that is on.

    Attributes:
        taken: calls recorded now, as they ended.
        payloads: checksum → bytes of the calls that were recorded or restored.
        pid: of the process whose memory it is.
        amend: changes the calls recorded now, before they are written.
    """

    def __init__(
        self,
        root: Path,
        source: str,
        tapes: Sequence[LoadedCassette],
        *,
        readonly: bool,
        repeats: Container[LoadedCassette] = (),
        run: Run | None = None,
    ) -> None:
        self.root = root
        self._source = source
        self.readonly = readonly
        self.taken: list[RecordedCall] = []
        self._tapes = {str(tape.path): tape for tape in tapes}
        self._repeats = repeats
        self._run = run
        self._held = {held.id: held for tape in tapes for held in tape.held}
        self.payloads: dict[str, bytes] = {}
        self._session: Session | None = None
        self._thread = threading.get_ident()
        self.pid = os.getpid()
        self.amend: Amend | None = None
        self.bare: list[Path] = []

    # -- writing -----------------------------------------------------------------------------

    def spool(self, limit: int) -> Spool:
        """Return an empty spool that stays in memory."""
        return Spool(None, limit)

    def take(self, spool: Spool, checksum: str, held: dict[str, bytes]) -> None:
        """Hold a call's payload."""
        held[checksum] = spool.content()

    def append(self, entry: Entry) -> None:
        """Hold a call.

        Raises:
            OSError: in a forked child, whose memory the parent does not see.
        """
        if os.getpid() != self.pid:
            raise OSError("a forked process can't record to a cassette")
        self.payloads.update(entry.payloads)
        elsewhere = threading.get_ident() != self._thread
        if self._run is None:
            self.taken.append(RecordedCall(entry, elsewhere))
        else:
            run = self._run
            self.taken.append(RecordedCall(entry, elsewhere, run.test, run.progress.phase))

    def begin(self, session: Session) -> None:
        """Note the session."""
        self._session = session

    def settle(self) -> None:
        """Have all calls as they are to be written."""
        if self.amend is None:
            return
        for place, taken in enumerate(self.taken):
            entry = self.amend(taken.entry, self.payload)
            self.payloads.update(entry.payloads)
            self.taken[place] = taken._replace(entry=entry)

    def first(self, session_id: str, limit: int) -> list[Exchange]:
        """Return nothing: all calls are at hand to the end."""
        return []

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Note how the session ended."""
        self._session = session

    def note_unseen(self, session_id: str, line: bytes) -> None:
        """Coverage is no part of a cassette."""

    def noted_unseen(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return nothing: no one else notes here."""
        return None

    def lost(self) -> list[str]:
        """Return nothing: no file is open."""
        return []

    def close(self) -> None:
        """Nothing is open."""

    def forget(self, test: str, phase: str) -> None:
        """Drop the calls that a test has made in a phase, which failed."""
        self.taken = [one for one in self.taken if (one.test, one.phase) != (test, phase)]

    def in_order(self) -> list[RecordedCall]:
        """Return the calls recorded now in the order in which they were made."""
        return sorted(self.taken, key=lambda taken: taken.entry.call.id)

    def params_hash(self, request_id: str) -> str:
        """Return the hash of a call of a cassette."""
        return self._held[request_id].params_hash

    # -- reading -----------------------------------------------------------------------------

    @property
    def catalog(self) -> MemoryStore:
        """What finds calls."""
        return self

    def session(self, session_id: str) -> Session | None:
        """Return the session, if it is this one."""
        session = self._session
        return session if session is not None and session.id == session_id else None

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return the one session."""
        session = self._session
        return [session] if session is not None and source in (None, session.source) else []

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        held = self._held.get(request_id)
        if held is not None:
            return self._restored(held)
        taken = next((one for one in self.taken if one.entry.call.id == request_id), None)
        return self._taken(taken) if taken is not None else None

    def exchanges(self, session_id: str) -> Iterator[Exchange]:
        """Return the calls recorded now."""
        if self.session(session_id) is not None:
            for taken in list(self.taken):
                yield self._taken(taken)

    def _taken(self, taken: RecordedCall) -> Exchange:
        exchange = exchange_of(taken.entry)
        responses = (
            replace(one, payload=in_memory(self.payloads.get(one.checksum or "", b"")))
            for one in exchange.responses
        )
        return replace(exchange, responses=tuple(responses))

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a cassette's next call with this hash behind the call ``after``."""
        found = self._of(params_hash, root_id)
        at = 1 + next((i for i, held in enumerate(found) if held.id == after), -1)
        if at == len(found) and self._tapes[root_id] in self._repeats:
            at -= 1
        if at >= len(found):
            return None
        self._tapes[root_id].played[found[at].index] = True
        return self._restored(found[at])

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a cassette's last call with this hash."""
        found = self._of(params_hash, root_id)
        return self._restored(found[-1]) if found else None

    def _of(self, params_hash: str, root_id: str) -> list[CassetteCall]:
        return self._tapes[root_id].by_hash.get(params_hash, [])

    def _restored(self, held: CassetteCall) -> Exchange:
        recording = held.recording()
        self.payloads.update(recording.payloads)
        return recording.exchange

    def decoded(self, found: Following) -> Exchange:
        """Return a call that was read ahead: none is."""
        raise NotImplementedError

    def placed(self, exchange: Exchange) -> Exchange:
        """Return a call as it is: its payloads have no paths."""
        return exchange

    def open(self, response: Response) -> BinaryIO:
        """Return the payload of an attempt, to be read once, from its start.

        Raises:
            IntegrityError: it is not there.
        """
        if response.checksum is None or response.checksum not in self.payloads:
            raise IntegrityError(f"attempt {response.id} has no payload", path=self.root)
        return io.BytesIO(self.payloads[response.checksum])

    def payload(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there."""
        return self.payloads.get(checksum)

    def verify(self, response: Response, *, beside: bool = False) -> None:
        """Check that the payload is there; it was checked when it was restored."""
        self.open(response).close()

    # -- the catalog -------------------------------------------------------------------------

    def variants(self, source: str, base_hash: str) -> list[tuple[str, ...]]:
        """Return the header names that recorded answers of this call vary on."""
        return [
            names for tape in self._tapes.values() for names in tape.variants.get(base_hash, ())
        ]

    def newest(
        self, source: str, params_hash: str, bound: str, but: str = ""
    ) -> tuple[str, str] | None:
        """Return, as its root, the first cassette that holds the call."""
        for path, tape in self._tapes.items():
            if params_hash in tape.by_hash:
                return "", path
        return None

    def version(self) -> object:
        """Return what no other is equal to: nothing is read ahead."""
        return object()

    def following(self, source: str, after: str, bound: str, limit: int) -> list[Following]:
        """Return nothing: what is in memory need not be read ahead."""
        return []

    def similar(self, source: str, endpoint: str, limit: int) -> list[Request]:
        """Return requests, those of the endpoint first."""
        found = list(self._held.values())
        found.sort(key=lambda held: held.node["request"]["url"].partition("?")[0] != endpoint)
        return [held.request(source) for held in found[:limit]]

    def takes_bodies(self, source: str, endpoint: str) -> bool:
        """Say whether calls to an endpoint are recorded."""
        return any(one.endpoint == endpoint for one in self.similar(source, endpoint, 1))

    def with_hash(self, params_hash: str, limit: int) -> list[Request]:
        """Return the requests with this hash."""
        found = [held for held in self._held.values() if held.params_hash == params_hash]
        return [held.request(self._source) for held in found[:limit]]

    def forgotten(self) -> tuple[str, ...]:
        """Return nothing: a call that is to answer none is deleted from the file."""
        return ()

    def with_text(self, source: str, text: str, bound: str, limit: int) -> list[Request]:
        """Return the requests whose identity has a text in it."""
        found = [held for held in self._held.values() if text in held.asked.identified.document]
        return [held.request(source) for held in found[:limit]]
