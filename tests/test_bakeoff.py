"""Each behaviour of a client plainly, recorded and replayed against a real server: no change."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import Store
from tests.answers import ANSWERS
from tests.harness import observe, outcome, three_ways
from tests.servers import Connection, RawServer, answer, responder


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


@pytest.mark.parametrize("preload", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
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


@pytest.mark.parametrize("name", ANSWERS)
def test_head(name: str, tmp_path: Path) -> None:
    head = ANSWERS[name].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if name in ("early-hints", "bare-lf"):
        pytest.skip("the answer's first empty line is not its head's end")
    with RawServer(responder({"/": head})) as server:

        def work() -> Any:
            with requests.Session() as session:
                return observe(session.head(f"{server.url}/"))

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
    with Store(tmp_path) as store:
        first, _ = store.exchanges(store.sessions()[0].id)
    assert first.request.url == "http://far.test/x?a=1"
