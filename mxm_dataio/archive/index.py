"""An index of an archive's calls by ``params_hash``: derived, and made again whenever it is gone.

Beside the table lies what it is good for: the checksum of each of its files, and which sessions are
in them. A look-up compares what it reads with that, so a damaged index is found to be none, and an
old one knows what it lacks.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..errors import IntegrityError, StoreError
from ..storage.catalog.rows import Row
from . import names, parquet
from .index_table import COLUMNS, IndexFile, IndexTable
from .names import SessionName
from .object_store import ObjectStore

VERSION = 1
NAME = f"{names.INDEX}/_mxm-dataio.json"
_MARK = "mxm-dataio index"
_LARGEST = 256 << 20
# Rows that are held until they are a change of the table.
BATCH = 200_000
# All rows are put in order anew where a quarter of them, or more, came since; each file that did is
# read by every look-up, so there are few.
_QUARTER = 4
_FILES = 16


class Indexed(NamedTuple):
    """A call as the index has it: its columns.

    Attributes:
        root: id of the call's session's first one; ``None``: that is this.
        id: of the call.
        object: name of the object that has it, below the archive's URL.
    """

    params_hash: str
    source: str
    as_of: str
    root: str | None
    id: str
    object: str


class Index:
    """What is known of an index.

    Args:
        objects: the archive's.
        said: what lies beside its table.

    Raises:
        IntegrityError: that is damaged, or of a newer release.
    """

    def __init__(self, objects: ObjectStore, said: dict[str, Any]) -> None:
        self._objects = objects
        try:
            sealed = said.pop("sealed")
            version = said[_MARK]
            if sealed != _sealed(said):
                raise ValueError("it is not as it was written")
            if version != VERSION:
                raise IntegrityError(
                    f"{objects.url}/{NAME} is of version {version}, this release knows up to "
                    f"{VERSION}: upgrade mxm-dataio"
                )
            self.version = int(said["version"])
            files, rows = said["ordered"]
            self.ordered = (int(files), int(rows))
            self._covered = {
                store: (_Leaves(one["leaves"]), str(one["names"]))
                for store, one in said["covered"].items()
            }
            self.files = [(_file(*file), str(sha256)) for *file, sha256 in said["files"]]
        except (ValueError, TypeError, LookupError, AttributeError) as exc:
            raise _damaged(objects, NAME) from exc

    @classmethod
    def of(cls, objects: ObjectStore) -> Index | None:
        """Return the index of an archive, if it has one.

        Raises:
            IntegrityError: it is damaged, or of a newer release.
        """
        found = objects.get(NAME, _LARGEST)
        if found is None:
            return None
        try:
            said = json.loads(found.content)
        except (ValueError, RecursionError) as exc:
            raise _damaged(objects, NAME) from exc
        if not isinstance(said, dict):
            raise _damaged(objects, NAME)
        return cls(objects, said)

    @property
    def rows(self) -> int:
        """How many calls are in it."""
        return sum(file.rows for file, _ in self.files)

    @property
    def size(self) -> int:
        """The bytes of its table."""
        return sum(file.size for file, _ in self.files)

    def lacking(self, found: Iterable[SessionName]) -> list[SessionName]:
        """Return those of an archive's sessions whose calls are not in it.

        Args:
            found: all sessions that the archive has.
        """
        new, changed = self._compared(found)
        return new + changed

    def is_of(self, found: Iterable[SessionName]) -> bool:
        """Say whether all that is in it is in an archive still."""
        return not self._compared(found)[1]

    def _compared(
        self, found: Iterable[SessionName]
    ) -> tuple[list[SessionName], list[SessionName]]:
        """Return sessions that came since, and those of stores that have others than they had."""
        of_store: dict[str, list[SessionName]] = {}
        for name in found:
            of_store.setdefault(name.store, []).append(name)
        new, changed = [], []
        for store, every in of_store.items():
            leaves, digest = self._covered.get(store, (_Leaves([]), _digest([])))
            if _digest(name for name in every if name.leaf in leaves) == digest:
                new += [name for name in every if name.leaf not in leaves]
            else:
                changed += every
        return new, changed

    def look_up(self, params_hash: str) -> list[Indexed]:
        """Return the calls that have a hash.

        Raises:
            IntegrityError: the index is damaged.
            StoreError: the object store could not be reached, or refused.
        """
        rows = list[Row]()
        for file, sha256 in self.files:
            if (file.first or "") <= params_hash and (
                file.last is None or params_hash <= file.last
            ):
                name = f"{names.INDEX}/{file.name}"
                found = self._objects.get(name, min(file.size, parquet.LARGEST))
                if found is None or hashlib.sha256(found.content).hexdigest() != sha256:
                    raise _damaged(self._objects, name)
                rows += parquet.select(found.content, COLUMNS, "params_hash", params_hash, name)
        return sorted({Indexed(*row) for row in rows}, key=lambda one: (one.as_of, one.id))


class IndexWriter:
    """Brings an index up to what its archive has.

    Args:
        objects: the archive's.
        index: as it is; ``None``: it is made anew.

    Raises:
        ConfigError: deltalake is not installed.
    """

    def __init__(self, objects: ObjectStore, index: Index | None) -> None:
        self._objects = objects
        self._table = IndexTable(objects)
        self._covered: dict[str, dict[int, SessionName]] = {}
        self._files: list[IndexFile] = []
        self._known: dict[str, str] = {}
        self._ordered = (0, 0)
        # Of the table; it is none yet.
        self._version = -1
        self._rows: list[Row] = []
        self.added = 0
        if index is None:
            objects.delete([one.name for one in objects.list(names.INDEX)])
        elif index.files:
            self._files = [file for file, _ in index.files]
            self._known = {file.name: sha256 for file, sha256 in index.files}
            self._ordered = index.ordered
            self._version, files = self._table.state()
            if set(files) != set(self._files):
                # Somebody was killed between the table and what lies beside it.
                self._change(self._table.restore, index.version)

    @property
    def rows(self) -> int:
        """How many calls are in it."""
        return sum(file.rows for file in self._files)

    @property
    def size(self) -> int:
        """The bytes of its table."""
        return sum(file.size for file in self._files)

    def cover(self, found: Iterable[SessionName]) -> None:
        """Take sessions as those whose calls are in it."""
        for name in found:
            self._covered.setdefault(name.store, {})[name.leaf] = name

    def add(self, name: SessionName, rows: Sequence[Row]) -> None:
        """Add a session's calls."""
        self._rows += rows
        self.cover([name])
        if len(self._rows) >= BATCH:
            self.write()

    def finish(self) -> None:
        """Write what there is, and put it in order if it is worth it."""
        self.write()
        loose = self.rows - self._ordered[1]
        if loose * _QUARTER > self._ordered[1]:
            self._change(self._table.order)
            self._ordered = (len(self._files), self.rows)
        elif len(self._files) - self._ordered[0] > _FILES:
            self._change(self._table.compact)
        else:
            return
        self._publish()
        self._table.sweep()

    def write(self) -> None:
        """Write the rows there are, and after them what the index is good for."""
        if self._rows:
            self._change(self._table.append, self._rows)
            self.added += len(self._rows)
            self._rows = []
        self._publish()

    def _change(self, change: Callable[..., None], *arguments: Any) -> None:
        """Change the table, and take note of what it is then.

        Raises:
            StoreError: another process has changed it meanwhile; what it wrote may be gone.
        """
        change(*arguments)
        version, files = self._table.state()
        if version != self._version + 1:
            raise StoreError(
                f"another process makes the index of {self._objects.url}: let one do it at a time, "
                "and this again"
            )
        self._version, self._files = version, files

    def _publish(self) -> None:
        known = self._known
        self._known = {one.name: known.get(one.name) or self._sha256(one) for one in self._files}
        said = {
            _MARK: VERSION, "version": self._version, "ordered": self._ordered,
            "covered": {
                store: {"leaves": _ranges(leaves), "names": _digest(leaves.values())}
                for store, leaves in self._covered.items()
            },
            "files": [[*one, self._known[one.name]] for one in self._files],
        }  # fmt: skip
        self._objects.put(NAME, _text({**said, "sealed": _sealed(said)}))

    def _sha256(self, file: IndexFile) -> str:
        digest = hashlib.sha256()
        for chunk in self._objects.chunks(f"{names.INDEX}/{file.name}", file.size):
            digest.update(chunk)
        return digest.hexdigest()


