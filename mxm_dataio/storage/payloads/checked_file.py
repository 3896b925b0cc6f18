"""A large payload as it is served: each block checked before a byte of it is handed out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO

from ...errors import IntegrityError
from .prefixes import Prefixes, fill


class VerifiedFile(io.RawIOBase):
    """Reads a payload once, from its start. What is handed out is what was checked.

    Args:
        file: unbuffered; closed with this one.
        checksum: of the whole.
        damaged: makes what is raised when bytes are not those recorded.
    """

    def __init__(
        self,
        file: BinaryIO,
        checksum: str,
        prefixes: Prefixes,
        damaged: Callable[[], IntegrityError],
    ) -> None:
        self._file = file
        self._checksum = checksum
        self._prefixes = prefixes
        self._damaged = damaged
        self._digest = hashlib.sha256()
        self._buffer = memoryview(bytearray(prefixes.block))
        self._ready = self._buffer[:0]
        self._at = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return some of the next bytes, at most a block; all that are left without a size.

        Raises:
            IntegrityError: the next block is damaged; so it is said again and again.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(self._prefixes.block), b""))
        return bytes(self._next(size))

    def readinto(self, buffer: Any, /) -> int:
        """Read some of the next bytes into a buffer; see :meth:`read`."""
        into = memoryview(buffer).cast("B")
        data = self._next(len(into))
        into[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> memoryview:
        if not self._ready and self._at < self._prefixes.size:
            self._advance()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _advance(self) -> None:
        """Read and check the next block; nothing has changed if that fails or is interrupted."""
        end = min(self._at + self._prefixes.block, self._prefixes.size)
        block = self._buffer[: end - self._at]
        try:
            self._file.seek(self._at)
            whole = fill(self._file, block) == len(block)
        except OSError as exc:
            # Not as it is: it would pass for an error of the network.
            raise self._damaged() from exc
        digest = self._digest.copy()
        digest.update(block)
        if end == self._prefixes.size:
            sound = digest.hexdigest() == self._checksum
        else:
            sound = digest.digest() == self._prefixes.at(end)
        if not (whole and sound):
            raise self._damaged()
        self._digest, self._at, self._ready = digest, end, block

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
            super().close()
