"""What is listed of a store: sessions with their totals, and calls by what they are.

Worked out by SQLite, and of one instant. Nothing is decoded that is not shown, and calls come one
after the other, so that a store may hold more of them than memory does.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ..models import Status
from ..storage.catalog.rows import hex_of
from ..storage.catalog.selection import Wanted, terms_of
from .outcomes import IS_BROKEN, IS_ERROR, IS_WRONG, is_wrong

# Each row an attempt, or a call without any; what is the call's counts with the first.
_TOTALS = f"""
    SELECT s.id, sum(coalesce(p.sequence, 1) = 1), count(p.sequence),
        sum(CASE WHEN {IS_BROKEN} THEN coalesce(p.sequence, 1) = 1
            ELSE {IS_ERROR} AND NOT EXISTS (SELECT 1 FROM responses r
                WHERE r.request = p.request AND r.sequence > p.sequence) END),
        total(p.size)
    FROM requests q JOIN sessions s ON s.number = q.session
        LEFT JOIN responses p ON p.request = q.number
"""
_OF_SESSION = "q.session = (SELECT number FROM sessions WHERE id = ?)"
_CALL = (
    "q.number, q.id, s.id, q.source, q.started, q.method, coalesce(q.url, q.endpoint), q.status, "
    "q.duration, q.served_from, "
    "(SELECT CAST(max(f.at) AS TEXT) FROM forgotten f WHERE f.request IN (q.id, q.served_from))"
)
_ATTEMPTS = (
    f"SELECT status_code, size, {hex_of('checksum')}, complete, truncated FROM responses "
    "WHERE request = ? ORDER BY sequence"
)
_ENDING = (
    "SELECT q.status, q.failure, q.served_from, p.status_code, "
    f"{hex_of('p.checksum')}, p.truncated, "
    "coalesce(g.content, p.head) FROM requests q LEFT JOIN responses p ON p.request = q.number "
    "LEFT JOIN heads g ON g.number = p.head WHERE q.id = ? "
    "ORDER BY p.sequence DESC LIMIT 1"
)


class Totals(NamedTuple):
    """Of a session's calls.

    Attributes:
        calls, attempts: how many.
        errors: calls that failed, were broken off, or whose last answer was 4xx or 5xx.
        size: bytes of the answers' payloads, those of retries included.
    """

    calls: int = 0
    attempts: int = 0
    errors: int = 0
    size: int = 0


class Tried(NamedTuple):
    """An attempt, as far as it is listed."""

    status_code: int | None
    size: int
    checksum: str | None
    complete: bool
    truncated: int


class Listed(NamedTuple):
    """A call, as far as it is listed.

    Attributes:
        started: seconds since the epoch.
        duration: seconds until the program had its answer.
        forgotten_at: since when it answers none.
    """

    id: str
    session: str
    source: str
    started: float
    method: str
    url: str
    status: Status
    duration: float | None
    served_from: str | None
    attempts: tuple[Tried, ...]
    forgotten_at: str | None = None

    @property
    def answer(self) -> Tried | None:
        """The last attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def failed(self) -> bool:
        """It failed, was broken off, or was answered with 4xx or 5xx."""
        return is_wrong(self.status, self.answer.status_code if self.answer else None)


class Ending(NamedTuple):
    """How a call ended: its status and failure, and what its last attempt was answered."""

    status: str
    failure: str | None
    served_from: str | None
    status_code: int | None
    checksum: str | None
    truncated: int | None
    head: bytes | None


