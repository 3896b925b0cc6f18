"""A call as a view sees it, and what it is without some names."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from mxm_dataio.identity import Identity, identify
from mxm_dataio.identity.matching import Matcher, RequestBody, call_of, target_of
from mxm_dataio.identity.view import Call
from mxm_dataio.redaction import DEFAULT

URL = "http://api.example.com:8080/v1/Items/7?b=2&a=1&a=0"


def made(url: str = URL, body: bytes | None = None, content_type: str = "", **kw: Any) -> Identity:
    headers = [("Content-Type", content_type)] if content_type else []
    return identify(kw.pop("method", "get"), url, body=body, headers=[*headers, *kw.items()])


def seen(url: str = URL, body: bytes | None = None, content_type: str = "", **kw: Any) -> Call:
    content = body and RequestBody(body, content_type, "", DEFAULT.uncounted())
    return call_of(made(url, body, content_type, **kw), lambda: content or None)


def test_a_call_says_what_is_asked() -> None:
    call = seen(Accept="text/csv")
    assert (call.method, call.scheme, call.host, call.port) == (
        "GET",
        "http",
        "api.example.com",
        8080,
    )
    assert (call.path, call.url) == ("/v1/Items/7", "http://api.example.com:8080/v1/Items/7")
    assert call.params == (("a", "1"), ("a", "0"), ("b", "2"))
    assert call.headers == {"accept": "text/csv"}
    assert (call.json, call.form, call.xml, call.text) == (None, None, None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        call.path = "/"  # type: ignore[misc]


def test_a_call_says_what_its_body_is() -> None:
    body = json.dumps({"meta": {"ts": 1}, "rows": [1.5]}).encode()
    call = seen(body=body, content_type="application/json")
    assert call.json == {"meta": {"ts": 1}, "rows": [1.5]}
    assert call.text == body.decode()
    assert seen(body=b"n=1&m=x+y", content_type="application/x-www-form-urlencoded").form == (
        ("m", "x y"), ("n", "1"),
    )  # fmt: skip
    assert seen(body=b"<a>1</a>", content_type="text/xml").xml == "<a>1</a>"
    assert seen(body=b"plain").text == "plain"
    assert seen(body=b"\xff\x00").text is None


def test_a_fetcher_s_call_is_its_own_name() -> None:
    call = call_of(identify("GET", "bars/ALFA", params=[("n", "1")]), lambda: None)
    assert (call.scheme, call.host, call.path, call.url) == ("", "", "bars/ALFA", "bars/ALFA")


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (["path:/v1/Items/*"], "/v1/Items/*"),
        (["path:/v1/*/7"], "/v1/*/7"),
        (["path:7"], "/v1/Items/7"),
        (["path:?"], "/v1/Items/?"),
        (["path:It*"], "/v1/It*/7"),
        (["path:/v1/items/*"], "/v1/Items/7"),
        (["path:/v1/*"], "/v1/Items/7"),
    ],
)
def test_a_pattern_stands_for_the_paths_that_match(names: list[str], path: str) -> None:
    assert seen().without(*names).path == path


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("ts", {"meta": {"id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}),
        ("ID", {"meta": {"ts": 2}, "rows": [{"v": 5}]}),
        ("$.meta.ts", {"meta": {"id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}),
        ("/meta/ts", {"meta": {"id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}),
        ("$['id']", {"meta": {"ts": 2, "id": 3}, "rows": [{"id": 4, "v": 5}]}),
        ("$.rows[*].id", {"meta": {"ts": 2, "id": 3}, "rows": [{"v": 5}], "id": 6}),
        ("$.rows[0]", {"meta": {"ts": 2, "id": 3}, "rows": [], "id": 6}),
        ("$.*.id", {"meta": {"ts": 2}, "rows": [{"id": 4, "v": 5}], "id": 6}),
        ("$.Meta.ts", {"meta": {"ts": 2, "id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}),
        ("/rows/9/id", {"meta": {"ts": 2, "id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}),
    ],
)
def test_names_and_places_leave_json(name: str, left: object) -> None:
    body = {"meta": {"ts": 2, "id": 3}, "rows": [{"id": 4, "v": 5}], "id": 6}
    call = seen(body=json.dumps(body).encode(), content_type="application/json")
    assert call.without(name).json == left
    # Of a recorded call whose body is not at hand, too.
    bare = call_of(
        made(body=json.dumps(body).encode(), content_type="application/json"), lambda: None
    )
    assert bare.without(name).json == left


def test_names_leave_the_query_forms_headers_xml_and_parts() -> None:
    assert seen().without("A").params == (("b", "2"),)
    form = seen(body=b"n=1&m=2", content_type="application/x-www-form-urlencoded")
    assert form.without("n").form == (("m", "2"),)
    ranged = seen(Range="bytes=0-1", Accept="x/y")
    assert ranged.without("header:range").headers == {"accept": "x/y"}
    xml = [b"<s:a xmlns:s='u'><s:Id k='1'>%d</s:Id></s:a>" % n for n in (1, 2)]
    one, two = (seen(body=x, content_type="text/xml") for x in xml)
    assert one != two
    assert one.without("xml:s:ID") == two.without("xml:s:ID") == two.without("id")
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n%d\r\n--b--\r\n' % n
        for n in (1, 2)
    ]
    one, two = (seen(body=x, content_type="multipart/form-data; boundary=b") for x in parts)
    assert one != two
    assert one.without("n") == two.without("n")


@pytest.mark.parametrize("name", ["", "$", "$.", "$.a[", "$x", "header:", "path:", "xml:"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|place|body"):
        seen().without(name)


def test_parts_are_replaced() -> None:
    call = seen()
    assert call.replace(host="EU.example.com", port=None).url == "http://eu.example.com/v1/Items/7"
    assert call.replace(path="/a b").path == "/a%20b"
    assert call.replace(port=80).port is None
    other = call.replace(url="https://x.test/y?c=3", method="post")
    assert (other.method, other.url, other.params) == ("POST", "https://x.test/y", (("c", "3"),))
    assert call.replace(url="http://x.test/").params == call.params
    assert call.replace(params={"z": [2, 1]}).params == (("z", "2"), ("z", "1"))
    assert call.replace(headers={"Accept": "a/b"}).headers == {"accept": "a/b"}
    assert call.replace(json={"a": [1]}).json == {"a": [1]}
    assert call.replace(form={"a": 1}).form == (("a", "1"),)
    assert call.replace(text="é").text == "é"
    assert call.replace(xml="<a/>").xml == "<a/>"
    body = seen(body=b"x")
    assert body.replace(text=None) == seen() == body.replace(json=None)
    with pytest.raises(TypeError, match="no 'hots'"):
        call.replace(hots="x")


def test_what_does_not_count_in_xml_does_not_in_xml_that_takes_its_place() -> None:
    def called(run: int) -> Call:
        text = f"<e><MessageID>{run}</MessageID><Run>{run}</Run><a/></e>"
        call = seen(body=text.encode(), content_type="text/xml")
        return call.replace(xml=(call.xml or "").replace(f"<Run>{run}", "<Run>"))

    assert called(1) == called(2)
    assert called(1) != called(1).replace(xml="<e><Run></Run><b/></e>")


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        ("text/xml", "<e><n>{}</n><r>{}</r></e>", "n"),
        ("text/xml", "<e><n>{}</n><r>{}</r></e>", "xml:n"),
        ("application/json", '{{"n": {}, "r": "{}"}}', "n"),
        ("application/json", '{{"n": {}, "r": "{}"}}', "$.n"),
    ],
)
def test_what_a_view_took_stays_away_from_what_takes_the_bodys_place(
    kind: str, text: str, name: str
) -> None:
    part = "xml" if "xml" in kind else "content"

    def called(run: int, other: int = 1) -> Call:
        call = seen(body=text.format(run, other).encode(), content_type=kind).without(name)
        return call.replace(**{part: getattr(call, part).replace(*marks[part])})

    marks = {"xml": ("r>", "q>"), "content": (b'"r"', b'"q"')}
    assert called(1) == called(2)
    assert called(1) != called(1, 2)


def test_equal_bodies_are_equal_however_they_came_about() -> None:
    sent = made(body=b'{"b": 1.0, "a": 2}', content_type="application/json")
    view = Matcher(view=lambda call: call.replace(json={"a": 2, "b": 1}))
    assert view.seen(made(), lambda: None).params_hash() == sent.params_hash()


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://a.test/x", "a.test", 80),
        ("https://a.test:8443/x", "a.test", 8443),
        ("http://[::1]:80/", "::1", 80),
        ("http+unix://%2Frun%2Fd.sock/x", "/run/d.sock", None),
    ],
)
def test_where_a_call_goes(url: str, host: str, port: int | None) -> None:
    assert target_of(identify("GET", url).endpoint)[:2] == (host, port)


@pytest.mark.parametrize(
    ("patterns", "counts"),
    [
        (["*/items/*"], True),
        (["*/Items/*"], False),
        (["http://api.example.com:8080/*"], False),
        (["api.example.com:8080/v1/Items/7"], False),
        (["*[?]*"], True),
        (["*/7?a=1*"], False),
    ],
)
def test_urls_of_which_the_body_does_not_count(patterns: list[str], counts: bool) -> None:
    matcher = Matcher(ignore_body_of=patterns)
    one, two = (matcher.seen(made(body=b, Accept=b.hex()), lambda: None) for b in (b"1", b"2"))
    assert (one.params_hash() != two.params_hash()) is counts


def test_what_was_taken_stays_away() -> None:
    """However many steps a view takes it in."""
    body = b'{"ts": 1, "rows": [{"id": 2, "v": 3}], "id": 4}'
    for call in (seen(body=body), call_of(made(body=body), lambda: None)):
        assert call.without("$.ts").without("id").json == {"rows": [{"v": 3}]}
        assert call.without("id").without("$.ts", "header:x").json == {"rows": [{"v": 3}]}
        assert call.replace(json={"id": 1}).without("$.id").json == {}
        assert call.without("id").replace(json={"id": 1}).json == {"id": 1}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"ts": 1, "pad": "x" * 1_200_000}).encode(),
        json.dumps({"ts": 1, "pad": "é"}).encode("utf-16"),
        b'\xef\xbb\xbf{"ts": 1}',
    ],
    ids=["big", "utf-16", "with a mark"],
)
def test_places_are_found_in_json_of_any_size_and_encoding(body: bytes) -> None:
    other = body.replace(b"1", b"2", 1) if b'"ts"' in body else body.replace(b"1\0", b"2\0", 1)
    one, two = (seen(body=content).without("$.ts") for content in (body, other))
    assert one == two
    assert "ts" not in one.json


def test_numbers_that_no_double_holds_stay_apart() -> None:
    one, two = (
        seen(body=b'{"ts": 1, "n": 1234567.12345678901%d}' % n).without("$.ts") for n in (2, 3)
    )
    assert one != two
