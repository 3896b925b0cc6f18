"""JSON text: recognised as it is written, and written as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.formats.cassette.json_text import Style, dumps, loads, recognise

# As services write the same: Python, JavaScript, PHP, Go, Rails, .NET, Java, files.
TEXTS = [
    '{"a":1,"b":[1,2.5,null,true,false],"c":{},"d":[]}',
    '{"a": 1, "b": [1, 2.5], "c": "\\u00e9"}',
    '{"url":"http:\\/\\/x\\/y","name":"\\u00e9\\u20ac"}',
    '{"html":"\\u003cb\\u003e \\u0026 \\u2028"}\n',
    '{"name":"\\u00E9\\u003C\\u0022"}',
    json.dumps({"a": [1, {"b": None}], "c": {}}, indent=2),
    json.dumps({"a": [1, {"b": "é"}], "c": []}, indent="\t", ensure_ascii=False) + "\n",
    json.dumps({"a": ["é", 1.5]}, indent=4).replace("/", "\\/"),
    '\ufeff{"a":1}\r\n',
    '["\\ud83d\\ude00","\\ud800"]',
    '["😀","\u2028","\\u0000\\b\\f\\n\\r\\t\\\\"]',
    "[12345678901234567890123,-1]",
]
NUMBERS = ['{"price":12.50}', "[1.0,1e5,1E-7,1e400,-0.0,0.1e1,100e-2]", '{\n  "a": 1.10\n}']
# No style makes these: members that stand twice, uneven spaces, escapes here and not there.
NEITHER = [
    '{"a":1,"a":2}',
    '{ "a":1}',
    "[1, 2,3]",
    '["a/b\\/c"]',
    "[-0]",
    "[NaN]",
    "[1",
    "",
    "[1]x",
]


@pytest.mark.parametrize("text", TEXTS + NUMBERS)
def test_a_text_is_written_as_it_was(text: str) -> None:
    found = recognise(text)
    assert found is not None
    value, style = found
    assert dumps(value, style) == text
    assert json.loads(text.lstrip("\ufeff")) == value


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_that_python_writes_otherwise_are_kept_as_they_are(text: str) -> None:
    found = recognise(text)
    assert found is not None
    assert found[1].numbers


@pytest.mark.parametrize("text", NEITHER)
def test_what_no_style_makes_is_left_alone(text: str) -> None:
    assert recognise(text) is None


def test_a_deep_text_is_left_alone() -> None:
    assert recognise("[" * 59 + "]" * 59) is not None
    assert recognise("[" * 62 + "]" * 62) is None
    assert recognise("[" * 100_000 + "]" * 100_000) is None


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a":-Infinity}'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON"):
        loads(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, (dict, list)))
STYLES = st.tuples(
    st.sampled_from([",", ", "]), st.sampled_from([":", ": "]), st.none(), st.booleans()
).map(lambda given: Style(*given))
INDENTED = st.sampled_from(["  ", "    ", "\t"]).map(lambda indent: Style(",", ": ", indent))


@given(VALUES, STYLES | INDENTED)
def test_every_known_style_is_recognised(value: Any, style: Style) -> None:
    text = dumps(value, style)
    found = recognise(text)
    assert found is not None
    assert dumps(*found) == text


@given(VALUES, st.sets(st.sampled_from('/<>&\u2028é"\b'), min_size=1), st.booleans())
def test_further_escapes_change_no_value(value: Any, escaped: set[str], upper: bool) -> None:
    style = Style(escaped="".join(sorted(escaped)), upper=upper)
    assert json.loads(dumps(value, style)) == value
