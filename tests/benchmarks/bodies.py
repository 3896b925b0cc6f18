"""A big body: time, peak memory and first byte, recorded and replayed.

Every turn has a process of its own, so that the peak is the turn's.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from .contestants import CONTESTANTS, RECORD
from .jobs import block
from .plan import MIB, Bench, say
from .ratios import Rounds, turns
from .report import Group, Line
from .worker import Worker, WorkError

_PLAIN = "requests"
_KEYS = tuple(key for key in RECORD if key not in ("urllib3", "urllib3-hook"))
# 500 MiB/s where plain gives 2,000.
_TIME, _MEMORY, _FIRST = 4.0, 8.0, 2.0
# 1 GiB/s.
_RATE = 1000 / 1024
_PATIENCE = 1800.0


@dataclass(slots=True)
class _Results:
    """Rounds of one way, recording or replaying."""

    inside: Rounds = field(default_factory=Rounds)
    whole: Rounds = field(default_factory=Rounds)
    first: Rounds = field(default_factory=Rounds)
    peak: Rounds = field(default_factory=Rounds)
    failures: dict[str, str] = field(default_factory=dict)

    def note(self, key: str, number: int, taken: dict[str, float], size: int) -> None:
        # Bodies may be of two sizes: seconds for a byte.
        self.inside.note(key, number, taken["inside"] / size)
        self.whole.note(key, number, taken["whole"] / size)
        self.first.note(key, number, taken["first"] * 1000)
        self.peak.note(key, number, taken["peak"] / MIB)

    def fail(self, key: str, why: str) -> None:
        for rounds in (self.inside, self.whole, self.first, self.peak):
            rounds.failures[key] = why
        self.failures[key] = why


def bodies(bench: Bench) -> list[Group]:
    """Measure recording and replay of a big body."""
    takers, missing = bench.takers(_KEYS)
    recorded, replayed = _Results(), _Results()
    for key, why in missing.items():
        recorded.fail(key, why)
        replayed.fail(key, why)
    amounts = bench.amounts
    sizes = {
        key: amounts.body if CONTESTANTS[key].own or key == _PLAIN else amounts.peer_body
        for key in takers
    }
    digests = {}
    for size in sorted(set(sizes.values())):
        say(f"bodies: making one of {size // MIB} MiB")
        digests[size] = make_body(_body(bench, size), size)
    try:
        for number, key in turns(takers, amounts.body_rounds):
            # The others take far longer; one turn of theirs says enough.
            if key in recorded.failures or (number and _is_peer(key)):
                continue
            say(f"bodies: round {number + 1} of {amounts.body_rounds}, {key}")
            _turn(bench, number, key, sizes[key], digests[sizes[key]], recorded, replayed)
    finally:
        for size in digests:
            _body(bench, size).unlink()
    return _groups(bench, recorded, replayed)


def _is_peer(key: str) -> bool:
    return key != _PLAIN and not CONTESTANTS[key].own


def _body(bench: Bench, size: int) -> Path:
    return bench.root / f"{size}.bin"


def make_body(path: Path, size: int) -> str:
    """Write a body, and return its SHA-256."""
    part = block()
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, size, len(part)):
            piece = part[: min(len(part), size - at)]
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _turn(
    bench: Bench,
    number: int,
    key: str,
    size: int,
    digest: str,
    recorded: _Results,
    replayed: _Results,
) -> None:
    options = {
        "small": f"{bench.server.url}/item/0",
        "url": f"{bench.server.url}/body/{size}.bin",
        "size": size,
        # No recorder shall bring down the machine.
        "limit": _memory() // 2 if _is_peer(key) else 0,
    }
    bench.settle()
    with bench.folder(large=True) as folder:
        try:
            taken = _asked(
                bench, key, "record_body", 2, folder=str(folder), digest=digest, **options
            )
        except WorkError as exc:
            recorded.fail(key, str(exc))
            replayed.fail(key, str(exc))
            return
        recorded.note(key, number, taken, size)
        if key == _PLAIN:
            replayed.note(key, number, taken, size)
        if not CONTESTANTS[key].keeps or key == "warcio":
            return
        try:
            taken = _asked(bench, key, "replay_body", 0, folder=str(folder), **options)
        except WorkError as exc:
            replayed.fail(key, str(exc))
            return
        replayed.note(key, number, taken, size)


def _asked(bench: Bench, key: str, job: str, hits: int, **options: object) -> dict[str, float]:
    before = bench.server.hits
    with Worker(key) as worker:
        taken = worker.ask(job, patience=_PATIENCE, **options)
    if (came := bench.server.hits - before) != hits:
        raise WorkError(f"the server had {came} requests, not {hits}")
    return taken


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(bench: Bench, recorded: _Results, replayed: _Results) -> list[Group]:
    what = f"a body of {bench.amounts.body // MIB:,} MiB"
    plain = CONTESTANTS[_PLAIN].name
    replayers = tuple(key for key in _KEYS if key != "warcio")

    def named(lines: list[Line]) -> list[Line]:
        if bench.amounts.peer_body == bench.amounts.body:
            return lines
        note = f" ({bench.amounts.peer_body // MIB:,} MiB)"
        own = (plain, *(CONTESTANTS[key].name for key in _KEYS if CONTESTANTS[key].own))
        return [x if x.name in own else replace(x, name=x.name + note) for x in lines]

    groups = []
    for verb, keys, results in (("Record", _KEYS, recorded), ("Replay", replayers, replayed)):
        key = f"body-{verb.lower()}"
        for suffix, title, rounds, target, gated in (
            ("", f"{verb} {what}, time to its end", results.inside, _TIME, True),
            (
                "-end",
                f"{verb} {what}, session's opening and end included",
                results.whole,
                _TIME,
                False,
            ),
        ):
            lines = named(Line.over(rounds, keys, _PLAIN, target=target, gated=gated))
            groups.append(Group(key + suffix, f"{title}, × {plain}", "×", tuple(lines)))
        rates = [
            Line(CONTESTANTS[own].name, tuple(times), target=_RATE, own=True)
            for own in keys
            if CONTESTANTS[own].own
            and (times := [one * MIB * 1000 for one in results.inside.taken.get(own, {}).values()])
        ]
        groups.append(Group(f"{key}-rate", f"{verb} {what}, a MiB of it", "ms", tuple(rates)))
        for suffix, title, rounds, unit, target in (
            ("-memory", "peak memory", results.peak, "MiB", _MEMORY),
            ("-first", "first byte", results.first, "ms", _FIRST),
        ):
            lines = named(Line.above(rounds, keys, _PLAIN, target=target))
            title = f"{verb} {what}, {title} above {plain}"
            groups.append(Group(key + suffix, title, unit, tuple(lines)))
    return groups
