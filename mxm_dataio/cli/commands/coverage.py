"""``mxm-dataio coverage``: what of a session was captured, and what went past it."""

from __future__ import annotations

from pathlib import Path

import click

from ...coverage.natives import NATIVE
from ...models import Session, Status, Unseen
from ...reading.account import Account, account_of
from ...reading.outcomes import ended, exit_word
from ...storage.unseen import CONNECTION, LIBRARY, PROCESS
from ...utils import counted
from .. import output
from ..options import Command, complete_session, reading, store_options
from ..output import WRONG, print_line, printable, wrapped

# What is to be known of each kind, by one who reads that it was seen.
_MEANING = {
    CONNECTION: "a connection that no captured call made: what went over it is not recorded",
    PROCESS: "a process that does not record its own calls: what it fetched is not known",
    LIBRARY: "it connects without Python's sockets, so that where to can't be seen",
}
_LIMITS = (
    "Not seen by anyone: what a library does without Python's sockets (those that are known for it "
    "are listed where they are loaded), what a listed process does, and connections that were open "
    "before the session began."
)


@click.command("coverage", cls=Command)
@click.argument("session", default="latest", shell_complete=complete_session)
@store_options
def coverage_command(session: str, root: Path, as_json: bool) -> None:
    """Print what of a session was captured, and what was seen to go past it.

    And the calls that it was told to leave out. Counts the sessions of its child processes in.
    SESSION is an id, its beginning or its end, or latest, which is the default. Exit status 1:
    something went past, or it was not watched, so that nobody knows.

    \b
    Example:
      mxm-dataio coverage 0198a7c2
    """
    with reading(root) as store:
        account = account_of(store, store.session_id(session))
    if as_json:
        _print_lines(account)
    else:
        _say(account)
    if not account.ok:
        raise SystemExit(WRONG)


def _print_lines(account: Account) -> None:
    for session in account.sessions:
        print_line(
            "session", id=session.id, parent=session.parent_id, source=session.source,
            status=session.status, watched=session.coverage is not None,
        )  # fmt: skip
        for one in session.coverage or ():
            print_line("unseen", session=session.id, **_fields(one))
        for one in session.left_out:
            print_line("left_out", session=session.id, name=one.name, times=one.times)
    for host, calls in account.hosts.items():
        print_line("host", host=host, calls=calls)
    print_line(
        "coverage", id=account.session.id, ok=account.ok, sessions=len(account.sessions),
        unwatched=len(account.unwatched), calls=account.calls, unseen=len(account.unseen),
        left_out=sum(one.times for one in account.left_out),
    )  # fmt: skip


def _fields(one: Unseen) -> dict[str, object]:
    return {
        "kind": one.kind, "name": one.name, "times": one.times, "caller": one.caller or None,
    }  # fmt: skip


def _say(account: Account) -> None:
    session = account.session
    children = len(account.sessions) - 1
    exit = "" if session.exit_status is None else f", exit {exit_word(session.exit_status)}"
    within = f", with {counted(children, 'child session')}" if children else ""
    click.echo(
        wrapped(
            printable(
                f"session {session.id}\n"
                f"{session.source}, {session.started_at}, {session.mode}, {ended(session)}{exit}"
                f"{within}"
            )
        )
    )
    click.echo()
    click.secho(
        f"captured: {counted(account.calls, 'call')}, {counted(len(account.hosts), 'host')}",
        bold=True,
    )
    _table([[host, f"{calls:,}"] for host, calls in account.hosts.items()])
    click.echo()
    if account.left_out:
        times = sum(one.times for one in account.left_out)
        click.secho(f"left out, as it was told to: {counted(times, 'call')}", bold=True)
        _table([[one.name, f"{one.times:,}"] for one in account.left_out])
        click.echo()
    if account.unseen:
        found = counted(len(account.unseen), "finding")
        click.secho(f"not captured: {found}", fg="red", bold=True)
        _table([_cells(one) for one in account.unseen])
        for kind in dict.fromkeys(one.kind for one in account.unseen):
            if kind in _MEANING:
                click.echo(wrapped(f"  {kind}: {_MEANING[kind]}", "    "))
    elif account.ok:
        click.secho("not captured: nothing that was seen", fg="green", bold=True)
    for one in account.unwatched:
        which = f"session {one.id}" if children else "it"
        click.secho(wrapped(printable(f"not known: {_why(one, which)}"), "  "), fg="red", bold=True)
    click.echo()
    click.echo(wrapped(_LIMITS) if output.width() else click.wrap_text(_LIMITS, width=100))


def _why(session: Session, which: str) -> str:
    if session.status is Status.INTERRUPTED:
        return f"{which} was {ended(session)}, and nobody watched what went past until then"
    return f"{which} was not watched (watch=True, or mxm-dataio run, does that)"


def _cells(one: Unseen) -> list[str]:
    by = f"by {one.caller}" if one.caller else ""
    if one.kind == LIBRARY:
        native = f"loaded; connects by {NATIVE[one.name]}" if one.name in NATIVE else "loaded"
        return [one.kind, one.name, "", f"{native}{f', imported {by}' if by else ''}"]
    return [one.kind, one.name, f"×{one.times:,}", by]


def _table(rows: list[list[str]]) -> None:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(wrapped(f"  {'  '.join(cells)}".rstrip(), "      "))
