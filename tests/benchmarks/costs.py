"""Costs once a process, a session or a call: import, opening and closing, disk."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

from .plan import Bench, say
from .report import Group, Line
from .server import ITEM_SIZE
from .worker import CHECKOUT, Worker, environment

_IMPORT, _FIRST_SESSION, _SESSION, _END, _DISK = 15.0, 25.0, 2.0, 20.0, 700.0
_CALLS = 1_000
_SESSIONS = 10
_MEMORY_DISK = Path("/dev/shm")
_IMPORTS = {
    "import mxm_dataio": "import mxm_dataio",
    "the same, and CaptureAdapter": "from mxm_dataio import CaptureAdapter, IngestSession",
}
_CODE = """
import time, requests
began = time.perf_counter()
{statement}
print((time.perf_counter() - began) * 1000)
"""


def costs(bench: Bench) -> list[Group]:
    """Measure what does not depend on the number of calls, and the disk they take."""
    return [_imports(bench), _sessions(bench), _end(bench), _disk(bench)]


def _imports(bench: Bench) -> Group:
    say("costs: imports")
    samples: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for number in range(bench.amounts.cost_rounds + 1):
        for name, statement in _IMPORTS.items():
            said = subprocess.run(
                [sys.executable, "-c", _CODE.format(statement=statement)],
                cwd=CHECKOUT,
                env=environment(),
                check=True,
                capture_output=True,
                text=True,
            )
            # The first compiles.
            if number:
                samples[name].append(float(said.stdout))
    lines = [_line(name, values, _IMPORT) for name, values in samples.items()]
    return Group("import", "Import, above import requests", "ms", tuple(lines))


def _sessions(bench: Bench) -> Group:
    say("costs: sessions")
    first: list[float] = []
    later: list[float] = []
    with bench.folder() as folder:
        for _ in range(bench.amounts.cost_rounds):
            with Worker("hook") as worker:
                taken = worker.ask("sessions", folder=str(folder), count=_SESSIONS)
            first.append(taken["first"] * 1000)
            later.append(taken["later"] * 1000)
    lines = [
        _line("later ones of a process", later, _SESSION),
        _line("the first, which imports the adapters", first, _FIRST_SESSION),
    ]
    return Group("session", "A session opened and closed, with the hook", "ms", tuple(lines))


def _end(bench: Bench) -> Group:
    say("costs: a session's end")
    calls = bench.amounts.calls
    urls = bench.urls(calls)
    places = {"on the disk of this checkout": CHECKOUT, "in memory": _MEMORY_DISK}
    samples: dict[str, list[float]] = {}
    with Worker("mounted") as worker, contextlib.ExitStack() as stack:
        folders = {
            name: Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=".bench-", dir=place))
            )
            for name, place in places.items()
            if place.is_dir()
        }
        for number in range(bench.amounts.cost_rounds + 1):
            for name, folder in folders.items():
                bench.settle()
                taken = worker.ask("record", folder=str(folder / str(number)), urls=urls)
                # The first imports what is imported late.
                if number:
                    spent = (taken["whole"] - taken["inside"]) * 1e6 / calls
                    samples.setdefault(name, []).append(spent)
    lines = [_line(name, values, _END) for name, values in samples.items()]
    return Group("end", f"A session's opening and end, a call of {calls}", "µs", tuple(lines))


def _disk(bench: Bench) -> Group:
    say("costs: disk")
    with bench.folder() as folder, Worker("mounted") as worker:
        worker.ask("record", folder=str(folder), urls=bench.urls(_CALLS))
        length, blocks = disk_use(folder)
    lines = [
        _line("lengths of the files", [length / _CALLS - ITEM_SIZE], _DISK),
        _line("blocks that they take", [blocks / _CALLS - ITEM_SIZE], _DISK),
    ]
    title = f"Disk for a call, beyond the {ITEM_SIZE} bytes of its payload ({_CALLS:,} calls)"
    return Group("disk", title, "bytes", tuple(lines))


def disk_use(folder: Path) -> tuple[int, int]:
    """Return the bytes of all files in a folder, and those of the blocks that they take.

    Without what SQLite's processes share in memory (``-shm``): of 32 KiB for each database that is
    or was open, whatever is in it.
    """
    states = [
        path.stat()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    ]
    return sum(state.st_size for state in states), sum(state.st_blocks * 512 for state in states)


def _line(name: str, samples: list[float], target: float) -> Line:
    return Line(name, tuple(samples), target=target, own=True)
