"""``mxm-dataio diff``: what differs between two sessions, or two calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ...errors import IntegrityError
from ...models import Exchange, Session
from ...reading.comparison import (
    CallsCompared,
    Compared,
    Comparer,
    HeaderChange,
    How,
    Pair,
    paired,
    plainly_same,
)
from ...reading.json_diff import Difference, Op, written
from ...reading.listing import Listing
from ...store import Store, family
from ...utils import counted
from ..options import (
    WRONG,
    Command,
    complete_session,
    named,
    print_line,
    progress_bar,
    reading,
    store_options,
)
from ..pages import Page
from ..tables import Cell
from ..units import day, short

_MARKS = {Op.ADDED: ("+", "green"), Op.REMOVED: ("-", "red"), Op.CHANGED: ("~", "yellow")}
_LINE_STYLES = {"+": "green", "-": "red", "@": "cyan"}
# Lines for each body of a call, and characters of a value, unless all are asked for.
_MOST = 20
_VALUE = 60


@click.command(cls=Command)
@click.argument("a", shell_complete=complete_session)
@click.argument("b", shell_complete=complete_session)
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
    a: str,
    b: str,
    brief: bool,
    whole: bool,
    all_headers: bool,
    no_headers: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Compare two sessions with their children, or two calls. Exit status 1 if they differ.

    Calls of two sessions belong together if they are the same call, the first with the first and so
    on: those that were added, are gone, or got another answer are listed. Bodies are compared
    decoded: JSON by its values, whatever its white space and the order of its members, text by
    lines, anything else by size and checksum. Of two calls, what was asked is compared too.

    \b
    Examples:
      mxm-dataio diff latest~1 latest
      mxm-dataio diff 7c1a9e02 91bb02f4 --all-headers
    """
    if all_headers and no_headers:
        raise click.UsageError("give either --all-headers or --no-headers")
    with reading(root) as store:
        old, new = named(store, a), named(store, b)
        if isinstance(old, Session) and isinstance(new, Session):
            comparer = Comparer(store, not no_headers, all_headers, requests=False)
            report: _Report = _JsonReport() if as_json else _PageReport(brief=brief, whole=whole)
            equal = _Sessions(store, comparer, report).compare(old, new)
        elif isinstance(old, Exchange) and isinstance(new, Exchange):
            comparer = Comparer(store, not no_headers, all_headers)
            report = _JsonReport() if as_json else _PageReport(brief=brief, whole=whole)
            report.begin_calls(old, new)
            found = comparer.compare(old, new)
            report.call(old, new, found)
            equal = found.same
        else:
            raise click.UsageError("give two sessions or two calls")
    if not equal:
        raise SystemExit(WRONG)


class _Sessions:
    """Compares the calls of two sessions, one pair after the other."""

    def __init__(self, store: Store, comparer: Comparer, report: _Report) -> None:
        self._store = store
        self._comparer = comparer
        self._report = report
        self._counts: Counter[str] = Counter()

    def compare(self, old: Session, new: Session) -> bool:
        """Report what differs, and say whether nothing does."""
        sessions = self._store.sessions()
        families = [[one.id for one in family(sessions, top.id)] for top in (old, new)]
        self._report.begin_sessions(old, new)
        with self._store.catalog.snapshot() as db, progress_bar("comparing") as progress:
            listing = Listing(db)
            pairs = list(paired(*map(listing.hashes, families)))
            for done, pair in enumerate(pairs):
                if progress and not done % 16:
                    progress("calls", done, len(pairs))
                self._one(listing, pair)
        self._report.end_sessions(self._counts)
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


class _Report:
    """Where it is told what differs."""

    def begin_sessions(self, old: Session, new: Session) -> None:
        """Name the sessions."""

    def begin_calls(self, old: Exchange, new: Exchange) -> None:
        """Name the calls."""

    def alone(self, what: str, call: Exchange) -> None:
        """Tell a call that only one session has."""

    def call(self, old: Exchange, new: Exchange, found: CallsCompared | IntegrityError) -> None:
        """Tell what differs between two calls."""

    def end_sessions(self, counts: Counter[str]) -> None:
        """Sum up."""


# -- for people ------------------------------------------------------------------------------------


