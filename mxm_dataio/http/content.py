"""What a request's body is, whatever its header says, and the named values in it.

The one reader of bodies: redaction and identity both replace values through :func:`replaced`, so
what the one finds, the other finds too. It goes down to what is within: JSON in a field of a form,
in a part or in a text of JSON; requests in a batch; multipart in multipart. Every byte that is no
value stays.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from mmap import mmap
from typing import NamedTuple, Protocol

from ..models import Headers
from ..utils import is_json, media_type
from . import json_values, xml_values
from .codings import State, undone
from .multipart import (
    Part,
    header,
    headers_of,
    is_multipart,
    looks_multipart,
    part_name,
    parts_of,
)
from .named_values import Kind, Replace, text_of
from .tokens import PLACEHOLDER

# Bodies above this are not looked into.
LARGEST = 16 << 20
# Content within content is read to this depth.
_DEEPEST = 8
# What of a body tells its shape.
BEGINNING = 4096
# A member of deflate, as gzip begins it (RFC 1952 §2.3).
GZIP = b"\x1f\x8b\x08"
_MARK = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*+"
    rb"(?:(?P<json>[{\[])|(?P<xml><\0*+[A-Za-z_?!:])|(?P<field>[\w.%+\[\]$:-]{1,200}=)|\Z)"
)
_NESTED = re.compile(
    r"\s*+(?:(?P<json>[{\[]|(?:query|mutation|subscription)\b[^{}]{0,4096}\{)|<[\w?!])"
)
# What a form is made of that no header says to be one.
_FORM = re.compile(rb"[A-Za-z_%\[$][\w.%+\[\]:$-]*+=[!#-;=?-z|~]*+")
_TEXT_FORM = re.compile(_FORM.pattern.decode("ascii"))
_IS_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+://\S++\Z")
_FIELDS = re.compile(r"[^\r\n]+")
_LINES = re.compile(r"ndjson|jsonl|json-?lines|json-seq|jsonlines")


class Shape(Enum):
    """What a body is."""

    JSON = auto()
    FORM = auto()
    MULTIPART = auto()
    XML = auto()
    # A request or an answer of HTTP.
    MESSAGE = auto()
    # Names before colons (GraphQL, YAML).
    NAMES = auto()
    OTHER = auto()


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


def shape_of(body: bytes | mmap, content_type: str) -> Shape:
    """Return what a body is: by what it looks like, else by its media type."""
    media = media_type(content_type)
    if is_json(media):
        return Shape.JSON
    if media.startswith("multipart/"):
        return Shape.MULTIPART
    beginning = body[:BEGINNING]
    match = _MARK.match(beginning)
    if match is not None:
        if match["json"]:
            return Shape.JSON
        if match["xml"]:
            return Shape.XML
    if looks_multipart(beginning):
        return Shape.MULTIPART
    kind = media.rpartition("/")[2]
    if kind == "http":
        return Shape.MESSAGE
    if "json" in kind:
        return Shape.JSON
    if kind == "x-www-form-urlencoded":
        return Shape.FORM
    if kind.endswith(("graphql", "yaml")):
        return Shape.NAMES
    if match is not None and match["field"] and b"\0" not in beginning:
        return Shape.FORM
    return Shape.OTHER


def is_lines(content_type: str) -> bool:
    """Say whether a media type is that of JSON lines."""
    return _LINES.search(media_type(content_type)) is not None


def is_form(body: bytes, content_type: str) -> bool:
    """Say whether a body that has the shape of a form is one, and nothing else."""
    media = media_type(content_type)
    return media == "application/x-www-form-urlencoded" or _FORM.fullmatch(body) is not None


class Opened(NamedTuple):
    """The content of a body.

    Attributes:
        coding: what was undone of its ``Content-Encoding``; empty: nothing.
        whole: it is all of it.
    """

    content: bytes
    coding: str
    whole: bool = True


def opened(body: bytes, content_type: str, coding: str) -> Opened | None:
    """Return the content of a body, as far as that can be looked into, else the body as it is.

    Args:
        coding: its ``Content-Encoding``.

    Returns:
        ``None``, if what would undo its coding is not installed.
    """
    if not coding and body[:3] != GZIP:
        return Opened(body, "")
    found = undone(coding or "gzip", body, LARGEST)
    if found.state is State.WHOLE:
        if coding or shape_of(found.content, "") is not Shape.OTHER:
            return Opened(found.content, coding or "gzip")
        # A file, which is to stay what it is.
        return Opened(body, "")
    if found.state in (State.CUT, State.MISSING) and shape_of(body, "") is Shape.OTHER:
        if found.state is State.MISSING:
            return None
        if found.content:
            return Opened(found.content, coding or "gzip", whole=False)
    return Opened(body, "")


def content_headers(pairs: Headers) -> tuple[str, str]:
    """Return a request's ``Content-Type``, and its ``Content-Encoding`` of one or many headers."""
    content_type = None
    codings = []
    for name, value in pairs:
        key = name.lower()
        if key == "content-type" and content_type is None:
            content_type = value
        elif key == "content-encoding":
            codings.append(value)
    return content_type or "", ",".join(codings)


def has_values(beginning: bytes, content_type: str, coding: str) -> bool:
    """Say whether a body may have named values, by its beginning."""
    if coding or beginning.startswith(GZIP):
        return True
    return shape_of(beginning, content_type) is not Shape.OTHER


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
        return xml_values.replace_xml(body, _texts("xml", visitor, depth))
    if shape is Shape.MULTIPART:
        return _multipart(body, content_type, visitor, depth)
    if shape is Shape.MESSAGE:
        return _message(body, visitor, depth)
    if shape is Shape.NAMES:
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
        return json_values.replace_text(text, _texts("json", visitor, depth), visitor.asks)
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
