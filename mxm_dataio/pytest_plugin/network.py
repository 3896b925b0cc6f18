"""What a run of tests connects to past its cassettes: blocked, refused, or noted to be told."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from ..config.faces import PYTEST
from ..coverage import audit, blocking
from ..coverage.callers import Stack
from ..coverage.events import Child, Question
from ..errors import BlockedError, ConfigError
from ..http.hosts import HostSet, Target
from ..ingest.active import sessions

_INSTEAD = (
    "make the call in a fixture, whose calls are recorded for the marked tests that use it, or "
    "within use_cassette(…)"
)
ALSO_STDLIB = " (those of http.client and urllib.request with stdlib=True)"
_NAMED = 3


class Guard:
    """Blocks the network for a whole run, but where a test or a fixture has its own rule.

    Args:
        allowed_hosts: as of :func:`~mxm_dataio.coverage.blocking.blocked`.
        root: the folder from which paths are told.

    Attributes:
        running: says what runs: a test, a fixture; empty while modules are imported.
    """

    def __init__(self, allowed_hosts: Iterable[str], root: Path) -> None:
        self.running: Callable[[], str] = str
        self._hosts = ["unix", *allowed_hosts]
        self._root = root
        self._lifted = 0
        self._stack = contextlib.ExitStack()
        self._block()

    def _block(self) -> None:
        self._stack.enter_context(blocking.blocked(self._hosts, self._explain))

    def stop(self) -> None:
        """Block no more."""
        self._lifted += 1
        self._stack.close()

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Block nothing within, in any thread."""
        self._lifted += 1
        self._stack.close()
        try:
            yield
        finally:
            self._lifted -= 1
            if not self._lifted:
                self._block()

    def _explain(self, host: str, port: int | None, caller: str) -> Exception:
        where = host if port is None else f"{host}:{port}"
        what = self.running() or _importing(self._root) or "this run"
        text = (
            f"{what} has the network blocked, and {caller or 'it'} is about to reach {where}: to "
            f"let it: {PYTEST.says('allowed_hosts', [host])}; to have it recorded, {_INSTEAD}"
        )
        return BlockedError(text, host=host, port=port, caller=caller)


def _importing(root: Path) -> str:
    """Return, in words, which module of the project is being imported here."""
    frame: FrameType | None = sys._getframe()
    found = ""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if frame.f_code.co_name == "<module>" and path.is_relative_to(root):
            # The outermost is what pytest has asked for.
            found = f"the import of {path.relative_to(root).as_posix()}"
        frame = frame.f_back
    return found


class _Watcher:
    """Is told of connections that no captured call makes."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        self._allowed = HostSet(["unix", *allowed_hosts])

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch within, where the process admits it."""
        with contextlib.suppress(ConfigError):
            audit.install(self)
        try:
            yield
        finally:
            audit.remove(self)

    def take(self, target: Target, caller: str) -> Exception | None:
        """Take a connection to a host that is not allowed."""
        raise NotImplementedError

    def connecting(self, target: Target, stack: Stack) -> Exception | None:
        return None if self._allowed.admits(target) else self.take(target, stack.caller)

    def resolving(self, question: Question, stack: Stack) -> Exception | None:
        if self._allowed.admits_lookup(question.host, reverse=question.reverse):
            self._allowed.learn(question.host)
        # The connection that follows tells enough.
        return None

    def spawning(self, child: Child, stack: Stack) -> Exception | None:
        """Let it start: that a process reaches the network can't be told."""

    def importing(self, name: str, stack: Stack) -> None:
        """Nothing is asked for."""


class Importing(_Watcher):
    """Notes, or refuses, what a test module connects to while it is imported and collected.

    No cassette is open then, so that replay would go live.

    Args:
        module: the module's path, as it is told.
        refuse: refuse it.

    Attributes:
        found: what is to be said of it, in words; empty if nothing was seen.
    """

    def __init__(self, module: str, allowed_hosts: Iterable[str], *, refuse: bool) -> None:
        super().__init__(allowed_hosts)
        self.found = ""
        self._module = module
        self._refuse = refuse

    def take(self, target: Target, caller: str) -> Exception | None:
        by = f", by {caller}," if caller else ""
        self.found = self.found or (
            f"{self._module} connects to {target}{by} while it is imported, when nothing is "
            f"recorded or replayed: {_INSTEAD}"
        )
        if not self._refuse:
            return None
        return BlockedError(self.found, host=target.host, port=target.port, caller=caller)

    def resolving(self, question: Question, stack: Stack) -> Exception | None:
        if self._refuse and not self._allowed.admits_lookup(
            question.host, reverse=question.reverse
        ):
            return self.take(Target(question.host, question.port), stack.caller)
        return super().resolving(question, stack)


class Outside(_Watcher):
    """Refuses, or notes, what is connected to for a marked test when no session is open.

    That is what a hook does, or another plugin's fixture that comes before ours.

    Args:
        test: node id.
        replayed: says whether the test is, so that it is refused.
        elsewhere: says whether a fixture runs that is not the test's.

    Attributes:
        found: what is to be said of it, in words; empty if nothing was seen.
        refused: it was.
    """

    def __init__(
        self,
        test: str,
        allowed_hosts: Iterable[str],
        replayed: Callable[[], bool],
        elsewhere: Callable[[], bool],
    ) -> None:
        super().__init__(allowed_hosts)
        self.found = ""
        self.refused = False
        self._replayed = replayed
        self._elsewhere = elsewhere
        self._test = test

    def take(self, target: Target, caller: str) -> Exception | None:
        if any(sessions) or self._elsewhere():
            return None
        self.found = self.found or (
            f"for {self._test}, outside its fixtures and its code, {caller or 'something'} "
            f"connects to {target}, when nothing is recorded or replayed: {_INSTEAD}"
        )
        self.refused = self._replayed()
        if not self.refused:
            return None
        return BlockedError(self.found, host=target.host, port=target.port, caller=caller)


class Past(_Watcher):
    """Notes the connections that no captured call makes, while a cassette is recorded."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        super().__init__(allowed_hosts)
        self._seen: dict[str, None] = {}
        self._hosts: dict[str, None] = {}

    def take(self, target: Target, caller: str) -> Exception | None:
        self._seen[f"{target} by {caller}" if caller else str(target)] = None
        self._hosts[target.host] = None
        return None

    def said(self, what: str, *, stdlib: bool) -> str:
        """Return a warning of what was seen; empty if nothing was.

        Args:
            what: the test, or the fixture, that is recorded.
            stdlib: calls of ``http.client`` are recorded.
        """
        if not self._seen:
            return ""
        named = list(self._seen)
        allowed = PYTEST.says("allowed_hosts", list(self._hosts))
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        recorded = "requests, urllib3 and http.client" if stdlib else "requests and urllib3"
        also = "" if stdlib else ALSO_STDLIB
        return (
            f"{what} made connections that are in no cassette, to {', '.join(named[:_NAMED])}"
            f"{more}: only calls of {recorded} are recorded{also}; replay will refuse the others, "
            f"unless you let it: {allowed}"
        )
