"""The catalog's rows as they are: raw, in order, of one instant; for :mod:`.verify`.

Nothing is decoded, and nothing is taken for granted that the database's own rules would grant:
its file may have been written by another hand.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..storage.catalog import rows
from ..storage.catalog.migrations import SCHEMA, alterations, empty
from ..storage.catalog.refusals import DAMAGED
from .tombstones import OF_STORE, OWN, Tombstone, read

_CALL = (
    f"SELECT q.number, q.hash, {rows.CHAINED_OF} FROM requests q "
    "LEFT JOIN sessions s ON s.number = q.session LEFT JOIN sessions r ON r.number = q.root "
    "LEFT JOIN heads h ON h.number = q.head"
)
_SESSION = (
    "SELECT s.number, s.head, s.count, s.seal, s.leaf, s.pruned_at, o.store, o.leaf, o.proof, "
    f"{rows.SESSION_OF}, coalesce(o.number, s.number) "
    "FROM sessions s LEFT JOIN origins o ON o.session = s.number"
)
_URL = "SELECT id, method, coalesce(url, endpoint) FROM requests"


class Exact(NamedTuple):
    """A call's name: which exchange it is, for people."""

    id: str | None
    method: str | None
    url: str | None


class Origin(NamedTuple):
    """Where a session is from that was taken in: a store, its leaf there, and the proof of it."""

    store: str
    leaf: int
    proof: str


class Held(NamedTuple):
    """A session's row: its number, what chain and prune left in it, and its own columns.

    Those have the number that its seal covers: of one from elsewhere, that of its origin.
    """

    number: int
    head: bytes | None
    records: int
    seal: bytes | None
    leaf: int | None
    pruned_at: str | None
    origin: Origin | None
    columns: rows.Row

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.columns[0])


class Call(NamedTuple):
    """A call as its hash covers it, and that hash."""

    number: int
    hash: bytes
    columns: rows.Row
    attempts: list[rows.Row]

    @property
    def exact(self) -> Exact:
        """Its name."""
        columns = self.columns
        return Exact(columns[0], columns[6], columns[9] if columns[9] is not None else columns[7])


class Payload(NamedTuple):
    """A payload that records name: with which sizes, how many records, and one of them.

    And whether one of them is a session's that was recorded here.
    """

    checksum: str
    smallest: int
    largest: int
    uses: int
    request: int
    own: int


