"""Reads what the recorder of ``responses`` writes.

``{responses: [{response: {method, url, body, status, headers, content_type, …}}, …]}``, in YAML, or
in what a parser of the user's reads (JSON). It has the answers' bodies as decoded text, and of a
request its method and URL alone: a call that sends a body can't be told from another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message

from ...utils import is_json, media_type
from . import fields
from .conversion import Interaction, Reader
from .documents import Node

_BEGIN = re.compile(rb'^responses[ ]*:|^\s*\{\s*"responses"\s*:', re.MULTILINE)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def knows(content: bytes) -> bool:
    """Say whether a file is of this format, given how it begins."""
    return _BEGIN.search(content) is not None


def interactions(document: Node) -> Iterator[Interaction]:
    """Yield what a file holds, in its order.

    Raises:
        IntegrityError: it is of another shape; the place in it is named.
    """
    for one in document.member("responses").elements():
        yield _interaction(one.member("response"))


def _interaction(node: Node) -> Interaction:
    method = fields.method(node.member("method"))
    kind = node.get("content_type")
    content_type = "" if kind is None else fields.line(kind)
    headers = fields.headers(node.get("headers"))
    if content_type:
        headers = tuple(pair for pair in headers if pair[0].lower() != "content-type")
        headers = (*headers, ("Content-Type", content_type))
    body = node.get("body")
    doubts = []
    if body is not None and isinstance(body.value, str) and fields.REPLACED in body.value:
        doubts.append(fields.LOST_BYTES)
    if method in _WITH_BODY:
        doubts.append(f"this format keeps no request body: a {method} that sends one is a miss")
    return Interaction(
        node.place,
        method,
        fields.url(node.member("url")),
        (),
        b"",
        fields.status(node.member("status")),
        None,
        headers,
        b"" if body is None else _encoded(body, content_type),
        doubts=tuple(doubts),
    )


def _encoded(body: Node, content_type: str) -> bytes:
    """Return the bytes of a text that requests decoded, as far as its type tells how."""
    if isinstance(body.value, bytes):
        return body.value
    coding = _charset(content_type)
    try:
        return body.text().encode(coding)
    except (LookupError, ValueError):
        return body.content()


def _charset(content_type: str) -> str:
    """Return the coding by which ``requests.Response.text`` decodes a body of a type."""
    message = Message()
    message["Content-Type"] = content_type
    charset = message.get_param("charset")
    if isinstance(charset, str) and charset:
        return charset.strip("'\"")
    media = media_type(content_type)
    return "iso-8859-1" if media.startswith("text/") and not is_json(media) else "utf-8"


_reader = Reader(interactions)
convert = _reader.convert
read = _reader.read
