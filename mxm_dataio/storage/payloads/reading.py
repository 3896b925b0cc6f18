"""Reading payload files, of which no byte is handed out that was not checked.

Up to a size a payload is read and checked at once. A larger one is checked block by block as it is
read, by ``<sha256>.prefixes`` beside it (see :mod:`.prefixes`, which says why so), so that its
first byte does not wait for its last. Without that file the payload is hashed whole first.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...errors import ConfigError, IntegrityError
from ..descriptors import Descriptor, OwnFile
from ..files import READ, open_plain
from .checked_file import VerifiedFile
from .compression import MOST, Decompressed, decompress
from .drain import BLOCK
from .prefixes import Prefixes, room

# Payloads up to this size are verified and served from one read.
WHOLE = 2 << 20
# Of a payload of half a tebibyte.
_LARGEST_PREFIXES = 64 << 20
# An empty file: payloads are, or were, compressed in this folder.
MIXED = ".compressed"


class PayloadReader:
    """Payload files in one folder of the local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What every name begins with: a Path made for each opening costs more than the opening.
        self._names = f"{folder}{os.sep}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Have an answer that is pickled find its payload where that lies."""
        return PayloadReader, (self.folder,)

    def path(self, checksum: str) -> Path:
        """Return the path of a payload; the name is our own digest, never the server's text.

        That of the compressed file, if there is no other.
        """
        name = self._name(checksum)
        if not os.path.lexists(name) and os.path.lexists(f"{name}.zst"):
            return Path(f"{name}.zst")
        return Path(name)

    def _name(self, checksum: str) -> str:
        return f"{self._names}{checksum}.bin"

    def prefixes_path(self, checksum: str) -> Path:
        """Return the path of what a large payload is checked by."""
        return self.folder / f"{checksum}.prefixes"

    def open(self, checksum: str, size: int) -> BinaryIO:
        """Return a payload, to be read once, from its start. No byte comes that is not checked.

        Raises:
            IntegrityError: the file is missing or holds other bytes; it is named. Reading a large
                one raises this too, before the block that is damaged.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        if size <= WHOLE:
            return self._open_small(checksum, size)
        file = self._opened(checksum, size)
        try:
            prefixes = self._prefixes(checksum, size) or self._hashed(file, checksum)
            damaged = functools.partial(_damaged, self.path(checksum))
            return cast(BinaryIO, VerifiedFile(file, checksum, prefixes, damaged))
        except BaseException:
            file.close()
            raise

    def read(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""
        try:
            with self.open(checksum, size) as file:
                return file.read()
        except (IntegrityError, ConfigError):
            return None

    def verify(self, checksum: str, size: int, *, beside: bool = False) -> None:
        """Read the whole payload and check it.

        Args:
            beside: check its prefixes too, if there are any.

        Raises:
            IntegrityError: the payload is missing or holds other bytes, or the prefixes do,
                and then the payload is sound; the file is named.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        with self._opened(checksum, size) as file:
            prefixes = self._hashed(file, checksum)
        path = self.prefixes_path(checksum)
        if beside and (path.is_symlink() or path.exists()):
            held = self._prefixes(checksum, size)
            if held is None or (held.block == prefixes.block and held != prefixes):
                raise IntegrityError(
                    f"{path} is damaged; the payload beside it is sound, and is hashed before its "
                    "first byte is served: remove the file or record the call again",
                    path=path,
                )

    def _open_small(self, checksum: str, size: int) -> BinaryIO:
        for last in (False, False, True):
            descriptor, compressed = self._descriptor(checksum)
            try:
                content = _read(descriptor, size)
                break
            except OSError as exc:
                # The program may have closed it, in another thread.
                if last or exc.errno != errno.EBADF:
                    raise self._unreadable(checksum, exc) from exc
            finally:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if compressed:
            content = decompress(content, size)
        if len(content) != size or hashlib.sha256(content).hexdigest() != checksum:
            raise _damaged(self.path(checksum))
        return io.BytesIO(content)

    def _hashed(self, file: BinaryIO, checksum: str) -> Prefixes:
        try:
            prefixes, found = Prefixes.of(file, BLOCK)
        except OSError as exc:
            raise _damaged(self.path(checksum)) from exc
        if found != checksum:
            raise _damaged(self.path(checksum))
        return prefixes

    def _opened(self, checksum: str, size: int) -> BinaryIO:
        descriptor, compressed = self._descriptor(checksum)
        name = f"{self._name(checksum)}{'.zst' if compressed else ''}"
        try:
            held = Descriptor(descriptor, Path(name), READ)
        except OSError as exc:
            os.close(descriptor)
            raise self._unreadable(checksum, exc) from exc
        file = cast(BinaryIO, OwnFile(held))
        try:
            kept = os.fstat(file.fileno())
            if not stat.S_ISREG(kept.st_mode):
                raise _damaged(self.path(checksum))
            if compressed and kept.st_size < size <= kept.st_size * MOST:
                return cast(BinaryIO, Decompressed(file, size))
            if compressed or kept.st_size != size:
                raise _damaged(self.path(checksum))
        except BaseException:
            file.close()
            raise
        return file

    def _prefixes(self, checksum: str, size: int) -> Prefixes | None:
        """Return what a large payload is checked by, if it is there and sound."""
        try:
            with os.fdopen(open_plain(self.prefixes_path(checksum)), "rb") as file:
                kept = os.fstat(file.fileno()).st_size
                # What is stated may be anything; what is there is read, if it can be meant.
                if not 0 < kept <= min(room(size), _LARGEST_PREFIXES):
                    return None
                return Prefixes.decode(file.read(kept), size)
        except OSError:
            return None

    def _descriptor(self, checksum: str) -> tuple[int, bool]:
        """Return a payload's file, and whether it is compressed."""
        name = self._name(checksum)
        try:
            try:
                # Of a small one that is no plain file the bytes will tell; a large one is asked.
                return os.open(name, READ), False
            except FileNotFoundError:
                return os.open(f"{name}.zst", READ), True
        except OSError as exc:
            raise self._unreadable(checksum, exc) from exc

    def _unreadable(self, checksum: str, exc: OSError) -> IntegrityError:
        path = self.path(checksum)
        return IntegrityError(
            f"the payload {path} can't be opened ({exc.strerror}); restore the file from a "
            "copy or record the call again",
            path=path,
        )

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of the folder, each with the checksum that its name begins with."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as found:
            for entry in found:
                if entry.name != MIXED:
                    yield entry.name.partition(".")[0], Path(entry.path)


def _read(descriptor: int, size: int) -> bytes:
    """Return what a file holds, up to one byte more than it should."""
    content = os.read(descriptor, size + 1)
    # Some file systems give less at once; of the rest, nothing is at the end.
    while len(content) < size and (more := os.read(descriptor, size + 1 - len(content))):
        content += more
    return content


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"the payload {path} does not hold the bytes of its name; it is damaged and was not "
        "served: restore the file from a copy or record the call again",
        path=path,
    )
