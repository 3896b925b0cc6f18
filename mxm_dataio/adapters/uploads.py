"""A streamed request body that is read before it is sent, to know which call it belongs to.

In replay it is never sent. Where calls are recorded too (``auto``), what has been read goes out all
the same: a file is put back to where it stood, and of what can't be read twice the very pieces are
kept, since they are chunks on the wire.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from ..storage.payloads.spool import Spool
from .attempt import view

_STEP = 65536


class Upload:
    """A body that is a stream.

    Args:
        body: a file, or what yields pieces.
        coding: of text in a file.
        spool: makes an empty spool.
    """

    def __init__(self, body: Any, coding: str, spool: Callable[[], Spool]) -> None:
        self._body = body
        self._coding = coding
        self._make = spool
        self._start = _position(body)
        self._kept: Spool | None = None
        self._sizes: list[int] = []

    def read(self) -> Spool:
        """Return a spool with what would be sent, from where the body stands; the caller's."""
        spool = self._make()
        try:
            for part in body_parts(self._body, self._coding):
                spool.write(part)
                self._sizes.append(len(part))
        except BaseException:
            spool.discard()
            raise
        return spool

    @property
    def rereadable(self) -> bool:
        """Say whether the body itself can be sent after it was read."""
        body = self._body
        return self._start is not None or not (hasattr(body, "read") or iter(body) is body)

    def again(self, spool: Spool) -> Any:
        """Return what is sent in the body's place after it was read, the body itself if it can be.

        Args:
            spool: with what was read; no longer the caller's.
        """
        body = self._body
        if self.rereadable:
            spool.discard()
            if self._start is not None:
                body.seek(self._start)
            return body
        return (_Reader if hasattr(body, "read") else _pieces)(spool, self._sizes)


def body_parts(body: Any, coding: str) -> Iterator[Any]:
    """Yield a streamed body's bytes as urllib3 would send them, from where it stands."""
    if hasattr(body, "read"):
        while part := body.read(_STEP):
            yield part.encode(coding, "replace") if isinstance(part, str) else part
        return
    try:
        parts: Any = (view(body),)
    except TypeError:
        parts = body
    for part in parts:
        yield part.encode("utf-8") if isinstance(part, str) else part


def _position(body: Any) -> int | None:
    """Return where a file stands, if it can be put back there."""
    try:
        if not (hasattr(body, "read") and body.seekable()):
            return None
        position = body.tell()
        return position if isinstance(position, int) else None
    except (AttributeError, OSError, ValueError):
        return None


def _pieces(spool: Spool, sizes: list[int]) -> Iterator[bytes]:
    """Yield what was read, in the same pieces."""
    at = 0
    try:
        file = spool.file
        content = b"" if file is not None else spool.content()
        for size in sizes:
            yield content[at : at + size] if file is None else os.pread(file.fileno(), size, at)
            at += size
    finally:
        spool.discard()


class _Reader:
    """A file that can only be read on."""

    def __init__(self, spool: Spool, sizes: list[int]) -> None:
        self._pieces = _pieces(spool, sizes)
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes, all there are without a number."""
        while size < 0 or not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        end = len(self._left) if size < 0 else size
        data, self._left = self._left[:end], self._left[end:]
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(_STEP):
            yield data
