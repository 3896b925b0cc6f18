"""A request of ``http.client``'s: what is known of it as it is put together and sent."""

from __future__ import annotations

from typing import Any

from ...http.chunked import ChunkParser
from ...http.heads import parse_head
from ...ingest.capture import Capture
from ...models import Headers
from ...storage.payloads.spool import Spool

# Stands for a body that comes piece by piece.
STREAM: Any = ...
# Python refuses to make a number of thousands of them, which need not be in a header.
_DIGITS = 18


class OutgoingRequest:
    """A request on a connection, from its first line to its last byte.

    Args:
        url: absolute.
        own: names of the headers that ``http.client`` puts in front of the program's, in their
            order. They are not part of what the program asked.

    Attributes:
        given: the body that came with the end of the headers, if any.
        coded: ``http.client`` cuts that body into chunks.
        headers: the program's, once the head is known.
        body: then the whole body if it is at hand with the head, else :data:`STREAM`.
    """

    def __init__(self, ingest: Capture, method: str, url: str, own: tuple[str, ...] = ()) -> None:
        self.ingest = ingest
        self.method = method
        self.url = url
        self.given: Any = None
        self.coded = False
        self.headers: Headers = ()
        self.body: Any = STREAM
        self._own = own
        self._head = b""
        self._chunked = False
        self._length = 0
        self._framed = False
        self._upload: Spool | None = None
        self._chunks: ChunkParser | None = None

    def take_head(self, head: bytes) -> None:
        """Take request line and headers as they go out; what may be behind them is let be."""
        self._head = head = head.partition(b"\r\n\r\n")[0]
        headers = list(parse_head(head)[2])
        fields = {name.lower(): value for name, value in reversed(headers)}
        length = fields.get("content-length", "")
        self._chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        counted = length.isdecimal() and len(length) <= _DIGITS
        self._framed = counted or self._chunked
        self._length = int(length) if counted else 0
        for name in self._own:
            if headers and headers[0][0].lower() == name:
                del headers[0]
        self.headers = tuple(headers)
        given = self.given
        if isinstance(given, (bytes, bytearray)):
            fits = not self._chunked and (not self._framed or self._length == len(given))
            self.body = bytes(given) if fits or self.coded else STREAM
        elif given is None and not self._chunked and not self._length:
            self.body = None

    @property
    def may_be_left_out(self) -> bool:
        """Its session leaves calls out, and lets them reach their hosts in replay."""
        ingest = self.ingest
        return bool(ingest.settings.allowed_hosts) and ingest.sources.of(self.url).matcher.sees

    # -- where nothing goes out ----------------------------------------------------------

    def feed(self, data: memoryview) -> None:
        """Take bytes that would have gone out: the head first, and of a stream all that follows."""
        if not self._head:
            head, _, rest = bytes(data).partition(b"\r\n\r\n")
            self.take_head(head)
            data = memoryview(rest)
        if self.body is not STREAM:
            return
        if self._upload is None:
            self._upload = self.ingest.spool()
            if self._chunked:
                self._chunks = ChunkParser(self._upload.write)
        if self._chunks is not None:
            self._chunks.feed(data)
        elif data:
            self._upload.write(data)

    @property
    def known(self) -> bool:
        """All is there that tells this call from others."""
        if self._chunks is not None:
            return self._chunks.done
        if self._upload is not None:
            return self._framed and self._upload.size >= self._length
        return self.body is not STREAM

    def upload(self) -> Spool:
        """Return what came of a stream, to be discarded by who asks."""
        spool, self._upload = self._upload, None
        return spool if spool is not None else self.ingest.spool()

    def discard(self) -> None:
        """Let go of what came."""
        if self._upload is not None:
            self._upload.discard()
