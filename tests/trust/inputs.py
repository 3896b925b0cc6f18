"""What is thrown at the parsers: things that were well-formed once, and were not left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

# Numbers at which something gives way.
NUMBERS = [
    0, 1, -1, 2, 127, 255, 256, 4300, 65_535, 65_536, 1 << 31, 1 << 32, (1 << 53) + 1, 1 << 62,
    (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63), 10**30, 1.5, -0.0, 1e300, 1e-300,
]  # fmt: skip
TEXTS = [
    "", "\0", "\r\n", "..", "../../x", "/etc/passwd", "\ud800", "\udcff", "\u2028", "\u20ac",
    "%", "%zz", "%00", "a" * 64, "0" * 64, "f" * 64, "x" * 5_000, "{", "[" * 2_000, '"', "\\",
    "http://", "http://[", "://", "data:,", "None", "true", "9" * 5_000, "met", "exception",
]  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(max_size=12)
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | texts
json_values: SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: DrawFn, whole: SearchStrategy[bytes], edits: int = 4) -> bytes:
    """Bytes that were well-formed, with some of them changed, lost, added or said again."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, edits))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8) | st.integers(0, 500)))
        kind = draw(st.integers(0, 5))
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << draw(st.integers(0, 7))
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = draw(st.binary(max_size=12))
        elif kind == 3:
            data[at:at] = data[at:end] * draw(st.integers(1, 20))
        elif kind == 4:
            data[at:end] = draw(st.sampled_from(TEXTS)).encode("utf-8", "surrogatepass")
        else:
            del data[at:]
    return bytes(data)


@st.composite
def altered(draw: DrawFn, whole: SearchStrategy[Any], edits: int = 3) -> Any:
    """A JSON value that was well-formed, with something else in the place of parts of it."""
    value = draw(whole)
    for _ in range(draw(st.integers(0, edits))):
        places = list(_places(value, ()))
        value = _with(value, draw(st.sampled_from(places)), lambda old: _other(draw, old))
    return value


def _places(value: Any, here: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a value."""
    yield here
    if isinstance(value, (list, dict)):
        for key in range(len(value)) if isinstance(value, list) else value:
            yield from _places(value[key], (*here, key))


def _with(value: Any, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Return a value in which the part at a place is what a function makes of it."""
    if not place:
        return change(value)
    first, *rest = place
    inner = _with(value[first], tuple(rest), change)
    if isinstance(value, list):
        return [*value[:first], inner, *value[first + 1 :]]
    return {**value, first: inner}


def _other(draw: DrawFn, old: Any) -> Any:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return draw(json_values)
    if isinstance(old, list) and old:
        at = draw(st.integers(0, len(old) - 1))
        return [*old[:at], *old[at + 1 :]] if kind < 3 else [*old, old[at]]
    if isinstance(old, dict) and old:
        name = draw(st.sampled_from(sorted(old)))
        rest = {key: item for key, item in old.items() if key != name}
        return rest if kind < 3 else {**rest, draw(texts): old[name]}
    return _alike(draw, old)


def _alike(draw: DrawFn, value: Any) -> Any:
    """Return another value of the same kind: what gets past a look at that."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.integers(-2, 9) | st.sampled_from([n for n in NUMBERS if type(n) is int]))
    if isinstance(value, float):
        return draw(st.sampled_from([-1.0, 1e300, 5e-324, float("inf"), float("nan")]))
    if isinstance(value, str) and len(value) == 64:
        at = draw(st.integers(0, 63))
        return value[:at] + draw(st.sampled_from("0123456789abcdefgF")) + value[at + 1 :]
    return draw(texts)


def as_json(value: Any) -> bytes:
    """Return a value as JSON text, whatever is in it."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def cut(draw: DrawFn, length: int) -> Sequence[int]:
    """Places at which something of a length arrives in pieces, its ends included."""
    places = draw(st.lists(st.integers(0, length), max_size=6)) if length else []
    return sorted({0, length, *places})
