"""The session of a process that has ``MXM_DATAIO_AUTO`` in its environment; see :mod:`.startup`.

It begins as late as it can, sees the modules of the program as they are loaded, hands a link to the
process's children, and ends with the process. Under ``run`` it also leaves word in the run's
folder: what was missed in replay, and what of a session ``run`` can't read from the store. The
program's own process there records in the session that ``run`` began, which ends it, since it
alone sees how the process ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import settings as config
from ..config.archive_urls import ArchiveRoot
from ..config.faces import ENVIRONMENT
from ..config.faces import RUN as BY_RUN
from ..errors import DataIOWarning, StoreError
from ..ingest.active import sessions
from ..ingest.capture import Capture
from ..ingest.lifecycle import Lifecycle
from ..ingest.opener import Opener
from ..ingest.place import place_of
from ..ingest.problems import Problems
from ..interception import STDLIB, interceptors, modules
from ..models import Mode, Session, Status
from ..process import AS_OF, AUTO, CONFIG, DEFAULTS, RUN, SESSION, SOURCE, is_link, say
from ..redaction import DEFAULT
from ..replay.misses import swallowed
from ..replay.policy import Decision, Miss, Pass
from ..storage.recording_store import RecordingStore
from .arguments import default_source, interpreter, label_of
from .handoff import Link, settings_json
from .process_reports import ENDED, LEFT, RUNNING, SERVED, Report

if TYPE_CHECKING:
    from ..interception import Interceptor

_REPORTED = 20


class AutoSession(Opener):
    """A session that nobody opened: the process does, for itself.

    Args:
        link: what the process that started this one left in the environment; ``None``: it is
            the outermost.
        source, as_of, session, settings: as of an ``IngestSession``.
        folder: the run's.
    """

    steps_back = True

    def __init__(
        self,
        link: Link | None,
        source: str,
        *,
        as_of: str | None,
        session: str | None,
        settings: dict[str, Any],
        folder: Path | None,
    ) -> None:
        super().__init__(BY_RUN if link is not None and link.attended else ENVIRONMENT)
        self.program = _program()
        self._link = link
        self._asked = as_of, session
        self._pid = os.getpid()
        # Without it the run is over: this process goes on as one that nobody waits for.
        self._run = folder if folder is not None and folder.is_dir() else None
        self._attended = link is not None and link.attended and self._run is not None
        self._made_run = False
        self._joined = link is not None and link.joins and link.pid == os.getpid()
        self._loaded: set[str] = set()
        self._wanted: Iterable[Callable[[], Interceptor | None]] = ()
        loaded = config.load(settings, face=self.face)
        self.capture = Capture(
            source,
            loaded,
            place_of(loaded, session, self.face),
            self,
            redaction=DEFAULT,
            as_of=as_of,
        )
        self._life = Lifecycle(self.capture)
        if link is not None:
            if self._joined:
                self.program = link.program
            self.parent = Session(
                link.parent_id, source, self.capture.mode, link.dated, Status.RUNNING, "",
                root_id=link.root_id,
            )  # fmt: skip

    # -- how it begins -----------------------------------------------------------------------

    def begin(self) -> None:
        """Open it, and end that of a program whose place this one has taken.

        Raises:
            DataIOError: as opening any session does.
        """
        self._life.open()
        if self._run is None and self.capture.mode is Mode.REPLAY:
            self._make_run()
        if self._run is not None:
            self.capture.share_turns(self._run / SERVED)
        self._hand_on()
        self._end_with_process()
        link, store = self._link, self.capture.store
        if link is None or not isinstance(store, RecordingStore):
            return
        if self._joined:
            store.join(link.parent_id)
        elif link.pid == os.getpid() and link.ends:
            with contextlib.suppress(StoreError, OSError):
                store.end_left(link.parent_id)

    def see(self, module: str, ready: Callable[[], None]) -> None:
        """Capture the calls that are made through a module.

        Args:
            ready: called before the module's classes are touched, once all is loaded for it.

        Raises:
            ConfigError: in replay, with one that can't be captured.
        """
        wanted = module != STDLIB or self.capture.settings.stdlib
        if module in self._loaded or not self.capture.is_open or not wanted:
            ready()
            return
        self._loaded.add(module)
        self._wanted = [make for make in interceptors if modules.get(make) == module]
        made = self._life.interceptors()
        ready()
        self._life.install(made)

    def loaded(self, library: str) -> None:
        """Take a library that connects unseen, as it is loaded.

        Raises:
            ReplayMissError: in replay, if its import alone can be refused.
        """
        if self.capture.watch is not None:
            self.capture.watch.loaded(library)

    def _make_run(self) -> None:
        """Make the folder that this replay's processes share, where there is no run to have it."""
        import tempfile

        self._run = Path(tempfile.mkdtemp(prefix="mxm-dataio-"))
        self._made_run = True

    def _hand_on(self) -> None:
        """Leave the link for this process's children."""
        session = self.capture.session
        assert session is not None
        settings = {**settings_json(self.capture.settings), "mode": self.capture.mode.value}
        as_of, pinned = self._asked
        link = Link(
            parent_id=session.id, root_id=session.root_id, pid=os.getpid(), source=session.source,
            dated=session.as_of, as_of=as_of, session=pinned, settings=settings,
            ends=not self._joined, attended=self._attended,
        )  # fmt: skip
        os.environ[AUTO] = link.text()
        if self._run is not None:
            os.environ[RUN] = str(self._run)
            self._report(RUNNING)

    def _end_with_process(self) -> None:
        # At an ordinary end startup calls finish(). Children of multiprocessing's end by os._exit,
        # behind their finalizers; those that were there before them they drop at first.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            if sys.modules["multiprocessing.process"].parent_process() is not None:
                util.Finalize(None, self.finish, exitpriority=0)
            util.register_after_fork(self, _finalize)

    # -- as its opener -----------------------------------------------------------------------

    @property
    def keeps_row(self) -> bool:
        """Not the one that ``run`` has begun, and ends."""
        return not self._joined

    def makers(self, capture: Capture) -> Iterable[Callable[[], Interceptor | None]]:
        """Return what sees the module that was loaded last."""
        return self._wanted

    def take_place(self, capture: Capture) -> None:
        """Go below what the program opens itself, before or after; in no context of its own."""
        sessions.insert(capture)

    def row(self, session: Session, parent: Session | None) -> Session:
        """Return the row, of the session that ``run`` has begun if this is the program's own."""
        if os.getpid() != self._pid:
            # A forked child.
            self._pid = os.getpid()
            self._joined = self._made_run = False
        if self._joined and parent is not None:
            session = replace(session, id=parent.id, root_id=parent.root_id, parent_id=None)
        return replace(session, program=self.program)

    def adopted(self, close: Callable[[], None]) -> None:
        """Take a session that a forked child has begun."""
        self._end_with_process()
        self._hand_on()

    def ended(self, mode: Mode) -> Decision:
        """Let no call of a replay's pass, however late."""
        return Miss() if mode is Mode.REPLAY else Pass()

    def missing(self) -> None:
        """Have a miss be this process's own."""
        self.capture.adopt()

    def noted(self) -> None:
        """Report at once: the process may end without a word."""
        self._report(RUNNING)

    def warn(self, warning: DataIOWarning, stacklevel: int) -> None:
        """Say it, not as a warning of Python's: the program may have made these errors."""
        say(f"warning: {warning}")

    def raise_misses(self, problems: Problems, exc: BaseException | None) -> None:
        """Raise nothing: there is nobody to take it. They are reported."""

    # -- how it ends -------------------------------------------------------------------------

    def leave(self, path: Any) -> None:
        """Prepare for another program that is about to take this process's place.

        It may not come to that, where the program looks for it in several places.
        """
        capture = self.capture
        if not capture.is_open or not capture.own() or not _executable(path):
            return
        for call in list(capture.pending):
            call.settle()
        self._report(LEFT)
        store = capture.store
        if isinstance(store, RecordingStore) and capture.session is not None and self.keeps_row:
            with contextlib.suppress(StoreError):
                store.note(replace(capture.session, warnings=tuple(capture.problems.problems)))

    def finish(self) -> None:
        """End it with the process. Of a forked child that made no call there is nothing to end."""
        capture, life = self.capture, self._life
        if not capture.is_open or not capture.own():
            return
        installed = list(life.installed)
        try:
            life.close(_unhandled())
        finally:
            if capture.mode is Mode.REPLAY:
                # What calls still, from a finalizer or a daemon thread, is to reach nothing.
                self.take_place(capture)
                life.see(installed)
            self._report(ENDED)
            if self._made_run and self._run is not None:
                import shutil

                shutil.rmtree(self._run, ignore_errors=True)
        misses = capture.problems.misses
        if misses and not self._attended:
            say(f"error: {swallowed(misses)}")

    def _report(self, state: str) -> None:
        session, problems = self.capture.session, self.capture.problems
        if self._run is None or session is None:
            return
        status = session.status
        warnings = session.warnings if state == ENDED else tuple(problems.problems)
        report = Report(
            session.id, os.getpid(), self.program, state, status.value, len(problems.misses),
            tuple(str(miss) for miss in problems.misses[:_REPORTED]), warnings, session.coverage,
            session.left_out,
        )  # fmt: skip
        # Without the folder the run is over, and nobody asks.
        with contextlib.suppress(OSError):
            report.write(self._run)