class Ledger:
    """What a snapshot of the catalog holds.

    Args:
        db: see of ``CatalogReader.snapshot``.
        sessions: ids of those to read; all if none is given.
    """

    def __init__(self, db: sqlite3.Connection, sessions: Sequence[str] = ()) -> None:
        self._db = db
        # A text that is none is to be seen as one that was changed, not to end the reading.
        db.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        db.execute("CREATE TEMP TABLE chosen (number INTEGER PRIMARY KEY)")
        if sessions:
            db.executemany(
                "INSERT OR IGNORE INTO chosen SELECT number FROM main.sessions WHERE id = ?",
                [(id,) for id in sessions],
            )
        else:
            db.execute("INSERT OR IGNORE INTO chosen SELECT number FROM main.sessions")

    def problems(self) -> list[str]:
        """Return what SQLite itself finds wrong, and whether the tables are ours."""
        found = [str(text) for (text,) in self._db.execute("PRAGMA main.integrity_check")]
        found = [text for text in found if text != "ok"]
        ((number,),) = self._db.execute("PRAGMA main.user_version")
        if len(self._db.execute("SELECT id FROM store").fetchall()) != 1:
            found.append("the id of the store was removed, or another put in")
        if altered := alterations(self._db.execute(SCHEMA).fetchall(), number):
            return found + altered
        return found + [text for text in map(self._index_problem, _indexes()) if text]

    def _index_problem(self, index: tuple[str, str, str]) -> str | None:
        """Say whether an index leads to other rows than its table has.

        SQLite's own check compares what entries say, and not each byte that leads to their rows.
        """
        name, table, term = index
        rows_of = f"SELECT count(*), total(_rowid_) FROM {table}"
        try:
            through = self._db.execute(f"{rows_of} INDEXED BY {name} WHERE {term}").fetchone()
            plain = self._db.execute(f"{rows_of} NOT INDEXED WHERE {term}").fetchone()
        except DAMAGED as exc:
            return f"{name}: {exc}"
        return None if through == plain else f"{name} does not lead to the rows of its table"

    def count(self) -> int:
        """Return how many calls there are in the sessions to be read."""
        ((count,),) = self._db.execute(
            "SELECT count(*) FROM requests WHERE session IN (SELECT number FROM chosen)"
        )
        return int(count)

    def sessions(self) -> list[Held]:
        """Return the sessions to be read, in the order in which they began."""
        return [
            _held(*row)
            for row in self._db.execute(
                f"{_SESSION} WHERE s.number IN (SELECT number FROM chosen) ORDER BY s.number"
            )
        ]

    def foreign(self) -> Iterator[Held]:
        """Yield the sessions from elsewhere, whichever are to be read."""
        return (_held(*row) for row in self._db.execute(f"{_SESSION} WHERE o.session NOT NULL"))

    def lost_origins(self) -> list[tuple[str, int]]:
        """Return store and leaf of sessions from elsewhere whose rows are missing."""
        return self._db.execute(
            "SELECT store, leaf FROM origins WHERE session NOT IN (SELECT number FROM sessions)"
        ).fetchall()

    def origin_leaves(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield store, leaf and seal of what an archive said of other stores, in their order."""
        found = self._db.execute("SELECT store, leaf, seal FROM origin_leaves ORDER BY store, leaf")
        return ((store, leaf, _bytes(seal)) for store, leaf, seal in found)

    def ids(self) -> set[str]:
        """Return the ids of all sessions."""
        return {str(id) for (id,) in self._db.execute("SELECT id FROM sessions")}

    def tombstones(self) -> dict[str, Tombstone]:
        """Return what the prunes of this store say, whichever sessions are to be read."""
        found = read(self._db.execute(OWN))
        return {one.gone.session: one for one in reversed(found)}

    def foreign_tombstones(self) -> dict[tuple[str, str], Tombstone]:
        """Return what prunes of other stores say of sessions of theirs, by store and session."""
        stores = self._db.execute("SELECT DISTINCT CAST(store AS TEXT) FROM origins").fetchall()
        return {
            (store, one.gone.session): one
            for (store,) in stores
            # (Nothing, or of any bytes, if it was changed.)
            if store is not None
            for one in read(self._db.execute(OF_STORE, (store.encode("utf-8", "surrogateescape"),)))
        }

    def leaves(self) -> list[tuple[int, str, bytes]]:
        """Return leaf, id and seal of every session that has a leaf, in their order."""
        found = self._db.execute(
            "SELECT leaf, id, seal FROM sessions WHERE leaf NOT NULL "
            "AND number NOT IN (SELECT session FROM origins) ORDER BY leaf"
        )
        return [(leaf, id, _bytes(sealed)) for leaf, id, sealed in found]

    def calls(self, session: int) -> Iterator[Call]:
        """Yield a session's calls in the order in which they were chained."""
        found = self._db.execute(f"{_CALL} WHERE q.session = ? ORDER BY q.number", (session,))
        for number, link, *columns in found:
            attempts = self._db.execute(
                f"SELECT {rows.RESPONSE_OF} FROM {rows.RESPONSES} WHERE p.request = ? "
                "ORDER BY p.sequence",
                (number,),
            )
            yield Call(
                number, _bytes(link), tuple(columns), [rows.chained_attempt(a) for a in attempts]
            )

    def exact(self, number: int) -> Exact:
        """Return the name of a call."""
        found = self._db.execute(f"{_URL} WHERE number = ?", (number,)).fetchone()
        return Exact(*found) if found else Exact(None, None, None)

    def has(self, request_id: str) -> bool:
        """Say whether a call is there."""
        found = self._db.execute("SELECT 1 FROM requests WHERE id = ?", (request_id,))
        return found.fetchone() is not None

    def session_of(self, number: int) -> str | None:
        """Return the id of a call's session."""
        found = self._db.execute(
            "SELECT s.id FROM requests q JOIN sessions s ON s.number = q.session "
            "WHERE q.number = ?",
            (number,),
        ).fetchone()
        return found[0] if found else None

    def strays(self) -> list[Exact]:
        """Return calls of no session."""
        found = self._db.execute(f"{_URL} WHERE session NOT IN (SELECT number FROM sessions)")
        return [Exact(*row) for row in found]

    def stray_attempts(self) -> list[tuple[str, str | None, str | None]]:
        """Return place, method and URL of attempts of no call."""
        return self._db.execute(
            "SELECT 'request number ' || request || ', attempt ' || sequence, method, url "
            "FROM responses WHERE request NOT IN (SELECT number FROM requests)"
        ).fetchall()

    def unserved(self) -> list[tuple[int, str, int]]:
        """Return number and ``served_from`` of calls that name one which is not there.

        And whether they are of a session from elsewhere.
        """
        return self._db.execute(
            "SELECT number, served_from, session IN (SELECT session FROM origins) FROM requests "
            "WHERE session IN (SELECT number FROM chosen) AND served_from NOT NULL "
            "AND served_from NOT IN (SELECT id FROM requests)"
        ).fetchall()

    def variants(self) -> tuple[list[rows.Row], list[rows.Row]]:
        """Return variants that calls have and the table has not, and the other way round."""
        of_calls = (
            "SELECT base_hash, source, vary FROM requests "
            "WHERE vary NOT NULL AND base_hash NOT NULL"
        )
        kept = "SELECT base_hash, source, vary FROM variants"
        return (
            self._db.execute(f"{of_calls} EXCEPT {kept}").fetchall(),
            self._db.execute(f"{kept} EXCEPT {of_calls}").fetchall(),
        )

    def gather(self) -> int:
        """Gather the payloads that the records name, and return how many bytes they have."""
        chosen = "SELECT number FROM chosen"
        self._db.execute(
            "CREATE TEMP TABLE named (checksum PRIMARY KEY, smallest, largest, uses, request, own)"
        )
        own = "q.session NOT IN (SELECT session FROM origins)"
        self._db.execute(
            "INSERT INTO named SELECT checksum, min(size), max(size), count(*), min(request), "
            f"max(own) FROM (SELECT {rows.hex_of('p.checksum')} AS checksum, p.size, p.request, "
            f"{own} AS own FROM responses p "
            "JOIN requests q ON q.number = p.request "
            f"WHERE p.checksum NOT NULL AND q.session IN ({chosen}) "
            f"UNION ALL SELECT {rows.hex_of('q.body_checksum')}, q.body_size, q.number, {own} "
            "FROM requests q "
            f"WHERE q.body_checksum NOT NULL AND q.session IN ({chosen})) GROUP BY checksum"
        )
        return int(self._db.execute("SELECT total(largest) FROM named").fetchone()[0])

    def payloads(self) -> Iterator[Payload]:
        """Yield what was gathered, each once."""
        for row in self._db.execute("SELECT * FROM named ORDER BY request, checksum"):
            yield Payload(*row)

    def names(self, checksum: str) -> bool:
        """Say whether one was gathered."""
        found = self._db.execute("SELECT 1 FROM named WHERE checksum = ?", (checksum,))
        return found.fetchone() is not None


def _held(
    number: int,
    head: object,
    records: int,
    seal: bytes | None,
    leaf: int | None,
    pruned_at: str | None,
    store: str | None,
    origin_leaf: int,
    proof: str,
    *columns: Any,
) -> Held:
    origin = None if store is None else Origin(store, origin_leaf, proof)
    of_chain = None if head is None else _bytes(head)
    return Held(number, of_chain, records, seal, leaf, pruned_at, origin, columns)


def _bytes(value: object) -> bytes:
    """Return a hash; of what is none, one that is no record's."""
    return value if isinstance(value, bytes) else b""


@functools.cache
def _indexes() -> list[tuple[str, str, str]]:
    """Return name and table of each index beside a table, and what is true of each row in it."""
    with empty() as db:
        found = db.execute(
            "SELECT m.name, m.tbl_name, c.name, coalesce(m.sql, '') FROM sqlite_master m "
            "JOIN pragma_index_info(m.name) c ON c.seqno = 0 "
            # These tables are their own indexes.
            "WHERE m.type = 'index' "
            "AND m.tbl_name NOT IN ('responses', 'variants', 'forgotten', 'origin_leaves')"
        ).fetchall()
    return [
        (name, table, f"{column} IS NOT NULL AND ({sql.partition(' WHERE ')[2] or 'TRUE'})")
        for name, table, column, sql in found
    ]
