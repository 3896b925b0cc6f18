"""Regular expressions that are compiled as they are first used: a program needs few of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Made:
    """A pattern, by the methods and attributes of the compiled one."""


class _Later(_Made):
    """A pattern that is compiled once one of them is asked for."""

    def __init__(self, *made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        pattern = re.compile(*self._made)
        for public in dir(pattern):
            if not public.startswith("_"):
                setattr(self, public, getattr(pattern, public))
        # Where a class has a __getattr__, all that it has takes longer to get.
        self.__class__ = _Made  # type: ignore[assignment]
        return getattr(pattern, name)


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what :func:`re.compile` does, which works at the first use."""
    return cast("re.Pattern[AnyStr]", _Later(pattern, flags))
