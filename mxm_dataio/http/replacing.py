"""The named values in a request's body, replaced."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Collection, Iterable
from mmap import mmap
from typing import Protocol

from ..patterns import regex
from ..utils import media_type
from .multipart import Part, header, headers_of, is_multipart, part_name, parts_of
from .named_values import Kind, Replace, text_of
from .shapes import _FORM, BEGINNING, Shape, shape_of
from .tokens import PLACEHOLDER

# Content within content is read to this depth.
_DEEPEST = 8
_NESTED = regex(r"\s*+(?:(?P<json>[{\[]|(?:query|mutation|subscription)\b[^{}]{0,4096}\{)|<[\w?!])")
_TEXT_FORM = regex(_FORM.pattern.decode("ascii"))
_IS_URL = regex(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+://\S++\Z")
_FIELDS = regex(r"[^\r\n]+")


class Visitor(Protocol):
    """Says what becomes of the values of a body."""

    def asks(self, name: str) -> bool:
        """Say whether values under a name may be replaced; if not, they need not be read."""
        ...

    def may_change(self, body: bytes) -> bool:
        """Say, fast, whether anything of a body that is no XML may be replaced."""
        ...

    def value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        """Return what takes a value's place, ``None`` if that is nothing.

        Args:
            place: ``json``, ``xml`` or ``part``.
        """
        ...

    def fields(self, text: str) -> str:
        """Return an encoded form with values replaced."""
        ...

    def goes_with(self, name: str, content: bytes, beside: Collection[str]) -> bool:
        """Say whether a part belongs to a signature beside it, and is made anew with it.

        Args:
            content: of the part, or its beginning.
            beside: the lower-case names of all parts.
        """
        ...

    def url(self, url: str) -> str:
        """Return the URL of a request with values replaced."""
        ...

    def head(self, head: bytes) -> bytes:
        """Return a first line and headers with the values of headers replaced."""
        ...


def replaced(body: bytes, content_type: str, visitor: Visitor, depth: int = 0) -> bytes:
    """Return a body with values replaced; the same object, if none is.

    Args:
        depth: how many bodies it is within.
    """
    if not body or depth > _DEEPEST:
        return body
    shape = shape_of(body, content_type)
    if shape is Shape.JSON:
        return _json(body, content_type, visitor, depth)
    if shape is Shape.FORM:
        return _form(body, content_type, visitor)
    if shape is Shape.XML:
        from . import xml_values  # as few bodies need them, and so below

        return xml_values.replace_xml(body, _texts("xml", visitor, depth))
    if shape is Shape.MULTIPART:
        return _multipart(body, content_type, visitor, depth)
    if shape is Shape.MESSAGE:
        return _message(body, visitor, depth)
    if shape is Shape.NAMES:
        from . import json_values

        return json_values.replace_json(body, _texts("json", visitor, depth), visitor.asks)
    return body


def nested(text: str, visitor: Visitor, depth: int = 0) -> str:
    """Return a text that may itself be JSON, XML, a form or a URL with values replaced."""
    match = _NESTED.match(text)
    if depth > _DEEPEST:
        return text
    if match is None:
        if _IS_URL.match(text):
            return visitor.url(text)
        return visitor.fields(text) if "=" in text and _TEXT_FORM.fullmatch(text) else text
    if match["json"]:
        from . import json_values

        return json_values.replace_text(text, _texts("json", visitor, depth), visitor.asks)
    from . import xml_values

    return xml_values.replace_text(text, _texts("xml", visitor, depth))


def _texts(place: str, visitor: Visitor, depth: int) -> Replace:
    """Return what is asked for each value of JSON or XML: the visitor, and what is within."""

    def ask(name: str, value: str, kind: Kind) -> str | None:
        after = visitor.value(place, name, value, kind)
        if after is None and kind in (Kind.TEXT, Kind.ELEMENT):
            within = nested(value, visitor, depth + 1)
            return None if within == value else within
        return after

    return ask


def _json(body: bytes, content_type: str, visitor: Visitor, depth: int) -> bytes:
    if b"<" not in body and not visitor.may_change(body):
        return body
    from . import json_values

    names = json_values.plain_names(text_of(body))
    if names is not None:
        asked = frozenset(filter(visitor.asks, names))
        if not asked:
            return body
        ask = _texts("json", visitor, depth)
        after = json_values.replace_members(body, asked, ask)
        if after is not None:
            return after
    after = json_values.replace_json(body, _texts("json", visitor, depth), visitor.asks)
    form = media_type(content_type) == "application/x-www-form-urlencoded"
    # A form may begin like JSON.
    return _form(after, content_type, visitor) if form and after is body else after


def _form(body: bytes, content_type: str, visitor: Visitor) -> bytes:
    text = body.decode("latin-1")
    if media_type(content_type) == "application/x-www-form-urlencoded":
        after = visitor.fields(text)
    else:
        # A field a line (HTML's text/plain form, settings), or one form.
        after = _FIELDS.sub(lambda line: visitor.fields(line.group()), text)
    return body if after == text else after.encode("latin-1", "replace")


def _multipart(body: bytes, content_type: str, visitor: Visitor, depth: int) -> bytes:
    found = parts_of(body, content_type)
    if found is None:
        # What it is beneath its header.
        return replaced(body, "", visitor, depth) if is_multipart(content_type) else body
    pieces: list[bytes] = []
    at = 0
    beside = names_beside(body, found.parts)
    for part in found.parts:
        head, content = body[part.head : part.start], body[part.start : part.end]
        new_head = visitor.head(b"\r\n" + head)[2:]
        headers = headers_of(head)
        if visitor.goes_with(part_name(headers), content[:BEGINNING], beside):
            new = PLACEHOLDER.encode("ascii")
        else:
            new = part_replaced(content, headers, visitor, depth)
        if new_head != head or new != content:
            pieces += [body[at : part.head], new_head, new]
            at = part.end
    return b"".join([*pieces, body[at:]]) if pieces else body


def names_beside(body: bytes | mmap, parts: Iterable[Part]) -> frozenset[str]:
    """Return the lower-case names of the parts of a body."""
    heads = (headers_of(bytes(body[part.head : part.start])) for part in parts)
    return frozenset(part_name(headers).lower() for headers in heads)


def part_replaced(
    content: bytes, headers: tuple[tuple[str, str], ...], visitor: Visitor, depth: int = 0
) -> bytes:
    """Return a part's content with values replaced: all of it, if its name is such a one's."""
    name = part_name(headers)
    if name and visitor.asks(name):
        value = content.decode("utf-8", "surrogateescape")
        after = visitor.value("part", name, value, Kind.TEXT)
        if after is not None:
            return after.encode("utf-8", "surrogateescape")
    content_type = header(headers, "content-type")
    coding = header(headers, "content-transfer-encoding").lower()
    if coding == "base64":
        return _within(content, _unbase64, base64.encodebytes, content_type, visitor, depth)
    if coding == "quoted-printable":
        return _within(
            content, quopri.decodestring, quopri.encodestring, content_type, visitor, depth
        )
    return replaced(content, content_type, visitor, depth + 1)


def _within(
    content: bytes,
    decode: Callable[[bytes], bytes],
    encode: Callable[[bytes], bytes],
    content_type: str,
    visitor: Visitor,
    depth: int,
) -> bytes:
    plain = decode(content)
    after = replaced(plain, content_type, visitor, depth + 1)
    return content if after is plain or after == plain else encode(after).rstrip(b"\n")


def _unbase64(content: bytes) -> bytes:
    try:
        return base64.b64decode(content)
    except (binascii.Error, ValueError):
        return b""


def _message(body: bytes, visitor: Visitor, depth: int) -> bytes:
    """Return a request of a batch with the values of its URL, its headers and its body replaced."""
    blank = re.search(rb"\r?\n\r?\n", body)
    end = blank.end() if blank else len(body)
    first, line_end, headers = body[:end].partition(b"\n")
    words = first.decode("latin-1").split(" ")
    if len(words) > 1 and not words[0].startswith("HTTP/"):
        words[1] = visitor.url(words[1])
    head = visitor.head(" ".join(words).encode("latin-1", "replace") + line_end + headers)
    content_type = header(headers_of(headers), "content-type")
    after = head + replaced(body[end:], content_type, visitor, depth + 1)
    return body if after == body else after
