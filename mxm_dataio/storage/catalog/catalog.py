"""The catalog: sessions, calls and answers as rows of one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...concurrency import mutex
from ...errors import IntegrityError
from ...models import Session, Unseen
from ...utils import utc_now
from ..entries import AnyEntry, SessionEntry
from . import rows
from .chain import record_hash
from .database import Database
from .heads import KnownHeads
from .links import PUT_SESSION, Links, put_seal, put_waiting
from .patience import Patience
from .reading import CatalogReader

if TYPE_CHECKING:
    from .sealed import SealedCall, SealedSession


class SQLiteCatalog(CatalogReader):
    """Rows in one SQLite file.

    Args:
        path, readonly, patient, patience: as of a
            :class:`~mxm_dataio.storage.catalog.database.Database`, which says what is raised.
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        patient: bool = False,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(Database(path, readonly=readonly, patient=patient, patience=patience))
        # Of requests, and of answers.
        self._heads = KnownHeads(256), KnownHeads(64)

    def writable(self) -> SQLiteCatalog:
        """Return another of the same file, to write by, which shares this one's patience."""
        return SQLiteCatalog(self.database.path, patience=self.database.patience)

    def put_session(self, session: Session, *, durable: bool = False, sealed: bool = False) -> None:
        """Write a session's row, or write it anew, unless it is sealed."""
        with mutex.lock, self.database.write(durable=durable) as db:
            db.execute(PUT_SESSION, rows.session_row(session))
            if sealed:
                put_seal(db, session.id)

    def put_coverage(self, session_id: str, coverage: tuple[Unseen, ...]) -> None:
        """Write what went past a session that did not end, and can't say so itself."""
        with mutex.lock, self.database.write() as db:
            db.execute(
                "UPDATE sessions SET coverage = ? "
                "WHERE id = ? AND coverage IS NULL AND ended_at IS NULL",
                (rows.coverage_text(coverage), session_id),
            )

    def seal_left(self, ids: Iterable[str]) -> int:
        """Seal sessions that nobody will end, durably; return how many were not sealed yet."""
        count = 0
        with mutex.lock, self.database.write(durable=True) as db:
            for id in ids:
                done = db.execute(
                    "UPDATE sessions SET ended_at = coalesce(ended_at, ?), "
                    "status = CASE status WHEN 'running' THEN 'interrupted' ELSE status END "
                    "WHERE id = ? AND seal IS NULL",
                    (utc_now(), id),
                )
                if done.rowcount:
                    put_seal(db, id)
                    count += 1
        return count

    def put(
        self,
        entries: Sequence[AnyEntry],
        *,
        wait: bool = True,
        durable: bool = False,
    ) -> None:
        """Write calls and their attempts in one transaction, and chain them to those before."""
        try:
            with mutex.lock, self.database.write(wait=wait, durable=durable) as db:
                links = Links(db)
                self._know_heads(db)
                for entry in entries:
                    if isinstance(entry, SessionEntry):
                        links.put()
                        put_waiting(db, entry)
                        continue
                    row, attempts = rows.request_row(entry), rows.response_rows(entry)
                    link = links.of(entry.session)
                    if link.pruned:
                        # It came late, from a journal: its session's calls are to be gone.
                        continue
                    link_hash = record_hash(link.head, row, attempts)
                    if not self._put_call(db, link_hash, row, attempts, link.own, link.root):
                        continue
                    link.head, link.count = link_hash, link.count + 1
                links.put()
        except BaseException:
            self._forget_heads()
            raise

    def holds(self, session: SealedSession) -> bool:
        """Say whether a session is there, of the same content and origin."""
        from . import origins  # no session needs it

        own_store = self.store_id()
        found = self.database.read(lambda db: origins.place_of(db, own_store, session.id))
        return found == (session.seal, session.store, session.leaf)

    def put_checked(self, session: SealedSession, proof: str, calls: Iterable[SealedCall]) -> bool:
        """Write a session from elsewhere that is checked, or being checked, in one transaction.

        Args:
            proof: that it is the leaf that it says.
            calls: in the order of its chain; what is raised amid them leaves nothing of it.

        Returns:
            Whether it was not there yet.

        Raises:
            IntegrityError: another is there under its id or in its place, or its root is missing.
            StoreError: the database refused.
        """
        from . import origins

        path = self.database.path
        own_store = self.store_id()
        try:
            with mutex.lock, self.database.write() as db:
                numbers = origins.put_session(db, path, own_store, session, proof)
                if numbers is None:
                    return False
                self._know_heads(db)
                for call in calls:
                    if not self._put_call(db, *call, *numbers):
                        raise IntegrityError(
                            f"session {session.id} can't be taken in: another has a call with the "
                            f"id {call.columns[0]}",
                            path=path,
                        )
        except BaseException:
            self._forget_heads()
            raise
        return True

    def put_origin_leaves(self, store: str, seals: Mapping[int, bytes]) -> None:
        """Write what an archive says of another store's tree: its seals, by their leaves.

        Raises:
            IntegrityError: what was told before, or what is here, differs.
            StoreError: the database refused.
        """
        from . import origins

        own = store == self.store_id()
        with mutex.lock, self.database.write() as db:
            origins.put_leaves(db, self.database.path, store, seals, own=own)

    def _put_call(
        self,
        db: sqlite3.Connection,
        link: bytes,
        row: rows.Row,
        attempts: Sequence[rows.Row],
        session: int,
        root: int,
    ) -> bool:
        """Write a call and its attempts; say whether it was not there yet."""
        asked, answered = self._heads
        number = rows.put_request(db, row, session, root, asked.kept(db, row[13]), link)
        if number is None:
            return False
        for one in attempts:
            rows.put_response(db, one, number, answered.kept(db, one[4]))
        if row[12]:
            db.execute(
                "INSERT OR IGNORE INTO variants VALUES (?, ?, ?)",
                (rows.packed(row[11]), row[3], row[12]),
            )
        return True

    def forget(self, request_id: str, *, undo: bool = False) -> bool:
        """Have a call answer none any more, or again; say whether that changes anything.

        Raises:
            StoreError: the database refused.
        """
        with mutex.lock, self.database.write(durable=True) as db:
            if undo:
                done = db.execute("DELETE FROM forgotten WHERE request = ?", (request_id,))
            else:
                done = db.execute(
                    "INSERT OR IGNORE INTO forgotten VALUES (?, ?)", (request_id, utc_now())
                )
            return done.rowcount > 0

    @contextlib.contextmanager
    def pruning(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection amid one transaction, to delete calls; it survives a power cut.

        Raises:
            StoreError: the database refused; nothing of it was done.
        """
        with mutex.lock, self.database.write(durable=True) as db:
            self._forget_heads()
            yield db

    def vacuum(self) -> None:
        """Write the file anew, without what was deleted; others wait.

        Raises:
            StoreError: the database refused.
        """
        with mutex.lock, self.database.use() as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _know_heads(self, db: sqlite3.Connection) -> None:
        now = self.database.opened, db.execute("PRAGMA data_version").fetchone()[0]
        for heads in self._heads:
            heads.as_of(now)

    def _forget_heads(self) -> None:
        for heads in self._heads:
            heads.forget()
