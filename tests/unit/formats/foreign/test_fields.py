"""Methods, URLs, headers and bodies in the shapes in which recorders write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import fields
from mxm_dataio.formats.foreign.documents import Node


def node(value: Any) -> Node:
    return Node(value, Path("a.json"), "x")


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ({"A": ["1", "2"], "B": "3"}, (("A", "1"), ("A", "2"), ("B", "3"))),
        ({"A": 12, "B": None, "C": []}, (("A", "12"),)),
        ({"A": b"\xe9"}, (("A", "é"),)),
        ({"A": "€"}, (("A", "â\x82¬"),)),
        ({"A": " x \r\n\t y"}, (("A", "x y"),)),
        ([["A", ["1", "2"]], ["B", "3"]], (("A", "1"), ("A", "2"), ("B", "3"))),
        (["A: 1\r\n", "B:2", "C:"], (("A", "1"), ("B", "2"), ("C", ""))),
        ({}, ()),
    ],
)
def test_headers(value: Any, pairs: Any) -> None:
    assert fields.headers(node(value)) == pairs


def test_no_headers() -> None:
    assert fields.headers(None) == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("A: 1", "x: the text 'A: 1' where a list is to be"),
        (["A"], r"x\[0\]: no colon in the line of a header"),
        ([["A"]], r"x\[0\]: a name and its value are to be here"),
        ({"A": ["1", {}]}, r"x\.A\[1\]: a mapping where a text is to be"),
        ({"A B": "1"}, r"x\.A B: 'A B' is no name of a header"),
        ({"A": "1\x00"}, r"x\.A: a control character"),
        ({"A": "1\n2\r3"}, r"x\.A: a control character"),
    ],
)
def test_what_is_no_header(value: Any, said: str) -> None:
    with pytest.raises(IntegrityError, match=rf"^a\.json: {said}"):
        fields.headers(node(value))


@pytest.mark.parametrize("text", ["http://a", "HTTPS://a:1/b?c=d#e", "http://[::1]/", "http://ü/ü"])
def test_urls(text: str) -> None:
    assert fields.url(node(f" {text}\n")) == text


@pytest.mark.parametrize("text", ["", "/a", "a.test/b", "ftp://a/", "http:///a", "http://a/\nb", 1])
def test_what_is_no_url(text: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^a\.json: x: .* is no absolute http URL"):
        fields.url(node(text))


def test_methods_and_statuses() -> None:
    assert fields.method(node("get")) == "GET"
    assert fields.status(node("404")) == 404
    for reading, value in (
        (fields.method, ""), (fields.method, "G T"), (fields.status, 100), (fields.status, 1000),
        (fields.status, None),
    ):  # fmt: skip
        with pytest.raises(IntegrityError, match=r"^a\.json: x: "):
            reading(node(value))
    assert fields.reason(None) is None
    assert fields.reason(node("Not Found\r\n")) == "Not Found"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("é", b"\xc3\xa9"),
        (b"\xff", b"\xff"),
        ({"string": "é"}, b"\xc3\xa9"),
        ({"string": "é", "encoding": "ISO-8859-1"}, b"\xe9"),
        ({"string": "é", "encoding": None}, b"\xc3\xa9"),
        ({"base64_string": "/w=="}, b"\xff"),
        ({"base64_string": "/w\n==", "encoding": "utf-8"}, b"\xff"),
        ({"string": None}, b""),
        ({}, b""),
        ([b"a", "b"], b"ab"),
    ],
)
def test_bodies(value: Any, content: bytes) -> None:
    assert fields.content(node(value)) == content


def test_no_body() -> None:
    assert fields.content(None) == b""


@pytest.mark.parametrize(
    "value",
    [
        1, {"string": 1}, {"base64_string": "a"}, {"base64_string": "a$=="}, {"base64_string": "ü"},
        {"string": "€", "encoding": "latin-1"}, {"string": "a", "encoding": "rot13"}, [1], [[]],
    ],
)  # fmt: skip
def test_what_is_no_body(value: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^a\.json: x"):
        fields.content(node(value))
