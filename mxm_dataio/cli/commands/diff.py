"""``mxm-dataio diff``: what differs between two sessions, or two calls."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import click

from ...errors import IntegrityError, StoreError
from ...models import Exchange, Session
from ...reading.comparison import (
    CallsCompared,
    Comparer,
    Pair,
    paired,
    plainly_same,
)
from ...reading.listing import Listing
from ...storage.families import family
from ...storage.root_store import RootStore
from ..differences import JsonReport, PageReport
from ..options import Command, complete_session, named, reading, store_options
from ..output import WRONG, progress_bar
from ..tables import shared_host


@click.command(cls=Command)
@click.argument("a", required=False, shell_complete=complete_session)
@click.argument("b", required=False, shell_complete=complete_session)
@click.option("--brief", is_flag=True, help="Only which calls differ, not in what.")
@click.option("--all", "whole", is_flag=True, help="All that differs in a body, not its beginning.")
@click.option(
    "--all-headers",
    is_flag=True,
    help="Compare those too that differ from answer to answer (Date, Age, request ids, …).",
)
@click.option("--no-headers", is_flag=True, help="Compare no headers.")
@store_options
def diff(
    a: str | None,
    b: str | None,
    brief: bool,
    whole: bool,
    all_headers: bool,
    no_headers: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Compare two sessions with their children, or two calls. Exit status 1 if they differ.

    By default the newest session with the one before it of the same source.

    Calls of two sessions belong together if they are the same call, the first with the first and so
    on: those that were added, are gone, or got another answer are listed. Bodies are compared
    decoded: JSON by its values, whatever its white space and the order of its members, text by
    lines, anything else by size and checksum. Of two calls, what was asked is compared too.

    \b
    Examples:
      mxm-dataio diff
      mxm-dataio diff latest~1 latest
      mxm-dataio diff 7c1a9e02 91bb02f4 --all-headers
    """
    if all_headers and no_headers:
        raise click.UsageError("give either --all-headers or --no-headers")
    with reading(root) as store:
        if a is None:
            old, new = _last_two(store)
        elif b is None:
            raise click.UsageError("give two sessions or two calls, or neither for the last two")
        else:
            old, new = named(store, a), named(store, b)
        report = JsonReport() if as_json else PageReport(brief=brief, whole=whole)
        if isinstance(old, Session) and isinstance(new, Session):
            comparer = Comparer(store, not no_headers, all_headers, requests=False)
            equal = _Sessions(store, comparer, report).compare(old, new)
        elif isinstance(old, Exchange) and isinstance(new, Exchange):
            comparer = Comparer(store, not no_headers, all_headers)
            report.begin(old, new)
            found = comparer.compare(old, new)
            report.call(old, new, found)
            equal = found.same
        else:
            raise click.UsageError("give two sessions or two calls")
    if not equal:
        raise SystemExit(WRONG)


def _last_two(store: RootStore) -> tuple[Session | Exchange, Session | Exchange]:
    """Return the newest session, behind the one before it of the same source.

    Raises:
        StoreError: there is none.
    """
    newest = named(store, "latest")
    assert isinstance(newest, Session)
    with contextlib.suppress(StoreError):
        # That of an archive comes by being named.
        store.session_id("latest~1", newest.source)
    for one in reversed(store.sessions(newest.source)):
        if one.parent_id is None and not one.pruned_at and one.id < newest.id:
            return one, newest
    raise StoreError(
        f"session {newest.id} is the first of the source {newest.source!r} in {store.root}: there "
        "is none to compare it with",
        path=store.root,
    )


class _Sessions:
    """Compares the calls of two sessions, one pair after the other."""

    def __init__(
        self, store: RootStore, comparer: Comparer, report: PageReport | JsonReport
    ) -> None:
        self._store = store
        self._comparer = comparer
        self._report = report
        self._counts: Counter[str] = Counter()

    def compare(self, old: Session, new: Session) -> bool:
        """Report what differs, and say whether nothing does."""
        sessions = self._store.sessions()
        families = [[one.id for one in family(sessions, top.id)] for top in (old, new)]
        self._report.begin(old, new)
        ids = (id for each in families for id in each)
        urls = (one for id in ids for one, *_ in self._store.endpoints(id))
        self._report.leave_out(shared_host(urls))
        with self._store.catalog.snapshot() as db, progress_bar("comparing") as progress:
            listing = Listing(db)
            pairs = list(paired(*map(listing.hashes, families)))
            for done, pair in enumerate(pairs):
                if progress and not done % 16:
                    progress("calls", done, len(pairs))
                self._one(listing, pair)
        self._report.end(self._counts)
        return not self._counts.keys() - {"same"}

    def _one(self, listing: Listing, pair: Pair) -> None:
        if pair.old is None or pair.new is None:
            what = "gone" if pair.new is None else "added"
            self._counts[what] += 1
            self._report.alone(what, self._call(pair.old or pair.new or ""))
            return
        before, after = listing.ending(pair.old), listing.ending(pair.new)
        if before and after and plainly_same(
            before, after, headers=self._comparer.headers, volatile=self._comparer.volatile
        ):  # fmt: skip
            self._counts["same"] += 1
            return
        old, new = self._call(pair.old), self._call(pair.new)
        try:
            found: CallsCompared | IntegrityError = self._comparer.compare(old, new)
        except IntegrityError as exc:
            found = exc
        if isinstance(found, CallsCompared) and found.same:
            self._counts["same"] += 1
            return
        self._counts["changed"] += 1
        self._report.call(old, new, found)

    def _call(self, request_id: str) -> Exchange:
        found = self._store.exchange(request_id)
        if found is None:
            raise IntegrityError(f"call {request_id} went away as it was read")
        return found
