"""A moment in which no other code of the program's runs in this thread.

Loaded as a process starts: it loads nothing that is not there already.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal hands on, which loads more
import gc
import os
import sys

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class Undisturbed:
    """Puts off signal handlers and the collection of garbage while it is entered.

    For what can't be entered again half-way, and takes no longer than a moment: the handlers run
    as it is left. (They run in the main thread alone; elsewhere there are none to put off.)
    """

    def __enter__(self) -> None:
        _entered.append(self)
        self._collects = gc.isenabled()
        gc.disable()
        self._handlers: dict[int, Any] = {}
        self._came: list[int] = []
        if not _in_main_thread():
            return
        try:
            for number in range(1, _signal.NSIG):
                handler = _signal.getsignal(number)
                if callable(handler) and not _puts_off(handler):
                    self._handlers[number] = handler
                    _signal.signal(number, self._put_off)
        except BaseException:
            # One of those that are still in place has raised.
            self.__exit__()
            raise

    def _put_off(self, number: int, _frame: FrameType | None) -> None:
        if number not in self._came:
            self._came.append(number)

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._put_back()
        finally:
            _entered.remove(self)
            if self._collects:
                gc.enable()
            self._run()

    def _put_back(self) -> None:
        for number, handler in self._handlers.items():
            if _signal.getsignal(number) == self._put_off:
                try:
                    _signal.signal(number, handler)
                except BaseException:
                    # Raised by one that is in place again; the others are to be as well.
                    self._put_back()
                    raise

    def _run(self) -> None:
        """Run the handlers of what came; not by raising it again, which tells asyncio twice."""
        while self._came:
            number = self._came.pop(0)
            try:
                self._handlers[number](number, sys._getframe())
            except BaseException:
                self._run()
                raise


# Those of all threads.
_entered: list[Undisturbed] = []


def _after_fork() -> None:
    """Have all be as it was, in a child that another thread has forked."""
    for one in _entered:
        one._put_back()
        if one._collects:
            gc.enable()
    _entered.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _in_main_thread() -> bool:
    threading = sys.modules.get("threading")
    # Without that module few programs have another.
    return threading is None or threading.current_thread() is threading.main_thread()


def _puts_off(handler: Any) -> bool:
    return isinstance(getattr(handler, "__self__", None), Undisturbed)
