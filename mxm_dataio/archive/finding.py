"""Calls of an archive by ``params_hash``: where the index says, and in what the index lacks.

What is told of is in the sessions' own objects, each checked: an index only says which sessions
need not be read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import DataIOWarning, IntegrityError
from ..integrity.findings import Progress
from . import names
from .index import Index, Indexed, IndexWriter
from .listing import archived, committed
from .names import ExchangesName, SessionName
from .object_store import ObjectStore
from .session_calls import calls
from .session_object import ArchivedSession


@dataclass(frozen=True, slots=True)
class IndexUpdate:
    """What was done to an index.

    Attributes:
        sessions, calls: that it lacked, and has now.
        there: sessions that were in it before.
        rows, size: calls in it now, and the bytes of its table.
        problems: why sessions were left out.
    """

    sessions: int = 0
    calls: int = 0
    there: int = 0
    rows: int = 0
    size: int = 0
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No session was left out."""
        return not self.problems


def update(objects: ObjectStore, jobs: int, again: bool, progress: Progress | None) -> IndexUpdate:
    """Bring an archive's index up to what the archive has.

    Args:
        jobs: how many objects are read at once.
        again: make it anew, whatever is there.
        progress: is told of sessions.

    Raises:
        IntegrityError: the index is damaged, or of a newer release.
        ConfigError: deltalake is not installed.
        StoreError: the object store could not be reached, or refused.
    """
    index = None if again else Index.of(objects)
    found = committed(objects).names()
    if index is not None and not index.is_of(found):
        index = None
    lacking = found if index is None else index.lacking(found)
    there = sorted(set(found) - set(lacking))
    problems: list[str] = []
    if index is not None and not lacking:
        return IndexUpdate(there=len(there), rows=index.rows, size=index.size)
    writer = IndexWriter(objects, index)
    writer.cover(there)

    def damaged(name: SessionName, exc: IntegrityError) -> None:
        problems.append(f"session {name.session} is not in the index: {exc}")

    pruned = _pruned(objects)
    for done, (session, _) in enumerate(archived(objects, lacking, jobs, damaged), 1):
        gone = names.tombstone(session.session.id) in pruned
        try:
            rows = [] if gone else list(_indexed(objects, session))
        except IntegrityError as exc:
            damaged(session.name, exc)
        else:
            writer.add(session.name, rows)
        if progress is not None:
            progress("sessions", done, len(lacking))
    writer.finish()
    return IndexUpdate(
        len(lacking) - len(problems), writer.added, len(there), writer.rows, writer.size,
        tuple(problems),
    )  # fmt: skip


def find(objects: ObjectStore, params_hash: str, source: str | None, jobs: int) -> list[Indexed]:
    """Return the calls of an archive that have a hash, the newest last.

    Args:
        source: of the calls; of all, if not given.

    Raises:
        IntegrityError: a session that may have such calls is damaged.
        StoreError: the object store could not be reached, or refused.
    """
    there = committed(objects)
    every = there.names() + [name for _, name in there.forked]
    try:
        every = _worth_reading(Index.of(objects), params_hash, every)
    except IntegrityError as exc:
        warnings.warn(f"every session is read: {exc}", DataIOWarning, stacklevel=3)
    pruned = _pruned(objects)
    found = []
    for session, _ in archived(objects, every, jobs):
        if names.tombstone(session.session.id) not in pruned and _has(session, source):
            found += [
                one
                for one in _indexed(objects, session)
                if one.params_hash == params_hash and source in (None, one.source)
            ]
    return sorted(found, key=lambda one: (one.as_of, one.id))


def _worth_reading(
    index: Index | None, params_hash: str, every: list[SessionName]
) -> list[SessionName]:
    if index is None:
        return every
    lacking = set(index.lacking(every))
    named = {ExchangesName.parse(one.object) for one in index.look_up(params_hash)}
    ids = {name.session for name in named if name is not None}
    return [name for name in every if name in lacking or name.session in ids]


def _pruned(objects: ObjectStore) -> set[str]:
    return {one.name for one in objects.list(names.TOMBSTONES)}


def _has(session: ArchivedSession, source: str | None) -> bool:
    parsed = [ExchangesName.parse(part.name) for part in session.objects]
    return source is None or any(name is not None and name.source == source for name in parsed)


def _indexed(objects: ObjectStore, session: ArchivedSession) -> Iterator[Indexed]:
    if session.session.pruned_at is not None and not session.objects:
        return
    for one in calls(objects, session):
        columns = one.call.columns
        yield Indexed(columns[10], columns[3], columns[4], columns[2], columns[0], one.object)
