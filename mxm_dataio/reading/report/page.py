"""A report as one HTML page that needs nothing else: no network, no file beside it.

All that comes from the record is hostile: a server may have sent it, or a forger written it. It
stands in the page as JSON within a data block, where no ``<`` is left to end it (HTML §4.12.1.3),
and the page's script puts it into the document as text, never as markup. What that script and the
style are the page's policy says by their hashes; all else, any request most of all, it forbids.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from ...models import Failure, Headers, Peer, Request, Response
from ...utils import parse_instant
from .gather import Report
from .previews import Preview
from .tally import counted_host
from .values import summary

_SCRIPTS = ("base", "summary", "charts", "rows", "call", "table", "timeline", "main")
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'"
)
_SPECIAL = re.compile("[<>&\x7f-\x9f\u2028\u2029]")
# Of a text: how long it may be; together with all others; and when that is used up.
_URL = (2048, 3 << 20, 120)
_HEADER = (1024, 2 << 20, 0)
_OTHER = (1024, 1 << 20, 80)
_HEADERS = 100
# Bits of an attempt.
_COMPLETE, _CLOSED = 1, 2


def page(report: Report, at: str) -> str:
    """Return the page.

    Args:
        at: the instant at which it is made.
    """
    style = _text("style.css")
    script = "\n".join(_text(f"{name}.js") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    parts = {
        "policy": _POLICY.format(script=_hash(script), style=_hash(style)),
        "style": style,
        "script": script,
        "data": embedded({**summary(report, at), **_Columns(report).columns()}),
    }
    pieces = _text("template.html").split("{{")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        made += [parts[name], rest]
    return "".join(made)


def embedded(value: Any) -> str:
    """Return a value as JSON without a character that means anything to HTML, script, terminals."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = _SPECIAL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # Half a surrogate pair has no UTF-8; as JSON it can be written.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


class _Texts:
    """Texts, each kept once, cut so that all together are no more than a budget and a bit."""

    def __init__(self, most: int, budget: int, short: int) -> None:
        self.kept: list[str] = []
        self.cut = 0
        self._places: dict[str, int] = {}
        self._most = most
        self._left = budget
        self._short = short

    def place(self, text: str) -> int:
        """Return where a text is."""
        place = self._places.get(text)
        if place is None:
            most = self._most if self._left > 0 else self._short
            kept = text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more)"
            self.cut += kept is not text
            self._left -= len(kept)
            place = self._places[text] = len(self.kept)
            self.kept.append(kept)
        return place

    def place_or_none(self, text: str | None) -> int:
        """Return where a text is, -1 for none."""
        return -1 if text is None else self.place(text)


