"""Tables as Parquet files in memory: the one file of the archive that loads pyarrow.

Arrow's reader ends the process at some of the bytes that are none of Parquet's. So a file carries
the SHA-256 of itself, in the gap that the format leaves between the last column and the footer, and
it is compared before anything else: what is damaged comes no further. A stranger's may still be
anything: its size is capped by what it says of itself before it is unpacked, and its columns have
to be there and of their types.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise, starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError, IntegrityError
from ..storage.catalog.rows import Row

if TYPE_CHECKING:
    import pyarrow

TEXT, BYTES, INTEGER, REAL, BOOLEAN = "text", "bytes", "integer", "real", "boolean"
# Of what is unpacked, at most; an object with calls is begun anew long before.
LARGEST = 128 << 20
_MOST_ROWS = 100_000
_MOST_IN_LISTS = 1_000_000
_MOST_GROUPS = 1000
_LEVEL = 3
_MAGIC = b"PAR1"
_DIGEST = 32
_spare = False


class Column(NamedTuple):
    """A column, or a field of the structures that a column has lists of.

    Attributes:
        kind: of its values; of a list, empty.
        fields: of a list's structures; a value of it is a sequence of rows.
    """

    name: str
    kind: str
    fields: tuple[Column, ...] = ()


def columns_of(**kinds: str) -> tuple[Column, ...]:
    """Return columns: of each kind those of the names, which have spaces between."""
    found = [Column(name, kind) for kind, names in kinds.items() for name in names.split()]
    return tuple(found)


def batch(columns: Sequence[Column], rows: Sequence[Row]) -> pyarrow.RecordBatch:
    """Return rows, which are as long as the columns are many, as they are held for writing.

    Raises:
        IntegrityError: a value is none of its column's kind.
    """
    pa = _pyarrow()
    try:
        arrays = [_array(pa, *pair) for pair in zip(columns, _columns(columns, rows), strict=True)]
    except (ValueError, TypeError, OverflowError) as exc:
        raise IntegrityError(f"a record holds a value that none of its kind has: {exc}") from exc
    return pa.RecordBatch.from_arrays(arrays, [column.name for column in columns])


def write(
    batch: pyarrow.RecordBatch,
    *,
    sorted_by: str = "",
    plain: Sequence[str] = (),
    group: int = 1,
) -> memoryview:
    """Return a Parquet file.

    Args:
        sorted_by: the column by which its rows are, if any: of that there are bounds.
        plain: paths of columns whose values are hardly ever twice.
        group: rows that are read together.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    table = pa.Table.from_batches([batch])
    names = [path for path in _paths(table.schema) if path not in plain]
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table, sink, compression="zstd", compression_level=_LEVEL, write_page_checksum=True,
        use_dictionary=names, row_group_size=group, store_schema=False,
        write_statistics=[sorted_by] if sorted_by else False,
    )  # fmt: skip
    return _sealed(memoryview(sink.getvalue()).cast("B"))


def read(content: bytes | memoryview, columns: Sequence[Column], name: str) -> list[Row]:
    """Return the rows of a Parquet file, whatever order its columns are in.

    Args:
        name: of what it is, for an error.

    Raises:
        IntegrityError: it is none, larger than it may be, or lacks a column or has it of another
            type.
    """
    if not _is_whole(memoryview(content)):
        raise IntegrityError(f"{name} is damaged, or none of mxm-dataio's")
    with _opened(content, columns, name, _texts(columns)) as file:
        found = list[Row]()
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(
                group, columns=[column.name for column in columns], use_threads=False
            )
            found += _rows(table, columns)
        return found


def select(
    content: bytes, columns: Sequence[Column], column: str, value: str, name: str
) -> list[Row]:
    """Return the rows of a Parquet file that have a text in a column.

    Args:
        content: is whole, as the caller knows; the file may be another library's.
        name: of what it is, for an error.

    Raises:
        IntegrityError: as :func:`read`.
    """
    with _opened(content, columns, name, most=_MOST_GROUPS * _MOST_ROWS) as file:
        from pyarrow import compute

        found = list[Row]()
        for group in _groups(file, column, value):
            table = file.read_row_group(
                group, columns=[column.name for column in columns], use_threads=False
            )
            found += _rows(table.filter(compute.equal(table.column(column), value)), columns)
        return found


