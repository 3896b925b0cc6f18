"""Flip every byte of a small store's files, and see whether ``verify`` finds it.

One bit of each byte, in turn: of the database after a checkpoint, and of every payload. A flip that
is not found must have no meaning: a dump of all that can be read of the store, by table and by
index, by SQL and by the library, is the same as before. (Pages have bytes that nobody reads: free
space, counters.) Anything else is *missed*, and there must be none.

    python -m tests.trust.mutations [--step N] [--bits] [--page-size N] [--jobs N]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import shutil
import sqlite3
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mxm_dataio.errors import DataIOError
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.layout import DATABASE
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import carry, fill, with_pruned

_PRAGMAS = ("application_id", "user_version", "encoding", "page_size")
_CHUNK = 64
SMALLEST_PAGE = 512


class Flip(NamedTuple):
    """A bit of a file, by its path below the root."""

    path: str
    offset: int
    bit: int


@dataclass
class Outcome:
    """What became of some flips; by file those that were found and those without meaning."""

    detected: Counter[str] = field(default_factory=Counter)
    meaningless: Counter[str] = field(default_factory=Counter)
    missed: list[Flip] = field(default_factory=list)
    raised: list[tuple[Flip, str]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Take in what became of others."""
        self.detected += other.detected
        self.meaningless += other.meaningless
        self.missed += other.missed
        self.raised += other.raised

    @property
    def flips(self) -> int:
        """How many there were."""
        counted = self.detected.total() + self.meaningless.total()
        return counted + len(self.missed) + len(self.raised)

    def __str__(self) -> str:
        raised = f", {len(self.raised)} broke verify" if self.raised else ""
        return (
            f"{self.flips:,} flips: {self.detected.total():,} detected, "
            f"{self.meaningless.total():,} without meaning (same dump), "
            f"{len(self.missed):,} missed{raised}"
        )


def make(root: Path, page_size: int = SMALLEST_PAGE) -> None:
    """Make the store, all of it in its files.

    Args:
        page_size: of the database. Small pages have less free space, and there are more of them:
            every kind of page, and fewer flips without meaning.
    """
    fill(root)
    with_pruned(root)
    with tempfile.TemporaryDirectory() as elsewhere:
        fill(Path(elsewhere))
        carry(Path(elsewhere), root)
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute(f"PRAGMA page_size={page_size}")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode=WAL")
    assert not list(root.glob("*-wal"))


def flips(root: Path, step: int, *, every_bit: bool = False) -> Iterator[Flip]:
    """Yield each ``step``-th flip of a store's files."""
    files = [root / DATABASE, *sorted((root / "responses").iterdir())]
    places = ((path, offset) for path in files for offset in range(path.stat().st_size))
    every = (
        Flip(path.relative_to(root).as_posix(), offset, bit)
        for path, offset in places
        for bit in (range(8) if every_bit else (offset % 8,))
    )
    return itertools.islice(every, 0, None, step)


def run(root: Path, chosen: Sequence[Flip], before: Any) -> Outcome:
    """Flip, verify, and flip back.

    Args:
        before: the :func:`dump` of the store as it was made.
    """
    outcome = Outcome()
    for flip in chosen:
        with flipped(root, flip):
            try:
                found = not verify_root(root).ok
                if found:
                    outcome.detected[_kind(flip)] += 1
                elif dump(root) == before:
                    outcome.meaningless[_kind(flip)] += 1
                else:
                    outcome.missed.append(flip)
            except Exception as exc:
                outcome.raised.append((flip, repr(exc)))
    return outcome


@contextlib.contextmanager
def flipped(root: Path, flip: Flip) -> Iterator[None]:
    """Flip a bit for as long as the context lasts."""
    path = root / flip.path
    with path.open("r+b", buffering=0) as file:
        old = os.pread(file.fileno(), 1, flip.offset)
        os.pwrite(file.fileno(), bytes([old[0] ^ 1 << flip.bit]), flip.offset)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), old, flip.offset)
            for suffix in ("-wal", "-shm"):
                (root / f"{DATABASE}{suffix}").unlink(missing_ok=True)


# Of the tables WITHOUT ROWID.
_KEYS = {
    "responses": "request, sequence", "variants": "base_hash", "forgotten": "request",
    "origin_leaves": "store, leaf",
}  # fmt: skip


def dump(root: Path) -> Any:
    """Return all that can be read of a store, or the error that says it can't be."""
    try:
        return [_by_sql(root), _by_library(root), _payloads(root)]
    except (sqlite3.Error, DataIOError, ValueError, OverflowError) as exc:
        return repr(exc)


