"""``mxm-dataio push``: sealed sessions of a root into a shared archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...utils import counted
from ..archives import asked, page_with
from ..options import archive_url, folder_options, means, source_option
from ..output import WRONG, print_line
from ..units import bytes_of

if TYPE_CHECKING:
    from ...archive import Pushed


@click.command()
@click.argument("url", required=False, callback=means(archive_url))
@source_option("Only sessions of this source.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="Objects that are written at once.",
)
@folder_options
def push(url: str | None, source: str | None, jobs: int, root: Path, as_json: bool) -> None:
    """Push sessions that have ended, and are not there yet, to the archive at URL.

    URL is s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder; if it is
    not given, MXM_DATAIO_PUSH. Credentials and endpoint come from the environment
    (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).

    Sessions whose process was killed are sealed first, and arrive as interrupted. Nothing that is
    there is ever replaced: any number of hosts may push at once, and a push that was broken off is
    run again.

    \b
    Examples:
      mxm-dataio push s3://bucket/2025
      mxm-dataio push s3://bucket/2025 --root /data/dataio --source market
    """
    from ...archive import parquet
    from ...config.settings import load

    parquet.spare_pandas()

    url = url or load({}).push
    if url is None:
        raise click.UsageError("name the archive: mxm-dataio push s3://bucket/prefix")
    where, found = asked(
        url, "pushing", "what was pushed counts, and the next push goes on",
        lambda archive, progress: archive.push(root, source, jobs, progress),
    )  # fmt: skip
    if as_json:
        print_line(
            "push", url=where, sessions=found.sessions, calls=found.calls,
            objects=found.objects, bytes=found.size, there=found.there,
            problems=list(found.problems),
        )  # fmt: skip
    else:
        _say(where, found)
    if not found.ok:
        raise SystemExit(WRONG)


def _say(url: str, found: Pushed) -> None:
    page = page_with(found.problems)
    there = f"{counted(found.there, 'session')} {'was' if found.there == 1 else 'were'} there"
    if found.sessions:
        page.line(
            f"pushed {counted(found.sessions, 'session')} with {counted(found.calls, 'call')} to "
            f"{url}: {counted(found.objects, 'object')}, {bytes_of(found.size)}"
            + (f"; {there} before" if found.there else "")
        )
    elif found.there or found.problems:
        page.line(f"nothing was pushed to {url}: {there} before")
    else:
        page.line(f"nothing was pushed to {url}: no session has ended")
