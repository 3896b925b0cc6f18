"""``mxm-dataio sql``: a query over a store, its rows as a table, JSON lines or CSV."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from .. import output
from ..options import Command, reading, store_options
from ..output import printable
from ..pages import Page
from ..tables import Column, encodable, print_table

_LEAST, _GAP = 6, 2


@click.command(cls=Command)
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of names.")
@store_options
def sql(query: str | None, as_csv: bool, root: Path, as_json: bool) -> None:
    """Print the rows of a QUERY, over the views sessions, calls, attempts and headers.

    Without a query: the columns of the views. Functions: header(id, name), text(id) and
    json(id, path) of what was answered, by the id of a call or an attempt. Nothing can be written.

    Into a pipe: tab-separated, without headings.

    \b
    Examples:
      mxm-dataio sql "SELECT host, status_code, count(*) FROM calls GROUP BY 1, 2"
      mxm-dataio sql "SELECT path, json(id, '$.next') FROM calls WHERE host LIKE '%.example'"
    """
    if as_csv and as_json:
        raise click.UsageError("--csv or --json")
    if query is None:
        from ...storage.catalog.views import VIEWS

        names: tuple[str, ...] = ("view", "column", "kind")
        every = ((view, one.name, one.kind) for view, columns in VIEWS.items() for one in columns)
        _print(names, every, as_json=as_json, as_csv=as_csv)
        return
    from ...storage.questions import Questions

    with reading(root, every=True) as store:
        rows = Questions(store).sql(query)
        _print(rows.columns, map(tuple, rows), as_json=as_json, as_csv=as_csv)


def _print(
    names: Sequence[str], rows: Iterator[tuple[Any, ...]], *, as_json: bool, as_csv: bool
) -> None:
    if as_json:
        members = _distinct(names)
        for row in rows:
            values = dict(zip(members, map(_json_value, row), strict=True))
            click.echo(json.dumps(values))
    elif as_csv:
        # A terminal is to be moved by no value.
        moves = sys.stdout.isatty()

        def shown(value: str) -> str:
            return encodable(printable(value) if moves else value)

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(shown(name) for name in names)
        for row in rows:
            writer.writerow("" if value is None else shown(_text(value)) for value in row)
    else:
        _show(names, rows)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which none is there twice: a:1 is the second a, as in SQLite's views."""
    found: list[str] = []
    for name in names:
        number, made = 0, name
        while made in found:
            number += 1
            made = f"{name}:{number}"
        found.append(made)
    return found


def _show(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    columns, first = output.width(), list(islice(rows, 200))
    rows = chain(first, rows)
    # As much as each has if all are wide.
    share = (columns or 0) // max(len(names), 1) - _GAP
    if columns is not None and share < _LEAST:
        _show_as_lines(names, rows)
        return
    is_number = [
        all(isinstance(row[at], (int, float, type(None))) for row in first)
        for at in range(len(names))
    ]
    shown: list[Column[tuple[Any, ...]]] = [
        Column(
            name, lambda row, at=at: None if row[at] is None else _text(row[at]),  # type: ignore[misc]
            right=is_number[at], least=share,
        )
        for at, name in enumerate(names)
    ]  # fmt: skip
    if not print_table(shown, rows):
        click.echo("no rows", err=True)


def _show_as_lines(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Print rows of more columns than a terminal has room for: one below the other."""
    page = Page()
    for number, row in enumerate(rows, 1):
        page.heading(f"row {number}")
        page.pairs(
            (name, _text(value))
            for name, value in zip(names, row, strict=True)
            if value is not None
        )


def _text(value: Any) -> str:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _text(value) if isinstance(value, bytes) else value
