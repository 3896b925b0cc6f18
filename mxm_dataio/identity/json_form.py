"""JSON in its canonical form (RFC 8785), without what does not count."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..http.replacing import nested
from ..http.tokens import PLACEHOLDER
from ..utils import NotCanonicalError, canonical_json, json_writer
from .ignoring import Ignoring

_PAIRS = [("name", "value"), ("key", "value"), ("Name", "Value"), ("Key", "Value")]


@dataclass(frozen=True, slots=True)
class Written:
    """A value by its canonical JSON."""

    text: str


def json_form(content: bytes, ignoring: Ignoring) -> Written | None:
    """Return the canonical form of JSON, ``None`` where it has none."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    from ..http.json_values import may_nest  # few requests have a body of JSON

    ignores = ignoring.may_change(content)
    # Numbers that the standard encoder writes in another way, or should not write.
    odd: list[float] = []

    def real(text: str) -> float:
        value = float(text)
        if (len(text) > _SHORT or not _TINY < abs(value) < _HUGE) and not _holds(value, text):
            raise NotCanonicalError(f"{text[:_SHORT]}… is no number that a double holds")
        if value.is_integer() and abs(value) < 1e21:
            # From there on it keeps its exponent, and so stays a double when read again.
            if abs(value) > 2**53:
                raise NotCanonicalError(f"{text} is no integer that a double holds exactly")
            return int(value)
        if -_PLAIN < value < _PLAIN:
            odd.append(value)
        return value

    def whole(text: str) -> int:
        value = int(text)
        if len(text) > _SHORT:
            odd.append(value)
        return value

    try:
        value = json.loads(
            text,
            object_pairs_hook=_kept_by(ignoring) if ignores else _object,
            parse_float=real,
            parse_int=whole,
        )
        held = ignores and ("=" in text or "@" in text)
        if held or ((ignores or "<" in text) and may_nest(text)):
            value = _without_nested(value, ignoring)
        if not odd and _is_plain(content):
            return Written(ENCODE(value))
        return Written(canonical_json(value).decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _holds(value: float, text: str) -> bool:
    """Say whether a double is the number of a text.

    By its shortest form; up to 17 digits, which tell any two doubles apart, rounded to that.
    """
    if text == repr(value):
        return True
    (digits, point), (short, place) = _decimal(text), _decimal(repr(value))
    if (digits, point) == (short, place):
        return True
    if not 0 < abs(value) < math.inf or len(digits) > _DIGITS:
        return False
    last, unit = point - len(digits), place - len(short)
    low = min(last, unit)
    apart = abs(int(digits) * 10 ** (last - low) - int(short) * 10 ** (unit - low))
    return bool(2 * apart <= 10 ** (unit - low))


def _decimal(text: str) -> tuple[str, int]:
    """Return a number's digits, without zeros around them, and the place of its point."""
    mantissa, _, exponent = text.lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole) + len(fraction) - len(digits)
    digits = digits.rstrip("0")
    return digits, len(whole) - leading + int(exponent or 0) if digits else 0


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotCanonicalError("a key stands twice")
    return value


def _kept_by(ignoring: Ignoring) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Return what makes an object of members without those whose names do not count."""

    asks, leaves_out = ignoring.asks, ignoring.leaves_out

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = _object([pair for pair in pairs if not (asks(pair[0]) and leaves_out(*pair))])
        if "value" in value or "Value" in value:
            # ``{"name": "password", "value": …}``
            for label, of in _PAIRS:
                named = of in value and isinstance(value.get(label), str)
                if named and leaves_out(value[label], value[of]):
                    value[of] = PLACEHOLDER
        return value

    return kept


# The standard encoder writes as RFC 8785 has it, but for small numbers, and the order of names
# beyond the Basic Multilingual Plane. It would go deeper than what reads the document again.
ENCODE = json_writer(ascii=False, sort=True, nan=False)
# Numbers from here on have no exponent, or the same; integers of so many digits are exact.
_PLAIN, _SHORT = 1e-4, 15
# Doubles between these hold any number of so many digits.
_TINY, _HUGE = 1e-300, 1e300
_DIGITS = 17
_DEEPEST_PLAIN = 256
_BRACKETS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))
_BEYOND = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4", b"\\ud", b"\\uD")


def _is_plain(content: bytes) -> bool:
    """Say whether JSON is not deep, and has only letters of the Basic Multilingual Plane."""
    if any(map(content.__contains__, _BEYOND)):
        return False
    brackets = content.translate(_BRACKETS, _NO_BRACKETS)
    if len(brackets) <= _DEEPEST_PLAIN:
        return True
    return max(accumulate(memoryview(brackets).cast("b"))) <= _DEEPEST_PLAIN


def _without_nested(value: Any, ignoring: Ignoring) -> Any:
    """Return a JSON value in whose texts JSON and XML have no values that do not count."""
    if isinstance(value, str):
        return nested(value, ignoring)
    if isinstance(value, list):
        return [_without_nested(one, ignoring) for one in value]
    if isinstance(value, dict):
        return {name: _without_nested(one, ignoring) for name, one in value.items()}
    return value
