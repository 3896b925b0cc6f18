"""What was found, as files: one for each suite, Python and mode, so that runs add up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .endings import Difference, Run
from .environments import CACHE, PYTHON
from .suites import SUITES, Mode, Suite

RESULTS = CACHE / "results"


@dataclass(frozen=True)
class Result:
    """A suite's captured run against its plain one.

    Args:
        tests: how many ran in both; what the suite skips by itself is apart.
        alike: how many of them fail, plainly and captured, in the same words.
        unsteady: the tests that did not end alike, but not plainly either.
        left_out: the tests not run, and why.
        problems: what capture could not record.
    """

    suite: str
    version: str
    end: str
    python: str
    mode: Mode
    tests: int
    passed: int
    alike: int
    skipped: int
    calls: int
    seconds: float
    differing: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is a result of."""
        return f"{self.suite}-{self.version}-{self.python}-{self.mode}"


def conclude(
    suite: Suite,
    mode: Mode,
    plain: Run,
    captured: Run,
    found: list[Difference],
    excused: set[str],
) -> Result:
    """Return the result of a comparison."""
    differing = {difference.test for difference in found}
    alike = {test for test in plain.endings if test not in differing}
    outcomes = {test: plain.endings[test].partition(":")[0] for test in alike}
    counts = list(outcomes.values())
    skipped = counts.count("skipped")
    return Result(
        suite=suite.project,
        version=suite.version,
        end=suite.end,
        python=PYTHON,
        mode=mode,
        tests=len(plain.endings.keys() | captured.endings.keys()) - skipped,
        passed=counts.count("passed"),
        alike=counts.count("failed"),
        skipped=skipped,
        calls=captured.calls,
        seconds=round(captured.seconds, 1),
        differing=sorted(differing - excused),
        unsteady=sorted(excused),
        left_out={test: _reason(suite, test) for test in plain.left_out},
        problems=captured.problems,
    )


def _reason(suite: Suite, test: str) -> str:
    return next(why for begin, why in suite.excluded.items() if test.startswith(begin))


def write(result: Result, folder: Path = RESULTS) -> None:
    """Put a result in place of the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(result), indent=1)
    (folder / f"{result.name}.json").write_text(f"{text}\n")


def load(folder: Path = RESULTS) -> list[Result]:
    """Return the results of the suites there are, in their order."""
    order = {(suite.project, suite.version): place for place, suite in enumerate(SUITES)}
    found = [Result(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    known = [result for result in found if (result.suite, result.version) in order]
    return sorted(known, key=lambda r: (r.python, order[r.suite, r.version], r.mode))
