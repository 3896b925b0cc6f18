"""The sessions' chains as rows: where each ends, and its seal.

See :mod:`mxm_dataio.storage.catalog.chain`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from ...models import Mode, Session, Status
from ...utils import counted
from ..entries import InSession, SessionEntry
from . import rows
from .chain import START, seal

# 2020-01-01, in milliseconds since 1970 and as a Julian day.
EPOCH, _EPOCH_DAY = 1_577_836_800_000, 2_458_849.5
# The next number; beside sessions from elsewhere (:mod:`.origins`) none below the present.
_NUMBER = (
    "CASE WHEN EXISTS (SELECT 1 FROM origins) THEN max("
    "(SELECT coalesce(max(number), 0) + 1 FROM sessions), "
    f"CAST((julianday('now') - {_EPOCH_DAY}) * 86400000 AS INTEGER) * 4096) END"
)
PUT_SESSION = (
    f"INSERT INTO sessions (number, {rows.SESSION}) "
    f"VALUES ({_NUMBER}, {', '.join('?' * 16)}) ON CONFLICT (id) "
    "DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in rows.SESSION.split(", ")[1:])
    + " WHERE seal IS NULL"
)


def put_sealed(db: sqlite3.Connection, session: Session) -> None:
    """Write the row of a session that has ended, sealed, amid a transaction."""
    db.execute(PUT_SESSION, rows.session_row(session))
    put_seal(db, session.id)


def put_seal(db: sqlite3.Connection, session_id: str) -> None:
    """Seal a session, and make it the next leaf of the store's tree."""
    head, count, sealed, *columns = db.execute(
        f"SELECT head, count, seal, {rows.SEALED} FROM sessions WHERE id = ?", (session_id,)
    ).fetchone()
    if sealed is None:
        db.execute(
            "UPDATE sessions SET seal = ?, "
            "leaf = (SELECT coalesce(max(leaf) + 1, 0) FROM sessions) WHERE id = ?",
            (seal(head or START, count, columns), session_id),
        )


def put_waiting(db: sqlite3.Connection, entry: SessionEntry) -> None:
    """Write the row of a session that waited in a journal, amid a transaction.

    One that is at its end is sealed: its calls were before it. If they are not all there, that is
    said in its row. One that was under way stands behind what was written since.
    """
    row = entry.row
    if entry.calls is None:
        db.execute(f"{PUT_SESSION} AND ended_at IS NULL", row)
        return
    found = db.execute("SELECT count FROM sessions WHERE id = ?", (row[0],)).fetchone()
    missing = entry.calls - (found[0] if found else 0)
    if missing > 0:
        names = rows.SESSION.split(", ")
        known = dict(zip(names, row, strict=True))
        lost = f"lost with a journal that held them: {counted(missing, 'recorded call')}"
        said = [*json.loads(known["warnings"]), lost]
        known |= {"status": Status.INCOMPLETE, "warnings": json.dumps(said)}
        row = tuple(known[name] for name in names)
    db.execute(PUT_SESSION, row)
    put_seal(db, row[0])


@dataclass(slots=True, eq=False, repr=False)
class Link:
    """Where a session's chain ends, and the numbers of its row and of its root's."""

    own: int
    root: int
    head: bytes
    count: int
    pruned: bool


# Number, head, count of records, and when it was pruned.
_Row = tuple[int, bytes | None, int, str | None]


class Links:
    """The chains of sessions, during one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # By the session's id: its calls may be of several sources, and are one chain.
        self._known: dict[str, Link] = {}

    def of(self, session: InSession) -> Link:
        """Return where a session's chain ends."""
        link = self._known.get(session.id)
        if link is None:
            root, *_ = self._row(session.root_id, session)
            own, head, count, pruned = self._row(session.id, session)
            link = Link(own, root, head or START, count, pruned is not None)
            self._known[session.id] = link
        return link

    def put(self) -> None:
        """Write where they end now."""
        self._db.executemany(
            "UPDATE sessions SET head = ?, count = ? WHERE number = ?",
            [(link.head, link.count, link.own) for link in self._known.values()],
        )

    def _row(self, session_id: str, session: InSession) -> _Row:
        found = self._found(session_id)
        if found is None:
            # Its process could not write the row as it began: what its calls say has to do.
            row = Session(
                session_id, session.source, Mode.RECORD, session.as_of, Status.INTERRUPTED, "",
                root_id=session.root_id,
            )  # fmt: skip
            self._db.execute(PUT_SESSION, rows.session_row(row))
            found = self._found(session_id)
        assert found is not None
        return found

    def _found(self, session_id: str) -> _Row | None:
        found: _Row | None = self._db.execute(
            "SELECT number, head, count, pruned_at FROM sessions WHERE id = ?", (session_id,)
        ).fetchone()
        return found
