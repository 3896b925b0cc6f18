"""Refuses this process's connections and look-ups but to the hosts allowed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from ..http.hosts import HostSet, Target
from .audit import install, remove
from .callers import Stack
from .events import Child, Question


@contextlib.contextmanager
def blocked(
    allowed_hosts: Iterable[str], explain: Callable[[str, int | None, str], Exception]
) -> Iterator[None]:
    """Refuse this process's connections and look-ups but to the hosts allowed.

    Those of captured calls pass, and so do multiprocessing's own sockets.

    Args:
        allowed_hosts: see :class:`~mxm_dataio.http.hosts.HostSet`.
        explain: makes the exception that the program gets, from host (or a unix socket's path),
            port and calling module. An ``OSError`` may be taken for an unreachable host, and be
            survived; any other goes through asyncio, httpx and urllib3 as it is.

    Raises:
        ConfigError: another audit hook of the process admits none.
    """
    watcher = _Blocker(HostSet(allowed_hosts), explain)
    install(watcher)
    try:
        yield
    finally:
        remove(watcher)


class _Blocker:
    def __init__(
        self, allowed: HostSet, explain: Callable[[str, int | None, str], Exception]
    ) -> None:
        self._allowed = allowed
        self._explain = explain

    def connecting(self, target: Target, stack: Stack) -> Exception | None:
        if self._allowed.admits(target):
            return None
        return self._explain(target.host, target.port, stack.caller)

    def resolving(self, question: Question, stack: Stack) -> Exception | None:
        if self._allowed.admits_lookup(question.host, reverse=question.reverse):
            self._allowed.learn(question.host)
            return None
        return self._explain(question.host, question.port, stack.caller)

    def spawning(self, child: Child, stack: Stack) -> Exception | None:
        """Let it start: that a process reaches the network can't be told beforehand."""

    def importing(self, name: str, stack: Stack) -> None:
        """Nothing is asked for."""
