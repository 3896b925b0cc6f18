"""What went past a session, as lines of a file that outlive the process."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..errors import MALFORMED
from ..models import Unseen

CONNECTION, PROCESS, LIBRARY = "connection", "process", "library"
# What went past because the session was told to leave it out.
LEFT_OUT = "left out"


_ORDER = (CONNECTION, PROCESS, LIBRARY, LEFT_OUT)


def merged(found: Iterable[Unseen]) -> tuple[Unseen, ...]:
    """Return each once, with how often it was seen in all; of a library that says nothing."""
    times: dict[tuple[str, str, str], int] = {}
    for one in found:
        key = (one.kind, one.name, one.caller)
        times[key] = 1 if one.kind == LIBRARY else times.get(key, 0) + one.times
    return tuple(
        Unseen(kind, name, count, caller)
        for (kind, name, caller), count in sorted(times.items(), key=_place)
    )


def _place(item: tuple[tuple[str, str, str], int]) -> tuple[int, str, str]:
    kind, name, caller = item[0]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), name, caller


def line_of(one: Unseen, pid: int) -> bytes:
    """Return a line that says what the process saw; without a kind, that it watches."""
    return json.dumps([pid, *one], separators=(",", ":")).encode() + b"\n"


# Of what such a line says: process, kind, name, count and caller.
_KINDS = [int, str, str, int, str]


def read_lines(content: bytes, *, but: int = 0) -> tuple[Unseen, ...] | None:
    """Return what such lines say, ``None`` if nobody watched; the last may be torn.

    A process writes a line at the first time and again, with the count, as that doubles.

    Args:
        but: a process whose lines do not count.
    """
    watched = False
    times: dict[tuple[int, str, str, str], int] = {}
    for line in content.splitlines():
        try:
            pid, kind, name, count, caller = fields = json.loads(line)
        except MALFORMED:
            continue
        if [type(field) for field in fields] != _KINDS:
            continue
        watched = True
        if kind and pid != but:
            times[pid, kind, name, caller] = max(count, times.get((pid, kind, name, caller), 0))
    if not watched:
        return None
    found = (Unseen(kind, name, n, caller) for (_, kind, name, caller), n in times.items())
    return merged(found)
