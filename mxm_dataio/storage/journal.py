"""Calls on their way into the catalog: files to which a call is one ``write()``.

A commit and a file for each payload cost more than everything else that recording does. So a
call is first appended, whole, to a journal of its process, ``journal/<id>.journal``; a process
that is killed leaves it behind, and the next that opens the store takes in what it holds. What
is in a journal is as safe from ``kill -9`` as what is in the catalog; neither survives a power
cut before a sync.

A file is the line :data:`MAGIC`, then entries: the lengths of document and bytes and the CRC-32
of both, 32 bits each, little-endian; the document, JSON in ASCII; the bytes that it tells the
lengths of, heads and payloads one behind the other. An entry that was broken off ends the file.
An entry is a call, or the row of a session that could not be written to the database.

While its owner lives it holds a lock on the file (``flock``), which ends with the process
however that ends. A journal shows under its name only once it is locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import MALFORMED, IntegrityError
from ..utils import new_id
from . import locks
from .catalog import rows
from .descriptors import LostError
from .entries import AnyEntry, Entry, SessionEntry, decoded
from .files import NotPlainError, is_folder, named, open_plain

MAGIC = b"mxm-dataio journal 1\n"
_SUFFIX = ".journal"
_LENGTHS = struct.Struct("<III")
# Beyond this no entry is written, nor read: payloads above 64 KiB are never in one.
_LARGEST_DOCUMENT = 64 << 20
_LARGEST_CONTENT = 256 << 20


class Journal:
    """A journal that this process writes.

    Attributes:
        sound: whether an entry may be appended; not behind what a write left that failed.
        renewed: the file was opened anew, as the program had closed its descriptor.
        synced: bytes that would survive a power cut.

    Args:
        folder: where; made if absent.

    Raises:
        OSError: it can't be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / f"{new_id()}{_SUFFIX}"
        self._file = locks.make(self.path, MAGIC)
        self._end = len(MAGIC)
        self.sound = True
        self.renewed = False
        self.synced = 0
        self.entries: list[AnyEntry] = []

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._end

    def append(self, entry: AnyEntry, data: bytes | None = None) -> None:
        """Write an entry; one caller at a time.

        Args:
            data: what :func:`framed` made of it.

        Raises:
            LostError: the file was deleted, or is not as it was left here; nothing was written.
            OSError: the disk refused; nothing of the entry is left, or it is not ``sound``.
        """
        data = framed(entry) if data is None else data
        number = self._number()
        try:
            written = os.write(number, data)
            while written < len(data):
                # A disk that is full takes a part, and refuses the next.
                written += os.write(number, memoryview(data)[written:])
        except BaseException:
            try:
                os.ftruncate(self._file.number(), self._end)
            except OSError:
                self.sound = False
            raise
        self._end += written
        self.entries.append(entry)

    def _number(self) -> int:
        """Return the file's number, if the file is as it was left here, under its name.

        By its size, too: the number of a file that is gone may be given to another.

        Raises:
            LostError: it is not.
        """
        found = self._file.found()
        if found is None:
            self._file.number()
            self.renewed = True
            found = self._file.found()
        if found is None or not found.st_nlink or found.st_size != self._end:
            raise LostError(self.path)
        return self._file.raw

    def is_there(self) -> bool:
        """Say whether the next that opens the store will find the file as it was left here.

        It may have been moved, with the whole root.
        """
        try:
            self._number()
        except LostError:
            return False
        return self._file.is_at_path() or not self.path.parent.parent.exists()

    def is_deleted(self) -> bool:
        """Say whether somebody has deleted or moved the file while it was ours."""
        return self._file.found() is not None and not self._file.is_at_path()

    @property
    def raw(self) -> int:
        """The file's number, whoever has it by now."""
        return self._file.raw

    def descriptor(self) -> int:
        """Return a descriptor of the file, the caller's own to sync by and to close."""
        return os.dup(self._file.number())

    def clear(self) -> None:
        """Begin anew: the catalog holds what this held."""
        os.ftruncate(self._number(), len(MAGIC))
        self._end = len(MAGIC)
        self.entries = []

    def remove(self) -> None:
        """Delete the file: the catalog holds what it held."""
        if self._file.is_at_path():
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file and leave it to the next that opens the store."""
        self._file.release()

    def abandon(self) -> None:
        """Let go of the parent's file, in a forked child."""
        self._file.close()


