"""The headers of a call as pairs of text, whatever mapping the program gave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..models import Headers

# The module of requests' mapping of headers.
_REQUESTS_HEADERS = "requests.structures"


def header_pairs(headers: Any) -> Headers:
    """Return the pairs of any mapping of headers, repeats included, as text."""
    if not headers:
        return ()
    items: Iterable[tuple[Any, Any]]
    if type(headers).__module__ == _REQUESTS_HEADERS and hasattr(headers, "_store"):
        # It keeps the pairs as they are wanted, under no public name; its items() makes each anew,
        # which costs more than all else that is done with them.
        items = headers._store.values()
    else:
        items = headers.items() if hasattr(headers, "items") else headers
    return tuple(
        [
            (name, value) if type(name) is type(value) is str else (_text(name), _text(value))
            for name, value in items
        ]
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
