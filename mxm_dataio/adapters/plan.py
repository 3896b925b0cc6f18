"""What is to become of a call, and its answer where the store has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, assert_never

from ..errors import ReplayMissError
from ..http.content import LARGEST
from ..http.heads import given_head
from ..identity import CONDITIONS, Identity
from ..identity.view import Call as AskedCall
from ..ingest.answering import asking
from ..ingest.capture import Capture
from ..ingest.misses import miss, warn_of_spare
from ..ingest.request import collector
from ..models import Exchange, Headers, Mode
from ..process import wall_time
from ..replay.policy import FAILED, Fetch, Miss, Pass, Revalidate, Serve
from ..storage.backend import Backend
from ..storage.entries import CapturedCall
from ..storage.payloads.spool import Spool
from ..utils import new_id
from .call import UNSENT, Call, identify_streamed

# A call with one of these asks for what a stored answer may not be.
_CONDITIONS = CONDITIONS | {"range"}


class Plan:
    """A call, what to do with it, and its answer where the store has one.

    Args:
        url: absolute.
        headers: as the program gave them to the transport.
        body: bytes or ``None``, anything else is a stream.
        upload: spools such a stream, as sending it would read it.
        resend: returns what is sent in its place then.

    Attributes:
        again: what is to be sent in the place of a stream that was read; ``None``: the stream.
    """

    def __init__(
        self,
        ingest: Capture,
        method: str,
        url: str,
        headers: Headers,
        body: Any,
        upload: Callable[[], Spool] | None = None,
        resend: Callable[[Spool], Any] | None = None,
    ) -> None:
        self.ingest = ingest
        # Kept, since the session may end in another thread meanwhile.
        self._store = ingest.store
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self._upload = upload
        self._resend = resend
        self.again: Any = None
        self.serve: Exchange | None = None
        self.stored: Exchange | None = None
        self.spare: Exchange | None = None
        self.passes = False
        self.conditions: Headers = ()
        self._asked: Identity | None = None
        # The body, or what was read of a stream, where what is asked for is asked.
        self._sent: bytes | None = body if isinstance(body, bytes) else None
        try:
            self._decide()
        except ReplayMissError as miss:
            # How it was found is nothing to the reader of a traceback.
            _refuse(miss.with_traceback(None))

    def _decide(self) -> None:
        ingest = self.ingest
        streams = not isinstance(self.body, (bytes, type(None)))
        if ingest.mode is Mode.RECORD:
            return
        if ingest.mode is Mode.AUTO and streams and not self._worth_reading():
            # Nothing is read before it is sent that would be sent in any case.
            return
        read = self._upload() if streams and self._upload is not None else None
        if read is not None and ingest.answer is not None and read.size <= LARGEST:
            self._sent = read.content()
        try:
            self._settle(self._identity(read), streams)
            if read is not None and self._resend is not None and self.serve is None:
                spool, read = read, None
                self.again = self._resend(spool)
        finally:
            if read is not None:
                read.discard()

    def _worth_reading(self) -> bool:
        """Say whether a stream may be one that was recorded: calls to where it goes were."""
        return self._resend is not None and self.ingest.holds(self.method, self.url)

    def _settle(self, identity: Identity, streams: bool) -> None:
        ingest = self.ingest
        self._asked = identity
        decision = ingest.decide(
            identity, conditional=ingest.mode is Mode.AUTO and self._may_be_conditional()
        )
        if isinstance(decision, Miss) and streams:
            # Perhaps the recorded upload never got as far as being sent.
            self._asked = identity.with_body(UNSENT)
            decision = ingest.decide(self._asked)
        match decision:
            case Pass():
                self.passes = True
            case Fetch(spare):
                self.spare = spare
            case Serve(stored):
                self.serve = self._given(stored, identity)
            case Revalidate(stored, conditions, spare):
                self.stored, self.conditions, self.spare = stored, conditions, spare
            case Miss():
                raise miss(ingest, identity, self.url)
            case _:
                assert_never(decision)

    def following(self, answered: Exchange) -> Exchange | None:
        """Return what replay has for this call after an answer that is to be retried, if more."""
        if self.ingest.mode is not Mode.REPLAY or self._asked is None:
            return None
        decision = self.ingest.decide(self._asked)
        if not isinstance(decision, Serve) or decision.stored.request.id == answered.request.id:
            return None
        return self._given(decision.stored, self._asked)

    def _given(self, stored: Exchange, identity: Identity) -> Exchange:
        return self.ingest.served(
            stored, self.url, self._served, identity, collector(), self._call_asked
        )

    def _call_asked(self) -> AskedCall:
        source = self.ingest.sources.of(self.url).source
        return asking(source, self.method, self.url, self.headers, self._sent)

    def _may_be_conditional(self) -> bool:
        return self.method.upper() in ("GET", "HEAD") and not any(
            name.lower() in _CONDITIONS for name, _ in self.headers
        )

    def _served(self) -> CapturedCall:
        """Return the call as one that never went out."""
        head = given_head(self.headers)
        return CapturedCall(
            new_id(), self.method.upper(), self.url, wall_time(), duration=0.0, head=head
        )

    def _identity(self, read: Spool | None) -> Identity:
        ingest = self.ingest
        if read is None:
            return ingest.identify(self.method, self.url, self.headers, self.body)
        return identify_streamed(ingest, self.method, self.url, self.headers, read)

    def call(self) -> Call:
        """Begin to record."""
        return Call(
            self.ingest,
            self.method,
            self.url,
            self.headers,
            self.body,
            conditions=self.conditions,
            spare=self.spare,
        )

    @property
    def store(self) -> Backend:
        """The store that holds the answer to serve."""
        assert self._store is not None
        return self._store

    def stands_in(self, call: Call, status: int | None) -> Exchange | None:
        """Return the stored answer that a call gets in the place of what came, noted on it.

        A 304 has confirmed it (RFC 9111 §4.3.3), or its source has failed (RFC 5861 §4).

        Args:
            status: that came; ``None``: an exception did.
        """
        if status == 304 and self.stored is not None:
            call.stored = self.stored
        elif status in FAILED and self.spare is not None:
            call.stored = self.spare
        stored = call.stored
        if stored is None:
            return None
        if status != 304:
            why = str(status or call.failed_by)
            warn_of_spare(self.ingest, self.method, self.url, stored, why)
        given = self.ingest.given(stored, self._call_asked)
        if given is not stored and call.collector is not None:
            call.collector.given = given
        return given


def _refuse(miss: ReplayMissError) -> NoReturn:
    # By itself, and with what is without secrets: a test runner shows the whole of the function
    # that raised, and its arguments.
    raise miss
