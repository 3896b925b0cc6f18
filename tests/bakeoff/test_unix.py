"""Unix sockets, by the adapters that people write for them."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.harness import observe, outcome
from tests.support.proxies import UnixServer
from tests.support.servers import Connection, Request, answer, responder
from tests.support.ways import HOOK, HOWS, Opener, wire_ways


class UnixConnection(HTTPConnection):
    """A connection to a path."""

    path: str

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class UnixPool(HTTPConnectionPool):
    """A pool that makes its connections itself, as Docker's client does."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> UnixConnection:
        connection = UnixConnection("localhost")
        connection.path = self._path
        return connection


def class_pool(path: str) -> HTTPConnectionPool:
    """Return a pool that has a connection class for it."""

    class Pool(HTTPConnectionPool):
        class ConnectionCls(UnixConnection):
            pass

    Pool.ConnectionCls.path = path
    return Pool("localhost")


POOLS = {"own-new-conn": UnixPool, "connection-class": class_pool}


class UnixAdapter(HTTPAdapter):
    """``http+unix://%2Frun%2Fsocket/path``."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._pools: dict[str, Any] = {}
        super().__init__()

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        return self.get_connection(request.url)

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        path = unquote(urlsplit(url).netloc)
        if path not in self._pools:
            self._pools[path] = self._make(path)
        return self._pools[path]

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        super().close()


def echo(request: Request) -> bytes:
    return answer(200, request.method.encode() + b" " + request.body, chunked=[2])


@pytest.fixture
def folder() -> Iterator[Path]:
    # A path of pytest's may be too long for a socket.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("style", POOLS)
def test_unix_socket(style: str, how: str, folder: Path, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        base = "http+unix://" + str(folder / "socket").replace("/", "%2F")
        with opener({"http+unix://": UnixAdapter(POOLS[style])}) as session:
            got = [
                observe(session.get(f"{base}/x?a=1")),
                observe(session.post(f"{base}/x", data=b"body")),
                observe(session.post(f"{base}/x", data=iter([b"ch", b"unks"]))),
                outcome(lambda: session.get(f"{base}-gone/x")),
            ]
        if how == HOOK:
            with POOLS[style](str(folder / "socket")) as pool:
                got += [observe(pool.request("GET", "/x")), observe(pool.request("GET", "/x"))]
        return got

    with UnixServer(responder({"/x": echo}), folder / "socket") as server:
        seen = wire_ways(tmp_path, server, work, how)
        assert server.connections == (4 if how == HOOK else 2)
    assert [one["status"] for one in seen if isinstance(one, dict)] == [200] * (len(seen) - 1)
    assert seen[3][0] == "ConnectionError"
    with RecordingStore(tmp_path) as store:
        first, second, *_ = store.exchanges(store.sessions()[0].id)
    assert first.answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.answer.peer.address == str(folder / "socket")
    assert second.request.body_size == 4


@pytest.mark.parametrize("how", HOWS)
def test_half_an_answer(how: str, folder: Path, tmp_path: Path) -> None:
    def broken(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    def work(opener: Opener) -> Any:
        base = "http+unix://" + str(folder / "socket").replace("/", "%2F")
        with (
            opener({"http+unix://": UnixAdapter(UnixPool)}) as session,
            session.get(f"{base}/x", stream=True) as response,
        ):
            return response.raw.read(4), outcome(lambda: response.raw.read())

    with UnixServer(broken, folder / "socket") as server:
        seen = wire_ways(tmp_path, server, work, how)
    assert seen[0] == b"half"
