"""Makes the headers of an answer agree with the body that another recorder kept of it.

Replay reads an answer as a client reads one off the wire: headers that no longer describe the body
would break it. Recorders keep bodies decoded beside a ``Content-Encoding`` (urllib3 2 under vcrpy),
or change them and leave their ``Content-Length``. Nothing of the body is changed here.
"""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus

from ...http.codings import codings_of
from ...http.heads import is_bodiless
from ...models import Headers

_LOOKED_AT = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = ("gzip", "x-gzip")
# Codings of which clients know no more than whether they can undo them.
_OTHERS = ("br", "zstd", "compress", "x-compress")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


def agreed(
    method: str, status: int, headers: Headers, content: bytes
) -> tuple[Headers, bytes, list[str]]:
    """Return an answer's headers and payload as a client can read them, and what was changed.

    Args:
        method: of the request, in upper case.
        content: the body, whether or not its content coding was undone.
    """
    changes = []
    if method == "HEAD" or is_bodiless(status):
        if content:
            changes.append(
                f"a body of {len(content)} bytes left out: a {status} to {method} has none"
            )
        return headers, b"", changes
    applied = codings(headers)
    if applied and content and not _is_coded(content, applied[-1]):
        headers = tuple(pair for pair in headers if pair[0].lower() != "content-encoding")
        changes.append(f"Content-Encoding: {', '.join(applied)} left out: the body is kept decoded")
    if _tokens(headers, "transfer-encoding")[-1:] != ["chunked"]:
        headers = _measured(headers, len(content), changes)
    return headers, content, changes


def phrase(status: int) -> str:
    """Return the standard reason phrase of a status, if it has one."""
    return HTTPStatus(status).phrase if status in _KNOWN else ""


_KNOWN = frozenset(HTTPStatus)


def head(status: int, reason: str, headers: Headers) -> bytes:
    """Return a status line and headers as bytes; the version is taken to be HTTP/1.1."""
    lines = [f"HTTP/1.1 {status} {reason}".rstrip(), *(f"{name}: {val}" for name, val in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def dechunked(headers: Headers, body: bytes) -> bytes:
    """Return an upload without its chunked coding, if it was kept with that."""
    if "chunked" not in _tokens(headers, "transfer-encoding"):
        return body
    out = bytearray()
    at = 0
    while match := _CHUNK.match(body, at):
        size = int(match[1], 16)
        end = match.end() + size
        if body[end : end + 2] != b"\r\n":
            break
        if not size:
            return bytes(out) if end + 2 == len(body) else body
        out += body[match.end() : end]
        at = end + 2
    return body


def codings(headers: Headers) -> list[str]:
    """Return the content codings of a body, in the order in which they were applied."""
    return _tokens(headers, "content-encoding")


def _tokens(headers: Headers, name: str) -> list[str]:
    return codings_of(",".join(value for key, value in headers if key.lower() == name))


def _measured(headers: Headers, size: int, changes: list[str]) -> Headers:
    """Return headers with the size of the body as their one Content-Length, if they have one."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if not lengths or lengths == [str(size)]:
        return headers
    changes.append(f"Content-Length: {', '.join(lengths)} made {size}")
    out = []
    for name, value in headers:
        if name.lower() != "content-length":
            out.append((name, value))
        elif lengths:
            out.append((name, str(size)))
            lengths = []
    return tuple(out)


def _is_coded(content: bytes, coding: str) -> bool:
    """Say whether a body is still in a content coding."""
    if coding in _GZIP:
        return _inflates(content, 31)
    if coding == "deflate":
        return _inflates(content, 15) or _inflates(content, -15)
    if coding == "zstd":
        return content.startswith(_ZSTD)
    # Brotli has no mark; but what is text is not in it.
    return coding not in _OTHERS or not _is_text(content)


def _inflates(content: bytes, bits: int) -> bool:
    decoder = zlib.decompressobj(bits)
    try:
        decoder.decompress(content, _LOOKED_AT)
    except zlib.error:
        return False
    # A raw stream has no mark at its start, but one at its end.
    return bits > 0 or decoder.eof or bool(decoder.unconsumed_tail)


def _is_text(content: bytes) -> bool:
    try:
        text = content[:_LOOKED_AT].decode("utf-8")
    except UnicodeDecodeError as exc:
        # The cut may go through a character.
        return exc.start > _LOOKED_AT - 4
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
