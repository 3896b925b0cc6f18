"""Which cassettes a test run has used, of which calls, and which nobody uses any more.

Gathered where the tests run, which under pytest-xdist is in other processes; put together and
judged where the run is reported.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SUFFIX = ".json"


class Used(NamedTuple):
    """What one test did with its cassette.

    Attributes:
        path: of the cassette.
        test: node id.
        unused: recorded calls that were not asked for: place and text of each.
        passed: it did, so that what it left unused is superfluous.
        replayed: the cassette was there and nothing was recorded anew.
    """

    path: str
    test: str
    unused: tuple[tuple[int, str], ...] = ()
    passed: bool = False
    replayed: bool = False


class Module(NamedTuple):
    """What was collected of one file of tests.

    Attributes:
        path: of the file.
        marked: node ids of the tests that have cassettes.
        whole: nothing on the command line chose among its tests.
    """

    path: str
    marked: tuple[str, ...]
    whole: bool


class Usage:
    """What is known of a run's cassettes.

    Args:
        whole: the command line named no files, so that every module was collected.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.used: list[Used] = []
        self.modules: dict[str, Module] = {}

    def dump(self) -> dict[str, Any]:
        """Return the same as lists and mappings of plain values, for another process."""
        return {
            "used": [(p, t, [list(call) for call in u], k, r) for p, t, u, k, r in self.used],
            "modules": [list(one) for one in self.modules.values()],
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take what another process has dumped."""
        self.used += [
            Used(p, t, tuple((place, text) for place, text in u), k, r)
            for p, t, u, k, r in data["used"]
        ]
        for path, marked, whole in data["modules"]:
            self.modules[path] = Module(path, tuple(marked), whole)

    # -- what it means -----------------------------------------------------------------------

    def unused(self) -> list[Used]:
        """Return the passed replays that left recorded calls over."""
        found = [one for one in self.used if one.passed and one.replayed and one.unused]
        return sorted(found, key=lambda one: one.path)

    def gone(self) -> list[Path]:
        """Return the cassettes that belong to no test, as far as this run can tell."""
        claimed = {Path(one.path) for one in self.used}
        found = [path for path in self._candidates() if path not in claimed]
        return sorted(found)

    def unjudged(self) -> list[str]:
        """Return the modules whose cassettes were not judged: not all of their tests have run."""
        return sorted(module.path for module in self.modules.values() if not self._judged(module))

    def _judged(self, module: Module) -> bool:
        ran = {one.test for one in self.used}
        return module.whole and all(test in ran for test in module.marked)

    def _candidates(self) -> Iterator[Path]:
        """Yield the cassettes of folders of which every user is known."""
        for folder in self._folders():
            yield from _cassettes(folder)

    def _folders(self) -> set[Path]:
        modules = [Path(module.path) for module in self.modules.values()]
        defaults = {default_folder(path): path for path in modules}
        unjudged = {Path(path) for path in self.unjudged()}
        known = {folder for folder, path in defaults.items() if path not in unjudged}
        # A module that is gone has left its folder beside those of the others.
        whole = {folder.parent for folder in known}
        whole -= {folder.parent for folder, path in defaults.items() if path in unjudged}
        for parent in whole:
            known |= {
                folder
                for folder in _folders(parent)
                if folder not in defaults and not _has_module(folder)
            }
        elsewhere = {Path(one.path).parent for one in self.used} - defaults.keys()
        if self.whole and not unjudged:
            known |= elsewhere
        return known


def default_folder(module: Path) -> Path:
    """Return where the cassettes of a file of tests lie, unless a fixture says otherwise."""
    return module.parent / "cassettes" / module.stem


def _has_module(folder: Path) -> bool:
    beside = folder.parent.parent
    return any(path.stem == folder.name for path in _files(beside))


def _folders(parent: Path) -> Iterable[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _files(parent: Path) -> Iterable[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_file()]
    except OSError:
        return []


def _cassettes(folder: Path) -> Iterable[Path]:
    return [path for path in _files(folder) if path.suffix == SUFFIX]


def lines(usage: Usage, here: Path) -> Iterator[str]:
    """Yield a report, line by line.

    Args:
        here: the folder from which paths are written.
    """
    for one in usage.unused():
        yield f"{_shown(one.path, here)}: {len(one.unused)} never replayed by {one.test}"
        yield from (f"    {text}" for _, text in one.unused)
    for path in usage.gone():
        yield f"{_shown(path, here)}: no test has this cassette any more"
    for module in usage.unjudged():
        yield f"{_shown(module, here)}: not judged, since not all of its tests have run"


def prune(usage: Usage, here: Path) -> Iterator[str]:
    """Delete what the report lists, and yield what was done, line by line."""
    from .tapes import drop, remove

    for one in usage.unused():
        count = drop(Path(one.path), {place for place, _ in one.unused})
        yield f"{_shown(one.path, here)}: dropped {count} of its calls"
    for path in usage.gone():
        remove(path)
        with contextlib.suppress(OSError):
            # The folder goes with the last.
            path.parent.rmdir()
        yield f"{_shown(path, here)}: deleted"


def _shown(path: str | Path, here: Path) -> str:
    return os.path.relpath(path, here)
