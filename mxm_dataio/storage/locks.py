"""Files that are locked as long as the process that made them lives (``flock``).

The lock ends with the process, however that ends, on whatever machine or in whatever container;
a process id is another's a moment later. By the same means it is known whose temporary files are
no one's any more: :func:`sweep` deletes them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from .descriptors import Descriptor
from .files import NotPlainError, is_folder, named, open_plain

TEMPORARY = ".tmp"
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Rounds of one that makes files while another deletes each before it is locked.
_TRIES = 100


def make(path: Path, content: bytes = b"") -> Descriptor:
    """Make a file that shows under its name only once it is locked; return it, to append to.

    Raises:
        OSError: it can't be made or locked; nothing of it is left.
    """
    hidden = path.with_suffix(TEMPORARY)
    flags = os.O_WRONLY | os.O_APPEND
    number = create(lambda: str(hidden), flags, lock=True)[0]
    file = Descriptor(number, path, flags, locked=True)
    try:
        if os.write(file.number(), content) < len(content):
            raise OSError(28, "No space left on device")
        hidden.rename(path)
    except BaseException:
        file.close()
        with contextlib.suppress(OSError):
            hidden.unlink()
        raise
    return file


def append(path: Path, content: bytes) -> None:
    """Append to a file that another process made and holds.

    Raises:
        OSError: it is gone.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(file, content)
    finally:
        os.close(file)


def create(name: Callable[[], str], flags: int, *, lock: bool = False) -> tuple[int, str]:
    """Make a file, locked as long as it is open; return its descriptor and path.

    Args:
        name: gives the path; asked again if the file was deleted before it was locked.
        flags: how to open it.
        lock: it is an error if it can't be locked; else it is no one's to delete then.

    Raises:
        OSError: it can't be made or locked; nothing of it is left.
    """
    for _ in range(_TRIES):
        path = name()
        file = os.open(path, flags | _FLAGS, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file, path
        except BlockingIOError:
            # It is being swept away.
            pass
        except BaseException as exc:
            if isinstance(exc, OSError) and not lock:
                return file, path
            os.close(file)
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(path)
    raise OSError(errno.EAGAIN, "Its temporary files are deleted as they are made")


def is_held(path: Path) -> bool:
    """Say whether the maker of a file still holds its lock; if it can't be told, it does."""
    try:
        file = open_plain(path)
    except (FileNotFoundError, NotADirectoryError, NotPlainError):
        return False
    except OSError:
        return True
    try:
        # Shared: two who ask at once do not take each other for the maker.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def sweep(folder: Path, suffix: str = TEMPORARY) -> None:
    """Delete the files with a suffix whose makers are gone, while others make theirs.

    A maker locks its file as soon as it has made it, and makes another if it finds the file
    deleted by then. Where there are no locks, nothing is deleted.
    """
    if not is_folder(folder):
        return
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            path = Path(entry.path)
            if named(path, suffix):
                with contextlib.suppress(OSError):
                    _sweep_one(path)


def _sweep_one(path: Path) -> None:
    file = open_plain(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(file)
