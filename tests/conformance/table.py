"""``python -m tests.conformance.table [--write FILE | --check FILE]``: the results as Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .results import RESULTS, Result, load

BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"
COLUMNS = {
    "suite": "",
    "version": "",
    "Python": "",
    "mode": "",
    "tests": ":",
    "differ": ":",
    "fail alike": ":",
    "skipped": ":",
    "left out": ":",
}


def table(results: list[Result]) -> str:
    """Return a table of the results, one a line."""
    lines = [list(COLUMNS), [f"---{align}" for align in COLUMNS.values()]]
    for result in results:
        counts = (
            result.tests,
            len(result.differing),
            result.alike,
            result.skipped,
            len(result.left_out),
        )
        facts = (result.suite, result.version, result.python, result.mode)
        lines.append([*facts, *(f"{count:,}" for count in counts)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def placed(text: str, new: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """Return a text with the table between its markers.

    Raises:
        ValueError: the text lacks the markers.
    """
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"has no {begin_mark} … {end_mark}")
    return f"{before}{begin}\n{new}\n{end}{after}"


def main(arguments: list[str] | None = None, folder: Path = RESULTS) -> int:
    """Print, write or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.conformance.table", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--write", type=Path, metavar="FILE", help="put it between the markers")
    which.add_argument("--check", type=Path, metavar="FILE", help="fail if it is not there")
    args = parser.parse_args(arguments)
    results = load(folder)
    if not results:
        print(f"no results under {folder}: run make conformance", file=sys.stderr)
        return 1
    made = table(results)
    path = args.write or args.check
    if path is None:
        print(made)
        return 0
    text = path.read_text(encoding="utf-8")
    wanted = placed(text, made)
    if args.check and text != wanted:
        print(f"{path} does not have what the results give:\n{made}", file=sys.stderr)
        return 1
    if args.write:
        path.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
