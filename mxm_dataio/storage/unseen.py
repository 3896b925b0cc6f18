"""What went past a session, and what it left out, as lines of a file that outlive the process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable

from ..errors import MALFORMED
from ..models import Unseen

CONNECTION, PROCESS, LIBRARY = "connection", "process", "library"
# What the session was told to leave out; and beside it, that nobody watched for the rest.
LEFT_OUT, _UNWATCHED = "left out", "not watched"
_ORDER = (CONNECTION, PROCESS, LIBRARY, LEFT_OUT)
Found = tuple[Unseen, ...]


class Sightings:
    """What a process has seen, counted.

    Args:
        note: keeps a line, even if the process is killed.
    """

    def __init__(self, note: Callable[[bytes], None]) -> None:
        self._note = note
        self._times: dict[tuple[str, str, str], int] = {}

    def add(self, kind: str, name: str, caller: str = "") -> None:
        """Take one more."""
        key = (kind, name, caller)
        self._times.setdefault(key, 0)
        # In a statement that calls nothing no other thread and no signal's handler comes between.
        times = self._times[key] = self._times[key] + 1
        if not times & (times - 1):
            self._note(line_of(Unseen(kind, name, times, caller), os.getpid()))

    def found(self) -> list[Unseen]:
        """Return each once."""
        return [Unseen(*key[:2], n, key[2]) for key, n in dict(self._times).items()]

    def renew(self) -> None:
        """Begin anew, in a forked child: what was before is the parent's."""
        self._times = {}


def together(coverage: Found | None, left_out: Found) -> Found | None:
    """Return what is kept of a session, in one."""
    if coverage is not None:
        return (*coverage, *left_out)
    return (*left_out, Unseen(_UNWATCHED, "")) if left_out else None


def parted(kept: Found | None) -> tuple[Found | None, Found]:
    """Return what went past a session, ``None`` if nobody watched, and what it left out."""
    if kept is None:
        return None, ()
    left_out = tuple(one for one in kept if one.kind == LEFT_OUT)
    if any(one.kind == _UNWATCHED for one in kept):
        return None, left_out
    return tuple(one for one in kept if one.kind != LEFT_OUT), left_out


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


def read_lines(content: bytes, *, but: int = 0) -> Found | None:
    """Return what such lines say, in one, ``None`` if they say nothing; the last may be torn.

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
        watched = watched or kind != LEFT_OUT
        if kind and pid != but:
            times[pid, kind, name, caller] = max(count, times.get((pid, kind, name, caller), 0))
    seen = (Unseen(kind, name, n, caller) for (_, kind, name, caller), n in times.items())
    found = merged(seen)
    return found if watched else together(None, found)
