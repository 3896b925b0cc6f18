"""What a request's body is, whatever its header says, and the named values in it.

The one reader of bodies: redaction and identity both replace values through
:func:`mxm_dataio.http.replacing.replaced`, so what the one finds, the other finds too. It goes
down to what is within: JSON in a field of a form, in a part or in a text of JSON; requests in a
batch; multipart in multipart. Every byte that is no value stays.
"""

from __future__ import annotations

from typing import NamedTuple

from ..models import Headers
from .codings import State, undone
from .shapes import Shape, shape_of

# Bodies above this are not looked into.
LARGEST = 16 << 20
# A member of deflate, as gzip begins it (RFC 1952 §2.3).
GZIP = b"\x1f\x8b\x08"


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
