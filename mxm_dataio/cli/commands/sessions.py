"""``mxm-dataio sessions``: what was recorded, session by session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ...config.archive_urls import ArchiveRoot
from ...integrity.tombstones import is_prune
from ...models import Session, Status
from ...reading.filters import in_trees
from ...reading.listing import Listing, Totals
from ...reading.outcomes import ENDED_BY_PARENT, PRUNED, ended, exit_word
from ...storage.root_store import RootStore
from ...utils import instant, parse_instant
from ..options import Command, reading, since_option, source_option, store_options
from ..output import WRONG, fail, print_line
from ..tables import PIPE, TERMINAL, Cell, Column, print_table
from ..units import day, short, size, span

STATUS_STYLES = {
    "running": "bold cyan", "complete": "green", "incomplete": "yellow", "failed": "red",
    "interrupted": "magenta", PRUNED: "dim",
    ENDED_BY_PARENT: "cyan",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A session as it is listed.

    Attributes:
        depth: how deep below its root.
        others: sources of its calls, besides its own.
        family: totals of it and those below it.
        counted: how its calls ended is not known, only how many there are.
    """

    depth: int
    session: Session
    totals: Totals = Totals()  # noqa: RUF009 - a tuple
    others: tuple[str, ...] = ()
    family: Totals = Totals()  # noqa: RUF009 - a tuple
    counted: bool = False

    @property
    def status(self) -> str:
        """How it ended, or that it was pruned."""
        return ended(self.session)

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end."""
        session = self.session
        if not session.ended_at or not session.started_at:
            return None
        return max(0.0, parse_instant(session.ended_at) - parse_instant(session.started_at))

    @property
    def seconds(self) -> str | None:
        """The same, for a pipe."""
        return None if self.duration is None else f"{self.duration:.6f}"

    @property
    def name(self) -> str:
        """Its sources; of the session that stands for a prune, that."""
        own = self.session.source or f"({self.session.kind})"
        return ", ".join((own, *self.others))

    def known(self, number: int) -> int | None:
        """Return a figure of its calls, if more than their number is known."""
        return None if self.counted else number

    def number(self, count: int) -> str:
        """Return a count of its calls; nothing where it can have none."""
        return "" if self.session.pruned_at or is_prune(self.session) else f"{count:,}"


def _id(line: Line) -> Cell:
    mark = "  " * (line.depth - 1) + "└ " if line.depth else ""
    return f"{mark}{short(line.session.id)}", "yellow" if line.number(0) else "dim"


def _errors(line: Line) -> Cell:
    number = "" if line.counted else line.number(line.family.errors)
    return number, "red" if line.family.errors else "dim"


def status_style(line: Line) -> str:
    """Return the colour of a status: green if capture and program are as they should."""
    complete = line.session.status is Status.COMPLETE
    return "" if complete and line.session.exit_status else STATUS_STYLES[line.status]


def exit_style(line: Line) -> str:
    """Return the colour of how the program ended."""
    session = line.session
    return "bold red" if session.exit_status and not session.ended_by_parent else "dim"


def _exit(line: Line) -> Cell:
    # Of one that its parent ended the status says it.
    known = None if line.session.ended_by_parent else line.session.exit_status
    return exit_word(known) or "", exit_style(line)


COLUMNS: Sequence[Column[Line]] = (
    Column("id", lambda line: line.session.id, _id),
    Column(
        "source",
        lambda line: line.session.source and line.name,
        lambda line: line.name,
        least=8,
    ),
    Column("as of", lambda line: line.session.as_of, lambda line: line.session.as_of[:10], rank=4),
    Column("mode", lambda line: line.session.mode, rank=5),
    Column("status", lambda line: line.status, lambda line: (line.status, status_style(line))),
    Column("exit", lambda line: line.session.exit_status, _exit, sparse=True, where=TERMINAL),
    Column(
        "started (UTC)",
        lambda line: line.session.started_at,
        lambda line: day(line.session.started_at),
    ),
    Column("took", lambda line: line.seconds, lambda line: span(line.duration), right=True, rank=2),
    Column(
        "calls",
        lambda line: line.totals.calls,
        lambda line: line.number(line.family.calls),
        right=True,
    ),
    Column("errors", lambda line: line.known(line.totals.errors), _errors, right=True),
    Column(
        "bytes",
        lambda line: line.known(line.totals.size),
        lambda line: size(line.family.size) if line.number(0) and not line.counted else "",
        right=True,
        rank=1,
    ),
    Column("parent", lambda line: line.session.parent_id, where=PIPE),
    Column(
        "program",
        lambda line: line.session.program,
        lambda line: (line.session.program, "dim"),
        least=12,
        rank=3,
        sparse=True,
    ),
    Column("exit", lambda line: line.session.exit_status, where=PIPE),
)


@click.command(cls=Command)
@source_option("Only those of a source.")
@since_option("sessions")
@click.option(
    "--status",
    type=click.Choice(list(STATUS_STYLES)),
    metavar="WORD",
    help=f"Only those that are so: {', '.join(STATUS_STYLES)}.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the newest N, and their children.",
)
@store_options
def sessions(
    source: str | None,
    since: float | None,
    status: str | None,
    limit: int | None,
    root: Path,
    as_json: bool,
) -> None:
    """List the sessions, oldest first, those of child processes below their parent's.

    An id may be given to other commands by its beginning or its end, which is what a terminal
    shows; the newest session is also called latest or -1, the one before it latest~1 or -2.

    Status is how capture ended, exit how the program did. Calls, errors and bytes of a session
    count those of its child processes in, which follow it.

    Into a pipe: tab-separated, without headings: id, sources, as-of, mode, status, start, seconds,
    calls, errors and bytes of its own, parent, program, exit.

    \b
    Examples:
      mxm-dataio sessions --since 7d
      mxm-dataio sessions --source market --status failed --json
    """
    problems: list[str] = []
    with reading(root) as store:
        recorded = set()
        archived: dict[str, tuple[Session, int, set[str]]] = {}
        if isinstance(root, ArchiveRoot):
            archived = _archived(store, problems)
        if archived and source is not None:
            recorded = {id for id, (_, _, sources) in archived.items() if source in sources}
        elif source is not None:
            with store.catalog.snapshot() as db:
                recorded = Listing(db).with_source(source)
        held = [one for one, *_ in archived.values()] if archived else store.sessions()
        wanted = [
            session
            for session in held
            if (source is None or session.source == source or session.id in recorded)
            and (since is None or session.started_at >= instant(since))
            and (status is None or Line(0, session).status == status)
        ]
        trees = _newest(in_trees(wanted), limit)
        some = len(trees) < len(wanted) or (source, since, status) != (None, None, None)
        if isinstance(root, ArchiveRoot):
            lines = _counted(trees, held, archived)
        else:
            lines = lines_of(store, trees, held, some=some)
    if as_json:
        for line in lines:
            print_line("session", **values(line))
    elif not print_table(COLUMNS, lines):
        click.echo("no sessions found", err=True)
    if problems:
        fail("\n".join(problems), WRONG)


def _archived(store: RootStore, problems: list[str]) -> dict[str, tuple[Session, int, set[str]]]:
    """Return the sessions of an archive with number and sources of their calls, by their ids."""
    from ...archive.archived_store import ArchivedStore

    assert isinstance(store, ArchivedStore)
    return {one[0].id: one for one in store.cache.listed(problems)}


def _counted(
    trees: Sequence[tuple[int, Session]],
    held: Sequence[Session],
    archived: Mapping[str, tuple[Session, int, set[str]]],
) -> list[Line]:
    """Return sessions of an archive, of whose calls only the number is known."""
    below = _descendants([one.id for _, one in trees], held)
    lines = []
    for depth, one in trees:
        _, count, sources = archived[one.id]
        family = sum(archived[id][1] for id in (one.id, *below[one.id]))
        others = tuple(sorted(sources - {one.source}))
        lines.append(Line(depth, one, Totals(count), others, Totals(family), counted=True))
    return lines


def lines_of(
    store: RootStore,
    trees: Sequence[tuple[int, Session]],
    held: Sequence[Session],
    *,
    some: bool = True,
) -> list[Line]:
    """Return sessions with their totals.

    Args:
        held: those, and what is below them.
        some: they are not all that there are.
    """
    below = _descendants([one.id for _, one in trees], held)
    ids = set(below).union(*below.values()) if some else None
    with store.catalog.snapshot() as db:
        totals, sources = Listing(db).totals(ids), Listing(db).sources(ids)
    lines = []
    for depth, one in trees:
        others = tuple(name for name in sources.get(one.id, ()) if name != one.source)
        members = [totals[id] for id in (one.id, *below[one.id]) if id in totals]
        family = Totals(*map(sum, zip(*members, strict=True)))
        lines.append(Line(depth, one, totals.get(one.id, Totals()), others, family))
    return lines


def _descendants(ids: Sequence[str], held: Sequence[Session]) -> dict[str, list[str]]:
    """Return the ids of what is below sessions."""
    found: dict[str, list[str]] = {id: [] for id in ids}
    parents = {session.id: session.parent_id for session in held}
    for session in held:
        above, passed = session.parent_id, {session.id}
        # A forged row may be its own parent.
        while above is not None and above not in passed:
            if above in found:
                found[above].append(session.id)
            passed.add(above)
            above = parents.get(above)
    return found


def _newest(trees: list[tuple[int, Session]], limit: int | None) -> list[tuple[int, Session]]:
    """Return the last roots, each with what is below it."""
    roots = [place for place, (depth, _) in enumerate(trees) if not depth]
    return trees[roots[-limit] :] if limit and limit < len(roots) else trees


def values(line: Line) -> dict[str, object]:
    session, totals = line.session, line.totals
    return {
        "id": session.id, "source": session.source, "other_sources": list(line.others),
        "as_of": session.as_of,
        "mode": session.mode, "status": session.status, "kind": session.kind,
        "started_at": session.started_at, "ended_at": session.ended_at,
        "duration": line.duration, "calls": totals.calls,
        "attempts": line.known(totals.attempts), "errors": line.known(totals.errors),
        "bytes": line.known(totals.size),
        "family": {
            name: value if name == "calls" else line.known(value)
            for name, value in line.family._asdict().items()
        },
        "parent_id": session.parent_id,
        "root_id": session.root_id, "program": session.program,
        "exit_status": session.exit_status, "outcome": line.status, "pid": session.pid,
        "warnings": list(session.warnings),
        "unseen": None if session.coverage is None else len(session.coverage),
        "pruned_at": session.pruned_at,
    }  # fmt: skip
