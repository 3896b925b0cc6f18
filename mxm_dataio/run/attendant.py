"""The session of a run: begun beside the program, ended after it, and told of.

``run`` alone sees how a program ends, so it ends the session that the program's process records in,
and those of its children that died without a word.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from .. import config
from ..coverage import libraries
from ..errors import BusyError, ConfigError, DataIOError, StoreError
from ..integrity.proofs import head_of
from ..models import Compression, Durability, Mode, Session, Status, Unseen
from ..process import DEFAULTS, put, say
from ..storage import unseen as unseen_
from ..store import DATABASE, Store
from ..utils import as_of_text, counted, utc_now
from .arguments import MISUSED, Options, Program, RunPlan, argument, default_source
from .handoff import settings_json
from .process_reports import ENDED, LEFT, Report, all_of, failed, served

WRONG = 1


def resolve(options: Options, program: Program) -> RunPlan:
    """Return the plan, by all that settings are made of and by what is to be replayed.

    Raises:
        SystemExit: something is wrong with them; that was printed.
    """
    try:
        return _resolved(options, program)
    except (DataIOError, ValueError) as exc:
        _misused(exc)


def _misused(exc: Exception) -> NoReturn:
    say(f"error: {exc}")
    raise SystemExit(MISUSED)


def _resolved(options: Options, program: Program) -> RunPlan:
    session = argument(options, "session")
    given = {
        "root": options.get("root"), "mode": options.get("mode"),
        "durability": options.get("durability"), "max_body": options.get("max-body"),
        "allowed_hosts": options.allowed_hosts or None,
        "stdlib": False if "no-stdlib" in options.flags else None,
    }  # fmt: skip
    if session and not given["mode"]:
        given["mode"] = "replay"
    settings = config.load(given, defaults=DEFAULTS)
    # The program may go to another folder before its first call.
    settings = replace(settings, root=settings.root.absolute())
    as_of = argument(options, "as-of")
    plan = RunPlan(
        settings.mode, argument(options, "source") or default_source(program.label),
        settings_json(settings), as_of=as_of_text(as_of) if as_of else None, session=session,
    )  # fmt: skip
    once = settings.mode == config.ONCE
    mode = config.mode_of(settings.mode)
    if once and (settings.root / DATABASE).exists():
        with Store(settings.root, readonly=True) as store:
            recorded = bool(store.sessions(plan.source))
        mode = config.mode_of(config.ONCE, recorded=recorded)
    plan.mode = mode.value
    if mode is Mode.REPLAY or session:
        # What can't be replayed is to be told before the program starts.
        with Store(settings.root, readonly=True) as store:
            _look_up(plan, store, named=argument(options, "source") is not None)
    return plan


def _look_up(plan: RunPlan, store: Store, *, named: bool) -> None:
    """Find the one session to replay, and its source if none was named."""
    if not plan.session:
        return
    found = store.session(store.session_id(plan.session))
    assert found is not None
    if named and found.source != plan.source:
        raise ConfigError(
            f"session {found.id} recorded the source {found.source!r}, not {plan.source!r}"
        )
    plan.session, plan.source = found.id, found.source


class Attendant:
    """Who begins and ends the session of a run.

    Args:
        session_id: the session's.
        dated: its as-of.
        label: the program's.
        python: the program is one of this interpreter's.
        pid: its process.
        folder: what the run's processes share.
    """

    def __init__(
        self,
        plan: RunPlan,
        session_id: str,
        *,
        dated: str,
        label: str,
        python: bool,
        pid: int,
        folder: str,
    ) -> None:
        self.plan = plan
        self.id = session_id
        self.dated = dated
        self.label = label
        self.python = python
        self.pid = pid
        self.folder = Path(folder)
        self.problems: list[str] = []
        self._store: Store | None = None
        self._session: Session | None = None

    @property
    def replays(self) -> bool:
        """Nothing is recorded."""
        return self.plan.mode == Mode.REPLAY

    def begin(self) -> None:
        """Open the store, and write the session's row; what fails is told."""
        if self.replays:
            return
        plan, settings = self.plan, self.plan.settings
        try:
            self._store = Store(
                settings["root"],
                compression=Compression(settings.get("compression", Compression.NONE)),
                durability=Durability(settings.get("durability", Durability.PROCESS)),
            )
            session = Session(
                self.id, plan.source, Mode(plan.mode), self.dated, Status.RUNNING, utc_now(),
                root_id=self.id, pid=self.pid, program=self.label,
            )  # fmt: skip
            self._store.begin(session)
            self._session = session
        except (DataIOError, OSError) as exc:
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
        outcome = Outcome(self, exit_status, all_of(self.folder))
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
        return outcome

    def _end_children(self, store: Store, outcome: Outcome) -> None:
        """End the sessions of processes that are gone and could not."""
        known = {report.session: report for report in outcome.reports}
        for child, _ in store.sessions_of(self.id):
            if child.id != self.id:
                report = known.get(child.id)
                store.end_left(
                    child.id,
                    warnings=report.warnings if report is not None else (),
                    replaced=report is not None and report.state == LEFT,
                )


