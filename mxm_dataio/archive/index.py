"""An index of an archive's calls by ``params_hash``: derived, and made again whenever it is gone.

Beside the table lies what it is good for: the checksum of each of its files, and which sessions are
in them. A look-up compares what it reads with that, so a damaged index is found to be none, and an
old one knows what it lacks.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..errors import IntegrityError
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
            self.files = [(IndexFile(*file), str(sha256)) for *file, sha256 in said["files"]]
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
        of_store: dict[str, list[SessionName]] = {}
        for name in found:
            of_store.setdefault(name.store, []).append(name)
        lacks = []
        for store, every in of_store.items():
            leaves, digest = self._covered.get(store, (_Leaves([]), ""))
            covered = [name for name in every if name.leaf in leaves]
            # Others than those that were there: a session is gone, or there are two for one leaf.
            same = _digest(covered) == digest
            lacks += [name for name in every if not same or name.leaf not in leaves]
        return lacks

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
                found = self._objects.get(name, file.size)
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
        self._known = {} if index is None else {file.name: sha for file, sha in index.files}
        self._ordered = (0, 0) if index is None else index.ordered
        self._version = -1 if index is None else index.version
        self._rows: list[Row] = []
        self.added = self.rows = self.size = 0
        if index is None:
            objects.delete([one.name for one in objects.list(names.INDEX)])
        elif self._version >= 0 and self._table.version != self._version:
            # Somebody was killed between the table and what lies beside it.
            self._table.restore(self._version)

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
        files = self._files()
        loose = sum(file.rows for file in files) - self._ordered[1]
        if loose * _QUARTER > self._ordered[1]:
            self._table.order()
            files = self._files()
            self._ordered = (len(files), sum(file.rows for file in files))
        elif len(files) - self._ordered[0] > _FILES:
            self._table.compact()
        else:
            return
        self._publish()

    def write(self) -> None:
        """Write the rows there are, and after them what the index is good for."""
        if self._rows:
            self._table.append(self._rows)
            self.added += len(self._rows)
            self._rows = []
            self._version = 0
        self._publish()

    def _publish(self) -> None:
        files = self._files()
        self._version = self._table.version if files else -1
        self._known = {one.name: self._known.get(one.name) or self._sha256(one) for one in files}
        self.rows = sum(one.rows for one in files)
        self.size = sum(one.size for one in files)
        said = {
            _MARK: VERSION, "version": self._version, "ordered": self._ordered,
            "covered": {
                store: {"leaves": _ranges(leaves), "names": _digest(leaves.values())}
                for store, leaves in self._covered.items()
            },
            "files": [[*one, self._known[one.name]] for one in files],
        }  # fmt: skip
        self._objects.put(NAME, _text({**said, "sealed": _sealed(said)}))

    def _files(self) -> list[IndexFile]:
        return self._table.files() if self._version >= 0 else []

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
