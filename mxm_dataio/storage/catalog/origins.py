"""Sessions of other stores as rows: where they are from, and their place among those here.

Of several sessions of one as-of the one with the greatest number is the newest. Sessions come here
in any order; so one from elsewhere has as its number the instant that its id tells, the next one
that is free if two began at once, and sessions that begin here behind those have none below the
present. An instant is counted in 4096ths of a millisecond, as ids do, by which sessions of one
program that follow each other are told apart.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ...errors import IntegrityError
from . import rows
from .links import EPOCH
from .sealed import SealedSession

_V7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7([0-9a-f]{3})-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PUT_SESSION = (
    f"INSERT INTO sessions (number, {rows.SESSION}, pruned_at, head, count, seal) "
    f"VALUES ({', '.join('?' * 21)})"
)


def number_of(session_id: str) -> int:
    """Return the number for a session from elsewhere.

    Raises:
        ValueError: its id is no UUIDv7 (RFC 9562 §5.7).
    """
    match = _V7.fullmatch(session_id)
    if match is None:
        raise ValueError(f"its id {session_id[:80]!r} is no UUIDv7")
    return (int(match[1] + match[2], 16) - EPOCH << 12) + int(match[3], 16)


def place_of(
    db: sqlite3.Connection, own_store: str, session_id: str
) -> tuple[bytes | None, str, int | None] | None:
    """Return the seal of a session, and store and leaf where it is from."""
    found: tuple[bytes | None, str, int | None] | None = db.execute(
        "SELECT s.seal, coalesce(o.store, ?), coalesce(o.leaf, s.leaf) FROM sessions s "
        "LEFT JOIN origins o ON o.session = s.number WHERE s.id = ?",
        (own_store, session_id),
    ).fetchone()
    return found


def put_session(
    db: sqlite3.Connection, path: Path, own_store: str, session: SealedSession, proof: str
) -> tuple[int, int] | None:
    """Write the row of a session from elsewhere, amid a transaction.

    Args:
        path: of the database, for errors.
        own_store: its id.

    Returns:
        The numbers of the session and of its root; ``None`` if it is there already.

    Raises:
        IntegrityError: another is there under its id or in its place, or its root is missing.
    """

    def refused(why: str) -> IntegrityError:
        return IntegrityError(f"session {session.id} can't be taken in: {why}", path=path)

    there = place_of(db, own_store, session.id)
    place = (session.store, session.leaf)
    if there is not None:
        if there == (session.seal, *place):
            return None
        raise refused("there is one with this id, and other content or another origin")
    of_leaf = db.execute(
        "SELECT s.id FROM origins o JOIN sessions s ON s.number = o.session "
        "WHERE (o.store, o.leaf) = (?, ?) "
        "UNION ALL SELECT id FROM sessions WHERE ?1 = ?3 AND leaf = ?2",
        (*place, own_store),
    ).fetchone()
    if of_leaf is not None:
        raise refused(
            f"session {of_leaf[0]} is leaf {session.leaf} of the store {session.store}, too: that "
            "was copied, and each copy went on"
        )
    if session.store == own_store:
        raise refused(
            f"it is leaf {session.leaf} of this very store, which does not have it: this is an "
            "older copy of it"
        )
    put_leaves(db, path, session.store, {session.leaf: session.seal})
    number = number_of(session.id)
    while db.execute("SELECT 1 FROM sessions WHERE number = ?", (number,)).fetchone():
        number += 1
    root = (number,)
    if session.root_id != session.id:
        root = db.execute("SELECT number FROM sessions WHERE id = ?", (session.root_id,)).fetchone()
        if root is None:
            raise refused(f"it is of session {session.root_id}, which is to come first")
    columns = session.columns[:-1]
    db.execute(
        _PUT_SESSION,
        (number, *columns, session.pruned_at, session.head, session.count, session.seal),
    )
    db.execute(
        "INSERT INTO origins (session, store, number, leaf, proof) VALUES (?, ?, ?, ?, ?)",
        (number, session.store, session.columns[-1], session.leaf, proof),
    )
    return number, root[0]


def put_leaves(
    db: sqlite3.Connection,
    path: Path,
    store: str,
    seals: Mapping[int, bytes],
    *,
    own: bool = False,
) -> None:
    """Write what was told of a store's tree, amid a transaction.

    Args:
        own: it is this store: nothing is written, only compared.

    Raises:
        IntegrityError: what was told before, or what is here, differs.
    """
    bounds = (min(seals, default=0), max(seals, default=0))
    told = "SELECT leaf, seal FROM origin_leaves WHERE store = ?1"
    here = "SELECT leaf, seal FROM sessions WHERE ?1 NOT NULL"
    known = dict(
        db.execute(f"{here if own else told} AND leaf BETWEEN ?2 AND ?3", (store, *bounds))
    )
    for leaf, seal in seals.items():
        if known.get(leaf, seal) != seal:
            raise IntegrityError(
                f"leaf {leaf} of the store {store} has the seal {seal.hex()}, and had "
                f"{known[leaf].hex()}: it was copied and each copy went on, or it was changed",
                path=path,
            )
    if not own:
        db.executemany(
            "INSERT INTO origin_leaves VALUES (?, ?, ?)",
            [(store, leaf, seal) for leaf, seal in seals.items() if leaf not in known],
        )
