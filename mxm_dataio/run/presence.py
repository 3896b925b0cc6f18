"""Whether what is to run is there, as far as can be told without running any of it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

    from .arguments import Program


def is_found(program: Program) -> bool:
    """Say whether a program is where it is looked for.

    It may be there and not be found: a package's ``__init__`` may say anew where its modules are.
    """
    label = program.label
    if not program.python:
        folders = [""] if os.sep in label else os.get_exec_path()
        return any(os.access(os.path.join(folder, label), os.X_OK) for folder in folders)
    if label in ("-", "-c"):
        return True
    try:
        if label.startswith("-m "):
            return _module_is_found(label[3:])
        if os.path.isdir(label):
            return _spec("__main__", [label]) is not None
        return os.access(label, os.R_OK)
    except Exception:
        # A finder may be anyone's.
        return True


def _module_is_found(name: str) -> bool:
    """Say whether ``-m`` finds a module: of a package its ``__main__``."""
    places: Sequence[str] | None = [os.getcwd(), *sys.path]
    at = ""
    for part in name.split("."):
        at = f"{at}.{part}" if at else part
        spec = _spec(at, places) if places is not None else None
        if spec is None:
            return False
        places = spec.submodule_search_locations
    return places is None or _spec(f"{at}.__main__", places) is not None


def _spec(name: str, places: Sequence[str]) -> ModuleSpec | None:
    found = (finder.find_spec(name, places) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)
