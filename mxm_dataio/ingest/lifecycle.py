"""A session's life: how it is opened, suspended, resumed and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Token
from dataclasses import replace
from typing import TYPE_CHECKING

from ..concurrency import mutex
from ..config.archive_urls import said
from ..errors import ConfigError, DataIOError, DataIOWarning
from ..models import Mode
from . import ending
from .active import sessions
from .capture import Capture
from .uncaptured import blind

if TYPE_CHECKING:
    from ..interception import Interceptor


class Lifecycle:
    """Opens and closes one session.

    Args:
        capture: the session, for adapters.
        closing: lets go of what else is open, before the end is written.

    Attributes:
        tried: it was to be opened.
        installed: the interceptors that are there for it.
    """

    def __init__(self, capture: Capture, closing: Callable[[], None] = lambda: None) -> None:
        self._capture = capture
        self._closing = closing
        self.tried = False
        self.installed: list[Interceptor] = []
        self._token: Token[Capture | None] | None = None
        capture.end = self.close

    def open(self) -> None:
        """Open the store, write the session's row, and capture; see ``IngestSession.open``."""
        self.tried = True
        capture = self._capture
        if capture.session is not None:
            raise ConfigError("a session is opened once; make a new IngestSession")
        # The program may change its folder later.
        capture.settings = replace(capture.settings, root=capture.settings.root.absolute())
        with mutex.lock:
            self._refuse_second_root()
            capture.store = capture.place.open(capture)
            try:
                made = self.interceptors()
                self._watch()
            except DataIOError:
                capture.close_store()
                raise
            capture.begin(capture.opener.parent)
            capture.is_open = True
            sessions.opened(capture)
            self._token = capture.opener.take_place(capture)
        self.see(made)

    def suspend(self) -> None:
        """Capture nothing until :meth:`resume`."""
        capture = self._capture
        if capture.suspended or not capture.is_open:
            return
        capture.suspended = True
        if capture.watch is not None:
            capture.watch.stop()
        sessions.remove(capture)
        self._uninstall()
        self._restore()

    def resume(self) -> bool:
        """Capture again, in this context and where no other session does; say if that was due."""
        capture = self._capture
        if not capture.suspended or not capture.is_open:
            return False
        with mutex.lock:
            self._refuse_second_root()
            capture.suspended = False
            self._token = capture.opener.take_place(capture)
        installed, self.installed = self.installed, []
        self.see(installed)
        return True

    def close(self, exc: BaseException | None = None) -> None:
        """End the session; see ``IngestSession.close``."""
        capture = self._capture
        if not capture.is_open:
            return
        capture.adopt()
        if capture.watch is not None:
            capture.watch.stop()
        sessions.remove(capture)
        # From here on nothing pends any more.
        capture.is_open = False
        for call in list(capture.pending):
            call.settle()
        if not capture.suspended:
            self._uninstall()
        self.installed.clear()
        self._restore()
        self._closing()
        ending.end(capture, exc)
        capture.place.ended(capture, exc)
        turns, capture.turns = capture.turns, None
        if turns is not None:
            turns.close()
        capture.opener.raise_misses(capture.problems, exc)
        if exc is None:
            self._say_unseeing()
            capture.problems.say(stacklevel=4)

    # -- what sees the calls --------------------------------------------------------------------

    def interceptors(self) -> list[Interceptor]:
        """Return what sees the process's calls, as far as it can see them."""
        made = []
        for make in self._capture.opener.makers(self._capture):
            try:
                interceptor = make()
            except ConfigError as exc:
                blind(self._capture, str(exc))
            else:
                if interceptor is not None:
                    made.append(interceptor)
        return made

    def install(self, made: Iterable[Interceptor]) -> None:
        """Have calls seen by some of those from here on."""
        for interceptor in made:
            interceptor.install()
            self.installed.append(interceptor)

    def see(self, made: Iterable[Interceptor]) -> None:
        """Have calls seen from here on, and what goes past."""
        self.install(made)
        if self._capture.watch is not None:
            self._capture.watch.start()

    def _uninstall(self) -> None:
        for interceptor in self.installed:
            interceptor.uninstall()

    def _restore(self) -> None:
        token, self._token = self._token, None
        sessions.restore(self._capture, token)

    def _watch(self) -> None:
        """Have connections seen that go past, if that is asked for and there is a way."""
        capture = self._capture
        if not capture.settings.watch or capture.mode is Mode.OFF:
            return
        from ..coverage import audit  # few sessions watch

        try:
            audit.prepare()
        except ConfigError as exc:
            blind(capture, str(exc))
            return
        from ..coverage.watch import CoverageWatch

        capture.watch = CoverageWatch(
            capture, capture.settings.allowed_hosts, refuse=capture.mode is Mode.REPLAY,
            stdlib=capture.settings.stdlib, face=capture.opener.face,
        )  # fmt: skip

    def _refuse_second_root(self) -> None:
        """Raise if the hook would have to record to two roots.

        Not for a session that steps back: it leaves calls to whatever the program has opened.
        """
        capture = self._capture
        if not (capture.hook and capture.place.in_root) or capture.opener.steps_back:
            return
        root = capture.settings.root
        for other in sessions:
            elsewhere = other.place.in_root and other.settings.root != root
            if elsewhere and not other.opener.steps_back:
                raise ConfigError(
                    f"a session on {said(other.settings.root)} is active in this process; the hook "
                    f"can't record to {said(root)} as well: close that one, use one "
                    "root, or pass hook=False and mount() what this session is to capture"
                )

    def _say_unseeing(self) -> None:
        """Say that the session could see no call, or raise in replay, where they were live."""
        capture = self._capture
        if capture.sees_calls or capture.mode is Mode.OFF:
            return
        text = (
            f"session {capture.source!r} has hook=False, and nothing is mounted on it: no call was "
            "seen; write mount(session, ingest) for each requests.Session, or leave out hook=False"
        )
        if capture.mode is Mode.REPLAY:
            raise ConfigError(text)
        capture.opener.warn(DataIOWarning(text), 5)
