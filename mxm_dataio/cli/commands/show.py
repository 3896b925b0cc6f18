"""``mxm-dataio show``: one session, or one call with all that is known of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ...integrity.tombstones import Gone, is_prune, told
from ...models import Exchange, Response, Session, Unseen
from ...reading import values
from ...reading.bodies import Body, answered, sent
from ...reading.filters import in_trees
from ...reading.outcomes import exit_word
from ...reading.statistics import Figures, figures
from ...storage.root_store import RootStore
from ...utils import counted
from .. import output
from ..exchange import show_exchange
from ..options import Command, complete_session, named, reading, store_options
from ..output import MISUSED, WRONG, fail, print_line
from ..pages import Page
from ..tables import print_table
from ..units import bytes_of, short, span
from .sessions import COLUMNS, Line, exit_style, lines_of, status_style
from .sessions import values as session_values
from .stats import COUNTS, HOST

_SHOWN_ON_TERMINALS = 1 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@click.command(cls=Command)
@click.argument("id", default="latest", shell_complete=complete_session)
@click.option("--all", "whole", is_flag=True, help="Show bodies to their end; with --json, at all.")
@click.option("--raw", is_flag=True, help="Write the payload itself, byte for byte, to a pipe.")
@click.option("--decoded", is_flag=True, help="The same with its content coding (gzip, …) undone.")
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the N-th attempt.  [--raw: last]",
)
@click.option("--request-body", is_flag=True, help="With --raw or --decoded: what was sent.")
@store_options
def show(
    id: str,
    whole: bool,
    raw: bool,
    decoded: bool,
    attempt: int | None,
    request_body: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Show a session, or a call: what was asked, each attempt with its times, headers and bodies.

    ID is that of a session or of a call, or as much of its beginning or end as tells it from
    others; latest, the newest session, is the default. ID/2 is the second attempt of a call.

    Bodies are decoded: JSON is indented, text is in its charset, binary data a hex dump; their
    beginning is shown. What was redacted stands out as REDACTED.

    \b
    Examples:
      mxm-dataio show 7c1a9e02
      mxm-dataio show 7c1a9e02 --raw | sha256sum
      mxm-dataio show 7c1a9e02/1 --decoded > answer.json
    """
    with reading(root) as store:
        name, slash, number = id.partition("/")
        if slash:
            if not number.isdecimal() or not int(number):
                raise click.UsageError(f"{id}: behind the slash stands the number of an attempt")
            attempt = int(number)
        found = named(store, name)
        if raw or decoded:
            if isinstance(found, Session):
                raise click.UsageError(f"{id} is a session, which has no payload: give a call")
            _write(_payload(store, found, attempt, request_body), decoded=decoded)
        elif request_body:
            raise click.UsageError("--request-body says what --raw or --decoded are to write")
        elif isinstance(found, Session):
            _show_session(store, found, as_json)
        else:
            if attempt is not None:
                found = Exchange(found.request, (_attempt(found, attempt),))
            _show_call(store, found, whole=whole, as_json=as_json)


# -- calls ---------------------------------------------------------------------------------------


def _show_call(store: RootStore, exchange: Exchange, *, whole: bool, as_json: bool) -> None:
    if as_json:
        print_line("request", **values.call(store, exchange, bodies=whole))
    elif show_exchange(Page(), store, exchange, whole=whole):
        raise SystemExit(WRONG)


def _attempt(exchange: Exchange, number: int) -> Response:
    for response in exchange.responses:
        if response.sequence == number:
            return response
    fail(
        f"call {exchange.request.id} has no attempt {number}: it has "
        f"{counted(len(exchange.responses), 'attempt')}",
        MISUSED,
    )


def _payload(store: RootStore, exchange: Exchange, attempt: int | None, request_body: bool) -> Body:
    request = exchange.request
    if request_body:
        if request.body_checksum is None:
            fail(f"call {request.id} was made without a body", MISUSED)
        return sent(store, request)
    if not exchange.responses:
        served = f": it was answered from the store, show {request.served_from}"
        fail(f"call {request.id} has no payload{served if request.served_from else ''}", MISUSED)
    response = exchange.responses[-1] if attempt is None else _attempt(exchange, attempt)
    if response.checksum is None:
        fail(f"attempt {response.id} has no payload: no answer came", MISUSED)
    return answered(store, response)


