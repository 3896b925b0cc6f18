"""Other people's classes: how to find them, and their methods replaced while it is needed."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from ..undisturbed import Undisturbed
from ..utils import after_fork


def own_class(name: str, module: str, *places: Any) -> Any:
    """Return a library's class, from below whatever a program has put in its place.

    Args:
        name, module: of the class.
        places: where it, or what a program derived from it, may be found.
    """
    for place in places:
        for cls in getattr(place, "__mro__", ()):
            if (cls.__name__, cls.__module__) == (name, module):
                return cls
    return places[0]


class Patches:
    """Methods of other people's classes replaced, and put back; counted, undone by the last.

    The program may replace the same methods, before, meanwhile and after, and undo it in any
    order. So a method is put back only where ours still stands: what has come over it is the
    program's, and calls ours, which without a session does nothing. If ours comes to light again
    later, the next session takes it off.
    """

    def __init__(self) -> None:
        self._renew_lock()
        self._count = 0
        self._made: list[tuple[type, str, Any, weakref.ref[Any]]] = []

        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def install(self) -> None:
        """Replace, unless another session has."""
        with Undisturbed(), self._lock:
            self._count += 1
            if self._count == 1:
                self._put_back()
                self.replace_all()

    def uninstall(self) -> None:
        """Put everything back, if no other session needs it."""
        with Undisturbed(), self._lock:
            self._count -= 1
            if not self._count:
                self._put_back()

    def replace_all(self) -> None:
        """Replace the methods."""
        raise NotImplementedError

    def replace(self, cls: type, name: str, method: Any) -> None:
        """Replace one method."""
        self._made.append((cls, name, cls.__dict__.get(name), weakref.ref(method)))
        setattr(cls, name, method)

    def _put_back(self) -> None:
        covered = []
        for cls, name, was, ours in reversed(self._made):
            method = ours()
            if method is None:
                # Gone for good: the program put something else there and dropped ours.
                continue
            if cls.__dict__.get(name) is not method:
                covered.append((cls, name, was, ours))
            elif was is None:
                delattr(cls, name)
            else:
                setattr(cls, name, was)
        self._made = covered[::-1]