class Outcome:
    """What became of a run.

    Attributes:
        exit_status: the program's, negative for the signal that ended it.
        own: what the program's own process reported.
        calls: how many were recorded, or served in replay.
        sessions: how many were recorded.
        interrupted: how many of these did not end by themselves.
        head: the store's, as a line.
    """

    def __init__(self, run: Attendant, exit_status: int, reports: Sequence[Report]) -> None:
        self.exit_status = exit_status
        self.reports = reports
        self.own = next((one for one in reports if one.session == run.id), None)
        self.calls = served(run.folder)
        self.missed = sum(one.missed for one in reports)
        self.misses = [text for one in reports for text in one.misses]
        self.sessions = self.interrupted = 0
        self.head: str | None = None
        self._run = run
        self._blind = run.replays and bool(run.problems)

    @property
    def warnings(self) -> list[str]:
        """What is to be said of the program's own session."""
        own = self.own.warnings if self.own is not None else ()
        return list(dict.fromkeys((*self._run.problems, *own)))

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What went past capture in any of the processes."""
        return unseen_.merged(one for report in self.reports for one in report.coverage or ())

    @property
    def session_status(self) -> Status:
        """How the program's own session ended."""
        own = self.own
        if self._run.problems:
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
        )

    def look(self, store: Store) -> None:
        """Look up what the store holds of the run."""
        found = store.sessions_of(self._run.id)
        self.sessions = len(found)
        self.calls = sum(count for _, count in found)
        self.interrupted = sum(session.status is Status.INTERRUPTED for session, _ in found)
        self.head = str(head_of(store))

    def status(self, options: Options) -> int:
        """Return the exit status of the run; negative: the signal by which it is to end."""
        unseen = options.full and bool(self.unseen)
        if self.exit_status == 0 and (self.missed or self._blind or unseen):
            return WRONG
        return self.exit_status

    # -- telling -----------------------------------------------------------------------------

    def tell(self, options: Options) -> None:
        """Print what was wrong, and a summary unless there is to be none."""
        if options.json:
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
            say(f"error: {self._run.problems[0]}")
        unseen = self.unseen
        if options.full and unseen:
            say(f"error: not all was captured: {counted(len(unseen), 'thing')} went past")
        if options.quiet:
            return
        say(self._line())
        told = libraries.unseen_warning(self.own.coverage or ()) if self.own is not None else ""
        for warning in self.warnings:
            if warning != told:
                say(f"warning: {warning}")
        for one in unseen:
            say(f"not captured: {libraries.said(one)}")
        if self.head is not None:
            put(self.head)

    def _line(self) -> str:
        run = self._run
        where = f"source {run.plan.source!r} under {run.plan.settings['root']}"
        if run.replays:
            return f"replayed {counted(self.calls, 'call')}, missed {self.missed}, {where}"
        text = f"session {run.id} is {self.session_status}: {counted(self.calls, 'call')}, {where}"
        if self.sessions > 1:
            text += f"; with {counted(self.sessions - 1, 'child session')}"
        return text + (f", {self.interrupted} interrupted" if self.interrupted else "")

    def _json(self) -> str:
        import json  # loaded by link

        run = self._run
        line = {
            "type": "run", "id": None if run.replays else run.id, "mode": run.plan.mode,
            "source": run.plan.source, "root": os.fspath(run.plan.settings["root"]),
            "program": run.label, "status": None if run.replays else self.session_status,
            "exit_status": self.exit_status, "calls": self.calls, "sessions": self.sessions,
            "interrupted": self.interrupted, "missed": self.missed, "misses": self.misses,
            "warnings": self.warnings, "coverage": [one._asdict() for one in self.unseen],
            "head": self.head,
        }  # fmt: skip
        return json.dumps(line)
