"""``mxm-dataio prune``: delete what is no longer wanted, after a look at what that is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...integrity import pruning
from ...integrity.pruning import Choice, Pruned, Tree
from ...storage.catalog.selection import seconds
from ...storage.root_store import RootStore
from ...utils import counted
from ..archives import asked, page_with
from ..options import (
    Command,
    archive_url,
    complete_session,
    folder_options,
    means,
    reading,
    source_option,
)
from ..output import WRONG, print_line, progress_bar
from ..pages import Page
from ..tables import Column, print_table
from ..units import bytes_of, day, short, size

if TYPE_CHECKING:
    from ...archive import PrunedArchive

COLUMNS: Sequence[Column[Tree]] = (
    Column("id", lambda tree: tree.root.id, lambda tree: (short(tree.root.id), "yellow")),
    Column("source", lambda tree: tree.root.source, least=8),
    Column("as of", lambda tree: tree.root.as_of, lambda tree: tree.root.as_of[:10], rank=2),
    Column(
        "started (UTC)",
        lambda tree: tree.root.started_at,
        lambda tree: day(tree.root.started_at),
    ),
    Column(
        "children",
        lambda tree: len(tree.members) - 1,
        lambda tree: f"{len(tree.members) - 1 or ''}",
        right=True,
        sparse=True,
    ),
    Column("calls", lambda tree: tree.calls, lambda tree: f"{tree.calls:,}", right=True),
    Column("bytes named", lambda tree: tree.size, lambda tree: size(tree.size), right=True),
)


@click.command(cls=Command)
@click.argument("url", required=False, callback=means(archive_url))
@click.option(
    "--older-than",
    callback=means(seconds),
    metavar="SPAN",
    help="Sessions that began so long ago: 30d, 4w, 2y.",
)
@source_option("Sessions of a source of their own; what else they recorded goes as well.")
@click.option(
    "--session",
    "sessions",
    multiple=True,
    shell_complete=complete_session,
    metavar="ID",
    help="This session. May be repeated.",
)
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    metavar="N",
    help="All but the newest N sessions of each source.",
)
@click.option("--yes", is_flag=True, help="Do it, rather than say what would be done.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.  [default]")
@click.option("--vacuum", is_flag=True, help="With --yes: write the database anew, without gaps.")
@folder_options
def prune(
    url: str | None,
    older_than: float | None,
    source: str | None,
    sessions: tuple[str, ...],
    keep_last: int | None,
    yes: bool,
    dry_run: bool,
    vacuum: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Delete sessions with all their calls, and payloads that no record names any more.

    Without --yes it only says what would go. Of several options, all have to apply; without any,
    only files go that no record names. Sessions of child processes go with their parent's.

    What stays of a session is its row and its seal: verify and published heads hold as before, and
    verify says which sessions were pruned, and when. Sessions under way stay, and those of which
    calls were served to sessions that stay. Files that were written or met within the last hour
    are left to a later prune.

    With the URL of an archive it is pruned, by --older-than and --source. There, what no session
    names is kept for seven days, since others may be pushing; sessions are pruned whether they
    answered others or not.

    Deleted records leave gaps in the database, which are filled again by new ones; until then the
    bytes of deleted ones may still be read from the file, unless --vacuum is given.

    \b
    Examples:
      mxm-dataio prune --older-than 30d --keep-last 5
      mxm-dataio prune --source market --older-than 4w --yes
      mxm-dataio prune s3://bucket/2025 --older-than 2y
    """
    if yes and dry_run:
        raise click.UsageError("give either --yes or --dry-run")
    if vacuum and not yes:
        raise click.UsageError("--vacuum goes with --yes")
    if url is not None:
        if sessions or keep_last is not None or vacuum or older_than is None:
            raise click.UsageError("an archive is pruned by --older-than, and by --source besides")
        _prune_archive(url, older_than, source, as_json, remove=yes)
        return
    before = None if older_than is None else time.time() - older_than
    with reading(root) as store:
        ids = tuple(store.session_id(text) for text in sessions)
        choice = Choice(before, source, ids, keep_last)
        if not yes:
            with progress_bar("looking at") as progress:
                _say(pruning.plan(store, choice, progress=progress), as_json, done=False)
            return
    with RootStore(root, readonly=False, patient=True) as store:
        with progress_bar("looking at") as progress:
            found = pruning.prune(store, choice, progress=progress)
        if vacuum:
            store.catalog.vacuum()
    _say(found, as_json, done=True)


def _prune_archive(
    url: str, older_than: float, source: str | None, as_json: bool, *, remove: bool
) -> None:
    where, found = asked(
        url, "looking at", "the next prune goes on",
        lambda archive, progress: archive.prune(
            older_than, source, remove=remove, progress=progress
        ),
    )  # fmt: skip
    if as_json:
        print_line(
            "prune", url=where, done=found.done, sessions=found.sessions, calls=found.calls,
            objects=found.objects, bytes=found.size, young=found.young,
            problems=list(found.problems),
        )  # fmt: skip
    else:
        _say_archive(where, found)
    if not found.ok:
        raise SystemExit(WRONG)


def _say_archive(url: str, found: PrunedArchive) -> None:
    page = page_with(found.problems)
    verb, also = ("pruned", "removed") if found.done else ("would prune", "remove")
    page.line(
        f"{verb} {counted(found.sessions, 'session')} with {counted(found.calls, 'call')} from "
        f"{url}, and {also} {counted(found.objects, 'object')} ({bytes_of(found.size)})"
    )
    if found.young:
        page.line(
            f"{counted(found.young, 'object')} that no session names: younger than seven days, "
            "left to a later prune"
        )
    if not found.done and (found.sessions or found.objects):
        page.line(("nothing was deleted: --yes does it", "bold yellow"))


def _say(found: Pruned, as_json: bool, *, done: bool) -> None:
    calls = sum(tree.calls for tree in found.trees)
    members = sum(len(tree.members) for tree in found.trees)
    files = found.collected
    if as_json:
        for tree in found.trees:
            root = tree.root
            print_line(
                "session", id=root.id, source=root.source, as_of=root.as_of,
                started_at=root.started_at, children=[one.id for one in tree.members[1:]],
                calls=tree.calls, bytes=tree.size,
            )  # fmt: skip
        for session, why in found.kept:
            print_line("kept", id=session.id, source=session.source, why=why)
        print_line(
            "prune", done=done, sessions=members, calls=calls, files=files.files,
            bytes=files.size, young=files.young, temporary=files.temporary,
        )  # fmt: skip
        return
    page = Page()
    if found.trees:
        print_table(COLUMNS, found.trees)
        page.line()
    for session, why in found.kept:
        page.line(("kept: ", "yellow"), f"session {session.id}: {why}")
    verb = "pruned" if done else "would prune"
    also = "removed" if done else "remove"
    page.line(
        f"{verb} {counted(members, 'session')} with {counted(calls, 'call')}, and {also} "
        f"{counted(files.files, 'payload file')} ({bytes_of(files.size)})"
        + (f" and {counted(files.temporary, 'unfinished file')}" if files.temporary else "")
    )
    if files.young:
        page.line(
            f"{counted(files.young, 'file')} that no record names: written or met within the "
            "last hour, left to a later prune"
        )
    if not done and (found.trees or files.files or files.temporary):
        page.line(("nothing was deleted: --yes does it", "bold yellow"))
