"""What of a session was captured, and what was seen to go past it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..models import Session, Unseen
from ..storage import unseen as unseen_
from ..storage.catalog.selection import host_of
from ..storage.root_store import RootStore


@dataclass(frozen=True, slots=True)
class Account:
    """Of a session and those of its child processes.

    Attributes:
        sessions: the one that was asked for first, then its descendants as they began.
        hosts: host (or the source, of calls that name none) → calls that were captured.
        unseen: what went past them, put together.
        left_out: where calls went that they were told to leave out, put together.
        unwatched: those of which nothing is known: nobody watched, or their process died before it
            could be told.
    """

    sessions: tuple[Session, ...]
    hosts: dict[str, int]
    unseen: tuple[Unseen, ...]
    left_out: tuple[Unseen, ...]
    unwatched: tuple[Session, ...]

    @property
    def session(self) -> Session:
        """The one that was asked for."""
        return self.sessions[0]

    @property
    def calls(self) -> int:
        """How many calls were captured."""
        return sum(self.hosts.values())

    @property
    def ok(self) -> bool:
        """All of it was watched, and nothing was seen to go past."""
        return not self.unseen and not self.unwatched


def account_of(store: RootStore, session_id: str) -> Account:
    """Return the account of a session and its descendants.

    Raises:
        StoreError: there is no such session.
    """
    sessions = store.family(session_id)
    hosts: Counter[str] = Counter()
    for one in sessions:
        for endpoint, source, calls in store.endpoints(one.id):
            hosts[host_of(endpoint) or source] += calls
    return Account(
        sessions=tuple(sessions),
        hosts=dict(hosts.most_common()),
        unseen=unseen_.merged(unseen for one in sessions for unseen in one.coverage or ()),
        left_out=unseen_.merged(unseen for one in sessions for unseen in one.left_out),
        unwatched=tuple(one for one in sessions if one.coverage is None),
    )
