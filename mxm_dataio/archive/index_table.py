"""The table that an archive's index is, for any engine: the one file that loads deltalake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError
from ..storage.catalog.rows import Row
from . import names, parquet
from .object_store import ObjectStore

COLUMNS = parquet.columns_of(text="params_hash source as_of root id object")
# A look-up reads one of its files whole, so as to compare that with its checksum.
_FILE = 4 << 20
_GROUP = 8192
_LEVEL = 3
# What files hold in memory while they are put in order; the rest waits on the disk.
_SPILL = 1 << 30


class IndexFile(NamedTuple):
    """A file of the table.

    Attributes:
        name: below the table's folder.
        first, last: the bounds of its hashes; ``None``: it says none.
    """

    name: str
    size: int
    rows: int
    first: str | None
    last: str | None


class IndexTable:
    """The table, which is written to by one process at a time.

    Args:
        objects: the archive's.

    Raises:
        ConfigError: deltalake is not installed, or the archive is in memory.
    """

    def __init__(self, objects: ObjectStore) -> None:
        try:
            import deltalake
        except ImportError:
            raise ConfigError(
                "an index needs deltalake: pip install 'mxm-dataio[archive,index]'"
            ) from None
        url = urlsplit(objects.url)
        if url.scheme == "memory":
            raise ConfigError("an archive in memory has no index")
        self._deltalake = deltalake
        self._objects = objects
        self._where = f"{objects.url}/{names.INDEX}"
        if url.scheme == "file":
            self._where = str(Path(unquote(url.path)) / names.INDEX)
        self._options = {"allow_http": "true"} if objects.plain else None
        self._properties = deltalake.WriterProperties(
            compression="ZSTD", compression_level=_LEVEL, max_row_group_size=_GROUP
        )

    def state(self) -> tuple[int, list[IndexFile]]:
        """Return the number of its latest change, and the files that it is made of since then."""
        with self._mapped("read"):
            table = self._table()
            found = table.get_add_actions(flatten=True)
            columns = ("path", "size_bytes", "num_records", "min.params_hash", "max.params_hash")
            values = [found.column(name).to_pylist() for name in columns]
            return table.version(), [IndexFile(*one) for one in zip(*values, strict=True)]

    def restore(self, version: int) -> None:
        """Have it as it was at an earlier version: what came after is not known of."""
        with self._mapped("written"):
            self._table().restore(version)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows, sorted by their hashes."""
        batch = parquet.batch(COLUMNS, rows).sort_by("params_hash")
        with self._mapped("written"):
            self._deltalake.write_deltalake(
                self._where, batch, mode="append", storage_options=self._options,
                target_file_size=_FILE, writer_properties=self._properties,
            )  # fmt: skip

    def order(self) -> None:
        """Put all rows in the order of their hashes."""
        self._optimize("z_order", ["params_hash"], max_spill_size=_SPILL)

    def compact(self) -> None:
        """Make few files of small ones."""
        self._optimize("compact")

    def sweep(self) -> None:
        """Remove files that it was made of a week ago: who began to read it since still may."""
        with self._mapped("removed"):
            self._table().vacuum(dry_run=False)

    def _optimize(self, how: str, *arguments: Any, **more: Any) -> None:
        with self._mapped("written"):
            getattr(self._table().optimize, how)(
                *arguments, target_size=_FILE, writer_properties=self._properties, **more
            )

    def _table(self) -> Any:
        return self._deltalake.DeltaTable(self._where, storage_options=self._options)

    @contextlib.contextmanager
    def _mapped(self, verb: str) -> Iterator[None]:
        with self._objects.mapped(verb, names.INDEX):
            yield
