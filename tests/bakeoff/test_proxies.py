"""Proxies: the same bytes to proxy and origin, the same failures; replay needs none of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mxm_dataio import IngestSession
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.harness import SOURCE, observe, outcome
from tests.support.proxies import BASIC, PASSWORD, USER, proxy, socks
from tests.support.servers import Connection, RawServer, Request, answer, responder, tls_server
from tests.support.ways import HOOK, HOWS, MOUNT, Opener, opener, wire_ways

CLIENTS = [*HOWS, "urllib3"]


def echo(request: Request) -> bytes:
    return answer(200, request.method.encode() + request.body)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    return tls_server(tmp_path)


@pytest.fixture
def origin() -> Iterator[RawServer]:
    with RawServer(responder({"/x": echo})) as running:
        yield running


@pytest.fixture
def secure_origin(tls: tuple[ssl.SSLContext, str]) -> Iterator[RawServer]:
    with RawServer(responder({"/x": echo}), tls=tls[0]) as running:
        yield running


def with_userinfo(url: str) -> str:
    return url.replace("://", f"://{USER}:{PASSWORD}@")


def calls(
    client: str, address: str, *urls: str, ca: str | None = None, **options: Any
) -> Callable[[Opener], Any]:
    """Return work that gets each URL twice, through the proxy at an address.

    Args:
        ca: whom to trust.
        options: of a ``ProxyManager``.
    """

    def by_requests(opener: Opener) -> Any:
        proxies = {"http": address, "https": address}
        with opener() as session:
            session.trust_env = False
            session.verify = ca or True
            return [
                outcome(lambda url=url: observe(session.get(url, proxies=proxies, timeout=5)))
                for url in urls
                for _ in range(2)
            ]

    def by_urllib3(_: Opener) -> Any:
        with urllib3.ProxyManager(address, ca_certs=ca, retries=False, **options) as pool:
            return [
                outcome(lambda url=url: observe(pool.request("GET", url, timeout=5)))
                for url in urls
                for _ in range(2)
            ]

    return by_urllib3 if client == "urllib3" else by_requests


def way(client: str) -> str:
    return MOUNT if client == MOUNT else HOOK


def recorded(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() if s.mode == "record" for e in store.exchanges(s.id)]


def stored_bytes(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def content(seen: dict[str, Any]) -> Any:
    return seen.get("content", seen.get("data"))


@pytest.mark.parametrize("client", CLIENTS)
def test_forwarding(client: str, tmp_path: Path) -> None:
    with RawServer(proxy()) as server:
        work = calls(client, server.url, "http://far.test/x?a=1")
        first, second = wire_ways(tmp_path, server, work, way(client))
        assert (server.connections, server.hits) == (2, 4)
    assert content(first) == content(second) == b"via proxy http://far.test/x?a=1"
    (exchange, _) = recorded(tmp_path)
    assert exchange.request.url == "http://far.test/x?a=1"
    assert exchange.answer.peer.address == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("client", CLIENTS)
def test_tunnelling(
    client: str, tls: tuple[ssl.SSLContext, str], secure_origin: RawServer, tmp_path: Path
) -> None:
    url = f"https://localhost:{secure_origin.port}/x"
    root = tmp_path / "root"
    with RawServer(proxy()) as server:
        work = calls(client, server.url, url, ca=tls[1])
        first, second = wire_ways(root, [server, secure_origin], work, way(client))
        assert (server.connections, server.hits) == (2, 2)
        assert (secure_origin.connections, secure_origin.hits) == (2, 4)
    assert content(first) == content(second) == b"GET"
    (exchange, _) = recorded(root)
    assert exchange.request.url == url
    # The tunnel's own head is no part of the call.
    assert exchange.answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"CONNECT" not in stored_bytes(root)
    assert exchange.answer.peer.address == f"127.0.0.1:{server.port}"
    assert exchange.answer.peer.tls_version


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_credentials_reach_the_proxy_and_not_the_store(
    client: str,
    secure: bool,
    tls: tuple[ssl.SSLContext, str],
    secure_origin: RawServer,
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    url = f"https://localhost:{secure_origin.port}/x" if secure else "http://far.test/x"
    with RawServer(proxy(guarded=True)) as server:
        address, options = with_userinfo(server.url), {}
        if client == "urllib3":
            address, options = server.url, {"proxy_headers": {"Proxy-Authorization": BASIC}}
        work = calls(client, address, url, ca=tls[1], **options)
        first, _ = wire_ways(root, [server, secure_origin], work, way(client), redaction=DEFAULT)
        assert {request.header("Proxy-Authorization") for request in server.requests} == {BASIC}
    assert first["status"] == 200
    stored = stored_bytes(root)
    assert b"REDACTED" in stored or secure
    for secret in (PASSWORD, BASIC.removeprefix("Basic ")):
        assert secret.encode() not in stored


REFUSALS = {
    "407": answer(407, b"who?", headers=[("Proxy-Authenticate", "Basic"), ("Connection", "close")]),
    "502": answer(502, b"no such origin", reason="Origin Gone"),
    "closed": b"",
    "garbage": b"what?\r\n\r\n",
}


@pytest.mark.parametrize("refusal", [*REFUSALS, "reset", "unreachable"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tunnel_that_fails(client: str, refusal: str, tmp_path: Path) -> None:
    def reset(connection: Connection) -> None:
        connection.read_request()
        connection.reset()

    handler = reset if refusal == "reset" else proxy(refusal=REFUSALS.get(refusal, b""))
    with RawServer(handler) as server:
        address = "http://127.0.0.1:1" if refusal == "unreachable" else server.url
        work = calls(client, address, "https://far.test/x")
        first, second = wire_ways(tmp_path, server, work, way(client))
    assert first == second
    if client != "urllib3":
        assert first[0] in ("ProxyError", "ConnectionError")
    assert len(recorded(tmp_path)) == 2


@pytest.mark.parametrize("forwarding", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_proxy_with_tls(
    client: str,
    forwarding: bool,
    tls: tuple[ssl.SSLContext, str],
    secure_origin: RawServer,
    tmp_path: Path,
) -> None:
    if forwarding and client != "urllib3":
        pytest.skip("requests has no such option")
    root = tmp_path / "root"
    with RawServer(proxy(), tls=tls[0]) as server:
        address = server.url.replace("127.0.0.1", "localhost")
        urls = [f"https://localhost:{secure_origin.port}/x"]
        if client == "urllib3":
            # With requests one can't say whom to trust for the proxy of an http:// URL.
            urls.append("http://far.test/x")
        options = {"use_forwarding_for_https": True} if forwarding else {}
        work = calls(client, address, *urls, ca=tls[1], **options)
        seen = wire_ways(root, [server, secure_origin], work, way(client))
        tunnels = [request for request in server.requests if request.method == "CONNECT"]
    assert len(tunnels) == (0 if forwarding else 2)
    assert {one["status"] for one in seen} == {200}
    for exchange in recorded(root):
        assert exchange.answer.peer.tls_version
        assert exchange.answer.peer.tls_certificate
        assert exchange.answer.peer.address == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("how", HOWS)
def test_proxies_of_the_environment(
    how: str, origin: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(opener: Opener) -> Any:
        with opener() as session:
            return [session.get("http://far.test/x").text, session.get(f"{origin.url}/x").text]

    with RawServer(proxy()) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        seen = wire_ways(tmp_path, [server, origin], work, how)
    assert seen == ["via proxy http://far.test/x", "GET"]


@pytest.mark.parametrize("client", CLIENTS)
def test_replay_needs_no_proxy(
    client: str, tls: tuple[ssl.SSLContext, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that runs, nor the same one, nor any, nor the origin."""
    root = tmp_path / "root"

    def run(mode: str, work: Callable[[Opener], Any]) -> Any:
        with IngestSession(SOURCE, root, mode, hook=client != MOUNT) as ingest:
            return work(opener(ingest if client == MOUNT else None))

    def direct(opener: Opener) -> Any:
        with opener() as session, urllib3.PoolManager() as pool:
            if client == "urllib3":
                return [observe(pool.request("GET", url, retries=False)) for url in (*urls, *urls)]
            return [observe(session.get(url)) for url in (*urls, *urls)]

    with (
        RawServer(responder({"/x": echo}), tls=tls[0]) as secure,
        RawServer(proxy()) as server,
    ):
        urls = ["http://far.test/x", f"https://localhost:{secure.port}/x"]
        address = server.url
        first = run("record", calls(client, address, *urls, ca=tls[1]))
    assert run("replay", calls(client, address, *urls)) == first
    assert run("replay", calls(client, with_userinfo("http://127.0.0.1:1"), *urls)) == first
    statuses = [one["status"] for one in run("replay", direct)]
    assert statuses == [one["status"] for one in first]


