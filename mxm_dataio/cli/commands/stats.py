"""``mxm-dataio stats``: calls, errors, bytes and latencies, host by host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ...reading.statistics import FAILED, PERCENTILES, Figures, figures
from .. import output
from ..options import Command, complete_session, reading, since_option, source_option, store_options
from ..output import print_line, printable, progress_bar
from ..tables import PIPE, Cell, Column, encodable, print_table
from ..units import size, span
from .requests import CLASSES

_TOTAL = "total"
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", FAILED)


def _name(one: Figures) -> Cell:
    return (one.host, "") if one.host else (_TOTAL, "bold")


def _number(count: int, style: str = "") -> Cell:
    return f"{count:,}", style if count else "dim"


def _ends(name: str) -> Column[Figures]:
    style = CLASSES.get(name[0], "bold red")
    return Column(
        name,
        lambda one: one.ends[name],
        lambda one: _number(one.ends[name], style) if one.ends[name] else "",
        right=True,
        sparse=True,
    )


def _saved(one: Figures) -> str:
    return "-" if one.saved is None else f"{one.saved:.0%}"


HOST: Column[Figures] = Column("host", lambda one: one.host or _TOTAL, _name, least=12)
COUNTS: Sequence[Column[Figures]] = (
    Column("calls", lambda one: one.calls, lambda one: _number(one.calls), right=True),
    Column(
        "attempts", lambda one: one.attempts, lambda one: _number(one.attempts), right=True, rank=2
    ),
    Column("errors", lambda one: one.errors, lambda one: _number(one.errors, "red"), right=True),
    *map(_ends, _CLASSES),
    Column("bytes", lambda one: one.size, lambda one: size(one.size), right=True),
    Column("kept", lambda one: one.kept, where=PIPE),
    Column("saved", _saved, lambda one: (_saved(one), "dim"), right=True, rank=1),
)


def _latency(name: str, attribute: str, percent: int) -> Column[Figures]:
    def value(one: Figures) -> float | None:
        found: float | None = getattr(one, attribute).get(percent)
        return found

    return Column(
        name,
        lambda one: None if value(one) is None else f"{(value(one) or 0) * 1000:.3f}",
        lambda one: span(value(one)),
        right=True,
    )


_LATENCIES: Sequence[Column[Figures]] = (
    *(
        _latency(f"{name if percent == PERCENTILES[0] else ''}p{percent}", attribute, percent)
        for name, attribute in (("answer ", "durations"), ("first byte ", "first_bytes"))
        for percent in PERCENTILES
    ),
)


@click.command(cls=Command)
@click.argument("sessions", nargs=-1, metavar="[SESSION]...", shell_complete=complete_session)
@source_option("Only calls of a source.")
@since_option("calls")
@store_options
def stats(
    sessions: tuple[str, ...], source: str | None, since: float | None, root: Path, as_json: bool
) -> None:
    """Print per host how many calls were made, how they ended, how large and how fast they were.

    Of the SESSIONs and their children, or of all. Errors are calls that failed, or were at last
    answered 4xx or 5xx. Bytes are those of all payloads, requests' and answers', as often as they
    are named; of these, equal ones are kept once, which saves the part that is shown. p50 is the
    time within which half of the calls had their answer; the first byte is that of each attempt.

    Into a pipe: tab-separated, without headings: host, calls, attempts, errors, 1xx, 2xx, 3xx, 4xx,
    5xx, failed, bytes, bytes kept, part saved, then milliseconds: p50, p90, p99 of calls and of
    first bytes. The last line is that of the total.

    \b
    Examples:
      mxm-dataio stats --since 7d
      mxm-dataio stats latest --json
    """
    with reading(root, every=not sessions, source=source) as store:
        ids = None
        if sessions:
            ids = [one.id for text in sessions for one in store.family(store.session_id(text))]
        with store.catalog.snapshot() as db, progress_bar("counting") as progress:
            hosts, total = figures(db, sessions=ids, source=source, since=since, progress=progress)
    if as_json:
        for one in hosts:
            print_line("host", host=one.host, **_values(one))
        print_line(_TOTAL, **_values(total))
        return
    rows, first = [*hosts, total], [HOST]
    if output.width() is None:
        print_table([HOST, *COUNTS, *_LATENCIES], rows)
        return
    if len(hosts) == 1:
        click.secho(encodable(printable(f"at {hosts[0].host}")), dim=True)
        rows, first = [total], []
    print_table([*first, *COUNTS], rows)
    click.echo()
    print_table([*first, *_LATENCIES], rows)


def _values(one: Figures) -> dict[str, object]:
    return {
        "calls": one.calls, "attempts": one.attempts, "errors": one.errors,
        "ends": dict(sorted(one.ends.items())), "bytes": one.size, "bytes_kept": one.kept,
        "saved": one.saved,
        "duration": {f"p{percent}": value for percent, value in one.durations.items()},
        "first_byte": {f"p{percent}": value for percent, value in one.first_bytes.items()},
    }  # fmt: skip
