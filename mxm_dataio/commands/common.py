"""What the commands share: options, exit statuses, and how results are printed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from ..config import load
from ..proofs import Head
from ..verify import Progress

WRONG, MISUSED = 1, 2

# -- options -----------------------------------------------------------------------------------


def root_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda _ctx, _param, value: load({"root": value}).root,
        help="Folder of the store.  [default: as for sessions, MXM_DATAIO_ROOT]",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def heads_of(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[Head, ...] | None:
    """Return the heads of an option: a head's line, or a file of such lines."""
    if value is None:
        return None
    try:
        lines = [value]
        if not value.startswith("mxm-dataio-head"):
            text = Path(value).read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line.strip()]
        return tuple(Head.parse(line) for line in lines)
    except OSError as exc:
        raise click.BadParameter(
            f"neither a head nor a file of heads: {value} ({exc.strerror})"
        ) from None
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


# -- output ------------------------------------------------------------------------------------


def fail(message: str, status: int) -> NoReturn:
    click.echo(f"Error: {printable(message)}", err=True)
    raise SystemExit(status)


def print_line(type: str, **values: Any) -> None:
    click.echo(json.dumps({"type": type, **values}))


def printable(text: str) -> str:
    """Return a text that moves no cursor: it may be a server's, or a forger's."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


def on_a_terminal() -> bool:
    return sys.stderr.isatty()


@contextlib.contextmanager
def progress_bar(**names: str) -> Iterator[Progress | None]:
    """Yield what shows progress on a terminal, for what takes more than a moment.

    Args:
        names: what is counted → what is done with it, unless it is checked.
    """
    if not on_a_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(names.get(what, f"checking {what}"))
            shown.update(tasks[what], completed=done, total=max(total, 1))

        yield show
