"""Views as tables of pyarrow and frames of pandas, which are loaded for that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from ...errors import MALFORMED, ConfigError, IntegrityError
from . import views

if TYPE_CHECKING:
    import pandas
    import pyarrow
    import pyarrow.parquet

_BATCH = 8192
# Kinds as types of pandas that know what is not there.
_DTYPES = {
    views.TEXT: "string", views.JSON: "string", views.INTEGER: "Int64", views.REAL: "Float64",
    views.BOOLEAN: "boolean", views.INSTANT: "datetime64[us, UTC]",
}  # fmt: skip


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ConfigError("tables need pyarrow: pip install 'mxm-dataio[arrow]'") from None
    return pyarrow


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ConfigError("frames need pandas: pip install 'mxm-dataio[pandas]'") from None
    return pandas


def schema(view: str) -> pyarrow.Schema:
    """Return the types that the columns of a view have in pyarrow.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    pa = _pyarrow()
    kinds = {
        views.TEXT: pa.string(), views.JSON: pa.string(), views.INTEGER: pa.int64(),
        views.REAL: pa.float64(), views.BOOLEAN: pa.bool_(),
        views.INSTANT: pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    return pa.schema([(column.name, kinds[column.kind]) for column in views.known(view)])


def batches(rows: Iterable[Sequence[Any]], view: str) -> Iterator[pyarrow.RecordBatch]:
    """Yield rows of a view as batches of pyarrow's.

    Raises:
        ConfigError: pyarrow is not installed.
        IntegrityError: a value is none of its column's kind.
    """
    pa, types = _pyarrow(), schema(view)
    each = iter(rows)
    while batch := list(islice(each, _BATCH)):
        columns = []
        for at, column in enumerate(views.known(view)):
            make = partial(pa.array, type=types.field(at).type)
            columns.append(_converted(make, column, batch, at))
        yield pa.record_batch(columns, schema=types)


def parquet_writer(file: BinaryIO, schema: pyarrow.Schema) -> pyarrow.parquet.ParquetWriter:
    """Return what writes batches to a file; it is to be closed."""
    from pyarrow import parquet

    return parquet.ParquetWriter(file, schema)


def table(rows: Iterable[Sequence[Any]], view: str) -> pyarrow.Table:
    """Return rows of a view as a table; raises as :func:`batches`."""
    return _pyarrow().Table.from_batches(list(batches(rows, view)), schema(view))


def frame(rows: Iterable[Sequence[Any]], view: str) -> pandas.DataFrame:
    """Return rows of a view as a frame.

    Raises:
        ConfigError: pandas is not installed.
        IntegrityError: a value is none of its column's kind.
    """
    pd = _pandas()
    found = [tuple(row) for row in rows]
    columns = {}
    for at, column in enumerate(views.known(view)):
        make = partial(pd.Series, dtype=_DTYPES[column.kind])
        # (pandas before 2.1 makes nanoseconds of microseconds.)
        made = _converted(make, column, found, at)
        columns[column.name] = made.astype(_DTYPES[column.kind])
    return pd.DataFrame(columns)


def _converted(make: Any, column: views.Column, rows: Sequence[Sequence[Any]], place: int) -> Any:
    """Return a column of rows as an array of a library's."""
    values = [row[place] for row in rows]
    try:
        if column.kind == views.BOOLEAN:
            values = [None if value is None else bool(value) for value in values]
        elif column.kind == views.INSTANT:
            values = [value and datetime.fromisoformat(value) for value in values]
        return make(values)
    except MALFORMED as exc:
        raise IntegrityError(
            f"a record has no {column.kind} in its column {column.name} ({exc}): "
            "mxm-dataio verify names it"
        ) from exc