def _by_sql(root: Path) -> list[Any]:
    with contextlib.closing(
        sqlite3.connect(f"{(root / DATABASE).as_uri()}?mode=ro", uri=True)
    ) as db:
        db.text_factory = bytes
        found: list[Any] = [db.execute(f"PRAGMA {name}").fetchall() for name in _PRAGMAS]
        schema = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        found.append(schema)
        for kind, name, table, text in schema:
            name, table = name.decode(), table.decode()
            if kind == b"table" and not name.startswith("sqlite_"):
                key = _KEYS.get(name, "_rowid_")
                found.append(
                    db.execute(f"SELECT * FROM {name} NOT INDEXED ORDER BY {key}").fetchall()
                )
            elif kind == b"index":
                columns = [row[2].decode() for row in db.execute(f"PRAGMA index_info({name})")]
                listed = ", ".join([*columns, *([] if table in _KEYS else ["_rowid_"])])
                term = f"{columns[0]} IS NOT NULL AND ({_term(text)})"
                through = db.execute(
                    f"SELECT {listed} FROM {table} INDEXED BY {name} "
                    f"WHERE {term} ORDER BY {', '.join(columns)}"
                )
                found.append(through.fetchall())
        return found


def _term(index: bytes | None) -> str:
    """Return what is true of the rows in an index."""
    return (index or b"").decode().partition(" WHERE ")[2] or "TRUE"


def _by_library(root: Path) -> list[Any]:
    found: list[Any] = []
    with RootStore(root, readonly=True) as store:
        for session in store.sessions():
            found.append((session, store.session(session.id)))
            for one in store.exchanges(session.id):
                request = one.request
                source, key, root_id = request.source, request.params_hash, request.root_id
                found += [
                    one,
                    store.exchange(request.id),
                    store.nth(source, key, root_id, ""),
                    store.last(source, key, root_id),
                    store.catalog.newest(source, key, "~"),
                    store.catalog.variants(source, request.base_hash),
                    store.catalog.similar(source, request.endpoint, 2),
                    [store.open(answer).read() for answer in one.responses],
                ]
        found.append(store.catalog.leaves())
    return found


def _payloads(root: Path) -> list[Any]:
    return [(path.name, path.read_bytes()) for path in sorted((root / "responses").iterdir())]


def _kind(flip: Flip) -> str:
    return "database" if flip.path == DATABASE else "payloads"


# -- many at once ------------------------------------------------------------------------------

_own: list[Any] = []


def _begin(made: Path, folder: Path) -> None:
    """Give a worker its own copy."""
    warnings.simplefilter("ignore")
    root = folder / str(os.getpid())
    shutil.copytree(made, root)
    _own[:] = [root, dump(root)]


def _work(chosen: Sequence[Flip]) -> Outcome:
    return run(*_own[:1], chosen, *_own[1:])


def everything(
    step: int,
    *,
    every_bit: bool = False,
    jobs: int | None = None,
    page_size: int = SMALLEST_PAGE,
) -> Outcome:
    """Make a store and flip its bytes, in as many processes as there are cores."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        make(made, page_size)
        chosen = list(flips(made, step, every_bit=every_bit))
        chunks = [chosen[at : at + _CHUNK] for at in range(0, len(chosen), _CHUNK)]
        outcome = Outcome()
        began = time.monotonic()
        context = multiprocessing.get_context("spawn")
        with context.Pool(jobs or os.cpu_count(), _begin, (made, Path(name))) as pool:
            for number, part in enumerate(pool.imap_unordered(_work, chunks), 1):
                outcome.add(part)
                if sys.stderr.isatty():
                    left = (time.monotonic() - began) / number * (len(chunks) - number)
                    sys.stderr.write(f"\r{outcome}; {left:.0f} s left  ")
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
        return outcome


def main() -> int:
    """Print what became of the flips; return 1 if one was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--step", type=int, default=1, help="flip each N-th byte only")
    parser.add_argument("--bits", action="store_true", help="every bit of each byte, not one")
    parser.add_argument("--jobs", type=int, help="processes (as many as there are cores)")
    parser.add_argument("--page-size", type=int, default=SMALLEST_PAGE, help="of the database")
    asked = parser.parse_args()
    outcome = everything(
        asked.step, every_bit=asked.bits, jobs=asked.jobs, page_size=asked.page_size
    )
    for flip in outcome.missed:
        print(f"missed: {flip.path} byte {flip.offset} bit {flip.bit}")
    for flip, error in outcome.raised:
        print(f"broke verify: {flip.path} byte {flip.offset} bit {flip.bit}: {error}")
    for kind in ("database", "payloads"):
        print(
            f"{kind}: {outcome.detected[kind]:,} detected, "
            f"{outcome.meaningless[kind]:,} without meaning"
        )
    print(outcome)
    return int(bool(outcome.missed or outcome.raised))


if __name__ == "__main__":
    raise SystemExit(main())
