"""Files that are locked as long as the process that made them lives (``flock``).

The lock ends with the process, however that ends, on whatever machine or in whatever container;
a process id is another's a moment later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


def make(path: Path, content: bytes = b"") -> int:
    """Make a file that shows under its name only once it is locked; return its descriptor.

    Raises:
        OSError: it can't be made or locked; nothing of it is left.
    """
    hidden = path.with_suffix(".tmp")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(hidden, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.write(file, content) < len(content):
            raise OSError(28, "No space left on device")
        hidden.rename(path)
    except BaseException:
        os.close(file)
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


def release(file: int) -> None:
    """Let go of a locked file."""
    # A child forked meanwhile has the same lock open, and would keep it.
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def is_held(path: Path) -> bool:
    """Say whether the maker of a file still holds its lock; if it can't be told, it does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
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
