"""What commands that ask an archive have in common: Ctrl-C amid it, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from ..concurrency.background import waited_for
from .output import progress_bar
from .pages import Page

if TYPE_CHECKING:
    from ..archive import Archive
    from ..integrity.findings import Progress

_INTERRUPTED = 130
_T = TypeVar("_T")


def asked(
    url: str, doing: str, otherwise: str, ask: Callable[[Archive, Progress | None], _T]
) -> tuple[str, _T]:
    """Return where an archive is, as it is told, and what it was asked for.

    Args:
        doing: what the progress bar says.
        otherwise: what of it counts if Ctrl-C ends it, in words.
        ask: asks it, and tells how far it is.
    """
    from ..archive import Archive

    again = _ending_at_once(otherwise)
    with Archive(url) as archive, again, progress_bar(doing) as progress:
        return archive.url, waited_for(lambda: ask(archive, progress))


def page_with(problems: Iterable[str]) -> Page:
    """Return a page that says first what is wrong."""
    page = Page()
    for problem in problems:
        page.line((problem, "red"))
    return page


@contextlib.contextmanager
def _ending_at_once(otherwise: str) -> Iterator[None]:
    """End the process at once where what is waited for in here is interrupted.

    See :func:`mxm_dataio.concurrency.background.waited_for`.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Aborted: {otherwise}", err=True)
        # Its threads may wait for the network for minutes yet.
        os._exit(_INTERRUPTED)
