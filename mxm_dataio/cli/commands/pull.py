"""``mxm-dataio pull``: sessions of a shared archive into a root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...utils import counted
from ..archives import asked, page_with
from ..options import archive_url, folder_options, means, source_option
from ..output import WRONG, print_line

if TYPE_CHECKING:
    from ...archive import Pulled


@click.command()
@click.argument("url", callback=means(archive_url))
@source_option("Only sessions with calls of this source.")
@click.option("--as-of", metavar="DATE", help="Only sessions that are not of a later as-of.")
@click.option(
    "--session",
    metavar="ID",
    help="This session, with those of its processes; latest is the newest.",
)
@click.option("--no-payloads", is_flag=True, help="Leave the bodies; a later pull fetches them.")
@folder_options
def pull(
    url: str,
    source: str | None,
    as_of: str | None,
    session: str | None,
    no_payloads: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Take sessions that the root lacks from the archive at URL.

    Each object is checked before it is taken in: its checksum, the chain of the session's calls,
    its seal, and the proof that it is a leaf of the tree of the root that recorded it. What is
    damaged is named, and all else is taken in.

    A session comes with the root session of its processes. What is there already stays as it is,
    and is not fetched again.

    \b
    Examples:
      mxm-dataio pull s3://bucket/2025 --root data --source market
      mxm-dataio pull s3://bucket/2025 --root data --session latest
    """
    where, found = asked(
        url, "pulling", "what was pulled counts, and the next pull goes on",
        lambda archive, progress: archive.pull(
            root, source, as_of, session, payloads=not no_payloads, progress=progress
        ),
    )  # fmt: skip
    if as_json:
        print_line(
            "pull", url=where, sessions=found.sessions, calls=found.calls,
            completed=found.completed, there=found.there, waiting=found.waiting,
            problems=list(found.problems),
        )  # fmt: skip
    else:
        _say(where, found)
    if not found.ok:
        raise SystemExit(WRONG)


def _say(url: str, found: Pulled) -> None:
    page = page_with(found.problems)
    there = f"{counted(found.there, 'session')} {'was' if found.there == 1 else 'were'} there"
    done = []
    if found.sessions:
        done.append(
            f"pulled {counted(found.sessions, 'session')} with {counted(found.calls, 'call')}"
        )
    if found.completed:
        done.append(f"completed the bodies of {counted(found.completed, 'session')}")
    page.line(f"{' and '.join(done) or 'nothing was pulled'} from {url}; {there} before")
    if found.waiting:
        page.line(
            f"{counted(found.waiting, 'session')} of child processes left for a later pull: "
            "their root session is not in the archive yet"
        )
