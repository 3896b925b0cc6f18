"""How commands end, and how they print: results, errors and progress.

Loaded with every command and for help, so that what only some need is loaded where they do.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..process import printable as printable

if TYPE_CHECKING:
    from ..integrity.findings import Progress

WRONG, MISUSED = 1, 2
# What is over sooner shows no progress.
_SOON = 0.7


def fail(message: str, status: int) -> NoReturn:
    text = f"Error: {printable(message)}"
    if on_a_terminal():
        from ..reading import layout

        text = layout.wrapped(text, shutil.get_terminal_size().columns, "  ")
    click.echo(text, err=True)
    raise SystemExit(status)


def print_line(type: str, **values: Any) -> None:
    click.echo(json.dumps({"type": type, **values}))


def wrapped(text: str, margin: str = "") -> str:
    """Return a text that a terminal need not break within a word; into a pipe, as it is.

    Args:
        margin: stands before lines that go on with another.
    """
    columns = width()
    if columns is None:
        return text
    from ..reading import layout

    return layout.wrapped(text, columns, margin)


def on_a_terminal() -> bool:
    return sys.stderr.isatty()


def width() -> int | None:
    """Return the width of the terminal that results go to; ``None``: it is none."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return shutil.get_terminal_size().columns


@contextlib.contextmanager
def progress_bar(verb: str = "checking", **names: str) -> Iterator[Progress | None]:
    """Yield what shows progress on a terminal, for what takes more than a moment.

    Args:
        verb: what is done with what is counted.
        names: what is counted → what is done with it, where it is something else.
    """
    if not on_a_terminal():
        yield None
        return
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        shown: Any = None
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            nonlocal shown
            if shown is None:
                if time.monotonic() < began + _SOON:
                    return
                shown = stack.enter_context(_bar())
            if what not in tasks:
                tasks[what] = shown.add_task(names.get(what, f"{verb} {what}"))
            shown.update(tasks[what], completed=done, total=max(total, 1))

        yield show


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), transient=True)
