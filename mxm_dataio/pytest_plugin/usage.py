"""Which calls and cassettes a run of tests has used, and which of the others no test can need.

A call or a cassette is dropped only if every test that may use it has run, in every process, and
passed, and none has used it. Which tests may:

- those that ran while it was open;
- those that have not passed and whose name or markers give it;
- those of files of which not all was collected, if the cassette is in these files' folder, unless
  it has another test's name;
- if any test has not passed or was not collected: those whose file, and all whose conftest or
  helper names the cassette or opens cassettes by its own code (see :mod:`.project`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..formats.cassette import document as cassette
from ..formats.cassette.files import drop, load, marks, remove
from ..formats.cassette.runs import Call, Used
from ..utils import counted
from .project import Project

PASSED = "passed"
# In the names of cassettes of fixtures, which any test may ask for; see :mod:`.wide_fixtures`.
_FIXTURES = re.compile(r"\bfixture\.|(?:setUp|tearDown|setup_|teardown_)(?:Class|class|module)\b")
# Bytes of a file by which a cassette is known.
_HEAD = 200
# So many cassettes that were written are told of one by one.
_NAMED = 20
_JUDGED = frozenset({"replay", "rewrite"})


class Collected(NamedTuple):
    """A test that was collected.

    Attributes:
        id: its node id.
        file: its module's path.
        names: of the cassettes that may be its own, without their ending.
        shared: names of the files of the cassettes that its markers name.
    """

    id: str
    file: str
    names: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


class Superfluous(NamedTuple):
    """What no test of the run has used.

    Attributes:
        path: of the cassette.
        calls: mark and text of each of its calls; of none, if it is the whole of it.
        why: it is not dropped all the same; empty if it can be.
        tests: node ids of those that had the cassette.
    """

    path: Path
    calls: tuple[tuple[str, str], ...] = ()
    why: str = ""
    tests: tuple[str, ...] = ()


class Usage:
    """What is known of a run's cassettes.

    Args:
        project: the files of its tests.

    Attributes:
        used: what was done with cassettes.
        tests: node id → the test, of all that were collected, chosen or not.
        outcomes: node id → ``passed``, ``failed``, …, of the tests that have run.
        files: those of which all tests were collected.
        broken: why nothing can be judged; empty if it can.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.used: list[Used] = []
        self.tests: dict[str, Collected] = {}
        self.outcomes: dict[str, str] = {}
        self.files: set[str] = set()
        self.broken = ""

    def dump(self) -> dict[str, Any]:
        """Return what one process has gathered as plain values, for another."""
        return {
            "used": [list(one) for one in self.used],
            "tests": [list(one) for one in self.tests.values()],
            "files": sorted(self.files),
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take what another process has dumped."""
        for path, tests, how, told, made, *rest in data["used"]:
            calls = tuple(Call(*call) for call in told)
            self.used.append(Used(path, tuple(tests), how, calls, tuple(made), *rest))
        for name, file, names, shared in data["tests"]:
            self.tests[name] = Collected(name, file, tuple(names), tuple(shared))
        self.files.update(data["files"])

    # -- what it means -----------------------------------------------------------------------

    def superfluous(self, *, rewritten: bool = False) -> list[Superfluous]:
        """Return the calls that were not used, and the cassettes that no test has.

        Args:
            rewritten: only the calls of cassettes that were recorded anew.
        """
        found = list(self._calls(rewritten=rewritten))
        return found if rewritten else [*found, *self._gone()]

    def unjudged(self) -> list[str]:
        """Return the files of which not all tests have run."""
        ran = self.outcomes.keys()
        left = {test.file for test in self.tests.values() if test.id not in ran}
        return sorted({*left, *map(str, self._uncollected())})

    def _calls(self, *, rewritten: bool) -> Iterator[Superfluous]:
        by_path: dict[str, list[Used]] = {}
        for one in self.used:
            by_path.setdefault(one.path, []).append(one)
        for path, uses in sorted(by_path.items()):
            own = {one.how for one in uses if not one.shared}
            if len(own) != 1 or not own <= ({"rewrite"} if rewritten else _JUDGED):
                # Who only replays it has not made it; and who adds to it leaves the rest.
                continue
            calls = _left(Path(path), uses)
            if calls:
                tests = dict.fromkeys(test for one in uses for test in one.tests)
                why = self._why_not(Path(path), uses)
                yield Superfluous(Path(path), calls, why, tuple(tests))

    def _why_not(self, path: Path, uses: Iterable[Used]) -> str:
        """Return why calls of a cassette may be needed that were not used; empty if they can't."""
        if self.broken:
            return self.broken
        for test in (name for one in uses for name in one.tests):
            if self.outcomes.get(test) != PASSED:
                return self._told(test)
        known = {default_folder(Path(file)) for file in self.files}
        left = self._left()
        for one in left:
            here = path.parent == default_folder(Path(one.file)) or path.parent not in known
            named = path.stem in one.names or (one.names and _FIXTURES.search(path.stem))
            if (here and named) or path.name in one.shared:
                return self._told(one.id)
        uncollected = self._uncollected()
        only = {one.only for one in uses if not one.shared}
        for file in uncollected if len(only) != 1 or "" in only else ():
            if path.parent == default_folder(file) or path.parent not in known:
                return f"not all tests of {file.name} were collected"
        doubtful = {Path(one.file) for one in left} | uncollected
        if doubtful:
            for file in sorted(doubtful | self.project.helpers()):
                if self.project.may_open(file, path):
                    return f"not all tests have passed, and by {file.name} others may have it"
        return ""

    def _left(self) -> list[Collected]:
        """Return the tests that have not passed, or whose cassettes are not known though they did.

        (With ``mode="off"`` none is opened.)
        """
        opened = {test for one in self.used if one.marked for test in one.tests}
        return [
            test
            for test in self.tests.values()
            if self.outcomes.get(test.id) != PASSED or (test.names and test.id not in opened)
        ]

    def _told(self, test: str) -> str:
        outcome = self.outcomes.get(test, "has not run")
        return f"{test} {outcome if outcome != PASSED else 'has not opened it'}"

    def _uncollected(self) -> set[Path]:
        known = {Path(file) for file in self.files}
        theirs = {Path(test.file) for test in self.tests.values()}
        return {path for path in self.project.tests() | theirs if path not in known}

    def _gone(self) -> Iterator[Superfluous]:
        """Yield the cassettes that belong to no test, once all tests have run."""
        if self.unjudged() or self.broken:
            return
        claimed = {Path(one.path) for one in self.used}
        for folder in sorted(self._folders()):
            for path in _cassettes(folder):
                if path in claimed:
                    continue
                why = next((f"{one.name} names it" for one in self.project.naming(path)), "")
                yield Superfluous(path, (), why or self._why_not(path, ()))

    def _folders(self) -> set[Path]:
        """Return the folders in which nothing but cassettes of tests by their names should be."""
        known = {default_folder(Path(file)) for file in self.files}
        for parent in {folder.parent for folder in known}:
            # A module that is gone has left its folder beside those of the others.
            known |= {path for path in _in(parent) if _is_left(path)}
        if all(self.outcomes.get(test) == PASSED for test in self.tests):
            known |= {Path(one.path).parent for one in self.used if one.marked and not one.shared}
        return known


def default_folder(module: Path) -> Path:
    """Return where the cassettes of a file of tests lie, unless a fixture says otherwise."""
    return module.parent / "cassettes" / module.stem


def _is_left(path: Path) -> bool:
    """Say whether a folder of cassettes has no module any more."""
    if not path.is_dir() or path.is_symlink():
        return False
    return not any(one.stem == path.name and one.is_file() for one in _in(path.parent.parent))


def _in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _cassettes(folder: Path) -> Iterator[Path]:
    for path in _in(folder):
        if path.suffix == cassette.SUFFIX and path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                # Others keep data in files of that ending, too.
                if cassette.knows(file.read(_HEAD)):
                    yield path


def _left(path: Path, uses: Iterable[Used]) -> tuple[tuple[str, str], ...]:
    """Return the calls of a cassette that were used by none, as it is now: mark and text."""
    known: dict[str, Call] = {}
    needed: Counter[str] = Counter()
    played: set[str] = set()
    made: set[str] = set()
    for one in uses:
        made.update(one.made)
        for call in one.calls:
            known[call.mark] = call
            if call.played:
                played.add(call.mark)
                needed[call.params_hash] += 1
    if played | made >= known.keys():
        return ()
    _, document = load(path)
    there = marks(document.calls) if document is not None else []
    needed.subtract(known[mark].params_hash for mark in there if mark in played)
    left = []
    for mark in there:
        if mark not in known or mark in played or mark in made:
            continue
        if needed[known[mark].params_hash] > 0:
            # Where each worker, or each test, began with the first, one process needs further ones.
            needed[known[mark].params_hash] -= 1
        else:
            left.append((mark, known[mark].text))
    return tuple(left)


def lines(usage: Usage, here: Path) -> Iterator[str]:
    """Yield a report, line by line.

    Args:
        here: the folder from which paths are written.
    """
    for one in usage.superfluous():
        stays = f"; it stays: {one.why}" if one.why else ""
        if one.calls:
            by = one.tests[0] if len(one.tests) == 1 else counted(len(one.tests), "test")
            yield f"{_shown(one.path, here)}: {len(one.calls)} never replayed by {by}{stays}"
            yield from (f"    {text}" for _, text in one.calls)
        else:
            yield f"{_shown(one.path, here)}: no test has this cassette any more{stays}"
    if usage.broken:
        yield f"nothing was judged: {usage.broken}"
    for file in usage.unjudged():
        yield f"{_shown(file, here)}: not judged, since not all of its tests have run"


def prune(usage: Usage, here: Path, *, rewritten: bool = False) -> Iterator[str]:
    """Delete what is superfluous, and yield what was done, line by line.

    Args:
        rewritten: only what tests have not made that recorded anew.
    """
    for one in usage.superfluous(rewritten=rewritten):
        path, unused = one.path, {mark for mark, _ in one.calls}
        if one.why:
            if rewritten:
                count = counted(len(unused), "call")
                yield f"{_shown(path, here)}: {count} not made, kept: {one.why}"
        elif unused:
            dropped = drop(path, unused.__contains__)
            if not rewritten:
                yield f"{_shown(path, here)}: dropped {dropped} of its calls"
        else:
            remove(path)
            with contextlib.suppress(OSError):
                # The folder goes with the last.
                path.parent.rmdir()
            yield f"{_shown(path, here)}: deleted"


def _shown(path: str | Path, here: Path) -> str:
    return os.path.relpath(path, here)


def written(usage: Usage, here: Path, *, brief: bool) -> Iterator[str]:
    """Yield, in words, which cassettes the run has written.

    Args:
        here: the folder from which paths are told.
        brief: how many alone.
    """
    paths = sorted({one.path for one in usage.used if one.written and os.path.lexists(one.path)})
    if paths and brief:
        yield f"wrote {counted(len(paths), 'cassette')}"
        return
    for path in paths[:_NAMED]:
        yield f"wrote {os.path.relpath(path, here)}"
    if len(paths) > _NAMED:
        yield f"wrote {len(paths) - _NAMED:,} more"
