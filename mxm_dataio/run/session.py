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

from .. import config
from ..api import IngestSession, sessions
from ..errors import DataIOWarning, ReplayMissError, StoreError
from ..identity import Identity
from ..interception import STDLIB, interceptors, modules
from ..models import Mode, Session, Status
from ..process import AS_OF, AUTO, CONFIG, DEFAULTS, RUN, SESSION, SOURCE, is_link, say
from ..replay.misses import swallowed
from ..replay.policy import Decision, Miss
from ..storage.backend import Backend
from ..store import Store
from .arguments import default_source, interpreter, label_of
from .handoff import Link, settings_json
from .process_reports import ENDED, LEFT, RUNNING, SERVED, Report

if TYPE_CHECKING:
    from ..interception import Interceptor

_REPORTED = 20


class AutoSession(IngestSession):
    """A session that nobody opened.

    Args:
        link: what the process that started this one left in the environment; ``None``: it is
            the outermost.
        source, as_of, session, settings: as of an ``IngestSession``.
        folder: the run's.
    """

    _steps_back = True

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
        super().__init__(source, as_of=as_of, session=session, **settings)
        self.program = _program()
        self._link = link
        self._asked = as_of, session
        # Without it the run is over: this process goes on as one that nobody waits for.
        self._run = folder if folder is not None and folder.is_dir() else None
        self._attended = link is not None and link.attended and self._run is not None
        self._made_run = False
        self._joined = link is not None and link.joins and link.pid == os.getpid()
        self._loaded: set[str] = set()
        if link is not None:
            if self._joined:
                self.program = link.program
            self._parent = Session(
                link.parent_id, source, self.mode, link.dated, Status.RUNNING, "",
                root_id=link.root_id,
            )  # fmt: skip

    # -- how it begins -----------------------------------------------------------------------

    def begin(self) -> None:
        """Open it, and end that of a program whose place this one has taken.

        Raises:
            DataIOError: as opening any session does.
        """
        self.open()
        if self._run is None and self.mode is Mode.REPLAY:
            self._make_run()
        if self._run is not None:
            self._share_served(self._run / SERVED)
        self._hand_on()
        self._end_with_process()
        link = self._link
        if link is None or link.pid != os.getpid() or not link.ends:
            return
        if isinstance(self.store, Store) and not self.store.readonly:
            with contextlib.suppress(StoreError, OSError):
                self.store.end_left(link.parent_id)

    def capture(self, module: str, ready: Callable[[], None]) -> None:
        """Capture the calls that are made through a module.

        Args:
            ready: called before the module's classes are touched, once all is loaded for it.

        Raises:
            ConfigError: in replay, with one that can't be captured.
        """
        wanted = module != STDLIB or self.settings.stdlib
        if module in self._loaded or not self.is_open or not wanted:
            ready()
            return
        self._loaded.add(module)
        self._wanted = [make for make in interceptors if modules.get(make) == module]
        made = self._interceptors()
        ready()
        self._install(made)

    _wanted: Iterable[Callable[[], Interceptor | None]] = ()

    def _makers(self) -> Iterable[Callable[[], Interceptor | None]]:
        return self._wanted

    def loaded(self, library: str) -> None:
        """Take a library that connects unseen, as it is loaded.

        Raises:
            ReplayMissError: in replay, if its import alone can be refused.
        """
        if self._watch is not None:
            self._watch.loaded(library)

    def _take_place(self) -> None:
        # Below what the program opens itself, before or after; in no context of its own.
        sessions.insert(self)

    def _refuse_second_root(self) -> None:
        """Leave calls to whatever session the program has opened."""

    def _new_session(self, parent: Session | None) -> Session:
        made = super()._new_session(parent)
        if self._joined and parent is not None:
            made = replace(made, id=parent.id, root_id=parent.root_id, parent_id=None)
        return replace(made, program=self.program)

    def _begin_row(self, store: Backend, session: Session) -> None:
        if not self._joined:
            super()._begin_row(store, session)

    def _make_run(self) -> None:
        """Make the folder that this replay's processes share, where there is no run to have it."""
        import tempfile

        self._run = Path(tempfile.mkdtemp(prefix="mxm-dataio-"))
        self._made_run = True

    def _hand_on(self) -> None:
        """Leave the link for this process's children."""
        session = self.session
        assert session is not None
        settings = {**settings_json(self.settings), "mode": self.mode.value}
        as_of, pinned = self._asked
        link = Link(
            parent_id=session.id, root_id=session.root_id, pid=os.getpid(), source=self.source,
            dated=session.as_of, as_of=as_of, session=pinned, settings=settings,
            ends=not self._joined, attended=self._attended,
        )  # fmt: skip
        os.environ[AUTO] = link.text()
        if self._run is not None:
            os.environ[RUN] = str(self._run)
            self._report(RUNNING)

    # -- a forked child ----------------------------------------------------------------------

    def _adopt(self) -> None:
        self._joined = self._made_run = False
        super()._adopt()
        self._hand_on()

    def _end_with_process(self) -> None:
        # At an ordinary end startup calls finish(). Children of multiprocessing's end by os._exit,
        # behind their finalizers; those that were there before them they drop at first.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            if sys.modules["multiprocessing.process"].parent_process() is not None:
                util.Finalize(None, self.finish, exitpriority=0)
            util.register_after_fork(self, _finalize)

    # -- while it is open --------------------------------------------------------------------

    def decide(self, identity: Identity, *, conditional: bool = False) -> Decision:
        """Return what to do with a call; see ``IngestSession.decide``."""
        if not self.is_open and self.mode is Mode.REPLAY:
            return Miss()
        return super().decide(identity, conditional=conditional)

    def missed(self, error: ReplayMissError) -> None:
        """Note a miss of this process's own; see ``IngestSession.missed``."""
        self.adopt()
        super().missed(error)

    def _problem_noted(self) -> None:
        # At once: the process may end without a word.
        self._report(RUNNING)

    def _warn(self, warning: DataIOWarning, stacklevel: int) -> None:
        # Not as a warning of Python's: the program may have made these errors, or may collect them.
        say(f"warning: {warning}")

    def leave(self, path: Any) -> None:
        """Prepare for another program that is about to take this process's place.

        It may not come to that, where the program looks for it in several places.
        """
        if not self.is_open or os.getpid() != self._pid or not _executable(path):
            return
        for call in list(self._pending):
            call.settle()
        self._report(LEFT)
        if isinstance(self.store, Store) and self.session is not None and not self._joined:
            with contextlib.suppress(StoreError):
                self.store.note(replace(self.session, warnings=tuple(self._problems.problems)))

    # -- how it ends -------------------------------------------------------------------------

    def finish(self) -> None:
        """End it with the process. Of a forked child that made no call there is nothing to end."""
        if not self.is_open or os.getpid() != self._pid:
            return
        installed = list(self._installed)
        try:
            self.close(_unhandled())
        finally:
            if self.mode is Mode.REPLAY:
                # What calls still, from a finalizer or a daemon thread, is to reach nothing.
                self._install(installed)
                self._take_place()
                if self._watch is not None:
                    self._watch.start()
            self._report(ENDED)
            if self._made_run and self._run is not None:
                import shutil

                shutil.rmtree(self._run, ignore_errors=True)
        if self.misses and not self._attended:
            say(f"error: {swallowed(self.misses)}")

    def _end_row(self, store: Backend, session: Session, settled: bool) -> None:
        if not self._joined:
            super()._end_row(store, session, settled)

    def _raise_misses(self, exc: BaseException | None) -> None:
        """Raise nothing: there is nobody to take it. They are reported."""

    def _report(self, state: str) -> None:
        session = self.session
        if self._run is None or session is None:
            return
        status = session.status
        warnings = session.warnings if state == ENDED else tuple(self._problems.problems)
        report = Report(
            session.id, os.getpid(), self.program, state, status.value,
            len(self.misses), tuple(str(miss) for miss in self.misses[:_REPORTED]), warnings,
            session.coverage,
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
        values = {**settings_json(settings), "root": str(Path(folder, settings.root))}
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
