"""Forms as pairs of names and values (WHATWG URL §5.1)."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

Pair = tuple[bytes, bytes]


def form_pairs(query: bytes) -> list[Pair]:
    """Return the decoded pairs of an ``application/x-www-form-urlencoded`` text, in order."""
    pairs = []
    for field in query.replace(b"+", b" ").split(b"&"):
        if field:
            name, _, value = field.partition(b"=")
            if b"%" in field:
                name, value = unquote_to_bytes(name), unquote_to_bytes(value)
            pairs.append((name, value))
    return pairs
