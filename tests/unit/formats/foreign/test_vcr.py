"""Cassettes of vcrpy, in the shapes of all its versions and stubs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mxm_dataio import formats
from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import documents, vcr
from mxm_dataio.formats.foreign.conversion import Interaction

OLD = {
    "request": {
        "body": None, "protocol": "http", "method": "GET", "host": "a.test", "path": "/ip?b=1",
        "port": 80, "headers": {"accept": "*/*"},
    },
    "response": {
        "status": {"message": "OK", "code": 200},
        "headers": ["content-type: application/json\r\n", "content-length: 2\r\n"],
        "body": {"string": "{}"},
    },
}  # fmt: skip
NEW = {
    "request": {
        "method": "GET", "uri": "http://a.test/ip?b=1", "body": None,
        "headers": {"accept": ["*/*"]},
    },
    "response": {
        "status": {"message": "OK", "code": 200},
        "headers": {"content-type": ["application/json"], "content-length": ["2"]},
        "body": {"string": "{}"},
    },
}  # fmt: skip
# As PyYAML wrote vcrpy's own classes under Python 2.
OLD_YAML = """\
- request: !!python/object:vcr.request.Request
    body: null
    headers: !!python/object/apply:__builtin__.frozenset
    - - !!python/tuple [accept, '*/*']
    host: a.test
    method: GET
    path: /ip?b=1
    port: 80
    protocol: http
  response:
    body: {string: !!python/unicode "{}"}
    headers: [!!python/unicode "content-type: application/json\\r\\n", "content-length: 2\\r\\n"]
    status: {code: 200, message: OK}
"""


def read(value: Any) -> list[Interaction]:
    content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return list(vcr.interactions(documents.parse_document(content, Path("a"))))


def one(request: dict[str, Any] | None = None, response: dict[str, Any] | None = None) -> Any:
    """Return a cassette of one interaction, with some of its members replaced."""
    return {
        "version": 1,
        "interactions": [
            {
                "request": {**NEW["request"], **(request or {})},
                "response": {**NEW["response"], **(response or {})},
            }
        ],
    }


EXPECTED = Interaction(
    "", "GET", "http://a.test/ip?b=1", (("accept", "*/*"),), b"", 200, "OK",
    (("content-type", "application/json"), ("content-length", "2")), b"{}",
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"version": 1, "interactions": [NEW]}, "interactions[0]"),
        ({"interactions": [NEW], "metadata": {"x": [1]}}, "interactions[0]"),
        (yaml.safe_dump({"version": 1, "interactions": [NEW]}, sort_keys=False), "interactions[0]"),
        ([OLD], "[0]"),
        (yaml.safe_dump([OLD]), "[0]"),
        (OLD_YAML, "[0]"),
        (OLD_YAML.replace("__builtin__", "builtins"), "[0]"),
    ],
)
def test_every_version_says_the_same(value: Any, place: str) -> None:
    assert read(value) == [EXPECTED._replace(place=place)]


def test_a_version_to_come_is_refused() -> None:
    with pytest.raises(IntegrityError, match=r"^a: version: cassettes of version 1 are read"):
        read({"version": 2, "interactions": []})


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"port": 8080}, "http://a.test:8080/ip?b=1"),
        ({"protocol": "https", "port": 443}, "https://a.test/ip?b=1"),
        ({"protocol": "https", "port": "80"}, "https://a.test:80/ip?b=1"),
    ],
)
def test_an_old_url_is_put_together(parts: dict[str, Any], url: str) -> None:
    assert read([{**OLD, "request": {**OLD["request"], **parts}}])[0].url == url


def test_the_oldest_do_not_have_the_host() -> None:
    request = {"method": "GET", "url": "/ip", "body": None, "headers": {}}
    with pytest.raises(IntegrityError, match=r"\[0\]\.request\.url: no host: vcrpy 0\.0 wrote"):
        read([{**OLD, "request": request}])
    request["url"] = "http://a.test/ip"
    assert read([{**OLD, "request": request}])[0].url == "http://a.test/ip"


def test_answers_of_httpx_before_vcrpy_6() -> None:
    response = {
        "content": "é", "headers": {"x": ["1"]}, "http_version": "HTTP/2", "status_code": 404,
        "status": None, "body": None,
    }  # fmt: skip
    found = read(one(response=response))[0]
    assert (found.status, found.reason, found.content) == (404, None, "é".encode())
    response["content"] = None
    assert read(one(response=response))[0].content == b""


def test_headers_of_tornado() -> None:
    headers = [["Server", ["gws"]], ["Set-Cookie", ["a=1", "b=2"]]]
    assert read(one(response={"headers": headers}))[0].answer_headers == (
        ("Server", "gws"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
    )  # fmt: skip


def test_bodies_of_requests() -> None:
    for body, content in (
        ("é", "é".encode()),
        ({"string": "x"}, b"x"),
        (["a", "b"], b"ab"),
        ("", b""),
    ):
        found = read(one({"body": body}))[0]
        assert (found.body, found.lost) == (content, "")


def test_a_body_of_fields_can_not_be_known() -> None:
    found = read(one({"body": {"name": "x"}}))[0]
    assert found.lost.startswith("its body is a mapping, as aiohttp's callers give it")


def test_an_answer_without_a_body_or_a_phrase() -> None:
    for body in ({}, None, {"string": None}):
        found = read(one(response={"body": body, "status": {"code": 204, "message": None}}))[0]
        assert (found.status, found.reason, found.content) == (204, None, b"")
    assert read(one(response={"status": 201}))[0].status == 201


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"interactions": {}}, "interactions: a mapping where a list is to be"),
        ({"version": 1}, "interactions is missing"),
        ({"interactions": [{}]}, "interactions[0]: request is missing"),
        ({"interactions": [{"request": NEW["request"]}]}, "interactions[0]: response is missing"),
        ({"interactions": [[]]}, "interactions[0]: a list where a mapping is to be"),
        (one({"uri": 3}), "interactions[0].request.uri: '3' is no absolute http URL"),
        (one({"method": None}), "interactions[0].request: method is missing"),
        (one({"headers": {"a": [{}]}}), "interactions[0].request.headers.a[0]: a mapping where"),
        (one(response={"status": {"code": "x"}}), "interactions[0].response.status.code: the text"),
        (one(response={"status": None}), "interactions[0].response: status is missing"),
        (one(response={"body": 7}), "interactions[0].response.body: 7 where a text is to be"),
        ([{"request": {"method": "GET"}}], "[0].request: protocol is missing"),
    ],
)
def test_the_place_of_what_is_wrong(value: Any, said: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(value)
    assert str(caught.value).startswith(f"a: {said}")


@pytest.mark.parametrize(
    "content",
    [
        b"interactions:\n- request:", b"version: 1\ninteractions: []", b"- request: {}",
        b'{"version": 1, "interactions": [', b'[{"request": {', b'\n[\n  {"response" :',
        b'\xef\xbb\xbf{"interactions": []}', OLD_YAML.encode(),
    ],
)  # fmt: skip
def test_it_is_told_by_how_it_begins(content: bytes) -> None:
    assert formats.detect(content) == "vcr"


def test_a_file_is_read_as_recordings() -> None:
    recordings = formats.module_of("vcr").read(io.BytesIO(json.dumps(one()).encode()))
    assert [one.exchange.request.url for one in recordings] == ["http://a.test/ip?b=1"]
