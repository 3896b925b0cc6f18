"""The journals that this process writes: the one that takes calls, and full ones, being moved."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import BusyError, IntegrityError, StoreError
from .descriptors import LostError
from .entries import AnyEntry, Entry
from .files import sync_path
from .journal import Journal, Left
from .layout import JOURNAL
from .losses import Losses
from .placement import Placement
from .running import RunningSessions

# Rounds of one that closes descriptors while an entry is to be written.
_TRIES = 5


class OwnJournals:
    """What this process has recorded and not moved to its place yet, the oldest first.

    A journal that others delete, or whose descriptor the program closes, is written anew: its
    entries are in memory too, but for those of the ones that are parked.

    Attributes:
        folder: where they are.
        current: takes the next entry; made when there is one.
        full: those before it.
        parked: left to whoever opens the store next, this process too, with their calls.
    """

    def __init__(
        self, root: Path, placement: Placement, running: RunningSessions, losses: Losses
    ) -> None:
        self.folder = root / JOURNAL
        self.current: Journal | None = None
        self.full: list[Journal] = []
        self.parked: dict[Path, int] = {}
        # How many entries of the oldest are moved.
        self._moved = 0
        self._root = root
        self._placement = placement
        self._running = running
        self._losses = losses

    def waiting(self) -> list[Journal]:
        """Return those that hold entries."""
        journal = self.current
        return [*self.full, journal] if journal is not None and journal.entries else self.full

    def paths(self) -> set[Path]:
        """Return where all of them are."""
        return {journal.path for journal in (*self.full, self.current) if journal is not None}

    # -- taking entries ----------------------------------------------------------------------

    def append(self, entry: AnyEntry, data: bytes) -> Journal:
        """Write an entry into the current one, and return that.

        Raises:
            OSError: the disk refused.
        """
        if self.current is None:
            self.current = self._new()
        journal = self.current
        try:
            for tries in range(_TRIES, -1, -1):
                try:
                    journal.append(entry, data)
                    break
                except OSError as exc:
                    # Another thread of the program may go on closing what it finds.
                    if exc.errno != errno.EBADF or not tries:
                        raise
                journal = self._rewritten(journal)
        finally:
            if not journal.sound:
                self.full.append(journal)
                self.current = None
        if journal.renewed:
            journal.renewed = False
            self._running.hold_again()
        return journal

    def rotate(self) -> None:
        """Have the next entry begin another."""
        if self.current is not None and self.current.entries:
            self.full.append(self.current)
            self.current = None

    def park(self) -> None:
        """Leave the oldest to whoever opens the store next, so that memory stays flat."""
        try:
            journal = self.full[0]
            entries = self._placement.changed(journal.entries)
            journal = self._rewritten(journal, entries) if entries else self.sound(journal)
            self.sync(journal)
        except OSError:
            # It stays in memory.
            return
        del self.full[0]
        self._moved = 0
        self.parked[journal.path] = _calls(journal.entries)
        journal.close()

    # -- giving them on ----------------------------------------------------------------------

    def oldest(self, count: int) -> list[AnyEntry]:
        """Return the oldest entries, of one journal."""
        journal = self.full[0] if self.full else self.current
        return journal.entries[self._moved : self._moved + count] if journal is not None else []

    def forget(self, count: int) -> None:
        """Forget so many of the oldest, and delete their journal when it has no more."""
        journal = self.full[0] if self.full else self.current
        if journal is None:
            return
        self._moved += count
        if self._moved < len(journal.entries):
            return
        # First what a handler may break off and that is done again: moving twice is moving.
        self._moved = 0
        if self.full:
            journal.remove()
            del self.full[0]
            return
        # With power's its bytes are counted as they are synced: no byte of it comes again.
        if not self._placement.durable:
            with contextlib.suppress(LostError):
                journal.clear()
                return
        journal.remove()
        self.current = None

    def amend(self) -> None:
        """Write them anew as their calls are by now: others will move them."""
        for journal in list(self.waiting()):
            entries = self._placement.changed(journal.entries)
            if entries:
                self._rewritten(journal, entries)
        for path, count in list(self.parked.items()):
            with contextlib.suppress(IntegrityError):
                entries = self._placement.changed(list(Left(path, gone=True).entries()))
                if entries:
                    made = self._written(entries)
                    made.close()
                    del self.parked[path]
                    path.unlink(missing_ok=True)
                    self.parked[made.path] = count

    def refusal(self, why: BaseException) -> StoreError:
        """Return an error that says what waits where, why, and what is to be done."""
        waiting = [entry for journal in self.waiting() for entry in journal.entries]
        count = _calls(waiting[self._moved :]) + sum(self.parked.values())
        where = self.folder
        with contextlib.suppress(OSError):
            # Of a root that was moved, the journal was too.
            for journal in self.waiting()[:1]:
                if not journal.path.exists():
                    where = Path(f"/proc/self/fd/{journal.raw}").readlink().parent
        kind = BusyError if isinstance(why, BusyError) else StoreError
        return kind(
            f"{count} recorded calls wait in {where}, as they could not be moved to their place "
            f"({why}); open the store again when it can be written, with mxm-dataio sessions",
            path=self.folder,
        )

    def close(self) -> None:
        """Leave what waits to whoever opens the store next."""
        for journal in list(self.waiting()):
            with contextlib.suppress(OSError):
                journal = self.sound(journal)
            journal.close()
        if self.current is not None and not self.current.entries:
            self.current.remove()
        self.full, self.current = [], None

    def abandon(self) -> None:
        """Leave them to the parent, in a forked child: what waits in them is the parent's."""
        for journal in (*self.full, self.current):
            if journal is not None:
                journal.abandon()
        self.full, self.current, self._moved, self.parked = [], None, 0, {}

    # -- being there -------------------------------------------------------------------------

    def sound(self, journal: Journal) -> Journal:
        """Return a journal that whoever opens the store next will find, with all its entries."""
        return journal if journal.is_there() else self._rewritten(journal)

    def look_for(self, journal: Journal) -> None:
        """Note if a journal was deleted or moved by others."""
        if journal.is_deleted():
            self._losses.note(
                f"the journal {journal.path} was deleted or moved while it was open; what waited "
                "in it was kept"
            )

    def sync(self, journal: Journal, written: int = 0, file: int = -1) -> None:
        """Have what is in a journal survive a power cut.

        Args:
            written: so many bytes, if not all.
            file: a descriptor of it, which is closed.
        """
        written = written or journal.size
        file = file if file >= 0 else journal.descriptor()
        try:
            os.fdatasync(file)
        finally:
            os.close(file)
        if not journal.synced:
            sync_path(self.folder)
            sync_path(self._root)
        journal.synced = written

    def close_off(self) -> None:
        """Have what waits survive a power cut, and what comes be in another journal.

        That comes after those of all others that record in the session.
        """
        for journal in list(self.waiting()):
            try:
                self.sync(self.sound(journal))
            except OSError as exc:
                self._losses.note(f"the journal {journal.path} can't be synced: {exc}")
        # Not of a root that was moved: where that is, none can be made.
        if self._root.exists():
            self.rotate()

    def _new(self) -> Journal:
        try:
            return Journal(self.folder)
        except FileNotFoundError:
            if self._root.exists():
                raise
        self._root.mkdir(mode=0o700)
        self._placement.payloads.create()
        return Journal(self.folder)

    def _written(self, entries: Iterable[AnyEntry]) -> Journal:
        made = self._new()
        for entry in entries:
            made.append(entry)
        return made

    def _rewritten(self, journal: Journal, entries: list[AnyEntry] | None = None) -> Journal:
        """Write a journal anew that was deleted, or whose descriptor the program has closed.

        Args:
            entries: what is to be in it, if not what is.
        """
        self.look_for(journal)
        made = self._written(journal.entries if entries is None else entries)
        journal.remove()
        if journal is self.current:
            self.current = made
        else:
            self.full[self.full.index(journal)] = made
        self._running.hold_again()
        return made


def _calls(entries: Iterable[AnyEntry]) -> int:
    """Return how many of them are calls."""
    return sum(isinstance(entry, Entry) for entry in entries)