def framed(entry: AnyEntry) -> bytes:
    """Return an entry as it stands in a journal.

    Raises:
        OSError: it is larger than what is read again.
    """
    document, content = entry.encode()
    if len(document) > _LARGEST_DOCUMENT or len(content) > _LARGEST_CONTENT:
        raise OSError(errno.EFBIG, "its record is larger than any that is kept")
    check = zlib.crc32(content, zlib.crc32(document))
    return _LENGTHS.pack(len(document), len(content), check) + document + content


class Left(NamedTuple):
    """A journal of another process.

    Attributes:
        gone: its owner is; nothing more comes, and it is this process's to remove.
        whole: those before it were taken in; else no session is sealed of which calls may wait.
    """

    path: Path
    gone: bool
    whole: bool = True

    def entries(self) -> Iterator[AnyEntry]:
        """Yield what is written so far.

        Raises:
            IntegrityError: it is no journal of ours, or damaged other than by being broken off.
        """
        try:
            with _open(self.path) as file:
                yield from _read(self.path, file)
        except FileNotFoundError:
            pass
        except NotPlainError:
            raise _damaged(self.path, "it is no plain file") from None

    def calls(self) -> Iterator[Entry]:
        """Yield the calls alone; raises as :meth:`entries` does."""
        return (entry for entry in self.entries() if isinstance(entry, Entry))

    def remove(self) -> None:
        """Delete it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def put_aside(self) -> Path:
        """Keep it under a name that is not looked for, and return that."""
        aside = self.path.with_suffix(".damaged")
        self.path.rename(aside)
        return aside


@contextlib.contextmanager
def left(folder: Path) -> Iterator[list[Left]]:
    """Yield the journals of a folder, oldest first, those of the dead locked meanwhile."""
    with contextlib.ExitStack() as stack:
        found = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")) if is_folder(folder) else ():
            if not named(path, _SUFFIX):
                continue
            gone = True
            try:
                file = stack.enter_context(_open(path))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except BlockingIOError:
                gone = False
            except NotPlainError:
                # No one's; what asks for its entries is told.
                pass
            found.append(Left(path, gone))
        yield found


def _open(path: Path) -> BinaryIO:
    return os.fdopen(open_plain(path), "rb")


def _read(path: Path, file: BinaryIO) -> Iterator[AnyEntry]:
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        if MAGIC.startswith(magic):
            return
        raise _damaged(path, "it is no journal of this release")
    while len(lengths := file.read(_LENGTHS.size)) == _LENGTHS.size:
        document_size, content_size, check = _LENGTHS.unpack(lengths)
        remaining = os.fstat(file.fileno()).st_size - file.tell()
        if document_size + content_size > remaining:
            # Broken off, or not written to its end yet.
            return
        if document_size > _LARGEST_DOCUMENT or content_size > _LARGEST_CONTENT:
            raise _damaged(path, f"the entry at byte {file.tell()} is larger than any")
        document, content = file.read(document_size), file.read(content_size)
        if zlib.crc32(content, zlib.crc32(document)) != check:
            raise _damaged(path, f"the entry before byte {file.tell()} is not as it was written")
        try:
            entry = decoded(document, content)
            if isinstance(entry, SessionEntry):
                rows.to_session((*entry.row, None))
        except MALFORMED as exc:
            raise _damaged(path, f"the entry before byte {file.tell()}: {exc!r}") from exc
        yield entry


def _damaged(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"the journal {path} is damaged ({why}); the calls before that were taken in, those "
        "behind it are to be recorded again",
        path=path,
    )
