"""``mxm-dataio requests``: the calls, one a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import ConfigError, IntegrityError
from ...models import Status
from ...reading.listing import Listed, Listing
from ...reading.outcomes import BROKEN
from ...storage.catalog.selection import Outcome, Wanted, outcome_of
from ...utils import instant
from ..options import (
    Command,
    complete_session,
    means,
    reading,
    since_option,
    source_option,
    store_options,
)
from ..output import WRONG, print_line, printable, progress_bar
from ..tables import PIPE, Cell, Column, print_table
from ..units import codes, short, size, span

if TYPE_CHECKING:
    from ...integrity.findings import Progress
    from ...models import Exchange
    from ...storage.root_store import RootStore

CLASSES = {"1": "cyan", "2": "green", "3": "cyan", "4": "yellow", "5": "bold red"}
_FLUSHED = 65_536


def outcome(call: Listed) -> str:
    """Return how a call's attempts ended, and the call, if not as it should."""
    tried = [str(one.status_code or "failed") for one in call.attempts]
    if not tried:
        tried = ["stored" if call.served_from else str(call.status)]
    shown = codes(tried)
    if call.status in (Status.PARTIAL, Status.INTERRUPTED) and call.attempts:
        shown += f" {call.status}"
    elif call.status is Status.FAILED and tried[-1] != "failed":
        shown += "→failed" if call.attempts else ""
    return f"{shown} forgotten" if call.forgotten_at else shown


def outcome_cell(call: Listed) -> Cell:
    """Return the same in colour."""
    shown = outcome(call)
    code = call.answer.status_code if call.answer else None
    if call.status in BROKEN:
        return shown, "bold red"
    if call.status is Status.PARTIAL:
        return shown, "yellow"
    return shown, CLASSES.get(str(code or "")[:1], "cyan")


def _id(call: Listed) -> Cell:
    return short(call.id), "yellow"


def _bytes(call: Listed) -> str:
    return size(call.answer.size if call.answer and call.answer.checksum else None)


def _checksum(call: Listed) -> str | None:
    return call.answer.checksum if call.answer else None


def columns(*, days: bool) -> Sequence[Column[Listed]]:
    """Return the columns.

    Args:
        days: calls may be of several.
    """
    start, end = (0, 19) if days else (11, 19)
    return (
        Column("id", lambda call: call.id, _id),
        Column("session", lambda call: call.session, where=PIPE),
        Column(
            "time (UTC)",
            lambda call: instant(call.started),
            lambda call: (instant(call.started)[start:end].replace("T", " "), "dim"),
            rank=4,
        ),
        Column("method", lambda call: call.method),
        Column("status", outcome, outcome_cell),
        Column(
            "bytes",
            lambda call: call.answer.size if call.answer else None,
            _bytes,
            right=True,
            rank=1,
        ),
        Column(
            "took",
            lambda call: None if call.duration is None else f"{call.duration * 1000:.3f}",
            lambda call: span(call.duration),
            right=True,
            rank=2,
        ),
        Column("url", lambda call: call.url, lambda call: call.url, least=36, urls=True),
        Column(
            "checksum",
            _checksum,
            lambda call: ((_checksum(call) or "")[:8], "dim"),
            rank=3,
        ),
    )


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise ConfigError(f"{text!r} is no regular expression: {exc}") from None


