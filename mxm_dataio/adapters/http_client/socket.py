"""A socket that answers from the store: what an ``http.client`` connection has in replay.

All above it runs as it does live, the program's own subclasses too: ``http.client`` sends the
request into it, block for block, and reads the recorded bytes out of it through its own parser.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

from ...errors import ReplayMissError
from ...ingest.misses import replayed
from ...models import Exchange, Failure, Response
from ...replay.misses import ended_early
from .. import failures
from ..plan import Plan
from ..reframed import RecordedRaw, opened
from .call import CONNECTING, DURING, READING, SENDING
from .request import OutgoingRequest

# Takes a request, and the bytes of it that were sent so far.
GoesOut = Callable[[OutgoingRequest, bytes], None]


class StoreSocket:
    """Stands in a connection's place for its socket while calls are answered from the store.

    Args:
        inner: the socket that it stands for, if there is one; it is closed with this.

    Attributes:
        goes_out: sends what was taken of a request that is left out to its host after all.
    """

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.goes_out: GoesOut | None = None
        self._sent: list[bytes] = []
        self._asked: OutgoingRequest | None = None
        self._last: OutgoingRequest | None = None
        self._answer: _Answer | None = None
        self._peer: str | None = None
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._timeout: float | None = None

    # -- what the hook tells -------------------------------------------------------------

    def expect(self, asked: OutgoingRequest, plan: Plan | None = None) -> None:
        """Take a request next.

        Args:
            plan: what is to answer it, if that is known already.
        """
        self._forget()
        self._asked = self._last = asked
        if plan is not None and plan.serve is not None:
            self._serve(plan, plan.serve)

    @property
    def refused(self) -> bool:
        """The recorded call never had a connection."""
        return self._answer is not None and self._answer.refused

    @property
    def waits(self) -> bool:
        """The program has yet to fetch an answer."""
        return self._answer is not None

    def _forget(self) -> None:
        if self._answer is not None:
            self._answer.payload.close()
        if self._asked is not None:
            self._asked.discard()
        self._asked = self._answer = None
        self._sent = []

    def _decide(self, asked: OutgoingRequest) -> None:
        """Find the answer, once all is known of the request.

        Raises:
            ReplayMissError: there is none.
            Exception: as recorded, if sending failed.
        """
        try:
            body = asked.body
            plan = Plan(asked.ingest, asked.method, asked.url, asked.headers, body, asked.upload)
        finally:
            self._asked = None
        if plan.serve is None and self.goes_out is not None and asked.ingest.is_open:
            self.goes_out(asked, b"".join(self._sent))
        elif plan.serve is None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        else:
            self._serve(plan, plan.serve)

    def _serve(self, plan: Plan, stored: Exchange) -> None:
        self._answer = answer = _Answer(plan, stored)
        self._peer = stored.answer.peer.address if stored.answer else None
        if answer.sending is not None:
            note = replayed(plan.ingest, stored.request)
            failures.raise_again(answer.sending, bare=True, note=note)

    # -- what http.client asks -----------------------------------------------------------

    def sendall(self, data: Any, *_flags: int) -> None:
        """Take what would go out."""
        view = memoryview(data).cast("B")
        if self._asked is not None:
            self._asked.feed(view)
            if self._asked.may_be_left_out:
                self._sent.append(bytes(view))
            if self._asked.known and self._answer is None:
                self._decide(self._asked)
        elif self._answer is None:
            raise self._past()

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        """Return the recorded answer, to be read from its first byte."""
        if self._asked is not None and self._answer is None:
            # Less came than the head promised. It may have been recorded so.
            self._decide(self._asked)
        answer, self._answer, self._asked = self._answer, None, None
        if answer is None:
            raise self._past()
        return io.BufferedReader(answer.raw())

    def close(self) -> None:
        """Let go; what was handed out goes on."""
        self._forget()
        for sock in (self.inner, *(self._pair or ())):
            if sock is not None:
                sock.close()

    # -- what programs ask ---------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Keep it; nothing waits."""
        self._timeout = value

    def gettimeout(self) -> float | None:
        """Return what was set last."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Keep it; nothing waits."""
        self._timeout = None if flag else 0.0

    def setsockopt(self, *_args: Any) -> None:
        """Nothing to set."""

    def shutdown(self, _how: int) -> None:
        """Nothing to shut."""

    def getpeername(self) -> Any:
        """Return the recorded other end."""
        if self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        host, colon, port = self._peer.rpartition(":")
        if not (colon and port.isdecimal()):
            return self._peer
        name = (host.strip("[]"), int(port))
        return (*name, 0, 0) if host.startswith("[") else name

    def fileno(self) -> int:
        """Return a descriptor that one can wait for, in vain: no one hung up."""
        if self._pair is None:
            self._pair = socket.socketpair()
        return self._pair[0].fileno()

    def recv(self, *_args: Any) -> Any:
        """Refuse: what goes past HTTP is not recorded.

        Raises:
            ReplayMissError: always.
        """
        raise self._past()

    recv_into = recvfrom = send = sendfile = recv

    def _past(self) -> BaseException:
        last = self._last
        if last is None or not last.ingest.is_open:
            # As of a server that has gone: a program that keeps connections is ready for it.
            return BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        url = last.ingest.secrets_for(last.url).url(last.url)
        error = ReplayMissError(
            f"{last.method} {url}: the program goes on on this connection besides HTTP's calls, "
            "which is not recorded and can't be replayed",
            method=last.method,
            url=url,
        )
        last.ingest.missed(error)
        return error


