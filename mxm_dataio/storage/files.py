"""What lies in a store's root is opened so that nothing is taken for granted of it.

A root may be a stranger's: no link is followed out of it, no pipe or device in a file's place is
waited for, and only what has a name that we give is ever deleted.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..patterns import regex

# No link; a pipe without a writer is opened at once, and then seen to be none of ours.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Ids, as they stand in names of files; those of a stranger's database are not to lead elsewhere.
_ID = regex(r"[0-9A-Za-z_-]{1,64}")


class NotPlainError(OSError):
    """A link, a pipe, a device or a folder is where a file should be."""


def open_plain(path: str | os.PathLike[str]) -> int:
    """Return a descriptor to read a plain file by.

    Raises:
        NotPlainError: it is anything else.
        OSError: it is not there, or may not be read.
    """
    try:
        file = os.open(path, READ)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlainError(exc.errno, "Not a plain file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise NotPlainError(errno.EINVAL, "Not a plain file", str(path))
    return file


def read_plain(path: str | os.PathLike[str], most: int) -> bytes:
    """Return what a plain file holds, or as much of it as may be meant.

    Raises:
        NotPlainError: it is anything else.
        OSError: it is not there, or can't be read.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        return file.read(min(most, os.fstat(file.fileno()).st_size))


def is_plain(path: str | os.PathLike[str]) -> bool | None:
    """Say whether a path is that of a plain file and no link; ``None`` if nothing is there."""
    mode = _mode(path)
    return None if mode is None else stat.S_ISREG(mode)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is that of a folder and no link to one."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_link(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is that of a link."""
    mode = _mode(path)
    return mode is not None and stat.S_ISLNK(mode)


def is_id(text: str) -> bool:
    """Say whether a text can stand for itself in the name of a file."""
    return _ID.fullmatch(text) is not None


def named(path: Path, suffix: str) -> bool:
    """Say whether a file's name is an id of ours and a suffix."""
    return path.suffix == suffix and is_id(path.stem)


def _mode(path: str | os.PathLike[str]) -> int | None:
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def sync_path(path: str | Path) -> None:
    """Sync a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
