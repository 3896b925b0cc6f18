"""``mxm-dataio export``: a recorded session becomes a file, a cassette or a table."""

from __future__ import annotations

from pathlib import Path

import click

from ...formats import WRITTEN, exporting
from ...formats.rows import to_rows
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
    help="Format of the file.  [default: as its name ends, or cassette]",
)
@click.option("--keep-headers", is_flag=True, help="Keep Date, request ids and the like.")
@click.option("--keep-chunks", is_flag=True, help="Keep how each chunked body was cut.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@store_options
def export(
    session: str,
    output: Path,
    format_name: str | None,
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

    As jsonl, csv or parquet it is a table: a row for each call, those that were forgotten too, with
    the columns that the view calls has in SQL, and without bodies.

    \b
    Examples:
      mxm-dataio export 0198a7c2 -o tests/cassettes/prices.json
      mxm-dataio export 0198a7c2 -o whole.json --keep-headers --keep-chunks
      mxm-dataio export latest -o calls.parquet
    """
    suffix = output.suffix.removeprefix(".")
    format_name = format_name or (suffix if suffix in WRITTEN else WRITTEN[0])
    if format_name != WRITTEN[0] and (keep_headers or keep_chunks):
        raise click.UsageError(f"--keep-headers and --keep-chunks are of a {WRITTEN[0]}")
    with reading(root) as store:
        found = store.session(store.session_id(session))
        assert found is not None
        if format_name == WRITTEN[0]:
            count = exporting.to_cassette(
                store,
                found,
                output,
                volatile=NOTHING if keep_headers else None,
                chunks=keep_chunks,
                force=force,
            )
            left_out = sum(len(store.requests(one.id)) for one in store.family(found.id)) - count
        else:
            count, left_out = to_rows(store, found.id, output, format_name, force=force), 0
    if as_json:
        print_line(
            "exported", session=found.id, file=str(output), format=format_name, calls=count,
            forgotten=left_out,
        )  # fmt: skip
    else:
        but = f"; {counted(left_out, 'call')} left out, which were forgotten" if left_out else ""
        click.echo(printable(f"{output}: {counted(count, 'call')} of {found.source}{but}"))
