"""What goes past a session: seen while it is open, and in replay refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Protocol

from ..config.faces import Face
from ..errors import ReplayMissError
from ..http.hosts import HostSet, Target
from ..models import Unseen
from ..process import AUTO
from ..storage import unseen
from ..storage.unseen import CONNECTION, LIBRARY, PROCESS, Sightings
from . import audit, callers
from .callers import Stack
from .events import Child, Question
from .guard import Guard
from .natives import NATIVE, own

# By these the standard library asks the machine about itself (``uname``, ``ldconfig``).
_MACHINE = frozenset({"ctypes.util", "platform", "sysconfig", "uuid"})
# Loaded as multiprocessing starts its first process in such a way, which raises no event.
_STARTS = {
    "multiprocessing.popen_forkserver": "multiprocessing (forkserver)",
    "multiprocessing.popen_spawn_posix": "multiprocessing (spawn)",
}
_MODULES = frozenset({*NATIVE, *_STARTS})


class Watched(Protocol):
    """The session that watches."""

    def own(self) -> bool:
        """Say whether it was begun by this process, not by one that has forked it."""

    def adopt(self) -> None:
        """Begin a session of this process's own, if the session is not."""

    def note_unseen(self, line: bytes) -> None:
        """Keep a line, even if the process is killed."""

    def missed(self, error: ReplayMissError) -> None:
        """Take a connection that was refused."""


class CoverageWatch:
    """Gathers what no captured call accounts for.

    Args:
        session: whose it is.
        allowed: hosts to which connections are no matter.
        refuse: refuse the others.
        stdlib: calls of ``http.client`` are captured.
        face: in whose words to say what to do.
    """

    def __init__(
        self, session: Watched, allowed: Iterable[str], *, refuse: bool, stdlib: bool, face: Face
    ) -> None:
        self._session = session
        self._stdlib = stdlib
        self._face = face
        self._allowed = HostSet(allowed)
        self._refuse = refuse
        self._seen = Sightings(session.note_unseen)
        self._refused: set[tuple[str, str]] = set()
        self._guard = Guard(self._allowed.names, self._using) if refuse else None
        # Module → who imports it, until it is seen to be there.
        self._imports: dict[str, str] = {}
        self._libraries: set[str] = set()

    def start(self) -> None:
        """Watch from now on.

        Raises:
            ConfigError: an audit hook of the process admits no other.
        """
        audit.install(self, _MODULES)
        if self._guard is not None:
            self._guard.install()
        self.begun()

    def stop(self) -> None:
        """Watch no more."""
        audit.remove(self)
        if self._guard is not None:
            self._guard.remove()

    def loaded(self, library: str) -> None:
        """Take a library that connects unseen, as it is loaded; the guard refuses its use."""
        if self._guard is not None:
            self._guard.loaded(library)

    def begun(self) -> None:
        """Note that a session has begun to watch, and what it can't see from its start."""
        self._session.note_unseen(unseen.line_of(Unseen("", ""), os.getpid()))
        self._take_loaded()

    def forked(self) -> None:
        """Begin anew in a forked child, whose parent tells of what was before."""
        self._seen.renew()
        self._refused = set()

    def found(self) -> tuple[Unseen, ...]:
        """Return what was seen until now."""
        self._take_loaded()
        return unseen.merged(self._seen.found())

    # -- what the network tells --------------------------------------------------------------

    def connecting(self, target: Target, stack: Stack) -> ReplayMissError | None:
        """Take a connection that no captured call makes."""
        if self._allowed.admits(target):
            return None
        if self._refuse:
            return self._refusal("a connection to", target, stack.caller)
        self._session.adopt()
        self._add(CONNECTION, str(target), stack.caller)
        return None

    def resolving(self, question: Question, stack: Stack) -> ReplayMissError | None:
        """Take a look-up; recording, the connection that follows tells enough."""
        if not self._refuse:
            return None
        if self._allowed.admits_lookup(question.host, reverse=question.reverse):
            self._allowed.learn(question.host)
            return None
        target = Target(question.host, question.port)
        return self._refusal("a look-up of", target, stack.caller)

    def spawning(self, child: Child, stack: Stack) -> None:
        """Take the start of a process."""
        if stack.inner in _MACHINE:
            return
        from . import child_processes  # many programs start none

        if child_processes.is_captured(child.executable, child.arguments, child.environment):
            return
        name = child_processes.name_of(child.executable, child.arguments)
        if child.replaces and not self._session.own():
            # Forked to become another: its parent, that started it, tells of it.
            line = unseen.line_of(Unseen(PROCESS, name, 1, stack.caller), os.getpid())
            self._session.note_unseen(line)
            return
        self._session.adopt()
        self._add(PROCESS, name, stack.caller)

    def importing(self, name: str, stack: Stack) -> None:
        """Take an import; whether it succeeds is seen later."""
        if name not in _STARTS:
            self._imports[name] = stack.caller
        elif not os.environ.get(AUTO):
            self._add(PROCESS, _STARTS[name], stack.caller)

    # -- keeping -----------------------------------------------------------------------------

    def _take_loaded(self) -> None:
        """Take what is loaded by now; not every way of importing raises an event."""
        for name in NATIVE:
            if name in sys.modules and name not in self._libraries and name not in own:
                self._libraries.add(name)
                self._add(LIBRARY, name, self._imports.pop(name, ""))

    def _add(self, kind: str, name: str, caller: str) -> None:
        if kind != LIBRARY:
            self._take_loaded()
        self._seen.add(kind, name, caller)

    def _refusal(self, what: str, target: Target, caller: str) -> ReplayMissError:
        by = f" by {caller}" if caller else ""
        says = self._face.says
        also = "" if self._stdlib else f" with {says('stdlib', True)}"
        error = ReplayMissError(
            f"{what} {target}{by} was refused: replay is offline, and no captured call makes it; "
            f"make the call through requests or urllib3, or through http.client{also}, "
            f"or let it pass with {says('allowed_hosts', [target.allowing])}",
            method="CONNECT",
            url=str(target),
        )
        return self._noted(error, caller)

    def _using(self, library: str) -> ReplayMissError:
        """Return the refusal of a library that connects without Python's sockets."""
        caller = callers.stack(sys._getframe(1)).caller
        by = f" by {caller}" if caller and caller.partition(".")[0] != library else ""
        error = ReplayMissError(
            f"the use of {library}{by} was refused: replay is offline, and what "
            f"{NATIVE[library]} fetches is neither recorded nor replayed; make the call through "
            "requests or urllib3, or let it connect with "
            f"{self._face.says('allowed_hosts', [library])}",
            method="CONNECT",
            url=library,
        )
        return self._noted(error, caller)

    def _noted(self, error: ReplayMissError, caller: str) -> ReplayMissError:
        self._session.adopt()
        if (error.url, caller) not in self._refused:
            self._refused.add((error.url, caller))
            self._session.missed(error)
        return error
