"""Run the own test suites of requests and urllib3 plainly and under capture, and compare.

``python -m tests.conformance.suites [requests|urllib3] [--mount] [--keep]``

Promise 1 (capture never changes the program) held against some 1,700 tests that were not
written for it. The suites come from the source distributions of the installed versions, cached
under ``.cache/conformance``; nothing in them is touched. Exit status 1 if any test differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
CACHE = REPO / ".cache" / "conformance"
RERUNS = 2
# The suites bring their own certificates.
UNSET = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
TARPIT = "needs the internet: an address that no one answers, not a gateway or proxy that does"
UNSTEADY = "ends differently from run to run without capture: a race of its threads"
DUMMY = "test/with_dummyserver"
PROXY = f"{DUMMY}/test_proxy_poolmanager.py::TestHTTPProxyManager"
CONNECT, TOTAL = "test_connect_timeout", "test_total_applies_connect"
SOURCE = "test_source_address_error[invalid_source_address0-False]"
PROBE = "test_http2_probe_blocked_per_thread"
RUNNER = ["pytest==9.2.0", "pytest-timeout==2.4.0", "pytest-xdist==3.8.0", "trustme==1.2.1"]


@dataclass(frozen=True)
class Suite:
    """One project's tests: what they need, which are run, which are not and why."""

    name: str
    requirements: tuple[str, ...]
    paths: tuple[str, ...]
    excluded: dict[str, str]


SUITES = {
    "requests": Suite(
        "requests",
        ("PySocks==1.7.1", "pytest-httpbin==2.1.0", "httpbin==0.10.4", "pytest-mock==3.17.0"),
        ("tests",),
        {
            "tests/test_requests.py::TestTimeout::test_connect_timeout": TARPIT,
            "tests/test_requests.py::TestTimeout::test_total_timeout_connect": TARPIT,
        },
    ),
    "urllib3": Suite(
        "urllib3",
        (
            "PySocks==1.7.1",
            "anyio[trio]>=4.8",
            "brotli>=1.2",
            "backports.zstd>=1",
            "cryptography",
            "h2>=4.1",
            "httpx>=0.28.1",
            "hypercorn>=0.15",
            "idna",
            "pyopenssl>=25",
            "pytest-socket>=0.7",
            "quart>=0.20",
            "quart-trio>=0.12",
            "trio>=0.27",
        ),
        (
            "test/with_dummyserver",
            "test/test_response.py",
            "test/test_connectionpool.py",
            "test/test_poolmanager.py",
        ),
        {
            f"{DUMMY}/test_connectionpool.py::TestConnectionPoolTimeouts::{CONNECT}": TARPIT,
            f"{DUMMY}/test_connectionpool.py::TestConnectionPoolTimeouts::{TOTAL}": TARPIT,
            f"{DUMMY}/test_connectionpool.py::TestConnectionPool::{SOURCE}": TARPIT,
            f"{PROXY}::test_tunneling_proxy_request_timeout": TARPIT,
            f"{PROXY}::test_forwarding_proxy_connect_timeout": TARPIT,
            f"{PROXY}::test_tunneling_proxy_connect_timeout": TARPIT,
            f"{DUMMY}/test_https.py::TestHTTPS_TLSv1_2::{PROBE}": UNSTEADY,
            f"{DUMMY}/test_https.py::TestHTTPS_TLSv1_3::{PROBE}": UNSTEADY,
        },
    ),
}


