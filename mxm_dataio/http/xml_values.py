"""Values of XML replaced in place: every other byte stays.

A scanner, not a parser: it expands no entity, reads no DTD, keeps no tree, and takes what is not
well formed. Names are those of elements and attributes without their prefixes, and those that
stand beside a value: ``<name>password</name><value>…`` (XML-RPC), ``<key>…</key><string>…``
(property lists), ``<field name="password">…``. Linear in its size.
"""

from __future__ import annotations

import html
from typing import NamedTuple

from ..patterns import regex
from .named_values import Kind, Replace, replace_in

_START = regex(r"<(?P<name>[^\s<>/=\"'!?][^\s<>/=\"']*+)")
_ATTRIBUTE = regex(
    r"""\s*+(?P<name>[^\s<>/="']++)"""
    r"""(?:\s*+=\s*+(?P<value>"[^"]*+"|'[^']*+'|"[^"<]*+\Z|'[^'<]*+\Z|[^\s<>"']++))?"""
    r"""|\s*+["'/=]"""
)
# What matters within a document type declaration.
_SUBSET = regex(
    r"""<!ENTITY\s++(?:%\s++)?(?P<name>[^\s"'<>]++)\s++(?P<value>"[^"]*+"|'[^']*+')"""
    r"""|<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)|"[^"]*+"|'[^']*+'|(?P<close>\])"""
)
# A text that takes a value's place keeps the quotes of an attribute.
_QUOTES = {'"': "&quot;", "'": "&apos;"}
# Deeper than this, elements are not told apart.
_DEEPEST = 512
# Elements and attributes that name what stands beside them.
_NAMING = frozenset({"name", "key"})
# Elements that hold the value of the name before them (XML-RPC, property lists).
_NAMED = frozenset({"value", "string", "data"})
# The header of WS-Security: its texts are secret or made for this one message.
_SECURITY = "security"
_SECRET_IN_SECURITY = frozenset(
    """
    password nonce created expires binarysecuritytoken signaturevalue digestvalue ciphervalue
    passworddigest
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# WS-Addressing 1.0 §3.1.
_PASSING = frozenset({"messageid"})


class _Element(NamedTuple):
    """An element that is open.

    Attributes:
        name: as it is written.
        key: what its values are called by.
        group: of the secret element that it is in, or is; ``None``: in none.
        security: it is within a header of WS-Security.
    """

    name: str
    key: str
    group: str | None
    security: bool


class _Attribute(NamedTuple):
    """An attribute: its name as it is written, where its value is, and in what quotes."""

    name: str
    start: int
    end: int
    quote: str


def replace_xml(body: bytes, replace: Replace) -> bytes:
    """Return XML, in any encoding, with some of its values replaced.

    Args:
        replace: asked for each element (as a group), text and attribute.

    Returns:
        The same object, if nothing was replaced.
    """
    return replace_in(body, lambda text: replace_text(text, replace))


def replace_text(text: str, replace: Replace, *, everything: bool = False) -> str:
    """Return a text of XML with some of its values replaced.

    Args:
        everything: names that stand beside a value are values too, and what is named so is asked
            for by the name of its own as well.
    """
    scanner = _Scanner(text, replace, everything)
    scanner.scan()
    return "".join([*scanner.pieces, text[scanner.kept :]]) if scanner.pieces else text


class _Scanner:
    def __init__(self, text: str, replace: Replace, everything: bool) -> None:
        self._text = text
        self._replace = replace
        self._everything = everything
        self.pieces: list[str] = []
        self.kept = 0
        self._open: list[_Element] = []
        self._counts: dict[str, int] = {}
        # How many elements are open beyond the deepest.
        self._beyond = 0
        # What the next elements at a depth are called: the text of a naming element before them.
        self._labels: list[str] = [""]
        self._declared = False

    def scan(self) -> None:
        text, at = self._text, 0
        while (found := text.find("<", at)) >= 0:
            self._value(at, found)
            at = self._markup(found)
        self._value(at, len(text))

    def _markup(self, at: int) -> int:
        """Read the markup at a place; return where it ends."""
        text = self._text
        if text.startswith("</", at):
            end = self._end(">", at)
            self._close(text[at + 2 : end - 1].strip())
            return end
        if text.startswith("<!--", at):
            return self._end("-->", at + 4)
        if text.startswith("<![CDATA[", at):
            end = self._end("]]>", at)
            stop = end - 3 if text.endswith("]]>", at, end) else end
            self._value(at + 9, stop, cdata=True)
            return end
        if text.startswith("<?", at):
            return self._end("?>", at)
        if text.startswith("<!DOCTYPE", at):
            return self._doctype(at)
        match = _START.match(text, at)
        return self._element(match["name"], match.end()) if match else at + 1

    def _end(self, mark: str, at: int) -> int:
        found = self._text.find(mark, at)
        return found + len(mark) if found >= 0 else len(self._text)

    def _doctype(self, at: int) -> int:
        """Read a document type declaration; what its entities stand for is secret."""
        text = self._text
        bracket, end = text.find("[", at), self._end(">", at)
        # There is one at most.
        if self._declared or not 0 <= bracket < end:
            return end
        self._declared = True
        for match in _SUBSET.finditer(text, bracket):
            if match["close"]:
                return self._end(">", match.end())
            if match["value"]:
                start, stop = match.start("value") + 1, match.end("value") - 1
                self._put(start, stop, match["name"], Kind.SIGNATURE, text[stop])
        return bracket if self.kept <= bracket else self.kept

    def _element(self, name: str, at: int) -> int:
        text = self._text
        above = self._open[-1] if self._open else None
        local = _local(name)
        security = above.security if above else False
        attributes: list[_Attribute] = []
        while (match := _ATTRIBUTE.match(text, at)) is not None:
            at = match.end()
            if match["value"]:
                start, end = match.span("value")
                quote = text[start] if text[start] in _QUOTES else ""
                end -= bool(quote) and text.endswith(quote, start + 1, end)
                attributes.append(_Attribute(match["name"], start + len(quote), end, quote))
        closed = text[at - 1] == "/" and text[at : at + 1] == ">"
        label = self._labels[-1] if local.lower() in _NAMED else ""
        for one in attributes:
            if _local(one.name).lower() in _NAMING:
                label = html.unescape(text[one.start : one.end])
        key = label or local
        group = above.group if above else None
        if group is None and self._replace(key, "", Kind.GROUP) is not None:
            group = key
        for one in attributes:
            self._attribute(one, group or key, security)
        while text[at : at + 1].isspace():
            at += 1
        if not closed and at < len(text):
            self._push(_Element(name, key, group, security or local.lower() == _SECURITY))
        return at + 1 if text[at : at + 1] == ">" else at

    def _attribute(self, one: _Attribute, key: str, security: bool) -> None:
        local = _local(one.name)
        naming = local.lower() in _NAMING and not self._everything
        if one.name.startswith("xmlns") or naming:
            return
        passing = (security and local in ("Id", "URI")) or one.name == "wsu:Id"
        kind = Kind.PASSING if passing else Kind.TEXT
        name = key if local.lower() == "value" else local
        self._put(one.start, one.end, name, kind, one.quote, own=local)

    def _value(self, start: int, end: int, *, cdata: bool = False) -> None:
        """Ask for the text between two places."""
        text = self._text[start:end]
        if not text or text.isspace() or not self._open:
            return
        element = self._open[-1]
        local = _local(element.name).lower()
        if element.group is None and local in _NAMING and not self._beyond:
            self._labels[-2] = (text if cdata else html.unescape(text)).strip()
        kind = Kind.TEXT
        if element.security:
            kind = Kind.SIGNATURE if local in _SECRET_IN_SECURITY else Kind.PASSING
        elif local in _PASSING:
            kind = Kind.PASSING
        name = element.group or element.key
        self._put(start, end, name, kind, "", own=_local(element.name), cdata=cdata)

    def _put(
        self,
        start: int,
        end: int,
        name: str,
        kind: Kind,
        quote: str,
        *,
        own: str = "",
        cdata: bool = False,
    ) -> None:
        """Ask for a value, and put in its place what is returned."""
        written = self._text[start:end]
        value = written if cdata else html.unescape(written)
        stripped = value.strip() if not quote else value
        after = self._replace(name, stripped, kind)
        if after is None and self._everything and own not in ("", name):
            after = self._replace(own, stripped, kind)
        if after is None or after == stripped:
            return
        if cdata:
            after = after.replace("]]>", "]]]]><![CDATA[>")
        else:
            after = _escaped(after)
            if quote:
                after = after.replace(quote, _QUOTES[quote])
        if not quote:
            # White space around a text is its layout.
            lead = len(written) - len(written.lstrip())
            start, end = start + lead, start + len(written.rstrip())
        self.pieces += [self._text[self.kept : start], after]
        self.kept = end

    def _push(self, element: _Element) -> None:
        if len(self._open) >= _DEEPEST:
            self._beyond += 1
            return
        self._open.append(element)
        self._labels.append("")
        self._counts[element.name] = self._counts.get(element.name, 0) + 1

    def _close(self, name: str) -> None:
        if self._beyond:
            self._beyond -= 1
            return
        if not self._counts.get(name):
            return
        while True:
            element = self._open.pop()
            self._labels.pop()
            self._counts[element.name] -= 1
            if _local(element.name).lower() not in _NAMING:
                # It was what the name before it named.
                self._labels[-1] = ""
            if element.name == name:
                return


def _escaped(text: str) -> str:
    # As ``xml.sax.saxutils`` does, which loads a client of HTTP.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _local(name: str) -> str:
    return name.rpartition(":")[2]
