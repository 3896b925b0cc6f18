"""What hangs on a response besides its body, plainly, recorded and replayed."""

from __future__ import annotations

import http.cookiejar
import pickle
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession
from tests.support.answers import ANSWERS, TEXT
from tests.support.harness import SOURCE, jar, mounted, observe, outcome, three_ways
from tests.support.servers import RawServer, Request, answer, responder


def echoed(request: Request) -> bytes:
    return answer(200, (request.header("Cookie") or "none").encode())


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {f"/{name}": raw for name, raw in ANSWERS.items()}
    routes |= {"/cookies/echo": echoed, "/echo": echoed}
    with RawServer(responder(routes)) as running:
        yield running


def test_cookies_of_a_session(server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        first = session.get(f"{server.url}/cookies")
        sent = [session.get(f"{server.url}{path}").text for path in ("/cookies/echo", "/echo")]
        session.cookies.clear(domain="127.0.0.1", path="/cookies")
        left = session.cookies.get_dict(), session.cookies.list_paths(), len(session.cookies)
        return jar(first.cookies), jar(session.cookies), sent, left

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    plain = three_ways(tmp_path / "1", server, hooked)
    assert mounted(tmp_path / "2", server, work) == plain
    assert {"plain", "deep", "quoted"} <= {dict(cookie)["name"] for cookie in plain[0]}
    assert "deep=2" in plain[2][0]
    assert "deep=2" not in plain[2][1]


def test_cookies_of_a_bare_jar(server: RawServer, tmp_path: Path) -> None:
    """The standard library's jar reads a urllib3 response as one of its own."""

    def work() -> Any:
        cookies = http.cookiejar.CookieJar()
        url = f"{server.url}/cookies"
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", url)
            asked = urllib.request.Request(url)
            cookies.extract_cookies(response._original_response, asked)
            cookies.add_cookie_header(asked)
            made = cookies.make_cookies(response._original_response, asked)
            return jar(cookies), sorted(asked.header_items()), [cookie.name for cookie in made]

    plain = three_ways(tmp_path, server, work)
    assert len(plain[0]) >= 3


def test_headers_in_every_form(server: RawServer, tmp_path: Path) -> None:
    def forms(raw: Any) -> Any:
        original = raw._original_response
        return [
            outcome(lambda: list(raw.getheaders().items())),
            outcome(lambda: [raw.getheader("x-A"), raw.getheader("none", "or this")]),
            outcome(lambda: list(raw.info().items())),
            [raw.headers.getlist("X-a"), raw.headers.get_all("set-COOKIE"), "x-odd" in raw.headers],
            [list(raw.headers.iteritems()), list(raw.headers.itermerged()), len(raw.headers)],
            list(raw.headers),
            repr(raw.headers),
            original.getheaders(),
            original.getheader("X-A"),
            original.msg.get_all("x-a"),
            raw.msg.items() if raw.msg is not None else None,
        ]  # fmt: skip

    def work() -> Any:
        seen = []
        for name in ("repeated", "latin-1", "folded", "empty-fields", "bad-field", "cookies"):
            with requests.Session() as session:
                response = session.get(f"{server.url}/{name}")
                seen.append((list(response.headers.items()), repr(response.headers)))
                seen.append(forms(response.raw))
            with urllib3.PoolManager() as pool:
                seen.append(forms(pool.request("GET", f"{server.url}/{name}")))
        return seen

    three_ways(tmp_path, server, work)


def test_odds_and_ends_of_responses(server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        seen: list[Any] = []
        for name in ("plain", "gzip", "not-found", "redirect-nowhere", "empty"):
            response = session.get(f"{server.url}/{name}", stream=True, allow_redirects=False)
            raw = response.raw
            seen += [repr(response), bool(response), bool(raw), outcome(lambda raw=raw: len(raw))]
            seen += [response.connection is session.get_adapter(response.url), response.next]
            seen += [
                isinstance(raw, urllib3.HTTPResponse),
                raw.read(3),
                response.elapsed > timedelta(0),
            ]
            seen += [
                outcome(lambda raw=raw: raw.tell()),
                raw.strict if hasattr(raw, "strict") else 0,
            ]
            response.close()
            seen += [raw.closed, raw.isclosed(), raw.connection, outcome(raw.read)]
        return seen  # fmt: skip

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    assert three_ways(tmp_path / "1", server, hooked) == mounted(tmp_path / "2", server, work)


def test_a_released_response_has_no_connection(server: RawServer, tmp_path: Path) -> None:
    # Before its end it has one live and none in replay: there is nothing to be connected to.
    def work() -> Any:
        with urllib3.PoolManager() as pool:
            read = pool.request("GET", f"{server.url}/plain", preload_content=False)
            data = read.read()
            drained = pool.request("GET", f"{server.url}/chunked", preload_content=False)
            drained.drain_conn()
            drained.release_conn()
            loaded = pool.request("GET", f"{server.url}/plain")
            return data, [raw.connection for raw in (read, drained, loaded)]

    plain = three_ways(tmp_path, server, work)
    assert plain == (TEXT, [None, None, None])


def test_replay_takes_no_time_and_says_so(tmp_path: Path) -> None:
    elapsed = []
    with RawServer(responder({"/": answer(200, TEXT)})) as server:
        for mode in ("record", "replay"):
            with IngestSession(SOURCE, tmp_path, mode):
                elapsed.append(requests.get(server.url).elapsed)
    assert timedelta(0) < elapsed[1] < timedelta(seconds=5)


@pytest.mark.parametrize("name", ["plain", "gzip", "cookies", "latin-1", "not-found"])
def test_pickled_response(name: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        response = pickle.loads(pickle.dumps(requests.get(f"{server.url}/{name}")))
        facts = response.content, response.headers, response.url, response.status_code
        return facts, response.reason, response.encoding, jar(response.cookies), response.raw

    three_ways(tmp_path, server, work)


def test_calls_through_every_door(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        url = f"{server.url}/repeated"
        with urllib3.PoolManager() as pool, requests.Session() as session:
            bare = urllib3.HTTPConnectionPool(server.host, server.port)
            made = urllib3.connection_from_url(server.url)
            prepared = session.prepare_request(requests.Request("get", url))
            seen = [
                observe(session.send(prepared)),
                observe(session.request("GeT", url)),
                observe(pool.urlopen("GET", url)),
                observe(bare.urlopen("GET", "/repeated")),
                observe(bare.request("GET", "/repeated", headers={"A": "b"}, retries=False)),
                observe(made.request("GET", "/repeated")),
            ]
            bare.close()
            made.close()
            return seen

    three_ways(tmp_path, server, work)
