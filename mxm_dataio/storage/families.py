"""Sessions of child processes, with that which they belong to."""

from __future__ import annotations

from collections.abc import Iterable

from ..models import Session


def family(sessions: Iterable[Session], session_id: str) -> list[Session]:
    """Return a session with those of its child processes, and theirs, oldest first."""
    ordered = sorted(sessions, key=lambda one: one.id)
    found: set[str] = set()
    # A clock that was set back has children begin before their parents; of a root all are.
    more = {session_id}
    while more:
        found |= more
        more = {one.id for one in ordered if found & {one.parent_id, one.root_id}} - found
    return [one for one in ordered if one.id in found]
