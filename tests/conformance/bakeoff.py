"""``python -m tests.conformance.bakeoff [--write FILE]``: the bake-off on every supported end.

Runs this project's own three-way tests on each Python there is of :data:`PYTHONS`, with the oldest
and the newest ``requests`` and ``urllib3``, and prints how many passed, as a Markdown table.
Exit status 1 if one failed, or an environment passed nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .environments import CACHE, QUIET, REPO, run
from .table import placed

PYTHONS = ("3.11", "3.13")
BEGIN, END = "<!-- bakeoff:begin -->", "<!-- bakeoff:end -->"
NEWEST = ("requests==2.34.2", "urllib3==2.8.0")
# urllib3 before 1.26.5 can't be imported by Python 3.12 and later.
OLDEST = {
    "3.11": ("requests==2.28.0", "urllib3==1.26.0"),
    "3.13": ("requests==2.28.0", "urllib3==1.26.5"),
}
ROWS = {
    "answers: codings, framing, heads": ("bakeoff.test_answers", "bakeoff.test_codings"),
    "reading: every reader, attributes": ("bakeoff.test_readers", "bakeoff.test_attributes"),
    "redirects and retries": ("bakeoff.test_redirects", "bakeoff.test_retries"),
    "failures and mistakes": ("bakeoff.test_failures", "bakeoff.test_mistakes"),
    "bodies unread, half-read, event streams": ("bakeoff.test_unread", "bakeoff.test_streams"),
    "uploads, byte for byte": ("bakeoff.test_uploads", "bakeoff.test_big_uploads"),
    "TLS and credentials": ("bakeoff.test_tls", "bakeoff.test_credentials"),
    "proxies, SOCKS, unix sockets": ("bakeoff.test_proxies", "bakeoff.test_unix"),
    "pools and connections": ("bakeoff.test_pools", "bakeoff.test_wire"),
    "the hook and mounted sessions": ("capture.test_hook", "capture.test_mount"),
    "lifetimes, subclasses, patches": ("capture.test_lifetimes", "capture.test_subclasses"),
    "cassettes": ("bakeoff.test_cassettes",),
    "the bake-off under a view": ("bakeoff.test_views",),
    "threads and processes": ("capture.test_threads", "capture.test_processes"),
    "http.client, urllib.request, xmlrpc.client": (
        "bakeoff.test_stdlib", "bakeoff.test_urllib", "capture.test_stdlib",
    ),
    "real clients": (
        "clients.test_aws", "clients.test_docker", "clients.test_elasticsearch",
        "clients.test_exchanges", "clients.test_github", "clients.test_google",
        "clients.test_live_server", "clients.test_oauth", "clients.test_pages",
        "clients.test_presigned", "clients.test_soap", "clients.test_telemetry",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """A Python with pinned releases of requests and urllib3."""

    python: str
    pins: tuple[str, ...]

    @property
    def name(self) -> str:
        """How its column is headed."""
        return f"Python {self.python}, {', '.join(pin.replace('==', ' ') for pin in self.pins)}"

    def interpreter(self) -> Path:
        """Return its interpreter; made if it isn't there, or is of other requirements."""
        end = "oldest" if self.pins != NEWEST else "newest"
        venv = CACHE / "environments" / f"bakeoff-{end}-{self.python}"
        extras = "[test]" if end == "oldest" else "[test,clients]"
        stamp, wanted = venv / "requirements.txt", f"{self.pins} {extras}"
        if not stamp.exists() or stamp.read_text() != wanted:
            found = shutil.which(f"python{self.python}")
            assert found is not None
            run(found, "-m", "venv", "--clear", venv)
            pip = (venv / "bin" / "python", "-m", "pip", "install", *QUIET)
            run(*pip, "-e", f"{REPO}{extras}", *self.pins)
            stamp.write_text(wanted)
        return venv / "bin" / "python"


def environments() -> list[Environment]:
    """Return those whose Python is on the path."""
    there = [python for python in PYTHONS if _runs(f"python{python}")]
    return [Environment(python, pins) for python in there for pins in (OLDEST[python], NEWEST)]


def _runs(command: str) -> bool:
    """Say whether a Python is there; a version manager may have its name alone."""
    found = shutil.which(command)
    return found is not None and subprocess.run([found, "-c", ""], check=False).returncode == 0


def counted(report: Path) -> dict[str, Counter[str]]:
    """Return the outcomes of each test module in a JUnit report."""
    found: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        parts = case.attrib["classname"].removeprefix("tests.").split(".")
        module = ".".join(part for part in parts if not part.startswith("Test"))
        marks = {child.tag for child in case}
        outcome = next(
            (mark for mark in ("failure", "error", "skipped") if mark in marks), "passed"
        )
        found.setdefault(module, Counter())[outcome] += 1
    return found


def measure(environment: Environment) -> dict[str, Counter[str]]:
    """Run the bake-off in an environment."""
    modules = [module for row in ROWS.values() for module in row]
    files = [f"tests/{module.replace('.', '/')}.py" for module in modules]
    report = CACHE / "bakeoff.xml"
    command = [environment.interpreter(), "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}"]
    # The long ones too: all of each row.
    options = ["-p", "no:cacheprovider", *files]
    done = subprocess.run([*map(str, command), *options], cwd=REPO, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{environment.name}: pytest ended with {done.returncode}")
    return counted(report)


def table(found: dict[str, dict[str, Counter[str]]]) -> str:
    """Return a table: a line for each row, a column for each environment."""
    lines = [["behaviours", *found], ["---", *("---:" for _ in found)]]
    for row, modules in ROWS.items():
        cells = []
        for outcomes in found.values():
            total: Counter[str] = Counter()
            for module in modules:
                total += outcomes.get(module, Counter())
            bad = total["failure"] + total["error"]
            skipped = f" ({total['skipped']} skipped)" if total["skipped"] else ""
            passed = f"{total['passed']}{skipped}" if total["passed"] else "-"
            cells.append(f"**{bad} fail**" if bad else passed)
        lines.append([row, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Run, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.conformance.bakeoff", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it between its markers")
    args = parser.parse_args()
    found = {one.name: measure(one) for one in environments()}
    (CACHE / "bakeoff.json").write_text(json.dumps(found, indent=1))
    made = table(found)
    print(made)
    if args.write:
        text = placed(args.write.read_text(encoding="utf-8"), made, BEGIN, END)
        args.write.write_text(text, encoding="utf-8")
    good = all(any(c["passed"] for c in outcomes.values()) for outcomes in found.values())
    return 0 if found and good and "fail**" not in made else 1


if __name__ == "__main__":
    sys.exit(main())
