"""A secret that travels is masked wherever it turns up, and replay works with the mask."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, Redaction
from mxm_dataio.api import capture_of
from mxm_dataio.models import Exchange
from mxm_dataio.redaction import DEFAULT, PLACEHOLDER
from mxm_dataio.redaction.rules import NOTHING
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import some
from tests.support.servers import RawServer, Request, answer, responder
from tests.trust import secrets as trust

TOKEN, OTHER = "Zk3v9-QmX71_tRw8", "aB4c5D6e7F8g9H0i"
JSON = ("Content-Type", "application/json;charset=UTF-8")
TEXT = ("Content-Type", "text/html; charset=utf-8")


def exchanges(root: Path) -> list[Exchange]:
    with RecordingStore(root) as store:
        return [one for session in store.sessions() for one in store.exchanges(session.id)]


def site(token: str) -> Any:
    """Return a site that gives a CSRF token by cookie and in a page, and wants it back."""

    def page(_: Request) -> bytes:
        text = f"<input name=csrf value='{token}'>".encode()
        return answer(200, text, headers=[("Set-Cookie", f"csrftoken={token}; Path=/"), TEXT])

    def post(request: Request) -> bytes:
        good = request.raw.count(token.encode()) >= 3
        return answer(200 if good else 403, b"good" if good else b"bad")

    return responder({"/": page, "/post": post, f"/x/{token}/y": answer(200, b"path")})


def visit(url: str) -> list[Any]:
    with requests.Session() as web:
        shown = re.search(r"value='([^']*)'", web.get(f"{url}/").text)
        assert shown is not None
        csrf = web.cookies["csrftoken"]
        headers = {"X-Form": csrf, "Accept": f"text/{csrf}"}
        posted = web.post(f"{url}/post?once={csrf}", data={"middle": shown[1]}, headers=headers)
        held = base64.b64encode(f"someone:{csrf}".encode()).decode()
        more = web.post(f"{url}/post", json={"a": [csrf, csrf, csrf, held]})
        return [posted.text, more.text, web.get(f"{url}/x/{csrf}/y").text]


def test_a_csrf_token_matches_in_replay(tmp_path: Path) -> None:
    with RawServer(site(TOKEN)) as server:
        with IngestSession("s", tmp_path):
            assert visit(server.url) == ["good", "good", "path"]
        hits = server.hits
        with IngestSession("s", tmp_path, "replay"):
            assert visit(server.url) == ["good", "good", "path"]
        assert server.hits == hits
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


def test_another_token_has_the_same_hashes(tmp_path: Path) -> None:
    hashes = []
    for number, token in enumerate((TOKEN, OTHER)):
        root = tmp_path / str(number)
        with RawServer(site(token)) as server:
            with IngestSession("s", root):
                visit(server.url)
            calls = exchanges(root)
        port = str(server.port)
        hashes.append([call.request.identity.replace(port, "") for call in calls])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("chunked", [None, [5, 20]])
def test_a_token_answer(coding: str, chunked: list[int] | None, tmp_path: Path) -> None:
    said = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "scope": "a b"}
    body = json.dumps(said, indent=1).encode()
    coded = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding, bytes)(body)
    fields = [JSON] if coding == "identity" else [JSON, ("Content-Encoding", coding)]

    def work() -> Any:
        with requests.post(f"{server.url}/token", data={"grant_type": "x"}) as got:
            token = got.json()["access_token"]
        fetched = requests.get(f"{server.url}/api/{token}", headers={"X-Mine": token})
        return got.json(), got.headers.get("Content-Length"), fetched.text

    routes: dict[str, Any] = {
        "/token": answer(200, coded, headers=fields, chunked=chunked),
        f"/api/{TOKEN}": answer(200, b"there"),
    }
    with RawServer(responder(routes)) as server:
        with IngestSession("s", tmp_path):
            assert work()[::2] == (said, "there")
        with IngestSession("s", tmp_path, "replay"):
            got, length, there = work()
    assert got == {**said, "access_token": PLACEHOLDER}
    assert there == "there"
    response = exchanges(tmp_path)[0].responses[0]
    assert response.redacted
    assert response.original_checksum == hashlib.sha256(coded).hexdigest()
    assert length == (None if chunked else str(response.size))
    if coding == "identity":
        assert response.bytes_path is not None
        assert response.bytes_path.read_bytes() == body.replace(TOKEN.encode(), b"REDACTED")


def test_the_program_gets_what_came_by_request_too(tmp_path: Path) -> None:
    body = json.dumps({"access_token": TOKEN, "token_type": "Bearer"}).encode()
    with RawServer(responder({"/t": answer(200, body, headers=[JSON])})) as server:
        url = f"{server.url}/t"
        with IngestSession("s", tmp_path) as ingest:
            assert ingest.content(ingest.request(url, method="POST")) == body
        with IngestSession("s", tmp_path, "auto") as ingest:
            # Not from the store: the program could not go on with a placeholder.
            assert ingest.content(ingest.request(url, method="POST")) == body
        with IngestSession("s", tmp_path, "replay") as ingest:
            held = ingest.content(ingest.request(url, method="POST"))
    assert held == body.replace(TOKEN.encode(), b"REDACTED")


def test_a_half_read_answer_with_a_secret(tmp_path: Path) -> None:
    page = f"<p>{TOKEN}</p>".encode() + b"." * 100_000
    seen = []
    with RawServer(responder({"/": answer(200, page, headers=[TEXT])})) as server:
        for mode in ("record", "replay"):
            with IngestSession("s", tmp_path, mode), urllib3.PoolManager() as pool:
                got = pool.request(
                    "GET", server.url, preload_content=False, headers={"X-API-Key": TOKEN}
                )
                seen.append(got.read(23))
                got.close()
    assert seen[0] == page[:23]
    assert seen[1].startswith(b"<p>REDACTED</p>")
    (call,) = exchanges(tmp_path)
    assert call.responses[0].redacted


@pytest.mark.parametrize(
    "value", ["true", "password", "12345678", "2026-01-01", "short", "English"]
)
def test_common_values_stay(value: str, tmp_path: Path) -> None:
    routes: dict[str, Any] = {"/": answer(200, value.encode(), headers=[TEXT])}
    with RawServer(responder(routes)) as server, IngestSession("s", tmp_path):
        requests.post(f"{server.url}/", data={"token": value, "other": value})
    (call,) = exchanges(tmp_path)
    assert f'["other","{value}"]' in call.request.identity
    assert not call.responses[0].redacted


def test_what_the_program_sent_in_the_clear_is_its_own(tmp_path: Path) -> None:
    # A server that makes a cookie of a parameter makes no secret of it.
    cookie = [("Set-Cookie", f"device={TOKEN}; Path=/")]
    with RawServer(responder({"/": answer(200, headers=cookie)})) as server:
        for mode in ("record", "replay"):
            with IngestSession("s", tmp_path, mode), requests.Session() as web:
                for _ in range(2):
                    assert web.get(f"{server.url}/", params={"device": TOKEN}).status_code == 200


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    body = b"\x89PNG\0" + TOKEN.encode()
    fields = [("Content-Type", "image/png")]
    routes: dict[str, Any] = {"/": answer(200, body, headers=fields)}
    with RawServer(responder(routes)) as server, IngestSession("s", tmp_path):
        requests.get(f"{server.url}/", headers={"X-API-Key": TOKEN})
    (call,) = exchanges(tmp_path)
    assert call.responses[0].bytes_path is not None
    assert call.responses[0].bytes_path.read_bytes() == body


def test_rules_are_data(tmp_path: Path) -> None:
    def mail(place: str, name: str, value: str) -> str | None:
        if name == "crumb":
            return value
        return "someone@example.com" if "@" in value and place != "header" else None

    mine = DEFAULT.adding(mail, headers=["X-Mine"], names=["isin"]).without(names=["sig"])
    assert mine.url("http://h/?mail=a%40b&crumb=1&isin=2&sig=3&token=x4Zk9") == (
        "http://h/?mail=someone%40example.com&crumb=1&isin=REDACTED&sig=3&token=REDACTED"
    )
    assert mine.body(b'{"m": "a@b", "pwd": "x"}', "application/json") == (
        b'{"m": "someone@example.com", "pwd": "REDACTED"}'
    )
    assert mine.head(b"HTTP/1.1 200 OK\r\nx-mine: a\r\nB: c\r\n\r\n") == (
        b"HTTP/1.1 200 OK\r\nx-mine: REDACTED\r\nB: c\r\n\r\n"
    )
    with RawServer(responder({"/": answer(200, b"fine")})) as server:
        for mode, address in (("record", "me@example.org"), ("replay", "you@example.org")):
            with IngestSession("a", tmp_path, mode, redaction={"a": mine}) as ingest:
                assert capture_of(ingest).sources.own.redaction is mine
                assert requests.post(f"{server.url}/", data={"to": address}).text == "fine"
        assert server.hits == 1
    other = capture_of(IngestSession("b", tmp_path, redaction={"a": mine}))
    assert other.sources.own.redaction is DEFAULT
    with pytest.warns(UserWarning, match="redaction is off for source 'c'"):
        bare = capture_of(IngestSession("c", tmp_path, redaction={"c": None}))
    assert bare.sources.own.redaction is NOTHING


@pytest.mark.long  # `make trust` does the same, and CI runs that.
def test_planted_secrets_are_nowhere(tmp_path: Path) -> None:
    garden, found = trust.run(tmp_path / "root")
    assert len(set(garden.planted)) == 500
    assert found == {}


WEAKER = (
    DEFAULT.without(names=["token"]),
    DEFAULT.without(headers=["x-api-key"]),
    Redaction(values=False),
    Redaction(tokens=False),
)


@pytest.mark.parametrize(
    ("weaker", "way"),
    some(product(WEAKER, trust.WAYS), [(WEAKER[0], "hook"), (WEAKER[2], "cassette")]),
)
def test_the_search_finds_what_is_there(weaker: Redaction, way: str, tmp_path: Path) -> None:
    _, found = trust.run(tmp_path / "root", weaker, kinds=("url-safe",), ways=(way,))
    assert found
