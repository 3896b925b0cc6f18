"""The schema of the database and the steps that lead to it, one a version."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import IntegrityError
from ...patterns import regex

# "mxmd"; tells our files from other programs' (sqlite.org/fileformat2.html §1.3.14).
APPLICATION_ID = 0x6D786D64

# Append only: a step once released is never edited. Those that convert hashes ask :func:`_packed`.
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
    # Hashes as 32 bytes each. (What is renamed here is dropped again: SQLite rewrites its text.)
    """
    ALTER TABLE responses RENAME TO old_responses;
    ALTER TABLE requests RENAME TO old_requests;
    ALTER TABLE variants RENAME TO old_variants;

    CREATE TABLE requests (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        session INTEGER NOT NULL REFERENCES sessions (number),
        root INTEGER NOT NULL REFERENCES sessions (number),
        source TEXT NOT NULL, as_of TEXT NOT NULL, kind TEXT NOT NULL, method TEXT NOT NULL,
        endpoint TEXT NOT NULL, identity TEXT NOT NULL, url TEXT,
        params_hash BLOB NOT NULL CHECK (typeof(params_hash) = 'blob'),
        base_hash BLOB, vary TEXT, head, body_checksum BLOB, body_size INTEGER NOT NULL,
        started REAL NOT NULL, duration REAL, status TEXT NOT NULL, failure TEXT,
        served_from TEXT, hash BLOB NOT NULL
    );
    INSERT INTO requests SELECT number, id, session, root, source, as_of, kind, method, endpoint,
        identity, url, packed(CAST(params_hash AS BLOB)), packed(CAST(base_hash AS BLOB)), vary,
        head, packed(CAST(body_checksum AS BLOB)), body_size, started, duration, status, failure,
        served_from, hash
    FROM old_requests ORDER BY number;

    CREATE TABLE responses (
        request INTEGER NOT NULL REFERENCES requests (number), sequence INTEGER NOT NULL,
        method TEXT, url TEXT, status_code INTEGER, head BLOB NOT NULL,
        checksum BLOB, size INTEGER NOT NULL, complete INTEGER NOT NULL,
        closed_by_peer INTEGER NOT NULL, framing TEXT, failure TEXT, started REAL NOT NULL,
        connect REAL, tls REAL, first_byte REAL, total REAL,
        peer TEXT, tls_version TEXT, tls_cipher TEXT, tls_certificate TEXT, original BLOB,
        truncated INTEGER NOT NULL,
        PRIMARY KEY (request, sequence)
    ) WITHOUT ROWID;
    INSERT INTO responses SELECT request, sequence, method, url, status_code, head,
        packed(CAST(checksum AS BLOB)), size, complete, closed_by_peer, framing, failure, started,
        connect, tls, first_byte, total, peer, tls_version, tls_cipher, tls_certificate,
        packed(CAST(original AS BLOB)), truncated
    FROM old_responses ORDER BY request, sequence;

    CREATE TABLE variants (
        base_hash BLOB NOT NULL, source TEXT NOT NULL, vary TEXT NOT NULL,
        PRIMARY KEY (base_hash, source, vary)
    ) WITHOUT ROWID;
    INSERT INTO variants SELECT packed(CAST(base_hash AS BLOB)), source, vary FROM old_variants;

    DROP TABLE old_responses;
    DROP TABLE old_requests;
    DROP TABLE old_variants;
    CREATE INDEX requests_by_hash ON requests (params_hash, source, as_of, root, id);
    CREATE INDEX requests_by_session ON requests (session, id);
    CREATE INDEX requests_by_endpoint ON requests (endpoint)
        WHERE method <> 'GET' OR body_checksum IS NOT NULL;
    """,
)
_HEX = regex(rb"[0-9a-f]{64}")
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
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for migration in MIGRATIONS if migrations is None else migrations:
            _take(db, migration)
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


def _take(db: sqlite3.Connection, migration: str) -> None:
    """Carry out a step."""
    db.create_function("packed", 1, _packed, deterministic=True)
    # (Not as a script, which would commit first.)
    for statement in migration.split(";"):
        db.execute(statement)


def _create(db: sqlite3.Connection) -> None:
    """Make what the steps lead to: they take three times as long."""
    # Tables before their indexes; those that a table brings with it have no text.
    for *_, sql in reversed(_schema(MIGRATIONS)):
        if sql is not None:
            db.execute(sql)
    db.execute("INSERT INTO store VALUES (lower(hex(randomblob(16))))")


def _packed(content: bytes | None) -> bytes | None:
    """Return the bytes of a hash that was kept in hex; what was none, as it was."""
    return bytes.fromhex(content.decode()) if content and _HEX.fullmatch(content) else content


def migrate(db: sqlite3.Connection, path: Path) -> int:
    """Bring the schema up to this release's, in one transaction; return the version before.

    Raises:
        IntegrityError: the file is none of ours; nothing of it was changed.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster; ask again under the lock.
        found = version(db, path)
        if found:
            for migration in MIGRATIONS[found:]:
                _take(db, migration)
        else:
            _create(db)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        # What was there before was no more than what was migrated.
        version(db, path)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return found


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
