"""The Fetcher protocol, how a session uses one, and the one for HTTP."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import (
    ConfigError,
    Fetcher,
    FetchError,
    FetchResult,
    HTTPFetcher,
    IngestSession,
    Request,
    Status,
    Store,
    register,
    unregister,
)
from mxm_dataio.api import capture_of
from tests.support.servers import RawServer, answer, responder

SOURCE = "unit-fetcher"


class Scripted:
    """Answers with the given results in turn, raising those that are exceptions."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.seen: list[Request] = []

    def fetch(self, request: Request) -> bytes:
        self.seen.append(request)
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    unregister(SOURCE)


def scripted(*results: object) -> Scripted:
    made = Scripted(*results)
    register(SOURCE, made)
    return made


def test_the_protocol_can_be_asked_for() -> None:
    assert isinstance(Scripted(), Fetcher)
    assert not isinstance(object(), Fetcher)


def test_a_fetcher_is_given_the_call_as_it_was_asked(tmp_path: Path) -> None:
    fetcher = scripted(b"x")
    with IngestSession(SOURCE, tmp_path, "record", "2025-10-07", kind="fallback") as ingest:
        ingest.request("Contract/ES", [("a", 1), ("b", "x"), ("a", 2), ("none", None)], kind="k")
    (request,) = fetcher.seen
    assert (request.source, request.endpoint) == (SOURCE, "Contract/ES")
    assert request.params == {"a": [1, 2], "b": "x"}
    assert (request.kind, request.as_of) == ("k", "2025-10-07")


@pytest.mark.parametrize("content", [b"", b"bytes", bytearray(b"array"), memoryview(b"view")])
def test_bytes_of_any_kind_are_recorded_and_replayed(tmp_path: Path, content: bytes) -> None:
    fetcher = scripted(content)
    with IngestSession(SOURCE, tmp_path) as ingest:
        live = ingest.request("e", {"a": 1}, kind="bars")
        assert ingest.content(live) == bytes(content)
    with IngestSession(SOURCE, tmp_path, "replay") as ingest:
        stored = ingest.request("e", {"a": "1"}, kind="bars")
        assert ingest.content(stored) == bytes(content)
    assert stored == live
    assert stored.bytes_path is not None
    assert stored.bytes_path.read_bytes() == bytes(content)
    assert len(fetcher.seen) == 1


RESULT = FetchResult(b"[]", 418, (("X-Kind", "tea"), ("X-Kind", "pot")), "I'm a teapot")


@pytest.mark.parametrize("mode", ["record", "off"])
def test_status_headers_and_reason_are_kept(tmp_path: Path, mode: str) -> None:
    scripted(RESULT)
    with IngestSession(SOURCE, tmp_path, mode) as ingest:
        live = ingest.request("e")
    assert (live.status_code, live.headers, live.reason) == (418, RESULT.headers, RESULT.reason)
    if mode == "record":
        with IngestSession(SOURCE, tmp_path, "replay") as ingest:
            assert ingest.request("e") == live


@pytest.mark.parametrize(
    "result",
    [
        FetchResult(b"", 200, (("X-Name", "Zürich"),), "OK"),
        FetchResult(b"", 200, (("X-Name", "東京"),), "OK"),
        FetchResult(b"", None, (), "told by the source"),
        FetchResult(b"", None, (("X-Name", "1"),), "told by the source"),
    ],
    ids=["latin", "beyond latin", "reason alone", "no status"],
)
def test_what_a_fetcher_says_comes_back_as_it_said_it(tmp_path: Path, result: FetchResult) -> None:
    scripted(result)
    with IngestSession(SOURCE, tmp_path) as ingest:
        live = ingest.request("e")
    assert (live.status_code, live.headers) == (result.status_code, result.headers)
    assert live.reason == result.reason


def test_a_header_value_can_t_forge_another_header(tmp_path: Path) -> None:
    scripted(FetchResult(b"", 200, (("X-A", "1\r\nX-Forged: 2"),)))
    with (
        IngestSession(SOURCE, tmp_path) as ingest,
        pytest.raises(ConfigError, match="control character"),
    ):
        ingest.request("e")


