"""Differences of JSON documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.reading.json_diff import (
    Difference,
    NotComparableError,
    Op,
    differences,
    parse,
    same,
    written,
)

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab\"\n[", max_size=3)
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=20,
)
NAMED = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 9), "v": SCALARS}),
    max_size=6,
    unique_by=lambda one: one["id"],
)


def parsed(value: Any) -> Any:
    return parse(json.dumps(value))


def found(old: Any, new: Any) -> list[Difference]:
    return list(differences(parsed(old), parsed(new)))


def said(old: Any, new: Any) -> list[str]:
    marks = {Op.ADDED: "+", Op.REMOVED: "-", Op.CHANGED: "~"}
    return [
        f"{marks[one.op]}{one.shown} {written(one.old)}→{written(one.new)}"
        for one in found(old, new)
    ]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@given(VALUES, VALUES)
def test_there_are_differences_unless_values_are_equal(old: Any, new: Any) -> None:
    equal = parsed(old) == parsed(new)
    # Python takes true for 1, and so for its own comparison they are told apart by their texts.
    strict = _strict(old) == _strict(new)
    assert (found(old, new) == []) is strict
    assert not strict or equal
    assert same(parsed(old), parsed(new)) is strict


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_strict(one) for one in value]
    return (isinstance(value, bool), value)


@given(VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert found(value, value) == []


@given(VALUES | NAMED, VALUES | NAMED)
def test_paths_lead_to_the_values(old: Any, new: Any) -> None:
    before, after = parsed(old), parsed(new)
    for one in differences(before, after):
        if one.op is not Op.REMOVED:
            assert same(at(after, one.path), one.new)
        if one.op is Op.REMOVED:
            assert same(at(before, one.path), one.old)


def test_what_was_removed_is_at_its_place_in_the_first_document() -> None:
    # Its element has another place in the second.
    old, new = [None, None, {"a": 1}], [None, [], None, {}]
    (removed,) = [one for one in found(old, new) if one.op is Op.REMOVED]
    assert (removed.path, removed.shown, removed.old) == ((2, "a"), "[2].a", 1)


@given(VALUES | NAMED, VALUES | NAMED)
def test_all_that_differs_is_told(old: Any, new: Any) -> None:
    """Undoing each difference in the second document gives the first."""
    before, after = parsed(old), parsed(new)
    told = list(differences(before, after))
    after = [after]
    # Additions from behind, so that the places of those before stay.
    for one in sorted(
        (one for one in told if one.op is Op.CHANGED), key=lambda one: len(one.path), reverse=True
    ):
        path = (0, *one.path)
        at(after, path[:-1])[path[-1]] = one.old
    added = [one.path for one in told if one.op is Op.ADDED]
    for path in sorted(added, key=lambda p: [(isinstance(s, int), s) for s in p], reverse=True):
        del at(after, (0, *path[:-1]))[path[-1]]
    removed = [one for one in told if one.op is Op.REMOVED]
    assert _leaves(after[0]) + sum(_leaves(one.old) for one in removed) == _leaves(before)


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_leaves, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_leaves, value))
    return 1


@given(VALUES)
def test_what_is_written_is_the_value(value: Any) -> None:
    assert same(parse(written(parsed(value))), parsed(value))


def test_members() -> None:
    assert said({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1], "d e": None}, "a": "1"}) == [
        '+b["d e"] null→null',
        '~a 1→"1"',
    ]
    assert said({"a": 1}, {}) == ["-a 1→null"]
    assert said(1, [1]) == ["~$ 1→[1]"]


def test_an_element_put_in_is_one_difference() -> None:
    assert said([1, 2, 3], [0, 1, 2, 3]) == ["+[0] null→0"]
    assert said(["a", "b", "c", "d"], ["a", "c", "e"]) == ['-[1] "b"→null', '~[2] "d"→"e"']
    assert said([[1], [2]], [[1], [2], [3]]) == ["+[2] null→[3]"]


def test_elements_that_have_a_name() -> None:
    old = [{"date": "1", "close": 1.5}, {"date": "2", "close": 2}, {"date": "3", "close": 3}]
    new = [{"date": "0", "close": 0}, {"date": "1", "close": 1.6}, {"date": "3", "close": 3}]
    assert said({"bars": old}, {"bars": new}) == [
        '-bars[date="2"] {"date": "2", "close": 2}→null',
        '+bars[date="0"] null→{"date": "0", "close": 0}',
        '~bars[date="1"].close 1.5→1.6',
    ]


def test_an_order_that_changed_is_a_difference() -> None:
    a, b = {"id": 1, "v": 1}, {"id": 2, "v": 2}
    assert found([a, b], [b, a]) != []


def test_long_arrays_are_compared_place_by_place() -> None:
    old = list(range(5000))
    assert said(old, [*old[:2000], -1, *old[2001:]]) == ["~[2000] 2000→-1"]
    assert len(found(old, [n + 1 for n in old])) == 5000


def test_numbers_are_equal_by_value() -> None:
    for one, other in [("1", "1.0"), ("10e-1", "1"), ("0", "-0.0"), ("1e2", "100")]:
        assert list(differences(parse(one), parse(other))) == []
    for one, other in [
        ("1", "true"), ("0", "false"), ("null", "0"), ('"1"', "1"),
        ("9007199254740993", "9007199254740992.0"),
        ("0.1", "0.1000000000000000055511151231257827"),
    ]:  # fmt: skip
        assert len(list(differences(parse(one), parse(other)))) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", '{"a": 1, "a": 2}', "1e999999999", "[" * 100_000]
)
def test_documents_that_are_no_single_value(text: str) -> None:
    with pytest.raises(NotComparableError):
        parse(text)


@given(st.text(max_size=20) | st.text('[]{}:,"01.e ', max_size=12))
def test_any_text_is_a_document_or_refused(text: str) -> None:
    try:
        value = parse(text)
    except NotComparableError:
        return
    assert list(differences(value, value)) == []
