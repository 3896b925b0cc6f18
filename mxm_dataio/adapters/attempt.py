"""One try on the wire: what the taps see of it, until nothing more will come."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..http.chunked import ChunkParser
from ..http.framing import MessageParser
from ..http.heads import parse_head
from ..models import Failure, Peer
from ..process import perf_counter_ns, seconds_since, wall_time
from ..redaction.sent import Sent
from ..storage.entries import CapturedAttempt
from ..storage.payloads.capped import Capped
from ..storage.payloads.spool import Spool

if TYPE_CHECKING:
    from .call import Call

# The attribute that an attempt takes on its connection.
ON_CONNECTION = "_dataio_attempt"


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
        self.started = wall_time()
        self._clock = perf_counter_ns()

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
            self.first_byte = seconds_since(self._clock)
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
            self.total = seconds_since(self._clock)
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


def view(data: Any) -> memoryview:
    """Return the bytes of anything that a socket sends, an array's items included."""
    return memoryview(data).cast("B")