class TLSStoreSocket(StoreSocket):
    """The same in place of a TLS connection. What a certificate said is not recorded."""

    getpeercert = cipher = version = selected_alpn_protocol = unwrap = StoreSocket.recv


# The connections that have one.
standing: weakref.WeakSet[Any] = weakref.WeakSet()


def stand_in(connection: Any, goes_out: GoesOut | None = None) -> StoreSocket:
    """Put a socket that answers from the store in the place of a connection's own, or of none.

    Args:
        goes_out: as of :class:`StoreSocket`.
    """
    sock = connection.sock
    if not isinstance(sock, StoreSocket):
        cls = TLSStoreSocket if connection.default_port == 443 else StoreSocket
        sock = connection.sock = cls(sock)
        standing.add(connection)
    if goes_out is not None:
        sock.goes_out = goes_out
    return sock


def give_back(connection: Any) -> None:
    """Put a connection's own socket back, if it had one."""
    sock = connection.sock
    if isinstance(sock, StoreSocket) and sock.inner is not None:
        connection.sock = sock.inner


def leave(connection: Any) -> None:
    """Leave a connection as if it had never been answered from the store."""
    sock = connection.sock
    if isinstance(sock, StoreSocket):
        connection.sock = sock.inner


class _Answer:
    """A recorded call as it is to come about once more.

    Attributes:
        sending: the failure that it met before it asked for the answer.
        refused: and before it had a connection.
        payload: of its last attempt.
    """

    def __init__(self, plan: Plan, stored: Exchange) -> None:
        self._plan = plan
        self.sending: Failure | None = None
        self.refused = False
        self._reading: Failure | None = None
        final = stored.answer
        self._final = final if final is not None else Response(stored.request.id)
        self._missed: ReplayMissError | None = None
        self.payload = opened(plan.store, self._final)
        failure = stored.request.failure
        if failure is not None:
            self._place(failure)

    def _place(self, failure: Failure) -> None:
        """Tell where a failure was met: urllib3's do not say so themselves."""
        final = self._final
        asked = final.status_code is not None or final.peer.address is not None
        during = READING if asked else CONNECTING
        if isinstance(failure.data, Mapping):
            during = failure.data.get(DURING, during)
        if during in (CONNECTING, SENDING):
            self.sending = failure
            # What fails in the handshake has a socket.
            self.refused = during == CONNECTING and final.timings.connect is None
        elif final.status_code is None and not final.closed_by_peer:
            self._reading = failure
        # Else what came is at fault, and is so again.

    def raw(self) -> io.RawIOBase:
        """Return the bytes that came."""
        return _Raw(self._final, self.payload, self._beyond, self._reading)

    def _beyond(self) -> BaseException:
        if self._missed is None:
            plan, final = self._plan, self._final
            if not final.url:
                final = replace(final, url=plan.ingest.secrets_for(plan.url).url(plan.url))
            self._missed = ended_early(plan.method, final)
            plan.ingest.missed(self._missed)
        return self._missed


class _Raw(RecordedRaw):
    """Ends, where no answer came, as the reading did."""

    def __init__(
        self, response: Response, payload: BinaryIO, beyond: Any, failure: Failure | None
    ) -> None:
        super().__init__(response, payload, beyond)
        self._failure = failure

    def _end(self) -> int:
        if self._failure is not None:
            return self._fail(failures.innermost(failures.load(self._failure)))
        if self._response.status_code == 101:
            raise self._beyond()
        return super()._end()
