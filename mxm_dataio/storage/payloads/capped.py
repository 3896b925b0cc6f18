"""The beginning of a body on its way into the store, where no more of it is to be kept.

Of an answer longer than ``max_body``, or without an end, the rest goes to the program and nowhere
else: neither memory nor disk grows with it. How much it was is counted.
"""

from __future__ import annotations

from collections.abc import Callable

from .spool import Spool


class Capped:
    """Takes a body, and hands on what is to be kept of it.

    Args:
        spool: takes the beginning.
        limit: bytes of it.

    Attributes:
        beyond: bytes that came and were not kept.
        full: called once, as the first of them comes.
    """

    __slots__ = ("_room", "_spool", "beyond", "full")

    def __init__(self, spool: Spool, limit: int) -> None:
        self._spool = spool
        self._room = limit
        self.beyond = 0
        self.full: Callable[[], None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; the buffer may be reused after the call.

        Raises:
            OSError: the disk refused what is to be kept.
        """
        room, count = self._room, len(data)
        # In this order, should an interrupt come: what is kept has no gap.
        if count <= room:
            self._spool.write(data)
            self._room = room - count
            return
        first = not self.beyond
        if room:
            self._spool.write(data[:room])
        self._room = 0
        self.beyond += count - room
        if first:
            self._spool.rest()
            if self.full is not None:
                self.full()
