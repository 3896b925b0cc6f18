"""Calls over unix sockets: the daemons behind two of them are two, by whatever way in."""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from mxm_dataio import IngestSession, ReplayMissError, mount
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.proxies import UnixServer
from tests.support.servers import answer, responder


class ByArgument(HTTPConnection):
    """Has its path from who makes it."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.socket_path)


class ByArgumentPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.socket_path = path

    def _new_conn(self) -> ByArgument:
        return ByArgument(self.socket_path)


def in_code(path: str) -> Any:
    """Return a pool whose connection's code has the path, as recipes for snapd have it."""

    class Connection(HTTPConnection):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__("localhost")

        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(path)

    class Pool(HTTPConnectionPool):
        def _new_conn(self) -> Connection:
            return Connection()

    return Pool("localhost")


def on_instance(path: str) -> Any:
    """Return an ordinary pool with a connection class of one's own."""

    class Connection(HTTPConnection):
        uds = path

        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(self.uds)

    pool = HTTPConnectionPool("localhost")
    pool.ConnectionCls = Connection
    return pool


class Adapter(HTTPAdapter):
    """An adapter for one daemon, as Docker's client has it."""

    def __init__(self, make: Callable[[str], Any], path: str) -> None:
        self.made = make(path)
        self.socket_path = path
        super().__init__()

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        return self.made

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        return self.made

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self.made.close()
        super().close()


class DockerLike(Adapter):
    """Names the pool in its code."""

    def __init__(self, path: str) -> None:
        super().__init__(ByArgumentPool, path)


class Plain(http.client.HTTPConnection):
    """The standard library's."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def by_pool(make: Callable[[str], Any]) -> Callable[[str, str, Any], bytes]:
    def ask(path: str, target: str, _: Any) -> bytes:
        with make(path) as pool:
            return bytes(pool.request("GET", target).data)

    return ask


def by_requests(path: str, target: str, ingest: IngestSession | None) -> bytes:
    with requests.Session() as session:
        session.mount("http+docker://", DockerLike(path))
        if ingest is not None:
            mount(session, ingest)
        return session.get(f"http+docker://localhost{target}").content


def by_url(path: str, target: str, ingest: IngestSession | None) -> bytes:
    with requests.Session() as session:
        session.mount("http+unix://", Adapter(ByArgumentPool, path))
        if ingest is not None:
            mount(session, ingest)
        return session.get(f"http+unix://{quote(path, safe='')}{target}").content


def by_stdlib(path: str, target: str, _: Any) -> bytes:
    connection = Plain(Path(path))
    try:
        connection.request("GET", target)
        return connection.getresponse().read()
    finally:
        connection.close()


WAYS = {
    "argument": by_pool(ByArgumentPool),
    "code": by_pool(in_code),
    "instance": by_pool(on_instance),
    "adapter": by_requests,
    "url": by_url,
    "stdlib": by_stdlib,
}


@pytest.fixture
def daemons() -> Iterator[list[tuple[str, UnixServer]]]:
    # A path of pytest's may be too long for a socket. They differ in case alone.
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for name in ("Daemon", "daemon"):
            path = Path(folder) / name
            said = answer(200, json.dumps(name).encode())
            made.append((str(path), UnixServer(responder({"/info": said}), path)))
        try:
            yield made
        finally:
            for _, server in made:
                server.stop()


@pytest.mark.parametrize(
    ("way", "hook"), [*((way, True) for way in WAYS), ("adapter", False), ("url", False)]
)
def test_each_daemon_answers_for_itself(
    way: str, hook: bool, daemons: list[tuple[str, UnixServer]], tmp_path: Path
) -> None:
    ask = WAYS[way]
    options: dict[str, Any] = {"hook": hook, "stdlib": way == "stdlib"}
    (first, _), (second, _) = daemons
    with IngestSession("d", tmp_path, **options) as ingest:
        mounted = None if hook else ingest
        live = [ask(path, "/info", mounted) for path in (first, second)]
    assert live == [b'"Daemon"', b'"daemon"']
    for _, server in daemons:
        server.stop()
    with IngestSession("d", tmp_path, "replay", **options) as ingest:
        mounted = None if hook else ingest
        again = [ask(path, "/info", mounted) for path in (second, first)]
    assert again == live[::-1]


def test_what_one_way_recorded_another_replays(
    daemons: list[tuple[str, UnixServer]], tmp_path: Path
) -> None:
    (path, _), _ = daemons
    hashes = set()
    for way, ask in WAYS.items():
        with IngestSession("d", tmp_path / way, stdlib=True) as ingest:
            ask(path, "/info", None)
        with RecordingStore(tmp_path / way) as store:
            (request,) = store.requests(ingest.id)
            hashes.add(request.params_hash)
            assert request.endpoint == f"http+unix://{quote(path, safe='')}/info"
    assert len(hashes) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_that_was_not_recorded_is_a_miss(
    way: str, daemons: list[tuple[str, UnixServer]], tmp_path: Path
) -> None:
    (first, _), (second, server) = daemons
    with IngestSession("d", tmp_path, stdlib=True):
        WAYS[way](first, "/info", None)
    hits = server.hits
    with (
        pytest.raises(ReplayMissError),
        IngestSession("d", tmp_path, "replay", stdlib=True),
    ):
        WAYS[way](second, "/info", None)
    assert server.hits == hits
