"""Patterns of URLs: ``*/live/*``, ``https://api.example.com/upload?*``.

``*`` is any text, ``?`` any one character. A pattern is that of the whole URL, with its query or
without, with its scheme or without.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from .forms import form_pairs
from .urls import split_url


def forms_of(url: str) -> list[str]:
    """Return a URL in the forms that a pattern may match, in their normal form."""
    endpoint, query = split_url(url)
    pairs = [tuple(one.decode("utf-8", "replace") for one in pair) for pair in form_pairs(query)]
    return forms_with(endpoint, sorted(pairs, key=lambda pair: pair[0]))


def forms_with(endpoint: str, params: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return the forms of a normalised endpoint with decoded parameters, sorted by name."""
    query = "&".join(f"{name}={value}" for name, value in params)
    urls = [endpoint, f"{endpoint}?{query}"] if query else [endpoint]
    return urls + [url.partition("://")[2] or url for url in urls]


def matches(forms: Iterable[str], pattern: str) -> bool:
    """Say whether one of the forms of a URL matches a pattern."""
    # A bracket is that of an IPv6 address, not of a set of characters.
    plain = pattern.replace("[", "[[]")
    return any(fnmatchcase(form, plain) for form in forms)
