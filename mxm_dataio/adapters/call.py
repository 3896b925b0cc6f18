"""One call under capture: its attempts as they happen, recorded once when all is known.

A call is settled when the program has its answer (or its exception) and the last byte of the
last body has come, whichever is later; so an exchange is on disk before the read that ends its
body returns. A body dropped half-way is settled when it is closed, or when the session ends.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Iterable
from mmap import ACCESS_READ, mmap
from typing import Any

from ..concurrency import mutex
from ..concurrency.reentry import is_interrupt
from ..errors import DataIOError, RuleError, StoreError
from ..http.framing import ChunkParser, MessageParser
from ..http.heads import given_head, parse_head
from ..identity import Identity
from ..ingest.capture import Capture
from ..ingest.request import Collector, collector
from ..models import Exchange, Failure, Headers, Peer, Status
from ..redaction.secrets import Sent
from ..storage.entries import CapturedAttempt, CapturedCall
from ..storage.payloads.capped import Capped
from ..storage.payloads.spool import Spool
from ..utils import new_id
from . import failures

# The attribute that an attempt takes on its connection.
ON_CONNECTION = "_dataio_attempt"
# The attribute of a connection over recorded bytes, which reaches no one.
REPLAYS = "_dataio_replays"
# Identity of an upload that the connection never took to its end.
UNSENT = {"unsent": True}
# The module of requests' mapping of headers.
_REQUESTS_HEADERS = "requests.structures"


class Attempt:
    """One try on the wire. Fed by the taps; never raises into the program's own reading."""

    # What most attempts never change.
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    peer = Peer()
    requested = False
    suspended = False
    busy = False
    done = False
    sent_head = b""
    sent_all = False
    upload: Spool | None = None
    spool: Spool | None = None
    capped: Capped | None = None
    parser: MessageParser | None = None
    failure: Failure | None = None
    body_failure: Failure | None = None
    _upload_chunks: ChunkParser | None = None
    _connection: weakref.ref[Any] | None = None

    def __init__(self, call: Call, sequence: int) -> None:
        self.call = call
        self.sequence = sequence
        self.method = call.method
        self.url = call.url
        self.started = time.time()
        self._clock = time.perf_counter()

    def hold_on(self, connection: Any) -> None:
        """Be on a connection from connect to answer, since that is what lives so long."""
        self._connection = weakref.ref(connection)
        connection.__dict__[ON_CONNECTION] = self

    def release(self) -> None:
        """Leave no trace on the connection, which lives on."""
        connection = self._connection() if self._connection is not None else None
        # It may be on its next attempt already.
        if connection is not None and connection.__dict__.get(ON_CONNECTION) is self:
            del connection.__dict__[ON_CONNECTION]

    def elapsed(self) -> float:
        """Seconds since the attempt began."""
        return time.perf_counter() - self._clock

    # -- the request ---------------------------------------------------------------------

    def sent(self, data: Any) -> None:
        """Take what went out: first the head, then the body under its transfer coding."""
        streams = self.call.streams
        if not self.sent_head:
            # botocore's connections send a body of bytes together with the head.
            head, end, data = bytes(data).partition(b"\r\n\r\n")
            self.sent_head = head + end
            if streams and b"transfer-encoding: chunked" in self.sent_head.lower():
                self._upload_chunks = ChunkParser(self._keep_upload)
        if not streams or not data or self.done:
            return
        try:
            if self._upload_chunks is not None:
                self._upload_chunks.feed(view(data))
            else:
                self._keep_upload(view(data))
        except Exception as exc:
            self.call.lose(exc)

    def _keep_upload(self, data: bytes | memoryview) -> None:
        if self.upload is None:
            self.upload = self.call.ingest.spool()
        self.upload.write(data)

    def _all_sent(self) -> bool:
        """Say whether a streamed body went out to its end; a server may answer before it has."""
        if not self.call.streams:
            return True
        if self._upload_chunks is not None:
            return self._upload_chunks.done
        size = self.upload.size if self.upload is not None else 0
        headers = parse_head(self.sent_head)[2]
        length = next((v for n, v in headers if n.lower() == "content-length"), "")
        return size >= int(length) if length.isdecimal() else True

    # -- the answer ----------------------------------------------------------------------

    def expect(self) -> None:
        """An answer is about to be read."""
        self.sent_all = self._all_sent()
        ingest = self.call.ingest
        self.spool = spool = ingest.spool()
        limit = ingest.settings.max_body
        if limit is None:
            self.parser = MessageParser(self.method, spool.write)
        else:
            self.capped = capped = Capped(spool, limit)
            self.parser = MessageParser(self.method, capped.write)
            capped.full = self.parser.freeze

    def take(self, data: bytes) -> None:
        """Take a part of a body that comes from elsewhere than the wire."""
        sink = self.capped or self.spool
        if sink is not None:
            sink.write(data)

    @property
    def truncated(self) -> int:
        """Bytes of the body that came and were not kept."""
        return self.capped.beyond if self.capped is not None else 0

    @property
    def complete(self) -> bool:
        """The body came to its end, and all of it is kept."""
        return self.parser is not None and self.parser.complete and not self.truncated

    def begun(self, response: Any) -> None:
        """The head has been read into a response, or refused (``None``)."""
        parser = self.parser
        if parser is None:
            return
        line = b""
        if parser.held and response is not None:
            major, minor = divmod(response.version, 10)
            text = f"HTTP/{major}.{minor} {response.status} {response.reason}".rstrip()
            line = f"{text}\r\n".encode("latin-1", "replace")
        try:
            parser.begin(line)
            if b"ookie" in parser.head or b"OOKIE" in parser.head:
                # The program may use a cookie before it has read the body.
                self.call.secrets.answer_head(bytes(parser.head), self._clear)
        except Exception as exc:
            self.call.lose(exc)
        else:
            if parser.complete:
                self.finish()

    def _clear(self) -> Sent:
        """Return what went out, without what stands under secret names."""
        call = self.call
        body = call.body or b""
        if self.upload is not None and self.upload.file is None:
            body = self.upload.content()
        return call.secrets.clear(self.url, self.sent_head, body)

    def feed(self, data: memoryview) -> None:
        """Take bytes off the wire."""
        parser = self.parser
        if self.done or parser is None:
            return
        if self.first_byte is None:
            self.first_byte = time.perf_counter() - self._clock
        try:
            parser.feed(data)
        except Exception as exc:
            self.call.lose(exc)
        else:
            if parser.complete:
                self.finish()

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        if self.parser is not None and not self.done:
            self.parser.feed_eof()
            self.finish()

    def feed_error(self, exc: BaseException) -> None:
        """Take the error that ended a read."""
        if not self.done and self.parser is not None:
            if not isinstance(exc, Exception):
                self.call.interrupted()
            if self.parser.head_done:
                self.body_failure = self.call.dump(exc, exc.__context__)
            self.finish()

    def finish(self) -> None:
        """Nothing more will come."""
        if not self.done:
            self.done = True
            self.total = time.perf_counter() - self._clock
            self.call.advance()

    @property
    def answered(self) -> bool:
        """A whole head came."""
        return self.parser is not None and self.parser.head_done

    def captured(self) -> CapturedAttempt:
        """Return the attempt as it is recorded."""
        parser, spool = self.parser, self.spool if self.answered else None
        chunks = parser.chunks if parser else None
        return CapturedAttempt(
            self.method,
            self.url,
            self.started,
            parser.status if parser else None,
            spool.checksum if spool is not None else None,
            spool.size if spool is not None else 0,
            self.complete,
            bool(parser and parser.eof and not self.truncated),
            chunks.framing() if chunks else None,
            self.body_failure or self.failure,
            self.connect,
            self.tls,
            self.first_byte,
            self.total,
            self.peer,
            truncated=self.truncated,
            head=bytes(parser.head) if parser else b"",
        )


