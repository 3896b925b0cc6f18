"""A sound, plain answer as ``http.client`` reads it, without the work of its parsers.

Most answers have a head that leaves nothing to judge: HTTP/1.1, one header a line, a length that
is the body's. What the parsers of ``http.client`` and ``email`` make of such a head is known, so
it is put together here; for every other head they are asked. A test holds the two against each
other.
"""

from __future__ import annotations

import http.client
import re
from typing import Any

from ..models import Response
from .bases import Connection

# A head that those parsers take line by line, in which no line can be read in two ways.
_PLAIN = re.compile(
    r"HTTP/1\.1 ([2-9][0-9]{2})(?: ([\x20-\x7e]*))?\r\n"
    r"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\xa0-\xff]*\r\n){0,100})\r\n"
)
_FIELD = re.compile(r"([^:\r]+):[ \t]*([^\r]*)\r\n")
# What http.client takes in one line.
_LONGEST = 65536
# Statuses whose answers have no body whatever their head says.
_BODILESS = frozenset({204, 304})
# The email parser looks for bodies of these types in the head.
_PARSED = re.compile("multipart|message", re.IGNORECASE)


def read_plainly(response: Response, method: str, sock: Any) -> http.client.HTTPResponse | None:
    """Return a recorded answer as ``http.client`` has it once it has read the head.

    Args:
        response: a whole one.
        method: of the request.
        sock: what holds its body and nothing else.

    Returns:
        ``None`` where it takes more than this to know.
    """
    if (
        response.framing is not None
        or response.failure is not None
        or not response.complete
        or method.upper() == "HEAD"
        or len(response.head) > _LONGEST
        # A program that watches or replaces http.client's reading is to have it.
        or Connection.debuglevel
        or Connection.response_class is not http.client.HTTPResponse
    ):
        return None
    head = _PLAIN.fullmatch(response.head.decode("latin-1"))
    if head is None:
        return None
    status, reason, lines = int(head[1]), head[2] or "", head[3]
    if status in _BODILESS or status != response.status_code:
        return None
    message = http.client.HTTPMessage()
    lengths, closes = [], None
    for name, value in _FIELD.findall(lines):
        match name.lower():
            case "content-length":
                lengths.append(value)
            case "transfer-encoding":
                return None
            case "connection" if closes is None:
                closes = "close" in value.lower()
            case "content-type" if _PARSED.search(value):
                return None
        # What email's own parser calls; assigning asks each header's policy first.
        message.set_raw(name, value)
    if lengths != [str(response.size)] and (lengths or not response.closed_by_peer):
        return None
    message.set_payload("")
    made = http.client.HTTPResponse(sock, method=method)
    made.status = status
    made.code = status  # type: ignore[attr-defined]
    made.reason = reason.strip()
    made.version = 11
    made.headers = made.msg = message
    made.chunked = False
    made.length = response.size if lengths else None
    made.will_close = bool(closes) or not lengths
    return made
