"""What differs between two JSON documents, by the paths of what was added, removed and changed.

Members of objects are told apart by their names. Elements of arrays are aligned: by a member that
names them, where all are objects that have one (``date``, ``symbol``, ``id``); else as a text's
lines are. So one element put in at the front is one difference, not as many as there are behind it.

Numbers are equal if their values are (``1``, ``1.0`` and ``10e-1``), taken exactly, not as doubles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, NamedTuple

Path = tuple[str | int, ...]

# Arrays longer than this are compared place by place where nothing names their elements.
_ALIGNED = 2000
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LARGEST_EXPONENT = 100_000


class Op(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Difference(NamedTuple):
    """One difference.

    Attributes:
        path: names and indexes that lead to the value: in the second document, or in the first
            where it was removed.
        old, new: the values; ``None`` also where there is none.
        shown: the path as a text, in which elements that have a name are called by it.
    """

    op: Op
    path: Path
    old: Any
    new: Any
    shown: str


class NotComparableError(ValueError):
    """A document is no JSON, or says more than its value: a name twice, say."""


def parse(text: str) -> Any:
    """Return the value of a document, numbers with a fraction or an exponent as ``Decimal``.

    Raises:
        NotComparableError: it has none, or not only one.
    """
    try:
        return json.loads(
            text, parse_float=_number, parse_constant=_refuse, object_pairs_hook=_members
        )
    except (ValueError, RecursionError) as exc:
        raise NotComparableError(str(exc)) from exc


def _number(text: str) -> Decimal:
    number = Decimal(text)
    # To compare it with an integer would take that many digits.
    if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"a number too large or small: {text[:40]}")
    return number


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def same(old: Any, new: Any) -> bool:
    """Say whether two values are equal."""
    return bool(_key(old) == _key(new))


def differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield what differs between two values that :func:`parse` gave, in the order of the second."""
    return _differences(_Place(None, "", old), _Place(None, "", new))


class _Place(NamedTuple):
    """A value of one document, and its place there.

    It is put into words only for what differs, which is little of most documents.

    Attributes:
        above: the place of what holds the value; ``None``: the value is the root, whose step is
            of no meaning.
        step: its name or index there.
        value: the value.
        name: the member that names the elements of its array.
    """

    above: _Place | None
    step: str | int
    value: Any
    name: str | None = None


def _steps(place: _Place) -> list[_Place]:
    """Return the places on the way from the root to one, without the root."""
    steps = []
    while place.above is not None:
        steps.append(place)
        place = place.above
    return steps[::-1]


def _path(place: _Place) -> Path:
    return tuple(one.step for one in _steps(place))


def _shown(place: _Place) -> str:
    shown = ""
    for one in _steps(place):
        if isinstance(one.step, str):
            shown = _member(shown, one.step)
        else:
            shown = _element(shown, one.step, one.value, one.name)
    return shown


def _differences(was: _Place, now: _Place) -> Iterator[Difference]:
    if isinstance(was.value, dict) and isinstance(now.value, dict):
        yield from _of_objects(was, now)
    elif isinstance(was.value, list) and isinstance(now.value, list):
        yield from _of_arrays(was, now)
    elif not same(was.value, now.value):
        yield Difference(Op.CHANGED, _path(now), was.value, now.value, _shown(now) or "$")


def _removed(was: _Place) -> Difference:
    return Difference(Op.REMOVED, _path(was), was.value, None, _shown(was))


def _added(now: _Place) -> Difference:
    return Difference(Op.ADDED, _path(now), None, now.value, _shown(now))


def _of_objects(was: _Place, now: _Place) -> Iterator[Difference]:
    old, new = was.value, now.value
    for name, value in old.items():
        if name not in new:
            yield _removed(_Place(was, name, value))
    for name, value in new.items():
        here = _Place(now, name, value)
        if name not in old:
            yield _added(here)
        else:
            yield from _differences(_Place(was, name, old[name]), here)


