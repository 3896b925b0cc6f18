"""Pages: lines with headings, names and values; on a terminal in colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from . import output
from .output import printable
from .tables import Cell, console, encodable, text

if TYPE_CHECKING:
    from rich.console import Console

_LABEL = 11
_BATCH = 500


class Page:
    """Prints lines, to a terminal or into a pipe.

    Attributes:
        width: of the terminal; ``None``: a pipe, which gets no colours.
    """

    def __init__(self) -> None:
        self.width = output.width()
        self._console: Console | None = None if self.width is None else console(self.width)

    def line(self, *parts: Cell) -> None:
        """Print a line of parts, each a text or one with a style.

        On a terminal what is too long goes on below, from between two words, and behind a first
        part that is blank.
        """
        if self.width is not None:
            first = parts[0] if parts and isinstance(parts[0], str) else ""
            margin = first if first.isspace() else ""
            self._wrapped(margin, parts[bool(margin) :], margin and f"{margin}  ", self.width)
        else:
            words = (part if isinstance(part, str) else part[0] for part in parts)
            click.echo(encodable(printable("".join(words))).rstrip())

    def heading(self, title: str, *more: Cell) -> None:
        """Print an empty line and a title."""
        self.line()
        self.line((title, "bold"), *more)

    def pairs(self, pairs: Iterable[tuple[str, Cell | Sequence[Cell] | None]]) -> None:
        """Print names and what belongs to them; without that, neither."""
        for name, value in pairs:
            if value is None or value == "" or (isinstance(value, tuple) and not value[0]):
                continue
            parts: Sequence[Cell] = value if isinstance(value, list) else [value]  # type: ignore[list-item]
            label = f"  {name:<{_LABEL}} ", "dim"
            if self.width is None:
                self.line(label, *parts)
            else:
                self._wrapped(label, parts, " " * len(label[0]), self.width)

    def _wrapped(self, label: Cell, parts: Sequence[Cell], margin: str, width: int) -> None:
        """Print a line behind a label, and what does not fit behind a margin."""
        assert self._console is not None
        line, room = text(*parts), width - len(margin)
        rows = [line]
        # A word that does not fit would be alone, and still be cut by the terminal.
        if line.cell_len > room > max(map(len, line.plain.split()), default=0):
            rows = list(line.wrap(self._console, room))
        for place, row in enumerate(rows):
            row.rstrip()
            self._console.print(text(margin if place else label) + row)

    def lines(self, lines: Iterator[Sequence[Cell]], *, indent: str = "  ") -> None:
        """Print many lines."""
        if self._console is not None:
            for parts in lines:
                self._console.print(text(indent, *parts))
            return
        while batch := list(islice(lines, _BATCH)):
            whole = (
                indent + "".join(part if isinstance(part, str) else part[0] for part in parts)
                for parts in batch
            )
            shown = (printable(one, "\t").rstrip() for one in whole)
            click.echo(encodable("\n".join(shown)))
