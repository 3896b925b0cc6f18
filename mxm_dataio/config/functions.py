"""Functions that are named as text: ``module:function``."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class NamedFunction:
    """A function that a text names.

    Attributes:
        given: what names it in another process: the text, and the folder in which its module is
            looked for besides.
    """

    def __init__(self, given: list[str], function: Callable[..., Any]) -> None:
        self.given = given
        self._function = function
        self.__qualname__ = given[0]

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


def function_of(value: Any) -> Callable[..., Any] | None:
    """Return a function.

    Args:
        value: itself, ``None``, or its name, alone or with a folder besides.

    Raises:
        TypeError, ValueError: it is none, or can't be imported.
    """
    if value is None or callable(value):
        made: Callable[..., Any] | None = value
        return made
    text, folder = value if isinstance(value, list) and len(value) == 2 else (value, "")
    module, _, name = str(text).partition(":")
    if not isinstance(text, str) or not module or not name:
        raise TypeError("no function, nor the name of one: module:function")
    with _looked_for_in(folder):
        try:
            if _is_program(module):
                raise ValueError("it is in the program itself, which would run anew: move it out")
            found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except (Exception, SystemExit) as exc:
            # Importing runs what is imported.
            raise ValueError(f"it can't be imported: {exc or repr(exc)}") from exc
    if not callable(found):
        raise TypeError("it is no function")
    # Another process of the program's may have another folder of its own.
    own = str(Path(*sys.path[:1]).absolute())
    return NamedFunction([text, folder or own], found)


@contextlib.contextmanager
def _looked_for_in(folder: str) -> Iterator[None]:
    """Have modules that are not found elsewhere found in a folder."""
    if folder:
        sys.path.append(folder)
    try:
        yield
    finally:
        if folder and folder in sys.path:
            # The last of them: what is imported may have changed the path.
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(folder)]


# The program that is to run, and not to be imported: a module's name, or a file.
_program = ""


@contextlib.contextmanager
def of_program(folder: str, program: str = "") -> Iterator[None]:
    """Import as a program will.

    Args:
        folder: where it finds its own modules.
        program: its module's name, or its file.
    """
    global _program
    _program = program
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        _program = ""
        if folder in sys.path:
            sys.path.remove(folder)


def _is_program(module: str) -> bool:
    """Say whether a module is the program that runs, or is to, and not loaded by its name."""
    found = None if module in sys.modules else importlib.util.find_spec(module)
    if found is None or found.submodule_search_locations is not None:
        return False
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if module in (_program, spec and spec.name):
        return True
    files = (Path(one) for one in (_program, getattr(main, "__file__", "")) if one)
    return found.has_location and any(
        one.exists() and one.samefile(str(found.origin)) for one in files
    )
