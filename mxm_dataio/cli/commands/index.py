"""``mxm-dataio index``: what finds a call in a shared archive by its hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...utils import counted
from ..archives import asked, page_with
from ..options import archive_url, json_option, means
from ..output import WRONG, print_line
from ..units import bytes_of

if TYPE_CHECKING:
    from ...archive import IndexUpdate


@click.command()
@click.argument("url", callback=means(archive_url))
@click.option("--again", is_flag=True, help="Make it anew, whatever is there.")
@json_option
def index(url: str, again: bool, as_json: bool) -> None:
    """Bring the index of the archive at URL up to what is there.

    It is a Delta table of params_hash, source, as_of, root, id and object at URL/index, derived
    from the archive alone: it may be deleted at any time and made again. Only sessions that it
    lacks are read. One host is to do this, after the others have pushed.

    \b
    Examples:
      mxm-dataio index s3://bucket/2025
      mxm-dataio index s3://bucket/2025 --again
    """
    where, found = asked(
        url, "indexing", "the index is as it was",
        lambda archive, progress: archive.index(again, progress),
    )  # fmt: skip
    if as_json:
        print_line(
            "index", url=where, sessions=found.sessions, calls=found.calls,
            there=found.there, rows=found.rows, bytes=found.size, problems=list(found.problems),
        )  # fmt: skip
    else:
        _say(where, found)
    if not found.ok:
        raise SystemExit(WRONG)


def _say(url: str, found: IndexUpdate) -> None:
    page = page_with(found.problems)
    now = f"it has {counted(found.rows, 'call')}, {bytes_of(found.size)}"
    if found.sessions:
        page.line(
            f"indexed {counted(found.sessions, 'session')} with {counted(found.calls, 'call')} "
            f"of {url}: {now}"
        )
    else:
        page.line(f"nothing was added to the index of {url}: {now}")
