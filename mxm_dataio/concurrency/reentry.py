"""Code of a program's that runs amid other code of its thread: signal handlers and finalizers.

Python calls a signal's handler between any two steps of the main thread, and a finalizer
(``__del__``, a callback of ``weakref.finalize`` or of ``gc.callbacks``) wherever something is
dropped or garbage is collected. What they do is no part of what the thread was at.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal hands on, without its enums
import _thread
import contextlib
import functools
import gc
import sys
import weakref
from types import CodeType, FrameType, TracebackType
from typing import Any, Generic, TypeVar

# Libraries that call as they are told, and neither handle signals nor make calls as they finalize.
_CALLERS = frozenset({"http", "mxm_dataio", "requests", "urllib3"})
_FINALIZE = weakref.finalize.__call__.__code__
_SIGNALS = range(1, _signal.NSIG)
# Those that programs handle: they are asked for with each call.
_USUAL = tuple(
    getattr(_signal, name)
    for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(_signal, name)
)


_Value = TypeVar("_Value")


class Here(Generic[_Value]):
    """What a function of a thread is at, for what it calls.

    In place of a context variable: one that is set by a finalizer amid the setting of another has
    Python 3.11 crash, which collects garbage there.
    """

    def __init__(self) -> None:
        self._values: dict[int, _Value] = {}

    def get(self) -> _Value | None:
        """Return the value of this thread; of this greenlet, where those stand for threads."""
        return self._values.get(_thread.get_ident())

    def set(self, value: _Value | None) -> _Value | None:
        """Set the value of this thread, and return the one that it had."""
        ident = _thread.get_ident()
        was = self._values.get(ident)
        if value is None:
            self._values.pop(ident, None)
        else:
            self._values[ident] = value
        return was


def within(function: CodeType, frame: FrameType | None = None) -> bool:
    """Say whether a function has called what runs here, however far below, not been interrupted.

    Args:
        frame: what runs; the caller's if not given.
    """
    frame = frame or sys._getframe(1)
    looked = False
    while frame is not None and frame.f_code is not function:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _CALLERS:
            if not looked:
                note_handlers(_SIGNALS)
                looked = True
            if _interrupts(frame.f_code):
                return False
        frame = frame.f_back
    return frame is not None


def is_interrupt(exc: BaseException) -> bool:
    """Say whether a signal's handler has raised it, amid whatever ran: it is the program's own."""
    trace = exc.__traceback__
    if trace is not None and trace.tb_next is not None:
        note_handlers(_SIGNALS)
    while trace is not None and (trace := trace.tb_next) is not None:
        if trace.tb_frame.f_code in _handlers:
            return True
    return False


class Suppress(contextlib.suppress):
    """Suppresses errors, but not what a signal's handler raises: ``TimeoutError``, mostly."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Say whether the error ends here."""
        if exc is not None and is_interrupt(exc):
            return False
        return bool(super().__exit__(exc_type, exc, trace))


def _interrupts(code: CodeType) -> bool:
    if code.co_name == "__del__" or code is _FINALIZE or code in _handlers:
        return True
    return any(getattr(one, "__code__", None) is code for one in gc.callbacks)


# What was installed when it was last looked; the code of all that were seen then and before, since
# one may take itself off before it makes its call. (That a handler was given the frame which it
# interrupts would show in its locals; but to look at those of a frame keeps what they name alive.)
_noted: dict[tuple[int, ...] | range, tuple[Any, ...]] = {}
_handlers: set[CodeType] = set()


def note_handlers(numbers: tuple[int, ...] | range = _USUAL) -> None:
    """Know the signal handlers that are installed now."""
    found = tuple(map(_signal.getsignal, numbers))
    if found != _noted.get(numbers):
        _noted[numbers] = found
        _handlers.update(filter(None, map(_code_of, found)))


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not callable(handler):
        return None
    # A method's is its function's; of another object the class's is called.
    called = handler if hasattr(handler, "__code__") else type(handler).__call__
    found = getattr(called, "__code__", None)
    return found if isinstance(found, CodeType) else None
