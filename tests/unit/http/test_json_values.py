"""Values of JSON are replaced in place, whatever else is wrong with the text."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio.http.json_values import plain_names, replace_json
from mxm_dataio.http.named_values import Kind
from tests.support.effort import crossed

SECRETS = ("password", "token")
MASK = '"REDACTED"'


def masked(name: str, value: str, kind: Kind) -> str | None:
    if name.lower() not in SECRETS or (kind is Kind.TEXT and not value) or value == "null":
        return None
    return "REDACTED"


def secret(name: str) -> bool:
    return name.lower() in SECRETS


@pytest.mark.parametrize(
    "text",
    [
        '{ "a" : 1, "password" :"S", "b":[1.50, {"TOKEN":\t"S" }]\r\n}',
        r'{"p\u0061ssword":"S","a":"\u00e9\/","a":1,"password":"S"}',
        '{"i":{}}\n{"password":"S"}\n{"i":{}}\r\n{"password":"S"}\n',
        '{"password":"S",}',
        '[{"password":"S" "token":"S"}',
        '{"a": "x"y", "password": "S"}',
        '\ufeff{"\u00e9":"\u00e9","password":"S"}',
        '{"a":NaN,"password":"S","b":undefined}',
        '{"a":"\n","password":"S"}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_value_is_replaced_and_all_else_stays(text: str, encoding: str) -> None:
    if encoding == "latin-1":
        text = text.removeprefix("\ufeff")
    body = text.replace('"S"', r'"s\"3"').encode(encoding)
    assert replace_json(body, masked) == text.replace('"S"', MASK).encode(encoding)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{"password":123456,"a":1}', f'{{"password":{MASK},"a":1}}'),
        ('{"password":{"a":["s",{"b":"t"}]},"a":1}', f'{{"password":{MASK},"a":1}}'),
        ('{"password":["s","t"', f'{{"password":{MASK}'),
        ('{"password":"cut o', f'{{"password":{MASK}'),
        ('{"password":"cut o\\', f'{{"password":{MASK}'),
        ("{'password': 'it\\'s', 'a': 'b'}", f"{{'password': {MASK}, 'a': 'b'}}"),
        ("{password: s, a: password: s}", f"{{password: {MASK}, a: password: {MASK}}}"),
        ("{token: {a: ['s', \"t]\"]}, b: 1}", f"{{token: {MASK}, b: 1}}"),
        (
            r'x{"a": "{\"password\": \"s\", \"b\": 1}"}',
            r'x{"a": "{\"password\": \"REDACTED\", \"b\": 1}"}',
        ),
        ('{"password":null,"token":""}', '{"password":null,"token":""}'),
    ],
)  # fmt: skip
def test_what_is_no_text_and_what_is_no_json(text: str, after: str) -> None:
    assert replace_json(text.encode(), masked).decode() == after


def test_the_texts_beneath_a_secret_name_are_told() -> None:
    told: list[tuple[str, str]] = []

    def told_of(name: str, value: str, kind: Kind) -> str | None:
        if kind is Kind.TEXT:
            told.append((name, value))
        return "x" if name == "password" else None

    for end in ("", ","):
        replace_json(f'{{"password":{{"a":["s",{{"b":"t"}}]}},"c":"d"{end}}}'.encode(), told_of)
        assert told == [("password", "s"), ("password", "t"), ("c", "d")]
        told.clear()


def test_texts_without_a_name_are_asked_for() -> None:
    asked: list[str] = []
    replace_json(b'["a",{"b":["c"]}]', lambda name, value, kind: asked.append(f"{name}{value}"))
    assert asked == ["a", "b", "c"]


words = st.text("ab\\\"'{}[]:, \u00e9\n", max_size=5)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)


@settings(deadline=None)
@given(trees, trees, st.sampled_from([None, 2]), st.booleans())
def test_any_json_is_replaced_as_it_parses(
    tree: object, other: object, indent: int | None, escaped: bool
) -> None:
    def put(value: object) -> bytes:
        whole = {"a": tree, "password": value, "b": [other, {"token": value}]}
        return json.dumps(whole, indent=indent, ensure_ascii=escaped).encode()

    assert replace_json(put([tree, "s"]), masked) == put("REDACTED")
    assert replace_json(json.dumps(tree).encode(), masked) == json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('{"a":"x: y\\n","b":[-1.5e+7, true,null,NaN,-Infinity]}\n', True),
        (r'{"p\u0061ssword":1}', False),
        (r'{"a":"{\"password\":1}"}', False),
        ('{"a":"<password>x</password>"}', False),
        ('{"a":"{password: x}"}', False),
        ("{password:1}", False),
        ("{'password':1}", False),
    ],
)
def test_what_is_plain(text: str, plain: bool) -> None:
    assert (plain_names(text) is not None) is plain


def test_names_that_are_not_asked_for() -> None:
    asked: list[str] = []

    def ask(name: str, value: str, kind: Kind) -> str | None:
        asked.append(value)
        return None

    body = b'{"a":"b","c":1,"d":{"password":"e"},"f":"{g}","h":["[i]","j"]}'
    assert replace_json(body, ask, secret) is body
    assert asked == ["e", "{g}", "[i]", "j"]


def test_deep_nesting_is_no_limit() -> None:
    deep = b'{"a":[' * 100_000
    assert replace_json(deep + b'{"password":"s"', masked) == deep + b'{"password":"REDACTED"'


@pytest.mark.parametrize(
    ("piece", "before"),
    crossed([
     '{"a":', '"', "'", "a", '{"password":[ ', 'a:"', "\\", '{"a":"\\"', '"a', "'a:", "a : ",
     "a:'\\'", 'x password:{"', "a:\\\"", " ", 'x"a" ', '":', "\\'a\\':\\'", "/*", "a:[",
    ], ["", "x"], 2),
)  # fmt: skip
def test_time_is_linear(piece: str, before: str) -> None:
    def seconds(count: int, times: int) -> float:
        body = (before + piece * count).encode()
        best = 9.0
        for _ in range(times):
            start = time.process_time()
            replace_json(body, masked)
            best = min(best, time.process_time() - start)
        return best

    # What else runs on the machine may disturb one of them. (The larger is measured first: what
    # is done once for all is not in what it is compared with.)
    assert any(seconds(8_000, times) < 8 * seconds(2_000, times) + 0.02 for times in (1, 3, 3))
