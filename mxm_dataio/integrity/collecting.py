"""Removing the payload files that no record names any more.

It is done while other processes write. A file is removed if it was neither written nor met again
within the last hour (:mod:`mxm_dataio.storage.payloads.expiry`) and no record names it, in the
journals or in the catalog, which are read in this order. A call is in its journal from
the moment on which it is recorded, and leaves it only once it is in the catalog. So whichever call
names a file is

- in a journal as the journals are read: its file is kept; or
- in the catalog already, since it left its journal before: its file is kept; or
- recorded later: then its payload was put, or met, a moment before that, and the file is young.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError
from ..process import wall_time
from ..storage import locks
from ..storage.catalog.rows import packed
from ..storage.layout import JOURNAL, RESPONSES, RUNNING
from ..storage.payloads import expiry
from ..storage.root_store import RootStore
from ..utils import cause
from .findings import Progress
from .waiting import Waiting

_PAYLOAD = re.compile(r"([0-9a-f]{64})\.(?:bin|bin\.zst|prefixes)")
_TEMPORARY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What became, or would become, of the files that no record names.

    Attributes:
        files, size: removed, with their bytes.
        young: kept, since they were written or met within the last hour.
        temporary: what processes that are gone left of unfinished files, removed.
    """

    files: int = 0
    size: int = 0
    young: int = 0
    temporary: int = 0


class _File(NamedTuple):
    path: Path
    checksum: str
    modified: float
    size: int


def collect(
    store: RootStore, doomed: Iterable[str], *, remove: bool, progress: Progress | None
) -> Collected:
    """Remove, or count, the files that no record names but those of sessions to be deleted.

    Raises:
        StoreError: the folder can't be written, or a journal not be read.
    """
    folder = store.root / RESPONSES
    if not folder.is_dir():
        return Collected()
    try:
        now = expiry.now(folder) if remove else wall_time()
        before = now - expiry.GRACE
        temporary = _temporary(store, now - _TEMPORARY_SECONDS, remove=remove)
        # Before the catalog: a call leaves its journal for there.
        waiting = Waiting.of(store)
        with store.catalog.snapshot() as db:
            _gather(db, doomed, waiting.checksums)
            files = size = young = 0
            for file in _unnamed(store, db, progress):
                if file.modified > before:
                    young += 1
                    continue
                had = store.payloads.remove(file.path, before) if remove else file.size
                if had is None:
                    young += 1
                else:
                    files, size = files + 1, size + had
    except OSError as exc:
        raise StoreError(f"{folder} can't be written: {cause(exc)}", path=folder) from exc
    return Collected(files, size, young, temporary)


def _gather(db: sqlite3.Connection, doomed: Iterable[str], waiting: Iterable[str]) -> None:
    """Gather the checksums that are named."""
    db.execute("CREATE TEMP TABLE doomed (number INTEGER PRIMARY KEY)")
    db.executemany(
        "INSERT INTO doomed SELECT number FROM main.sessions WHERE id = ?",
        [(id,) for id in doomed],
    )
    db.execute("CREATE TEMP TABLE named (checksum BLOB PRIMARY KEY) WITHOUT ROWID")
    stays = "session NOT IN (SELECT number FROM temp.doomed)"
    db.execute(
        "INSERT OR IGNORE INTO named SELECT p.checksum FROM responses p "
        f"JOIN requests q ON q.number = p.request WHERE p.checksum NOT NULL AND q.{stays}"
    )
    db.execute(
        "INSERT OR IGNORE INTO named SELECT body_checksum FROM requests "
        f"WHERE body_checksum NOT NULL AND {stays}"
    )
    db.executemany("INSERT OR IGNORE INTO named VALUES (?)", [(packed(one),) for one in waiting])


def _unnamed(
    store: RootStore, db: sqlite3.Connection, progress: Progress | None
) -> Iterator[_File]:
    total = sum(1 for _ in store.payloads.files()) if progress else 0
    for done, (checksum, path) in enumerate(store.payloads.files()):
        if progress and not done % 1024:
            progress("files", done, total)
        if not _PAYLOAD.fullmatch(path.name):
            continue
        if db.execute(
            "SELECT 1 FROM temp.named WHERE checksum = ?", (packed(checksum),)
        ).fetchone():
            continue
        if path.suffix == ".prefixes" and store.payloads.path(checksum).exists():
            # It goes with its payload.
            continue
        with contextlib.suppress(FileNotFoundError):
            kept = path.lstat()
            yield _File(path, checksum, kept.st_mtime, kept.st_size)


def _temporary(store: RootStore, before: float, *, remove: bool) -> int:
    """Remove, or count, unfinished files whose process is gone."""
    count = 0
    for name in (RESPONSES, JOURNAL, RUNNING):
        for path in (store.root / name).glob("*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime > before or locks.is_held(path):
                    continue
                if not remove or expiry.removed(path, before) is not None:
                    count += 1
    return count
