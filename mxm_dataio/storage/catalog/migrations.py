"""The schema of the database and the steps that lead to it, one a version."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import IntegrityError

# "mxmd"; tells our files from other programs' (sqlite.org/fileformat2.html §1.3.14).
APPLICATION_ID = 0x6D786D64

# Append only: a step once released is never edited.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, root_id TEXT NOT NULL,
        parent_id TEXT, source TEXT NOT NULL, kind TEXT NOT NULL, mode TEXT NOT NULL,
        as_of TEXT NOT NULL, status TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT,
        pid INTEGER NOT NULL, host TEXT NOT NULL, warnings TEXT NOT NULL,
        program TEXT NOT NULL, exit_status INTEGER, coverage TEXT, pruned_at TEXT,
        head BLOB, count INTEGER NOT NULL DEFAULT 0, seal BLOB, leaf INTEGER UNIQUE
    );
    CREATE INDEX sessions_by_root ON sessions (root_id);

    CREATE TABLE heads (number INTEGER PRIMARY KEY, content BLOB NOT NULL UNIQUE);

    CREATE TABLE requests (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        session INTEGER NOT NULL REFERENCES sessions (number),
        root INTEGER NOT NULL REFERENCES sessions (number),
        source TEXT NOT NULL, as_of TEXT NOT NULL, kind TEXT NOT NULL, method TEXT NOT NULL,
        endpoint TEXT NOT NULL, identity TEXT NOT NULL, url TEXT, params_hash TEXT NOT NULL,
        base_hash TEXT, vary TEXT, head, body_checksum TEXT, body_size INTEGER NOT NULL,
        started REAL NOT NULL, duration REAL, status TEXT NOT NULL, failure TEXT,
        served_from TEXT, hash BLOB NOT NULL
    );
    CREATE INDEX requests_by_hash ON requests (params_hash, source, as_of, root, id);
    CREATE INDEX requests_by_session ON requests (session, id);
    CREATE INDEX requests_by_endpoint ON requests (endpoint);

    CREATE TABLE responses (
        request INTEGER NOT NULL REFERENCES requests (number), sequence INTEGER NOT NULL,
        method TEXT, url TEXT, status_code INTEGER, head BLOB NOT NULL,
        checksum TEXT, size INTEGER NOT NULL, complete INTEGER NOT NULL,
        closed_by_peer INTEGER NOT NULL, framing TEXT, failure TEXT, started REAL NOT NULL,
        connect REAL, tls REAL, first_byte REAL, total REAL,
        peer TEXT, tls_version TEXT, tls_cipher TEXT, tls_certificate TEXT, original TEXT,
        truncated INTEGER NOT NULL,
        PRIMARY KEY (request, sequence)
    );

    CREATE TABLE variants (
        base_hash TEXT NOT NULL, source TEXT NOT NULL, vary TEXT NOT NULL,
        PRIMARY KEY (base_hash, source, vary)
    ) WITHOUT ROWID;
    """,
    "CREATE TABLE forgotten (request TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE origins (
        session INTEGER PRIMARY KEY REFERENCES sessions (number), store TEXT NOT NULL,
        number INTEGER NOT NULL, leaf INTEGER NOT NULL, proof TEXT NOT NULL, UNIQUE (store, leaf)
    );
    CREATE TABLE origin_leaves (
        store TEXT NOT NULL, leaf INTEGER NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (store, leaf)
    ) WITHOUT ROWID;
    CREATE TABLE store (id TEXT NOT NULL PRIMARY KEY);
    INSERT INTO store VALUES (lower(hex(randomblob(16))));
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)
# From which on a store has an id.
FIRST_WITH_ID = 3
# What a database is made of.
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
# What a program that copies or analyses the file may add: a table, which no statement of ours names
# (Litestream's, SQLite's own), with its indexes. A view or a trigger would have us do what another
# wants. What counts is the text, which SQLite goes by, whatever type stands beside it.
_LEFT_ALONE = {"table": ("CREATE TABLE ",), "index": ("CREATE INDEX ", "CREATE UNIQUE INDEX ")}


