"""Regular expressions that are compiled as they are first used: a program needs few of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Later:
    """A pattern whose methods and attributes are those of the compiled one, once asked for."""

    def __init__(self, *made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(re.compile(*self._made), name)
        setattr(self, name, value)
        return value


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what :func:`re.compile` does, which works at the first use."""
    return cast("re.Pattern[AnyStr]", _Later(pattern, flags))
