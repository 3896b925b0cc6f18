"""A large body on its way into a file: hashed and written block by block.

The first :data:`ALONE` bytes on the thread that writes. From there on a thread of the body's own
does it, since ``hashlib`` and ``os.pwrite`` let go of the interpreter lock: the thread that brings
the bytes copies them into one of a few buffers, writes a block itself where the other lags behind
(hashing alone takes it as long as receiving takes this one), and waits when no buffer is free, so
that memory stays flat however slow the disk. The thread ends when :meth:`Drain.finish` is asked
for, at the latest with the body.

No block is hashed twice or left out if the thread that brings them is interrupted amid it
(``KeyboardInterrupt``): each knows its place, and what has its place is passed over.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import threading
import weakref
from typing import BinaryIO

from ...process import after_fork
from ..descriptors import LostError

BLOCK = 1 << 18
# Bodies above this size get a thread; for smaller ones its beginning costs more than it saves.
ALONE = 4 << 20
_BUFFERS = 3


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _new_seats() -> threading.Semaphore:
    # More threads than cores hash no faster; with a single core none does.
    cores = _cores()
    return threading.Semaphore(cores if cores > 1 else 0)


_seats = _new_seats()


# Of the drains that a thread fills, those with a thread of their own now.
_local = threading.local()


class _Sink:
    """The file's end: what came so far, written and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()
        self.prefixes = bytearray()
        self.error: Exception | None = None

    def write(self, block: memoryview, offset: int, *, last: bool = False) -> None:
        """Write bytes to their place."""
        try:
            while block:
                count = os.pwrite(self._file.fileno(), block, offset)
                block, offset = block[count:], offset + count
        except Exception as exc:
            if last or not isinstance(exc, LostError):
                self.error = exc
            else:
                # The other thread may just have opened anew what the program closed.
                self.write(block, offset, last=True)

    def take(self, block: memoryview, offset: int, written: bool) -> bool:
        """Hash bytes, written first if they are not; say no if they were there already."""
        end = offset + len(block)
        if self.error is not None or end <= self.size:
            return self.error is not None
        if not written:
            self.write(block, offset)
        try:
            digest = self.digest.copy()
            digest.update(block)
            if end % BLOCK == 0:
                at = end // BLOCK * digest.digest_size
                self.prefixes[at - digest.digest_size : at] = digest.digest()
            self.digest, self.size = digest, end
        except Exception as exc:
            self.error = exc
        return True


# A buffer, what of it is meant, where that belongs in the body, and whether it is there.
_Item = tuple[memoryview, int, int, int, bool]


def _take(sink: _Sink, free: queue.SimpleQueue[memoryview], item: _Item) -> None:
    buffer, start, end, offset, written = item
    if sink.take(buffer[start:end], offset, written) and end == BLOCK:
        free.put(buffer)


def _run(
    sink: _Sink,
    full: queue.SimpleQueue[_Item | None],
    free: queue.SimpleQueue[memoryview],
    seats: threading.Semaphore,
) -> None:
    # Does not know the Drain, so that one which is dropped can end its thread.
    try:
        while (item := full.get()) is not None:
            _take(sink, free, item)
    finally:
        seats.release()


class Drain:
    """Takes a body into a file, from one thread at a time.

    Args:
        file: empty, open for writing; it stays the caller's to close.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._full: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Against a fork in one thread while another writes; again and again for a signal handler.
        self._lock = threading.RLock()
        self._sink = _Sink(file)
        self._buffer = memoryview(bytearray(BLOCK))
        self._buffers = 1
        # What of the buffer was passed on, what of it is filled, and where in the body it begins.
        self._passed = 0
        self._filled = 0
        self._base = 0

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._base + self._filled

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; the buffer may be reused after the call.

        Raises:
            OSError: the disk refused these bytes or earlier ones.
        """
        with self._lock:
            view = memoryview(data)
            while view:
                if self._filled == BLOCK:
                    self._turn()
                piece = view[: BLOCK - self._filled]
                end = self._filled + len(piece)
                self._buffer[self._filled : end] = piece
                self._filled = end
                view = view[len(piece) :]
            if self._filled == BLOCK:
                self._pass_on()
                self._check()

    def finish(self) -> None:
        """Return when every byte taken so far is in the file, and no thread is left.

        Raises:
            OSError: the disk refused some.
        """
        with self._lock:
            self._pass_on()
            self._end_thread()
            self._check()
            if self._sink.size != self.size:
                raise OSError(errno.EIO, "a part of the body was lost on its way to the disk")

    def pause(self) -> None:
        """End the thread, unless another thread writes just now; the next write begins one."""
        if self._lock.acquire(blocking=False):
            try:
                self._end_thread()
            finally:
                self._lock.release()

    def abandon(self) -> None:
        """End the thread, whatever became of the body."""
        with self._lock:
            self._end_thread()

    def checksum(self) -> str:
        """Return the lowercase hex SHA-256 of what is in the file, after :meth:`finish`."""
        return self._sink.digest.hexdigest()

    def prefixes(self) -> bytes:
        """Return the digests of the body's first block, its first two, and so on."""
        return bytes(self._sink.prefixes)

    def _pass_on(self) -> None:
        """Have what the buffer holds written and hashed."""
        start, end, offset = self._passed, self._filled, self._base + self._passed
        if start < end:
            if self._thread is None and offset >= ALONE:
                self._begin_thread()
            if self._thread is None:
                _take(self._sink, self._free, (self._buffer, start, end, offset, False))
            else:
                if behind := not self._full.empty():
                    self._sink.write(self._buffer[start:end], offset)
                self._full.put((self._buffer, start, end, offset, behind))
            self._passed = end

    def _turn(self) -> None:
        """Go on to the next buffer, the last being full."""
        self._pass_on()
        if self._buffers < _BUFFERS and not self._free.qsize():
            self._buffers += 1
            buffer = memoryview(bytearray(BLOCK))
        else:
            buffer = self._free.get()
        self._check()
        # All of these or none, should an interrupt come.
        self._buffer, self._passed, self._filled, self._base = buffer, 0, 0, self._base + BLOCK

    def _check(self) -> None:
        if self._sink.error is not None:
            raise self._sink.error

    def _begin_thread(self) -> None:
        if not _seats.acquire(blocking=False):
            return
        full: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        thread = threading.Thread(
            target=_run,
            args=(self._sink, full, self._free, _seats),
            name="mxm-dataio-drain",
            daemon=True,
        )
        try:
            thread.start()
            self._full, self._thread = full, thread
            _running().add(self)
        except RuntimeError:
            # No more threads, or the interpreter is ending.
            _seats.release()
        except BaseException:
            # Interrupted; the thread may run already, and gets nothing to do.
            self._thread = None
            full.put(None)
            raise

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
            self._thread = None

    def __del__(self) -> None:
        self._full.put(None)


def _running() -> weakref.WeakSet[Drain]:
    found: weakref.WeakSet[Drain] | None = getattr(_local, "running", None)
    if found is None:
        found = _local.running = weakref.WeakSet()
    return found


def _before_fork() -> None:
    """End the threads that this thread's bodies have; they get new ones as they go on.

    So a program that has no threads of its own forks without any.
    """
    running = _running()
    for drain in list(running):
        drain.pause()
    running.clear()


def _after_fork() -> None:
    global _seats
    _seats = _new_seats()


after_fork(_after_fork, before=_before_fork)
