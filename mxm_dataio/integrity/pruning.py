"""Deleting what was recorded: whole sessions, and the payloads that no record names any more.

A session goes with those of its child processes, all calls at once. What stays of it is told in
:mod:`.tombstones`. Left alone are sessions that are under way, those of which calls wait in a
journal, and those whose calls answered calls of a session that stays (``served_from``). Payload
files are removed by :mod:`.collecting`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..models import Session, Status
from ..storage.catalog.chain import START
from ..storage.catalog.links import put_sealed
from ..storage.root_store import RootStore
from ..utils import parse_instant
from .collecting import Collected, collect
from .findings import Progress
from .tombstones import Gone, is_prune, raised
from .waiting import Waiting

_CALLS = "FROM requests WHERE session IN (SELECT number FROM temp.doomed)"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sessions are to be pruned: those to which all of it applies; none without any.

    Attributes:
        before: instant before which the session started, in seconds since the epoch.
        source: the session's.
        sessions: ids, of a session or of one of its children.
        keep_last: how many of each source, the newest, are kept.
    """

    before: float | None = None
    source: str | None = None
    sessions: tuple[str, ...] = ()
    keep_last: int | None = None

    @property
    def any(self) -> bool:
        """Whether it chooses sessions at all."""
        return self != Choice()


