"""Reads an HTTP/1 message off a byte stream as ``http.client`` will, without holding it up.

Not a validating parser: its rules are those of :class:`http.client.HTTPResponse`, since the
payload recorded has to be the one the program gets. (That client takes only the exact coding
``chunked`` as chunked, skips only 100 of the interim answers, and ends lines at LF.)
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from http.client import HTTPException, parse_headers

from ..models import Framing
from .heads import status_line

Sink = Callable[[bytes | memoryview], None]

# What http.client takes for a line, and urllib3 since 2.8; a longer one ends the reading.
_LINE_LIMIT = 65536
# Bytes kept of trailers, and of what is no chunked coding; readers go on for as long as they come.
_TRAILERS_LIMIT = 1 << 20
_WRECK_LIMIT = 2 << 20
# Bytes looked at for the end of a line at a time: more than most have, no copy of what follows.
_LOOK = 64
_HEAD_LIMIT = 8 << 20
# What is kept of how a body was cut: odd leads, their bytes, and runs of one size.
_ODD_LIMIT = 4096
_ODD_BYTES = 1 << 20
_RUNS_LIMIT = 65536
# What is written down of a size that no body has; its lead says it as it came.
_LARGEST = 1 << 62


class ChunkParser:
    """Undoes the chunked transfer coding (RFC 9112 §7.1) and remembers how it was cut.

    Attributes:
        done: the coding ended.
    """

    __slots__ = (
        "_between", "_index", "_left", "_line_at", "_noting", "_odd", "_odd_room", "_overflow",
        "_runs", "_sink", "_state", "done",
    )  # fmt: skip

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._state = self._size
        # What came since the last data: line end, size line, trailers. Where its last line starts.
        self._between = bytearray()
        self._line_at = 0
        self._left = 0
        self._index = 0
        self._runs: list[list[int]] = []
        self._odd: dict[int, bytes] = {}
        self._odd_room = _ODD_BYTES
        self._noting = True
        self._overflow = False
        self.done = False

    def feed(self, data: memoryview) -> None:
        """Take bytes off the wire."""
        while data and not self.done:
            data = self._state(data)

    def feed_eof(self) -> None:
        """Take the end of the stream, which readers take for the end of the trailers."""
        if self._state == self._trailer:
            self.done = True

    def framing(self) -> Framing | None:
        """Return how the body was cut, or ``None`` if that is more than is worth keeping."""
        if self._overflow:
            return None
        runs = tuple((size, count) for size, count in self._runs)
        return Framing(runs, dict(self._odd), bytes(self._between) if self._noting else b"")

    def freeze(self) -> None:
        """Note no more of how the body is cut."""
        self._noting = False

    def _overflows(self) -> None:
        """Let go of what was noted: it is more than is worth keeping."""
        self._overflow = True
        self._noting = False
        self._runs, self._odd = [], {}

    def _line(self, data: memoryview) -> tuple[bytes | None, memoryview]:
        """Return a line, end included, once it is whole, and the rest."""
        piece = bytes(data[:_LOOK])
        end = piece.find(b"\n") + 1
        taken = end or len(piece)
        self._between += piece[:taken]
        line = None
        if end:
            line = bytes(self._between[self._line_at :])
        if len(self._between) - self._line_at > _LINE_LIMIT:
            line = None
            self._state = self._wreck
        elif end:
            self._line_at = len(self._between)
        return line, data[taken:]

    def _size(self, data: memoryview) -> memoryview:
        line, rest = self._line(data)
        if line is None:
            return rest
        try:
            size = int(line.split(b";", 1)[0], 16)
        except ValueError:
            size = -1
        if size < 0:
            self._state = self._wreck
        elif size == 0:
            self._state = self._trailer
        else:
            self._begin(size)
        return rest

    def _begin(self, size: int) -> None:
        """Begin a chunk's data."""
        if self._noting:
            self._note(size)
        self._between.clear()
        self._line_at = 0
        self._index += 1
        self._left = size
        self._state = self._data

    def _note(self, size: int) -> None:
        """Note a chunk, and what led to it."""
        end = b"\r\n" if self._index else b""
        size = min(size, _LARGEST)
        if self._between != b"%s%x\r\n" % (end, size):
            self._odd_room -= len(self._between)
            if self._odd_room < 0 or len(self._odd) >= _ODD_LIMIT:
                self._overflows()
                return
            self._odd[self._index] = bytes(self._between)
        if self._runs and self._runs[-1][0] == size:
            self._runs[-1][1] += 1
        elif len(self._runs) < _RUNS_LIMIT:
            self._runs.append([size, 1])
        else:
            self._overflows()

    def _data(self, data: memoryview) -> memoryview:
        piece = data[: self._left]
        self._sink(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = self._data_end
        return data[len(piece) :]

    def _data_end(self, data: memoryview) -> memoryview:
        # http.client drops any two bytes here, without a look.
        taken = min(2 - len(self._between), len(data))
        self._between += data[:taken]
        if len(self._between) == 2:
            self._line_at = 2
            self._state = self._size
        return data[taken:]

    def _trailer(self, data: memoryview) -> memoryview:
        line, rest = self._line(data)
        if line is not None:
            self.done = line in (b"\r\n", b"\n")
            if len(self._between) > _TRAILERS_LIMIT and not self.done:
                self._overflows()
                self._between.clear()
                self._line_at = 0
        return rest

    def _wreck(self, data: memoryview) -> memoryview:
        """Keep what is no chunked coding, within bounds."""
        self._between += data[: max(0, _WRECK_LIMIT - len(self._between))]
        return data[len(data) :]


def encode(framing: Framing | None, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield how to cut a body of ``size`` bytes: ``(bytes to send first, payload bytes)`` pieces.

    The last piece carries what follows the payload. Without framing the body is one chunk. There
    are no more pieces than bytes, whatever a framing from elsewhere says.
    """
    if framing is None:
        runs = ((size, 1),) if size else ()
        framing = Framing(runs, tail=b"\r\n0\r\n\r\n" if size else b"0\r\n\r\n")
    index = 0
    for length, count in framing.chunks:
        for _ in range(count):
            lead = framing.odd.get(index, b"%s%x\r\n" % (b"\r\n" if index else b"", length))
            yield lead, min(length, size)
            size -= length
            index += 1
            if size < 0:
                return
    yield framing.tail, 0


class MessageParser:
    """One answer off the wire: its head as bytes, its body to a sink.

    Args:
        method: of the request; ``HEAD`` has no body.
        sink: takes the payload, after transfer and before content decoding.

    Attributes:
        head: bytes of status line and headers, with the empty line.
        status: the status code, or ``None`` until the head is whole and sound.
        complete: the body ended as its framing says.
        eof: the peer closed.
    """

    __slots__ = (
        "_begun", "_head_done", "_left", "_method", "_sink", "chunks", "complete", "eof",
        "head", "length", "status",
    )  # fmt: skip

    def __init__(self, method: str, sink: Sink) -> None:
        self._method = method.upper()
        self._sink = sink
        self.head = bytearray()
        self._begun = False
        self._head_done = False
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

    @property
    def head_done(self) -> bool:
        """The head is whole; what came since is body."""
        return self._head_done

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
        if not self._head_done:
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
            if not self._head_done and not self.held:
                # http.client takes the end of the stream for the end of a line, and of the headers.
                status = _status(self.head)
                if status is not None or b"\n" in self.head:
                    self._end_head(status)
            if self.chunks is not None:
                self.chunks.feed_eof()
                self.complete = self.chunks.done
            elif self._head_done and self.length is None:
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
                    self._head_done = True
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
        self._head_done = True
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
        elif status in (204, 304) or 100 <= (status or 0) < 200:
            # Chunks are read even here, against RFC 9112 §6.3: so http.client does.
            length = 0
        self.length = length
        self._left = length or 0
        self.complete = length == 0 and self.chunks is None


# The end of a head: its last line's, and the empty line.
_END = re.compile(rb"\n\r?\n")
# A head in which each line behind the first is a header, for whoever reads it.
_SIMPLE = re.compile(rb"[^\r\n]*\r?\n(?:[!-9;-~]+:[^\r\n]*\r?\n)*\r?\n")
# The headers that frame a body, in such a head.
_FIELD = re.compile(rb"\n(content-length|transfer-encoding):[ \t]*([^\r\n]*)", re.IGNORECASE)


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