class _Columns:
    """The listed calls, a list for each attribute; what many have stands in tables."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._urls = _Texts(*_URL)
        self._lines = _Texts(*_HEADER)
        self._words = _Texts(*_OTHER)
        self._heads: dict[tuple[int, ...], int] = {}
        self._checksums: dict[str, int] = {}
        self._peers: dict[Peer, int] = {}

    def columns(self) -> dict[str, Any]:
        """Return them."""
        report = self._report
        parts = {part.session.id: place for place, part in enumerate(report.parts)}
        hosts = {host.name: place for place, host in enumerate(report.tally.hosts())}
        failing = {one.what: place for place, one in enumerate(report.tally.failing())}
        calls: list[list[Any]] = []
        attempts: list[list[Any]] = []
        for exchange in report.listed:
            request = exchange.request
            wrong = report.wrong.get(request.id)
            calls.append(
                [
                    request.id, parts[request.session_id], self._words.place(request.method),
                    self._urls.place(_url(request)), hosts[counted_host(request)],
                    self._since(request.started_at), _ms(request.duration),
                    self._words.place(request.status), self._head(request.headers),
                    self._checksum(request.body_checksum), request.body_size,
                    self._failure(request.failure), request.served_from,
                    report.forgotten.get(request.id)
                    or report.forgotten.get(request.served_from or ""),
                    -1 if wrong is None else failing[wrong], len(exchange.responses),
                ]
            )  # fmt: skip
            attempts += [self._attempt(one, request) for one in exchange.responses]
        return {
            "calls": _turned(_CALL, calls),
            "attempts": _turned(_ATTEMPT, attempts),
            "urls": self._urls.kept,
            "words": self._words.kept,
            "lines": self._lines.kept,
            "heads": [list(head) for head in self._heads],
            "checksums": list(self._checksums),
            "peers": list(self._peers),
            "bodies": self._bodies(report.bodies),
            "cut": self._urls.cut + self._words.cut + self._lines.cut,
        }

    def _attempt(self, one: Response, request: Request) -> list[Any]:
        timings = one.timings
        return [
            -1 if one.method == request.method else self._words.place(one.method),
            -1 if one.url == _url(request) else self._urls.place(one.url),
            one.status_code, self._words.place_or_none(one.reason),
            self._words.place(one.http_version), self._head(one.headers),
            self._checksum(one.checksum), one.size,
            _COMPLETE * one.complete + _CLOSED * one.closed_by_peer,
            self._failure(one.failure), self._since(one.started_at), _ms(timings.connect),
            _ms(timings.tls), _ms(timings.first_byte), _ms(timings.total), self._peer(one.peer),
            one.original_checksum, one.truncated,
        ]  # fmt: skip

    def _since(self, instant: str) -> float:
        """Return milliseconds since it all began."""
        return round((parse_instant(instant) - self._report.began) * 1000, 3)

    def _head(self, headers: Headers) -> int:
        lines = [self._lines.place(f"{name}: {value}") for name, value in headers[:_HEADERS]]
        if len(headers) > _HEADERS:
            lines.append(self._lines.place(f"…: {len(headers) - _HEADERS} more"))
        return self._heads.setdefault(tuple(lines), len(self._heads))

    def _checksum(self, checksum: str | None) -> int:
        if checksum is None:
            return -1
        return self._checksums.setdefault(checksum[:80], len(self._checksums))

    def _peer(self, peer: Peer) -> int:
        return self._peers.setdefault(peer, len(self._peers))

    def _failure(self, failure: Failure | None) -> int:
        if failure is None:
            return -1
        return self._words.place(f"{failure.error_class}: {failure.message}")

    def _bodies(self, bodies: Mapping[str, Preview]) -> dict[str, list[Any]]:
        return {
            str(self._checksum(checksum)): _fitted(shown, self._report.body_limit)
            for checksum, shown in bodies.items()
        }


# The names under which the script finds what _Columns lists, in that order.
_CALL = (
    "id", "session", "method", "url", "host", "start", "ms", "status", "head", "body", "sent",
    "failure", "served", "forgotten", "wrong", "attempts",
)  # fmt: skip
_ATTEMPT = (
    "method", "url", "code", "reason", "version", "head", "body", "size", "flags", "failure",
    "start", "connect", "tls", "first", "total", "peer", "original", "truncated",
)  # fmt: skip


def _turned(names: Iterable[str], rows: list[list[Any]]) -> dict[str, list[Any]]:
    """Return rows as columns."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: list(column) for name, column in zip(names, columns, strict=False)}


def _url(request: Request) -> str:
    return request.url or request.endpoint


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _fitted(shown: Preview, limit: int) -> list[Any]:
    """Return a preview that takes no more room in the page than its body may."""
    content, whole = shown.content, shown.whole
    # Quotes and angle brackets take more room than they have in the body.
    room = limit * 2 if shown.form == "hex" else limit * 3 // 2 + 64
    while (size := len(embedded(content).encode("utf-8"))) > room:
        content, whole = content[: min(len(content) * room // size, len(content) - 1)], False
    return [int(shown.form == "hex"), content, int(whole), shown.note]
