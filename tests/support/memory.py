"""How much memory a piece of work takes, measured in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
# Has the kernel begin anew to look for the highest mark of resident memory (man 5 proc).
_RESET = "5"


def growth(work: Callable[[], object]) -> int:
    """Run work in a forked child, and return by how many bytes its memory grew at the most."""
    if not _CLEAR.exists():
        pytest.skip("this system does not tell a process's highest memory")
    pipe, out = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            gc.collect()
            # What earlier tests have freed would be filled again, and no growth be seen.
            if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
                trim(0)
            _CLEAR.write_text(_RESET)
            before = _mark("VmRSS")
            work()
            os.write(out, str(_mark("VmHWM") - before).encode())
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(status)
    os.close(out)
    said = b""
    while data := os.read(pipe, 64):
        said += data
    os.close(pipe)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return int(said)


def _mark(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert match is not None
    return int(match[1]) * 1024
