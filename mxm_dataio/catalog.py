"""The found: SQLite in WAL mode, with a schema version and forward migrations of its own.

One connection a process, under a lock, and none across a fork. SQLite's locks belong to the
process that took them (sqlite.org/howtocorrupt.html §2.6), but what it knows of them is in memory,
by file: a child would take its parent's lock on the database, held for as long as the parent's
connection is open, for its own, and write to a log that the parent deletes at its end.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from . import rows
from .chain import START, record_hash, seal
from .entries import Entry, InSession
from .errors import MALFORMED, IntegrityError, StoreError
from .files import is_plain, open_plain, read_plain
from .models import Exchange, Mode, Request, Session, Status, Unseen

_T = TypeVar("_T")

# "mxmd"; tells our files from other programs' (sqlite.org/fileformat2.html §1.3.14).
APPLICATION_ID = 0x6D786D64
# What a damaged database raises. A message of SQLite's with bytes of it need not be text.
DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
_SMALLEST = 512
_BUSY_SECONDS = 60.0

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
)
SCHEMA_VERSION = len(MIGRATIONS)
# What a database is made of, without what SQLite adds where someone had it analysed.
SCHEMA = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_stat%' "
    "ESCAPE '\\' ORDER BY type, name"
)
# Bytes of a text or a row: above the largest record that is written to a journal.
_LARGEST = 160 << 20
# The end of a rollback journal that names another file (sqlite.org/fileformat.html §3).
_MAGIC = bytes.fromhex("d9d505f920a163d7")

_PUT_SESSION = (
    f"INSERT INTO sessions ({rows.SESSION}) VALUES ({', '.join('?' * 16)}) ON CONFLICT (id) "
    "DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in rows.SESSION.split(", ")[1:])
    + " WHERE seal IS NULL"
)
_NUMBER = "(SELECT number FROM sessions WHERE id = ?)"
_OF_ROOT = (
    "q.params_hash = ? AND q.source = ? AND q.as_of = (SELECT as_of FROM sessions WHERE id = ?) "
    f"AND q.root = {_NUMBER}"
)
# Calls that came after one, and what tells whether a look-up for one would find just it.
_FOLLOWING = f"""
    SELECT {rows.REQUEST},
        (SELECT max(p.id) FROM requests p WHERE p.params_hash = q.params_hash
            AND p.source = q.source AND p.as_of = q.as_of AND p.root = q.root AND p.id < q.id
            AND p.status <> 'interrupted'),
        q.root = (SELECT n.root FROM requests n WHERE n.params_hash = q.params_hash
            AND n.source = q.source AND n.as_of <= :bound AND n.status <> 'interrupted'
            ORDER BY n.as_of DESC, n.root DESC LIMIT 1),
        q.base_hash IS NOT NULL AND EXISTS (SELECT 1 FROM requests b
            WHERE b.params_hash = q.base_hash AND b.source = q.source),
        (SELECT group_concat(v.vary, ' ') FROM variants v
            WHERE v.base_hash = coalesce(q.base_hash, q.params_hash) AND v.source = q.source)
    FROM {rows.REQUESTS}
    WHERE q.session = (SELECT session FROM requests WHERE id = :after) AND q.id > :after
        AND q.source = :source AND q.as_of = r.as_of AND q.status <> 'interrupted'
    ORDER BY q.id LIMIT :limit
