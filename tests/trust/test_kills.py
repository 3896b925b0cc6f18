"""What a program has read survives ``kill -9``: the harness of :mod:`tests.trust.kills`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import CHECKOUT


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [10, pytest.param(1_000, marks=pytest.mark.long)])
def test_killed_at_any_instant(kills: int, tmp_path: Path) -> None:
    # A process of its own, without threads: it forks what it kills.
    done = subprocess.run(
        [sys.executable, "-m", "tests.trust.kills", "--kills", str(kills), "--folder", tmp_path],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert " 0 lost; " in last
    assert last.endswith("; 0 problems")
