"""How a call is shown: what was asked, each attempt with its times, and the bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from ..errors import IntegrityError
from ..http.heads import FETCHED
from ..models import Exchange, Failure, Headers, Response
from ..reading.bodies import Body, Kind, answered, sent
from ..reading.layout import indented
from ..reading.outcomes import BROKEN
from ..redaction.rules import PLACEHOLDER
from ..storage.root_store import RootStore
from ..utils import counted, parse_instant
from .commands.requests import CLASSES
from .output import printable
from .pages import Page
from .tables import Cell
from .units import codes, span

# Lines of a body that are shown, and characters of a line, unless all are asked for.
_LINES = 40
_HEX_LINES = 16
_LONG_LINE = 2000
_COUNTED = 20_000
_BAR = 40
_PHASES = (("connect", "blue"), ("tls", "magenta"), ("wait", "yellow"), ("receive", "green"))
_JSON = re.compile(
    r'(?P<key>"[^"\\]*(?:\\.[^"\\]*)*")(?=\s*:)|(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")|'
    r"(?P<word>\b(?:true|false|null)\b)|(?P<number>-?\d[\d.eE+-]*)"
)
_JSON_STYLES = {"key": "cyan", "text": "green", "word": "magenta", "number": "yellow"}


def show_exchange(page: Page, store: RootStore, exchange: Exchange, *, whole: bool) -> list[str]:
    """Print a call; return what could not be read.

    Args:
        whole: all of the bodies, not their beginnings.
    """
    request = exchange.request
    page.line((request.method, "bold"), " ", (request.url, "bold"))
    _show_facts(page, exchange, store.forgotten(request))
    problems: list[str] = []
    if request.headers:
        page.heading("request headers")
        _show_headers(page, request.headers)
    if request.body_checksum is not None:
        problems += _show_body(page, "request body", sent(store, request), whole=whole)
    for response in exchange.responses:
        problems += _show_attempt(page, store, exchange, response, whole=whole)
    return problems


def _show_facts(page: Page, exchange: Exchange, forgotten: str | None) -> None:
    request = exchange.request
    ends = codes([str(one.status_code or "failed") for one in exchange.responses])
    style = "red" if request.status in BROKEN else "green"
    params = [
        (name, value)
        for name, values in request.params.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    page.pairs(
        [
            ("id", (request.id, "yellow")),
            ("session", f"{request.session_id}, source {request.source}"),
            ("as of", request.as_of),
            ("kind", request.kind),
            ("started", _utc(request.started_at)),
            (
                "outcome",
                [
                    (str(request.status), style),
                    f": {ends}" if ends else "",
                    f" in {span(request.duration)}" if request.duration is not None else "",
                ],
            ),
            ("failure", _failure(request.failure)),
            (
                "served from",
                f"the store: {request.served_from}" if request.served_from else None,
            ),
            ("forgotten", (f"{_utc(forgotten)}: it answers none", "yellow") if forgotten else None),
            *(
                ("" if place else "parameters", [(f"{name}", "cyan"), "=", *_marked(str(value))])
                for place, (name, value) in enumerate(params)
            ),
            ("params_hash", (request.params_hash, "dim")),
            ("body sha256", (request.body_checksum, "dim") if request.body_checksum else None),
        ]
    )


def _utc(instant: str) -> str:
    return f"{instant.replace('T', ' ').rstrip('Z')} UTC"


def _failure(failure: Failure | None) -> list[Cell] | None:
    if failure is None:
        return None
    return [(failure.error_class, "red"), f": {failure.message}"]


def _show_headers(page: Page, headers: Headers) -> None:
    lines = [[(f"{name}: ", "cyan"), *_marked(value)] for name, value in headers]
    if page.width is None:
        page.lines(iter(lines))
        return
    for line in lines:
        page.line("  ", *line)


def _marked(value: str) -> list[Cell]:
    """Return a text in which what was redacted stands out."""
    parts = re.split(f"({PLACEHOLDER})", value)
    return [(one, "black on yellow") if one == PLACEHOLDER else one for one in parts if one]


# -- attempts --------------------------------------------------------------------------------------


def _show_attempt(
    page: Page, store: RootStore, exchange: Exchange, response: Response, *, whole: bool
) -> list[str]:
    count = len(exchange.responses)
    title = f"attempt {response.sequence} of {count}" if count > 1 else "answer"
    style = CLASSES.get(str(response.status_code or "")[:1], "bold red")
    fetched = response.head.startswith(FETCHED)
    status = f"{response.status_code or 'none'} {response.reason or ''}".rstrip()
    version = "" if fetched or not response.http_version else f"  {response.http_version}"
    page.heading(title, "  ", (status, style), (version, "dim"))
    request = exchange.request
    asked = (response.method, response.url)
    page.pairs(
        [
            ("request", " ".join(asked) if asked != (request.method, request.url) else None),
            ("times", _times(response)),
            ("", _bar(page, exchange, response)),
            ("peer", response.peer.address),
            ("tls", _tls(response)),
            ("failure", _failure(response.failure)),
            ("payload", _payload(response)),
            ("sha256", (response.checksum, "dim") if response.checksum else None),
            ("redacted", _redacted(response)),
        ]
    )
    if response.headers:
        _show_headers(page, response.headers)
    if response.checksum is None or not response.size:
        return []
    return _show_body(page, "body", answered(store, response), whole=whole)


def _payload(response: Response) -> str | None:
    if response.checksum is None:
        return None
    notes = []
    if not response.complete:
        notes.append("not read to its end")
    if response.truncated:
        notes.append(f"{response.truncated:,} bytes more came and were not kept (max_body)")
    if response.framing is not None:
        chunks = sum(times for _, times in response.framing.chunks)
        notes.append(f"in {chunks:,} chunk{'' if chunks == 1 else 's'}")
    if response.closed_by_peer:
        notes.append("closed by the peer")
    return ", ".join([counted(response.size, "byte"), *notes])


def _redacted(response: Response) -> str | None:
    if not response.redacted:
        return None
    return f"a secret was taken from it; what came has sha256 {response.original_checksum}"


def _tls(response: Response) -> str | None:
    peer = response.peer
    certificate = peer.tls_certificate and f"certificate sha256 {peer.tls_certificate}"
    return ", ".join(filter(None, (peer.tls_version, peer.tls_cipher, certificate))) or None


def phases(response: Response) -> dict[str, float]:
    """Return how long each phase of an attempt took, in seconds; those that it had."""
    times = response.timings
    found: dict[str, float] = {}
    for name, seconds in (("connect", times.connect), ("tls", times.tls)):
        if seconds is not None:
            found[name] = seconds
    before = sum(found.values())
    for name, end in (("wait", times.first_byte), ("receive", times.total)):
        if end is not None:
            found[name] = max(0.0, end - before)
            before = max(before, end)
    return found


def _times(response: Response) -> list[Cell] | None:
    parts: list[Cell] = []
    for name, style in _PHASES:
        seconds = phases(response).get(name)
        if seconds is not None:
            parts += [", " if parts else "", (name, style), f" {span(seconds)}"]
    if response.timings.total is not None:
        parts.append(f" = {span(response.timings.total)}")
    return parts or None


def _bar(page: Page, exchange: Exchange, response: Response) -> list[Cell] | None:
    """Return a line on which the attempt stands in the time that all of them took."""
    if page.width is None or response.timings.total is None:
        return None
    starts = [parse_instant(one.started_at) for one in exchange.responses]
    ends = [
        start + (one.timings.total or 0.0)
        for start, one in zip(starts, exchange.responses, strict=True)
    ]
    begin, length = min(starts), max(ends) - min(starts)
    if length <= 0:
        return None
    room = max(min(_BAR, page.width - 16), 8)
    at = parse_instant(response.started_at) - begin
    parts: list[Cell] = [("─" * round(at / length * room), "dim")]
    place = round(at / length * room)
    for name, style in _PHASES:
        at += phases(response).get(name, 0.0)
        end = round(at / length * room)
        parts.append(("█" * (end - place), style))
        place = max(place, end)
    parts.append(("─" * (room - place), "dim"))
    return parts


# -- bodies ----------------------------------------------------------------------------------------


def _show_body(page: Page, title: str, body: Body, *, whole: bool) -> list[str]:
    """Print a body, or its beginning; return what could not be read."""
    try:
        kind = body.kind
        decoded = f", {'+'.join(body.codings)} undone" if body.codings else ""
        media = body.media or "no media type"
        page.heading(title, (f"  {counted(body.size, 'byte')}, {media}{decoded}", "dim"))
        lines, laid_out, limit = _lines(page, body, kind)
        if whole:
            page.lines(map(laid_out, lines))
        else:
            page.lines(map(_short, map(laid_out, islice(lines, limit))))
            if next(lines, None) is not None:
                page.line(("  … " + _more(body, lines), "dim"))
        if body.problem is not None:
            page.line(("  " + body.problem, "red"))
    except IntegrityError as exc:
        page.line(("  " + str(exc), "red"))
        return [str(exc)]
    return []


def _lines(
    page: Page, body: Body, kind: Kind
) -> tuple[Iterator[str], Callable[[str], Sequence[Cell]], int]:
    """Return a body's lines, what makes parts of one, and how many are shown at first."""
    document = body.document()
    if document is not None:
        width = 100 if page.width is None else max(40, min(page.width - 4, 120))
        return indented(document, width), _json_line, _LINES
    if kind is Kind.BINARY:
        return body.hex(), lambda line: [(line[:10], "dim"), line[10:]], _HEX_LINES
    return body.lines(), lambda line: _marked(printable(line, "\t")), _LINES


def _json_line(line: str) -> list[Cell]:
    line = printable(line)
    parts: list[Cell] = []
    at = 0
    for match in _JSON.finditer(line):
        parts.append(line[at : match.start()])
        style = (
            "black on yellow" if PLACEHOLDER in match[0] else _JSON_STYLES[match.lastgroup or ""]
        )
        parts.append((match[0], style))
        at = match.end()
    return [*parts, line[at:]]


def _short(line: Sequence[Cell]) -> Sequence[Cell]:
    content = "".join(part if isinstance(part, str) else part[0] for part in line)
    if len(content) <= _LONG_LINE:
        return line
    return [content[:_LONG_LINE], (f" … {len(content) - _LONG_LINE:,} characters more", "dim")]


def _more(body: Body, rest: Iterator[str]) -> str:
    """Say how much of a body is not shown, counting no further than takes a moment."""
    count = 1 + sum(1 for _ in islice(rest, _COUNTED))
    lines = counted(count, "line") if count <= _COUNTED else f"over {_COUNTED:,} lines"
    return f"{lines} more; it has {body.size:,} bytes in all (--all shows it)"
