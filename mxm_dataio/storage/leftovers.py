"""Sessions that nobody will end any more: their processes are gone."""

from __future__ import annotations

import os
from pathlib import Path

from ..utils import parse_instant
from .catalog.catalog import SQLiteCatalog
from .running import RunningSessions

_CLOCK = "SC_CLK_TCK"
# Between the beginnings of a process and of its session, as two clocks tell them.
_SECONDS = 2.0


def left_sessions(catalog: SQLiteCatalog, running: RunningSessions) -> list[str]:
    """Return the ids of sessions without a seal whose processes are gone.

    A session that is under way holds a lock, wherever its process runs. Should it have lost that
    (by one who has deleted the files, or as no more could be opened), its process counts as well,
    where it is another one of this machine's.
    """
    found = catalog.database.all(
        "SELECT id, pid, host, started_at FROM sessions WHERE seal IS NULL ORDER BY number"
    )
    return [
        id for id, pid, host, started_at in found
        if not running.is_under_way(id)
        and not (host == os.uname().nodename and pid != os.getpid() and _lives(pid, started_at))
    ]  # fmt: skip


def _lives(pid: int, started_at: str) -> bool:
    """Say whether the process of a number is the one that began a session at an instant.

    Not the next of this number, nor one that is gone and was not waited for.
    """
    try:
        content = Path("/proc", str(pid), "stat").read_bytes()
        (boot,) = (
            line for line in Path("/proc/stat").read_bytes().splitlines()
            if line.startswith(b"btime ")
        )  # fmt: skip
        # (proc(5): the command's name, in brackets, may have any in it.)
        state, *fields = content.rpartition(b")")[2].split()
        began = int(boot.split()[1]) + int(fields[18]) / os.sysconf(_CLOCK)
        return state not in (b"Z", b"X") and began <= parse_instant(started_at) + _SECONDS
    except (OSError, ValueError, LookupError):
        return False
