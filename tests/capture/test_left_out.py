"""Calls that are left out: made as without capture, neither recorded nor missed, told of apart."""

from __future__ import annotations

import http.client
import io
import multiprocessing
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    Call,
    IngestSession,
    LeftOutError,
    Mode,
    Status,
    mount,
    register,
    unregister,
    use_cassette,
)  # fmt: skip
from mxm_dataio.reading.account import account_of
from mxm_dataio.storage.root_store import RootStore
from tests.support.servers import Connection, RawServer, answer

# The one that is left out is 127.0.0.1, and what is recorded localhost.
OUT: dict[str, Any] = {"ignore_hosts": ["127.0.0.1"]}
IN: dict[str, Any] = {**OUT, "allowed_hosts": ["127.0.0.1"]}


def echo(connection: Connection) -> None:
    """Answer each request with what it was, and send those for /elsewhere to the other name."""
    while (request := connection.read_request()) is not None:
        if request.target.startswith("/to/"):
            host = request.target.removeprefix("/to/")
            connection.send(answer(302, b"", headers=[("Location", f"http://{host}/there")]))
        else:
            said = f"{request.method} {request.target} ".encode() + request.body
            connection.send(answer(200, b"" if request.method == "HEAD" else said))


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(echo) as running:
        yield running


def localhost(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


def by_requests(url: str) -> Any:
    return requests.get(f"{url}/a", timeout=5).text


def by_stream(url: str) -> Any:
    return requests.post(f"{url}/a", data=iter([b"one", b"two"]), timeout=5).text


def by_file(url: str) -> Any:
    return requests.put(f"{url}/a", data=io.BytesIO(b"x" * 100_000), timeout=5).text


def by_head(url: str) -> Any:
    return requests.head(f"{url}/a", timeout=5).status_code


def by_streamed_answer(url: str) -> Any:
    with requests.get(f"{url}/a", timeout=5, stream=True) as got:
        return b"".join(got.iter_content(4))


def by_pool(url: str) -> Any:
    with urllib3.PoolManager() as pool:
        return pool.request("POST", f"{url}/a", body=b"body", retries=False).data


def by_pools_stream(url: str) -> Any:
    with urllib3.PoolManager() as pool:
        return pool.request("POST", f"{url}/a", body=iter([b"a", b"b"]), retries=False).data


def by_urllib(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/a", b"data", timeout=5) as got:
        return got.read()


def by_http_client(url: str) -> Any:
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=5)
    told = []
    for _ in range(2):
        connection.request("POST", "/a", b"data")
        told.append(connection.getresponse().read())
    connection.close()
    return told


def by_connected(url: str) -> Any:
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=5)
    connection.connect()
    connection.request("GET", "/a")
    told = connection.getresponse().read()
    connection.close()
    return told


CLIENTS = [
    by_requests, by_stream, by_file, by_head, by_streamed_answer, by_pool, by_pools_stream,
    by_urllib, by_http_client, by_connected,
]  # fmt: skip


def sent(server: RawServer) -> list[tuple[str, str, bytes]]:
    server.sync()
    return [(one.method, one.target, one.body) for one in server.requests]


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_made_as_without_and_not_kept(
    client: Callable[[str], Any], watch: bool, server: RawServer, tmp_path: Path
) -> None:
    plain = client(server.url)
    asked = sent(server)
    for mode in (Mode.RECORD, Mode.AUTO, Mode.AUTO):
        before = len(sent(server))
        with IngestSession("s", tmp_path, mode, stdlib=True, watch=watch, **OUT):
            assert client(server.url) == plain
        assert sent(server)[before:] == asked
    with RootStore(tmp_path) as store:
        assert [store.requests(session.id) for session in store.sessions()] == [[], [], []]
        for session in store.sessions():
            assert session.coverage == (() if watch else None)
            (left,) = session.left_out
            assert (left.name, left.caller) == (f"127.0.0.1:{server.port}", "")
            assert left.times >= len(asked)
            account = account_of(store, session.id)
            assert account.ok is watch
            assert account.unseen == ()
            assert account.left_out == (left,)
    before = len(sent(server))
    with (
        IngestSession("s", tmp_path, "replay", stdlib=True, watch=watch, **OUT) as ingest,
        pytest.raises(LeftOutError, match="is left out, and was not recorded"),
    ):
        client(server.url)
    assert not ingest.misses
    assert len(sent(server)) == before
    with IngestSession("s", tmp_path, "replay", stdlib=True, watch=watch, **IN) as ingest:
        assert client(server.url) == plain
    assert not ingest.misses
    assert sent(server)[before:] == asked


