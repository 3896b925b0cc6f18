"""Replay: what a call costs against an adapter that answers from constants."""

from __future__ import annotations

import contextlib

from .contestants import CONTESTANTS, REPLAY
from .plan import Bench, say
from .ratios import Rounds, turns
from .report import Group, Line
from .worker import Worker, WorkError

_FLOOR = "null"
_TARGETS = {"mounted": 1.4, "hook": 1.5}


def replay(bench: Bench) -> list[Group]:
    """Measure replay; each contestant replays what it has recorded itself."""
    takers, missing = bench.takers(REPLAY)
    inside, whole = Rounds(failures=dict(missing)), Rounds(failures=dict(missing))
    urls = bench.urls(bench.amounts.calls)
    with contextlib.ExitStack() as stack:
        workers = {key: stack.enter_context(Worker(key)) for key in takers}
        folders = {key: stack.enter_context(bench.folder()) for key in takers}
        for key in takers:
            say(f"replay: preparing {key}")
            try:
                workers[key].ask("prepare", folder=str(folders[key]), urls=urls)
            except WorkError as exc:
                inside.failures[key] = whole.failures[key] = str(exc)
        bench.settle()
        for number, key in turns(takers, bench.amounts.rounds + 1):
            if key in inside.failures:
                continue
            if key == takers[0]:
                say(f"replay: round {number} of {bench.amounts.rounds}")
            try:
                before = bench.server.hits
                taken = workers[key].ask("replay", folder=str(folders[key]))
                if hits := bench.server.hits - before:
                    raise WorkError(f"the server had {hits} requests")
            except WorkError as exc:
                inside.failures[key] = whole.failures[key] = str(exc)
                continue
            if number:
                inside.note(key, number, taken["inside"])
                whole.note(key, number, taken["whole"])
    title = f"Replay a call, × {CONTESTANTS[_FLOOR].name}"
    calls = bench.amounts.calls
    return [
        Group(
            "replay",
            f"{title}, within a session ({calls} calls stored)",
            "×",
            tuple(Line.over(inside, REPLAY, _FLOOR, targets=_TARGETS)),
        ),
        Group(
            "replay-end",
            f"{title}, the session's opening and end included ({calls} calls a session)",
            "×",
            tuple(Line.over(whole, REPLAY, _FLOOR, targets=_TARGETS, gated=False)),
        ),
    ]