def _of_arrays(was: _Place, now: _Place) -> Iterator[Difference]:
    old, new = was.value, now.value
    name = _naming(old, new)
    for before, after in _aligned(old, new, name):
        there = _Place(was, before, old[before], name) if before is not None else None
        here = _Place(now, after, new[after], name) if after is not None else None
        if here is None:
            assert there is not None
            yield _removed(there)
        elif there is None:
            yield _added(here)
        else:
            yield from _differences(there, here)


# -- aligning arrays -------------------------------------------------------------------------------

# Places in the one array and in the other that belong together; None: it has no other.
_Pair = tuple[int | None, int | None]


def _aligned(old: list[Any], new: list[Any], name: str | None) -> Iterator[_Pair]:
    if name is not None:
        keys: Callable[[Any], Any] = lambda element: _key(element[name])  # noqa: E731
    else:
        keys = _key
    before, after = [keys(one) for one in old], [keys(one) for one in new]
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        yield start, start
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-end - 1] == after[-end - 1]:
        end += 1
    yield from _middle(
        before[start : len(before) - end], after[start : len(after) - end], start, name is not None
    )
    for place in range(end, 0, -1):
        yield len(before) - place, len(after) - place


def _middle(
    before: Sequence[Any], after: Sequence[Any], start: int, named: bool
) -> Iterator[_Pair]:
    if named:
        yield from _by_name(before, after, start)
        return
    if max(len(before), len(after)) > _ALIGNED:
        yield from _side_by_side(range(len(before)), range(len(after)), start)
        return
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        yield from _side_by_side(range(i1, i2), range(j1, j2), start)


def _side_by_side(before: range, after: range, start: int) -> Iterator[_Pair]:
    both = min(len(before), len(after))
    for one, other in zip(before, after, strict=False):
        yield start + one, start + other
    for one in before[both:]:
        yield start + one, None
    for other in after[both:]:
        yield None, start + other


def _by_name(before: Sequence[Any], after: Sequence[Any], start: int) -> Iterator[_Pair]:
    """Yield pairs of the same name; of those in another order, that is no difference of its own."""
    places = {key: place for place, key in enumerate(before)}
    known = set(after)
    for place, key in enumerate(before):
        if key not in known:
            yield start + place, None
    for place, key in enumerate(after):
        yield (start + places[key] if key in places else None), start + place


def _naming(old: list[Any], new: list[Any]) -> str | None:
    """Return the member that names the elements of two arrays, if one does.

    It is a text or a number, other in each, and the arrays have most of its values in common, in
    the same order: a change of order is a difference, which names would hide.
    """
    elements = [*old, *new]
    if not old or not new or not all(isinstance(one, dict) for one in elements):
        return None
    name: str
    for name in old[0]:
        if all(isinstance(one.get(name), (str, int)) for one in elements):
            before, after = [_key(one[name]) for one in old], [_key(one[name]) for one in new]
            first, second = set(before), set(after)
            if len(first) < len(before) or len(second) < len(after):
                continue
            common = first & second
            if (
                2 * len(common) >= min(len(first), len(second))
                and [key for key in before if key in common]
                == [key for key in after if key in common]
            ):  # fmt: skip
                return name
    return None


def _key(value: Any) -> Any:
    """Return what is hashable, and equal for equal values only."""
    if isinstance(value, dict):
        return ("o", frozenset((name, _key(one)) for name, one in value.items()))
    if isinstance(value, list):
        return ("a", tuple(map(_key, value)))
    # True is 1, for Python.
    return ("n" if type(value) in (int, Decimal) else "s", type(value) is bool, value)


# -- as text ---------------------------------------------------------------------------------------


def _member(shown: str, name: str) -> str:
    if _PLAIN.fullmatch(name):
        return f"{shown}.{name}" if shown else name
    return f"{shown}[{json.dumps(name, ensure_ascii=False)}]"


def _element(shown: str, place: int, value: Any, name: str | None) -> str:
    if name is None:
        return f"{shown}[{place}]"
    return f"{shown}[{name}={written(value[name])}]"


def written(value: Any) -> str:
    """Return a value as JSON, on one line."""
    if isinstance(value, dict):
        members = (f"{json.dumps(n, ensure_ascii=False)}: {written(v)}" for n, v in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
