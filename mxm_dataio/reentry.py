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
_VARARGS = 0x04  # inspect.CO_VARARGS


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
    installed: set[CodeType | None] | None = None
    while frame is not None and frame.f_code is not function:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _CALLERS:
            if installed is None:
                installed = _installed()
            if frame.f_code in installed or _interrupts(frame):
                return False
        frame = frame.f_back
    return frame is not None


def is_interrupt(exc: BaseException) -> bool:
    """Say whether a signal's handler has raised it, amid whatever ran: it is the program's own."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        if _handles(trace.tb_next.tb_frame, trace.tb_frame):
            return True
        trace = trace.tb_next
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


def _interrupts(frame: FrameType) -> bool:
    code = frame.f_code
    if code.co_name == "__del__" or code is _FINALIZE or _handles(frame, frame.f_back):
        return True
    return any(getattr(one, "__code__", None) is code for one in gc.callbacks)


def _handles(frame: FrameType, interrupted: FrameType | None) -> bool:
    """Say whether a frame is a signal handler's: it was given the one that it interrupts."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    if code.co_flags & _VARARGS:
        more = frame.f_locals.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
        if isinstance(more, tuple) and any(one is interrupted for one in more):
            return True
    return len(names) > 1 and any(frame.f_locals.get(name) is interrupted for name in names)


def _installed() -> set[CodeType | None]:
    """Return the code of the handlers installed now: one may forget which frame it was given."""
    return {_code_of(_signal.getsignal(number)) for number in _SIGNALS} - {None}


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not callable(handler):
        return None
    # A method's is its function's; of another object the class's is called.
    called = handler if hasattr(handler, "__code__") else type(handler).__call__
    found = getattr(called, "__code__", None)
    return found if isinstance(found, CodeType) else None
