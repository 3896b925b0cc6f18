"""``mxm-dataio export``: a recorded session becomes a file."""

from __future__ import annotations

from pathlib import Path

import click

from ...formats import WRITTEN, exporting
from ...formats.volatile import NOTHING
from ...utils import counted
from ..options import Command, complete_session, reading, store_options
from ..output import print_line, printable


@click.command(cls=Command)
@click.argument("session", default="latest", shell_complete=complete_session)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(WRITTEN),
    default=WRITTEN[0],
    show_default=True,
    help="Format of the file.",
)
@click.option("--keep-headers", is_flag=True, help="Keep Date, request ids and the like.")
@click.option("--keep-chunks", is_flag=True, help="Keep how each chunked body was cut.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@store_options
def export(
    session: str,
    output: Path,
    format_name: str,
    keep_headers: bool,
    keep_chunks: bool,
    force: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Write a recorded SESSION to a file, for git, a test or another machine.

    SESSION is its id or as much of it as no other begins with, by default the newest. Calls of its
    child processes go with it; those that were forgotten do not. Bodies above 16 KiB that are no
    text go into a folder beside, FILE.d.

    \b
    Examples:
      mxm-dataio export 0198a7c2 -o tests/cassettes/prices.json
      mxm-dataio export 0198a7c2 -o whole.json --keep-headers --keep-chunks
    """
    with reading(root) as store:
        found = store.session(store.session_id(session))
        assert found is not None
        count = exporting.to_cassette(
            store,
            found,
            output,
            volatile=NOTHING if keep_headers else None,
            chunks=keep_chunks,
            force=force,
        )
        left_out = sum(len(store.requests(one.id)) for one in store.family(found.id)) - count
    if as_json:
        print_line(
            "exported", session=found.id, file=str(output), format=format_name, calls=count,
            forgotten=left_out,
        )  # fmt: skip
    else:
        but = f"; {counted(left_out, 'call')} left out, which were forgotten" if left_out else ""
        click.echo(printable(f"{output}: {counted(count, 'call')} of {found.source}{but}"))
