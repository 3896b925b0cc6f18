"""Escapes in texts, undone."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ..patterns import regex

# Escapes within escapes that are undone.
_DEPTH = 2
# Bytes that an escape has.
_LONGEST_ESCAPE = 40
# Start and end in a text.
Span = tuple[int, int]


class _Escape(NamedTuple):
    """A way to escape characters.

    Attributes:
        mark: what each escape begins with.
        pattern: of one.
        plain: returns what one stands for.
        begun: the beginning of one, at the end of a text.
    """

    mark: bytes
    pattern: re.Pattern[bytes]
    plain: Callable[[bytes], bytes]
    begun: re.Pattern[bytes]


def _percent(escape: bytes) -> bytes:
    return bytes.fromhex(escape[1:].decode("ascii"))


_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@lru_cache(maxsize=4096)
def _backslash(escape: bytes) -> bytes:
    kind, digits = escape[1:2], escape[2:]
    if kind == b"u":
        units = bytes.fromhex(digits.decode("ascii").replace("\\u", ""))
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    # A byte in Python's bytes, and in JavaScript a character of Latin-1.
    return bytes.fromhex(digits.decode("ascii")) if digits else _LETTERS.get(kind, kind)


@lru_cache(maxsize=4096)
def _entity(escape: bytes) -> bytes:
    return html.unescape(escape.decode("ascii")).encode("utf-8", "surrogatepass")


_ESCAPES = (
    _Escape(
        b"%",
        regex(rb"%[0-9A-Fa-f]{2}"),
        lru_cache(maxsize=1024)(_percent),
        regex(rb"%[0-9A-Fa-f]?\Z"),
    ),
    _Escape(
        b"\\",
        regex(
            rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"
            rb"|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[^ux]",
            re.DOTALL,
        ),
        _backslash,
        regex(
            rb"(?:\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?"
            rb"|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?)\Z"
        ),
    ),
    _Escape(
        b"&",
        regex(rb"&(?:#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});"),
        _entity,
        regex(rb"&[#A-Za-z0-9]{0,32}\Z"),
    ),
)


class View:
    """A text with its escapes undone.

    Attributes:
        text: it.
    """

    def __init__(self, text: bytes, under: View | None = None, escape: _Escape | None = None):
        self.text = text
        self._under = under
        self._escape = escape
        # Where escapes end in this text, and how much later in the one under it.
        self._places: tuple[list[int], list[int]] | None = None

    def start(self, at: int) -> int:
        """Return where what stands at a place of it begins in the text as it came."""
        if self._under is None or self._escape is None:
            return at
        if self._places is None:
            ends, later = [0], [0]
            for match in self._escape.pattern.finditer(self._under.text):
                size = len(self._escape.plain(match[0]))
                ends.append(match.start() - later[-1] + size)
                later.append(match.end() - ends[-1])
            self._places = ends, later
        ends, later = self._places
        return self._under.start(at + later[bisect_right(ends, at) - 1])

    def span(self, start: int, end: int) -> Span:
        """Return where a part of it stands there."""
        return self.start(start), self.start(end)


def views(text: bytes, *, cut: bool = False) -> Iterator[View]:
    """Yield a text with its escapes undone, in each way.

    Args:
        cut: it may end within an escape, which is to go.
    """
    level = [View(text)]
    seen = {text}
    for _ in range(_DEPTH):
        below, level = level, []
        for view in below:
            for escape in _ESCAPES:
                if escape.mark in view.text:
                    plain = _undone(view.text, escape, cut=cut)
                    if plain not in seen:
                        seen.add(plain)
                        level.append(View(plain, view, escape))
        yield from level


def _undone(text: bytes, escape: _Escape, *, cut: bool) -> bytes:
    begun = escape.begun.search(text, max(0, len(text) - _LONGEST_ESCAPE)) if cut else None
    text = text[: begun.start()] if begun else text
    return escape.pattern.sub(lambda match: escape.plain(match[0]), text)
