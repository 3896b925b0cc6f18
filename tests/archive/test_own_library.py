"""What an archive loads for itself is no library that a program's calls go past us by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mxm_dataio import Store

_PROGRAM = """
import sys
{before}
from mxm_dataio import IngestSession
from mxm_dataio.archive import Archive
with Archive("memory://one"):
    pass
with IngestSession(source="s", root=sys.argv[1], watch=True):
    pass
"""


@pytest.mark.parametrize(("before", "named"), [("", []), ("import obstore", ["obstore"])])
def test_only_what_the_program_has_loaded_is_listed(
    before: str, named: list[str], tmp_path: Path
) -> None:
    program = _PROGRAM.format(before=before)
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "root")], check=True)
    with Store(tmp_path / "root") as store:
        coverage = store.sessions()[0].coverage
    assert [one.name for one in coverage or ()] == named
