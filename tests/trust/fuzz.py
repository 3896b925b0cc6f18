"""Throw what was well-formed once at each parser, for as long as is asked.

    python -m tests.trust.fuzz [--seconds N] [--seed N] [--only NAME] [--shrink]

What they are and what they owe stands in :mod:`tests.trust.parsers`. An input that shows a fault is
printed, made as small as it can be if asked for. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import gc
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from .parsers import PARSERS, Parser

# Inputs at a time: enough for what they learn of each other, few enough for the clock.
_AT_ONCE = 200
# Seconds in which any input is dealt with, on whatever machine.
_PATIENCE = 30.0
# Seconds of its thread that any may take, and more for each KiB of it.
_ANY, _PER_KIB = 1.0, 0.02


class Fuzzer:
    """Tries parsers in turn.

    Args:
        chosen: them.
        start: what all that is drawn by lot begins with.
        shrink: make an input that shows a fault as small as it can be, which takes minutes.
    """

    def __init__(self, chosen: Sequence[Parser], start: int, *, shrink: bool = False) -> None:
        self._chosen = chosen
        self._start = start
        self._phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
        self.tried: Counter[str] = Counter()
        self.faults: dict[str, str] = {}

    def run(self, seconds: float, at_once: int = _AT_ONCE) -> None:
        """Go on for so long; each parser has its turns, until it shows a fault."""
        began = shown = time.monotonic()
        turn = 0
        while time.monotonic() < began + seconds and len(self.faults) < len(self._chosen):
            for one in self._chosen:
                if one.name not in self.faults:
                    self._try(one, self._start + turn, at_once)
            turn += 1
            gc.collect()
            if sys.stderr.isatty() and time.monotonic() > shown + 2:
                shown = time.monotonic()
                sys.stderr.write(f"\r{self.line()}, {shown - began:.0f} s ")
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")

    def _try(self, one: Parser, number: int, at_once: int) -> None:
        @seed(number)
        @settings(
            max_examples=at_once,
            deadline=None,
            database=None,
            phases=self._phases,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(one.inputs)
        def check(value: Any) -> None:
            self.tried[one.name] += 1
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
            began = time.thread_time()
            try:
                one.check(value)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            taken = time.thread_time() - began
            if taken > _ANY and taken > _ANY + _PER_KIB * len(repr(value)) / 1024:
                raise TimeoutError(f"it took {taken:.1f} seconds for {len(repr(value))} characters")

        try:
            check()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            self.faults[one.name] = "".join(traceback.format_exception(exc))

    def line(self) -> str:
        """Return the figures so far."""
        return (
            f"{len(self._chosen)} parsers: {self.tried.total():,} inputs tried, "
            f"{len(self.faults)} faults found"
        )


def _late(_number: int, _frame: Any) -> None:
    raise TimeoutError(f"it took more than {_PATIENCE:.0f} seconds")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and say what was found; return 1 if that is a fault."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--seconds", type=float, default=45.0, help="for how long, in all")
    asked.add_argument("--seed", type=int, help="what is drawn by lot begins with it")
    asked.add_argument("--only", choices=PARSERS, action="append", help="this parser alone")
    asked.add_argument("--shrink", action="store_true", help="make a fault's input small")
    asked.add_argument("--each", action="store_true", help="print how many each has had")
    options = asked.parse_args(arguments)
    start = random.randrange(1 << 32) if options.seed is None else options.seed
    chosen = [PARSERS[name] for name in options.only or PARSERS]
    fuzzer = Fuzzer(chosen, start, shrink=options.shrink)
    signal.signal(signal.SIGALRM, _late)
    fuzzer.run(options.seconds)
    for name, fault in fuzzer.faults.items():
        print(f"{name}:\n{fault}")
    if options.each:
        for name, count in fuzzer.tried.items():
            print(f"  {name}: {count:,}")
    print(f"{fuzzer.line()} (seed {start}, {options.seconds:.0f} s)")
    return int(bool(fuzzer.faults))


if __name__ == "__main__":
    sys.exit(main())