@click.command(cls=Command)
@click.argument("session", required=False, shell_complete=complete_session)
@click.option(
    "--session", "named", shell_complete=complete_session, metavar="ID", help="The same as SESSION."
)
@click.option(
    "--host", metavar="HOST", help="Only to a host; * stands for any text: '*.example.com'."
)
@click.option("--method", metavar="NAME", help="Only with a method.")
@click.option(
    "--status",
    "outcomes",
    multiple=True,
    callback=means(lambda words: tuple(map(outcome_of, words))),
    metavar="WORD",
    help="Only those of which an attempt was answered so (404, 5xx), or that are failed, partial, "
    "interrupted or complete. May be repeated.",
)
@since_option("calls")
@source_option("Only those of a source.")
@click.option(
    "--failed", is_flag=True, help="Only those that failed, or were at last answered 4xx or 5xx."
)
@click.option(
    "--grep",
    callback=means(_pattern),
    metavar="REGEX",
    help="Only those in whose URL a pattern is found, with --bodies in a body.",
)
@click.option(
    "--bodies", is_flag=True, help="With --grep: look into the bodies, of requests too, decoded."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@store_options
def requests(
    session: str | None,
    named: str | None,
    host: str | None,
    method: str | None,
    outcomes: tuple[Outcome, ...],
    since: float | None,
    source: str | None,
    failed: bool,
    grep: re.Pattern[str] | None,
    bodies: bool,
    limit: int | None,
    root: Path,
    as_json: bool,
) -> None:
    """List calls in the order in which they were made: of a SESSION and its children, or all.

    The status is that of each attempt: 503→200 is a call that was tried again. An id may be given
    to show by its beginning or its end, which is what a terminal shows.

    Into a pipe: tab-separated, without headings: id, session, time, method, status, bytes,
    milliseconds, URL, checksum of the last answer's payload.

    \b
    Examples:
      mxm-dataio requests latest --status 5xx --status failed
      mxm-dataio requests --since 2h --host '*.example.com' --grep 'page=\\d+'
    """
    if session is not None and named is not None:
        raise click.UsageError("give the session once")
    if bodies and grep is None:
        raise click.UsageError("--bodies says where --grep is to look: give that too")
    session = session or named
    with reading(root, every=session is None, source=source) as store:
        ids = None
        if session is not None:
            ids = tuple(one.id for one in store.family(store.session_id(session)))
        wanted = Wanted(
            ids, host, method.upper() if method else None, outcomes, since, source, failed
        )
        unread: list[str] = []
        with store.catalog.snapshot() as db, progress_bar("looking through") as progress:
            listing = Listing(db)
            calls = listing.calls(wanted, newest_first=limit is not None)
            if grep is not None:
                if bodies:
                    total = listing.count(wanted) if progress else 0
                    calls = _found(store, _told(calls, total, progress), grep, unread)
                else:
                    calls = (call for call in calls if grep.search(call.url))
            if limit is not None:
                calls = iter(list(islice(calls, limit))[::-1])
            _print(calls, as_json, days=session is None)
    if unread:
        click.secho(
            f"{len(unread)} bodies can't be read; the first: {printable(unread[0])}",
            fg="red", err=True,
        )  # fmt: skip
        raise SystemExit(WRONG)


def _print(calls: Iterable[Listed], as_json: bool, *, days: bool) -> None:
    if not as_json:
        if not print_table(columns(days=days), calls):
            click.echo("no calls found", err=True)
        return
    for call in calls:
        print_line("request", **values(call))


def values(call: Listed) -> dict[str, object]:
    answer = call.answer
    return {
        "id": call.id, "session_id": call.session, "source": call.source,
        "started_at": instant(call.started), "method": call.method, "url": call.url,
        "status": call.status, "outcome": outcome(call),
        "status_code": answer.status_code if answer else None,
        "attempts": [one.status_code for one in call.attempts],
        "bytes": answer.size if answer else None, "duration": call.duration,
        "checksum": answer.checksum if answer else None, "served_from": call.served_from,
        "forgotten_at": call.forgotten_at,
    }  # fmt: skip


def _told(calls: Iterator[Listed], total: int, progress: Progress | None) -> Iterator[Listed]:
    for done, call in enumerate(calls):
        if progress and not done % 16:
            progress("calls", done, total)
        yield call


def _found(
    store: RootStore, calls: Iterable[Listed], pattern: re.Pattern[str], unread: list[str]
) -> Iterator[Listed]:
    """Yield the calls in whose URL or bodies a pattern is found; each payload is read once."""
    from ...reading.bodies import Body, answered, occurs, sent

    known: dict[object, bool] = {}

    def looks(checksum: str | None, body: Body) -> bool:
        if checksum is None:
            return False
        key = (checksum, body.codings, body.media)
        if key not in known:
            if len(known) >= _FLUSHED:
                known.clear()
            known[key] = False
            try:
                known[key] = occurs(pattern, body)
            except IntegrityError as exc:
                unread.append(str(exc))
        return known[key]

    def within(exchange: Exchange) -> bool:
        request = exchange.request
        return looks(request.body_checksum, sent(store, request)) or any(
            looks(one.checksum, answered(store, one)) for one in exchange.responses
        )

    for call in calls:
        if pattern.search(call.url):
            yield call
            continue
        exchange = store.exchange(call.id)
        if exchange is not None and within(exchange):
            yield call