class Listing:
    """Lists what a snapshot of the catalog holds.

    Args:
        db: see of ``CatalogReader.snapshot``.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def totals(self, sessions: Collection[str] | None = None) -> dict[str, Totals]:
        """Return the totals of sessions by their ids, of all if none is given.

        One without calls is left out.
        """
        found = self._of(f"{_TOTALS} {{}} GROUP BY q.session", sessions)
        return {id: _totals(row) for id, *row in found}

    def sources(self, sessions: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
        """Return the sources of sessions' calls, in alphabetical order, by the sessions' ids."""
        every = (
            "SELECT s.id, q.source FROM requests q JOIN sessions s ON s.number = q.session "
            "{} GROUP BY q.session, q.source ORDER BY q.source"
        )
        found: dict[str, tuple[str, ...]] = {}
        for id, source in self._of(every, sessions):
            found[id] = (*found.get(id, ()), source)
        return found

    def _of(self, select: str, sessions: Collection[str] | None) -> Iterator[Any]:
        """Yield what is selected of sessions, of all if none is given."""
        if sessions is None:
            yield from _rows(self._db.execute(select.format("")))
            return
        for id in sessions:
            yield from _rows(self._db.execute(select.format("WHERE s.id = ?"), (id,)))

    def with_source(self, source: str) -> set[str]:
        """Return the ids of the sessions that have calls of a source."""
        found = self._db.execute(
            "SELECT id FROM sessions WHERE number IN (SELECT session FROM requests "
            "WHERE source = ?)",
            (source,),
        )
        return {id for (id,) in found}

    def calls(self, wanted: Wanted, *, newest_first: bool = False) -> Iterator[Listed]:
        """Yield calls in the order in which they were made."""
        where, values = self._where(wanted)
        order = "DESC" if newest_first else "ASC"
        select = f"SELECT {_CALL} FROM requests q JOIN sessions s ON s.number = q.session"
        if wanted.sessions is None:
            found = self._db.execute(f"{select} WHERE {where} ORDER BY q.id {order}", values)
            yield from map(self._listed, found)
            return
        rows = self._merged(
            f"{select} WHERE {_OF_SESSION} AND {where} ORDER BY q.id {order}",
            wanted.sessions,
            values,
            reverse=newest_first,
        )
        yield from map(self._listed, rows)

    def hashes(self, sessions: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield ``params_hash`` and id of the calls of sessions, in their order."""
        yield from self._merged(
            f"SELECT {hex_of('q.params_hash')}, q.id FROM requests q WHERE {_OF_SESSION} "
            "ORDER BY q.id",
            sessions,
        )

    def _merged(
        self,
        select: str,
        sessions: Collection[str],
        values: Sequence[Any] = (),
        *,
        reverse: bool = False,
    ) -> Iterator[Any]:
        """Yield rows, whose second value is a call's id, of each session by its index."""
        each = [_rows(self._db.execute(select, (session, *values))) for session in sessions]
        # Not sorted all together.
        return heapq.merge(*each, key=lambda row: row[1], reverse=reverse)

    def ending(self, request_id: str) -> Ending | None:
        """Return how a call ended."""
        found = self._db.execute(_ENDING, (request_id,)).fetchone()
        return Ending(*found) if found else None

    def count(self, wanted: Wanted) -> int:
        """Return how many calls there are in the sessions wanted, whatever else is."""
        if wanted.sessions is None:
            return int(self._db.execute("SELECT count(*) FROM requests").fetchone()[0])
        count = f"SELECT count(*) FROM requests q WHERE {_OF_SESSION}"
        found = (self._db.execute(count, (session,)) for session in wanted.sessions)
        return sum(int(number) for rows in found for (number,) in rows)

    def _where(self, wanted: Wanted) -> tuple[str, tuple[Any, ...]]:
        terms, values = terms_of(self._db, wanted)
        if wanted.failed:
            terms.append(IS_WRONG)
        return " AND ".join(terms), tuple(values)

    def _listed(self, row: tuple[Any, ...]) -> Listed:
        number, id, session, source, started, method, url, status, duration, *more = row
        served_from, forgotten_at = more
        attempts = tuple(
            Tried(code, size, checksum, bool(complete), truncated)
            for code, size, checksum, complete, truncated in self._db.execute(_ATTEMPTS, (number,))
        )
        return Listed(
            id, session, source, started, method, url, Status(status), duration, served_from,
            attempts, forgotten_at,
        )  # fmt: skip


def _rows(cursor: sqlite3.Cursor) -> Iterator[Any]:
    """Return the rows of a cursor, which who breaks off does not close.

    (``yield from`` would, with what it is in, and that may be collected after the database.)
    """
    return map(tuple, cursor)


def _totals(row: list[Any]) -> Totals:
    calls, attempts, errors, size = row
    return Totals(calls, attempts, errors or 0, int(size))
