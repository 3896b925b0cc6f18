"""Ended sessions as they go from root to root: what their seals cover, and where those stand.

A root has an id; its own sessions are the leaves of its tree. One that was taken in from elsewhere
keeps its *origin*: the store whose leaf it is, that leaf, and the number that it has there, which
its seal covers.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple

from ...errors import StoreError
from ..files import is_id
from . import rows
from .chain import START
from .database import Database

_ID = re.compile(r"[0-9a-f]{32}")
_PAGE = 256
_SESSIONS = (
    "SELECT s.head, s.count, s.seal, o.store, coalesce(o.leaf, s.leaf), s.pruned_at, "
    f"{rows.SESSION_OF}, coalesce(o.number, s.number) FROM sessions s "
    "LEFT JOIN origins o ON o.session = s.number WHERE s.seal NOT NULL"
)
_CALLS = (
    f"SELECT q.number, q.hash, {rows.CHAINED_OF} FROM {rows.REQUESTS} "
    "WHERE q.number BETWEEN ? AND ? AND +q.session = ? ORDER BY q.number"
)
_ATTEMPTS = (
    f"SELECT p.request, {rows.RESPONSE_OF} FROM requests q "
    "CROSS JOIN responses p ON p.request = q.number LEFT JOIN heads g ON g.number = p.head "
    "WHERE q.number BETWEEN ? AND ? AND +q.session = ? ORDER BY p.request, p.sequence"
)


class SealedSession(NamedTuple):
    """An ended session.

    Attributes:
        columns: its own, as :data:`~mxm_dataio.storage.catalog.rows.SEALED` names them; the number
            is the one that it has where it was recorded.
        head: the hash of its last record.
        count: of its records.
        seal: over all of this.
        store: id of the store where it was recorded.
        leaf: of that store's tree.
        pruned_at: when its calls were deleted here.
    """

    columns: rows.Row
    head: bytes
    count: int  # type: ignore[assignment]  # (of a tuple, a method)
    seal: bytes
    store: str
    leaf: int
    pruned_at: str | None

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.columns[0])

    @property
    def root_id(self) -> str:
        """The id of the outermost session of its processes."""
        return str(self.columns[1])

    @property
    def source(self) -> str:
        """Its source; that of its calls may be another."""
        return str(self.columns[3])

    @property
    def as_of(self) -> str:
        """Its as-of date."""
        return str(self.columns[6])


class SealedCall(NamedTuple):
    """A call of such a session.

    Attributes:
        hash: over it and the call before it.
        columns: as :data:`~mxm_dataio.storage.catalog.rows.CHAINED` names them.
        attempts: the columns of each, as they are hashed.
    """

    hash: bytes
    columns: rows.Row
    attempts: list[rows.Row]


def store_id(database: Database) -> str:
    """Return the id of a store.

    Raises:
        StoreError: an older release wrote it, and it is to be read alone: it has none yet.
        IntegrityError: it was changed.
    """
    found = [id for (id,) in database.all("SELECT id FROM store LIMIT 2")]
    if found == [""] and database.readonly:
        raise StoreError(
            f"{database.path} has no id yet: open it once for recording, which gives it one",
            path=database.path,
        )
    if len(found) != 1 or not isinstance(found[0], str) or not _ID.fullmatch(found[0]):
        raise database.refusal(sqlite3.DatabaseError("the id of the store"))
    return str(found[0])


def sealed_sessions(database: Database, source: str | None) -> list[SealedSession]:
    """Return the ended sessions in the order of their leaves, those from elsewhere behind.

    Args:
        source: whose, with those that stand for prunes, which are of none; of all, if not given.
    """
    own = store_id(database)
    found = database.all(
        f"{_SESSIONS} AND (s.source = coalesce(?, s.source) OR s.source = '') ORDER BY o.store, 5",
        source,
    )
    return [_session(database, own, *row) for row in found]


def _session(
    database: Database,
    own: str,
    head: object,
    count: object,
    seal: object,
    store: str | None,
    leaf: object,
    pruned_at: str | None,
    *columns: Any,
) -> SealedSession:
    if not (
        isinstance(head, bytes | None) and isinstance(seal, bytes)
        and isinstance(count, int) and isinstance(leaf, int)
    ):  # fmt: skip
        raise database.refusal(sqlite3.DatabaseError(f"the seal of session {columns[0]}"))
    return SealedSession(columns, head or START, count, seal, store or own, leaf, pruned_at)


def sealed_calls(database: Database, session_id: str) -> Iterator[SealedCall]:
    """Yield a session's calls in the order in which they were chained, a page at a time.

    Raises:
        StoreError: they were pruned meanwhile.
    """
    found = database.all(
        "SELECT number, session FROM requests "
        "WHERE session = (SELECT number FROM sessions WHERE id = ?) ORDER BY number",
        session_id,
    )
    for start in range(0, len(found), _PAGE):
        page = found[start : start + _PAGE]
        (first, session), (last, _) = page[0], page[-1]
        calls = database.all(_CALLS, first, last, session)
        attempts: dict[int, list[rows.Row]] = {number: [] for number, _ in page}
        for number, *attempt in database.all(_ATTEMPTS, first, last, session):
            attempts[number].append(rows.chained_attempt(tuple(attempt)))
        if [number for number, *_ in calls] != [number for number, _ in page]:
            raise StoreError(f"session {session_id} was pruned as it was read", path=database.path)
        for number, link, *columns in calls:
            yield SealedCall(link, tuple(columns), attempts[number])


# What the columns of a session, a call and an attempt are of that is taken in: as SQLite gives
# them, but for what it would give otherwise than it was given.
_NONE: type = type(None)
_T, _O, _N, _C = (str,), (str, _NONE), (int,), (int, _NONE)
_S, _P, _L = (float,), (float, _NONE), (bool,)
_SESSION = (_T, _T, _O, _T, _T, _T, _T, _T, _T, _O, _N, _T, _T, _T, _C, _O, _N)
_CALL = (
    _T, _T, _T, _T, _T, _T, _T, _T, _T, _O, _T, _O, _O, (bytes, _NONE), _O, _N, _S, _P, _T, _O, _O,
)  # fmt: skip
_ATTEMPT = (
    _N, _O, _O, _C, (bytes,), _O, _N, _L, _L, _O, _O, _S, _P, _P, _P, _P, _O, _O, _O, _O, _O, _N,
)  # fmt: skip


def check_session(session: SealedSession) -> None:
    """Raise as malformed content does if a session's columns are none that we write."""
    _check(session.columns, _SESSION)
    if not (is_id(session.id) and is_id(session.root_id)):
        raise ValueError("its id, or its root's, is none")
    rows.to_session((*session.columns[:-1], session.pruned_at))
    _check(
        (session.head, session.count, session.seal, session.leaf),
        ((bytes,), _N, (bytes,), _N),
    )
    if len(session.head) != len(START) or min(session.count, session.leaf) < 0:
        raise ValueError("the end of its chain, or its leaf, is none")
    if not _ID.fullmatch(session.store):
        raise ValueError(f"{session.store[:80]!r} is the id of no store")


def check_call(call: SealedCall) -> None:
    """Raise as malformed content does if a call's columns are none that we write."""
    _check(call.columns, _CALL)
    row = call.columns
    request = rows.to_request((0, *row[:12], *row[13:]))
    if not is_id(request.id):
        raise ValueError("its id is none")
    for attempt in call.attempts:
        _check(attempt, _ATTEMPT)
        rows.to_response(rows.kept_attempt(attempt), request)


def _check(row: rows.Row, kinds: tuple[tuple[type, ...], ...]) -> None:
    rows.fits(tuple(map(type, row)), kinds)
    for value in row:
        if isinstance(value, str):
            # Half a surrogate pair has no UTF-8.
            value.isascii() or value.encode()
        elif isinstance(value, float):
            if not isfinite(value):
                raise ValueError(f"{value} is no number of seconds")
        elif isinstance(value, int) and value.bit_length() > 63:
            raise ValueError(f"{value} is too large")
