"""The store of a root as a session records to it: what it writes, beside what it reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ..config.choices import Compression, Durability
from ..errors import StoreError
from ..models import Exchange, Session, Unseen
from ..utils import cause
from .backend import Amend
from .catalog import rows
from .catalog.catalog import SQLiteCatalog
from .entries import Entry
from .lifecycle import Lifecycle
from .payloads.spool import Spool
from .root_store import RootStore
from .writer import Writer

# A payload above this goes to its file at once: written twice it would cost more than it saves.
_HELD = 65_536


class RecordingStore(RootStore):
    """A root that takes calls; see :class:`mxm_dataio.storage.backend.Backend`.

    Args:
        root: there, or made for its owner alone.
        delay: seconds for which a recorded call may wait before it is moved to where other
            processes find it, once further calls come; ``None``: until there are many.
        compression, durability, patient: see :class:`~mxm_dataio.storage.root_store.RootStore`.

    Raises:
        ConfigError, DataIOError: as :class:`~mxm_dataio.storage.root_store.RootStore` does.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        delay: float | None = None,
        compression: Compression = "none",
        durability: Durability = "process",
        patient: bool = False,
    ) -> None:
        super().__init__(
            root, readonly=False, compression=compression, durability=durability, patient=patient
        )
        self._delay = delay
        journals, placement = self._journals, self._placement
        self._writer = writer = Writer(journals, placement, self._losses, delay)
        self._lifecycle = Lifecycle(journals, placement, writer, self._adoption, self._running)

    def close(self) -> None:
        """Move what waits to its place, and close the database.

        Raises:
            StoreError: it could not be moved; it waits in the journal for the next opening.
        """
        try:
            self.move()
        finally:
            self._writer.close()
            super().close()

    def abandon(self) -> None:
        """Begin anew, in a forked child: what waits is the parent's to move."""
        self._writer.abandon()
        super().abandon()

    @property
    def catalog(self) -> SQLiteCatalog:
        """The catalog, once it has what this process has recorded.

        It may lack some of that where the root is shared as a cache (``delay``), and another
        process writes to it: the program's call does not wait for that, and fetches once more.
        """
        if self._writer.waits():
            if self._delay is None:
                self.move()
            else:
                with contextlib.suppress(StoreError):
                    self.move(wait=False)
        return self._catalog

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id, from the journal too."""
        try:
            self.move()
        except StoreError:
            waiting = self._writer.find(request_id)
            if waiting is None:
                raise
            return self.placed(rows.exchange(waiting))
        return super().exchange(request_id)

    @property
    def amend(self) -> Amend | None:
        """Changes calls on their way to their place, if set; see :mod:`mxm_dataio.ingest.late`."""
        return self._placement.amend

    @amend.setter
    def amend(self, amend: Amend | None) -> None:
        self._placement.amend = amend

    @property
    def bare(self) -> list[Path]:
        """Payloads from before such a change, which could not be removed."""
        return self._placement.bare

    def take(self, spool: Spool, checksum: str, held: dict[str, bytes]) -> None:
        """Take a call's payload: a large one into its file, a small one for the journal.

        Args:
            checksum: the payload's.
            held: checksum → content of the call's small ones; added to.

        Raises:
            OSError: the disk refused; the spool keeps its bytes.
        """
        if spool.size > _HELD or spool.file is not None:
            self.payloads.put(spool)
        else:
            held[checksum] = spool.content()

    def append(self, entry: Entry) -> None:
        """Record a call; see :meth:`~mxm_dataio.storage.writer.Writer.append`."""
        self._writer.append(entry)

    def move(self, *, wait: bool = True) -> None:
        """Move calls to their place; see :meth:`~mxm_dataio.storage.writer.Writer.move`."""
        self._writer.move(wait=wait)

    def begin(self, session: Session) -> None:
        """Note a session that starts; see :class:`~mxm_dataio.storage.lifecycle.Lifecycle`."""
        self._lifecycle.begin(session)

    def note(self, session: Session) -> None:
        """Write the row of a session under way anew.

        Raises:
            StoreError: the database refused.
        """
        self._catalog.put_session(session)

    def settle(self) -> None:
        """Have all that was recorded in its place, and synced, before a session ends."""
        self._catalog.database.patience.renew()
        self._lifecycle.settle()

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Note a session that ended, and sync."""
        self._lifecycle.end(session, settled=settled)

    def end_left(
        self,
        session_id: str,
        *,
        warnings: Sequence[str] = (),
        replaced: bool = True,
        stopped_by: int | None = None,
    ) -> None:
        """End a session whose process is gone and has not."""
        self._lifecycle.end_left(
            self.session(session_id), warnings, replaced=replaced, stopped_by=stopped_by
        )

    def seal_left(self) -> int:
        """Seal what dead processes left, as ``interrupted``; return how many sessions that were.

        What they recorded is moved to its place first. A session whose process lives is left alone,
        as is one of which calls still wait.

        Raises:
            StoreError: disk or database refused, or what they recorded can't be read.
        """
        try:
            return self._lifecycle.seal_left()
        except OSError as exc:
            raise StoreError(
                f"what was left under {self.root} can't be taken in: {cause(exc)}", path=self.root
            ) from exc

    def join(self, session_id: str) -> None:
        """Have a session that another process has begun, and ends, be under way with this one."""
        self._running.join(session_id)

    def note_unseen(self, session_id: str, line: bytes) -> None:
        """Keep a line of coverage with a session that is under way."""
        self._running.note(session_id, line)

    def noted_unseen(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was noted with a session that is under way, but for one process's notes."""
        return self._running.noted(session_id, but=but)

    def lost(self) -> list[str]:
        """Return, in words, what others have deleted or moved of the files while they were open."""
        return [*self._losses.look(), *self._catalog.database.losses.look()]
