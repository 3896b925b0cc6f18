"""What goes wrong, plainly, recorded and replayed: the same exceptions, the same partial bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from tests.answers import RUINS
from tests.harness import outcome, three_ways
from tests.servers import Connection, RawServer
from tests.test_bakeoff_readers import READERS


def ruin(name: str) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(RUINS[name])
            connection.close()

    return handler


@pytest.mark.parametrize("reader", ["read", "stream", "read-chunked", "data"])
@pytest.mark.parametrize("name", RUINS)
def test_ruins_while_streaming(name: str, reader: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work() -> Any:
            got: list[bytes] = []
            with requests.Session() as session:
                response = session.get(f"{server.url}/{name}", stream=True)
                result = outcome(lambda: got.append(READERS[reader](response.raw)))
            return result, got

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", RUINS)
def test_ruins_through_requests(name: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:
        three_ways(tmp_path, server, lambda: requests.get(f"{server.url}/x?q=1").content)


@pytest.mark.parametrize("retries", [False, 0, 2])
@pytest.mark.parametrize("name", RUINS)
def test_ruins_through_urllib3(name: str, retries: Any, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", f"{server.url}/x", retries=retries).data

        three_ways(tmp_path, server, work)


def test_reset_amid_the_body(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            connection.send(b"first part")
            go.wait(5)
            go.clear()
            connection.reset()

    go = threading.Event()
    with RawServer(handler) as server:

        def work() -> Any:
            got: list[bytes] = []
            with requests.Session() as session:
                response = session.get(server.url, stream=True)
                stream = response.iter_content(5)
                got += [next(stream), next(stream)]
                go.set()
                return outcome(lambda: got.extend(stream)), got

        (error, got) = three_ways(tmp_path, server, work)
    assert got == [b"first", b" part"]
    assert error[0] in ("ConnectionError", "ChunkedEncodingError")


def test_reset_before_the_answer(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.reset()

    with RawServer(handler) as server:
        seen = three_ways(tmp_path, server, lambda: requests.get(server.url))
    assert seen[0] == "ConnectionError"


@pytest.mark.parametrize("amid", [False, True])
def test_read_timeout(amid: bool, tmp_path: Path) -> None:
    stop = threading.Event()

    def handler(connection: Connection) -> None:
        if connection.read_request():
            if amid:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            stop.wait(2)

    with RawServer(handler) as server:
        seen = three_ways(tmp_path, server, lambda: requests.get(server.url, timeout=0.2).content)
        stop.set()
    assert seen[0] == ("ConnectionError" if amid else "ReadTimeout")


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("retries", [False, 0, 2])
def test_connection_refused(retries: Any, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/"

    def by_requests() -> Any:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=retries))
            return session.get(url)

    def by_urllib3() -> Any:
        with urllib3.PoolManager(retries=retries) as pool:
            return pool.request("GET", url)

    assert three_ways(tmp_path / "1", None, by_requests)[0] == "ConnectionError"
    three_ways(tmp_path / "2", None, by_urllib3)


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, *args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    seen = three_ways(tmp_path, None, lambda: requests.get("http://no-such-host.invalid/"))
    assert seen[0] == "ConnectionError"
