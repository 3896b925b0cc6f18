"""A session's way through a store: its row as it begins, what is settled with it, its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import BusyError, StoreError
from ..models import Session, Status
from ..utils import cause, utc_now
from .adoption import Adoption
from .catalog import rows
from .entries import SessionEntry
from .journals import OwnJournals
from .placement import Placement
from .running import RunningSessions
from .unseen import parted
from .writer import Writer


class Lifecycle:
    """Writes the rows of sessions: into the journal, where the database can't be used."""

    def __init__(
        self,
        journals: OwnJournals,
        placement: Placement,
        writer: Writer,
        adoption: Adoption,
        running: RunningSessions,
    ) -> None:
        self._catalog = placement.catalog
        self._journals = journals
        self._placement = placement
        self._writer = writer
        self._adoption = adoption
        self._running = running

    def begin(self, session: Session) -> None:
        """Write the row of a session that starts.

        Raises:
            StoreError: the database refused, or the disk.
        """
        self._running.begin(session.id)
        try:
            self._catalog.put_session(session, durable=self._placement.durable)
        except BusyError:
            self._append_row(session, None)

    def settle(self) -> None:
        """Move what waits to its place, of children too that ended without a word, and sync it.

        Of others' what can't be moved is only warned of: it is no part of the session.

        Raises:
            BusyError: the database can't be used now; the calls wait in the journal.
            StoreError, OSError: disk or database refused; the calls wait in the journal.
        """
        for journal in self._journals.waiting():
            self._journals.look_for(journal)
        try:
            self._writer.move()
            self._adoption.adopt(settling=True)
            self._refuse_parked()
        except StoreError:
            self._writer.amend_waiting()
            raise
        self._placement.payloads.sync()
        self._placement.remove_outdated(self._running)

    def _refuse_parked(self) -> None:
        """Raise if calls wait in journals that are not this process's any more."""
        why = self._adoption.behind
        if any(path.exists() for path in self._journals.parked):
            why = why or BusyError("they could not be read", path=self._journals.folder)
        if why is not None:
            raise self._journals.refusal(why) from why

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Write the row of a session that ended, and sync: what is settled survives a power cut.

        Args:
            settled: all its calls are in their place, or wait for the database; it is sealed.

        Raises:
            BusyError: the database can't be used now; all waits in the journal, the session's end
                behind its calls, and survives a power cut.
            StoreError: disk or database refused.
        """
        if session.coverage is None:
            # Who ends it may be another than the process that watched, and was killed.
            coverage, left_out = parted(self._running.noted(session.id))
            session = replace(session, coverage=coverage, left_out=session.left_out or left_out)
        try:
            if settled:
                self._writer.move()
                self._refuse_parked()
            self._catalog.put_session(session, durable=True, sealed=settled)
        except BusyError as exc:
            # Ended and sealed by whoever takes in its calls, behind all of them.
            self._writer.sync_waiting()
            self._append_row(session, self._writer.calls.get(session.id, 0))
            if exc.path == self._journals.folder:
                # It says what waits.
                raise
            raise self._journals.refusal(exc) from exc
        finally:
            self._running.end(session.id)

    def end_left(
        self,
        session: Session | None,
        warnings: Sequence[str] = (),
        *,
        replaced: bool = True,
        stopped_by: int | None = None,
    ) -> None:
        """End a session whose process is gone and has not; one that goes on, or was ended, stays.

        Args:
            warnings: what it could not record, beyond what its row says.
            replaced: its process became another program's (``os.exec…``); else it died.
            stopped_by: the signal by which its parent ended it.

        Raises:
            StoreError, OSError: disk or database refused.
        """
        if session is None or session.status is not Status.INTERRUPTED or session.ended_at:
            return
        # What it had recorded is moved first, to be sealed with it.
        self.settle()
        known = tuple(dict.fromkeys((*session.warnings, *warnings)))
        ended = replace(session, ended_at=utc_now(), warnings=known)
        if replaced:
            ended = replace(ended, status=Status.INCOMPLETE if known else Status.COMPLETE)
        elif stopped_by is not None:
            ended = replace(ended, exit_status=-stopped_by)
        self.end(ended)

    def seal_left(self) -> int:
        """Seal the sessions whose processes are gone, ``interrupted`` if they have not ended.

        Returns:
            How many.

        Raises:
            BusyError: the database can't be used now.
            StoreError, OSError: disk or database refused, or what they recorded can't be read.
        """
        from .leftovers import left_sessions  # no session needs it

        # Those that are gone by now: all that they left is then taken in.
        found = left_sessions(self._catalog, self._running)
        if not found:
            return 0
        self.settle()
        waiting = self._adoption.waiting()
        return self._catalog.seal_left(id for id in found if id not in waiting)

    def _append_row(self, session: Session, calls: int | None) -> None:
        """Have a session's row wait in the journal.

        Args:
            calls: how many stand before it, as it ends.
        """
        entry = SessionEntry(rows.session_row(session), calls)
        try:
            self._writer.append(entry, sync=calls is not None)
        except OSError as exc:
            raise StoreError(
                f"session {session.id} can't be written to {self._journals.folder}: {cause(exc)}",
                path=self._journals.folder,
            ) from exc
