"""Work in a forked child, of which nothing comes back into the test but how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.support.waiting import eventually


def started(work: Callable[[], object]) -> int:
    """Run work in a forked child, and return its id; it ends with 0, or with 1 if work raised."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def ended(child: int) -> int:
    """Wait for a child's end; return its exit status, or minus the signal that ended it."""
    done = (0, 0)

    def gone() -> bool:
        nonlocal done
        done = os.waitpid(child, os.WNOHANG)
        return done != (0, 0)

    if not eventually(gone):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise AssertionError("the child hangs")
    return os.waitstatus_to_exitcode(done[1])


def forked(work: Callable[[], object]) -> int:
    """Run work in a forked child; return its exit status, or minus the signal that ended it."""
    return ended(started(work))
