"""A document is JSON or YAML; whatever is wrong in it is named with its place."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import documents
from mxm_dataio.formats.foreign.documents import Node, parse_document, read_document


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("a.json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("a.json", b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("a.yaml", b'{"a": [1, null]}', {"a": ["1", None]}),
        ("a.yml", b"a: 1", {"a": "1"}),
        ("a", b"a: 1", {"a": "1"}),
        ("a", b'{"a": 1}', {"a": 1}),
        ("a", b"[a, b]", ["a", "b"]),
        ("a.txt", b"\n  - 1\n", ["1"]),
    ],
)
def test_the_kind_is_told_by_name_else_by_content(name: str, content: bytes, value: Any) -> None:
    assert parse_document(content, Path(name)).value == value


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"", "is empty: nothing was recorded"),
        ("a.yaml", b" \n ", "is empty: nothing was recorded"),
        ("a.json", b'{\n"a": }', "line 2, column 6: Expecting value"),
        ("a.json", b'{"a": "\xff"}', "byte 7: no UTF-8"),
        ("a.json", b"[" * 100_000, "nested too deep"),
        ("a.json", b"[" + b"9" * 5000 + b"]", "no JSON: Exceeds the limit"),
        ("a.yaml", b"a: [}", "line 1, column 5: "),
        ("a", b'{"a": [}', "line 1, column 8: "),
    ],
)
def test_what_is_no_document(name: str, content: bytes, said: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_document(content, Path("of") / name)
    assert str(caught.value).startswith(f"of/{name}")
    assert said in str(caught.value)
    assert caught.value.path == Path("of") / name


def test_a_file_too_large_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LARGEST", 2 << 20)
    (tmp_path / "a.json").write_bytes(b" " * (3 << 20))
    with (
        (tmp_path / "a.json").open("rb") as fp,
        pytest.raises(IntegrityError, match=r"a\.json is larger than 2 MiB"),
    ):
        read_document(fp)


def test_a_stream_without_a_name() -> None:
    assert read_document(io.BytesIO(b'{"a": 1}')).value == {"a": 1}
    with pytest.raises(IntegrityError, match=r"^<stream>: line 1, column 5: "):
        read_document(io.BytesIO(b"a: [}"))


def node(value: Any) -> Node:
    return Node(value, Path("a.json"), "calls[3]")


@pytest.mark.parametrize(
    ("value", "text"),
    [("é", "é"), (12, "12"), (1.5, "1.5"), (b"\xe9", "é"), ("", "")],
)
def test_texts(value: Any, text: str) -> None:
    assert node(value).text() == text


@pytest.mark.parametrize(
    ("value", "number"), [(200, 200), ("200", 200), (" 200 ", 200), ("0404", 404)]
)
def test_numbers(value: Any, number: int) -> None:
    assert node(value).integer() == number


@pytest.mark.parametrize(
    ("reading", "value", "said"),
    [
        ("text", None, "nothing where a text is to be"),
        ("text", True, "True where a text is to be"),
        ("text", {}, "a mapping where a text is to be"),
        ("text", "\ud800", "half of a surrogate pair"),
        ("content", 1, "1 where a text is to be"),
        ("content", "\ud800", "the text is not in utf-8"),
        ("integer", "two", "the text 'two' where a number is to be"),
        ("integer", -1, "-1 where a number is to be"),
        ("integer", "²", "the text '²' where a number is to be"),
        ("integer", True, "True where a number is to be"),
        ("integer", "9" * 400, "a number out of all bounds"),
        ("elements", "a", "the text 'a' where a list is to be"),
        ("elements", {}, "a mapping where a list is to be"),
    ],
)
def test_other_values_are_named_with_file_and_place(reading: str, value: Any, said: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        getattr(node(value), reading)()
    assert str(caught.value).startswith(f"a.json: calls[3]: {said}")


def test_members() -> None:
    found = node({"a": {"b": [1, 2]}, "c": None})
    assert found.member("a").member("b").elements()[1].place == "calls[3].a.b[1]"
    assert found.get("c") is None
    assert found.get("d") is None
    with pytest.raises(IntegrityError, match=r"calls\[3\]: c is missing"):
        found.member("c")
    with pytest.raises(IntegrityError, match=r"calls\[3\]: bytes where a mapping is to be"):
        node(b"").member("c")
    with pytest.raises(IntegrityError, match="a list where a mapping is to be"):
        list(node([]).members())


def test_contents() -> None:
    assert node(b"\xff").content() == b"\xff"
    assert node("é").content("latin-1") == b"\xe9"
    assert node("\udcff").content() == b"\xff"
    with pytest.raises(IntegrityError, match="no coding is named 'nope'"):
        node("a").content("nope")
    with pytest.raises(IntegrityError, match="the text is not in ascii"):
        node("é").content("ascii")
