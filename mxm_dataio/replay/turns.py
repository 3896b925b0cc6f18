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
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..concurrency import mutex
from ..errors import DataIOWarning, StoreError
from ..storage.descriptors import Descriptor, LostError
from ..utils import cause

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


class SharedTurns:
    """The shared file, as one process knows it.

    Args:
        path: the file, made if it is not there; ``None``: one without a name, for this process and
            those forked from it.

    Raises:
        OSError: it can't be made or opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        if path is not None:
            self._file = Descriptor(os.open(path, flags, 0o600), path, flags & ~os.O_CREAT)
        else:
            import tempfile  # a replay that forks alone needs one

            with tempfile.TemporaryFile() as file:
                self._file = Descriptor(os.dup(file.fileno()))
        # In a turn: what interrupts it in this very thread takes part in it.
        self._inside = False
        self._alone = False
        self._read = 0
        self._known: dict[str, Places] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def renew(self) -> None:
        """Begin anew in a forked child: a thread of the parent may have had its turn."""
        self._inside = False

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
        with mutex.lock:
            number = -1 if self._inside else self._number()
            if number < 0:
                yield
                return
            try:
                self._inside = True
                self._acquire(number)
                try:
                    self._catch_up(number)
                    yield
                finally:
                    if self._file.found() is not None and self._file.raw == number:
                        fcntl.lockf(number, fcntl.LOCK_UN)
            except OSError as exc:
                raise StoreError(
                    "what the processes of this replay have been served can't be shared "
                    f"({cause(exc)}): make room for temporary files (TMPDIR), and replay again"
                ) from exc
            finally:
                self._inside = False

    def _number(self) -> int:
        """Return the file's number; negative once it is not to be had any more."""
        if not self._alone:
            try:
                return self._file.number()
            except LostError:
                self._alone = True
                warnings.warn(
                    "the program has closed the file by which the processes of this replay share "
                    "what they were served: each is served by itself from here on",
                    DataIOWarning,
                    stacklevel=4,
                )
        return -1

    def _acquire(self, number: int) -> None:
        while True:
            try:
                fcntl.lockf(number, fcntl.LOCK_EX)
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
        if not self._alone and os.write(self._file.number(), line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # It is read once more by the next turn, as are those that came between.
        self._take(line)

    def _catch_up(self, number: int) -> None:
        while data := os.pread(number, _STEP, self._read):
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
        # The calls of one hash are served as they were made, by ascending ids; a line of one that
        # was interrupted may stand behind that of the next.
        last = places.served.get(params_hash, "")
        places.served[params_hash] = max(last, request_id, key=lambda id: (len(id), id))
        if root_id != "-":
            places.settled.setdefault(params_hash, (as_of, root_id))
