"""What became of a run, for its session and for who has started it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..coverage import libraries
from ..integrity.proofs import head_of
from ..models import Mode, Session, Status, Unseen
from ..process import put, say
from ..reading.layout import wrapped
from ..reading.outcomes import exit_word
from ..storage import unseen as unseen_
from ..storage.root_store import RootStore
from ..utils import counted, utc_now
from .arguments import FULL, Options
from .plan import RunPlan
from .process_reports import ENDED, LEFT, all_of, served

WRONG = 1


class Outcome:
    """What became of a run.

    Args:
        session_id: the program's own session's.
        label: the program's.
        folder: what the run's processes shared.
        problems: what was wrong, and what will be.
        refused: the first of them is why nothing could be recorded.

    Attributes:
        exit_status: the program's, negative for the signal that ended it.
        reports: what its processes reported.
        own: what the program's own process reported.
        calls: how many were recorded, or served in replay.
        sessions: how many were recorded.
        interrupted: how many of these did not end by themselves, nor by their parent.
        stopped: how many their parent ended.
        head: the store's, as a line.
        pushed: in words, what went to an archive.
        broken_off: that was, and threads of it may wait for the network yet.
    """

    def __init__(
        self,
        plan: RunPlan,
        session_id: str,
        label: str,
        folder: Path,
        exit_status: int,
        problems: list[str],
        *,
        refused: bool = False,
    ) -> None:
        self.exit_status = exit_status
        self.reports = all_of(folder)
        self.own = next((one for one in self.reports if one.session == session_id), None)
        self.calls = served(folder)
        self.missed = sum(one.missed for one in self.reports)
        self.misses = [text for one in self.reports for text in one.misses]
        self.sessions = self.interrupted = self.stopped = 0
        self.head: str | None = None
        self.pushed: str | None = None
        self.broken_off = False
        self._plan = plan
        self._id = session_id
        self._label = label
        self._problems = problems
        self._replays = plan.mode == Mode.REPLAY
        self._refused = refused
        self._blind = refused or (self._replays and bool(problems))

    @property
    def warnings(self) -> list[str]:
        """What is to be said of the program's own session."""
        own = self.own.warnings if self.own is not None else ()
        return list(dict.fromkeys((*self._problems, *own)))

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What went past capture in any of the processes."""
        return unseen_.merged(one for report in self.reports for one in report.coverage or ())

    @property
    def left_out(self) -> tuple[Unseen, ...]:
        """Where calls went that were left out, in any of the processes."""
        return unseen_.merged(one for report in self.reports for one in report.left_out)

    @property
    def session_status(self) -> Status:
        """How the program's own session ended."""
        own = self.own
        if self._problems:
            return Status.INCOMPLETE
        if self.exit_status < 0 or (own is not None and own.state not in (ENDED, LEFT)):
            return Status.INTERRUPTED
        if own is None:
            # It had no use for a session.
            return Status.COMPLETE
        if own.state == ENDED:
            return Status(own.status)
        return Status.INCOMPLETE if own.warnings else Status.COMPLETE

    def ended(self, session: Session) -> Session:
        """Return the program's own session as it ended."""
        return replace(
            session,
            status=self.session_status,
            ended_at=utc_now(),
            warnings=tuple(self.warnings),
            exit_status=self.exit_status,
            coverage=self.own.coverage if self.own is not None else None,
            left_out=self.own.left_out if self.own is not None else (),
        )

    def look(self, store: RootStore) -> None:
        """Look up what the store holds of the run."""
        found = store.sessions_of(self._id)
        self.sessions = len(found)
        self.calls = sum(count for _, count in found)
        self.stopped = sum(session.ended_by_parent for session, _ in found)
        interrupted = sum(session.status is Status.INTERRUPTED for session, _ in found)
        self.interrupted = interrupted - self.stopped
        self.head = str(head_of(store))

    def status(self, options: Options) -> int:
        """Return the exit status of the run; negative: the signal by which it is to end."""
        unseen = FULL in options.flags and bool(self.unseen)
        if self.exit_status == 0 and (self.missed or self._blind or unseen):
            return WRONG
        return self.exit_status

    # -- telling -----------------------------------------------------------------------------

    def tell(self, options: Options) -> None:
        """Print what was wrong, and a summary unless there is to be none."""
        if "json" in options.flags:
            put(self._json())
            return
        if self.missed:
            count = f"{counted(self.missed, 'call')} {'was' if self.missed == 1 else 'were'}"
            # A program that failed has most likely said itself by what.
            swallowed = self.exit_status == 0
            say(f"error: {count} not in the recording{'; the first:' if swallowed else ''}")
            if swallowed:
                put(self.misses[0])
        if self._blind:
            say(f"error: {self._problems[0]}")
        unseen = self.unseen
        if FULL in options.flags and unseen:
            say(f"error: not all was captured: {counted(len(unseen), 'thing')} went past")
        if "quiet" in options.flags:
            return
        _say(self._line())
        told = self._problems[:1] if self._blind else []
        if self.own is not None:
            told.append(libraries.unseen_warning(self.own.coverage or ()))
        for warning in self.warnings:
            if warning not in told:
                _say(f"warning: {warning}")
        for one in unseen:
            _say(f"not captured: {libraries.said(one)}")
        for one in self.left_out:
            _say(f"left out: {counted(one.times, 'call')} to {one.name}")
        if self.pushed is not None:
            _say(self.pushed)
        if self.head is not None:
            put(self.head)

    def _line(self) -> str:
        where = f"source {self._plan.source!r} under {self._plan.settings['root']}"
        ended = f"exit {exit_word(self.exit_status)}"
        calls = counted(self.calls, "call")
        if self._replays:
            return f"replayed {calls}, missed {self.missed}, {ended}, {where}"
        if self._refused:
            return f"nothing was recorded, {ended}, {where}"
        text = f"session {self._id} is {self.session_status}, {ended}: {calls}, {where}"
        if self.sessions > 1:
            text += f"; with {counted(self.sessions - 1, 'child session')}"
        for count, how in ((self.stopped, "ended by parent"), (self.interrupted, "interrupted")):
            text += f", {count} {how}" if count else ""
        return text

    def _json(self) -> str:
        import json  # loaded by link

        plan, no_session = self._plan, self._replays or self._refused
        line = {
            "type": "run", "id": None if no_session else self._id, "mode": plan.mode,
            "source": plan.source, "root": os.fspath(plan.settings["root"]),
            "program": self._label, "status": None if no_session else self.session_status,
            "exit_status": self.exit_status, "calls": self.calls, "sessions": self.sessions,
            "interrupted": self.interrupted, "ended_by_parent": self.stopped,
            "missed": self.missed, "misses": self.misses,
            "warnings": self.warnings, "coverage": [one._asdict() for one in self.unseen],
            "left_out": {one.name: one.times for one in self.left_out},
            "head": self.head, "pushed": self.pushed,
        }  # fmt: skip
        return json.dumps(line)


def _say(text: str) -> None:
    """Say it; on a terminal no line breaks within a word."""
    try:
        columns = os.get_terminal_size(2).columns
    except OSError:
        say(text)
        return
    begun = "mxm-dataio: "
    say(wrapped(begun + text, columns, "  ").removeprefix(begun))
