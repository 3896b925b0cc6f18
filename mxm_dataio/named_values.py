"""What texts that hold named values have in common: kinds of values, and what replaces them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from enum import Enum, auto


class Kind(Enum):
    """What a named value is."""

    TEXT = auto()
    # A number, true, false or null.
    LITERAL = auto()
    # All that is beneath a name. If it is replaced, each text of it is asked for as well, so that
    # it may be learned; the replacements of these are of no meaning.
    GROUP = auto()
    # A text that has no name: an element of an array.
    ELEMENT = auto()
    # Secret by its place, whatever its name (WS-Security).
    SIGNATURE = auto()
    # Made anew for each call by its place, and no secret (WS-Addressing's MessageID).
    PASSING = auto()


# Asked with a value's name, as it is written, the value decoded (empty for a group), and its kind.
# What it returns takes the value's place; ``None`` leaves it.
Replace = Callable[[str, str, Kind], str | None]


def replace_in(body: bytes, change: Callable[[str], str]) -> bytes:
    """Return bytes whose text was changed, in the same encoding; the same object, if it was not.

    JSON and XML come in UTF-8, UTF-16 and UTF-32 (RFC 8259 §8.1 once allowed them; XML 1.0 §F.1).
    Other encodings are supersets of ASCII, which is all that their structure is made of.
    """
    text, encoding, end = _decoded(body)
    changed = change(text)
    if changed is text or changed == text:
        return body
    return _encoded(changed, encoding) + end


def text_of(body: bytes) -> str:
    """Return the text of JSON or XML, whatever its encoding."""
    return _decoded(body)[0]


def _decoded(body: bytes) -> tuple[str, str, bytes]:
    """Return a text, its encoding, and the bytes at its end that are no whole character."""
    encoding = "utf-8"
    if body[:1] in b"\xef\xfe\xff\0" or body[1:2] == b"\0":
        encoding = json.detect_encoding(body)
    if encoding in ("utf-8", "utf-8-sig"):
        try:
            return body.decode("utf-8"), "utf-8", b""
        except UnicodeDecodeError:
            return body.decode("latin-1"), "latin-1", b""
    width = 4 if encoding.startswith("utf-32") else 2
    if encoding in ("utf-16", "utf-32"):
        # The mark stays in the text.
        little = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE))
        encoding += "-le" if little else "-be"
    whole = len(body) - len(body) % width
    try:
        text = body[:whole].decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("latin-1"), "latin-1", b""
    return text, encoding, body[whole:]


def _encoded(text: str, encoding: str) -> bytes:
    if encoding.startswith("utf-"):
        return text.encode(encoding, "surrogatepass")
    # What takes a value's place may have letters that its text had no bytes for.
    return text.encode(encoding, "xmlcharrefreplace")
