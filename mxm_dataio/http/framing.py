"""Reads an HTTP/1 message off a byte stream as ``http.client`` will, without holding it up.

Not a validating parser: its rules are those of :class:`http.client.HTTPResponse`, since the
payload recorded has to be the one the program gets. (That client takes only the exact coding
``chunked`` as chunked, skips only 100 of the interim answers, and ends lines at LF.)
"""

from __future__ import annotations

import io
import re
from http.client import HTTPException, parse_headers

from ..patterns import regex
from .chunked import ChunkParser, Sink
from .heads import is_bodiless, status_line

_HEAD_LIMIT = 8 << 20


class MessageParser:
    """One answer off the wire: its head as bytes, its body to a sink.

    Args:
        method: of the request; ``HEAD`` has no body.
        sink: takes the payload, after transfer and before content decoding.

    Attributes:
        head: bytes of status line and headers, with the empty line.
        head_done: the head is whole; what came since is body.
        status: the status code, or ``None`` until the head is whole and sound.
        complete: the body ended as its framing says.
        eof: the peer closed.
    """

    __slots__ = (
        "_begun", "_left", "_method", "_sink", "chunks", "complete", "eof", "head", "head_done",
        "length", "status",
    )  # fmt: skip

    def __init__(self, method: str, sink: Sink) -> None:
        self._method = method.upper()
        self._sink = sink
        self.head = bytearray()
        self._begun = False
        self.head_done = False
        self.status: int | None = None
        self.chunks: ChunkParser | None = None
        self.length: int | None = None
        self._left = 0
        self.complete = False
        self.eof = False

    def freeze(self) -> None:
        """Note no more of how the body is cut: what comes from here on is not kept."""
        if self.chunks is not None:
            self.chunks.freeze()

    def begin(self, line: bytes = b"") -> None:
        """Note that http.client has read the head, or has refused it.

        Args:
            line: the status line as it was understood. Bytes without one were held back: a
                connection class may read that line from the socket itself, as botocore's does
                in wait of "100 Continue".
        """
        held = self.held
        self._begun = True
        if held:
            data = line + self.head
            self.head.clear()
            self.feed(memoryview(data))
            if self.eof:
                self.eof = False
                self.feed_eof()

    @property
    def held(self) -> bool:
        """Bytes came that begin with no status line, and it isn't known yet why."""
        return not self._begun and not self.head.startswith(b"HTTP/"[: len(self.head)])

    def feed(self, data: memoryview) -> None:
        """Take bytes as they come."""
        if self.complete:
            return
        if not self.head_done:
            rest = self._feed_head(data)
            if rest is None:
                return
            data = rest
        if self.chunks is not None:
            self.chunks.feed(data)
            self.complete = self.chunks.done
        elif self.length is None:
            if data:
                self._sink(data)
        else:
            piece = data[: self._left]
            if piece:
                self._sink(piece)
            self._left -= len(piece)
            self.complete = not self._left

    def feed_eof(self) -> None:
        """Take the end of the stream."""
        if not self.eof:
            self.eof = True
            if not self.head_done and not self.held:
                # http.client takes the end of the stream for the end of a line, and of the headers.
                status = _status(self.head)
                if status is not None or b"\n" in self.head:
                    self._end_head(status)
            if self.chunks is not None:
                self.chunks.feed_eof()
                self.complete = self.chunks.done
            elif self.head_done and self.length is None:
                self.complete = True

    def _feed_head(self, data: memoryview) -> memoryview | None:
        """Return what follows the head, once it is whole."""
        start = max(0, len(self.head) - 3)
        self.head += data
        if self.held:
            return None
        while True:
            end = _END.search(self.head, start)
            if end is None:
                if len(self.head) > _HEAD_LIMIT:
                    self.head_done = True
                    self.length = None
                return None
            data = data[len(data) - (len(self.head) - end.end()) :]
            del self.head[end.end() :]
            status = _status(self.head)
            if status != 100:
                break
            # http.client skips "100 Continue" and nothing else; so is it dropped here.
            self.head.clear()
            self.head += data
            start = 0
        self._end_head(status)
        return data

    def _end_head(self, status: int | None) -> None:
        self.head_done = True
        self.status = status
        coding, text = _framed_by(self.head)
        length = None
        if coding.lower() == "chunked":
            self.chunks = ChunkParser(self._sink)
        else:
            try:
                length = int(text) if text else None
            except ValueError:
                length = None
            if length is not None and length < 0:
                length = None
        if self._method == "HEAD":
            length, self.chunks = 0, None
        elif is_bodiless(status):
            # Chunks are read even here, against RFC 9112 §6.3: so http.client does.
            length = 0
        self.length = length
        self._left = length or 0
        self.complete = length == 0 and self.chunks is None


# The end of a head: its last line's, and the empty line.
_END = regex(rb"\n\r?\n")
# A head in which each line behind the first is a header, for whoever reads it.
_SIMPLE = regex(rb"[^\r\n]*\r?\n(?:[!-9;-~]+:[^\r\n]*\r?\n)*\r?\n")
# The headers that frame a body, in such a head.
_FIELD = regex(rb"\n(content-length|transfer-encoding):[ \t]*([^\r\n]*)", re.IGNORECASE)


def _framed_by(head: bytearray) -> tuple[str, str]:
    """Return ``Transfer-Encoding`` and ``Content-Length`` as http.client has them, or nothing.

    It reads headers with the email package, which ends a line at a lone CR too, and takes a line
    that is no header for the end of all.
    """
    if _SIMPLE.fullmatch(head):
        # Of repeats the first counts, as for email.message.Message.get.
        found = {name.lower(): value for name, value in reversed(_FIELD.findall(head))}
        coding, length = found.get(b"transfer-encoding", b""), found.get(b"content-length", b"")
        return coding.decode("latin-1"), length.decode("latin-1")
    try:
        message = parse_headers(io.BytesIO(head.partition(b"\n")[2]))
    except (HTTPException, ValueError):
        # So did http.client refuse it.
        return "", ""
    return str(message.get("transfer-encoding", "")), str(message.get("content-length", ""))


def _status(head: bytearray) -> int | None:
    version, status = status_line(head)
    return status if version.startswith("HTTP/") else None
