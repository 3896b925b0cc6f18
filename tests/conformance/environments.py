"""What a suite runs in: its source distribution and a virtual environment, from the index.

Both are kept under ``.cache/conformance``. pip fetches, with whatever configuration it has here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from .suites import Suite

REPO = Path(__file__).resolve().parents[2]
CACHE = REPO / ".cache" / "conformance"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
QUIET = ("-q", "--disable-pip-version-check")


def run(*command: str | Path) -> None:
    """Run a command to its end; its failure is ours."""
    subprocess.run([str(part) for part in command], check=True)


def source(suite: Suite) -> Path:
    """Return the folder of the release's unpacked source distribution, or of Python's library."""
    if suite.shipped:
        return Path(os.__file__).parent
    folder = CACHE / "sources" / suite.name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        pip = (sys.executable, "-m", "pip", "download", *QUIET, "--no-deps")
        pinned = f"{suite.project}=={suite.version}"
        run(*pip, "-d", folder.parent, "--no-binary", suite.project, pinned)
        with tarfile.open(folder.parent / f"{suite.name}.tar.gz") as archive:
            archive.extractall(folder.parent, filter="data")
    return folder


def interpreter(suite: Suite) -> Path:
    """Return the interpreter of an environment with what the suite is pinned to."""
    venv = CACHE / "environments" / f"{suite.name}-{PYTHON}"
    stamp = venv / "requirements.json"
    python = venv / "bin" / "python"
    wanted = [sys.version, *suite.requirements]
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        run(sys.executable, "-m", "venv", "--clear", venv)
        run(python, "-m", "pip", "install", *QUIET, *suite.requirements)
        stamp.write_text(json.dumps(wanted))
    return python
