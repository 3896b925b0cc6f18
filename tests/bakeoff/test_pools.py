"""Pools and connections: as many, as long, and as full as without a capture."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from mxm_dataio import DataIOWarning, IngestSession, ReplayMissError, Status
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.harness import EXACT, SOURCE, observe, outcome
from tests.support.servers import Connection, RawServer, Request, answer, responder, tls_server
from tests.support.ways import HOOK, HOWS, MOUNT, Opener, wire_ways

# In 1.26 it is a module.
TOP_LEVEL = callable(getattr(urllib3, "request", None))
BIG = b"0123456789abcdef" * 20_000


def echo(request: Request) -> bytes:
    return answer(200, request.raw)


ROUTES: dict[str, Any] = {
    "/": answer(200, b"hello"),
    "/echo": echo,
    "/big": answer(200, BIG),
    "/chunked": answer(200, b"in chunks", chunked=[2]),
    "/error": answer(500, b"oops"),
    "/none": answer(204),
    "/same": answer(304),
    "/head": answer(200, headers=[("Content-Length", "5")]),
    "/bad-gzip": answer(200, b"no gzip", headers=[("Content-Encoding", "gzip")]),
    "/close": answer(200, b"bye", headers=[("Connection", "close")]),
    "/old": answer(200, b"old", version="HTTP/1.0"),
    "/moved": answer(302, b"away", headers=[("Location", "/")]),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder(ROUTES)) as running:
        yield running


# What is done on one connection before another call.
BEFORE: dict[str, Callable[[Any, str], Any]] = {
    "whole": lambda get, url: get(f"{url}/").data,
    "chunked": lambda get, url: get(f"{url}/chunked").data,
    "error": lambda get, url: get(f"{url}/error").data,
    "no-content": lambda get, url: get(f"{url}/none").data,
    "not-modified": lambda get, url: get(f"{url}/same").data,
    "redirected": lambda get, url: get(f"{url}/moved").data,
    "bad-gzip": lambda get, url: outcome(lambda: get(f"{url}/bad-gzip").read(decode_content=True)),
    "closing": lambda get, url: get(f"{url}/close").data,
    "old": lambda get, url: get(f"{url}/old").data,
    "half-read-closed": lambda get, url: half(get(f"{url}/big")).close(),
    "half-read-drained": lambda get, url: half(get(f"{url}/big")).drain_conn(),
    "never-read-closed": lambda get, url: get(f"{url}/big").close(),
    "never-read-drained": lambda get, url: get(f"{url}/big").drain_conn(),
    "read-in-steps": lambda get, url: b"".join(get(f"{url}/big").stream(999)),
}


def half(raw: Any) -> Any:
    assert raw.read(100) == BIG[:100]
    return raw


@pytest.mark.parametrize(("before", "client"), crossed(BEFORE, [*HOWS, "urllib3"]))
def test_reuse_after(before: str, client: str, server: RawServer, tmp_path: Path) -> None:
    act = BEFORE[before]

    def by_requests(opener: Opener) -> Any:
        with opener() as session:
            seen = act(lambda url: session.get(url, stream=True).raw, server.url)
            return seen, observe(session.get(f"{server.url}/"))

    def by_urllib3(_: Opener) -> Any:
        with urllib3.PoolManager() as pool:
            get = pool.request
            seen = act(lambda url: get("GET", url, preload_content=False), server.url)
            return seen, observe(get("GET", f"{server.url}/"))

    work = by_urllib3 if client == "urllib3" else by_requests
    wire_ways(tmp_path, server, work, MOUNT if client == MOUNT else HOOK)
    if before in ("whole", "half-read-drained"):
        assert server.connections == 2
    if before in ("closing", "never-read-closed"):
        assert server.connections == 4


@pytest.mark.parametrize("how", HOWS)
def test_head_and_many_calls_on_one_connection(how: str, server: RawServer, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        with opener() as session:
            got: list[Any] = [session.head(f"{server.url}/head").headers["Content-Length"]]
            for path in ("/", "/chunked", "/error", "/none", "/same", "/big", "/nowhere"):
                got += [session.get(f"{server.url}{path}").content]
            got += [session.post(f"{server.url}/", data=b"x" * 100).content]
            return got

    wire_ways(tmp_path, server, work, how)
    assert server.connections == 2


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_stale_connection(method: str, how: str, tmp_path: Path) -> None:
    """The server closes a kept-alive connection between two calls: a new one is made."""
    closed = threading.Event()

    def closes(connection: Connection) -> None:
        if connection.read_request():
            connection.send(answer(200, b"stays open, it says"))
            connection.close()
            closed.set()

    def work(opener: Opener) -> Any:
        got = []
        with opener() as session:
            for _ in range(3):
                closed.clear()
                hits = server.hits
                got += [session.request(method, server.url).content]
                assert server.hits == hits or closed.wait(5)
        return got

    with RawServer(closes) as server:
        wire_ways(tmp_path, server, work, how)
        assert server.connections == 6


@pytest.mark.parametrize("how", HOWS)
def test_a_full_pool_that_blocks(how: str, server: RawServer, tmp_path: Path) -> None:
    """A call in another thread waits until the one connection is free."""

    def work(opener: Opener) -> Any:
        adapter = HTTPAdapter(pool_maxsize=1, pool_block=True)
        with opener({"http://": adapter}) as session, ThreadPoolExecutor(1) as executor:
            held = session.get(f"{server.url}/big", stream=True)
            other = executor.submit(lambda: session.get(f"{server.url}/").content)
            return held.content, other.result(5)

    wire_ways(tmp_path, server, work, how)
    assert server.connections == 2


def test_a_full_pool_that_gives_up(server: RawServer, tmp_path: Path) -> None:
    def work(_: Opener) -> Any:
        with urllib3.HTTPConnectionPool(server.host, server.port, maxsize=1, block=True) as pool:
            held = pool.request("GET", "/big", preload_content=False)
            errors = [
                outcome(lambda n=n: pool.request("GET", "/", pool_timeout=0.01, retries=n))
                for n in (False, 0, 2)
            ]
            content = held.read()
            held.release_conn()
            return errors, content, pool.request("GET", "/").data

    errors, _, _ = wire_ways(tmp_path, server, work)
    assert [error[0] for error in errors] == ["EmptyPoolError"] * 3


class Kept(logging.Handler):
    """Keeps what urllib3 says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.getMessage()}")


