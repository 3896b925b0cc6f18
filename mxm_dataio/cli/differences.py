"""How it is told what differs between two sessions, or two calls: to people, or as JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from ..errors import IntegrityError
from ..models import Exchange, Session
from ..reading.comparison import CallsCompared, Compared, HeaderChange, How
from ..reading.json_diff import Difference, Op, written
from ..reading.outcomes import exit_word
from ..utils import counted
from .output import print_line
from .pages import Page
from .tables import Cell, without_host
from .units import cropped_url, day, short

_MARKS = {Op.ADDED: ("+", "green"), Op.REMOVED: ("-", "red"), Op.CHANGED: ("~", "yellow")}
_LINE_STYLES = {"+": "green", "-": "red", "@": "cyan"}
# Lines for each body of a call, and characters of a value, unless all are asked for.
_MOST = 20
_VALUE = 60
_LEAST_URL = 20


class PageReport:
    """Tells it to people.

    Args:
        brief: of two sessions, only which calls differ.
        whole: all that differs in a body.
    """

    def __init__(self, *, brief: bool, whole: bool) -> None:
        self._page = Page()
        self._brief = brief
        self._whole = whole
        self._indent = ""
        self._host = ""

    def begin(self, old: Session | Exchange, new: Session | Exchange) -> None:
        """Name what is compared."""
        for mark, style, one in (("--- ", "red", old), ("+++ ", "green", new)):
            if isinstance(one, Session):
                self._indent = "    "
                id = one.id if self._page.width is None else short(one.id)
                title, about = f"session {id}", f"{one.source}  {day(one.started_at)}"
                if one.exit_status:
                    about += f"  exit {exit_word(one.exit_status)}"
            else:
                request = one.request
                title = f"{request.method} {request.url}"
                about = f"{self._id(one)}  {day(request.started_at)}"
            self._page.line((mark, style), (title, style), f"  {about}")

    def leave_out(self, host: str) -> None:
        """Name the host that all calls share; on a terminal it is left out of each."""
        if host and self._page.width is not None:
            self._host = host
            self._page.line((f"at {host}", "dim"))

    def alone(self, what: str, call: Exchange) -> None:
        """Tell a call that only one session has."""
        answer = call.answer
        code = str(answer.status_code or "failed") if answer else str(call.request.status)
        op = Op.ADDED if what == "added" else Op.REMOVED
        self._called(op, call, f"  {code}  [{self._id(call)}]")

    def _called(self, op: Op, call: Exchange, more: str) -> None:
        """Print which call it is, on one line of a terminal."""
        mark, style = _MARKS[op]
        head, url = f"{mark} {call.request.method} ", call.request.url
        if self._page.width is not None:
            room = self._page.width - len(head) - len(more)
            url = cropped_url(without_host(url, self._host), max(room, _LEAST_URL))
        self._page.line((head + url, style), (more, "dim"))

    def call(self, old: Exchange, new: Exchange, found: CallsCompared | IntegrityError) -> None:
        """Tell what differs between two calls."""
        if self._indent:
            self._called(Op.CHANGED, new, f"  [{self._id(old)} → {self._id(new)}]")
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

    def end(self, counts: Counter[str]) -> None:
        """Sum up."""
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


class JsonReport:
    """Tells it to machines."""

    def begin(self, old: Session | Exchange, new: Session | Exchange) -> None:
        """Say nothing: each line names its calls."""

    def leave_out(self, host: str) -> None:
        """Say nothing: URLs are whole."""

    def alone(self, what: str, call: Exchange) -> None:
        """Tell a call that only one session has."""
        print_line(what, **_called(call))

    def call(self, old: Exchange, new: Exchange, found: CallsCompared | IntegrityError) -> None:
        """Tell what differs between two calls."""
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

    def end(self, counts: Counter[str]) -> None:
        """Sum up."""
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
