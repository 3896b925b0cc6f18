"""Other people's classes: how to find them, and their methods replaced while it is needed."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

from ..concurrency import mutex


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

    A signal's handler or a finalizer may install and uninstall amid that: each does the whole.
    """

    def __init__(self) -> None:
        self._count = 0
        self._whole = False
        self._made: list[tuple[type, str, Any, weakref.ref[Any]]] = []

    def install(self) -> None:
        """Replace, unless another session has."""
        with mutex.lock:
            self._count += 1
            if not self._whole:
                self._put_back()
                self.replace_all()
                self._whole = True

    def uninstall(self) -> None:
        """Put everything back, if no other session needs it."""
        with mutex.lock:
            self._count -= 1
            if not self._count:
                self._put_back()

    def replace_all(self) -> None:
        """Replace the methods."""
        raise NotImplementedError

    def replace(self, cls: type, name: str, make: Callable[[Any], Any]) -> None:
        """Replace one method, unless it is ours by now.

        Args:
            make: makes the new one of the one that stands there.
        """
        was, standing = cls.__dict__.get(name), getattr(cls, name)
        if was is None or not any(ours() is was for *_, ours in self._made):
            method = make(standing)
            self._made.append((cls, name, was, weakref.ref(method)))
            setattr(cls, name, method)

    def _put_back(self) -> None:
        self._whole = False
        for one in self._made[::-1]:
            cls, name, was, ours = one
            method = ours()
            if method is not None and cls.__dict__.get(name) is not method:
                # Something has come over it.
                continue
            if method is not None and was is None:
                delattr(cls, name)
            elif method is not None:
                setattr(cls, name, was)
            # Else it is gone for good: the program put something there and dropped ours.
            with contextlib.suppress(ValueError):
                self._made.remove(one)