class _Leaves:
    """Leaves of a tree, as pairs of first and last, in order."""

    def __init__(self, ranges: Sequence[Sequence[int]]) -> None:
        self._firsts = [int(first) for first, _ in ranges]
        self._lasts = [int(last) for _, last in ranges]

    def __contains__(self, leaf: int) -> bool:
        at = bisect(self._firsts, leaf) - 1
        return at >= 0 and leaf <= self._lasts[at]


def _file(name: str, size: int, rows: int, first: str | None, last: str | None) -> IndexFile:
    sound = isinstance(name, str) and all(isinstance(one, int) and one >= 0 for one in (size, rows))
    if not sound or not all(one is None or isinstance(one, str) for one in (first, last)):
        raise ValueError("it names what is no file")
    return IndexFile(name, size, rows, first, last)


def _sealed(said: dict[str, Any]) -> str:
    return hashlib.sha256(_text(said)).hexdigest()


def _text(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _digest(found: Iterable[SessionName]) -> str:
    return hashlib.sha256("\n".join(sorted(map(str, found))).encode()).hexdigest()


def _ranges(leaves: Iterable[int]) -> list[list[int]]:
    """Return leaves as pairs of first and last."""
    every = sorted(leaves)
    ends = [at for at, (one, other) in enumerate(pairwise(every), 1) if other != one + 1]
    bounds = pairwise([0, *ends, len(every)])
    return [[every[start], every[end - 1]] for start, end in bounds if start < end]


def _damaged(objects: ObjectStore, name: str) -> IntegrityError:
    return IntegrityError(
        f"{objects.url}/{name} is damaged or missing: mxm-dataio index {objects.url} --again makes "
        "the index again from what it is of"
    )
