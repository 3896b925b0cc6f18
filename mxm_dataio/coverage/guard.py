"""Refuses the use of libraries that connect without Python's sockets."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .loading import Finder
from .natives import USES

_MISSING = object()


class Guard:
    """Stands before what of these libraries connects, in those that are loaded later too.

    Args:
        admits: says whether a library may be used.
        refusal: returns the exception that its use, or its import, is refused by.
    """

    def __init__(
        self, admits: Callable[[str], bool], refusal: Callable[[str], BaseException]
    ) -> None:
        self._admits = admits
        self._refusal = refusal
        self._finder = Finder(USES, self.loaded)
        # Where, by which name, what was there and what is.
        self._made: list[tuple[Any, str, Any, Any]] = []

    def install(self) -> None:
        """Refuse from now on."""
        for name in USES:
            module = sys.modules.get(name)
            if isinstance(module, ModuleType) and not self._admits(name):
                self._cover(module)
        sys.meta_path.insert(0, self._finder)

    def remove(self) -> None:
        """Refuse no more; what the program has put in the place of ours is left."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        while self._made:
            owner, name, was, ours = self._made.pop()
            if vars(owner).get(name) is not ours:
                continue
            if was is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, was)

    def loaded(self, name: str) -> None:
        """Take a library that has just been loaded; raise to have its import fail."""
        if name in USES and not self._admits(name) and not self._cover(sys.modules[name]):
            raise self._refusal(name)

    def _cover(self, module: ModuleType) -> int:
        """Stand before what a library connects by; return how much of that it has."""
        return sum(self._stand_before(module, path) for path in USES[module.__name__])

    def _stand_before(self, module: ModuleType, path: str) -> bool:
        *way, name = path.split(".")
        owner: Any = module
        for step in way:
            owner = getattr(owner, step, None)
        found = getattr(owner, name, None)
        if found is None or any(found is ours for *_, ours in self._made):
            return found is not None
        refusal = functools.partial(self._refusal, module.__name__)
        ours = _refusing(found, refusal)
        was = vars(owner).get(name, _MISSING)
        try:
            setattr(owner, name, ours)
        except (AttributeError, TypeError):
            # A class of C's, say.
            return False
        self._made.append((owner, name, was, ours))
        return True


def _refusing(found: Any, refusal: Callable[[], BaseException]) -> Any:
    """Return what stands for a function or class, and refuses to be called."""

    def refused(*_args: Any, **_kwargs: Any) -> Any:
        raise refusal()

    if not isinstance(found, type):
        return functools.update_wrapper(refused, found)
    try:
        # A class still, for those who ask what is one of its objects, or derive from it.
        return type(found.__name__, (found,), {"__new__": refused, "__module__": found.__module__})
    except TypeError:
        return refused
