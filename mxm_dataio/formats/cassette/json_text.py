"""JSON text as a value and the style in which it is written, so that it can be written alike.

A style is recognised by trying: what it makes of the value has to be the very text. What no style
makes (members that stand twice, uneven spaces) is left to the caller.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, NamedTuple

# Deeper ones are not taken apart: what is read has to be writable within Python's own limit.
_DEEPEST = 60
_SPACE = " \t\r\n"
_BOM = "\ufeff"
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_INDENTED = re.compile(r"[\[{]\n([ \t]*)[^ \t]")


class Number(float):
    """A number with a fraction or an exponent, and how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        made = super().__new__(cls, text)
        made.text = text
        return made


class Style(NamedTuple):
    """How a value is written. Of the defaults, most servers' compact form, nothing need be said.

    Attributes:
        between: what stands between members.
        behind_name: what stands between a member's name and its value.
        indent: of each level, where each member has a line of its own.
        ascii: characters beyond ASCII are escaped.
        upper: the hex digits of escapes are upper-case.
        escaped: further characters that are escaped.
        numbers: some numbers are not written as Python writes them (``1.10``, ``1e5``).
        start, end: what stands before and behind the value.
    """

    between: str = ","
    behind_name: str = ":"
    indent: str | None = None
    ascii: bool = False
    upper: bool = False
    escaped: str = ""
    numbers: bool = False
    start: str = ""
    end: str = ""


def loads(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return the value of a JSON text, its numbers as they are written.

    Args:
        pairs: makes an object of its members.

    Raises:
        ValueError: it is none; ``NaN`` and ``Infinity`` are not.
        RecursionError: it is too deep.
    """
    return json.loads(
        text, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=pairs
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def dumps(value: Any, style: Style = Style()) -> str:  # noqa: B008 - a tuple
    """Return a value as JSON text."""
    if style.numbers:
        out: list[str] = []
        _write(value, style, "\n", out)
        text = "".join(out)
    else:
        text = _encoder(style.between, style.behind_name, style.indent, style.ascii).encode(value)
    if style.escaped or style.upper:
        text = _escaping(style.escaped, style.upper)(text)
    return f"{style.start}{text}{style.end}"


@functools.lru_cache(maxsize=64)
def _encoder(between: str, behind: str, indent: str | None, ascii: bool) -> json.JSONEncoder:
    return json.JSONEncoder(
        separators=(between, behind), indent=indent, ensure_ascii=ascii, check_circular=False
    )


def _write(value: Any, style: Style, line: str, out: list[str]) -> None:
    """Write a value, its numbers as they were; ``line`` begins a line on its level."""
    if isinstance(value, str):
        out.append(encode_basestring_ascii(value) if style.ascii else encode_basestring(value))
    elif isinstance(value, Number):
        out.append(value.text)
    elif isinstance(value, dict):
        _write_all("{", "}", value, value.items(), style, line, out)
    elif isinstance(value, list):
        _write_all("[", "]", value, (("", item) for item in value), style, line, out)
    else:
        out.append(json.dumps(value))


def _write_all(
    first: str, last: str, value: Any, items: Any, style: Style, line: str, out: list[str]
) -> None:
    if not value:
        out.append(first + last)
        return
    inner = f"{line}{style.indent}" if style.indent is not None else ""
    mark = first + inner
    for name, item in items:
        out.append(mark)
        if first == "{":
            out.append(encode_basestring_ascii(name) if style.ascii else encode_basestring(name))
            out.append(style.behind_name)
        _write(item, style, inner, out)
        mark = style.between + inner
    out.append((line if inner else "") + last)


@functools.lru_cache(maxsize=64)
def _escaping(escaped: str, upper: bool) -> Callable[[str], str]:
    """Return what escapes further characters in a JSON text, all of whose strings hold them."""
    plain = "".join(c for c in escaped if c not in '"\\' and c >= " ")
    pattern = re.compile(r"\\u[0-9a-f]{4}|\\." + (f"|[{re.escape(plain)}]" if plain else ""))
    digits = "04X" if upper else "04x"

    def one(match: re.Match[str]) -> str:
        text = match[0]
        if len(text) == 6:
            return "\\u" + text[2:].upper() if upper else text
        if text[0] != "\\":
            return "\\/" if text == "/" else f"\\u{ord(text):{digits}}"
        character = _SHORT.get(text[1], text[1])
        return f"\\u{ord(character):{digits}}" if character in escaped else text

    return lambda text: pattern.sub(one, text)


def recognise(text: str) -> tuple[Any, Style] | None:
    """Return a JSON text's value and style, or ``None`` if it has none of those known."""
    start = len(text) - len(text.lstrip(_SPACE + _BOM))
    end = len(text.rstrip(_SPACE))
    body = text[start:end]
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return None
    if not _shallow(value, _DEEPEST):
        return None
    for style in _candidates(body):
        if dumps(value, style) == body:
            return value, style._replace(start=text[:start], end=text[end:])
    return None


def _shallow(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_shallow(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_shallow(item, levels - 1) for item in value)
    return True


def _candidates(body: str) -> Iterator[Style]:
    """Yield the styles that a text may be in."""
    indented = _INDENTED.match(body)
    if indented:
        spaces = [(",", ": ", indented[1]), (",", ":", indented[1]), (", ", ": ", indented[1])]
    else:
        spaces = [(",", ":", None), (", ", ": ", None), (",", ": ", None), (", ", ":", None)]
    ascii, upper, escaped = _escapes(body)
    for numbers in (False, True):
        for between, behind, indent in spaces:
            # Nothing shows it where all is ASCII: then it is taken to be so of Python's own.
            alone = ascii or (between == ", " and body.isascii())
            yield Style(between, behind, indent, alone, upper, escaped, numbers)


def _escapes(body: str) -> tuple[bool, bool, str]:
    """Return whether all beyond ASCII is escaped, in upper case, and what else is."""
    if "\\" not in body:
        return False, False, ""
    found = set(_ESCAPE.findall(body))
    codes = {code for code in found if len(code) == 5}
    beyond = {code for code in codes if int(code[1:], 16) > 0x7F}
    ascii = bool(beyond) and body.isascii()
    further = {chr(int(code[1:], 16)) for code in codes - (beyond if ascii else set())}
    further -= {chr(code) for code in range(32)} - set(_SHORT.values())
    if "/" in found:
        further.add("/")
    upper = any(code != code.lower() for code in codes)
    return ascii, upper, "".join(sorted(further))
