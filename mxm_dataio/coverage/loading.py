"""Word of modules as they are loaded.

Loads nothing that an interpreter has not loaded as it starts.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class Finder:
    """Finds the modules that are waited for, as the others would; tells when they are loaded.

    Stands in ``sys.meta_path``, first.

    Args:
        names: of the modules.
        loaded: told of each by its name, once its code has run. What it raises fails the import.
    """

    def __init__(self, names: Container[str], loaded: Callable[[str], None]) -> None:
        self._names = names
        self._loaded = loaded

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of those, with a loader around its own."""
        if name not in self._names:
            return None
        at = sys.meta_path.index(self) if self in sys.meta_path else -1
        # Those before have passed, and ask each other else for ever.
        for finder in sys.meta_path[at + 1 :]:
            if hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = _Loader(spec.loader, self._loaded)  # type: ignore[assignment]
                    return spec
        return None


class _Loader:
    """A module's own loader, and word of when it is done; takes no part in the module after."""

    def __init__(self, loader: Any, loaded: Callable[[str], None]) -> None:
        self._loader = loader
        self._loaded = loaded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the module's own loader makes."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Load the module by its own loader."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._loaded(module.__name__)
