"""The calls of a session as rows of a file: JSON lines, CSV or Parquet, with the columns of SQL."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ConfigError, StoreError
from ..storage.catalog import frames
from ..storage.catalog.sql import Rows
from ..storage.catalog.views import JSON, known
from ..storage.questions import Questions
from ..storage.root_store import RootStore
from ..utils import cause, written_whole

VIEW = "calls"
_IS_JSON = {column.name for column in known(VIEW) if column.kind == JSON}


def to_rows(
    store: RootStore, session_id: str, path: Path, format: str, *, force: bool = False
) -> int:
    """Write the calls of a session and of its children, a row each; return how many.

    Args:
        format: ``jsonl``, ``csv`` or ``parquet``.
        force: what is there is replaced.

    Raises:
        ConfigError: there is a file already, or pyarrow is not installed, for Parquet.
        IntegrityError: a record is damaged; nothing was written.
        StoreError: the file can't be written.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: --force replaces it")
    names = ", ".join(column.name for column in known(VIEW))
    ids = json.dumps([one.id for one in store.family(session_id)])
    rows = Questions(store).sql(
        f"SELECT {names} FROM {VIEW} WHERE session_id IN (SELECT value FROM json_each(?)) "
        "ORDER BY id",
        [ids],
    )
    try:
        with written_whole(path) as file:
            return _WRITERS[format](rows, file)
    except OSError as exc:
        raise StoreError(f"{path} can't be written: {cause(exc)}", path=path) from exc
    finally:
        rows.close()


def _write_lines(rows: Rows, file: BinaryIO) -> int:
    count = 0
    for row in rows:
        line = json.dumps({name: _value(name, row[name]) for name in rows.columns})
        file.write(f"{line}\n".encode())
        count += 1
    return count


def _value(name: str, value: Any) -> Any:
    return json.loads(value) if name in _IS_JSON and value is not None else value


def _write_csv(rows: Rows, file: BinaryIO) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    count, writer = 0, csv.writer(text)
    writer.writerow(rows.columns)
    for row in rows:
        writer.writerow(row)
        count += 1
    text.detach()
    return count


def _write_parquet(rows: Rows, file: BinaryIO) -> int:
    count, schema = 0, frames.schema(VIEW)
    with frames.parquet_writer(file, schema) as writer:
        for batch in frames.batches(rows, VIEW):
            count += batch.num_rows
            writer.write_batch(batch)
    return count


_WRITERS = {"jsonl": _write_lines, "csv": _write_csv, "parquet": _write_parquet}
