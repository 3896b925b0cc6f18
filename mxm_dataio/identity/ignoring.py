"""What of a call does not count, replaced by one and the same."""

from __future__ import annotations

from collections.abc import Collection, Container
from urllib.parse import quote_plus, unquote_plus

from ..http.named_values import Kind, Uncounted, asker
from ..http.replacing import nested
from ..http.tokens import PLACEHOLDER
from ..patterns import regex
from ..redaction.company import goes_with

_USERINFO = regex(r"(?<=://)[^/\s]*@")


class Ignoring:
    """Puts one and the same in the place of what does not count.

    See :class:`mxm_dataio.http.replacing.Visitor`.

    Args:
        names: holds the names of fields, parts, members and elements.
        headers: holds the lower-case names of headers.
    """

    def __init__(self, names: Container[str], headers: Container[str] = ()) -> None:
        self.names = names
        self.asks = asker(names)
        self._xml = names.xml if isinstance(names, Uncounted) else frozenset()
        self._headers = headers

    def leaves_out(self, name: str, value: object) -> bool:
        """Say whether a value does not count, by its name and by its looks."""
        if not self.asks(name):
            return False
        if type(value) is int:
            value = str(value)
        names = self.names
        kept = isinstance(value, str) and isinstance(names, Uncounted) and names.keeps(name, value)
        return not kept

    def may_change(self, body: bytes) -> bool:
        names = self.names
        if not isinstance(names, Uncounted):
            return bool(names)
        return names.may_be_in(body) or (b"@" in body and b"://" in body)

    def value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        if kind in (Kind.SIGNATURE, Kind.PASSING):
            return PLACEHOLDER
        if place == "xml" and self._xml and name.lower() in self._xml:
            return PLACEHOLDER
        return PLACEHOLDER if kind is not Kind.ELEMENT and self.leaves_out(name, value) else None

    def fields(self, text: str) -> str:
        return "&".join(map(self._field, text.split("&")))

    def _field(self, field: str) -> str:
        name, equals, value = field.partition("=")
        if not equals:
            return field
        before = unquote_plus(value)
        if self.leaves_out(unquote_plus(name), before):
            return f"{name}={PLACEHOLDER}"
        after = nested(before, self)
        return field if after == before else f"{name}={quote_plus(after)}"

    def goes_with(self, name: str, content: bytes, beside: Collection[str]) -> bool:
        value = content.decode("latin-1")
        return goes_with(name.lower(), value, beside) and self.asks("signature")

    def url(self, url: str) -> str:
        path, mark, query = url.partition("?")
        return f"{_USERINFO.sub(PLACEHOLDER, path, count=1)}{mark}{self.fields(query)}"

    def header(self, name: str, value: str) -> str:
        """Return what counts of a header's value."""
        return PLACEHOLDER if name in self._headers or self.asks(name) else value

    def head(self, head: bytes) -> bytes:
        lines = head.split(b"\n")
        for index, line in enumerate(lines[1:], 1):
            name, colon, _ = line.partition(b":")
            if colon and self.header(name.decode("latin-1").strip().lower(), "") == PLACEHOLDER:
                end = b"\r" if line.endswith(b"\r") else b""
                lines[index] = name + b": " + PLACEHOLDER.encode() + end
        return b"\n".join(lines)
