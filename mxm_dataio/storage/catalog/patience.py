"""How long a program may be kept waiting for another process that has the database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import BusyError
from ...process import monotonic, say
from .refusals import is_busy

_T = TypeVar("_T")

# For who holds the database's lock: in all, until it was found free again or the next phase of a
# session begins.
PATIENCE = 1.0
# While others write, one after the other, nobody holds it: it is a matter of turns, and of so many
# seconds at the most.
_TURNS = 10.0
# And a command, which says what it waits for.
_PATIENT = 60.0


class Patience:
    """What is left of it.

    Attributes:
        left: seconds.

    Args:
        path: the database.
        patient: wait for a minute, and say so; else for :data:`PATIENCE`.
    """

    def __init__(self, path: Path, *, patient: bool) -> None:
        self.left = PATIENCE
        self._path = path
        self._patient = patient

    def renew(self) -> None:
        """Wait again for who holds the lock."""
        self.left = PATIENCE

    def tried(self) -> bool:
        """Say whether the lock was held when it was last wanted."""
        return self.left < PATIENCE

    def waited(self, action: Callable[[float], _T]) -> _T:
        """Return what an action returns, which may wait for a lock as long as there is patience.

        Raises:
            BusyError, sqlite3.OperationalError: the lock was held all the time.
        """
        began = monotonic()
        try:
            return action(self.left)
        except (sqlite3.OperationalError, BusyError) as exc:
            if not is_busy(exc):
                raise
            self.left = max(0.0, self.left - (monotonic() - began))
            if not self._patient:
                raise
        say(f"waiting for another process, which holds the lock of the database {self._path}")
        return action(_PATIENT)


def written(db: sqlite3.Connection) -> int | None:
    """Return what changes as others write; ``None`` if it can't be read."""
    try:
        found = db.execute("PRAGMA data_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return int(found[0])


def patiently(
    action: Callable[[], object], seconds: float, version: Callable[[], int | None] = lambda: None
) -> None:
    """Repeat what SQLite refuses at once while another process holds a lock.

    Args:
        seconds: how long, since another has written.
        version: what changes then.
    """
    began = monotonic()
    end, last, pause = began + seconds, None, 0.0005
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as exc:
            now = monotonic()
            if not seconds or not is_busy(exc):
                raise
            if (found := version()) != last and found is not None:
                end = min(now + seconds, began + max(_TURNS, seconds)) if last else end
                last = found
            if now + pause > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
