"""Which sessions are under way: a locked file for each, ``running/<id>.lock``.

The lock ends with the process, however that ends. A process that records in a session which another
has begun, and will end, has a lock as well, ``running/<id>.joined``: that other may be killed while
it goes on. In the first file stands what went past the session
(:mod:`mxm_dataio.storage.unseen`), for whoever finds its process gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..concurrency import mutex
from ..concurrency.reentry import Suppress
from ..models import Unseen
from . import locks, unseen
from .descriptors import Descriptor, LostError
from .files import is_id, named, read_plain

_SUFFIX, _JOINED = ".lock", ".joined"
# Bytes of what stands in such a file, at the most.
_LARGEST = 16 << 20


class RunningSessions:
    """The sessions under way in a store, and the locks of those that this process has begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Path, Descriptor] = {}

    def begin(self, session_id: str) -> None:
        """Have a session of this process's show as under way."""
        self._hold(self._path(session_id))

    def join(self, session_id: str) -> None:
        """Have a session that another process has begun show as under way for this one's sake."""
        self._hold(self._path(session_id, _JOINED))

    def _hold(self, path: Path) -> None:
        # Without it the session shows as interrupted, no more.
        with mutex.lock, Suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._held[path] = locks.make(path)

    def hold_again(self) -> None:
        """Hold the locks that the program has let go by closing their files."""
        for path, file in self._held.items():
            with contextlib.suppress(OSError):
                try:
                    file.number()
                except LostError:
                    self._held[path] = locks.make(path)

    def end(self, session_id: str) -> None:
        """Have it not show any more."""
        self._let_go(self._path(session_id))

    def _let_go(self, path: Path) -> None:
        with mutex.lock:
            file = self._held.pop(path, None)
            if file is not None:
                if file.is_at_path():
                    with Suppress(OSError):
                        path.unlink()
                file.release()

    def end_all(self) -> None:
        """Have none of this process's show any more."""
        for path in list(self._held):
            self._let_go(path)

    def abandon(self) -> None:
        """Leave the locks to the parent, in a forked child."""
        for file in self._held.values():
            file.close()
        self._held = {}

    def is_under_way(self, session_id: str) -> bool:
        """Say whether a process of a session's lives."""
        # (A stranger's row may have anything for an id.)
        return is_id(session_id) and any(
            locks.is_held(self._path(session_id, suffix)) for suffix in (_SUFFIX, _JOINED)
        )

    def others(self) -> bool:
        """Say whether sessions are under way that this process has not begun."""
        return any(path not in self._held and locks.is_held(path) for path in self._files())

    def sweep(self) -> Iterator[tuple[str, tuple[Unseen, ...] | None]]:
        """Yield the sessions whose processes are gone, with what was noted; then delete the file.

        Raises:
            OSError: a file can't be read, or deleted.
        """
        for path in self._files():
            if not self.is_under_way(path.stem):
                if path.suffix == _SUFFIX:
                    yield path.stem, unseen.read_lines(read_plain(path, _LARGEST))
                path.unlink(missing_ok=True)

    def note(self, session_id: str, line: bytes) -> None:
        """Keep a line with a session that is under way, for whoever finds its process gone.

        A child that was forked within the session may do so as well.
        """
        file = self._held.get(self._path(session_id))
        with contextlib.suppress(OSError):
            if file is not None:
                os.write(file.number(), line)
            else:
                locks.append(self._path(session_id), line)

    def noted(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was noted of a session under way, ``None`` if it does not watch.

        Args:
            but: a process whose lines do not count.
        """
        with Suppress(OSError):
            return unseen.read_lines(read_plain(self._path(session_id), _LARGEST), but=but)
        return None

    def _path(self, session_id: str, suffix: str = _SUFFIX) -> Path:
        return self._folder / f"{session_id}{suffix}"

    def _files(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            names = os.listdir(self._folder)
            paths = [self._folder / name for name in names if name.endswith((_SUFFIX, _JOINED))]
            return [path for path in paths if named(path, path.suffix)]
        return []
