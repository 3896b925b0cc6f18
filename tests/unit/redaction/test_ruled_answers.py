"""What rules are asked of an answer's body, and what is written in its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.http import json_walk
from mxm_dataio.http.named_values import Kind
from mxm_dataio.redaction import DEFAULT, Redaction
from mxm_dataio.redaction.secrets import Secrets

JSON = "application/json"
BATCH = (
    b"--x\r\nContent-Type: application/json\r\n\r\n%s\r\n"
    b"--x\r\nContent-Type: application/http\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<ssn>%s</ssn>\r\n--x--\r\n"
)


def hiding(*names: str) -> Redaction:
    return DEFAULT.adding(lambda place, name, value: "HIDDEN" if name in names else None)


@pytest.mark.parametrize(
    ("content_type", "body", "after"),
    [
        (JSON, b'{"ssn": "12', b'{"ssn": "HIDDEN"'),
        (JSON, b'{"ssn": 12', b'{"ssn": "HIDDEN"'),
        (JSON, b'{"a": tru', None),
        (JSON, b"{'ssn': 'x', ssn: 'y',}", b"{'ssn': \"HIDDEN\", ssn: \"HIDDEN\",}"),
        (JSON, b'\xef\xbb\xbf{"\\u0073SN":"1"}', b'\xef\xbb\xbf{"\\u0073SN":"HIDDEN"}'),
        (JSON, b'{"a":{"ssn":{"b":"x","c":[1]}}}', None),
        (JSON, b'{"a":[{"ssn":[[1],{"b":2},3]},4]}',
         b'{"a":[{"ssn":[["HIDDEN"],{"b":2},"HIDDEN"]},4]}'),
        (JSON, b"42", None),
        (JSON, b"", None),
        (JSON, b"\xef\xbb\xbf  ", None),
        (f"{JSON}; charset=latin-1", '{"ß": "ü", "ssn": "é"}'.encode(),
         '{"ß": "ü", "ssn": "HIDDEN"}'.encode()),
        (JSON, '{"ß": "ü", "ssn": "é"}'.encode("latin-1"),
         '{"ß": "ü", "ssn": "HIDDEN"}'.encode("latin-1")),
        (JSON, '{"ß": 1, "ssn": "é"}'.encode("utf-16"),
         '{"ß": 1, "ssn": "HIDDEN"}'.encode("utf-16")),
        ("text/javascript", b'cb({"ssn":"1"});', b'cb({"ssn":"HIDDEN"});'),
        ("text/plain", b'for(;;);[{"ssn":1}]', b'for(;;);[{"ssn":"HIDDEN"}]'),
        (JSON, b'{"x":"<r><ssn>1</ssn></r>"}', b'{"x":"<r><ssn>HIDDEN</ssn></r>"}'),
        ("text/xml", b'<r>{"ssn": "1"}<![CDATA[{"ssn":2}]]></r>',
         b'<r>{"ssn": "HIDDEN"}<![CDATA[{"ssn":"HIDDEN"}]]></r>'),
        ("text/xml", b'<r ssn="1"><!-- ssn --><a:ssn>4<b/>5</a:ssn></r>',
         b'<r ssn="HIDDEN"><!-- ssn --><a:ssn>HIDDEN<b/>HIDDEN</a:ssn></r>'),
        ("application/xhtml+xml", b"<?xml version='1.0'?><html><ssn>1</ssn></html>", None),
        ("multipart/mixed; boundary=x", BATCH % (b'{"ssn":1}', b"2"),
         BATCH % (b'{"ssn":"HIDDEN"}', b"HIDDEN")),
        ("multipart/mixed", b"none", None),
    ],
)  # fmt: skip
def test_bodies(content_type: str, body: bytes, after: bytes | None) -> None:
    clean, _ = hiding("ssn").ruled_answer(body, content_type)
    assert clean == (body if after is None else after)
    if after is None:
        assert clean is body


def test_a_text_is_read_in_its_charset() -> None:
    mine = DEFAULT.adding(lambda p, n, v: v.replace("секрет", "X") if p == "answer_text" else None)
    body, _ = mine.ruled_answer("имя,секрет\n".encode("cp1251"), "text/csv; charset=windows-1251")
    assert body == "имя,X\n".encode("cp1251")


def test_numbers_that_are_known_leave_json() -> None:
    number = "998877665544332211"
    body = f'{{"id": {number}, "again": {number}, "text": "{number}"}}'.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    clean = Secrets(hiding("id")).answer_body(body, head, "GET", "http://h/")
    assert json.loads(clean) == {"id": "HIDDEN", "again": "HIDDEN", "text": "HIDDEN"}


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(TREES, st.booleans(), st.sampled_from([None, 2]))
def test_each_value_is_asked_for(tree: object, escaped: bool, indent: int | None) -> None:
    def walk(tree: object, name: str = "") -> list[tuple[str, object]]:
        if isinstance(tree, dict):
            return [pair for key, one in tree.items() for pair in walk(one, key)]
        if isinstance(tree, list):
            return [pair for one in tree for pair in walk(one, name)]
        return [(name, tree)]

    asked: list[tuple[str, object]] = []

    def replace(name: str, value: str, kind: Kind) -> str:
        asked.append((name, value if kind is Kind.TEXT else json.loads(value)))
        return value

    text = json.dumps(tree, ensure_ascii=escaped, indent=indent)
    assert json_walk.replace_all(text, replace) == text
    assert asked == walk(tree)
    hidden = json.loads(json_walk.replace_all(text, lambda *_: "X"))
    assert [value for _, value in walk(hidden)] == ["X"] * len(asked)