@dataclass(frozen=True, slots=True)
class Tree:
    """A session with those of its child processes.

    Attributes:
        members: the sessions, the outermost first; those pruned earlier are left out.
        calls: how many there are.
        size: bytes of the payloads that they name, each as often as it is named.
    """

    members: tuple[Session, ...]
    calls: int = 0
    size: int = 0

    @property
    def root(self) -> Session:
        """The outermost."""
        return self.members[0]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was pruned, or would be.

    Attributes:
        trees: the sessions.
        kept: those that were chosen, and why they stay.
        collected: the files.
    """

    trees: tuple[Tree, ...]
    kept: tuple[tuple[Session, str], ...]
    collected: Collected


def plan(store: RootStore, choice: Choice, *, progress: Progress | None = None) -> Pruned:
    """Return what :func:`prune` would do now.

    Raises:
        StoreError: a journal can't be read.
    """
    waiting = Waiting.of(store)
    with store.catalog.snapshot() as db:
        trees, kept = _chosen(store, db, choice, waiting)
    doomed = [session.id for tree in trees for session in tree.members]
    collected = collect(store, doomed, remove=False, progress=progress)
    return Pruned(trees, kept, collected)


def prune(store: RootStore, choice: Choice, *, progress: Progress | None = None) -> Pruned:
    """Delete the calls of the sessions chosen, and then the files that no record names.

    On return it survives a power cut. Should it be broken off, the calls are all there or all gone,
    and files that are left are removed by the next one.

    Raises:
        StoreError: disk or database refused, or a journal can't be read.
    """
    trees: tuple[Tree, ...] = ()
    kept: tuple[tuple[Session, str], ...] = ()
    if choice.any:
        with store.catalog.pruning() as db:
            # Once nobody else writes to the database: what holds now holds until it is done.
            trees, kept = _chosen(store, db, choice, Waiting.of(store))
            if trees:
                _delete(db, trees)
    return Pruned(trees, kept, collect(store, (), remove=True, progress=progress))


# -- which sessions ----------------------------------------------------------------------------


def _chosen(
    store: RootStore, db: sqlite3.Connection, choice: Choice, waiting: Waiting
) -> tuple[tuple[Tree, ...], tuple[tuple[Session, str], ...]]:
    """Return what may be pruned of what was chosen, and what may not, and why."""
    if not choice.any:
        return (), ()
    chosen = {tree[0].root_id: tree for tree in _matching(store.sessions(), choice)}
    kept: list[tuple[Session, str]] = []
    for root_id, tree in list(chosen.items()):
        if (why := _busy(tree, waiting)) is not None:
            kept.append((tree[0], why))
            del chosen[root_id]
    served = _served(db, waiting)
    # What stays may have been answered by another that was to go, and so on.
    while held := {root: by for root, by in served if root in chosen and by not in chosen}:
        for root_id, by in held.items():
            why = f"calls of session {by or 'one under way'} were answered from it"
            kept.append((chosen.pop(root_id)[0], why))
    return tuple(_counted(db, tree) for tree in chosen.values()), tuple(kept)


def _matching(sessions: Sequence[Session], choice: Choice) -> Iterator[list[Session]]:
    """Yield the trees that are chosen and have something to prune, the oldest first."""
    trees: dict[str, list[Session]] = {}
    for session in sessions:
        if not is_prune(session):
            trees.setdefault(session.root_id, []).append(session)
    newest: dict[str, list[str]] = {}
    for root_id, tree in trees.items():
        if not all(one.pruned_at for one in tree):
            newest.setdefault(tree[0].source, []).append(root_id)
    for root_id, tree in trees.items():
        ids = {one.id for one in tree}
        tree = [one for one in tree if not one.pruned_at]
        if not tree:
            continue
        root = tree[0]
        if choice.before is not None and _started(root) >= choice.before:
            continue
        if choice.source is not None and root.source != choice.source:
            continue
        if choice.sessions and ids.isdisjoint(choice.sessions):
            continue
        if choice.keep_last and root_id in newest[root.source][-choice.keep_last :]:
            continue
        yield tree


def _started(session: Session) -> float:
    # A row that was made of its calls, as its process could not write it, says nothing.
    return parse_instant(session.started_at) if session.started_at else 0.0


def _busy(tree: Sequence[Session], waiting: Waiting) -> str | None:
    for session in tree:
        name = "it" if session is tree[0] else f"its child {session.id}"
        if session.status is Status.RUNNING:
            return f"{name} is under way"
        if session.id in waiting.sessions:
            return f"calls of {'its own' if session is tree[0] else name} wait in a journal"
    return None


def _served(db: sqlite3.Connection, waiting: Waiting) -> list[tuple[str, str]]:
    """Return pairs of a root session, and another one whose calls were answered from it."""
    found: list[tuple[str, str]] = db.execute(
        "SELECT DISTINCT f.id, b.id FROM requests q JOIN requests p ON p.id = q.served_from "
        "JOIN sessions f ON f.number = p.root JOIN sessions b ON b.number = q.root "
        "WHERE q.served_from NOT NULL AND f.number <> b.number"
    ).fetchall()
    for request_id in waiting.served_from:
        found += [
            (root_id, "")
            for (root_id,) in db.execute(
                "SELECT s.id FROM requests q JOIN sessions s ON s.number = q.root WHERE q.id = ?",
                (request_id,),
            )
        ]
    return found


def _counted(db: sqlite3.Connection, members: list[Session]) -> Tree:
    calls = size = 0
    for session in members:
        one, named = db.execute(
            "SELECT count(*), total(q.body_size) + total((SELECT sum(p.size) FROM responses p "
            "WHERE p.request = q.number)) FROM requests q JOIN sessions s ON s.number = q.session "
            "WHERE s.id = ?",
            (session.id,),
        ).fetchone()
        calls, size = calls + one, size + int(named)
    return Tree(tuple(members), calls, size)


def _delete(db: sqlite3.Connection, trees: Iterable[Tree]) -> None:
    """Delete the calls, what was derived of them alone, and say so in the store's tree."""
    db.execute("CREATE TEMP TABLE doomed (number INTEGER PRIMARY KEY)")
    db.executemany(
        "INSERT INTO doomed SELECT number FROM main.sessions WHERE id = ?",
        [(session.id,) for tree in trees for session in tree.members],
    )
    gone = db.execute(
        "SELECT id, count, head FROM sessions WHERE number IN (SELECT number FROM temp.doomed) "
        "ORDER BY number"
    ).fetchall()
    tombstone = raised(Gone(id, count, head or START) for id, count, head in gone)
    db.execute(
        f"CREATE TEMP TABLE varied AS SELECT base_hash, source, vary {_CALLS} AND vary NOT NULL "
        "AND base_hash NOT NULL"
    )
    db.execute(f"DELETE FROM responses WHERE request IN (SELECT number {_CALLS})")
    db.execute(f"DELETE FROM forgotten WHERE request IN (SELECT id {_CALLS})")
    db.execute(f"DELETE {_CALLS}")
    db.execute(
        "DELETE FROM variants WHERE (base_hash, source, vary) IN (SELECT * FROM temp.varied "
        "EXCEPT SELECT base_hash, source, vary FROM requests WHERE vary NOT NULL)"
    )
    db.execute(
        "DELETE FROM heads WHERE number NOT IN "
        "(SELECT head FROM requests WHERE typeof(head) = 'integer' "
        "UNION SELECT head FROM responses WHERE typeof(head) = 'integer')"
    )
    db.execute(
        "UPDATE sessions SET pruned_at = ? WHERE number IN (SELECT number FROM temp.doomed)",
        (tombstone.started_at,),
    )
    put_sealed(db, tombstone)
    db.execute("DROP TABLE temp.doomed")
    db.execute("DROP TABLE temp.varied")


# -- which files -------------------------------------------------------------------------------
