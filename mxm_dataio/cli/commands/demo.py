"""``mxm-dataio demo``: record a scraper, stop its server, replay it offline."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ...reading.listing import Listing
from ...storage.catalog.selection import Wanted
from ...utils import counted
from ..demo_scraper import demonstrate
from ..options import json_option, reading
from ..output import WRONG, print_line
from ..pages import Page
from ..tables import print_table
from ..units import bytes_of, span
from .requests import columns
from .requests import values as request_values


@click.command()
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the store.  [default: a new one for temporary files]",
)
@json_option
def demo(root: Path | None, as_json: bool) -> None:
    """Record a small scraper against a server on loopback, stop the server, and replay it.

    Exit status 1 if the replay did not find what the recording had found.

    \b
    Example:
      mxm-dataio demo --root demo-data
    """
    if root is None:
        root = Path(tempfile.mkdtemp(prefix="mxm-dataio-demo-"))
    done = demonstrate(root)
    with reading(root) as store:
        session = store.session(done.recorded)
        with store.catalog.snapshot() as db:
            calls = list(Listing(db).calls(Wanted(sessions=(done.recorded,))))
        payloads = {
            tried.checksum: tried.size
            for call in calls
            for tried in call.attempts
            if tried.checksum
        }
    if as_json:
        for call in calls:
            print_line("request", **request_values(call))
        print_line(
            "demo", id=done.recorded, root=str(root), equal=done.equal, asked=done.asked,
            seconds=done.seconds,
        )  # fmt: skip
    else:
        page = Page()
        print_table(columns(days=False), calls)
        page.line()
        attempts = counted(sum(len(call.attempts) for call in calls), "attempt")
        verdict = (
            ("EQUAL: the replay found what the recording had found", "bold green")
            if done.equal
            else ("NOT EQUAL: the replay found something else", "bold red")
        )
        page.pairs(
            [
                ("recorded", f"{counted(len(calls), 'call')} in {attempts}"),
                (
                    "payloads",
                    f"{counted(len(payloads), 'file')}, {bytes_of(sum(payloads.values()))}",
                ),
                ("store", str(root)),
                ("time", f"{span(done.seconds[0])} recording, {span(done.seconds[1])} replaying"),
                (
                    "server",
                    f"asked {done.asked[0]} times while recording, {done.asked[1]} replaying",
                ),
                ("result", verdict),
            ]
        )
        assert session is not None
        page.line()
        for command in ("sessions", "show latest", "verify"):
            page.line(("  go on with  ", "dim"), f"mxm-dataio {command} --root {root}")
    if not done.equal:
        raise SystemExit(WRONG)
