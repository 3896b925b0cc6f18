"""An answer whose head is plain as ``http.client`` has it, without the work of its parsers.

They hand a head to the email package, which is made for worse than this and takes most of the time
of a replayed call. A head of one line a header, in printable characters, can be read in one way
only, and that is how it was read when its row was: so what they would make of it is put together
here, whatever its body is like. Every other head goes through them. A test holds the two ways
against each other.
"""

from __future__ import annotations

import functools
import re
from http.client import HTTPMessage, HTTPResponse
from typing import Any

from ...models import Headers, Response
from ...patterns import regex
from .classes import Connection

_PLAIN = regex(
    rb"HTTP/1\.[01] [2-9][0-9]{2}(?: (?:[!-~](?:[ -~]*[!-~])?)?)?\r\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t ]*"
    rb"(?:[!-~\xa0-\xff](?:[\t -~\xa0-\xff]*[!-~\xa0-\xff])?)?\r\n)*\r\n"
)
# What http.client takes in one line, and how many headers.
_LONGEST = 65536
_MOST = 99
# The email parser looks for bodies of these types in the head.
_OF_PARTS = regex(rb"\r\ncontent-type:[^\r]*(?:multipart|message)", re.IGNORECASE)
# Statuses whose answers have no body whatever their head says.
_BODILESS = frozenset({204, 304})


def is_plain(response: Response) -> bool:
    """Say that there is but one way to read the head of an attempt, and nobody watches."""
    if Connection.debuglevel or Connection.response_class is not HTTPResponse:
        # A program that watches or replaces http.client's reading is to have it.
        return False
    head = response.head
    return _short_is_plain(head) if len(head) <= _SHORT else _is_plain(head)


def _is_plain(head: bytes) -> bool:
    return (
        len(head) <= _LONGEST
        and _PLAIN.fullmatch(head) is not None
        # (The status line has a line end, too, and so has the empty line.)
        and head.count(b"\r\n") - 2 <= _MOST
        and _OF_PARTS.search(head) is None
    )


# Most answers of a program have one of a few heads.
_SHORT = 4096
_short_is_plain = functools.lru_cache(maxsize=256)(_is_plain)


def read_plainly(response: Response, method: str, sock: Any) -> HTTPResponse:
    """Return a recorded answer as ``http.client`` has it once it has read the head.

    Args:
        response: one with a plain head.
        method: of the request.
        sock: what holds all that follows the head.
    """
    made: Any = HTTPResponse(sock, method=method)
    made.headers = made.msg = _message(response.headers)
    first = {name.lower(): value for name, value in reversed(response.headers)}
    made.code = made.status = status = int(response.head[9:12])
    made.reason = response.reason
    made.version = 10 if response.http_version == "HTTP/1.0" else 11
    made.chunked = first.get("transfer-encoding", "").lower() == "chunked"
    if made.chunked:
        made.chunk_left = None
    made.length = None if made.chunked else _length(first.get("content-length"))
    if status in _BODILESS or method == "HEAD":
        made.length = 0
    to_close = not made.chunked and made.length is None
    made.will_close = to_close or _closes(made.version, first)
    read: HTTPResponse = made
    return read


def _message(headers: Headers) -> HTTPMessage:
    message = HTTPMessage()
    for name, value in headers:
        # What email's own parser calls; assigning asks each header's policy first.
        message.set_raw(name, value)
    message.set_payload("")
    return message


def _length(text: str | None) -> int | None:
    try:
        length = int(text or "")
    except ValueError:
        return None
    return length if length >= 0 else None


def _closes(version: int, first: dict[str, str]) -> bool:
    """Say whether the connection ends behind the answer, as ``http.client`` has it."""
    connection = first.get("connection", "").lower()
    if version == 11:
        return "close" in connection
    return not (
        first.get("keep-alive")
        or "keep-alive" in connection
        or "keep-alive" in first.get("proxy-connection", "").lower()
    )
