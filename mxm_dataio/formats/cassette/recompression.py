"""Compressed bytes as their content and what compresses it alike: gzip and deflate, with zlib.

What zlib's parameters were does not stand in its output, so they are found by trying, the likely
ones first. Other compressors (Go's, zopfli's) make what zlib never does; their bytes have to be
kept. So has what was flushed in between, as a server does that sends while it compresses.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

# Bytes that may be compressed in search of the parameters.
_WORK = 16 << 20
_LEVELS = (6, 9, 1, 5, 4, 3, 2, 7, 8)
_GZIP = b"\x1f\x8b\x08"
_FEXTRA, _FNAME, _FCOMMENT, _FHCRC = 4, 8, 16, 2


class Deflation(NamedTuple):
    """What compresses content to just the bytes that came.

    Attributes:
        coding: ``gzip`` (RFC 1952), ``zlib`` (RFC 1950) or ``deflate``, without either's frame.
        level, memory, window: zlib's.
        header: gzip's, in hex.
    """

    coding: str
    level: int
    memory: int
    window: int
    header: str = ""

    def compress(self, content: bytes) -> bytes:
        """Return the content compressed."""
        window = self.window if self.coding == "zlib" else -self.window
        made = zlib.compressobj(self.level, zlib.DEFLATED, window, self.memory)
        raw = made.compress(content) + made.flush()
        if self.coding != "gzip":
            return raw
        check = zlib.crc32(content).to_bytes(4, "little")
        size = (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
        return bytes.fromhex(self.header) + raw + check + size

    def node(self) -> list[Any]:
        """Return it as JSON."""
        return [item for item in self if item != ""]


def recognise(coding: str, data: bytes, content: bytes) -> Deflation | None:
    """Return what makes just these bytes of their content, if zlib does."""
    if coding in ("gzip", "x-gzip"):
        header = _gzip_header(data)
        kinds = [("gzip", header.hex())] if header is not None else []
    else:
        kinds = [("zlib", ""), ("deflate", "")]
    for kind, header_hex in kinds:
        work = _WORK
        for level, memory, window in _parameters(data, len(content)):
            work -= len(content)
            if work < 0:
                break
            found = Deflation(kind, level, memory, window, header_hex)
            if found.compress(content) == data:
                return found
    return None


def _parameters(data: bytes, size: int) -> Iterator[tuple[int, int, int]]:
    # zlib says in a gzip header whether it was its strongest or its fastest (XFL).
    hint = {2: (9,), 4: (1,)}.get(data[8] if len(data) > 8 else 0, ())
    levels = tuple(dict.fromkeys((*hint, *_LEVELS)))
    sizes = [(8, 15), (9, 15)]
    window, memory = 15, 8
    # What nginx takes where it knows the length (ngx_http_gzip_filter_module.c).
    while size < (1 << (window - 1)) - 262:
        window, memory = window - 1, memory - 1
    if window < 15:
        sizes.append((max(1, memory), window))
    for level in levels:
        yield level, 8, 15
    for memory, window in sizes[1:]:
        for level in levels:
            yield level, memory, window


def _gzip_header(data: bytes) -> bytes | None:
    """Return the header of a gzip member (RFC 1952 §2.3)."""
    if data[:3] != _GZIP or len(data) < 18:
        return None
    flags, at = data[3], 10
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            end = data.find(b"\0", at)
            if end < 0:
                return None
            at = end + 1
    if flags & _FHCRC:
        at += 2
    return data[:at]
