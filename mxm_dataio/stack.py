"""The sessions that are open in this process, and which of them captures a call."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Generic, Protocol, TypeVar

from .utils import after_fork


class Member(Protocol):
    """What a stack asks of a session."""

    is_open: bool

    def before_fork(self) -> None:
        """Prepare what a forked child is to share."""

    def after_fork(self) -> None:
        """In the child, make fresh locks: another thread of the parent may have held them."""


_Open = TypeVar("_Open", bound=Member)


class Stack(Generic[_Open]):
    """The open sessions: each context's own, and those of the process, the last one uppermost.

    Attributes:
        lock: held while a session looks at the others and takes its place among them.
    """

    def __init__(self, name: str) -> None:
        self.lock = threading.RLock()
        self._context: ContextVar[_Open | None] = ContextVar(name, default=None)
        self._members: list[_Open] = []
        # Those that capture nothing by themselves too; what a forked child has to look after.
        self._open: weakref.WeakSet[_Open] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork)
        after_fork(self._after_fork)

    def __iter__(self) -> Iterator[_Open]:
        return iter(list(self._members))

    def active(self) -> _Open | None:
        """Return the session that captures calls here: the context's own, else the process's."""
        found = self._context.get()
        if found is not None and found.is_open:
            return found
        return self._members[-1] if self._members else None

    def opened(self, session: _Open) -> None:
        """Know of a session that is open."""
        self._open.add(session)

    def ended(self, session: _Open) -> None:
        """Forget one that has ended."""
        self._open.discard(session)

    def push(self, session: _Open) -> Token[_Open | None]:
        """Have a session capture, in this context and where no other does."""
        self._members.append(session)
        return self._context.set(session)

    def insert(self, session: _Open) -> None:
        """Have a session capture where no other does, whenever that was opened."""
        self._members.insert(0, session)

    def remove(self, session: _Open) -> None:
        """Have a session capture no longer, but in the contexts that have it for their own."""
        with self.lock:
            if session in self._members:
                self._members.remove(session)

    def restore(self, token: Token[_Open | None] | None) -> None:
        """Give this context the session that it had before one that is closed.

        Args:
            token: as :meth:`push` returned it.
        """
        if token is not None:
            # Not where it is closed in another context (a fixture, a generator).
            with contextlib.suppress(ValueError):
                self._context.reset(token)
        left = self._context.get()
        if left is not None and not left.is_open:
            # This one, or one that was opened before it and closed before it; it is to be gone.
            self._context.set(None)

    def _before_fork(self) -> None:
        for session in list(self._open):
            session.before_fork()

    def _after_fork(self) -> None:
        self.lock = threading.RLock()
        for session in list(self._open):
            session.after_fork()