def begin(folder: str) -> AutoSession:
    """Return the session of this process, begun.

    Args:
        folder: in which the process started; what its settings are relative to.

    Raises:
        DataIOError: its settings are wrong, or it can't be opened.
    """
    run = os.environ.get(RUN)
    word = os.environ.get(AUTO, "")
    if is_link(word):
        link = Link.parse(word)
        session = AutoSession(
            link, link.source, as_of=link.as_of, session=link.session,
            settings=dict(link.settings), folder=Path(run) if run else None,
        )  # fmt: skip
    else:
        named = os.environ.get(CONFIG)
        if named:
            os.environ[CONFIG] = str(Path(folder, named))
        settings = config.load({}, defaults=DEFAULTS)
        values = settings_json(settings)
        if not isinstance(settings.root, ArchiveRoot):
            values["root"] = str(Path(folder, settings.root))
        session = AutoSession(
            None, os.environ.get(SOURCE) or default_source(_program()),
            as_of=os.environ.get(AS_OF) or None, session=os.environ.get(SESSION) or None,
            settings=values, folder=None,
        )  # fmt: skip
    session.begin()
    return session


def _program() -> str:
    """Return what this process runs, without its arguments."""
    # Not sys.argv, which is the program's to change.
    words = interpreter(sys.orig_argv)[2]
    if words[:1] == ["-c"] and "multiprocessing." in "".join(words[1:2]):
        return "multiprocessing"
    return label_of(words)


def _unhandled() -> BaseException | None:
    """Return the exception that ends this process, as far as the interpreter has told of it."""
    if hasattr(sys, "ps1"):
        # One of many, at a prompt.
        return None
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None


def _executable(path: Any) -> bool:
    try:
        place = Path(os.fsdecode(path))
        return place.is_file() and os.access(place, os.X_OK)
    except (OSError, TypeError, ValueError):
        return False


def _finalize(session: AutoSession) -> None:
    """Have a forked child of multiprocessing's end the session that it may begin."""
    sys.modules["multiprocessing.util"].Finalize(None, session.finish, exitpriority=0)
