"""Run the tests of requests, urllib3 and http.client plainly and under capture, and compare.

``python -m tests.conformance [requests | urllib3 | http.client] --end newest | oldest``

Promise 1 (capture never changes the program) held against tests that were not written for it.
The suites come from source distributions, and nothing in them is touched. Exit status 1 if any
test differs, 2 if a suite did not run.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from . import results, runner
from .endings import Run, differences, excuse
from .environments import PYTHON, interpreter, source
from .suites import ENDS, SUITES, Mode, Suite

# Tests that differ are run again: they alone, then among all, since what one test leaves behind
# shows in another.
ALONE, WHOLE = 3, 1


def again(suite: Suite, times: int, tests: list[str], *, whole: bool = False) -> Run:
    """Run plainly once more."""
    return runner.run(suite, "plain", only=() if whole else tests, tag=f"-again-{times}")


def judge(suite: Suite, mode: Mode, plain: Run, captured: Run) -> results.Result:
    """Compare a captured run with the plain one, and say what was found."""
    found = differences(plain, captured)
    alone = [partial(again, suite, times) for times in range(ALONE)]
    whole = [partial(again, suite, ALONE + times, whole=True) for times in range(WHOLE)]
    excused = excuse(found, [*alone, *whole])
    for difference in found:
        kind = "unsteady" if difference.test in excused else "DIFFERS"
        print(f"{kind}  {difference.test}")
        print(f"    plain: {difference.plain}\n    {mode}: {difference.captured}")
    for problem in captured.problems:
        print(f"not recorded  {problem}")
    result = results.conclude(suite, mode, plain, captured, found, excused)
    results.write(result)
    return result


def summary(result: results.Result) -> str:
    """Return a result as a line."""
    name = f"{result.suite} {result.version}, Python {result.python}, {result.mode}"
    return (
        f"{name}: {result.tests} tests, {len(result.differing)} differ, "
        f"{len(result.unsteady)} unsteady, {result.alike} fail alike, {result.skipped} skipped, "
        f"{len(result.left_out)} left out, {result.calls} calls recorded, {result.seconds:.0f} s"
    )


def main() -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.conformance", description=__doc__)
    parser.add_argument("project", nargs="?", choices=sorted({s.project for s in SUITES}))
    parser.add_argument("--end", choices=ENDS, help="newest or oldest releases (default: both)")
    parser.add_argument("--all", action="store_true", help="also what is left out otherwise")
    parser.add_argument("--jobs", type=int, default=5, help="runs side by side; they mostly wait")
    parser.add_argument("--keep", action="store_true", help="keep the recordings")
    args = parser.parse_args()
    clock = time.monotonic()
    chosen = []
    for suite in SUITES:
        if args.project not in (None, suite.project) or args.end not in (None, suite.end):
            continue
        if suite.before and sys.version_info >= suite.before:
            print(f"not run  {suite.name}: it does not import on Python {PYTHON}")
            continue
        if not suite.there:
            print(f"skipped  {suite.name}: not shipped with this Python")
            continue
        chosen.append(replace(suite, excluded={}) if args.all else suite)
        for test, reason in chosen[-1].excluded.items():
            print(f"left out  {suite.name} {test}: {reason}")
    runs: list[tuple[Suite, Mode]] = [(s, mode) for s in chosen for mode in ("plain", *s.modes)]
    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda suite: (source(suite), interpreter(suite)), chosen))
            ended = pool.map(lambda r: runner.run(r[0], r[1], keep=args.keep), runs)
            found = {(s.name, mode): run for (s, mode), run in zip(runs, ended, strict=True)}
        # The machine is quiet now.
        concluded = [
            judge(suite, mode, found[suite.name, "plain"], found[suite.name, mode])
            for suite, mode in runs
            if mode != "plain"
        ]
    except runner.NotRunError as broken:
        print(broken, file=sys.stderr)
        return 2
    for result in concluded:
        print(summary(result))
    print(f"{time.monotonic() - clock:.0f} s")
    return 1 if any(result.differing for result in concluded) or not concluded else 0


if __name__ == "__main__":
    sys.exit(main())