def run(*command: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its failure is ours."""
    return subprocess.run([str(part) for part in command], check=True, text=True, **kwargs)  # type: ignore[call-overload, no-any-return]


def source(name: str) -> Path:
    """Return the unpacked source distribution of the installed version."""
    folder = CACHE / f"{name}-{version(name)}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pinned = f"{name}=={version(name)}"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", CACHE]
        run(*pip, "--no-binary", name, pinned)
        with tarfile.open(CACHE / f"{folder.name}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return folder


def python_of(suite: Suite) -> Path:
    """Return the interpreter of an environment with what the suite needs."""
    pins = [f"{name}=={version(name)}" for name in ("requests", "urllib3")]
    wanted = [*pins, *RUNNER, *suite.requirements]
    venv = CACHE / f"{suite.name}-venv"
    stamp = venv / "requirements.json"
    python = venv / "bin" / "python"
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        run(sys.executable, "-m", "venv", "--clear", venv)
        run(python, "-m", "pip", "install", "-q", *wanted)
        stamp.write_text(json.dumps(wanted))
    return python


Outcomes = dict[str, str]


def outcomes(
    suite: Suite, mode: str, *, tag: str = "", keep: bool = False
) -> tuple[Outcomes, list[str]]:
    """Run the suite; return each test's outcome, and what capture had to say."""
    work = CACHE / "runs"
    work.mkdir(exist_ok=True)
    name = f"{suite.name}-{mode}{tag}"
    log, root = work / f"{name}.jsonl", work / f"{name}-root"
    log.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    log.touch()
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    env |= {
        "CONFORMANCE_MODE": mode,
        "CONFORMANCE_LOG": str(log),
        "CONFORMANCE_ROOT": str(root),
        "PYTHONPATH": f"{HERE}{os.pathsep}{REPO}",
    }
    options = ["-q", "-p", "plugin", "-p", "no:cacheprovider", "--timeout=60", "-n2"]
    deselected = [f"--deselect={test}" for test in suite.excluded]
    command = [python_of(suite), "-m", "pytest", *options, *deselected]
    output = log.with_suffix(".txt")
    with output.open("w") as out:
        done = subprocess.run(
            [str(part) for part in [*command, *suite.paths]],
            cwd=source(suite.name),
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode not in (0, 1):
        sys.exit(f"{suite.name} under {mode}: pytest ended with {done.returncode}, see {output}")
    if mode != "plain":
        with contextlib.closing(sqlite3.connect(root / "dataio.sqlite")) as store:
            (calls,) = store.execute("SELECT count(*) FROM requests").fetchone()
        print(f"{suite.name} {mode}: {calls} calls recorded")
        if not calls:
            sys.exit("nothing was captured, so nothing is proven")
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    return read(log)


def read(log: Path) -> tuple[Outcomes, list[str]]:
    """Return the outcomes in a log, a test's worst phase deciding, and capture's problems."""
    found: Outcomes = {}
    problems = []
    for line in map(json.loads, log.read_text().splitlines()):
        if line["when"] == "capture":
            problems.append(f"{line['id']}: {line['error']}")
            continue
        said = line["outcome"]
        if said == "failed":
            where = "" if line["when"] == "call" else f" in {line['when']}"
            error = line["error"].partition(":")[0]
            said = f"failed{where}: {'AssertionError' if error.startswith('assert ') else error}"
        if found.get(line["id"], "passed") == "passed":
            found[line["id"]] = said
    return found, problems


def differing(plain: Outcomes, captured: Outcomes) -> list[str]:
    """Return the tests that did not end alike."""
    return sorted(t for t in plain.keys() | captured.keys() if plain.get(t) != captured.get(t))


def compare(suite: Suite, plain: Outcomes, mode: str, *, keep: bool) -> int:
    """Run the suite under capture, print every difference, and return their number."""
    captured, problems = outcomes(suite, mode, keep=keep)
    tests = differing(plain, captured)
    steady = set(tests)
    for count in range(RERUNS if tests else 0):
        # Only a plain run excuses: one that ends without capture the way it ended under it. All
        # is run again, since what one test leaves behind shows in another.
        again = outcomes(suite, "plain", tag=f"-{count}")[0]
        steady -= {test for test in steady if again.get(test) == captured.get(test)}
    for test in tests:
        kind = "DIFFERS" if test in steady else "unsteady"
        print(f"{kind}  {test}\n    plain: {plain.get(test)}\n    {mode}: {captured.get(test)}")
    for problem in problems:
        print(f"not recorded  {problem}")
    for name, found in (("plain", plain), (mode, captured)):
        counts = Counter(said.partition(":")[0] for said in found.values())
        said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        print(f"{suite.name} {version(suite.name)} {name}: {len(found)} tests: {said}")
    print(f"{suite.name} {mode}: {len(steady)} differ, {len(tests) - len(steady)} unsteady")
    return len(steady)


def main() -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", nargs="?", choices=sorted(SUITES))
    parser.add_argument("--mount", action="store_true", help="requests: mounted sessions as well")
    parser.add_argument("--keep", action="store_true", help="keep the recordings")
    args = parser.parse_args()
    count = 0
    for suite in SUITES.values():
        if args.suite not in (None, suite.name):
            continue
        for test, reason in suite.excluded.items():
            print(f"left out  {test}: {reason}")
        plain, _ = outcomes(suite, "plain")
        count += compare(suite, plain, "hook", keep=args.keep)
        if args.mount and suite.name == "requests":
            count += compare(suite, plain, "mount", keep=args.keep)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
