"""Sessions and calls as they are found in the catalog, for replay and for who reads the store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...errors import MALFORMED, IntegrityError
from ...models import Exchange, Request, Session
from . import rows
from .chain import START
from .database import Database
from .lookups import _FOLLOWING, _NUMBER, _OF_ROOT, NEWEST, SERVES, Following, _following

if TYPE_CHECKING:
    from .sealed import SealedCall, SealedSession
    from .selection import Wanted

# No session has a number above.
LAST = 2**63 - 1
# Calls: what a miss may take in a store of any size.
_LOOKED_THROUGH = 16_384

_T = TypeVar("_T")


class ChainEnd(NamedTuple):
    """What a session's row says of where it was made, and of where its chain ends.

    Attributes:
        host: name of the machine.
        head: the hash of its last record.
        records: how many there are.
        seal, leaf: its hash and its place in its store's tree; ``None`` unless it has ended.
    """

    host: str
    head: bytes
    records: int
    seal: bytes | None
    leaf: int | None


class CatalogReader:
    """Reads the rows of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._all = database.all

    def snapshot(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """Return a connection to the database as it is now; see :meth:`Database.snapshot`."""
        return self.database.snapshot()

    def close(self) -> None:
        """Close the connection, if it is this process's own."""
        self.database.close()

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        found = self._sessions("WHERE id = ?", session_id)
        return found[0] if found else None

    def ids(self, text: str, *, calls: bool = False) -> list[str]:
        """Return the ids of sessions, or of calls, that begin or end so; three at most."""
        table = "requests" if calls else "sessions"
        found = self._all(f"SELECT id FROM {table} WHERE id = ?", text)
        if text and not found:
            found = self._all(
                f"SELECT id FROM {table} WHERE id BETWEEN ? AND ? "
                f"UNION SELECT id FROM {table} WHERE substr(id, ?) = ? ORDER BY id LIMIT 3",
                text, f"{text}~", -len(text), text,
            )  # fmt: skip
        return [id for (id,) in found]

    def latest(self, before: int = 0, source: str | None = None) -> str | None:
        """Return the id of the newest session, or of one before it.

        Sessions of child processes, and those that stand for a prune, do not count.

        Args:
            before: how many before the newest.
            source: whose; of all, if not given.
        """
        found = self._all(
            "SELECT id FROM sessions WHERE parent_id IS NULL AND source <> '' "
            "AND source = coalesce(?, source) ORDER BY id DESC LIMIT 1 OFFSET ?",
            source, before,
        )  # fmt: skip
        return str(found[0][0]) if found else None

    def store_id(self) -> str:
        """Return the id of this store; see :func:`.sealed.store_id`."""
        from .sealed import store_id  # no session needs it, nor what follows

        return store_id(self.database)

    def sealed_sessions(self, source: str | None = None) -> list[SealedSession]:
        """Return the ended sessions, or those of a source; see :func:`.sealed.sealed_sessions`."""
        from .sealed import sealed_sessions

        return sealed_sessions(self.database, source)

    def sealed_calls(self, session_id: str) -> Iterator[SealedCall]:
        """Yield an ended session's calls; see :func:`.sealed.sealed_calls`."""
        from .sealed import sealed_calls

        return sealed_calls(self.database, session_id)

    def leaves(self) -> list[tuple[int, str, bytes]]:
        """Return leaf, id and seal of each session that was sealed here, in their order."""
        return self._all(
            "SELECT leaf, id, seal FROM sessions WHERE seal NOT NULL "
            "AND number NOT IN (SELECT session FROM origins) ORDER BY leaf"
        )

    def sealed(self, session_id: str) -> tuple[bytes, int, list[Any]] | None:
        """Return what a sealed session's seal covers: head, count, and the session's columns."""
        found = self._all(
            f"SELECT s.head, s.count, {rows.SESSION_OF}, coalesce(o.number, s.number) "
            "FROM sessions s LEFT JOIN origins o ON o.session = s.number "
            "WHERE s.id = ? AND s.seal NOT NULL",
            session_id,
        )
        if not found:
            return None
        head, count, *columns = found[0]
        if not isinstance(head, bytes | None):
            raise self.database.refusal(sqlite3.DatabaseError(f"the head of session {session_id}"))
        return head or START, count, columns

    def proof_of(self, session_id: str) -> str | None:
        """Return the proof that a session from elsewhere came with; ``None``: it is of here."""
        found = self._all(
            "SELECT CAST(o.proof AS TEXT) FROM origins o JOIN sessions s ON s.number = o.session "
            "WHERE s.id = ?",
            session_id,
        )
        return str(found[0][0]) if found else None

    def chain_end(self, session_id: str) -> ChainEnd | None:
        """Return where a session's chain ends, as its row says; nothing of it is checked."""
        found = self._all(
            "SELECT s.host, s.head, s.count, s.seal, coalesce(o.leaf, s.leaf) FROM sessions s "
            "LEFT JOIN origins o ON o.session = s.number WHERE s.id = ?",
            session_id,
        )
        if not found:
            return None
        host, head, count, sealed, leaf = found[0]
        if not isinstance(head, bytes | None) or not isinstance(sealed, bytes | None):
            raise self.database.refusal(sqlite3.DatabaseError(f"the head of session {session_id}"))
        return ChainEnd(host, head or START, count, sealed, leaf)

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return the sessions, oldest first."""
        if source is None:
            return self._sessions("ORDER BY id")
        return self._sessions("WHERE source = ? ORDER BY id", source)

    def size(self) -> tuple[int, int]:
        """Return how many sessions there are, and how many calls."""
        [(sessions, calls)] = self._all(
            "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM requests)"
        )
        return sessions, calls

    def counts(self, root_id: str) -> dict[str, int]:
        """Return the ids of a session and its children, oldest first, with the count of calls."""
        found = self._all(
            "SELECT id, count FROM sessions WHERE root_id = ? OR id = ? ORDER BY id",
            root_id, root_id,
        )  # fmt: skip
        return dict(found)

    def tree(self, root_id: str) -> list[Session]:
        """Return a session and those of its child processes, as they began."""
        return self._sessions("WHERE root_id = ? ORDER BY id", root_id)

    def endpoints(self, session_id: str) -> list[tuple[str, str, int]]:
        """Return endpoint, source and number of a session's calls."""
        return self._all(
            "SELECT endpoint, source, count(*) FROM requests "
            f"WHERE session = {_NUMBER} GROUP BY endpoint, source",
            session_id,
        )

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call."""
        return self._first("q.id = ?", request_id)

    def has_call(self, request_id: str) -> bool:
        """Say whether a call is there."""
        return bool(self._all("SELECT 1 FROM requests WHERE id = ?", request_id))

    def exchanges(
        self, session_id: str, damaged: Callable[[IntegrityError], None] | None = None
    ) -> Iterator[Exchange]:
        """Return a session's calls in their order.

        Args:
            damaged: is told of each that can't be read, and the others go on; else that raises.
        """
        return self.calls(None, session_id, damaged)

    def calls(
        self,
        wanted: Wanted | None,
        session_id: str | None = None,
        damaged: Callable[[IntegrityError], None] | None = None,
        *,
        newest_first: bool = False,
        step: int = 256,
    ) -> Iterator[Exchange]:
        """Return the calls that are wanted, of all or of a session, in their order.

        Args:
            wanted: but for ``sessions`` and ``failed``; ``None``: all.
            step: how many are read at once, so that memory stays flat.
        """
        beyond, order, edge = ("<", "DESC", "~") if newest_first else (">", "ASC", "")
        while True:
            found = self.database.read(
                partial(_page, wanted, session_id, beyond, order, edge, step)
            )
            for row in found:
                try:
                    exchange = self._with_responses(row)
                except IntegrityError as exc:
                    if damaged is None:
                        raise
                    damaged(exc)
                else:
                    yield exchange
            if not found:
                return
            edge = found[-1][1]

    def variants(self, source: str, base_hash: str) -> list[tuple[str, ...]]:
        """Return the header names that stored answers of this call vary on."""
        found = self._all(
            "SELECT vary FROM variants WHERE base_hash = ? AND source = ?",
            rows.packed(base_hash), source,
        )  # fmt: skip
        return [tuple(str(vary).split(",")) for (vary,) in found]

    def newest(
        self, source: str, params_hash: str, bound: str, but: str = ""
    ) -> tuple[str, str] | None:
        """Return ``(as_of, root_id)`` of the newest session that holds the call.

        Newest by as-of, then by when they came into this store; of those of one as-of, one that
        failed only if all have. A call that was broken off (``KeyboardInterrupt``) has no outcome;
        neither it nor one that was forgotten counts in any of the look-ups.

        Args:
            but: root id of a session that does not count.
        """
        top: tuple[str, str] | None = None
        number, key = LAST, rows.packed(params_hash)
        while True:
            found = self._all(NEWEST, key, source, bound, number, but)
            if not found or (top is not None and found[0][0] != top[0]):
                return top
            as_of, root_id, number, failed = found[0]
            if not failed:
                return str(as_of), str(root_id)
            top = top or (str(as_of), str(root_id))
            # Of the same as-of none is newer, and of an older one none counts.
            bound = as_of

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's first call with this hash whose id is greater than ``after``."""
        return self._first(
            f"{_OF_ROOT} AND q.id > ? AND {SERVES} ORDER BY q.id LIMIT 1",
            rows.packed(params_hash), source, root_id, root_id, after,
        )  # fmt: skip

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""
        return self._first(
            f"{_OF_ROOT} AND {SERVES} ORDER BY q.id DESC LIMIT 1",
            rows.packed(params_hash), source, root_id, root_id,
        )  # fmt: skip

    def version(self) -> object:
        """Return what is equal to an earlier one only if nothing was written in between."""
        return self.database.version()

    def following(self, source: str, after: str, bound: str, limit: int) -> list[Following]:
        """Return the calls of its session that came after the call ``after``."""
        wanted = {"source": source, "after": after, "bound": bound, "limit": limit}
        found = self.database.read(lambda db: db.execute(_FOLLOWING, wanted).fetchall())
        numbers = [row[0] for row in found]
        places = ", ".join("?" * len(numbers))
        responses: dict[int, list[rows.Row]] = {row[0]: [] for row in found}
        for number, *row in self._all(
            f"SELECT p.request, {rows.RESPONSE_OF} FROM {rows.RESPONSES} "
            f"WHERE p.request IN ({places}) ORDER BY p.request, p.sequence",
            *numbers,
        ):
            responses[number].append(tuple(row))
        return [_following(row, responses[row[0]]) for row in found]

    def decoded(self, found: Following) -> Exchange:
        """Return such a call; see :func:`.rows.answer_of`."""
        request, responses = found.request, found.responses

        def answer(row: rows.Row) -> Exchange:
            return rows.answer_of(row, responses, lambda: self._exchange(request, responses))

        return self._decoded(answer, request)

    def similar(self, source: str, endpoint: str, limit: int) -> list[Request]:
        """Return a source's latest calls, those of the endpoint among the latest few first."""
        found = self._requests(
            "q.number > (SELECT max(number) FROM requests) - ? AND q.source = ? AND q.endpoint = ? "
            "ORDER BY q.number DESC LIMIT ?",
            _LOOKED_THROUGH, source, endpoint, limit,
        )  # fmt: skip
        found += self._requests("TRUE ORDER BY q.number DESC LIMIT ?", limit)
        return self._to_requests(found)

    def takes_bodies(self, source: str, endpoint: str) -> bool:
        """Say whether calls of a source to an endpoint have a body, or another method than GET."""
        found = self._all(
            "SELECT 1 FROM requests WHERE endpoint = ? AND source = ? "
            "AND (method <> 'GET' OR body_checksum IS NOT NULL) LIMIT 1",
            endpoint, source,
        )  # fmt: skip
        return bool(found)

    def with_hash(self, params_hash: str, limit: int) -> list[Request]:
        """Return calls of any source and date with this hash."""
        key = rows.packed(params_hash)
        return self._to_requests(self._requests("q.params_hash = ? LIMIT ?", key, limit))

    def with_text(self, source: str, text: str, bound: str, limit: int) -> list[Request]:
        """Return a source's calls whose identity has a text in it, the newest first."""
        found = self._requests(
            "q.source = ? AND q.as_of <= ? AND (instr(q.endpoint, ?) OR instr(q.identity, ?)) "
            "ORDER BY q.number DESC LIMIT ?",
            source, bound, text, text, limit,
        )  # fmt: skip
        return self._to_requests(found)

    def identities(
        self, source: str, bound: str, root_id: str | None
    ) -> Iterator[tuple[str, str, str]]:
        """Yield hash, the id of a call and identity of the calls of a source, one for each hash.

        Args:
            bound: the latest as-of.
            root_id: of the one session whose calls are wanted.
        """
        found = self._all(
            f"SELECT {rows.hex_of('q.params_hash')}, CAST(max(q.id) AS TEXT), q.endpoint, "
            f"q.identity FROM {rows.REQUESTS} "
            "WHERE q.source = ? AND q.as_of <= ? AND (? IS NULL OR r.id = ?) "
            "GROUP BY q.params_hash",
            source, bound, root_id, root_id,
        )  # fmt: skip
        for params_hash, request_id, endpoint, parts in found:
            yield params_hash, request_id, rows.whole(endpoint, parts)[0]

    def first(self, session_id: str, limit: int) -> list[Exchange]:
        """Return the calls of a session that came here first."""
        found = self._requests("s.id = ? ORDER BY q.number LIMIT ?", session_id, limit)
        return [self._with_responses(row) for row in found]

    def forgotten(self) -> dict[str, str]:
        """Return the ids of the calls that were forgotten, and when each was."""
        return dict(self._all("SELECT CAST(request AS TEXT), CAST(at AS TEXT) FROM forgotten"))

    def names(self, checksum: str) -> bool:
        """Say whether any call names a payload."""
        found = self._all(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM responses WHERE checksum = ?) "
            "OR EXISTS (SELECT 1 FROM requests WHERE body_checksum = ?)",
            *[rows.packed(checksum)] * 2,
        )  # fmt: skip
        return bool(found)

    def _sessions(self, which: str, *values: Any) -> list[Session]:
        found = self._all(f"SELECT {rows.READ_SESSION} FROM sessions {which}", *values)
        return [self._decoded(rows.to_session, row) for row in found]

    def _to_requests(self, found: Iterable[rows.Row]) -> list[Request]:
        return [self._decoded(rows.to_request, row) for row in found]

    def _requests(self, where: str, *values: Any) -> list[rows.Row]:
        return self._all(f"SELECT {rows.REQUEST} FROM {rows.REQUESTS} WHERE {where}", *values)

    def _first(self, where: str, *values: Any) -> Exchange | None:
        found = self._requests(where, *values)
        return self._with_responses(found[0]) if found else None

    def _with_responses(self, row: rows.Row) -> Exchange:
        found = self._all(
            f"SELECT {rows.RESPONSE_OF} FROM {rows.RESPONSES} WHERE p.request = ? "
            "ORDER BY p.sequence",
            row[0],
        )
        return self._exchange(row, found)

    def _exchange(self, row: rows.Row, responses: Sequence[rows.Row]) -> Exchange:
        request = self._decoded(rows.to_request, row)
        return Exchange(
            request,
            tuple(
                [
                    self._decoded(lambda r: rows.to_response(r, request), r, request.id)
                    for r in responses
                ]
            ),
        )

    def _decoded(
        self, decode: Callable[[tuple[Any, ...]], _T], row: tuple[Any, ...], name: str = ""
    ) -> _T:
        try:
            return decode(row)
        except MALFORMED as exc:
            raise IntegrityError(
                f"the record {name or row[1]} in {self.database.path} is damaged ({exc}); restore "
                "the database from a copy or record the call again",
                path=self.database.path,
            ) from exc


def _page(
    wanted: Wanted | None,
    session_id: str | None,
    beyond: str,
    order: str,
    edge: str,
    step: int,
    db: sqlite3.Connection,
) -> list[rows.Row]:
    """Return the next rows of calls that are wanted."""
    terms, values = ["TRUE"], list[Any]()
    if wanted is not None:
        from .selection import terms_of  # no session needs it

        terms, values = terms_of(db, wanted)
    if session_id is not None:
        terms.append(f"q.session = {_NUMBER}")
        values.append(session_id)
    return db.execute(
        f"SELECT {rows.REQUEST} FROM {rows.REQUESTS} WHERE {' AND '.join(terms)} "
        f"AND q.id {beyond} ? ORDER BY q.id {order} LIMIT ?",
        (*values, edge, step),
    ).fetchall()
