"""Content-addressed payload files: ``responses/<sha256>.bin``, one for each distinct body."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from .errors import IntegrityError, StoreError
from .utils import new_id

# Files up to this size are verified and served from one read.
_WHOLE = 8 << 20
_REMEMBERED = 4096
_SINGLE_SYNCS = 64


class Payloads(Protocol):
    """Where payloads are kept; the local folder here, other places behind the same methods."""

    def put(self, spool: Spool) -> str:
        """Keep a spool's bytes and return their checksum."""

    def path(self, checksum: str) -> Path:
        """Return where the payload's bytes lie, whether they do or not."""

    def open(self, checksum: str, size: int) -> BinaryIO:
        """Return the verified payload, to be read from its start."""

    def sync(self) -> None:
        """Return when everything put so far would survive a power cut."""


class Spool:
    """Bytes on their way into the store: digested as they come, in memory up to a limit.

    One writer at a time. :meth:`discard` gives back the temporary file.
    """

    __slots__ = ("_digest", "_file", "_folder", "_limit", "_parts", "_path", "size")

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._parts: list[bytes] = []
        self._folder = folder
        self._limit = limit
        self._file: BinaryIO | None = None
        self._path: Path | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; the buffer may be reused after the call."""
        self._digest.update(data)
        self.size += len(data)
        if self._file is not None:
            _write_all(self._file, data)
            return
        self._parts.append(bytes(data))
        if self.size > self._limit and self._folder is not None:
            self._path = self._folder / f".{new_id()}.tmp"
            self._file = os.fdopen(_create(self._path), "w+b", buffering=0)
            for part in self._parts:
                _write_all(self._file, part)
            self._parts.clear()

    @property
    def checksum(self) -> str:
        """Lowercase hex SHA-256 of the bytes so far."""
        return self._digest.hexdigest()

    @property
    def file(self) -> BinaryIO | None:
        """The temporary file, once the bytes outgrew memory."""
        return self._file

    @property
    def temporary(self) -> Path | None:
        """That file's path."""
        return self._path

    def content(self) -> bytes:
        """Return all the bytes."""
        if self._file is not None:
            self._file.seek(0)
            return self._file.read()
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def discard(self) -> None:
        """Let go of memory and of the temporary file."""
        self._parts.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._path = None

    def forget(self) -> None:
        """Leave the temporary file to another process, which still writes it."""
        self._path = None
        self.discard()

    def moved(self) -> None:
        """Forget the temporary file, which now has its lasting name."""
        self._path = None
        self.discard()


class PayloadFolder:
    """Payload files in one folder of the local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[str] = set()
        self._unsynced: list[str] = []
        self._unlisted = False

    def create(self) -> None:
        """Make the folder, for its owner alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, checksum: str) -> Path:
        """Return the path of a payload; the name is our own digest, never the server's text."""
        return self.folder / f"{checksum}.bin"

    def put(self, spool: Spool) -> str:
        """Keep a spool's bytes under their checksum; the same bytes twice are one file.

        Raises:
            OSError: the disk refused.
        """
        checksum = spool.checksum
        target = self.path(checksum)
        if self._holds(target, checksum, spool.size):
            spool.discard()
            return checksum
        if spool.temporary is None:
            self._write(target, spool.content())
            spool.discard()
        else:
            spool.temporary.replace(target)
            spool.moved()
        self._put(checksum)
        return checksum

    def keep(self, checksum: str, content: bytes) -> None:
        """Keep bytes whose checksum is known.

        Raises:
            OSError: the disk refused.
        """
        target = self.path(checksum)
        if not self._holds(target, checksum, len(content)):
            self._write(target, content)
            self._put(checksum)

    def _write(self, target: Path, content: bytes) -> None:
        temporary = self.folder / f".{new_id()}.tmp"
        try:
            with os.fdopen(_create(temporary), "wb", buffering=0) as file:
                _write_all(file, content)
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _put(self, checksum: str) -> None:
        if len(self._unsynced) < _SINGLE_SYNCS:
            self._unsynced.append(checksum)
        else:
            self._unlisted = True

    def _holds(self, target: Path, checksum: str, size: int) -> bool:
        """Say whether a payload is there, whole; a damaged one counts as absent and is replaced."""
        try:
            if target.stat(follow_symlinks=False).st_size != size:
                return False
        except OSError:
            return False
        if checksum not in self._verified:
            try:
                self.open(checksum, size).close()
            except IntegrityError:
                return False
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified.add(checksum)
        return True

    def open(self, checksum: str, size: int) -> BinaryIO:
        """Return a payload that was checked against its checksum a moment ago.

        Raises:
            IntegrityError: the file is missing or holds other bytes; it is named.
        """
        path = self.path(checksum)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as exc:
            raise IntegrityError(
                f"the payload {path} can't be opened ({exc.strerror}); restore the file from a "
                "copy or record the call again",
                path=path,
            ) from exc
        file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            if os.fstat(descriptor).st_size != size:
                raise _damaged(path)
            if size <= _WHOLE:
                content = file.read()
                if hashlib.sha256(content).hexdigest() != checksum:
                    raise _damaged(path)
                file.close()
                return io.BytesIO(content)
            if hashlib.file_digest(file, "sha256").hexdigest() != checksum:
                raise _damaged(path)
            file.seek(0)
            return file
        except BaseException:
            file.close()
            raise

    def verify(self, checksum: str, size: int) -> None:
        """Read the whole payload and check it.

        Raises:
            IntegrityError: the file is missing or holds other bytes; it is named.
        """
        path = self.path(checksum)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if os.fstat(file.fileno()).st_size != size or found != checksum:
                    raise _damaged(path)
        except OSError as exc:
            raise _damaged(path) from exc

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of the folder, each with the checksum that its name begins with."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as found:
            for entry in found:
                yield entry.name.partition(".")[0], Path(entry.path)

    def sync(self) -> None:
        """Sync what was put since the last time, and the folder's names."""
        pending, self._unsynced = self._unsynced, []
        if self._unlisted:
            # One sync of everything is cheaper than hundreds of single ones; Linux waits for it.
            self._unlisted = False
            os.sync()
            return
        for checksum in pending:
            _sync(self.path(checksum))
        if pending:
            _sync(self.folder)


def _damaged(path: Path) -> StoreError:
    return IntegrityError(
        f"the payload {path} does not hold the bytes of its name; it is damaged and was not "
        "served: restore the file from a copy or record the call again",
        path=path,
    )


def _create(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags, 0o600)


def _write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
