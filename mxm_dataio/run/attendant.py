"""The session of a run: begun beside the program, and ended after it.

``run`` alone sees how a program ends, so it ends the session that the program's process records in,
and those of its children that died without a word.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BusyError, DataIOError, IntegrityError, StoreError
from ..models import Mode, Session, Status
from ..process import say
from ..storage.recording_store import RecordingStore
from ..utils import utc_now
from .outcome import Outcome
from .plan import RunPlan
from .process_reports import LEFT, failed, stopped


@dataclass
class Attendant:
    """Who begins and ends the session of a run.

    Attributes:
        id: the session's.
        dated: its as-of.
        label: the program's.
        python: the program is one of this interpreter's.
        pid: its process.
        folder: what the run's processes share.
        problems: what was wrong.
        refused: the database is none that can be recorded to.
    """

    plan: RunPlan
    id: str
    dated: str
    label: str
    python: bool
    pid: int
    folder: Path
    problems: list[str] = field(default_factory=list)
    refused: bool = False
    _store: RecordingStore | None = None
    _session: Session | None = None

    def begin(self) -> None:
        """Open the store, and write the session's row; what fails is told."""
        if self.plan.mode == Mode.REPLAY:
            return
        plan, settings = self.plan, self.plan.settings
        try:
            self._store = RecordingStore(
                settings["root"],
                compression=settings.get("compression", "none"),
                durability=settings.get("durability", "process"),
            )
            session = Session(
                self.id, plan.source, Mode(plan.mode), self.dated, Status.RUNNING, utc_now(),
                root_id=self.id, pid=self.pid, program=self.label,
            )  # fmt: skip
            self._store.begin(session)
            self._session = session
        except (DataIOError, OSError) as exc:
            self.refused = isinstance(exc, IntegrityError)
            self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self.problems.append(str(exc))
        say(f"warning: {exc}")

    def end(self, exit_status: int) -> Outcome:
        """End the session, and those of processes that could not; return what became of it all.

        Args:
            exit_status: the program's, negative for the signal that ended it.
        """
        if not any(self.folder.glob("*.started")):
            what = "its interpreter has no mxm-dataio installed"
            if not self.python:
                what = f"none was started, or {what}"
            self.problems.append(f"no Python process was captured: {what}")
        self.problems += failed(self.folder)
        outcome = Outcome(
            self.plan, self.id, self.label, self.folder, exit_status, self.problems,
            refused=self.refused,
        )  # fmt: skip
        store, session = self._store, self._session
        waits: BusyError | None = None
        if store is not None and session is not None:
            for step in (
                store.settle,
                lambda: self._end_children(store, outcome),
                lambda: store.end(outcome.ended(session)),
                lambda: outcome.look(store),
            ):
                try:
                    step()
                except BusyError as exc:
                    # What waits has its place: the session's end behind its calls.
                    waits = exc
                except (StoreError, OSError) as exc:
                    self._failed(exc)
                    break
            if waits is not None:
                self._failed(waits)
        if store is not None:
            with contextlib.suppress(DataIOError):
                store.close()
        url = self.plan.settings.get("push")
        if url and store is not None:
            from .pushing import push

            try:
                outcome.pushed = push(url, self.plan.settings["root"])
            except KeyboardInterrupt:
                outcome.broken_off = True
        return outcome

    def _end_children(self, store: RecordingStore, outcome: Outcome) -> None:
        """End the sessions of processes that are gone and could not."""
        known = {report.session: report for report in outcome.reports}
        signals = stopped(self.folder)
        for child, _ in store.sessions_of(self.id):
            if child.id != self.id:
                report = known.get(child.id)
                store.end_left(
                    child.id,
                    warnings=report.warnings if report is not None else (),
                    replaced=report is not None and report.state == LEFT,
                    stopped_by=signals.get(child.pid),
                )