@pytest.mark.parametrize("kind", ["view", "hosts"])
def test_beside_what_is_recorded(kind: str, server: RawServer, tmp_path: Path) -> None:
    def view(call: Call) -> Call | None:
        return None if call.host == "127.0.0.1" else call

    options = OUT if kind == "hosts" else {"view": view}
    for client in CLIENTS:
        path = tmp_path / f"{client.__name__}.json"
        with use_cassette(path, "record", stdlib=True, **options):
            plain = client(server.url), client(localhost(server.url))
        hits = server.hits
        with use_cassette(path, "replay", stdlib=True, **options):
            assert client(localhost(server.url)) == plain[1]
            with pytest.raises(LeftOutError):
                client(server.url)
            assert server.hits == hits
        allowed = {**options, "allowed_hosts": ["127.0.0.1"]}
        with use_cassette(path, "replay", stdlib=True, **allowed):
            assert (client(server.url), client(localhost(server.url))) == plain
        assert server.hits > hits
        assert "127.0.0.1" not in path.read_text()


def test_a_redirect_to_a_host_that_is_left_out(server: RawServer, tmp_path: Path) -> None:
    there = server.url.partition("//")[2]
    url = f"{localhost(server.url)}/to/{there}"

    def by_manager(url: str) -> Any:
        with urllib3.PoolManager() as pool:
            return pool.request("GET", url).data

    def by_opener(url: str) -> Any:
        with urllib.request.urlopen(url, timeout=5) as got:
            return got.read()

    for ask in (lambda url: requests.get(url, timeout=5).content, by_manager, by_opener):
        root = tmp_path / str(server.hits)
        with IngestSession("s", root, stdlib=True, **OUT):
            assert ask(url) == b"GET /there "
        with RootStore(root) as store:
            assert [one.url for one in store.requests(store.sessions()[0].id)] == [url]
        hits = server.hits
        with (
            IngestSession("s", root, "replay", stdlib=True, **OUT),
            pytest.raises(LeftOutError, match="/there is left out"),
        ):
            ask(url)
        assert server.hits == hits
        with IngestSession("s", root, "replay", stdlib=True, **IN):
            assert ask(url) == b"GET /there "
        assert server.hits == hits + 1


def test_mounted_without_the_hook(server: RawServer, tmp_path: Path) -> None:
    def ask(ingest: IngestSession, url: str) -> Any:
        with requests.Session() as session, mount(session, ingest):
            return session.post(f"{url}/a", data=iter([b"ab", b"c"]), timeout=5).text

    with IngestSession("s", tmp_path, hook=False, **OUT) as ingest:
        assert ask(ingest, server.url) == "POST /a abc"
        ask(ingest, localhost(server.url))
    with IngestSession("s", tmp_path, "replay", hook=False, **OUT) as ingest:
        ask(ingest, localhost(server.url))
        with pytest.raises(LeftOutError):
            ask(ingest, server.url)
    with IngestSession("s", tmp_path, "replay", hook=False, **IN) as ingest:
        assert ask(ingest, server.url) == "POST /a abc"
    with RootStore(tmp_path) as store:
        (session,) = store.sessions()
        assert len(store.requests(session.id)) == 1
        assert [one.times for one in session.left_out] == [1]


class _Fetcher:
    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, request: Any) -> bytes:
        self.asked += 1
        return f"{request.endpoint} {self.asked}".encode()


def test_a_fetchers_source(tmp_path: Path) -> None:
    fetcher = _Fetcher()
    register("ftp", fetcher)

    def view(call: Call) -> Call | None:
        return None if call.path.startswith("noise") else call

    try:
        with IngestSession("ftp", tmp_path, view=view) as ingest:
            assert ingest.request("noise.csv").text == "noise.csv 1"
            assert ingest.request("data.csv").text == "data.csv 2"
        with IngestSession("ftp", tmp_path, "replay", view=view) as ingest:
            assert ingest.request("data.csv").text == "data.csv 2"
            with pytest.raises(LeftOutError, match=r"allowed_hosts=\['ftp'\]"):
                ingest.request("noise.csv")
        with IngestSession("ftp", tmp_path, "replay", view=view, allowed_hosts=["ftp"]) as ingest:
            assert ingest.request("noise.csv").text == "noise.csv 3"
    finally:
        unregister("ftp")
    with RootStore(tmp_path) as store:
        (session,) = store.sessions()
        assert [(one.name, one.times) for one in session.left_out] == [("ftp", 1)]


