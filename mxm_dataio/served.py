"""Which recorded calls a replay has handed out, where several processes take part in it.

The k-th call with one hash gets the k-th recorded, whichever process makes it: what was recorded
by a parent and its children in turns is one order. They share a file, to which each appends a line
for every call that it serves, and reads what the others have appended; it takes its turn under a
lock on the file.

The lock is that of POSIX (``lockf``): a forked child has the file open and not the lock. As such
locks are a process's, threads take turns under another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import StoreError

_STEP = 1 << 16
_PAUSE = 0.001


class Places(NamedTuple):
    """How far the calls of one source have been served.

    Attributes:
        served: hash → id of the recorded call that answered it last.
        settled: hash → as-of and root id of the session that answers it.
    """

    served: dict[str, str]
    settled: dict[str, tuple[str, str]]


class Served:
    """The shared file, as one process knows it.

    Args:
        path: the file, made if it is not there; ``None``: one without a name, for this process and
            those forked from it.

    Raises:
        OSError: it can't be made or opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
        else:
            import tempfile  # a replay that forks alone needs one

            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        self._lock = threading.RLock()
        self._read = 0
        self._known: dict[str, Places] = {}

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def renew_lock(self) -> None:
        """Make a fresh lock, in a forked child: a thread of the parent may have held it."""
        self._lock = threading.RLock()

    def join(self, source: str, places: Places) -> Places:
        """Add to what is shared how far a source's calls were served; return what is known of it.

        Raises:
            StoreError: the file can't be read or written.
        """
        with self.turn():
            known = self._known.setdefault(source, Places({}, {}))
            for params_hash, request_id in places.served.items():
                settled = places.settled.get(params_hash)
                self.note(source, params_hash, request_id, settled)
            return known

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep the others waiting, and know what they have served.

        Raises:
            StoreError: the file can't be read or written.
        """
        with self._lock:
            try:
                self._acquire()
                try:
                    self._catch_up()
                    yield
                finally:
                    fcntl.lockf(self._file, fcntl.LOCK_UN)
            except OSError as exc:
                raise StoreError(
                    "what the processes of this replay have been served can't be shared "
                    f"({exc.strerror}): make room for temporary files, and replay again"
                ) from exc

    def _acquire(self) -> None:
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX)
                return
            except OSError as exc:
                # Two replays in two processes, whose threads wait crosswise: none waits for long.
                if exc.errno != errno.EDEADLK:
                    raise
                time.sleep(_PAUSE)

    def note(
        self, source: str, params_hash: str, request_id: str, settled: tuple[str, str] | None
    ) -> None:
        """Tell the others of a call that is served, within a turn."""
        as_of, root_id = settled or ("-", "-")
        name = source.encode("unicode_escape").decode("ascii")
        line = f"{params_hash} {request_id} {as_of} {root_id} {name}\n".encode("ascii")
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._take(line)
        self._read += len(line)

    def _catch_up(self) -> None:
        while data := os.pread(self._file, _STEP, self._read):
            whole = data[: data.rfind(b"\n") + 1]
            if not whole:
                # Of one whose disk was full: what it had to say is lost, as it was told.
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            for line in whole.splitlines():
                self._take(line)
            self._read += len(whole)

    def _take(self, line: bytes) -> None:
        params_hash, request_id, as_of, root_id, name = line.decode("ascii").split(" ", 4)
        source = name.rstrip("\n").encode("ascii").decode("unicode_escape")
        places = self._known.setdefault(source, Places({}, {}))
        places.served[params_hash] = request_id
        if root_id != "-":
            places.settled.setdefault(params_hash, (as_of, root_id))
