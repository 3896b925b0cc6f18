"""Heads that many calls have, each kept once and named by its number."""

from __future__ import annotations

import sqlite3

# A longer one is hardly the same twice, and is not to fill memory.
_LONGEST = 4096


class KnownHeads:
    """The latest heads that were met, by their numbers.

    Most requests of a program have the same head, and so have answers of one second. But a head
    that names its call is the same never, and is to cost no more than its own bytes.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # 0: met once, and kept with its call.
        self._numbers: dict[bytes, int] = {}
        self._as_of: object = None

    def as_of(self, version: object) -> None:
        """Forget the numbers if another may have pruned since: they are given anew."""
        if version != self._as_of:
            self._numbers = dict.fromkeys(self._numbers, 0)
            self._as_of = version

    def forget(self) -> None:
        """Forget them all: what was written of them was not committed, or is deleted."""
        self._numbers.clear()

    def kept(self, db: sqlite3.Connection, head: bytes | None) -> bytes | int | None:
        """Return a head as its row keeps it: as it is, or by its number if it was met before."""
        if not head or len(head) > _LONGEST:
            return head
        number = self._numbers.get(head)
        if number is None:
            if len(self._numbers) >= self._most:
                self._numbers.clear()
            self._numbers[head] = 0
            return head
        if not number:
            db.execute("INSERT OR IGNORE INTO heads (content) VALUES (?)", (head,))
            found = db.execute("SELECT number FROM heads WHERE content = ?", (head,)).fetchone()
            number = self._numbers[head] = int(found[0])
        return number
