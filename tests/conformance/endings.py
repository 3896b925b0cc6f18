"""How tests ended, and whether two runs of a suite ended alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

# What differs from run to run whatever is run: addresses, ports, names of temporary folders,
# seconds. ``pytest`` shortens long texts, so that an address may lack its beginning.
MASKS = (
    (re.compile(r"pytest-(of-[^/'\" ]+/pytest-)?\d+"), "pytest-N"),
    (re.compile(r"\b(0x[0-9a-f]+|[0-9a-f]{12,})\b"), "0xN"),
    (re.compile(r"\bport=\d+"), "port=N"),
    (re.compile(r"(?<=[\w\].]):\d{4,5}\b"), ":N"),
    (re.compile(r"(?<=', )\d{4,5}(?=[,)])"), "N"),
    (re.compile(r"\b\d+\.\d{3,}\b"), "S"),
)


@dataclass
class Run:
    """How a suite ended once."""

    endings: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return sum(ending.partition(":")[0] == outcome for ending in self.endings.values())


@dataclass(frozen=True)
class Difference:
    """A test that did not end alike; ``None`` where it did not run."""

    test: str
    plain: str | None
    captured: str | None


def mask(text: str) -> str:
    """Return an error's line without what no two runs have in common."""
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text


def read(log: Iterable[str]) -> Run:
    """Return what a log says; of a test's phases the first that did not pass decides."""
    run = Run()
    for line in map(json.loads, log):
        test, when, outcome, error = (line[name] for name in ("id", "when", "outcome", "error"))
        if when == "capture":
            run.problems.append(f"{test}: {error}")
        elif outcome == "left out":
            run.left_out.append(test)
        else:
            # A test that fails and can't be torn down either has two endings.
            phase = "" if when in ("call", "collect") else f" (in {when})"
            ending = "passed" if outcome == "passed" else f"{outcome}: {mask(error)}{phase}"
            before = run.endings.get(test, "passed")
            if before == "passed":
                run.endings[test] = ending
            elif ending != "passed":
                run.endings[test] = f"{before}; {ending}"
    return run


def differences(plain: Run, captured: Run) -> list[Difference]:
    """Return the tests that did not end alike, or ran in one of the runs only."""
    one, other = plain.endings, captured.endings
    tests = sorted(one.keys() | other.keys())
    found = (Difference(test, one.get(test), other.get(test)) for test in tests)
    return [difference for difference in found if difference.plain != difference.captured]


def excuse(found: list[Difference], again: Iterable[Callable[[list[str]], Run]]) -> set[str]:
    """Return the tests among the differing that are unsteady without capture.

    Args:
        again: plain runs to make, each told the tests in question. Only such a run excuses: one
            in which the test ends, uncaptured, the way it ended under capture.
    """
    open_ones = {difference.test: difference.captured for difference in found}
    excused: set[str] = set()
    for run in again:
        if not open_ones:
            break
        endings = run(sorted(open_ones)).endings
        for test, captured in list(open_ones.items()):
            if captured is not None and endings.get(test) == captured:
                excused.add(test)
                del open_ones[test]
    return excused
