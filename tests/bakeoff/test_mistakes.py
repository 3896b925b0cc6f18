"""Calls made wrongly, plainly, recorded and replayed: each complaint stays what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession
from mxm_dataio.api import capture_of
from tests.support.harness import SOURCE, Raised, mounted, outcome, three_ways
from tests.support.servers import RawServer, answer, responder


class BoomError(Exception):
    """A program's own."""


def failing() -> Iterator[bytes]:
    yield b"first part"
    raise BoomError("of the program's own")


# Calls that go wrong before an answer could come, some before anything is sent.
WRONG: dict[str, Callable[[requests.Session, str], Any]] = {
    "no-scheme": lambda session, _: session.get("127.0.0.1/x"),
    "other-scheme": lambda session, _: session.get("ftp://127.0.0.1/x"),
    "no-host": lambda session, _: session.get("http:///x"),
    "bad-host": lambda session, _: session.get("http://*.test/"),
    "bad-label": lambda session, _: session.get("http://.127.0.0.1/"),
    "long-label": lambda session, _: session.get(f"http://{'x' * 64}.test/"),
    "bad-port": lambda session, _: session.get("http://127.0.0.1:port/"),
    "bad-ipv6": lambda session, _: session.get("http://[::1/"),
    "newline-in-header": lambda session, url: session.get(url, headers={"X-A": "1\r\nX-B: 2"}),
    "number-in-header": lambda session, url: session.get(url, headers={"X-A": 1}),
    "space-before-value": lambda session, url: session.get(url, headers={"X-A": " 1"}),
    "wide-header": lambda session, url: session.get(url, headers={"X-A": "\u20ac"}),
    "bad-name": lambda session, url: session.get(url, headers={"X A:": "1"}),
    "bad-method": lambda session, url: session.request("GET /x HTTP/1.1\r\nX-A:", url),
    "bad-timeout": lambda session, url: session.get(url, timeout="soon"),
    "no-timeout": lambda session, url: session.get(url, timeout=0),
    "three-timeouts": lambda session, url: session.get(url, timeout=(1, 2, 3)),
    "failing-upload": lambda session, url: session.post(url, data=failing()),
    "json-not-json": lambda session, url: session.post(url, json=object()),
    "no-bundle": lambda session, url: session.get(
        url.replace("http:", "https:"), verify="/no/such/bundle.pem"
    ),
    "no-certificate": lambda session, url: session.get(
        url.replace("http:", "https:"), cert="/no/such/cert.pem"
    ),
    "bad-proxy": lambda session, url: session.get(url, proxies={"http": "http:///nowhere"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_calls_made_wrongly(case: str, tmp_path: Path) -> None:
    with RawServer(responder({"/": answer(200, b"fine")})) as server:

        def work(session: requests.Session) -> Any:
            return WRONG[case](session, f"{server.url}/").content

        def hooked() -> Any:
            with requests.Session() as session:
                return work(session)

        # A client that gives up at once may be gone before its connection is counted.
        counting = None if case == "failing-upload" else server
        plain = three_ways(tmp_path / "1", counting, hooked)
        assert mounted(tmp_path / "2", counting, work) == plain
    assert isinstance(plain, Raised), plain


@pytest.mark.parametrize("case", ["no-scheme", "bad-port", "newline-in-header", "json-not-json"])
def test_what_never_was_a_call_is_not_recorded(case: str, tmp_path: Path) -> None:
    with IngestSession(SOURCE, tmp_path) as ingest, requests.Session() as session:
        outcome(lambda: WRONG[case](session, "http://127.0.0.1/"))
        assert list(capture_of(ingest).store.exchanges(ingest.id)) == []
        assert ingest.session.status == "running"


POOLED: dict[str, Callable[[Any], Any]] = {
    "newline-in-header": lambda pool: pool.request("GET", "/", headers={"X-A": "1\r\nX-B: 2"}),
    "bad-name": lambda pool: pool.request("GET", "/", headers={"X A:": "1"}),
    "bad-method": lambda pool: pool.urlopen("GET /x\r\n", "/"),
    "other-host": lambda pool: pool.urlopen("GET", "http://other.test/", assert_same_host=True),
    "bad-target": lambda pool: pool.urlopen("GET", "http://[::1/"),
    "spaces": lambda pool: pool.urlopen("GET", "/a b", retries=False),
    "failing-upload": lambda pool: pool.urlopen("POST", "/", body=failing(), chunked=True),
    "closed": lambda pool: (pool.close(), pool.request("GET", "/")),
    "bad-timeout": lambda pool: pool.request("GET", "/", timeout=-1),
}


@pytest.mark.parametrize("case", POOLED)
def test_calls_of_a_pool_made_wrongly(case: str, tmp_path: Path) -> None:
    with RawServer(responder({"/": answer(200, b"fine")})) as server:

        def work() -> Any:
            with urllib3.HTTPConnectionPool(server.host, server.port) as pool:
                seen = outcome(lambda: POOLED[case](pool))
                return getattr(seen, "data", seen)

        plain = three_ways(tmp_path, None if case == "failing-upload" else server, work)
    assert isinstance(plain, Raised) or case == "spaces"