"""
_REMEMBERED_HEADS = 256


class Following(NamedTuple):
    """A call that came after another, not yet decoded.

    Attributes:
        params_hash, base_hash, as_of, root_id: the request's.
        after: id of the call with the same hash before it in its root session, or empty.
        newest: no newer session holds the hash.
        plainly: calls are held whose hash is this one's ``base_hash``.
        vary: what answers of this base hash vary on, one name list a text.
        request, responses: the rows.
    """

    params_hash: str
    base_hash: str
    as_of: str
    root_id: str
    after: str
    newest: bool
    plainly: bool
    vary: tuple[str, ...]
    request: rows.Row
    responses: list[rows.Row]


class ChainEnd(NamedTuple):
    """What a session's row says of where it was made, and of where its chain ends.

    Attributes:
        host: name of the machine.
        head: the hash of its last record.
        records: how many there are.
        seal, leaf: its hash and its place in the store's tree; ``None`` unless it has ended.
    """

    host: str
    head: bytes
    records: int
    seal: bytes | None
    leaf: int | None


class Catalog(Protocol):
    """Where found are kept; SQLite here, other places behind the same methods."""

    def put_session(self, session: Session, *, durable: bool = False, sealed: bool = False) -> None:
        """Write a session's row, or write it anew, unless it is sealed.

        Args:
            durable: on return every row written so far survives a power cut.
            sealed: the session ended and all its calls are here; see :mod:`mxm_dataio.chain`.
        """

    def put(self, entries: Sequence[Entry], *, wait: bool = True, durable: bool = False) -> None:
        """Write calls and their attempts, all or none; one that is there already stays.

        Args:
            wait: for another process that writes, not raise at once.
            durable: on return every row written so far survives a power cut.
        """

    def session(self, session_id: str) -> Session | None:
        """Return a session."""

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return the sessions, oldest first."""

    def tree(self, root_id: str) -> list[Session]:
        """Return a session and those of its child processes, as they began."""

    def endpoints(self, session_id: str) -> list[tuple[str, str, int]]:
        """Return endpoint, source and number of a session's calls."""

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call."""

    def exchanges(self, session_id: str) -> Iterator[Exchange]:
        """Return a session's calls in their order."""

    def variants(self, source: str, base_hash: str) -> list[tuple[str, ...]]:
        """Return the header names that stored answers of this call vary on."""

    def newest(self, source: str, params_hash: str, bound: str) -> tuple[str, str] | None:
        """Return ``(as_of, root_id)`` of the newest session that holds the call."""

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's first call with this hash whose id is greater than ``after``."""

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""

    def version(self) -> object:
        """Return what is equal to an earlier one only if nothing was written in between."""

    def following(self, source: str, after: str, bound: str, limit: int) -> list[Following]:
        """Return the calls of its session that came after the call ``after``."""

    def decoded(self, found: Following) -> Exchange:
        """Return such a call."""

    def similar(self, source: str, endpoint: str, limit: int) -> list[Request]:
        """Return a source's latest calls, those of the endpoint first."""

    def with_hash(self, params_hash: str, limit: int) -> list[Request]:
        """Return calls of any source and date with this hash."""

    def close(self) -> None:
        """Let go of the connection."""


