"""Each behaviour of a client plainly, recorded and replayed against a real server: no change."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.answers import ANSWERS, TEXT
from tests.support.effort import crossed, sampled
from tests.support.harness import mounted, observe, outcome, three_ways
from tests.support.servers import Connection, RawServer, Request, answer, responder


@pytest.fixture
def server() -> Any:
    with RawServer(responder({f"/{name}": body for name, body in ANSWERS.items()})) as running:
        yield running


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_through_requests(name: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with requests.Session() as session:
            return observe(session.get(f"{server.url}/{name}", stream=True, allow_redirects=False))

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize(("name", "preload"), crossed(ANSWERS, [True, False], 4))
def test_answers_through_urllib3(
    name: str, preload: bool, server: RawServer, tmp_path: Path
) -> None:
    def work() -> Any:
        with urllib3.PoolManager() as pool:
            url = f"{server.url}/{name}"
            return observe(
                pool.request("GET", url, preload_content=preload, redirect=False, retries=False)
            )

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", sampled(ANSWERS, 3, 1))
def test_answers_through_a_mounted_session(name: str, server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        response = session.get(f"{server.url}/{name}", stream=True, allow_redirects=False)
        assert response.connection is session.get_adapter(server.url)
        return observe(response)

    mounted(tmp_path, server, work)


def head_of(raw: bytes) -> bytes:
    """Return an answer without its body, its interim answers kept."""
    first, mark, rest = raw.partition(b"\n\n" if b"\n\n" in raw else b"\r\n\r\n")
    if raw.split()[1] == b"100":
        return first + mark + head_of(rest)
    return first + mark


@pytest.mark.parametrize("name", sampled(ANSWERS))
def test_head_then_get(name: str, tmp_path: Path) -> None:
    def by_method(request: Request) -> bytes:
        return head_of(ANSWERS[name]) if request.method == "HEAD" else ANSWERS[name]

    with RawServer(responder({"/": by_method})) as server:

        def hooked() -> Any:
            with requests.Session() as session:
                get = session.get(f"{server.url}/", stream=True, allow_redirects=False)
                return observe(session.head(f"{server.url}/")), observe(get)

        def pooled() -> Any:
            with urllib3.PoolManager() as pool:
                head = pool.request("HEAD", f"{server.url}/", preload_content=False, redirect=False)
                return observe(head)

        three_ways(tmp_path / "1", server, hooked)
        three_ways(tmp_path / "2", server, pooled)


def test_ranges_of_one_url(tmp_path: Path) -> None:
    def part(request: Request) -> bytes:
        field = request.header("Range")
        if field is None:
            return answer(200, TEXT, headers=[("Accept-Ranges", "bytes")])
        first, last = field.removeprefix("bytes=").split("-")
        if int(first) >= len(TEXT):
            return answer(416, headers=[("Content-Range", f"bytes */{len(TEXT)}")])
        piece = TEXT[int(first) : int(last or len(TEXT)) + 1]
        end = int(first) + len(piece) - 1
        place = f"bytes {first}-{end}/{len(TEXT)}"
        return answer(206, piece, headers=[("Content-Range", place)])

    with RawServer(responder({"/": part})) as server:

        def work() -> Any:
            with requests.Session() as session, urllib3.PoolManager() as pool:
                ranges = ["bytes=0-9", "bytes=10-19", None, "bytes=1190-", "bytes=9999-"]
                got = [session.get(server.url, headers={"Range": r}) for r in ranges]
                pooled = pool.request("GET", server.url, headers={"Range": "bytes=5-6"})
                # In another order than they were recorded: each by its own identity.
                again = session.get(server.url, headers={"Range": "bytes=10-19"}).content
                return [observe(r) for r in got], observe(pooled), again

        plain = three_ways(tmp_path, server, work)
    assert [seen["status"] for seen in plain[0]] == [206, 206, 200, 206, 416]
    assert plain[0][1]["content"] == plain[2] == TEXT[10:20]


def test_the_call_after_an_odd_answer(server: RawServer, tmp_path: Path) -> None:
    """What an answer leaves behind on its connection is the next call's trouble, or not."""

    def work() -> Any:
        seen = []
        for name in ("hints", "no-content-length", "not-modified-length", "chunked-and-length"):
            with requests.Session() as session:
                for each in (name, "plain"):
                    got = outcome(lambda each=each: session.get(f"{server.url}/{each}"))
                    seen.append(observe(got) if isinstance(got, requests.Response) else got)
        return seen

    three_ways(tmp_path, server, work)


def test_pickled_response(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        response = pickle.loads(pickle.dumps(requests.get(f"{server.url}/gzip")))
        return response.content, response.headers, response.url, response.status_code

    three_ways(tmp_path, server, work)


def test_digest_auth_makes_two_calls(tmp_path: Path) -> None:
    def guarded(request: Any) -> bytes:
        if request.header("Authorization"):
            return answer(200, b"secret page")
        challenge = 'Digest realm="r", nonce="n1", qop="auth", algorithm=MD5'
        return answer(401, b"who?", headers=[("WWW-Authenticate", challenge)])

    with RawServer(responder({"/": guarded})) as server:

        def work() -> Any:
            auth = requests.auth.HTTPDigestAuth("user", "pass")
            with requests.Session() as session:
                response = session.get(server.url, auth=auth)
                return observe(response), len(response.history)

        plain = three_ways(tmp_path, server, work)
    assert plain[0]["content"] == b"secret page"


def proxy(connection: Connection) -> None:
    """A forward proxy for one request: plain by absolute form, or a CONNECT tunnel."""
    request = connection.read_request()
    if request is None:
        return
    if request.method != "CONNECT":
        body = b"via proxy " + request.target.encode()
        connection.send(answer(200, body, headers=[("Connection", "close")]))
        return
    if request.target.startswith("refused"):
        connection.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        return


def test_plain_proxy_and_refused_tunnel(tmp_path: Path) -> None:
    with RawServer(proxy) as server:
        proxies = {"http": server.url, "https": server.url}

        def work() -> Any:
            with requests.Session() as session:
                session.trust_env = False
                return (
                    observe(session.get("http://far.test/x?a=1", proxies=proxies)),
                    outcome(lambda: session.get("https://refused.test/", proxies=proxies)),
                )

        plain = three_ways(tmp_path, server, work)
    assert plain[0]["content"] == b"via proxy http://far.test/x?a=1"
    assert plain[1][0] == "ProxyError"
    with RecordingStore(tmp_path) as store:
        first, _ = store.exchanges(store.sessions()[0].id)
    assert first.request.url == "http://far.test/x?a=1"
