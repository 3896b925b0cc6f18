"""Parameters and fields of forms as pairs in their canonical order."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from ..http.forms import Pair
from ..http.replacing import nested
from .ignoring import Ignoring

_FIRST = itemgetter(0)


def sorted_pairs(pairs: Iterable[Pair], ignoring: Ignoring) -> list[Any]:
    """Return pairs as the document has them, without those whose names do not count."""
    if ignoring.names:
        leaves_out = ignoring.leaves_out
        pairs = [
            (n, _counted(v, ignoring)) for n, v in pairs if not leaves_out(_plain(n), _plain(v))
        ]
    return [[_text(name), _text(value)] for name, value in sorted(pairs, key=_FIRST)]


def _counted(value: bytes, ignoring: Ignoring) -> bytes:
    """Return a field's value; if it is JSON or XML, without what does not count."""
    if value.lstrip()[:1] not in (b"{", b"[", b"<"):
        return value
    try:
        return nested(value.decode("utf-8"), ignoring).encode("utf-8")
    except UnicodeError:
        return value


def _plain(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _text(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
