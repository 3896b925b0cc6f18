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
        """Print a line of parts, each a text or one with a style."""
        if self._console is not None:
            self._console.print(text(*parts))
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
            if value is None or value == "":
                continue
            parts = value if isinstance(value, list) else [value]
            self.line((f"  {name:<{_LABEL}} ", "dim"), *parts)

    def lines(self, lines: Iterator[Sequence[Cell]], *, indent: str = "  ") -> None:
        """Print many lines."""
        if self._console is not None:
            for parts in lines:
                self._console.print(text(indent, *parts))
            return
        while batch := list(islice(lines, _BATCH)):
            whole = (
                "".join(part if isinstance(part, str) else part[0] for part in parts)
                for parts in batch
            )
            click.echo(encodable("\n".join(f"{indent}{one}".rstrip() for one in whole)))
