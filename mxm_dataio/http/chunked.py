"""The chunked transfer coding (RFC 9112 §7.1): undone, and made again as it was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..models import Framing

Sink = Callable[[bytes | memoryview], None]
# What http.client takes for a line, and urllib3 since 2.8; a longer one ends the reading.
_LINE_LIMIT = 65536
# Bytes kept of trailers, and of what is no chunked coding; readers go on for as long as they come.
_TRAILERS_LIMIT = 1 << 20
_WRECK_LIMIT = 2 << 20
# Bytes looked at for the end of a line at a time: more than most have, no copy of what follows.
_LOOK = 64
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
