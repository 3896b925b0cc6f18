"""Entries on their way into a journal, one after the other, whatever interrupts what.

A signal's handler or a finalizer may make a call amid the recording of another, in that very
thread, which no lock keeps out. Its entry waits then, and who was interrupted writes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..concurrency import mutex
from ..concurrency.reentry import is_interrupt
from .entries import AnyEntry
from .journal import Journal, framed
from .losses import Losses

_Waiting = tuple[AnyEntry, bytes]


class EntryQueue:
    """Has one thing done at a time: an entry written, or :meth:`alone` another.

    Attributes:
        inside: set by the thread that has the lock, while something is done.

    Args:
        write: writes an entry and its bytes, and returns the journal that has it.
        losses: told of entries that could not be written, where nobody waits for them.
    """

    def __init__(self, write: Callable[[AnyEntry, bytes], Journal], losses: Losses) -> None:
        self.inside = False
        self._write = write
        self._losses = losses
        self._waiting: deque[_Waiting] = deque()

    def put(self, entry: AnyEntry) -> tuple[Journal, int] | None:
        """Write an entry; return the journal that has it, and where it ends there.

        ``None``: a call that this very thread was interrupted amid recording comes first; it will
        write this one.

        Raises:
            OSError: it could not be written.
        """
        # Not under the lock: others that wait for it cost each other more than it takes.
        own = entry, framed(entry)
        place = None
        with mutex.lock:
            self._waiting.append(own)
            # Again for what has come between the last look and the end of it.
            while self._waiting and not self.inside:
                try:
                    self.inside = True
                    place = self.write_waiting(own) or place
                finally:
                    self.inside = False
        return place

    def write_waiting(self, own: _Waiting | None = None) -> tuple[Journal, int] | None:
        """Write what waits; signals' handlers and finalizers have recorded it meanwhile, but one.

        An entry leaves the queue behind its writing: a handler that raises has it written twice at
        the most, which counts once as it is moved.

        Args:
            own: of which the place is returned, and an error is raised.
        """
        place = None
        while self._waiting:
            one = self._waiting[0]
            try:
                journal = self._write(*one)
                if one is own:
                    place = journal, journal.size
            except OSError as exc:
                if is_interrupt(exc):
                    raise
                self._written_off(one)
                if one is own:
                    raise
                self._losses.note(f"a call that interrupted another was not recorded: {exc}")
            else:
                self._written_off(one)
        return place

    def _written_off(self, one: _Waiting) -> None:
        if self._waiting and self._waiting[0] is one:
            self._waiting.popleft()

    def alone(self, work: Callable[[], object]) -> None:
        """Do something with others waiting, and what interrupts this very thread behind it."""
        with mutex.lock:
            was = self.inside
            try:
                self.inside = True
                work()
                if not was:
                    self.write_waiting()
            finally:
                self.inside = was

    def abandon(self) -> None:
        """Forget what waits, in a forked child: it is the parent's to write."""
        self.inside, self._waiting = False, deque()
