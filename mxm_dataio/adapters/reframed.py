"""The bytes of a recorded answer, framed again as they came off the wire."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from ..http.chunked import encode
from ..models import Framing, Response
from ..storage.backend import Backend
from . import failures

_STEP = 1 << 16
# Of a chunk: more than any body has.
_ENDLESS = 1 << 62


class RecordedRaw(io.RawIOBase):
    """The bytes of a recorded answer as they came off the wire.

    Args:
        response: the attempt.
        payload: its body, verified, at the start.
        beyond: called when a read goes past what was recorded of a body the program broke off.
        head: begin with the head, not behind it.
    """

    def __init__(
        self,
        response: Response,
        payload: BinaryIO,
        beyond: Callable[[], BaseException],
        *,
        head: bool = True,
    ) -> None:
        self._response = response
        self._payload = payload
        self._beyond = beyond
        self._pieces = iter([(b"", response.size)])
        if response.framing is not None or _chunked(response):
            self._pieces = encode(_framing(response), response.size)
        self._ready = memoryview(response.head if head else b"")
        self._left = 0
        self._failed = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next recorded bytes; at their end, do what the connection did."""
        room = memoryview(buffer).cast("B")
        while not self._ready:
            if self._left:
                data = self._payload.read(min(self._left, len(room), _STEP))
                self._left -= len(data)
                self._ready = memoryview(data)
            else:
                piece = next(self._pieces, None)
                if piece is None:
                    return self._end()
                self._ready, self._left = memoryview(piece[0]), piece[1]
        count = min(len(room), len(self._ready))
        room[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _end(self) -> int:
        response = self._response
        if response.truncated:
            raise self._beyond()
        if response.failure is not None and response.status_code is not None:
            return self._fail(failures.load(response.failure))
        if response.complete or response.closed_by_peer:
            return 0
        raise self._beyond()

    def _fail(self, exc: BaseException) -> int:
        """Raise what was met, once: then a socket is at its end, or says that it timed out."""
        if not self._failed:
            self._failed = True
            raise exc
        if isinstance(exc, TimeoutError):
            raise OSError("cannot read from timed out object")
        return 0

    def close(self) -> None:
        """Let go of the payload."""
        if not self.closed:
            self._payload.close()
            super().close()


def opened(store: Backend, response: Response) -> BinaryIO:
    """Return the payload of an attempt that is served, which may be one that was changed."""
    if response.checksum is None:
        return io.BytesIO()
    return store.open(response) if response.payload is None else response.open()


def is_bare(response: Response) -> bool:
    """Say that an answer ended well, and nothing but its payload is behind its head."""
    return (
        response.complete
        and response.failure is None
        and response.framing is None
        and not _chunked(response)
    )


def _chunked(response: Response) -> bool:
    if b"chunked" not in response.head.lower():
        return False
    value = response.header("Transfer-Encoding")
    return value is not None and value.lower() == "chunked"


def _framing(response: Response) -> Framing | None:
    """Return how to cut a chunked body; one that has no end is a chunk without an end."""
    if response.framing is None and not response.complete:
        return Framing(((_ENDLESS, 1),))
    return response.framing
