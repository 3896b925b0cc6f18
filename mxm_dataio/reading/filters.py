"""Which calls and sessions are meant: what is asked for on the command line, as values."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import Session
from ..storage.catalog.selection import host_of


def called_host(endpoint: str, source: str) -> str:
    """Return the host that a call is counted under, its source where it has none."""
    return host_of(endpoint) or f"({source})"


def in_trees(sessions: Sequence[Session]) -> list[tuple[int, Session]]:
    """Return sessions in their order, each followed by its children, with how deep they stand."""
    ids = {session.id for session in sessions}
    children: dict[str | None, list[Session]] = {}
    for session in sessions:
        parent = session.parent_id if session.parent_id in ids else None
        children.setdefault(parent, []).append(session)
    found: list[tuple[int, Session]] = []
    waiting = [(0, session) for session in reversed(children.get(None, []))]
    while waiting:
        depth, session = waiting.pop()
        found.append((depth, session))
        waiting += [(depth + 1, child) for child in reversed(children.get(session.id, []))]
    return found
