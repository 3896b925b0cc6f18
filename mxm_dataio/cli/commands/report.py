"""``mxm-dataio report``: one page on a session, for an auditor."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ...errors import StoreError
from ...integrity.proofs import Head
from ...reading import values
from ...reading.report.gather import Limits, Report, gather
from ...reading.report.page import page
from ...reading.report.values import summary
from ...utils import counted, utc_now, write_whole
from ..options import Command, against_option, complete, complete_session, reading, store_options
from ..output import WRONG, print_line, printable, progress_bar, wrapped

_DEFAULT = Limits()


@click.command("report", cls=Command)
@click.argument("session", default="latest", shell_complete=complete_session)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Where to write the page, over what is there; - for standard output.  "
    "[default: report-SESSION.html]",
)
@click.option(
    "--calls",
    type=click.IntRange(min=0),
    default=_DEFAULT.calls,
    show_default=True,
    help="List so many calls one by one; figures are of all.",
)
@click.option(
    "--body-bytes",
    type=click.IntRange(min=0),
    default=_DEFAULT.body,
    show_default=True,
    help="Show so many bytes of each body at most; 0: no bodies.",
)
@against_option
@store_options
def report_command(
    session: str,
    output: str | None,
    calls: int,
    body_bytes: int,
    against: tuple[Head, ...] | None,
    root: Path,
    as_json: bool,
) -> None:
    """Write one HTML page on a session, by default the newest, and its child processes.

    What was fetched, when, from where, what came back, what failed, what could not be seen, and
    whether the record verifies, which is checked anew. The page needs no network and no other
    file. With --json the same goes to standard output: one line on all, then one for each call.

    \b
    Example:
      mxm-dataio report 0198a7c2 -o report.html
    """
    if as_json and output is not None:
        raise click.UsageError("--json goes to standard output: leave out -o")
    limits = Limits(calls=calls, body=0 if as_json else body_bytes)
    with reading(root) as store:
        id = store.session_id(session)
        complete(store, id)
        with progress_bar(reading="reading calls", bodies="reading bodies") as progress:
            made = gather(store, id, limits=limits, against=against or (), progress=progress)
        if as_json:
            print_line("report", **summary(made, utc_now()))
            for exchange in made.listed:
                wrong = made.wrong.get(exchange.request.id)
                print_line("call", **values.call(store, exchange), wrong=wrong)
        elif output == "-":
            click.echo(page(made, utc_now()).encode("utf-8"), nl=False)
        else:
            path = output or f"report-{re.sub(r'[^0-9A-Za-z-]', '_', id)}.html"
            _write(Path(path), page(made, utc_now()))
            _say(made, path)
    if not made.ok:
        raise SystemExit(WRONG)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as exc:
        raise StoreError(f"the page can't be written to {path}: {exc.strerror}", path=path) from exc


def _say(made: Report, path: str) -> None:
    totals = made.tally.totals
    told = (
        f"{path}: {counted(totals.calls, 'call')} in {counted(len(made.parts), 'session')}, "
        f"{counted(Path(path).stat().st_size, 'byte')}"
    )
    click.echo(wrapped(told, "  "))
    if (left := totals.calls - len(made.listed)) > 0:
        click.echo(f"{counted(left, 'call')} are counted and not listed: see --calls")
    if not made.ok:
        found = made.verified
        count = len(found.findings) + found.more + len(made.damaged)
        text = f"the record does not verify: {counted(count, 'finding')}, the first:\n  "
        first = (*found.findings, *made.damaged)[0]
        click.secho(wrapped(printable(text + str(first)), "  "), fg="red", bold=True)
