"""The size of the store: calls on a large one against calls on one of 1,000."""

from __future__ import annotations

import random
from pathlib import Path

from .plan import SMALL_STORE, Bench, say
from .ratios import Rounds, turns
from .report import Group, Line
from .worker import Worker, WorkError

_KEY = "mounted"
_TARGET = 1.15
_PLACES = ("small", "large")
_RECORDED = 100


def size(bench: Bench) -> list[Group]:
    """Measure replay from, and recording into, a large store and a small one."""
    large = bench.amounts.stored
    counts = {"small": SMALL_STORE, "large": large}
    results = {name: Rounds() for name in ("replay", "replay-end", "record", "record-end")}
    failure = ""
    with bench.folder() as small_folder, bench.folder() as large_folder:
        folders = {"small": small_folder, "large": large_folder}
        with Worker(_KEY) as small, Worker(_KEY) as big:
            workers = {"small": small, "large": big}
            try:
                for place in _PLACES:
                    say(f"size: filling a store with {counts[place]:,} calls")
                    filled = workers[place].ask(
                        "fill",
                        folder=str(folders[place]),
                        base=bench.server.url,
                        count=counts[place],
                        patience=7200,
                    )
                    if filled["count"] != counts[place]:
                        raise WorkError(f"the store has {filled['count']} of {counts[place]}")
                bench.settle()
                _replays(bench, workers, folders, counts, results)
                _records(bench, workers, folders, results)
            except WorkError as exc:
                failure = str(exc)
    names = {
        "replay": "replay, within a session",
        "replay-end": "replay, opening and end included",
        "record": "record, within a session",
        "record-end": "record, opening and end included",
    }
    lines = [
        Line(
            names[name],
            rounds.over("large", "small"),
            target=_TARGET,
            gated=not name.endswith("-end"),
            own=True,
            failure=failure,
        )
        for name, rounds in results.items()
    ]
    title = f"A store of {large:,} calls, × one of {SMALL_STORE:,} (mxm-dataio, mounted)"
    return [Group("size", title, "×", tuple(lines))]


def _replays(
    bench: Bench,
    workers: dict[str, Worker],
    folders: dict[str, Path],
    counts: dict[str, int],
    results: dict[str, Rounds],
) -> None:
    chance = random.Random(4)
    calls = min(bench.amounts.calls, SMALL_STORE - 1)
    for number, place in turns(_PLACES, bench.amounts.size_rounds + 1):
        if place == _PLACES[0]:
            say(f"size: replay, round {number} of {bench.amounts.size_rounds}")
        before = bench.server.hits
        taken = workers[place].ask(
            "replay_some",
            folder=str(folders[place]),
            base=bench.server.url,
            numbers=chance.sample(range(1, counts[place]), calls),
        )
        if hits := bench.server.hits - before:
            raise WorkError(f"the server had {hits} requests")
        if number:
            results["replay"].note(place, number, taken["inside"])
            results["replay-end"].note(place, number, taken["whole"])


def _records(
    bench: Bench,
    workers: dict[str, Worker],
    folders: dict[str, Path],
    results: dict[str, Rounds],
) -> None:
    # Both grow by what is recorded: by little.
    urls = bench.urls(_RECORDED)
    for number, place in turns(_PLACES, bench.amounts.size_rounds + 1):
        if place == _PLACES[0]:
            say(f"size: record, round {number} of {bench.amounts.size_rounds}")
        bench.settle()
        before = bench.server.hits
        taken = workers[place].ask("record", folder=str(folders[place]), urls=urls)
        if (hits := bench.server.hits - before) != len(urls):
            raise WorkError(f"the server had {hits} requests for {len(urls)} calls")
        if number:
            results["record"].note(place, number, taken["inside"])
            results["record-end"].note(place, number, taken["whole"])
