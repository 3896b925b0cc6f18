"""Recording: what a call costs, alone and in eight threads."""

from __future__ import annotations

import contextlib

from .contestants import CONTESTANTS, RECORD
from .plan import Bench, say
from .ratios import Rounds, turns
from .report import Group, Line
from .worker import Worker, WorkError

_PLAIN, _BARE = "requests", "urllib3"
_OVER_URLLIB3 = ("urllib3", "urllib3-hook")
_TARGET, _BARE_TARGET, _THREADS_TARGET = 1.25, 1.5, 1.4
_END = "the session's opening and end included"


def record(bench: Bench) -> list[Group]:
    """Measure recording with one thread."""
    inside, whole = _measure(bench, RECORD, threads=1)
    calls = bench.amounts.calls
    over_requests = [key for key in RECORD if key not in _OVER_URLLIB3]
    groups = []
    for key, baseline, keys, target in (
        ("record", _PLAIN, over_requests, _TARGET),
        ("record-urllib3", _BARE, _OVER_URLLIB3, _BARE_TARGET),
    ):
        of = CONTESTANTS[baseline].name
        title = f"Record a call, × {of}"
        lines = _lines(inside, keys, baseline, target)
        groups.append(Group(key, f"{title}, within a session", "×", tuple(lines)))
        lines = _lines(whole, keys, baseline, target, gated=False)
        title = f"{title}, {_END} ({calls} calls a session)"
        groups.append(Group(f"{key}-end", title, "×", tuple(lines)))
    return groups


def threads(bench: Bench) -> list[Group]:
    """Measure recording with eight threads."""
    keys = tuple(key for key in RECORD if CONTESTANTS[key].threads and key not in _OVER_URLLIB3)
    count = bench.amounts.threads
    inside, whole = _measure(bench, keys, threads=count)
    title = f"Record a call in {count} threads, × {CONTESTANTS[_PLAIN].name} in {count} threads"
    lines = _lines(inside, keys, _PLAIN, _THREADS_TARGET)
    ended = _lines(whole, keys, _PLAIN, _THREADS_TARGET, gated=False)
    return [
        Group("threads", f"{title}, within a session", "×", tuple(lines)),
        Group(
            "threads-end",
            f"{title}, {_END} ({bench.amounts.calls} calls a session)",
            "×",
            tuple(ended),
        ),
    ]


def _measure(bench: Bench, keys: tuple[str, ...], threads: int) -> tuple[Rounds, Rounds]:
    takers, missing = bench.takers(keys)
    inside, whole = Rounds(failures=dict(missing)), Rounds(failures=dict(missing))
    urls = bench.urls(bench.amounts.calls)
    with contextlib.ExitStack() as stack:
        workers = {key: stack.enter_context(Worker(key)) for key in takers}
        # The round before the first imports what is imported late, and is not counted.
        for number, key in turns(takers, bench.amounts.rounds + 1):
            if key in inside.failures:
                continue
            if key == takers[0] or not number:
                say(f"record, {threads} threads: round {number} of {bench.amounts.rounds}, {key}")
            try:
                with bench.folder() as folder:
                    bench.settle()
                    before = bench.server.hits
                    taken = workers[key].ask(
                        "record", folder=str(folder), urls=urls, threads=threads
                    )
                    hits = bench.server.hits - before
                if hits != len(urls):
                    raise WorkError(f"the server had {hits} requests for {len(urls)} calls")
            except WorkError as exc:
                inside.failures[key] = whole.failures[key] = str(exc)
                continue
            if number:
                inside.note(key, number, taken["inside"])
                whole.note(key, number, taken["whole"])
    return inside, whole


def _lines(
    rounds: Rounds,
    keys: list[str] | tuple[str, ...],
    baseline: str,
    target: float,
    *,
    gated: bool = True,
) -> list[Line]:
    return Line.over(rounds, keys, baseline, target=target, gated=gated)
