"""Descriptors that are asked whether they are still ours before anything is done by them.

The program that is watched may close any of them: a daemon closes all (``os.closerange``), others
have ``os.dup2`` put a file of theirs in place of a number. What it opens next may get our number,
and would be written to, cut off or closed by us. So a number goes with the file that it was opened
for, and is compared to it before each use (``fstat``, half a microsecond).

A file of ours that has lost its number is opened anew by its path, if it is still there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
from pathlib import Path
from typing import Any

# Those below are the program's: whoever writes to standard error is not to write to our file.
_LEAST = 3


class LostError(OSError):
    """A number is another's by now, and the file that it was opened for is not to be had."""

    def __init__(self, path: str | Path | None) -> None:
        super().__init__(
            errno.EBADF, "The program closed its descriptor, and it can't be opened anew", path
        )


class Descriptor:
    """The number of an open file, and which file that is.

    Args:
        number: this one's to close from now on.
        path: where the file is, to open it anew; ``None``: nowhere.
        flags: how to open it anew.
        locked: it has an ``flock``, without which it is another's.
    """

    __slots__ = ("_file", "_flags", "_locked", "_number", "path")

    def __init__(
        self, number: int, path: str | Path | None = None, flags: int = 0, *, locked: bool = False
    ) -> None:
        self._number = -1
        self.path = path
        self._flags = flags
        self._locked = locked
        if number < _LEAST:
            # Duplicates share the lock.
            low, number = number, fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _LEAST)
            os.close(low)
        found = os.fstat(number)
        self._file = found.st_dev, found.st_ino
        self._number = number

    def number(self) -> int:
        """Return the number to use the file by.

        Raises:
            LostError: the program has closed it, and the file is not at its path any more.
        """
        return self._number if self.found() is not None else self._renewed()

    @property
    def raw(self) -> int:
        """The number, whoever has it by now."""
        return self._number

    def found(self) -> os.stat_result | None:
        """Return what the system says of the file, if the number is still ours."""
        try:
            found = os.fstat(self._number)
        except OSError:
            return None
        return found if (found.st_dev, found.st_ino) == self._file else None

    def is_at_path(self) -> bool:
        """Say whether the file is where it was made."""
        if self.path is None:
            return False
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def _renewed(self) -> int:
        if self.path is None or self._number < 0:
            raise LostError(self.path)
        try:
            made = Descriptor(
                os.open(self.path, self._flags | os.O_NOFOLLOW | os.O_CLOEXEC), locked=self._locked
            )
        except OSError:
            raise LostError(self.path) from None
        try:
            if made._file != self._file:
                raise LostError(self.path)
            if self._locked:
                # Whoever holds it has taken the file for a dead process's.
                with contextlib.suppress(OSError):
                    fcntl.flock(made._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._number, made._number = made._number, -1
                    return self._number
                raise LostError(self.path)
        except BaseException:
            made.close()
            raise
        self._number, made._number = made._number, -1
        return self._number

    def write(self, data: bytes) -> None:
        """Write the file's content, from its beginning.

        Raises:
            OSError: the disk refused; or as :meth:`number` does.
        """
        at = os.pwrite(self.number(), data, 0)
        while at < len(data):
            # A disk that is full takes a part, and refuses the next.
            at += os.pwrite(self.number(), memoryview(data)[at:], at)

    def close(self) -> None:
        """Close it, if it is ours."""
        number, self._number = self._number, -1
        with contextlib.suppress(OSError):
            found = os.fstat(number)
            if (found.st_dev, found.st_ino) == self._file:
                os.close(number)

    def release(self) -> None:
        """Close it, and let go of its lock."""
        # A child forked meanwhile has the same lock open, and would keep it.
        if self.found() is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._number, fcntl.LOCK_UN)
        self.close()

    def __del__(self) -> None:
        if self._number >= 0:
            self.close()


class OwnFile(io.RawIOBase):
    """An unbuffered file of ours, read and written through a :class:`Descriptor`.

    Its place is its own: it is not that of the number, which may be another's.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._at = 0

    def fileno(self) -> int:
        """Return the number; raises as :meth:`Descriptor.number` does."""
        return self._descriptor.number()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def seekable(self) -> bool:
        """Say that it has a place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place counted from the start."""
        if whence != io.SEEK_SET:
            raise OSError(errno.EINVAL, "counted from the start alone")
        self._at = offset
        return offset

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read some of the next bytes into a buffer."""
        count = os.preadv(self.fileno(), [buffer], self._at)
        self._at += count
        return count

    def write(self, data: Any, /) -> int:
        """Write some bytes, and return how many."""
        count = os.pwrite(self.fileno(), data, self._at)
        self._at += count
        return count

    def close(self) -> None:
        """Close it, if the number is ours."""
        if not self.closed:
            self._descriptor.close()
            super().close()
