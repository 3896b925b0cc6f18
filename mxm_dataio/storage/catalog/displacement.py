"""A database that others move away or delete while it is open: what it holds is not to be lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ...utils import new_id
from ..losses import Losses
from .refusals import busy
from .sqlite_files import SQLiteFiles


class Displacement:
    """Looks whether what is open of a database is what lies at its path.

    Attributes:
        losses: what was done to it.
    """

    def __init__(self, path: Path) -> None:
        self.losses = Losses()
        self._path = path
        # Where what was open was written to, as another file lies at its path.
        self._kept: Path | None = None

    def is_in_place(self, db: sqlite3.Connection, files: SQLiteFiles) -> bool:
        """Say so; if not, it is to be opened again, and what it held is there.

        Raises:
            BusyError: it was moved away, or another file lies there.
        """
        displaced = files.displaced(self._path)
        if not displaced:
            return True
        # What is in a WAL that nobody else finds.
        with contextlib.suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        if "" in displaced:
            self._write_anew(db, files)
        else:
            names = ", ".join(f"{self._path.name}{suffix}" for suffix in displaced)
            self._lost(f"{names} was deleted or moved while it was open")
        return False

    def _write_anew(self, db: sqlite3.Connection, files: SQLiteFiles) -> None:
        number = files.number()
        if number is not None and os.fstat(number).st_nlink:
            where = ""
            with contextlib.suppress(OSError):
                where = f" to {Path(f'/proc/self/fd/{number}').readlink()}"
            self._lost(f"it was moved away{where} while it was open: put it back")
            raise busy(self._path, "it was moved away")
        there = os.path.lexists(self._path)
        if self._kept is not None:
            raise busy(self._path, "another file lies in its place")
        kept = self._path.with_name(f"{self._path.stem}-{new_id()}{self._path.suffix}")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.closing(sqlite3.connect(kept)) as copy:
                kept.chmod(0o600)
                db.backup(copy)
            if not there:
                os.link(kept, self._path)
                kept.unlink()
        except (OSError, sqlite3.Error) as exc:
            self._lost(f"it was deleted while it was open, and can't be written anew ({exc})")
            raise busy(self._path, "it was deleted") from exc
        if there:
            self._kept = kept
            self._lost(
                f"it was deleted while it was open, and another lies there; what it held is in "
                f"{kept.name} beside it"
            )
            raise busy(self._path, "another file lies in its place")
        self._lost("it was deleted while it was open; what it held was written anew")

    def _lost(self, what: str) -> None:
        self.losses.note(f"the database {self._path}: {what}")