class SQLiteCatalog:
    """Rows in one SQLite file.

    Args:
        path: the file; made when absent, unless ``readonly``.
        readonly: never write, not even to migrate.

    Raises:
        IntegrityError: the file is not ours, damaged, or of a newer version; it is left as it is.
        StoreError: the file can't be opened or made.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.readonly = readonly
        self._lock = threading.RLock()
        self._pid = os.getpid()
        # Heads of requests met so far, and their numbers once they were met twice; as of when.
        self._heads: dict[bytes, int] = {}
        self._heads_of: object = None
        self._closed = False
        # Another for each connection: what one has counted says nothing of the next.
        self._opened = object()
        # None: let go for a fork, and opened again when it is used.
        self._db: sqlite3.Connection | None = self._open()
        _catalogs.add(self)

    # -- opening -----------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        # The file is only ever opened by SQLite: closing any other descriptor of it would drop
        # all of this process's locks (sqlite.org/howtocorrupt.html §2.2).
        try:
            existed = self._is_there()
            if self.readonly and not existed:
                raise StoreError(
                    f"nothing is recorded under {self.path.parent}: {self.path.name} is not "
                    "there; record first, or give the root of the recording",
                    path=self.path,
                )
            if existed and 0 < self.path.stat().st_size < _SMALLEST:
                # SQLite would take so short a file for an empty database, and write over it.
                raise self._refusal(sqlite3.DatabaseError("file is not a database"))
            if existed or self.readonly:
                # A look that can't change a file which may not be ours.
                db = self._look()
                if self.readonly:
                    return db
                db.close()
            return self._open_writable()
        except DAMAGED as exc:
            raise self._refusal(exc) from exc
        except OSError as exc:
            raise StoreError(
                f"the database {self.path} can't be opened: {exc.strerror}; make the folder "
                "writable or give another root",
                path=self.path,
            ) from exc

    def _is_there(self) -> bool:
        """Say whether the file is there; refuse what SQLite would follow or wait for."""
        for suffix in ("-wal", "-shm", "-journal", ""):
            path = Path(f"{self.path}{suffix}")
            plain = is_plain(path)
            if plain is False:
                raise IntegrityError(
                    f"{path} is a link or no plain file; nothing was read or changed: put the "
                    "file itself in its place, or give another root",
                    path=path,
                )
            if plain and suffix == "-journal" and _names_another(path):
                raise IntegrityError(
                    f"{path} is of a transaction over several databases, which are none of ours; "
                    "nothing was read or changed: give another root",
                    path=path,
                )
        return bool(plain)

    def _look(self) -> sqlite3.Connection:
        """Return a connection that changes nothing."""
        try:
            return self._open_readonly()
        except sqlite3.OperationalError as exc:
            if _code(exc) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A process was killed as it made or migrated the file, before the WAL, and who comes next
        # has to undo that. Not unless the file is ours, which shows without it.
        location = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with contextlib.closing(self._connect(location, uri=True)) as db:
                self._version(db, whole=False)
        except DAMAGED:
            # Half-written, it may look like nothing. If it was empty before, nothing is undone.
            if not _was_empty(Path(f"{self.path}-journal")):
                raise
        with contextlib.closing(self._connect(self.path.as_posix())) as db:
            self._version(db)
        return self._open_readonly()

    def _open_writable(self) -> sqlite3.Connection:
        db = self._connect(self.path.as_posix())
        try:
            if self._version(db) == 0:
                # For its owner alone, before anything is in it; the WAL takes after it.
                self.path.chmod(0o600)
            self._migrate(db)
            _patiently(lambda: db.execute("PRAGMA journal_mode=WAL").fetchone())
            # A commit survives the process; the session's end syncs for the power cut.
            db.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self, database: str, *, uri: bool = False) -> sqlite3.Connection:
        db = sqlite3.connect(
            database,
            uri=uri,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        # More than any text of ours; a file from elsewhere may state anything.
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
        return db

    def _open_readonly(self) -> sqlite3.Connection:
        location = self.path.absolute().as_uri()
        try:
            return self._checked(f"{location}?mode=ro")
        except sqlite3.OperationalError as exc:
            # A WAL database in a folder that may not be written needs this; without a WAL
            # file beside it nothing can be missed (sqlite.org/wal.html#read_only_databases).
            hot = _code(exc) == sqlite3.SQLITE_READONLY_ROLLBACK
            if not self.readonly or hot or Path(f"{self.path}-wal").exists():
                raise
            return self._checked(f"{location}?mode=ro&immutable=1")

    def _checked(self, location: str) -> sqlite3.Connection:
        db = self._connect(location, uri=True)
        try:
            version = self._version(db)
            if self.readonly and version < SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} is of schema version {version}, this release reads "
                    f"{SCHEMA_VERSION}: open it once for recording, which migrates it",
                    path=self.path,
                )
        except BaseException:
            db.close()
            raise
        return db

    def _version(self, db: sqlite3.Connection, *, whole: bool = True) -> int:
        """Return the version of the schema; raise if the file is none of ours.

        Args:
            whole: what is there was committed.
        """
        # All at one instant: another process may be making the file.
        with _reading(db):
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            application = int(db.execute("PRAGMA application_id").fetchone()[0])
            tables = db.execute(SCHEMA).fetchall()
        if application != APPLICATION_ID and (tables or application or version):
            raise IntegrityError(
                f"{self.path} is a database of another program; it was left as it is: give "
                "another root",
                path=self.path,
            )
        if version > SCHEMA_VERSION:
            raise IntegrityError(
                f"{self.path} is of schema version {version}, this release knows up to "
                f"{SCHEMA_VERSION}: upgrade mxm-dataio; the file was left as it is",
                path=self.path,
            )
        if whole and version == SCHEMA_VERSION and tables != schema():
            # A view or a trigger would have us do what another wants.
            raise IntegrityError(
                f"the tables, indexes or triggers of {self.path} are not those of this release; "
                "it was left as it is: remove what was added, or restore it from a copy",
                path=self.path,
            )
        return version

    def _migrate(self, db: sqlite3.Connection) -> None:
        if self._version(db) == SCHEMA_VERSION:
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been faster; ask again under the lock.
            for number in range(self._version(db), SCHEMA_VERSION):
                for statement in MIGRATIONS[number].split(";"):
                    if statement.strip():
                        db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            # What was there before was no more than what was migrated.
            self._version(db)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def _refusal(self, exc: Exception) -> StoreError:
        if "not a database" in str(exc):
            return IntegrityError(
                f"{self.path} is damaged or no SQLite database; it was left as it is: move it away "
                "or give another root",
                path=self.path,
            )
        text = "decode to UTF-8" in str(exc)
        if isinstance(exc, sqlite3.Error) and type(exc) is not sqlite3.DatabaseError and not text:
            # Its subclasses are of use and circumstance; the class itself is for corruption.
            return StoreError(f"the database {self.path}: {exc}", path=self.path)
        return IntegrityError(
            f"the database {self.path} is damaged ({exc}); it was left as it is: restore it from "
            "a copy or give another root",
            path=self.path,
        )

    def _adopt(self) -> None:
        """Begin anew in a forked child."""
        if self._pid != os.getpid():
            # The parent's connection is neither used nor closed here; see the module's docstring.
            _ORPHANS.append(self._db)
            self._lock = threading.RLock()
            self._pid = os.getpid()
            self._db = None

    def _current(self) -> sqlite3.Connection:
        """Return the connection, under the lock."""
        if self._closed:
            raise StoreError(f"the database {self.path} was closed", path=self.path)
        if self._db is None:
            self._db = self._open()
            self._opened = object()
        return self._db

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        self._adopt()
        with self._lock:
            db = self._current()
            try:
                yield db
            except DAMAGED as exc:
                raise self._refusal(exc) from exc

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the database as it is now, whatever is written meanwhile.

        Raises:
            IntegrityError: the database is damaged, now or while it is used.
        """
        try:
            with contextlib.closing(self._open_readonly()) as db:
                db.execute("BEGIN")
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                yield db
        except DAMAGED as exc:
            raise self._refusal(exc) from exc

    # -- writing -----------------------------------------------------------------------------

    def put_session(self, session: Session, *, durable: bool = False, sealed: bool = False) -> None:
        """Write a session's row, or write it anew, unless it is sealed."""
        with self._use() as db, _synced(db, durable), _writing(db):
            db.execute(_PUT_SESSION, rows.session_row(session))
            if sealed:
                _seal(db, session.id)

    def put_coverage(self, session_id: str, coverage: tuple[Unseen, ...]) -> None:
        """Write what went past a session that did not end, and can't say so itself."""
        with self._use() as db, _writing(db):
            db.execute(
                "UPDATE sessions SET coverage = ? "
                "WHERE id = ? AND coverage IS NULL AND ended_at IS NULL",
                (rows.coverage_text(coverage), session_id),
            )

    def put(self, entries: Sequence[Entry], *, wait: bool = True, durable: bool = False) -> None:
        """Write calls and their attempts in one transaction, and chain them to those before."""
        try:
            with self._use() as db, _synced(db, durable), _writing(db, wait=wait):
                links = _Links(db)
                self._renumber_heads(db)
                for entry in entries:
                    row, attempts = rows.request_row(entry), rows.response_rows(entry)
                    link = links.of(entry.session)
                    if link.pruned:
                        # It came late, from a journal: its session's calls are to be gone.
                        continue
                    link_hash = record_hash(link.head, row, attempts)
                    placed = rows.placed(row, link.own, link.root, self._head(db, row[13]))
                    done = db.execute(rows.PUT_REQUEST, (*placed, link_hash))
                    if not done.rowcount:
                        continue
                    number = done.lastrowid
                    db.executemany(rows.PUT_RESPONSE, [(number, *one) for one in attempts])
                    if entry.vary:
                        db.execute(
                            "INSERT OR IGNORE INTO variants VALUES (?, ?, ?)",
                            (entry.base_hash, entry.session.source, ",".join(entry.vary)),
                        )
                    link.head, link.count = link_hash, link.count + 1
                links.put()
        except BaseException:
            self._heads.clear()
            raise

    @contextlib.contextmanager
    def pruning(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection amid one transaction, to delete calls; it survives a power cut.

        Raises:
            StoreError: the database refused; nothing of it was done.
        """
        with self._use() as db, _synced(db, True), _writing(db):
            self._heads.clear()
            yield db

    def vacuum(self) -> None:
        """Write the file anew, without what was deleted; others wait.

        Raises:
            StoreError: the database refused.
        """
        with self._use() as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _renumber_heads(self, db: sqlite3.Connection) -> None:
        """Forget the heads' numbers if another may have pruned: they are given anew."""
        now = self._opened, db.execute("PRAGMA data_version").fetchone()[0]
        if now != self._heads_of:
            self._heads = dict.fromkeys(self._heads, 0)
            self._heads_of = now

    def _head(self, db: sqlite3.Connection, head: bytes | None) -> bytes | int | None:
        """Return a request's head, or its number among those that many have.

        Most calls of a program have the same; but one that names each call in a header has
        none twice, and is to cost no more than its own bytes.
        """
        if not head:
            return head
        number = self._heads.get(head)
        if number is None:
            if len(self._heads) >= _REMEMBERED_HEADS:
                self._heads.clear()
            self._heads[head] = 0
            return head
        if not number:
            db.execute("INSERT OR IGNORE INTO heads (content) VALUES (?)", (head,))
            found = db.execute("SELECT number FROM heads WHERE content = ?", (head,)).fetchone()
            number = self._heads[head] = int(found[0])
        return number

    def close(self) -> None:
        """Close the connection, if it is this process's own."""
        if self._pid == os.getpid():
            with self._lock:
                self._closed = True
                self._let_go()

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    # -- reading -----------------------------------------------------------------------------

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        # As _use() does; its generator would take half the time of a small look-up.
        self._adopt()
        with self._lock:
            db = self._current()
            try:
                return db.execute(sql, values).fetchall()
            except DAMAGED as exc:
                raise self._refusal(exc) from exc

    def session(self, session_id: str) -> Session | None:
        """Return a session."""
        found = self._all(f"SELECT {rows.READ_SESSION} FROM sessions WHERE id = ?", session_id)
        return self._decoded(rows.to_session, found[0]) if found else None

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

    def latest(self, before: int = 0) -> str | None:
        """Return the id of the newest session, or of one before it.

        Sessions of child processes, and those that stand for a prune, do not count.

        Args:
            before: how many before the newest.
        """
        found = self._all(
            "SELECT id FROM sessions WHERE parent_id IS NULL AND source <> '' "
            "ORDER BY id DESC LIMIT 1 OFFSET ?",
            before,
        )
        return str(found[0][0]) if found else None

    def leaves(self) -> list[tuple[int, str, bytes]]:
        """Return leaf, id and seal of each sealed session, in the order of the leaves."""
        return self._all("SELECT leaf, id, seal FROM sessions WHERE seal NOT NULL ORDER BY leaf")

    def sealed(self, session_id: str) -> tuple[bytes, int, list[Any]] | None:
        """Return what a sealed session's seal covers: head, count, and the session's columns."""
        found = self._all(
            f"SELECT head, count, {rows.SEALED} FROM sessions WHERE id = ? AND seal NOT NULL",
            session_id,
        )
        if not found:
            return None
        head, count, *columns = found[0]
        if not isinstance(head, bytes | None):
            raise self._refusal(sqlite3.DatabaseError(f"the head of session {session_id}"))
        return head or START, count, columns

    def chain_end(self, session_id: str) -> ChainEnd | None:
        """Return where a session's chain ends, as its row says; nothing of it is checked."""
        found = self._all(
            "SELECT host, head, count, seal, leaf FROM sessions WHERE id = ?", session_id
        )
        if not found:
            return None
        host, head, count, sealed, leaf = found[0]
        if not isinstance(head, bytes | None) or not isinstance(sealed, bytes | None):
            raise self._refusal(sqlite3.DatabaseError(f"the head of session {session_id}"))
        return ChainEnd(host, head or START, count, sealed, leaf)

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return the sessions, oldest first."""
        if source is None:
            found = self._all(f"SELECT {rows.READ_SESSION} FROM sessions ORDER BY id")
        else:
            found = self._all(
                f"SELECT {rows.READ_SESSION} FROM sessions WHERE source = ? ORDER BY id", source
            )
        return [self._decoded(rows.to_session, row) for row in found]

    def counts(self, root_id: str) -> dict[str, int]:
        """Return the ids of a session and its children, oldest first, with the count of calls."""
        found = self._all(
            "SELECT id, count FROM sessions WHERE root_id = ? OR id = ? ORDER BY id",
            root_id, root_id,
        )  # fmt: skip
        return dict(found)

    def tree(self, root_id: str) -> list[Session]:
        """Return a session and those of its child processes, as they began."""
        found = self._all(
            f"SELECT {rows.READ_SESSION} FROM sessions WHERE root_id = ? ORDER BY id", root_id
        )
        return [self._decoded(rows.to_session, row) for row in found]

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

    def exchanges(
        self, session_id: str, damaged: Callable[[IntegrityError], None] | None = None
    ) -> Iterator[Exchange]:
        """Return a session's calls in their order, read in steps so that memory stays flat.

        Args:
            damaged: is told of each that can't be read, and the others go on; else that raises.
        """
        after = ""
        while True:
            found = self._requests(
                f"q.session = {_NUMBER} AND q.id > ? ORDER BY q.id LIMIT 256", session_id, after
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
            after = found[-1][1]

    def variants(self, source: str, base_hash: str) -> list[tuple[str, ...]]:
        """Return the header names that stored answers of this call vary on."""
        found = self._all(
            "SELECT vary FROM variants WHERE base_hash = ? AND source = ?", base_hash, source
        )
        return [tuple(str(vary).split(",")) for (vary,) in found]

    def newest(self, source: str, params_hash: str, bound: str) -> tuple[str, str] | None:
        """Return ``(as_of, root_id)`` of the newest session that holds the call.

        Newest by as-of, then by when they came into this store. A call that was broken off
        (``KeyboardInterrupt``) has no outcome, and counts in none of the look-ups.
        """
        found = self._all(
            "SELECT as_of, (SELECT id FROM sessions WHERE number = root) FROM requests "
            "WHERE params_hash = ? AND source = ? AND as_of <= ? AND status <> 'interrupted' "
            "ORDER BY as_of DESC, root DESC LIMIT 1",
            params_hash,
            source,
            bound,
        )
        return (str(found[0][0]), str(found[0][1])) if found else None

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's first call with this hash whose id is greater than ``after``."""
        return self._first(
            f"{_OF_ROOT} AND q.id > ? AND q.status <> 'interrupted' ORDER BY q.id LIMIT 1",
            params_hash, source, root_id, root_id, after,
        )  # fmt: skip

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""
        return self._first(
            f"{_OF_ROOT} AND q.status <> 'interrupted' ORDER BY q.id DESC LIMIT 1",
            params_hash, source, root_id, root_id,
        )  # fmt: skip

    def version(self) -> object:
        """Return what is equal to an earlier one only if nothing was written in between."""
        with self._use() as db:
            # The one counts other connections' commits, the other what this one changes.
            number = db.execute("PRAGMA data_version").fetchone()[0]
            return self._opened, number, db.total_changes

    def following(self, source: str, after: str, bound: str, limit: int) -> list[Following]:
        """Return the calls of its session that came after the call ``after``."""
        with self._use() as db:
            found = db.execute(
                _FOLLOWING, {"source": source, "after": after, "bound": bound, "limit": limit}
            ).fetchall()
            numbers = [row[0] for row in found]
            places = ", ".join("?" * len(numbers))
            responses: dict[int, list[rows.Row]] = {row[0]: [] for row in found}
            for number, *row in db.execute(
                f"SELECT request, {rows.RESPONSE} FROM responses WHERE request IN ({places}) "
                "ORDER BY request, sequence",
                numbers,
            ):
                responses[number].append(tuple(row))
        return [_following(row, responses[row[0]]) for row in found]

    def decoded(self, found: Following) -> Exchange:
        """Return such a call."""
        return self._exchange(found.request, found.responses)

    def similar(self, source: str, endpoint: str, limit: int) -> list[Request]:
        """Return a source's latest calls, those of the endpoint first."""
        found = self._requests(
            "q.source = ? AND q.endpoint = ? ORDER BY q.number DESC LIMIT ?",
            source, endpoint, limit,
        )  # fmt: skip
        found += self._requests("TRUE ORDER BY q.number DESC LIMIT ?", limit)
        return [self._decoded(rows.to_request, row) for row in found]

    def with_hash(self, params_hash: str, limit: int) -> list[Request]:
        """Return calls of any source and date with this hash."""
        found = self._requests("q.params_hash = ? LIMIT ?", params_hash, limit)
        return [self._decoded(rows.to_request, row) for row in found]

    def _requests(self, where: str, *values: Any) -> list[rows.Row]:
        return self._all(f"SELECT {rows.REQUEST} FROM {rows.REQUESTS} WHERE {where}", *values)

    def _first(self, where: str, *values: Any) -> Exchange | None:
        found = self._requests(where, *values)
        return self._with_responses(found[0]) if found else None

    def _with_responses(self, row: rows.Row) -> Exchange:
        found = self._all(
            f"SELECT {rows.RESPONSE} FROM responses WHERE request = ? ORDER BY sequence", row[0]
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
                f"the record {name or row[1]} in {self.path} is damaged ({exc}); restore the "
                "database from a copy or record the call again",
                path=self.path,
            ) from exc


@contextlib.contextmanager
def empty(migrations: Sequence[str] | None = None) -> Iterator[sqlite3.Connection]:
    """Yield an empty database of this release, in memory."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        for migration in MIGRATIONS if migrations is None else migrations:
            db.executescript(migration)
        yield db


def schema() -> list[rows.Row]:
    """Return what a database of this release is made of, as :data:`SCHEMA` asks for it."""
    return _schema(MIGRATIONS)


@functools.cache
def _schema(migrations: tuple[str, ...]) -> list[rows.Row]:
    with empty(migrations) as db:
        return db.execute(SCHEMA).fetchall()


def _code(exc: sqlite3.Error) -> int | None:
    """Return SQLite's code of an error; what the ``sqlite3`` module raises itself has none."""
    return getattr(exc, "sqlite_errorcode", None)


def _was_empty(journal: Path) -> bool:
    """Say whether what a rollback journal belongs to had no pages before it.

    (sqlite.org/fileformat.html §3; a journal, unlike the database, may be opened by others.)
    """
    with contextlib.suppress(OSError):
        header = read_plain(journal, 28)
        return header.startswith(_MAGIC) and header[16:20] == bytes(4)
    return False


def _names_another(path: Path) -> bool:
    """Say whether a rollback journal names a file for SQLite to delete, as none of ours does."""
    with contextlib.suppress(OSError), os.fdopen(open_plain(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - len(_MAGIC)))
        return file.read() == _MAGIC
    return False


# Connections of a parent process that could not be let go: kept, so that no finalizer closes them
# in the child.
_ORPHANS: list[sqlite3.Connection | None] = []

_catalogs: weakref.WeakSet[SQLiteCatalog] = weakref.WeakSet()
_forking = threading.local()
_FORK_SECONDS = 5.0


def _before_fork() -> None:
    """Let go of every connection, once what is under way on it in other threads is over."""
    found = [catalog for catalog in list(_catalogs) if catalog._pid == os.getpid()]
    _forking.held = [c for c in found if c._lock.acquire(timeout=_FORK_SECONDS)]
    for catalog in _forking.held:
        # Forked by a signal's handler amid a transaction of this very thread, it has to stay.
        if catalog._db is not None and not catalog._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                catalog._let_go()


def _after_fork() -> None:
    for catalog in _forking.held:
        catalog._lock.release()
    _forking.held = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


def _following(row: rows.Row, responses: list[rows.Row]) -> Following:
    *request, after, newest, plainly, vary = row
    return Following(
        params_hash=row[11],
        base_hash=row[12] or row[11],
        as_of=row[5],
        root_id=row[3],
        after=after or "",
        newest=bool(newest),
        plainly=bool(plainly),
        vary=tuple(vary.split(" ")) if vary else (),
        request=tuple(request),
        responses=responses,
    )


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


def _patiently(action: Any) -> None:
    """Repeat what SQLite refuses at once when another process is opening the same file."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def _synced(db: sqlite3.Connection, durable: bool) -> Iterator[None]:
    """Have what is committed within survive a power cut, if asked for.

    Such a commit's sync takes every earlier one with it: they are in the same WAL, or a checkpoint
    has synced them into the database.
    """
    if durable:
        db.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        if durable:
            db.execute("PRAGMA synchronous=NORMAL")


@contextlib.contextmanager
def _writing(db: sqlite3.Connection, *, wait: bool = True) -> Iterator[None]:
    """Write within one transaction.

    Args:
        wait: for another process that writes, not raise at once.
    """
    try:
        if not wait:
            db.execute("PRAGMA busy_timeout=0")
        try:
            db.execute("BEGIN IMMEDIATE")
        finally:
            if not wait:
                db.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000:.0f}")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def put_sealed(db: sqlite3.Connection, session: Session) -> None:
    """Write the row of a session that has ended, sealed, amid a transaction."""
    db.execute(_PUT_SESSION, rows.session_row(session))
    _seal(db, session.id)


def _seal(db: sqlite3.Connection, session_id: str) -> None:
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


@dataclass(slots=True)
class _Link:
    """Where a session's chain ends, and the numbers of its row and of its root's."""

    own: int
    root: int
    head: bytes
    count: int
    pruned: bool


# Number, head, count of records, and when it was pruned.
_SessionEnd = tuple[int, bytes | None, int, str | None]


class _Links:
    """The chains of sessions, during one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # By the session's id: its calls may be of several sources, and are one chain.
        self._known: dict[str, _Link] = {}

    def of(self, session: InSession) -> _Link:
        """Return where a session's chain ends."""
        link = self._known.get(session.id)
        if link is None:
            root, *_ = self._row(session.root_id, session)
            own, head, count, pruned = self._row(session.id, session)
            link = _Link(own, root, head or START, count, pruned is not None)
            self._known[session.id] = link
        return link

    def put(self) -> None:
        """Write where they end now."""
        self._db.executemany(
            "UPDATE sessions SET head = ?, count = ? WHERE number = ?",
            [(link.head, link.count, link.own) for link in self._known.values()],
        )

    def _row(self, session_id: str, session: InSession) -> _SessionEnd:
        found = self._found(session_id)
        if found is None:
            # Its process could not write the row as it began: what its calls say has to do.
            row = Session(
                session_id, session.source, Mode.RECORD, session.as_of, Status.INTERRUPTED, "",
                root_id=session.root_id,
            )  # fmt: skip
            self._db.execute(_PUT_SESSION, rows.session_row(row))
            found = self._found(session_id)
        assert found is not None
        return found

    def _found(self, session_id: str) -> _SessionEnd | None:
        found: _SessionEnd | None = self._db.execute(
            "SELECT number, head, count, pruned_at FROM sessions WHERE id = ?", (session_id,)
        ).fetchone()
        return found