def _write(body: Body, *, decoded: bool) -> None:
    """Write a payload to standard output."""
    if output.width() is not None and not _is_harmless(body, decoded=decoded):
        fail(
            "it may hold what changes how the terminal works: write it to a file or a pipe", MISUSED
        )
    out = sys.stdout.buffer
    for chunk in _content(body, decoded=decoded):
        out.write(chunk)
    out.flush()
    if decoded and body.problem is not None:
        fail(body.problem, WRONG)


def _content(body: Body, *, decoded: bool) -> Iterator[bytes]:
    return body.chunks() if decoded else body.raw()


def _is_harmless(body: Body, *, decoded: bool) -> bool:
    if body.size > _SHOWN_ON_TERMINALS:
        return False
    content = b"".join(_content(body, decoded=decoded))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # The terminal may take each byte for a character.
        text = content.decode("latin-1")
    return _CONTROL.search(text) is None


# -- sessions ------------------------------------------------------------------------------------


def _show_session(store: RootStore, session: Session, as_json: bool) -> None:
    members = store.family(session.id)
    lines = lines_of(store, in_trees(members), members)
    with store.catalog.snapshot() as db:
        hosts, total = figures(db, sessions=[one.id for one in members])
    if as_json:
        print_line(
            "session", **session_values(lines[0]), children=[one.id for one in members[1:]],
            coverage=None if session.coverage is None else [
                one._asdict() for one in session.coverage
            ],
            left_out=[one._asdict() for one in session.left_out],
            hosts={one.host: one.calls for one in hosts},
        )  # fmt: skip
        return
    page = Page()
    page.line(("session", "bold"), " ", (session.id, "bold yellow"))
    _show_facts(page, lines[0], total)
    if len(lines) > 1:
        page.heading("with its children")
        page.line()
        print_table(COLUMNS, lines)
    if len(hosts) > 1:
        page.heading("hosts")
        page.line()
        print_table([HOST, *COUNTS], hosts)
    for title, texts in (
        ("warnings", () if is_prune(session) else session.warnings),
        ("not captured", map(_unseen, session.coverage or ())),
        ("left out", (f"{counted(one.times, 'call')} to {one.name}" for one in session.left_out)),
        ("pruned", map(_gone, told(session.warnings) if is_prune(session) else ())),
    ):
        found = list(texts)
        if found:
            page.heading(title)
            for text in found:
                page.line("  ", (text, "yellow"))
    if total.calls:
        page.line()
        page.line((f"its calls: mxm-dataio requests {short(session.id)}", "dim"))


def _show_facts(page: Page, line: Line, total: Figures) -> None:
    session = line.session
    ended = f", took {span(line.duration)}" if line.duration is not None else ", has not ended"
    calls = (
        f"{counted(total.calls, 'call')} in {counted(total.attempts, 'attempt')}, "
        f"{counted(total.errors, 'error')}, {bytes_of(total.size)}"
    )
    watched = "nobody watched for what is not captured"
    page.pairs(
        [
            ("source", line.name),
            ("kind", session.kind if session.source else None),
            ("mode", str(session.mode)),
            ("as of", session.as_of),
            ("status", (line.status, status_style(line))),
            ("started", f"{session.started_at.replace('T', ' ').rstrip('Z')} UTC{ended}"),
            ("program", session.program),
            ("exit", (exit_word(session.exit_status) or "", exit_style(line))),
            ("process", str(session.pid) if session.pid else None),
            ("parent", session.parent_id),
            ("pruned", session.pruned_at),
            ("calls", None if session.pruned_at or is_prune(session) else calls),
            ("coverage", (watched, "dim") if session.coverage is None else None),
        ]
    )


def _unseen(one: Unseen) -> str:
    times = "" if one.times == 1 else f", {one.times:,} times"
    return f"{one.kind} {one.name}{times}" + (f", by {one.caller}" if one.caller else "")


def _gone(one: Gone) -> str:
    return f"session {one.session}: {counted(one.records, 'call')}"