class _PageReport(_Report):
    def __init__(self, *, brief: bool, whole: bool) -> None:
        self._page = Page()
        self._brief = brief
        self._whole = whole
        self._indent = ""

    def begin_sessions(self, old: Session, new: Session) -> None:
        self._indent = "    "
        for mark, style, session in (("--- ", "red", old), ("+++ ", "green", new)):
            about = f"  {session.source}  {day(session.started_at)}"
            self._page.line((mark, style), (f"session {session.id}", style), about)

    def begin_calls(self, old: Exchange, new: Exchange) -> None:
        for mark, style, exchange in (("--- ", "red", old), ("+++ ", "green", new)):
            request = exchange.request
            about = f"  {self._id(exchange)}  {day(request.started_at)}"
            self._page.line((mark, style), (f"{request.method} {request.url}", style), about)

    def alone(self, what: str, call: Exchange) -> None:
        mark, style = _MARKS[Op.ADDED if what == "added" else Op.REMOVED]
        answer = call.answer
        code = str(answer.status_code or "failed") if answer else str(call.request.status)
        self._page.line(
            (f"{mark} {call.request.method} {call.request.url}", style),
            (f"  {code}  [{self._id(call)}]", "dim"),
        )

    def call(self, old: Exchange, new: Exchange, found: CallsCompared | IntegrityError) -> None:
        if self._indent:
            mark, style = _MARKS[Op.CHANGED]
            self._page.line(
                (f"{mark} {new.request.method} {new.request.url}", style),
                (f"  [{self._id(old)} → {self._id(new)}]", "dim"),
            )
        if isinstance(found, IntegrityError):
            self._page.line(self._indent, (str(found), "red"))
            return
        if self._brief and self._indent:
            return
        for name, before, after in found.facts:
            self._page.line(self._indent, f"{name}: ", (before, "red"), " → ", (after, "green"))
        self._headers("request ", found.request_headers)
        self._body("request body", found.request_body)
        self._headers("", found.headers)
        self._body("body", found.body)
        if found.same:
            self._page.line(("nothing differs", "green"))

    def end_sessions(self, counts: Counter[str]) -> None:
        differ = counts.keys() - {"same"}
        total = counted(counts.total(), "call")
        parts: list[Cell] = [f"{total} compared: "]
        for name, style in (
            ("same", "green"), ("changed", "yellow"), ("added", "green"), ("gone", "red"),
        ):  # fmt: skip
            parts += [", " if len(parts) > 1 else "", (f"{counts[name]:,} {name}", style)]
        if differ:
            self._page.line()
        self._page.line(*parts)

    def _id(self, call: Exchange) -> str:
        id = call.request.id
        return id if self._page.width is None else short(id)

    def _headers(self, prefix: str, changes: Sequence[HeaderChange]) -> None:
        for one in changes:
            name = f"{prefix}{one.name}: "
            if one.old is None:
                self._change(Op.ADDED, name, [one.new or ""])
            elif one.new is None:
                self._change(Op.REMOVED, name, [one.old])
            else:
                self._change(Op.CHANGED, name, [(one.old, "red"), " → ", (one.new, "green")])

    def _change(self, op: Op, name: str, parts: Sequence[Cell]) -> None:
        mark, style = _MARKS[op]
        self._page.line(self._indent, (f"{mark} ", style), (name, "cyan"), *parts)

    def _body(self, name: str, body: Compared) -> None:
        if body.how is How.SAME:
            return
        if body.how is How.BINARY:
            self._page.line(self._indent, f"{name}: {body.note}")
            return
        lines: Iterator[Sequence[Cell]]
        if body.how is How.JSON:
            total = len(body.values)
            lines = map(self._value, body.values)
            self._page.line(self._indent, f"{name}: {counted(total, 'difference')} in JSON")
        else:
            total = len(body.lines)
            lines = map(_text_line, body.lines)
            self._page.line(self._indent, f"{name}: differs in its lines")
        shown = lines if self._whole else islice(lines, _MOST)
        self._page.lines(shown, indent=f"{self._indent}  ")
        if not self._whole and total > _MOST:
            self._page.line(self._indent, (f"  … {total - _MOST:,} more (--all shows them)", "dim"))

    def _value(self, one: Difference) -> Sequence[Cell]:
        mark, style = _MARKS[one.op]
        old, new = self._cut(written(one.old)), self._cut(written(one.new))
        values: dict[Op, list[Cell]] = {
            Op.ADDED: [(new, "green")],
            Op.REMOVED: [(old, "red")],
            Op.CHANGED: [(old, "red"), " → ", (new, "green")],
        }
        return [(f"{mark} ", style), (f"{one.shown}: ", "cyan"), *values[one.op]]

    def _cut(self, text: str) -> str:
        if self._whole or len(text) <= _VALUE:
            return text
        return f"{text[:_VALUE]}…"


def _text_line(line: str) -> Sequence[Cell]:
    return [(line, _LINE_STYLES.get(line[:1], ""))]


# -- for machines ----------------------------------------------------------------------------------


class _JsonReport(_Report):
    def alone(self, what: str, call: Exchange) -> None:
        print_line(what, **_called(call))

    def call(self, old: Exchange, new: Exchange, found: CallsCompared | IntegrityError) -> None:
        if isinstance(found, IntegrityError):
            print_line("changed", **_called(new), old_id=old.request.id, problem=str(found))
            return
        print_line(
            "same" if found.same else "changed", **_called(new), old_id=old.request.id,
            facts={name: [before, after] for name, before, after in found.facts},
            request_headers=[one._asdict() for one in found.request_headers],
            headers=[one._asdict() for one in found.headers],
            request_body=_compared(found.request_body), body=_compared(found.body),
        )  # fmt: skip

    def end_sessions(self, counts: Counter[str]) -> None:
        print_line(
            "summary", **{name: counts[name] for name in ("same", "changed", "added", "gone")}
        )


def _called(call: Exchange) -> dict[str, str]:
    return {"id": call.request.id, "method": call.request.method, "url": call.request.url}


def _compared(body: Compared) -> dict[str, Any]:
    return {
        "how": body.how, "lines": list(body.lines), "note": body.note,
        "differences": [
            {
                "op": one.op, "path": list(one.path), "shown": one.shown,
                "old": _plain(one.old), "new": _plain(one.new),
            }
            for one in body.values
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value with numbers that JSON's encoder takes."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value
