"""Taking in what other processes have left: their journals, locks and temporary files."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from ..concurrency.reentry import Suppress, is_interrupt
from ..errors import BusyError, DataIOWarning, IntegrityError, StoreError
from . import locks
from .catalog.catalog import SQLiteCatalog
from .entries import AnyEntry, Entry, SessionEntry
from .journal import Left, left
from .journals import OwnJournals
from .layout import RUNNING
from .placement import Placement
from .running import RunningSessions

# What is taken in at once, in entries and bytes.
_STEP = 64
_STEP_SIZE = 4 << 20


class Adoption:
    """Takes in what the dead have recorded, and the living so far.

    Where the store is read alone, another connection is opened to write by.

    Attributes:
        behind: why journals of processes that are gone could not be taken in.
    """

    def __init__(
        self, root: Path, journals: OwnJournals, placement: Placement, running: RunningSessions
    ) -> None:
        self.behind: BusyError | None = None
        self._root = root
        self._journals = journals
        self._placement = placement
        self._running = running

    def adopt(self, *, settling: bool = False) -> None:
        """Take in what there is.

        What can't be is warned of: it waits for the next opening, and hinders no other.

        Args:
            settling: a session is to be sealed, and others may have recorded in it.
        """
        self.behind = None
        problem: Exception | None = None
        waits = False
        folder = self._journals.folder
        try:
            with left(folder) as found:
                own = self._journals.paths()
                for journal in found:
                    try:
                        if journal.path not in own:
                            self._adopt(journal._replace(whole=problem is None))
                            self._journals.parked.pop(journal.path, None)
                    except Exception as exc:
                        if is_interrupt(exc):
                            raise
                        problem = exc
                        # A living owner moves them itself.
                        waits = waits or journal.gone or not isinstance(exc, BusyError)
        except OSError as exc:
            if is_interrupt(exc):
                raise
            problem, waits = exc, True
        with Suppress(OSError, StoreError):
            self._sweep()
        if waits and isinstance(problem, BusyError) and settling:
            self.behind = problem
        elif waits:
            warnings.warn(
                f"recorded calls wait in {folder} and can't be moved to their place ({problem}): "
                "open the store where it can be written",
                DataIOWarning,
                stacklevel=4,
            )

    def waiting(self) -> set[str]:
        """Return the ids of sessions of which calls, or the end, wait in journals.

        Raises:
            OSError: one can't be read.
            StoreError: the database refused.
        """
        found: set[str] = set()
        with left(self._journals.folder) as journals:
            for journal in journals:
                # What is behind damage is to be recorded again.
                with contextlib.suppress(IntegrityError):
                    for entry in journal.entries():
                        if isinstance(entry, Entry):
                            # (Another may be taking in what this one has taken in as well.)
                            if not self._placement.catalog.has_call(entry.call.id):
                                found.add(entry.session.id)
                        elif entry.calls is not None:
                            found.add(str(entry.row[0]))
        return found

    def _adopt(self, journal: Left) -> None:
        with self._writable() as catalog:
            self._adopt_into(catalog, journal)

    def _adopt_into(self, catalog: SQLiteCatalog, journal: Left) -> None:
        step: list[AnyEntry] = []
        size = 0
        ends = False
        parked = journal.path in self._journals.parked
        try:
            for entry in journal.entries():
                if isinstance(entry, SessionEntry) and not (entry.calls is None or journal.whole):
                    ends = True
                    continue
                step.append(self._placement.amended(entry) if parked else entry)
                size += entry.size
                if len(step) == _STEP or size > _STEP_SIZE:
                    self._placement.put(step, catalog=catalog)
                    step, size = [], 0
        except IntegrityError as exc:
            self._placement.put(step, catalog=catalog)
            # Of a living owner's the rest is not lost: it moves them itself.
            if journal.gone:
                kept = journal.put_aside()
                warnings.warn(f"{exc}; it is kept as {kept}", DataIOWarning, stacklevel=5)
            return
        self._placement.put(step, catalog=catalog)
        if journal.gone and not ends:
            self._placement.payloads.sync()
            journal.remove()

    @contextlib.contextmanager
    def _writable(self) -> Iterator[SQLiteCatalog]:
        """Yield a catalog that can be written to."""
        own = self._placement.catalog
        if not own.database.readonly:
            yield own
            return
        with contextlib.closing(own.writable()) as catalog:
            yield catalog

    def _sweep(self) -> None:
        """Delete what the dead have left of locks and temporary files, which may hold bodies."""
        for session_id, noted in self._running.sweep():
            if noted is not None:
                with self._writable() as catalog:
                    catalog.put_coverage(session_id, noted)
        if not self._placement.catalog.database.readonly:
            locks.sweep(self._root / RUNNING)
            locks.sweep(self._journals.folder)