# -- SOCKS -----------------------------------------------------------------------------------


def socks_calls(client: str, address: str, *urls: str, ca: str | None) -> Callable[[Opener], Any]:
    pytest.importorskip("socks", reason="PySocks is missing")
    contrib = import_module("urllib3.contrib.socks")
    if client != "urllib3":
        return calls(client, address, *urls, ca=ca)

    def work(_: Opener) -> Any:
        with contrib.SOCKSProxyManager(address, ca_certs=ca, retries=False) as pool:
            return [
                outcome(lambda url=url: observe(pool.request("GET", url, timeout=5)))
                for url in urls
                for _ in range(2)
            ]

    return work


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("client", CLIENTS)
def test_socks(
    client: str,
    scheme: str,
    guarded: bool,
    tls: tuple[ssl.SSLContext, str],
    origin: RawServer,
    secure_origin: RawServer,
    tmp_path: Path,
) -> None:
    names: list[bytes] = []
    root = tmp_path / "root"
    with RawServer(socks(guarded=guarded, names=names)) as server:
        address = f"{scheme}://127.0.0.1:{server.port}"
        address = with_userinfo(address) if guarded else address
        urls = [f"http://localhost:{origin.port}/x", f"https://localhost:{secure_origin.port}/x"]
        work = socks_calls(client, address, *urls, ca=tls[1])
        servers = [server, origin, secure_origin]
        seen = wire_ways(root, servers, work, way(client), redaction=DEFAULT)
        assert server.connections == 4
    assert [content(one) for one in seen] == [b"GET"] * 4
    assert set(names) == {b"localhost" if scheme == "socks5h" else bytes([127, 0, 0, 1])}
    for exchange in recorded(root):
        # The socket is PySocks' own, and names the origin.
        assert exchange.answer.peer.address
    assert PASSWORD.encode() not in stored_bytes(root)


@pytest.mark.parametrize("failure", ["refused", "closes", "wrong-password", "unreachable"])
@pytest.mark.parametrize("client", CLIENTS)
def test_socks_that_fails(client: str, failure: str, origin: RawServer, tmp_path: Path) -> None:
    handlers = {
        "refused": socks(reply=5),
        "closes": lambda connection: connection.take(2) and None,
        "wrong-password": socks(guarded=True),
    }
    with RawServer(handlers.get(failure, socks())) as server:
        port = 1 if failure == "unreachable" else server.port
        address = f"socks5h://someone:else@127.0.0.1:{port}"
        work = socks_calls(client, address, f"{origin.url}/x", ca=None)
        first, second = wire_ways(tmp_path, [server, origin], work, way(client))
    assert origin.connections == 0
    assert first == second
    assert first[0] in ("ConnectionError", "NewConnectionError")
