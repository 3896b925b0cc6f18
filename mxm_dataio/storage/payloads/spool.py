"""A body while it comes: in memory, then in a temporary file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO, cast

from ...utils import new_id
from .. import locks
from ..descriptors import Descriptor, OwnFile
from .drain import BLOCK, Drain
from .prefixes import Prefixes


class Spool:
    """Bytes on their way into the store: in memory up to a limit, then in a temporary file.

    One writer at a time. :meth:`discard` gives back the temporary file.
    """

    __slots__ = ("_drain", "_file", "_folder", "_parts", "_path", "_room")

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._parts: list[bytes] = []
        self._folder = folder
        self._room = limit
        self._drain: Drain | None = None
        self._file: BinaryIO | None = None
        self._path: Path | None = None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return sum(map(len, self._parts)) if self._drain is None else self._drain.size

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; the buffer may be reused after the call.

        Raises:
            OSError: the disk refused these bytes or earlier ones.
        """
        if self._drain is not None:
            self._drain.write(data)
            return
        self._parts.append(bytes(data))
        self._room -= len(data)
        if self._room < 0 and self._folder is not None:
            self._move(self._folder)

    def _move(self, folder: Path) -> None:
        """Go on in a temporary file."""
        if self._file is None:
            number, path = create(folder)
            self._path = Path(path)
            self._file = cast(BinaryIO, OwnFile(held(number, path)))
        drain = Drain(self._file)
        for part in self._parts:
            drain.write(part)
        self._drain = drain
        self._parts = []

    @property
    def checksum(self) -> str:
        """Lowercase hex SHA-256 of the bytes so far.

        Raises:
            OSError: the disk refused some of them.
        """
        drain = self._drain
        if drain is None:
            return hashlib.sha256(self._whole()).hexdigest()
        drain.finish()
        return drain.checksum()

    def prefixes(self) -> Prefixes:
        """Return the digests of the beginnings of the bytes so far.

        Raises:
            OSError: the disk refused some of them.
        """
        drain = self._finished()
        if drain is None:
            return Prefixes.of(io.BytesIO(self._whole()), BLOCK)[0]
        return Prefixes(BLOCK, drain.size, drain.prefixes())

    @property
    def file(self) -> BinaryIO | None:
        """The temporary file with all the bytes, once they outgrew memory."""
        return self._file if self._finished() is not None else None

    @property
    def temporary(self) -> Path | None:
        """That file's path."""
        return self._path if self._finished() is not None else None

    def content(self) -> bytes:
        """Return all the bytes."""
        if (file := self.file) is not None:
            file.seek(0)
            return file.read()
        return self._whole()

    def beginning(self, size: int) -> bytes:
        """Return the first bytes."""
        if (file := self.file) is not None:
            file.seek(0)
            return file.read(size)
        return self._whole()[:size]

    def _whole(self) -> bytes:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def rest(self) -> None:
        """End the thread that writes, if there is one, since no more comes for a while.

        Raises:
            OSError: the disk refused some of the bytes.
        """
        self._finished()

    def discard(self) -> None:
        """Let go of memory and of the temporary file; what comes yet goes nowhere."""
        drain, self._drain = self._drain, None
        if drain is not None:
            drain.abandon()
        self._drop()

    def forget(self) -> None:
        """Leave the temporary file to the parent process, in a child that was forked amid it."""
        self._path = self._drain = None
        self._drop()

    def moved(self) -> None:
        """Forget the temporary file, which now has its lasting name."""
        self._path = None
        self.discard()

    def _drop(self) -> None:
        self._folder = None
        self._parts = []
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._path = None

    def _finished(self) -> Drain | None:
        if self._drain is not None:
            self._drain.finish()
        return self._drain


class Nowhere(Spool):
    """Takes a body where there is no store: what can't be recorded is not to fill memory."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, 0)

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes, and keep none."""


def create(folder: Path) -> tuple[int, str]:
    """Make a temporary file, which is no one's to delete as long as it is open."""

    def name() -> str:
        # Not joined as a Path: that costs more than the file.
        return f"{folder}{os.sep}{new_id()}{locks.TEMPORARY}"

    try:
        return locks.create(name, os.O_RDWR)
    except FileNotFoundError:
        folder.mkdir(mode=0o700, exist_ok=True)
        return locks.create(name, os.O_RDWR)


def held(number: int, path: str) -> Descriptor:
    """Return what such a file is written by."""
    return Descriptor(number, path, os.O_RDWR, locked=True)
