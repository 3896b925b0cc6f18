"""The bake-off with a view and every rule of what counts in force: no program or server notices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.effort import MANY, some
from tests.support.seen import RULES

FOLDER = Path(__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("test_*.py") if path.name != "test_views.py")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", some(FILES, quick=["test_redirects.py", "test_wire.py"]))
def test_it_is_the_same(name: str) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += [] if MANY else ["-m", "not long"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"tests/bakeoff/{name}"],
        cwd=FOLDER.parents[1],
        env={**os.environ, **RULES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
