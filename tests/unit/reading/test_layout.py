"""Layouts: nothing but white space is changed, and what is short stays together."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.reading.layout import hex_lines, indented

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=30,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans(), st.integers(0, 120))
def test_only_white_space_is_changed(
    value: Any, indent: int | None, ascii_only: bool, width: int
) -> None:
    document = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    laid_out = "\n".join(indented(document, width))
    assert stripped(laid_out) == stripped(document)
    assert json.loads(laid_out) == json.loads(document)


def stripped(document: str) -> str:
    """Return a document without the white space between its tokens."""
    return "".join(re.findall(r'"(?:[^"\\]|\\.)*"|\S', document))


def test_numbers_escapes_and_repeated_names_stay_as_they_are() -> None:
    document = r'{"a":1.0,"a":1e2,"b":"\u00e9\/","c":12345678901234567890.10}'
    assert "".join(indented(document)) == (
        r'{"a": 1.0, "a": 1e2, "b": "\u00e9\/", "c": 12345678901234567890.10}'
    )


def test_how_it_looks() -> None:
    document = '{"bars":[{"day":1,"close":2.5},{"day":2,"close":3}],"none":[],"x":{},"s":"a,b"}'
    assert list(indented(document, 40)) == [
        "{",
        '  "bars": [',
        '    {"day": 1, "close": 2.5},',
        '    {"day": 2, "close": 3}',
        "  ],",
        '  "none": [],',
        '  "x": {},',
        '  "s": "a,b"',
        "}",
    ]
    assert list(indented('[{"a":[1]}]', 4)) == [
        "[", "  {", '    "a": [', "      1", "    ]", "  }", "]",
    ]  # fmt: skip
    assert list(indented("true")) == ["true"]


@given(st.binary(max_size=100), st.integers(1, 20))
def test_a_hex_dump_holds_every_byte(data: bytes, step: int) -> None:
    lines = list(hex_lines(data[at : at + step] for at in range(0, len(data), step)))
    assert b"".join(bytes.fromhex(line[10:58]) for line in lines) == data
    assert [int(line[:8], 16) for line in lines] == list(range(0, len(data), 16))


def test_how_a_hex_dump_looks() -> None:
    assert list(hex_lines([b"\x00GIF89a\xff and more"])) == [
        "00000000  00 47 49 46 38 39 61 ff  20 61 6e 64 20 6d 6f 72  .GIF89a. and mor",
        "00000010  65                                                e",
    ]