def test_a_request_of_the_sessions_own(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, **OUT) as ingest:
        assert ingest.request(f"{server.url}/a").text == "GET /a "
    with (
        IngestSession("s", tmp_path, "replay", **OUT) as ingest,
        pytest.raises(LeftOutError),
    ):
        ingest.request(f"{server.url}/a")
    with IngestSession("s", tmp_path, "replay", **IN) as ingest:
        assert ingest.request(f"{server.url}/a").text == "GET /a "


def test_by_source(server: RawServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "sources": {"localhost": "world"}, "ignore_hosts": {"world": ["loopback"]},
    }  # fmt: skip
    with IngestSession("app", tmp_path, **options):
        by_requests(server.url)
        by_requests(localhost(server.url))
    with RootStore(tmp_path) as store:
        (session,) = store.sessions()
        assert [one.source for one in store.requests(session.id)] == ["app"]
        assert [one.name for one in session.left_out] == [f"localhost:{server.port}"]


def test_what_is_seen_besides_is_told_apart(server: RawServer, tmp_path: Path) -> None:
    import socket

    with IngestSession("s", tmp_path, watch=True, **OUT):
        by_requests(server.url)
        socket.create_connection(("127.0.0.1", server.port)).close()
    with RootStore(tmp_path) as store:
        (session,) = store.sessions()
        assert session.coverage is not None
        assert [one.kind for one in session.coverage] == ["connection"]
        assert [one.times for one in session.left_out] == [1]
        assert "left out" not in " ".join(session.warnings)
        assert not account_of(store, session.id).ok


def _leave_out(url: str) -> None:
    by_requests(url)


@pytest.mark.parametrize("watch", [False, True])
def test_in_a_forked_child(watch: bool, server: RawServer, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    with IngestSession("s", tmp_path, watch=watch, **OUT):
        by_requests(server.url)
        child = fork.Process(target=_leave_out, args=(server.url,))
        child.start()
        child.join()
    with RootStore(tmp_path) as store:
        sessions = store.sessions()
        assert [[one.times for one in session.left_out] for session in sessions] == [[1], [1]]
        assert [session.coverage for session in sessions] == [() if watch else None] * 2
        parent = next(one for one in sessions if one.parent_id is None)
        assert [one.times for one in account_of(store, parent.id).left_out] == [2]


def test_it_costs_nothing_to_make_many(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, **OUT), requests.Session() as session:
        for _ in range(9):
            session.get(f"{server.url}/a", timeout=5)
        noted = [path.read_bytes().splitlines() for path in tmp_path.glob("running/*.lock")]
        # At the first, and as that doubles.
        assert [len(lines) for lines in noted] == [4]
        with RootStore(tmp_path) as store:
            (under_way,) = store.sessions()
            assert [one.times for one in under_way.left_out] == [8]
    with RootStore(tmp_path) as store:
        assert [one.times for one in store.sessions()[0].left_out] == [9]


@pytest.mark.skipif(urllib3.__version__ < "2", reason="what is mocked returns another thing")
def test_what_goes_wrong_with_it_is_no_loss(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mocked(self: Any, *args: Any, **kwargs: Any) -> Any:
        return urllib3.HTTPResponse(b"mocked", status=200, preload_content=False)

    with RawServer(echo) as gone:
        url = gone.url
    with IngestSession("s", tmp_path, **OUT) as ingest:
        with pytest.raises(requests.ConnectionError):
            by_requests(url)
        with monkeypatch.context() as patch:
            # No connection is there to be seen.
            patch.setattr(urllib3.HTTPConnectionPool, "_make_request", mocked)
            assert by_pool(server.url) == b"mocked"
    with RootStore(tmp_path) as store:
        session = store.session(ingest.id)
        assert session is not None
        assert (session.status, session.warnings) == (Status.COMPLETE, ())
        assert sum(one.times for one in session.left_out) == 2