@pytest.mark.parametrize("how", HOWS)
def test_a_full_pool_that_discards(how: str, server: RawServer, tmp_path: Path) -> None:
    runs: list[list[str]] = []

    def work(opener: Opener) -> Any:
        kept = Kept()
        logger = logging.getLogger("urllib3.connectionpool")
        level = logger.level
        logger.addHandler(kept)
        logger.setLevel(logging.DEBUG)
        try:
            with opener({"http://": HTTPAdapter(pool_maxsize=1)}) as session:
                held = [session.get(f"{server.url}/big", stream=True) for _ in range(3)]
                got = [response.content for response in held]
                return [*got, session.get(f"{server.url}/").content]
        finally:
            logger.removeHandler(kept)
            logger.setLevel(level)
            runs.append(kept.texts)

    wire_ways(tmp_path, server, work, how)
    assert server.connections == 6
    plain, recorded, _replayed = runs
    assert recorded == plain
    assert sum("Connection pool is full" in text for text in plain) == 2


@pytest.mark.parametrize("how", HOWS)
def test_evicted_pools(how: str, server: RawServer, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        with opener({"http://": HTTPAdapter(pool_connections=1)}) as session:
            got = [session.get(url).content for url in (server.url, other.url) for _ in range(2)]
            got += [session.get(url).content for url in (server.url, other.url)]
        if how == HOOK:
            with urllib3.PoolManager(num_pools=1) as pool:
                for url in (server.url, server.url, other.url, server.url):
                    got += [pool.request("GET", url).data]
                pool.clear()
                got += [pool.request("GET", server.url).data]
        return got

    with RawServer(responder({"/": answer(200, b"other")})) as other:
        wire_ways(tmp_path, [server, other], work, how)


def test_closed_pool(server: RawServer, tmp_path: Path) -> None:
    def work(_: Opener) -> Any:
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        got = pool.request("GET", "/").data
        pool.close()
        return got, [outcome(lambda n=n: pool.request("GET", "/", retries=n)) for n in (False, 2)]

    _, errors = wire_ways(tmp_path, server, work)
    assert [error[0] for error in errors] == ["ClosedPoolError"] * 2


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("release", [None, False, True])
def test_release_conn(
    release: bool | None, preload: bool, server: RawServer, tmp_path: Path
) -> None:
    def work(_: Opener) -> Any:
        with urllib3.HTTPConnectionPool(server.host, server.port) as pool:
            kwargs = {"release_conn": release, "preload_content": preload}
            first = pool.urlopen("GET", "/chunked", **kwargs)
            content = first.data
            first.release_conn()
            return content, observe(pool.urlopen("GET", "/"))

    wire_ways(tmp_path, server, work)


def test_ways_to_call_urllib3(server: RawServer, tmp_path: Path) -> None:
    def work(_: Opener) -> Any:
        url = f"{server.url}/echo"
        with urllib3.PoolManager(headers={"X-Pool": "1", "Accept": "a/b"}) as manager:
            got = [
                manager.request("GET", url, fields={"b": "2", "a": "1 ü"}),
                manager.request("POST", url, fields={"a": "1"}, encode_multipart=False),
                manager.request("GET", url, headers={"Accept": "c/d"}),
                manager.request_encode_url("GET", url, {"q": "x"}),
                manager.request_encode_body("PUT", url, {"a": "1"}, encode_multipart=False),
                manager.urlopen("DELETE", url),
                manager.connection_from_url(url).request("OPTIONS", "/echo"),
                manager.connection_from_host(server.host, server.port).urlopen("GET", "/echo"),
            ]
            if TOP_LEVEL:
                got += [manager.request("POST", url, json={"a": ["ü"]})]
                got += [urllib3.request("GET", url, headers={"X-Top": "1"})]
                got += [urllib3.request("POST", url, json=[1], fields=None)]
        with urllib3.connection_from_url(server.url, headers={"X-Pool": "2"}) as pool:
            got += [pool.request("GET", "/echo"), pool.request("GET", "/echo", headers={"X": "1"})]
        return [observe(response) for response in got]

    def clear() -> None:
        # urllib3.request() has a pool for the whole process.
        if TOP_LEVEL:
            urllib3._DEFAULT_POOL.clear()

    wire_ways(tmp_path, server, work, before=clear)
    clear()


def test_a_bare_pool_with_tls(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)

    def work(_: Opener) -> Any:
        with urllib3.HTTPSConnectionPool(server.host, server.port, ca_certs=bundle) as pool:
            got = [observe(pool.request("GET", "/")), observe(pool.request("GET", "/chunked"))]
        with urllib3.HTTPSConnectionPool(server.host, server.port) as pool:
            return [*got, outcome(lambda: pool.request("GET", "/", retries=False))]

    with RawServer(responder(ROUTES), tls=context) as server:
        seen = wire_ways(tmp_path / "root", server, work)
    assert seen[2][0] == "SSLError"


def test_source_address_and_socket_options(tmp_path: Path) -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError as exc:
            pytest.skip(f"this machine has but one address on loopback: {exc}")
    sockets: list[int | None] = []

    def work(_: Opener) -> Any:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        with urllib3.HTTPConnectionPool(
            server.host, server.port, source_address=("127.0.0.2", 0), socket_options=options
        ) as pool:
            got = pool.request("GET", "/").data
            connection = pool._get_conn()
            sock = connection.sock
            flags = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            sockets.append(sock.getsockopt(*flags) if sock else None)
            pool._put_conn(connection)
            return got

    def tell(connection: Connection) -> None:
        while connection.read_request():
            connection.send(answer(200, connection.peer.encode()))

    with RawServer(tell) as server:
        assert wire_ways(tmp_path, server, work) == b"127.0.0.2"
    assert sockets == [1, 1, None]


class SixServer(RawServer):
    """On IPv6."""

    host = "::1"


@pytest.mark.parametrize("how", HOWS)
def test_ipv6(how: str, tmp_path: Path) -> None:
    try:
        server = SixServer(responder(ROUTES))
    except OSError as exc:
        pytest.skip(f"this machine has no IPv6: {exc}")

    def work(opener: Opener) -> Any:
        with opener() as session:
            got = [observe(session.get(f"{server.url}/echo?x=1"))]
        if how == HOOK:
            with urllib3.HTTPConnectionPool("::1", server.port) as pool:
                got += [observe(pool.request("GET", "/echo"))]
        return got

    with server:
        wire_ways(tmp_path, server, work, how)
    with RecordingStore(tmp_path) as store:
        first = next(iter(store.exchanges(store.sessions()[0].id)))
    assert first.request.url == f"http://[::1]:{server.port}/echo?x=1"
    assert first.answer.peer.address == f"[::1]:{server.port}"


def test_own_urlopen(server: RawServer, tmp_path: Path) -> None:
    """A pool class of the program's, over a connection class of its own."""
    asked: list[str] = []

    class OwnConnection(HTTPConnection):
        def putheader(self, header: Any, *values: Any) -> None:
            super().putheader(f"X-Own-{header}" if header == "Accept" else header, *values)

    class OwnPool(urllib3.HTTPConnectionPool):
        ConnectionCls = OwnConnection

        def urlopen(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            asked.append(url)
            response = super().urlopen(method, f"{url}?own=1", *args, **kwargs)
            response.headers["X-Own"] = "1"
            return response

    def work(_: Opener) -> Any:
        with OwnPool(server.host, server.port, headers={"Accept": "a/b"}) as pool:
            return observe(pool.request("GET", "/echo"))

    seen = wire_ways(tmp_path, server, work)
    assert b"GET /echo?own=1 HTTP/1.1" in seen["data"]
    assert b"X-Own-Accept: a/b" in seen["data"]
    assert asked == ["/echo"] * 3


def test_a_connection_without_a_pool_is_left_alone(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        connection = HTTPConnection(server.host, server.port)
        try:
            got = []
            for path in ("/echo?x=1", "/chunked"):
                connection.request("GET", path, headers={"X-A": "1"})
                response = connection.getresponse()
                got.append((response.status, list(response.headers.items()), response.read()))
            return got, sorted(vars(connection))
        finally:
            connection.close()

    plain = work()
    with (
        pytest.warns(DataIOWarning, match=r"GET http://127.0.0.1:\d+/echo\?x=1 was not recorded"),
        IngestSession(SOURCE, tmp_path, redaction=EXACT) as ingest,
    ):
        recorded = work()
    assert recorded == plain
    assert server.connections == 2
    first, second = server.requests[:2], server.requests[2:]
    assert [request.raw for request in first] == [request.raw for request in second]
    # What can't be captured is said; in replay, which is offline, it is refused.
    assert ingest.session.status is Status.INCOMPLETE
    assert [said.partition(" ")[0] for said in ingest.session.warnings] == ["coverage:"] * 2
    with (
        pytest.raises(ReplayMissError, match="past urllib3's pools"),
        IngestSession(SOURCE, tmp_path, "replay"),
    ):
        work()
    assert server.hits == 4


def test_the_program_s_own_warnings_are_its_alone(server: RawServer, tmp_path: Path) -> None:
    connection = HTTPConnection(server.host, server.port)
    ingest = IngestSession(SOURCE, tmp_path).open()
    with warnings.catch_warnings(record=True) as caught, contextlib.closing(connection):
        warnings.simplefilter("always")
        connection.request("GET", "/echo")
        connection.getresponse().read()
        warnings.warn("its own", UserWarning, stacklevel=1)
    with pytest.warns(DataIOWarning, match="past urllib3's pools"):
        ingest.close()
    assert [str(one.message) for one in caught] == ["its own"]