class Call:
    """What the program asked for.

    Args:
        url: absolute.
        headers: as the program gave them to the transport.
        body: bytes or text where it is at hand, anything else is a stream.
        conditions: headers to add on the wire, for revalidation.
    """

    revalidated: Exchange | None = None
    _duration: float | None = None
    _failure: Failure | None = None
    _status: Status | None = None
    _over = False
    _settled = False

    def __init__(
        self,
        ingest: Capture,
        method: str,
        url: str,
        headers: Headers,
        body: Any,
        *,
        conditions: Headers = (),
    ) -> None:
        self.ingest = ingest
        self.secrets = ingest.secrets_for(url)
        self.id = new_id()
        self.method = method
        self.url = url
        self.headers = headers
        self.streams = not isinstance(body, (bytes, type(None)))
        self.body: bytes | None = None if self.streams else body
        self.conditions = conditions
        self.collector: Collector | None = collector()
        self.attempts: list[Attempt] = []
        self._started = time.time()
        self._clock = time.perf_counter()
        # What the program is handling as it makes the call is no part of what goes wrong in it.
        self._outside = sys.exception()
        self._lock = threading.RLock()
        if not ingest.track(self):
            # It ended a moment ago, in another thread, and takes no more.
            self._settled = True

    # -- what the taps tell --------------------------------------------------------------

    def attempt(self) -> Attempt:
        """Begin another try; the one before can only still be read from."""
        for earlier in self.attempts:
            if earlier.parser is None:
                earlier.done = True
        attempt = Attempt(self, len(self.attempts) + 1)
        if self._settled:
            attempt.done = True
        self.attempts.append(attempt)
        return attempt

    def blame(self, error: BaseException | None) -> None:
        """Note what urllib3 made of the last try, as it goes on to the next."""
        if error is not None and self.attempts:
            last = self.attempts[-1]
            if last.failure is None:
                last.failure = self._dump(error)
            if not last.answered:
                last.done = True

    def explain(self, response: Any) -> None:
        """Note, from a response's history, what urllib3 made of the tries before it.

        A mounted adapter is not told as it happens; see :meth:`blame`.
        """
        history = getattr(getattr(response, "retries", None), "history", ())
        for attempt, step in zip(self.attempts[-2::-1], reversed(history), strict=False):
            if step.error is not None and attempt.failure is None:
                attempt.failure = self._dump(step.error)

    def lose(self, exc: BaseException) -> None:
        """Give up recording this call: what was taken of it can't be trusted.

        Raises:
            StoreError: when the session is strict.
            Exception: what a signal's handler of the program's has raised amid the recording.
        """
        if self._begin_settling():
            self._end_settling()
            reason = exc.strerror if isinstance(exc, OSError) else exc
            self.ingest.problem(StoreError(f"{self._name()} was not recorded: {reason or exc!r}"))
        if is_interrupt(exc):
            raise exc

    def _name(self) -> str:
        return f"{self.method} {self.secrets.shown(self.url)}"

    # -- how it ends ---------------------------------------------------------------------

    def returned(self) -> None:
        """The program has its answer."""
        self._duration = time.perf_counter() - self._clock
        self._outside = None
        self._over = True
        self.advance()

    def raised(self, exc: BaseException) -> None:
        """The program has its exception."""
        self._duration = time.perf_counter() - self._clock
        self._failure = self._dump(exc)
        self._status = Status.FAILED
        if not isinstance(exc, Exception):
            self.interrupted()
        beneath = failures.beneath(exc)
        # Of urllib3's; ssl's have a word by this name.
        reason = getattr(beneath, "reason", None)
        self.blame(reason if isinstance(reason, BaseException) else beneath)
        for attempt in self.attempts:
            attempt.done = True
        self._outside = None
        self._over = True
        self.advance()

    def _dump(self, exc: BaseException) -> Failure:
        return self.dump(exc, self._outside)

    def dump(self, exc: BaseException, outside: BaseException | None) -> Failure:
        """Return an exception of this call as data; see :func:`.failures.dump`."""
        clean = self.secrets.about(self.url, self.headers, self.body)
        return failures.dump(exc, self.secrets, outside, clean)

    def interrupted(self) -> None:
        """It was broken off from outside (``KeyboardInterrupt``), and has no outcome."""
        self._status = Status.INTERRUPTED

    def advance(self) -> None:
        """Settle, if nothing is outstanding."""
        if self._over and all(attempt.done for attempt in self.attempts):
            self.settle()

    def settle(self) -> None:
        """Record the call, once; on return it is recorded, if by another thread.

        (Not waiting for that with the lock that the other may want; see
        :mod:`mxm_dataio.concurrency.mutex`.)
        """
        if not self._lock.acquire(blocking=not mutex.held()):
            return
        try:
            if self._begin_settling():
                try:
                    self._record()
                except RuleError as exc:
                    self.ingest.problem(StoreError(f"{self._name()} was not recorded: {exc}"))
                except DataIOError:
                    raise
                except BaseException as exc:
                    if not isinstance(exc, Exception) or is_interrupt(exc):
                        self.ingest.incomplete(f"{self._name()} was broken off amid its recording")
                        raise
                    self.ingest.problem(StoreError(f"{self._name()} was not recorded: {exc!r}"))
                finally:
                    self._end_settling()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Leave the call to the parent process, in a child that was forked amid it."""
        self._lock = threading.RLock()
        self._settled = True
        for attempt in self.attempts:
            attempt.done = True
            for spool in (attempt.spool, attempt.upload):
                if spool is not None:
                    spool.forget()

    def _begin_settling(self) -> bool:
        """Say whether it is up to the caller to settle; nothing more is taken then."""
        with self._lock:
            if self._settled:
                return False
            self._settled = True
        for attempt in self.attempts:
            attempt.done = True
        return True

    def _end_settling(self) -> None:
        for attempt in self.attempts:
            attempt.release()
            for spool in (attempt.spool, attempt.upload):
                if spool is not None:
                    spool.discard()
        # An attempt knows its call: a cycle otherwise, and what the program drops would stay
        # until the next garbage collection.
        self.attempts = []
        self.ingest.untrack(self)

    def _record(self) -> None:
        upload = self._upload()
        identity = self._identity(upload)
        attempts = [(a.captured(), a.spool if a.answered else None) for a in self.attempts]
        last = self.attempts[-1] if self.attempts else None
        status = self._status
        if not self._over:
            # The session ends before the program has its answer: what became of it is not known.
            status = Status.INTERRUPTED
        if status is None:
            complete = last is None or last.complete
            status = Status.COMPLETE if complete else Status.PARTIAL
        self.ingest.record(
            CapturedCall(
                self.id,
                self.method.upper(),
                self.url,
                self._started,
                status,
                self._duration,
                self._failure,
                (last.sent_head if last is not None else b"") or given_head(self.headers),
            ),
            identity,
            attempts,
            body=self.body or upload,
            into=self.collector,
            stored=self.revalidated,
        )

    def _upload(self) -> Spool | None:
        """Return what was uploaded by the last try that took the stream to its end."""
        if not self.streams:
            return None
        for attempt in reversed(self.attempts):
            if attempt.sent_all and attempt.upload is not None:
                return attempt.upload
        return None

    def _identity(self, upload: Spool | None) -> Identity:
        if upload is not None:
            return identify_streamed(self.ingest, self.method, self.url, self.headers, upload)
        identity = self.ingest.identify(self.method, self.url, self.headers, self.body)
        if self.streams and not any(attempt.sent_all for attempt in self.attempts):
            return identity.with_body(UNSENT)
        return identity


def identify_streamed(
    ingest: Capture, method: str, url: str, headers: Headers, upload: Spool
) -> Identity:
    """Return the identity of a call whose body was a stream, from the spool that took it."""
    if upload.file is None:
        return ingest.identify(method, url, headers, upload.content())
    with mmap(upload.file.fileno(), 0, access=ACCESS_READ) as content:
        return ingest.identify(method, url, headers, content)


def view(data: Any) -> memoryview:
    """Return the bytes of anything that a socket sends, an array's items included."""
    return memoryview(data).cast("B")


def header_pairs(headers: Any) -> Headers:
    """Return the pairs of any mapping of headers, repeats included, as text."""
    if not headers:
        return ()
    items: Iterable[tuple[Any, Any]]
    if type(headers).__module__ == _REQUESTS_HEADERS and hasattr(headers, "_store"):
        # It keeps the pairs as they are wanted, under no public name; its items() makes each anew,
        # which costs more than all else that is done with them.
        items = headers._store.values()
    else:
        items = headers.items() if hasattr(headers, "items") else headers
    return tuple([(_text(name), _text(value)) for name, value in items])


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
