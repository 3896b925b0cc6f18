"""Running a suite once, plainly or captured."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from . import endings
from .environments import CACHE, PYTHON, REPO, interpreter, source
from .suites import Mode, Suite

PLUGINS = Path(__file__).resolve().parent / "plugins"
OPTIONS = ("-q", "-p", "surroundings", "-p", "plugin", "-p", "no:cacheprovider", "--timeout=120")
# The suites bring their own certificates.
UNSET = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
LONGEST = 1200


class NotRunError(Exception):
    """A suite did not run, so that nothing is proven."""


def run(
    suite: Suite,
    mode: Mode,
    *,
    only: Iterable[str] = (),
    tag: str = "",
    keep: bool = False,
) -> endings.Run:
    """Run the suite, or only some of its tests, and return how they ended.

    Raises:
        NotRunError: pytest could not run it, or nothing was captured.
    """
    work = CACHE / "runs"
    work.mkdir(parents=True, exist_ok=True)
    name = f"{suite.name}-{PYTHON}-{mode}{tag}"
    log, root, wanted = work / f"{name}.jsonl", work / f"{name}-root", work / f"{name}-only.json"
    shutil.rmtree(root, ignore_errors=True)
    log.write_text("")
    wanted.write_text(json.dumps(list(only)))
    env = {name: value for name, value in os.environ.items() if name not in UNSET} | {
        "CONFORMANCE_MODE": mode,
        "CONFORMANCE_LOG": str(log),
        "CONFORMANCE_ROOT": str(root),
        "CONFORMANCE_ONLY": str(wanted) if only else "",
        "PYTHONPATH": f"{PLUGINS}{os.pathsep}{REPO}",
        # urllib3's tests wait longer then.
        "CI": "true",
    }
    deselected = [f"--deselect={test}" for test in suite.excluded]
    paths = ("--pyargs", f"--rootdir={source(suite)}") if suite.shipped else ()
    command = [interpreter(suite), "-m", "pytest", *OPTIONS, *deselected, *paths, *suite.paths]
    output = log.with_suffix(".txt")
    clock = time.monotonic()
    with output.open("w") as out:
        done = subprocess.run(
            [str(part) for part in command],
            # Tests leave files where they run.
            cwd=work if suite.shipped else source(suite),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise NotRunError(f"{name}: pytest ended with {done.returncode}, see {output}")
    found = endings.read(log.read_text().splitlines())
    found.seconds = time.monotonic() - clock
    if not found.endings:
        raise NotRunError(f"{name}: no test ran, see {output}")
    if mode != "plain":
        with contextlib.closing(sqlite3.connect(root / "dataio.sqlite")) as store:
            (found.calls,) = store.execute("SELECT count(*) FROM requests").fetchone()
        if not found.calls and not only:
            raise NotRunError(f"{name}: nothing was captured")
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    return found
