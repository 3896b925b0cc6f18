"""Tables: with colours on a terminal and as wide as it is, tab-separated into a pipe.

Rows are printed as they come, a few at a time, so that a table may have any number of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from . import output
from .output import printable
from .units import cropped, cropped_url, origin

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_Row = TypeVar("_Row")
# What a row has in a column: a text, or one with a style of rich's.
Cell = str | tuple[str, str]

PIPE, TERMINAL = "pipe", "terminal"
_BATCH = 200
_GAP = 2
# What a column that takes what room is left has on the narrowest terminals.
_NARROW = 8
# On an encoding that has no such signs.
_PLAINER = str.maketrans({"→": ">", "×": "x", "…": "~", "└": "`", "─": "-", "█": "#", "·": "."})


@dataclass(frozen=True, slots=True)
class Column(Generic[_Row]):
    """A column.

    Attributes:
        name: its heading.
        plain: what a row has in it, for a pipe; ``None`` becomes ``-``.
        shown: the same for a terminal; ``plain`` if not given.
        right: numbers.
        least: it takes what room is left, this at least, and what does not fit loses its middle;
            0: it is as wide as its widest.
        rank: where there is no room, the column with the highest is left out first; 0: none.
        sparse: left out where it is empty.
        where: for a pipe alone, or for a terminal alone.
        urls: what all have in common of these, the host, is left out on a terminal, and said above.
    """

    name: str
    plain: Callable[[_Row], object]
    shown: Callable[[_Row], Cell] | None = None
    right: bool = False
    least: int = 0
    rank: int = 0
    sparse: bool = False
    where: str = ""
    urls: bool = False


def print_table(columns: Sequence[Column[_Row]], rows: Iterable[_Row]) -> int:
    """Print rows, and return how many there were."""
    width = output.width()
    if width is None:
        return _print_plainly(columns, rows)
    return _Shown(columns, width).print(iter(rows))


def _print_plainly(columns: Sequence[Column[_Row]], rows: Iterable[_Row]) -> int:
    count, each = 0, iter(rows)
    columns = [column for column in columns if column.where != TERMINAL]
    while batch := list(islice(each, _BATCH)):
        count += len(batch)
        lines = ["\t".join(one_line(column.plain(row)) for column in columns) for row in batch]
        click.echo(encodable("\n".join(lines)))
    return count


def one_line(value: object) -> str:
    """Return a value as a field of a line."""
    if value is None or value == "":
        return "-"
    return printable(str(value)).replace("\n", "\\n")


def console(width: int | None = None) -> Console:
    """Return what prints to the terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=width, file=sys.stdout)


def text(*parts: Cell) -> Text:
    """Return a line of a terminal, of parts that may be a server's."""
    from rich.text import Text

    line = Text()
    for part in parts:
        content, style = part if isinstance(part, tuple) else (part, "")
        line.append(encodable(printable(content)), style or None)
    return line


def encodable(content: str) -> str:
    """Return a text that the output's encoding has."""
    try:
        content.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        content = content.translate(_PLAINER)
        encoding = sys.stdout.encoding or "ascii"
        return content.encode(encoding, "backslashreplace").decode(encoding)
    return content


class _Shown(Generic[_Row]):
    """A table on a terminal, whose columns grow as wider rows come."""

    def __init__(self, columns: Sequence[Column[_Row]], width: int) -> None:
        self._all = [column for column in columns if column.where != PIPE]
        self._room = width
        self._console = console(width)
        self._natural = [len(column.name) for column in self._all]
        self._headed = False
        # Column's place → what its URLs have in common.
        self._hosts: dict[int, str] = {}

    def print(self, rows: Iterator[_Row]) -> int:
        count = 0
        while batch := list(islice(rows, _BATCH)):
            count += len(batch)
            cells = [[_cell(column, row) for column in self._all] for row in batch]
            if not self._headed:
                self._find_hosts(cells)
            for place, host in self._hosts.items():
                for row in cells:
                    shown, style = row[place]
                    row[place] = without_host(shown, host), style
            self._print(cells)
        return count

    def _find_hosts(self, cells: list[list[tuple[str, str]]]) -> None:
        for place, column in enumerate(self._all):
            if column.urls and (host := shared_host(row[place][0] for row in cells)):
                self._hosts[place] = host

    def _print(self, batch: list[list[tuple[str, str]]]) -> None:
        from rich.cells import cell_len

        for place, column in enumerate(self._all):
            widest = max(cell_len(cells[place][0]) for cells in batch)
            empty = not widest and column.sparse and not self._headed
            self._natural[place] = 0 if empty else max(self._natural[place], widest)
        widths = self._fitted()
        if not self._headed:
            self._headed = True
            for host in self._hosts.values():
                self._console.print(text((f"at {host}", "dim")))
            heads = [(column.name, "bold") for column in self._all]
            self._line(heads, widths)
            total = sum(widths.values()) + _GAP * (len(widths) - 1)
            self._console.print(text((encodable("─") * total, "dim")))
        for cells in batch:
            self._line(cells, widths)

    def _fitted(self) -> dict[int, int]:
        """Return the widths of the columns that are shown, by their places."""
        shown = {place: width for place, width in enumerate(self._natural) if width}
        while True:
            widths, over = self._shrunk(shown, lambda column: column.least)
            droppable = [place for place in shown if self._all[place].rank]
            if over <= 0:
                return widths
            if not droppable:
                return self._shrunk(shown, lambda column: min(column.least, _NARROW))[0]
            del shown[max(droppable, key=lambda place: self._all[place].rank)]

    def _shrunk(
        self, shown: dict[int, int], least: Callable[[Column[_Row]], int]
    ) -> tuple[dict[int, int], int]:
        """Return widths of which the elastic ones take what is left, and what they are too wide."""
        widths = dict(shown)
        over = sum(widths.values()) + _GAP * (len(widths) - 1) - self._room
        for place, width in shown.items():
            if over > 0 and least(self._all[place]):
                widths[place] = max(min(least(self._all[place]), width), width - over)
                over -= width - widths[place]
        return widths, over

    def _line(self, cells: Sequence[tuple[str, str]], widths: dict[int, int]) -> None:
        from rich.cells import cell_len

        parts: list[Cell] = []
        for place, width in widths.items():
            content, style = cells[place]
            if cell_len(content) > width:
                content = (cropped_url if self._all[place].urls else cropped)(content, width)
                while cell_len(content) > width:
                    content = cropped(content, len(content) - 1)
            padding = " " * (width - cell_len(content))
            first = not parts
            parts.append("" if first else " " * _GAP)
            parts += [padding, (content, style)] if self._all[place].right else [
                (content, style), padding,
            ]  # fmt: skip
        line = text(*parts)
        line.rstrip()
        self._console.print(line)


def shared_host(urls: Iterable[str]) -> str:
    """Return scheme and host of URLs, two or more, if they are the same; else an empty text."""
    found = [origin(url) for url in urls]
    return found[0] if len(found) > 1 and len(set(found)) == 1 else ""


def without_host(url: str, host: str) -> str:
    """Return what a URL has behind a host; all of it, if it has another."""
    return url[len(host) :] or "/" if host and origin(url) == host else url


def _cell(column: Column[_Row], row: _Row) -> tuple[str, str]:
    shown: Any = column.shown(row) if column.shown else one_line(column.plain(row))
    content, style = shown if isinstance(shown, tuple) else (shown, "")
    return (encodable(one_line(content)) if content else ""), style
