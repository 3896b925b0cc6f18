"""``python -m tests.benchmarks``: measure, print, save."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from .bodies import bodies
from .costs import costs
from .plan import FULL, MIB, ORDINARY, QUICK, Bench, say
from .plugin import plugin
from .record import record, threads
from .replay import replay
from .report import Group, Report
from .server import serving
from .size import size
from .worker import CHECKOUT

_MEASURES = {
    "record": record,
    "threads": threads,
    "replay": replay,
    "bodies": bodies,
    "size": size,
    "costs": costs,
    "plugin": plugin,
}
_PACKAGES = (
    "mxm-dataio", "requests", "urllib3",
    "warcio", "requests-cache", "betamax", "vcrpy", "responses",
)  # fmt: skip
_CACHE = CHECKOUT / ".cache" / "bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and return the exit status."""
    options = _parser().parse_args(arguments)
    report = Report.load(options.read) if options.read else _measured(options)
    shown = report.showing(options.show) if options.show else report
    print(shown.markdown() if options.markdown else shown.text(), end="")
    if options.read is None:
        report.save(options.json)
        say(f"saved: {options.json}")
    if options.plot:
        from .plot import plot

        plot(shown, options.plot)
        say(f"saved: {options.plot}")
    if options.quick and report.losses:
        for loss in report.losses:
            say(f"more than twice the target: {loss}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quick",
        action="store_true",
        help="under a minute, without the other recorders; exit status 1 if a ratio within a "
        "session is more than twice its target in most rounds",
    )
    amount.add_argument(
        "--full", action="store_true", help="a store of 1,000,000 calls, a body of 4 GiB"
    )
    parser.add_argument(
        "--only", action="append", choices=_MEASURES, help="this part; may be given again"
    )
    parser.add_argument("--rounds", type=int, help="turns of each contestant with small answers")
    parser.add_argument("--calls", type=int, help="calls of a turn")
    parser.add_argument("--stored", type=int, help="calls in the large store")
    parser.add_argument("--body", type=int, metavar="MIB", help="size of the big body")
    parser.add_argument("--root", type=Path, help="folder for temporary files")
    parser.add_argument("--json", type=Path, default=_CACHE / "bench.json", help="where to save")
    parser.add_argument("--plot", type=Path, help="a PNG of it")
    parser.add_argument(
        "--show", action="append", metavar="KEY", help="print and plot this group of the JSON only"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print a table for docs/evidence/speed.md"
    )
    parser.add_argument(
        "--read", type=Path, metavar="JSON", help="print or plot a saved run, measure nothing"
    )
    return parser


def _measured(options: argparse.Namespace) -> Report:
    amounts = QUICK if options.quick else FULL if options.full else ORDINARY
    if options.rounds:
        amounts = replace(amounts, rounds=options.rounds, size_rounds=options.rounds)
    if options.calls:
        amounts = replace(amounts, calls=options.calls)
    if options.stored:
        amounts = replace(amounts, stored=options.stored)
    if options.body:
        amounts = replace(amounts, body=options.body * MIB)
        amounts = replace(amounts, peer_body=min(amounts.body, amounts.peer_body))
    parent = options.root or _CACHE
    parent.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="run-", dir=parent)).resolve()
    groups: list[Group] = []
    try:
        with serving(root) as server:
            bench = Bench(server, root, amounts)
            for name in options.only or _MEASURES:
                groups += _MEASURES[name](bench)
            facts = _facts(server.name)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return Report(tuple(groups), facts)


def _facts(server: str) -> dict[str, object]:
    versions = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "server": server,
        "packages": ", ".join(versions),
    }


if __name__ == "__main__":
    sys.exit(main())