@contextlib.contextmanager
def empty(migrations: Sequence[str] | None = None) -> Iterator[sqlite3.Connection]:
    """Yield an empty database of this release, in memory."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        for migration in MIGRATIONS if migrations is None else migrations:
            db.executescript(migration)
        yield db


@functools.cache
def _schema(migrations: tuple[str, ...]) -> list[tuple[Any, ...]]:
    with empty(migrations) as db:
        return db.execute(SCHEMA).fetchall()


def version(db: sqlite3.Connection, path: Path, *, whole: bool = True) -> int:
    """Return the version of the schema; raise if the file is none of ours.

    Args:
        whole: what is there was committed.

    Raises:
        IntegrityError: the file is another program's, a newer release's, or was altered.
    """
    # All at one instant: another process may be making the file.
    with _reading(db):
        number = int(db.execute("PRAGMA user_version").fetchone()[0])
        application = int(db.execute("PRAGMA application_id").fetchone()[0])
        tables = db.execute(SCHEMA).fetchall()
    if application != APPLICATION_ID and (tables or application or number):
        raise IntegrityError(
            f"{path} is a database of another program; it was left as it is: give another root",
            path=path,
        )
    if number > SCHEMA_VERSION:
        raise IntegrityError(
            f"{path} is of schema version {number}, this release knows up to "
            f"{SCHEMA_VERSION}: upgrade mxm-dataio; the file was left as it is",
            path=path,
        )
    if whole and number and (found := alterations(tables, number)):
        raise IntegrityError(f"{path}: {'; '.join(found)}; it was left as it is", path=path)
    return number


def alterations(found: Sequence[tuple[Any, ...]], number: int) -> list[str]:
    """Return, in words, what others have changed of a schema, and what undoes it.

    Args:
        found: what the database is made of, as :data:`SCHEMA` asks for it.
        number: the version that it says.
    """
    own = _schema(MIGRATIONS[:number])
    names = {name.casefold() for _, name, _, _ in own}
    later = {name.casefold() for _, name, _, _ in _schema(MIGRATIONS)} - names
    altered = not set(own) <= set(found)
    words = []
    for kind, name, table, sql in set(found).difference(own):
        folded, of = str(name).casefold(), str(table).casefold()
        begins = (sql is None and kind == "index") or str(sql).startswith(_LEFT_ALONE.get(kind, ()))
        if folded in names or kind not in {"table", "index", "view", "trigger"}:
            altered = True
        elif not begins or folded in later or (kind == "index" and of in names):
            drop = f"DROP {kind.upper()} {_quoted(str(name))}"
            words.append(f"the {kind} {name} is none of ours, and is removed with {drop}")
    if altered:
        words.append(
            "its tables, indexes or triggers are not those of this release: restore it from a copy"
        )
    return sorted(words)


def _quoted(name: str) -> str:
    return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'


def stand_in(db: sqlite3.Connection, number: int) -> bool:
    """Give a connection that reads an older version what that lacks, empty; say if that can be."""
    statements = [one for step in MIGRATIONS[number:] for one in statements_of(step)]
    if not all(one.startswith(("CREATE TABLE ", "INSERT INTO ")) for one in statements):
        return False
    for one in statements:
        if one.startswith("CREATE TABLE "):
            db.execute(one.replace("CREATE TABLE ", "CREATE TEMP TABLE ", 1))
    return True


def statements_of(migration: str) -> list[str]:
    """Return the statements of a step."""
    return [one.strip() for one in migration.split(";") if one.strip()]


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to this release's, in one transaction.

    Raises:
        IntegrityError: the file is none of ours; nothing of it was changed.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster; ask again under the lock.
        for number in range(version(db, path), SCHEMA_VERSION):
            for statement in statements_of(MIGRATIONS[number]):
                db.execute(statement)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        # What was there before was no more than what was migrated.
        version(db, path)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _reading(db: sqlite3.Connection) -> Iterator[None]:
    """Read within one transaction, the one under way if there is one."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
