"""A payload as readable JSON, and back to its very bytes.

What is readable is tried when it is written: where it does not give the bytes again, they are kept
beside it. A body has

    "bytes": on one line, how the bytes are made of what follows, and their "sha256"
    "json": a value, or "text": lines, or "base64": lines; nothing if all is in a file beside
    "exact": Base64 of the bytes, where what is readable does not give them

and in ``bytes``, where they are not the default: ``style`` of JSON (compact), ``charset`` (UTF-8)
and ``line_end`` (LF) of text; ``compressed``, what compresses the content alike, and then
``content``, its own SHA-256; ``beside``, the size, if the bytes are in a file named by their
checksum; ``chunks``, how they were cut.

zlib makes other bytes of the same content in other builds (zlib-ng). Then ``content`` counts, and
what is served is compressed as that build does.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any, NamedTuple

from ...http.codings import content_of
from . import json_text, recompression
from .json_text import Style
from .nodes import Node, Refusal
from .recompression import Deflation

# Binary payloads above this are kept beside; readable ones above the other.
_LARGE, _LARGE_TEXT = 16 << 10, 1 << 20
_LINE = 76
# JSON in lines no longer than this is readable as text.
_READABLE = 160
_CONTROLS = frozenset(map(chr, range(32))) - frozenset("\t\n\r\f")
_LATIN_CONTROLS = frozenset(map(chr, range(0x7F, 0xA0)))
_STYLE = Style()._asdict()
_AS_IS = Style(numbers=True)
_PYTHON = Style(", ", ": ", ascii=True)


class Shown(NamedTuple):
    """A body to be written.

    Attributes:
        node: its JSON.
        beside: the payload goes into a file of its own.
    """

    node: Node
    beside: bool = False


def show(content: bytes, content_type: str, coding: str) -> Shown:
    """Return a payload in the most readable form that gives its bytes again.

    Args:
        content: as it came off the wire.
        content_type, coding: its headers.
    """
    checksum = hashlib.sha256(content).hexdigest()
    coding = coding.strip().lower()
    plain = content_of(coding, content) if coding else content
    if plain is None or len(plain) > _LARGE_TEXT:
        return _bytes(checksum, content)
    readable = _readable(plain, content_type)
    if readable is None:
        return _bytes(checksum, content)
    made, node = readable
    exact = restored(made, node) == plain
    if coding:
        made = {"content": hashlib.sha256(plain).hexdigest(), **made}
        found = recompression.recognise(coding, content, plain) if exact else None
        exact = found is not None
        if found is not None:
            made = {"content": made.pop("content"), "compressed": found.node(), **made}
    made = {"sha256": checksum, **made}
    if exact:
        return Shown({"bytes": made, **node})
    if len(content) > _LARGE:
        return Shown({"bytes": {**made, "beside": len(content)}, **node}, beside=True)
    return Shown({"bytes": made, **node, "exact": _base64(content)})


def _bytes(checksum: str, content: bytes) -> Shown:
    if len(content) > _LARGE:
        return Shown({"bytes": {"sha256": checksum, "beside": len(content)}}, beside=True)
    return Shown({"bytes": {"sha256": checksum}, "base64": _base64(content)})


def _base64(content: bytes) -> list[str]:
    text = base64.b64encode(content).decode("ascii")
    return [text[at : at + _LINE] for at in range(0, len(text), _LINE)]


def _readable(content: bytes, content_type: str) -> tuple[Node, Node] | None:
    """Return how content is made, and it as JSON or text; ``None`` if it is neither."""
    for charset, unseen in _charsets(content_type):
        try:
            text = content.decode(charset)
            if text.encode(charset) == content and unseen.isdisjoint(text):
                return _readable_text(text, charset)
        except (ValueError, LookupError):
            continue
    return None


def _readable_text(text: str, charset: str) -> tuple[Node, Node]:
    made: Node = {} if charset == "utf-8" else {"charset": charset}
    may_be_json = text.lstrip(" \t\r\n\ufeff")[:1] in ("{", "[")
    recognised = json_text.recognise(text) if may_be_json else None
    if recognised is not None:
        value, style = recognised
        return {**made, **_style_node(style)}, {"json": value}
    lines = text.split("\n")
    if len(lines) > 1 and text.count("\r\n") == len(lines) - 1:
        lines = text.split("\r\n")
        made["line_end"] = "\r\n"
    if may_be_json and max(map(len, lines)) > _READABLE:
        try:
            return made, {"json": json_text.loads(text)}
        except (ValueError, RecursionError):
            pass
    return made, {"text": lines}


def _charsets(content_type: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the charsets that a body may have, and the characters that it then has not."""
    message = Message()
    message["Content-Type"] = content_type
    with contextlib.suppress(LookupError, ValueError):
        yield codecs.lookup(message.get_content_charset("utf-8")).name, _CONTROLS
    if message.get_content_maintype() == "text" or message.get_content_subtype()[-3:] == "xml":
        yield "utf-8", _CONTROLS
        # Any bytes are text in it, and few of them are.
        yield "cp1252", _CONTROLS
        yield "iso8859-1", _CONTROLS | _LATIN_CONTROLS


def _style_node(style: Style) -> Node:
    if style == _PYTHON:
        return {"style": "python"}
    said = {name: item for name, item in style._asdict().items() if item != _STYLE[name]}
    return {"style": said} if said else {}


# -- back --------------------------------------------------------------------------------------


