"""A recorded call's way to its place: into a journal at once, and from there on in steps."""

from __future__ import annotations

import contextlib
import threading

from ..concurrency import mutex
from ..concurrency.reentry import Suppress, is_interrupt
from ..process import monotonic
from .entries import AnyEntry, Entry
from .journal import Journal
from .journals import OwnJournals
from .losses import Losses
from .placement import Placement
from .queue import EntryQueue

# What waits in one journal, in calls and bytes, before the next is begun and it is moved.
_FULL = 2048
_FULL_SIZE = 4 << 20
# What is held in memory too, in bytes and in files, of full ones that can't be moved.
_MOST_SIZE = 16 << 20
_MOST_FULL = 64
# A full journal is moved in steps, as further calls come, so that none of them waits for all.
_STEP_EVERY = 16
_STEP = 64


class Writer:
    """Records entries, and moves them to their place.

    Attributes:
        calls: how many this process has recorded, by session.

    Args:
        delay: see :class:`~mxm_dataio.storage.recording_store.RecordingStore`.
    """

    def __init__(
        self, journals: OwnJournals, placement: Placement, losses: Losses, delay: float | None
    ) -> None:
        self.calls: dict[str, int] = {}
        self._journals = journals
        self._placement = placement
        self._queue = EntryQueue(self._write, losses)
        self._delay = delay
        self._due = 0.0
        # Held by the thread that syncs, for itself and those that wait meanwhile.
        self._syncing = threading.RLock()

    # -- recording ---------------------------------------------------------------------------

    def append(self, entry: AnyEntry, *, sync: bool = False) -> None:
        """Record an entry whose large payloads were taken.

        When this returns, it survives the end of the process, however it ends, or a power cut, if
        that is what the store is to survive.

        Args:
            sync: it survives a power cut in any case.

        Raises:
            OSError: the disk refused.
        """
        place = self._queue.put(entry)
        if place is not None and (sync or self._placement.durable):
            self._sync(*place)

    def _write(self, entry: AnyEntry, data: bytes) -> Journal:
        journals = self._journals
        if self._delay is not None and (journals.current is None or not journals.current.entries):
            self._due = monotonic() + self._delay
        journal = journals.append(entry, data)
        if isinstance(entry, Entry):
            self.calls[entry.session.id] = self.calls.get(entry.session.id, 0) + 1
        count = len(journal.entries)
        if count >= _FULL or journal.size >= _FULL_SIZE:
            if journals.full:
                self._move_some(_FULL)
            journals.rotate()
            size = sum(one.size for one in journals.full)
            if len(journals.full) > _MOST_FULL or size > _MOST_SIZE:
                journals.park()
        elif self._delay is not None and monotonic() >= self._due:
            self._move_some(count)
        elif journals.full and not count % _STEP_EVERY:
            self._move_some(_STEP)
        return journal

    def _sync(self, journal: Journal, end: int) -> None:
        """Return when an entry would survive a power cut; one sync serves all that wait for it."""
        # Whoever has the lock, interrupted with it, does not wait for one who may want it.
        with contextlib.nullcontext() if mutex.held() else self._syncing:
            # Large ones are in their files already.
            self._placement.payloads.sync()
            found: list[tuple[Journal, int, int]] = []

            def look() -> None:
                # Else another thread's sync had it, or it was moved, which syncs.
                if journal.synced < end and journal in self._journals.waiting():
                    sound = self._journals.sound(journal)
                    found.append((sound, sound.size, sound.descriptor()))

            self._queue.alone(look)
            for one in found:
                self._journals.sync(*one)

    # -- moving ------------------------------------------------------------------------------

    def move(self, *, wait: bool = True) -> None:
        """Move every recorded call from the journal to the catalog and to its payloads' files.

        Args:
            wait: for another process that writes to the database.

        Raises:
            StoreError: disk or database refused; the calls wait in the journal.
        """
        with mutex.lock:
            if self._queue.inside:
                # Asked for by what has interrupted this very thread amid it.
                return
            try:
                self._queue.alone(lambda: self._move_all(wait))
            except Exception as exc:
                if is_interrupt(exc):
                    raise
                raise self._journals.refusal(exc) from exc

    def _move_all(self, wait: bool) -> None:
        self._queue.write_waiting()
        while self._journals.waiting():
            self._move(_FULL, wait=wait)

    def _move_some(self, count: int) -> None:
        """Move calls as others are recorded; what can't be moved now goes on waiting.

        So does the rest while another process writes to the database: the program's call does not.
        """
        with Suppress(Exception):
            self._move(count, wait=False)

    def _move(self, count: int, *, wait: bool) -> None:
        """Move the oldest calls."""
        entries = self._journals.oldest(count)
        self._placement.put(list(map(self._placement.amended, entries)), wait=wait)
        self._journals.forget(len(entries))

    # -- what waits --------------------------------------------------------------------------

    def waits(self) -> bool:
        """Say whether calls wait to be moved."""
        return bool(self._journals.waiting())

    def find(self, request_id: str) -> Entry | None:
        """Return a call that waits, its payloads in their files."""
        # It is the last, if a session has just made it.
        for journal in reversed(self._journals.waiting()):
            for entry in reversed(journal.entries):
                if isinstance(entry, Entry) and entry.call.id == request_id:
                    made = self._placement.amended(entry)
                    assert isinstance(made, Entry)
                    self._placement.keep_payloads(made)
                    return made
        return None

    def amend_waiting(self) -> None:
        """Write what waits anew as it is by now: others will move it."""
        self._queue.alone(self._journals.amend)

    def sync_waiting(self) -> None:
        """Have what waits survive a power cut, and what comes be behind all of it.

        In a journal of its own, which comes after those of all others that record in the session.
        """
        self._queue.alone(self._journals.close_off)

    def close(self) -> None:
        """Leave what waits to whoever opens the store next."""
        self._queue.alone(self._journals.close)

    def abandon(self) -> None:
        """Begin anew, in a forked child."""
        self._syncing = threading.RLock()
        self._queue.abandon()
        self._journals.abandon()
        self.calls = {}
