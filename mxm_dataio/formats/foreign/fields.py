"""The parts of a request and an answer that all recorders write down, in their many shapes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from ...models import Headers
from .documents import Node

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL = re.compile(r"https?://[^\s/?#]+[^\x00-\x20\x7f]*", re.IGNORECASE)
# A line break within a value, of a header that was folded (RFC 9112 §5.2).
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*")
# What recorders that keep text put in the place of bytes that were not of its charset.
REPLACED = "\ufffd"
LOST_BYTES = "bytes of its body were kept as text: U+FFFD stands where one was lost"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def method(node: Node) -> str:
    """Return a method, in upper case."""
    text = node.text()
    if not _METHOD.fullmatch(text):
        node.fail(f"{text[:40]!r} is no method")
    return text.upper()


def url(node: Node) -> str:
    """Return an absolute URL."""
    text = node.text().strip()
    if not _URL.fullmatch(text):
        node.fail(f"{text[:80]!r} is no absolute http URL")
    return text


def status(node: Node) -> int:
    """Return a final status code."""
    code = node.integer()
    # Clients wait for what follows a 100.
    if not 101 <= code <= 999:
        node.fail(f"{code} is no final status code")
    return code


def reason(node: Node | None) -> str | None:
    """Return a reason phrase, or ``None`` where there is none."""
    return None if node is None else line(node)


def headers(node: Node | None) -> Headers:
    """Return header pairs.

    They come as a mapping of names to a value or a list of them, as a list of such pairs
    (tornado under vcrpy), or as a list of lines (vcrpy before 1.0).
    """
    if node is None:
        return ()
    return tuple(_pairs(node))


def _pairs(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node.value, dict):
        for name, value in node.members():
            yield from _values(_name(Node(name, node.file, value.place)), value)
        return
    for one in node.elements():
        if isinstance(one.value, list):
            pair = one.elements()
            if len(pair) != 2:
                one.fail("a name and its value are to be here")
            yield from _values(_name(pair[0]), pair[1])
        else:
            name, colon, rest = line(one).partition(":")
            if not colon:
                one.fail("no colon in the line of a header")
            yield _name(Node(name.strip(), one.file, one.place)), rest.strip()


def _values(name: str, node: Node) -> Iterator[tuple[str, str]]:
    if node.value is None:
        return
    for value in node.elements() if isinstance(node.value, list) else [node]:
        yield name, line(value)


def _name(node: Node) -> str:
    text = node.text()
    if not _NAME.fullmatch(text):
        node.fail(f"{text[:40]!r} is no name of a header")
    return text


def line(node: Node) -> str:
    """Return a text of one line, characters beyond Latin-1 as their bytes in UTF-8."""
    text = _FOLD.sub(" ", node.text().strip("\r\n")).strip(" \t")
    if _CONTROL.search(text):
        node.fail("a control character, which no header has")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        text = text.encode("utf-8").decode("latin-1")
    return text


def content(node: Node | None) -> bytes:
    """Return a body: text or bytes, alone or as ``string`` or ``base64_string`` of a mapping."""
    if node is None:
        return b""
    if isinstance(node.value, dict):
        coded = node.get("base64_string")
        if coded is not None:
            return decoded(coded)
        plain = node.get("string")
        if plain is None:
            return b""
        coding = node.get("encoding")
        return plain.content(coding.text() if coding is not None else "utf-8")
    if isinstance(node.value, list):
        # What an iterator gave, one after the other.
        return b"".join(one.content() for one in node.elements())
    return node.content()


def decoded(node: Node) -> bytes:
    """Return the bytes of a Base64 text."""
    try:
        return base64.b64decode(b"".join(node.content("ascii").split()), validate=True)
    except binascii.Error as exc:
        node.fail(f"no Base64: {exc}")