def restored(made: Node, node: Node) -> bytes:
    """Return the content that a readable form stands for, decompressed.

    Args:
        made: how.
        node: the body.

    Raises:
        Refusal: one of them is malformed.
    """
    member = "json" if "json" in node else "text"
    if member == "json":
        style = _known_style(made.get("style", {}))
        try:
            text = json_text.dumps(node["json"], style)
        except (ValueError, RecursionError) as exc:
            raise Refusal(str(exc), "json") from None
    else:
        text = made.get("line_end", "\n").join(_lines(node, "text"))
    try:
        return text.encode(made.get("charset", "utf-8"))
    except (ValueError, LookupError, TypeError) as exc:
        raise Refusal(f"can't be encoded: {exc}", member) from None


def _known_style(node: Any) -> Style:
    if node == "python":
        return _PYTHON
    if not isinstance(node, Mapping):
        raise Refusal("is neither 'python' nor an object", "bytes.style")
    for name, item in node.items():
        fits = isinstance(item, bool if isinstance(_STYLE.get(name), bool) else str)
        if name not in _STYLE or not fits:
            raise Refusal(f"has no {name}={item!r}", "bytes.style")
    return Style(**node)


def _lines(node: Node, member: str) -> list[str]:
    lines = node[member]
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise Refusal("is not a list of lines", member)
    return lines


class Restored(NamedTuple):
    """A payload as it is served.

    Attributes:
        content: the bytes.
        checksum: theirs.
    """

    content: bytes
    checksum: str


def restore(
    node: Node, coding: str = "", beside: Callable[[str, int], bytes] | None = None
) -> Restored:
    """Return the payload of a node.

    Args:
        coding: its ``Content-Encoding``.
        beside: returns what a file beside holds, by its checksum and size.

    Raises:
        Refusal: the node is malformed, or its bytes are not those of its checksum.
    """
    made: Node = node.get("bytes", {})
    checksum = _checksum(made, "sha256")
    readable = "json" in node or "text" in node
    if "beside" in made:
        content = _from_beside(made["beside"], checksum, beside)
    elif "exact" in node:
        content = _decoded(node, "exact")
    elif "base64" in node:
        content = _decoded(node, "base64")
    elif readable:
        content = restored(made, node)
        if "compressed" in made:
            return _compressed(made, content, checksum)
        return _checked(content, checksum)
    else:
        raise Refusal("has none of json, text and base64, and nothing beside")
    found = _checked(content, checksum)
    if readable:
        _compare(made, node, content, coding)
    return found


def _checked(content: bytes, checksum: str | None) -> Restored:
    found = hashlib.sha256(content).hexdigest()
    if checksum not in (None, found):
        raise _edited()
    return Restored(content, found)


def _compare(made: Node, node: Node, content: bytes, coding: str) -> None:
    """Check that what is readable beside the bytes is what they say: who edits it shall know.

    Raises:
        Refusal: it is not.
    """
    plain = content_of(coding, content) if "content" in made else content
    if plain is None:
        # What undoes the coding is not installed here.
        return
    try:
        text = plain.decode(made.get("charset", "utf-8"))
        if "json" in node:
            same = json_text.dumps(json_text.loads(text), _AS_IS) == json_text.dumps(
                node["json"], _AS_IS
            )
        else:
            same = text == made.get("line_end", "\n").join(_lines(node, "text"))
    except (ValueError, LookupError, TypeError, RecursionError):
        same = False
    if not same:
        raise Refusal(
            "was edited, and the bytes beside it were not: delete those, and their sha256 too",
            "json" if "json" in node else "text",
        )


def _from_beside(
    size: Any, checksum: str | None, beside: Callable[[str, int], bytes] | None
) -> bytes:
    if type(size) is not int or size < 0:
        raise Refusal("is no size", "bytes.beside")
    if checksum is None:
        raise Refusal("is not there, and names the file beside", "bytes.sha256")
    if beside is None:
        raise Refusal("names a file, and there is none to look in", "bytes.beside")
    return beside(checksum, size)


def _compressed(made: Node, content: bytes, checksum: str | None) -> Restored:
    of_content = _checksum(made, "content")
    try:
        coding, level, memory, window, *header = made["compressed"]
        if coding not in ("gzip", "zlib", "deflate") or len(header) != (coding == "gzip"):
            raise ValueError(f"with {coding!r}")
        compressed = Deflation(coding, level, memory, window, *header).compress(content)
    except (TypeError, ValueError, OverflowError) as exc:
        raise Refusal(f"says nothing that compresses: {exc}", "bytes.compressed") from None
    found = hashlib.sha256(compressed).hexdigest()
    if checksum not in (None, found) and of_content != hashlib.sha256(content).hexdigest():
        raise _edited()
    return Restored(compressed, found)


def _checksum(made: Node, member: str) -> str | None:
    found = made.get(member)
    if found is not None and not _is_checksum(found):
        raise Refusal("is no SHA-256 in lowercase hex", f"bytes.{member}")
    return found


def _is_checksum(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _edited() -> Refusal:
    return Refusal(
        "the body does not have the recorded checksum: it was damaged or edited. Record the call "
        "again or, if the change is meant, delete its sha256",
        "bytes.sha256",
    )


def _decoded(node: Node, member: str) -> bytes:
    try:
        return base64.b64decode("".join(_lines(node, member)), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Refusal(f"is no Base64: {exc}", member) from None
