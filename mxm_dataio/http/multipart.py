"""``multipart/*`` (RFC 2046 §5.1) by its parts, as servers read it.

With line ends of CRLF or of LF alone, with text before and behind, without its last boundary, and
also where the header does not name the boundary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from email.utils import collapse_rfc2231_value
from functools import lru_cache
from mmap import MADV_DONTNEED, mmap
from typing import NamedTuple

from ..errors import MALFORMED
from ..models import Headers
from ..patterns import regex
from ..utils import media_type

_STEP = 1 << 20
# The longest boundary is 70 characters (RFC 2046 §5.1.1); some are longer.
_LONGEST = 256
# The longest head of a part that is read as one.
_HEAD = 64 << 10
_LONGEST_HEADER = 4096
# What may stand before the first boundary, where the header does not name it.
_BEFORE = 4096
_REST = regex(rb"(?P<last>--)?[ \t]*(?:(?P<end>\r?\n)|\Z)")
_BLANK = regex(rb"(?:\A|\r?\n)\r?\n")
# A boundary with a part's head behind it, or with the end.
_BOUNDARY = regex(
    rb"^--(?P<boundary>[^\r\n]{1,%d}?)[ \t]*\r?\n(?=content-[a-z-]+[ \t]*:|\r?\n)" % _LONGEST,
    re.IGNORECASE | re.MULTILINE,
)
_FILENAME = regex(
    r""";[ \t]*filename(?:\*[0-9]*\*?)?[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*+"?|[^;"]*+)""",
    re.IGNORECASE | re.DOTALL,
)
_LINE_END = regex(r"\r?\n(?![ \t])")


class Part(NamedTuple):
    """Where a part is.

    Attributes:
        head: where its headers begin.
        start, end: of its content.
    """

    head: int
    start: int
    end: int


class Multipart(NamedTuple):
    """Where the parts of a body are.

    Attributes:
        preamble, epilogue: where the text before them ends, and that behind them begins.
    """

    parts: list[Part]
    preamble: int
    epilogue: int


def parts_of(body: bytes | mmap, content_type: str) -> Multipart | None:
    """Return the parts of a body, ``None`` if it has none.

    Only heads are read into memory, so a memory-mapped upload of any size will do.
    """
    boundary = parameter(content_type, "boundary").encode("latin-1", "replace")
    found = _parts(body, boundary) if boundary else None
    if found is None:
        sniffed = _BOUNDARY.search(body[:_BEFORE])
        if sniffed is not None and sniffed["boundary"] != boundary:
            found = _parts(body, sniffed["boundary"])
    return found


def looks_multipart(beginning: bytes) -> bool:
    """Say whether a body is multipart by its beginning, whatever its header says."""
    return beginning[:2] == b"--" and _BOUNDARY.match(beginning[:_BEFORE]) is not None


def _parts(body: bytes | mmap, boundary: bytes) -> Multipart | None:
    parts: list[Part] = []
    preamble = -1
    begun = 0
    for before, behind, last in _delimiters(body, boundary):
        if preamble < 0:
            preamble = before
        else:
            parts.append(_part(body, begun, before))
        begun = behind
        if last:
            return Multipart(parts, preamble, behind)
    if preamble < 0:
        return None
    if begun < len(body):
        # It has no end: what closes a line closes it.
        parts.append(_part(body, begun, _line_end(body, len(body))))
    return Multipart(parts, preamble, len(body))


def _delimiters(body: bytes | mmap, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield of each delimiter where it begins and ends, line ends included, and if it is last."""
    mark = b"--" + boundary
    at = 0
    while (found := find(body, mark, at, len(body))) >= 0:
        at = found + len(mark)
        rest = _REST.match(body[at : at + _LONGEST])
        if rest is None or (found and body[found - 1 : found] != b"\n"):
            continue
        yield _line_end(body, found), at + rest.end(), bool(rest["last"])
        if rest["last"]:
            return
        at += rest.start("end") if rest["end"] else rest.end()


def _line_end(body: bytes | mmap, end: int) -> int:
    """Return where what ends at a place ends without its line end."""
    tail = body[max(0, end - 2) : end]
    if tail == b"\r\n":
        return end - 2
    return end - 1 if tail.endswith(b"\n") else end


def _part(body: bytes | mmap, begun: int, end: int) -> Part:
    end = max(begun, end)
    blank = _BLANK.search(body[begun : min(begun + _HEAD, end)])
    if blank is None:
        # A head alone, or no head at all.
        return Part(begun, end, end)
    return Part(begun, begun + blank.end(), end)


def headers_of(head: bytes) -> Headers:
    """Return the headers of a part."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    lines = (line.partition(":") for line in _LINE_END.split(text) if line.strip())
    return tuple([(name.strip().lower(), value.strip()) for name, _, value in lines])


def header(headers: Iterable[Sequence[str]], name: str) -> str:
    """Return the value of a part's header, empty if it has none."""
    return next((value for key, value in headers if key == name), "")


def part_name(headers: Iterable[Sequence[str]]) -> str:
    """Return the field name that a part's ``Content-Disposition`` gives (RFC 7578 §4.2)."""
    return parameter(header(headers, "content-disposition"), "name")


def without_filename(disposition: str) -> str:
    """Return a ``Content-Disposition`` without the name of a file (RFC 6266 §4.3 too)."""
    return _FILENAME.sub("", disposition)


@lru_cache(maxsize=256)
def parameter(value: str, name: str) -> str:
    """Return a parameter of a header's value (RFC 2231 too), empty if it has none."""
    if "=" not in value:
        return ""
    message = Message()
    try:
        # Who has more to say says it to tire the parser.
        message["Content-Disposition"] = value[:_LONGEST_HEADER]
        found = message.get_param(name, "", header="Content-Disposition")
        return collapse_rfc2231_value(found) if isinstance(found, (str, tuple)) else ""
    except MALFORMED:
        return ""


def is_multipart(content_type: str) -> bool:
    """Say whether a media type is one of ``multipart/*``."""
    return media_type(content_type).startswith("multipart/")


def find(body: bytes | mmap, mark: bytes, start: int, end: int) -> int:
    """Return where a mark is in bytes or a mapped file, which takes no memory."""
    for at in range(start, end, _STEP):
        found = body.find(mark, at, min(at + _STEP + len(mark) - 1, end))
        if found >= 0:
            return found
        let_go(body)
    return -1


def let_go(body: bytes | mmap) -> None:
    """Give back the memory of a mapped file's pages, which else grows with what was looked at."""
    if isinstance(body, mmap):
        body.madvise(MADV_DONTNEED)
