"""How a file that nobody names is removed while others may be about to name it.

A payload is put into its file first and named by a record a moment later; one whose bytes are there
already is not written again. So a file that no record names may be one that a writer has just met.
That a writer wants it shows in its time of modification:

- a file that is written is young;
- who meets an old one has it :func:`renewed`;
- a file is :func:`removed` only if it is older than :data:`GRACE` seconds.

Both the renewing and the removing hold a lock on the file (``flock``). So either the file is
renewed first, and stays; or it is removed first, and its writer, who finds it gone, writes it anew.
What has to hold is that a record follows its payload within the time that is left to the youngest
file that is not renewed, half of the grace; it follows within milliseconds.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ...process import wall_time
from ..files import READ

GRACE = 3600.0


def renewed(name: str | Path, modified: float) -> bool:
    """Say whether a file will stay for now, given when it was modified; if not, write it anew."""
    if modified > wall_time() - GRACE / 2:
        return True
    try:
        file = os.open(name, READ)
    except OSError:
        return False
    try:
        # Not waited for: who holds it removes it, or writes it.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.utime(file)
        return _is_at(file, name)
    except OSError:
        return False
    finally:
        os.close(file)


def removed(path: Path, before: float, *beside: Path) -> int | None:
    """Remove a file that was not modified since an instant, nor is being written; return its size.

    Args:
        before: in seconds since the epoch.
        beside: files that go with it.

    Returns:
        The bytes that it had; ``None`` if it stays.

    Raises:
        OSError: the folder can't be written.
    """
    try:
        # Open for writing: the lock needs that where the folder is mounted from elsewhere.
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept = os.fstat(file)
        if kept.st_mtime > before or not _is_at(file, path):
            return None
        for other in beside:
            other.unlink(missing_ok=True)
        path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return None
    finally:
        os.close(file)
    return kept.st_size


def now(folder: Path) -> float:
    """Return the present time as the disk of a folder has it.

    Raises:
        OSError: the folder can't be written.
    """
    probe = folder / f".{os.getpid()}-{time.monotonic_ns()}.tmp"
    probe.touch(mode=0o600, exist_ok=False)
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _is_at(file: int, name: str | Path) -> bool:
    """Say whether an open file is still the one of a name."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(name))
    except FileNotFoundError:
        return False