def test_secrets_of_a_fetcher_s_headers_stay_out(tmp_path: Path) -> None:
    scripted(FetchResult(b"", 200, (("Set-Cookie", "sid=s3cr3t; Path=/"),)))
    with IngestSession(SOURCE, tmp_path) as ingest:
        response = ingest.request("e", {"token": "s3cr3t"})
    assert response.headers == (("Set-Cookie", "sid=REDACTED; Path=/"),)
    assert b"s3cr3t" not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("endpoint", ["contract", "ES future"])
def test_a_failure_is_a_fetch_error_live_and_replayed_alike(tmp_path: Path, endpoint: str) -> None:
    cause = KeyError("no such contract")
    fetcher = scripted(cause)
    with IngestSession(SOURCE, tmp_path) as ingest, pytest.raises(FetchError) as live:
        ingest.request(endpoint)
    assert live.value.__cause__ is cause
    assert live.value.error_class == "KeyError"
    assert "no such contract" in str(live.value)
    with Store(tmp_path, readonly=True) as store:
        (session,) = store.sessions()
        (request,) = store.requests(session.id)
        assert request.status is Status.FAILED
    with IngestSession(SOURCE, tmp_path, "replay") as ingest, pytest.raises(FetchError) as again:
        ingest.request(endpoint)
    assert again.value.error_class == live.value.error_class
    assert str(again.value) == str(live.value)
    assert len(fetcher.seen) == 1


def test_a_caught_failure_does_not_spoil_the_session(tmp_path: Path) -> None:
    scripted(OSError("once"), b"then")
    with IngestSession(SOURCE, tmp_path) as ingest:
        with pytest.raises(FetchError):
            ingest.request("e")
        assert ingest.content(ingest.request("e")) == b"then"
    assert ingest.session.status is Status.COMPLETE
    with IngestSession(SOURCE, tmp_path, "replay") as ingest:
        with pytest.raises(FetchError, match="once"):
            ingest.request("e")
        assert ingest.content(ingest.request("e")) == b"then"


@pytest.mark.parametrize("wrong", ["text", None, 3, [b"x"]])
def test_a_fetcher_that_returns_something_else_is_told_so(tmp_path: Path, wrong: object) -> None:
    scripted(wrong)
    with IngestSession(SOURCE, tmp_path) as ingest:
        with pytest.raises(ConfigError, match=f"{SOURCE}.*{type(wrong).__name__}.*FetchResult"):
            ingest.request("e")
        assert capture_of(ingest).store is not None
        assert capture_of(ingest).store.requests(ingest.id) == []


# -- the HTTP fetcher, on its own ------------------------------------------------------------

BODY = gzip.compress(b"content")


@pytest.fixture
def http() -> Iterator[HTTPFetcher]:
    mounted: list[requests.Session] = []
    fetcher = HTTPFetcher(mounted.append)
    assert isinstance(mounted[0], requests.Session)
    mounted[0].trust_env = False
    yield fetcher
    fetcher.close()


def test_http_returns_the_coded_bytes(http: HTTPFetcher) -> None:
    routes = {"/a": answer(404, BODY, headers=[("Content-Encoding", "gzip")])}
    with RawServer(responder(routes)) as server:
        call = Request("r", "s", "x", f"{server.url}/a", "POST", {"n": [1, 2], "é": "ü"})
        result = http.fetch(call, data=b"up", headers={"X-Mine": "1"})
        (seen,) = server.requests
    assert (result.content, result.status_code, result.reason) == (BODY, 404, "Not Found")
    assert dict(result.headers)["Content-Encoding"] == "gzip"
    assert (seen.method, seen.body, seen.header("X-Mine")) == ("POST", b"up", "1")
    assert seen.target == "/a?n=1&n=2&%C3%A9=%C3%BC"


def test_http_raises_as_requests_does(http: HTTPFetcher) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(requests.ConnectionError):
            http.fetch(Request("r", "s", "x", f"http://127.0.0.1:{port}/"))