@contextlib.contextmanager
def _opened(
    content: bytes | memoryview,
    columns: Sequence[Column],
    name: str,
    packed: Sequence[str] = (),
    most: int | None = None,
) -> Iterator[Any]:
    """Yield a Parquet file that has the columns.

    Args:
        packed: paths of columns of which what is twice is unpacked once: a value may stand in the
            file once, for each of its rows.
        most: rows.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    try:
        # (Of threads there are the callers' own.)
        file = parquet.ParquetFile(
            pa.BufferReader(content), memory_map=False, read_dictionary=list(packed)
        )
        _refuse_large(file.metadata, _MOST_ROWS if most is None else most)
        known = file.schema_arrow
        for column in columns:
            if known.get_all_field_indices(column.name) != [known.get_field_index(column.name)]:
                raise ValueError(f"it has no column {column.name}, or several")
            if not known.field(column.name).type.equals(_type(pa, column, packed)):
                raise ValueError(f"its column {column.name} is of another type")
        yield file
    except ConfigError:
        raise
    except Exception as exc:
        # Arrow's have no common base, and what a damaged file raises is not told anywhere.
        raise IntegrityError(f"{name} is damaged, or none of mxm-dataio's: {exc}") from exc


def _groups(file: Any, column: str, value: str) -> Iterator[int]:
    """Yield the row groups that may have a text in a column."""
    at = file.schema_arrow.names.index(column)
    for group in range(file.metadata.num_row_groups):
        found = file.metadata.row_group(group)
        if found.num_rows > _MOST_ROWS:
            raise ValueError(f"it has {found.num_rows} rows in one group")
        bounds = found.column(at).statistics
        if bounds is None or not bounds.has_min_max or bounds.min <= value <= bounds.max:
            yield group


def _rows(table: Any, columns: Sequence[Column]) -> list[Row]:
    table.validate(full=True)
    found = [_values(table.column(one.name).combine_chunks(), one) for one in columns]
    return list(zip(*found, strict=True))


def spare_pandas() -> None:
    """Have pyarrow not load pandas with its first array: half a second, and 40 MB.

    For processes that are ours alone. What needs pandas (``to_pandas``) loads it all the same.
    """
    global _spare
    _spare = True


def _pyarrow() -> Any:
    global _spare
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(
            "an archive needs obstore and pyarrow: pip install 'mxm-dataio[archive]'"
        ) from None
    if _spare and "pandas" not in sys.modules:
        # It looks once whether there are arrays of pandas', and remembers that there are none.
        sys.modules["pandas"] = None  # type: ignore[assignment]
        try:
            with contextlib.suppress(AttributeError, ImportError):
                pyarrow.array([])
        finally:
            del sys.modules["pandas"]
    _spare = False
    return pyarrow


def _sealed(content: memoryview) -> memoryview:
    """Return a file with the hash of all the rest of it before its footer."""
    footer = _footer(content)
    return memoryview(b"".join((content[:footer], _sha256(content), content[footer:])))


def _is_whole(content: memoryview) -> bool:
    """Say whether a file is as it was written."""
    footer = _footer(content)
    digest = footer - _DIGEST
    if digest < len(_MAGIC):
        return False
    return content[digest:footer] == _sha256(content[:digest], content[footer:])


def _footer(content: memoryview) -> int:
    """Return where a file's footer begins, by its last eight bytes; less than 0 if nowhere."""
    if content[-len(_MAGIC) :] != _MAGIC:
        return -1
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def _sha256(*parts: memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _refuse_large(metadata: Any, most: int) -> None:
    groups = range(metadata.num_row_groups)
    if len(groups) > _MOST_GROUPS:
        raise ValueError(f"it is of {len(groups)} groups of rows")
    size = sum(metadata.row_group(group).total_byte_size for group in groups)
    if size > LARGEST or not 0 <= metadata.num_rows <= most:
        raise ValueError(f"it says that it unpacks to {size} bytes in {metadata.num_rows} rows")


def _texts(columns: Sequence[Column], within: str = "") -> list[str]:
    """Return the paths of the columns that have texts or bytes, as Parquet has them."""
    found: list[str] = []
    for column in columns:
        if column.kind in (TEXT, BYTES):
            found.append(f"{within}{column.name}")
        found += _texts(column.fields, f"{within}{column.name}.list.element.")
    return found


def _type(pa: Any, column: Column, packed: Sequence[str] = (), within: str = "") -> Any:
    path = f"{within}{column.name}"
    if column.fields:
        inner = f"{path}.list.element."
        fields = [(one.name, _type(pa, one, packed, inner)) for one in column.fields]
        return pa.list_(pa.struct(fields))
    kinds = {
        TEXT: pa.string(), BYTES: pa.binary(), INTEGER: pa.int64(), REAL: pa.float64(),
        BOOLEAN: pa.bool_(),
    }  # fmt: skip
    kind = kinds[column.kind]
    return pa.dictionary(pa.int32(), kind) if path in packed else kind


def _columns(columns: Sequence[Column], rows: Sequence[Row]) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(columns)


def _array(pa: Any, column: Column, values: Sequence[Any]) -> Any:
    if not column.fields:
        return pa.array(values, type=_type(pa, column))
    flat = [row for value in values for row in value]
    fields = list(
        starmap(_array_of(pa), zip(column.fields, _columns(column.fields, flat), strict=True))
    )
    ends = [0, *accumulate(map(len, values))]
    structs = pa.StructArray.from_arrays(fields, [one.name for one in column.fields])
    return pa.ListArray.from_arrays(pa.array(ends, type=pa.int32()), structs)


def _array_of(pa: Any) -> Any:
    return lambda column, values: _array(pa, column, values)


def _values(array: Any, column: Column) -> list[Any]:
    if not column.fields:
        packed = getattr(array, "dictionary", None)
        if packed is None:
            found: list[Any] = array.to_pylist()
            return found
        values = packed.to_pylist()
        return [None if at is None else values[at] for at in array.indices.to_pylist()]
    if array.null_count:
        raise ValueError(f"its column {column.name} has rows without a list")
    structs = array.flatten()
    if len(structs) > _MOST_IN_LISTS:
        raise ValueError(f"its column {column.name} has {len(structs)} values")
    if structs.null_count:
        raise ValueError(f"its column {column.name} has lists with nothing in them")
    fields = [_values(structs.field(one.name), one) for one in column.fields]
    flat = list(zip(*fields, strict=True))
    ends = [0, *accumulate(array.value_lengths().to_pylist())]
    return [flat[start:end] for start, end in pairwise(ends)]


def _paths(schema: Any) -> Iterable[str]:
    """Yield the paths of the columns that have values, as Parquet has them."""
    for field in schema:
        if hasattr(field.type, "value_type"):
            for inner in field.type.value_type:
                yield f"{field.name}.list.element.{inner.name}"
        else:
            yield field.name
