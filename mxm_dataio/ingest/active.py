"""The sessions that are open in this process, and which of them captures a call."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from ..concurrency import mutex
from ..errors import ConfigError, ReplayMissError
from ..models import Mode
from ..utils import after_fork

if TYPE_CHECKING:
    from .capture import Capture


class Member(Protocol):
    """What a stack asks of a session.

    Attributes:
        source: its name.
        suspended: it is open, and captures nothing for now.
        is_off: it lets all calls pass.
    """

    source: str
    is_open: bool
    suspended: bool

    @property
    def is_off(self) -> bool:
        """Say whether it lets all calls pass."""

    def before_fork(self) -> None:
        """Prepare what a forked child is to share."""

    def after_fork(self) -> None:
        """In the child, make fresh locks: another thread of the parent may have held them."""


_Open = TypeVar("_Open", bound=Member)


class _Place(NamedTuple):
    """Where a session took its place: the thread, and the task of asyncio's, if one ran."""

    thread: int
    task: weakref.ref[Any] | None = None
    # Below all others, in no context of its own.
    lowest: bool = False

    def encloses(self, later: _Place) -> bool:
        """Say whether what takes its place later, while this is open, does so within it."""
        if self.lowest:
            return True
        if self.thread != later.thread:
            return False
        task = self.task() if self.task is not None else None
        return task is None or task.done() or (later.task is not None and later.task() is task)


class Stack(Generic[_Open]):
    """The open sessions: each context's own, and those of the process, the last one uppermost.

    Threads of a pool have no session in their context. The process's captures their calls as long
    as it can only be one: sessions that are open side by side, in several threads or tasks, may
    each have started such a thread, and so may one that has ended since.

    Args:
        undecided: notes that a call can't be told to be one of these sessions', and returns the
            exception that refuses it.

    Attributes:
    """

    def __init__(self, name: str, undecided: Callable[[Sequence[_Open]], Exception]) -> None:
        self._undecided = undecided
        self._context: ContextVar[_Open | None] = ContextVar(name, default=None)
        self._members: list[_Open] = []
        # Whose calls without a session of their own are: the uppermost's, unless there are rivals.
        self._others: tuple[_Open | None, tuple[_Open, ...]] = (None, ())
        self._places: weakref.WeakKeyDictionary[_Open, _Place] = weakref.WeakKeyDictionary()
        # Those that capture nothing by themselves too; what a forked child has to look after.
        self._open: weakref.WeakSet[_Open] = weakref.WeakSet()
        after_fork(self._after_fork, before=self._before_fork)

    def __iter__(self) -> Iterator[_Open]:
        return iter(list(self._members))

    def active(self) -> _Open | None:
        """Return the session that captures calls here: the context's own, else the process's.

        Raises:
            Exception: as ``undecided`` has it, where several may be the one.
        """
        found = self._context.get()
        if found is not None and found.is_open and not found.suspended:
            return found
        last, rivals = self._others
        if rivals:
            raise self._undecided(rivals)
        if found is not None and last is not None and not self._follows(last, found):
            raise self._undecided((last,))
        return last

    def _follows(self, last: _Open, ended: _Open) -> bool:
        """Say whether what is left of a session that has ended may go on in another."""
        was, now = self._places.get(ended), self._places.get(last)
        if was is None or now is None or now.lowest:
            return True
        return now.thread in (was.thread, threading.get_ident(), threading.main_thread().ident)

    def opened(self, session: _Open) -> None:
        """Know of a session that is open."""
        self._open.add(session)

    def ended(self, session: _Open) -> None:
        """Forget one that has ended."""
        self._open.discard(session)

    def push(self, session: _Open) -> Token[_Open | None]:
        """Have a session capture, in this context and where no other does."""
        task = current_task()
        place = _Place(threading.get_ident(), None if task is None else weakref.ref(task))
        with mutex.lock:
            self._places[session] = place
            self._members.append(session)
            self._judge()
        return self._context.set(session)

    def insert(self, session: _Open) -> None:
        """Have a session capture where no other does, whenever that was opened."""
        with mutex.lock:
            self._places[session] = _Place(threading.get_ident(), lowest=True)
            self._members.insert(0, session)
            self._judge()

    def remove(self, session: _Open) -> None:
        """Have a session capture no longer, but in the contexts that have it for their own."""
        with mutex.lock:
            if session in self._members:
                self._members.remove(session)
            self._judge()

    def restore(self, session: _Open, token: Token[_Open | None] | None) -> None:
        """Give this context the session that it had before one that is closed, or suspended.

        Args:
            token: as :meth:`push` returned it.
        """
        current = self._context.get()
        if token is not None and current is session:
            try:
                self._context.reset(token)
            except ValueError:
                # It is closed in another context (a fixture, a generator).
                self._context.set(None)
        left = self._context.get()
        if left is not None and (left.suspended or not left.is_open):
            # This one, or one that was opened before it and closed before it; it is to be gone.
            self._context.set(None)

    def _judge(self) -> None:
        """Find out between which sessions a call without one of its own can't be told."""
        members = self._members
        places = [self._places[one] for one in members]
        heads = [
            one
            for at, one in enumerate(members)
            if not any(places[at].encloses(later) for later in places[at + 1 :])
        ]
        main = threading.main_thread().ident
        _, rivals = self._others
        if len(heads) > 1:
            rivals = () if all(one.is_off for one in heads) else tuple(heads)
        elif all(place.lowest or place.thread == main for place in places):
            # What the main thread has opened is around all that others open.
            rivals = ()
        elif rivals:
            # A pool of one that has ended may be at work still.
            rivals = tuple(heads)
        self._others = (members[-1] if members else None, rivals)

    def _before_fork(self) -> None:
        for session in list(self._open):
            session.before_fork()

    def _after_fork(self) -> None:
        for session in list(self._open):
            session.after_fork()


def current_task() -> Any:
    """Return the task of asyncio's that runs here."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _undecided(open_ones: Sequence[Capture]) -> ConfigError:
    """Return the error of a call that can't be told to be one session's, and note it in each."""
    names = ", ".join(sorted({repr(one.source) for one in open_ones}))
    error = ConfigError(
        "sessions are, or were, open in several threads or tasks at once, and a call was refused "
        f"that may belong to any of them (open: {names}): its thread does not say which. Have the "
        "thread run in a copy of the context in which its session was opened: "
        "pool.submit(contextvars.copy_context().run, function); or mount(session, ingest)"
    )
    for one in open_ones:
        if one.mode is Mode.REPLAY:
            one.missed(ReplayMissError(str(error)))
        elif one.mode is not Mode.OFF:
            one.problems.problem(error, stacklevel=3)
    return error


sessions: Stack[Capture] = Stack("mxm_dataio_session", _undecided)
active = sessions.active
