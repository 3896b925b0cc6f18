"""The hook on ``http.client``: what it sees, what it leaves alone, and that it leaves no trace."""

from __future__ import annotations

import gc
import http.client
import importlib
import io
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    ConfigError,
    DataIOWarning,
    IngestSession,
    ReplayMissError,
    Status,
    mount,
    use_cassette,
)
from mxm_dataio.adapters.http_client import hook
from mxm_dataio.adapters.http_client.socket import StoreSocket
from mxm_dataio.adapters.urllib3.hook import HOOK
from mxm_dataio.api import capture_of
from mxm_dataio.coverage import libraries
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.forks import forked
from tests.support.harness import EXACT, SOURCE, outcome, three_ways
from tests.support.proxies import UnixServer
from tests.support.servers import Connection, RawServer, Request, answer, responder, tls_server

Client = http.client.HTTPConnection


@pytest.fixture
def server() -> Iterator[RawServer]:
    def shown(request: Request) -> bytes:
        return answer(200, f"{request.method} {request.target} ".encode() + request.body)

    routes: dict[str, Any] = {
        "/n": shown,
        "/big": answer(200, b"x" * 1_000_000),
        "/folded": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
        "/close": answer(200, b"bye", headers=[("Connection", "close")]),
    }
    with RawServer(responder(routes)) as running:
        yield running


def calls(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


def recording(root: Path, mode: str = "record", **options: Any) -> IngestSession:
    return IngestSession(SOURCE, root, mode, **{"stdlib": True, **options})


def get(connection: Client, path: str = "/n", **kwargs: Any) -> bytes:
    connection.request(kwargs.pop("method", "GET"), path, **kwargs)
    with connection.getresponse() as response:
        return response.read()


def fetch(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data, timeout=20) as response:
        content: bytes = response.read()
        return content


class TestSetting:
    def test_off_by_default(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession(SOURCE, tmp_path):
            fetch(f"{server.url}/n")
        assert calls(tmp_path) == []

    def test_by_the_environment(
        self, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MXM_DATAIO_STDLIB", "true")
        with IngestSession(SOURCE, tmp_path):
            fetch(f"{server.url}/n")
        assert len(calls(tmp_path)) == 1

    @pytest.mark.parametrize("options", [{"hook": False}, {"mode": "off"}])
    def test_not_where_nothing_is_hooked(
        self, options: dict[str, Any], server: RawServer, tmp_path: Path
    ) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "session .* nothing is mounted on it", DataIOWarning)
            with recording(tmp_path, **options):
                fetch(f"{server.url}/n")
        assert not (tmp_path / "dataio.sqlite").exists() or calls(tmp_path) == []

    def test_what_runs_over_it_is_not_named_as_unseen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(libraries, "_BYPASSING", ("httplib2", "httpx"))
        for name in ("httplib2", "httpx"):
            monkeypatch.setitem(sys.modules, name, sys)
        with recording(tmp_path) as seeing, IngestSession(SOURCE, tmp_path) as other:
            pass
        assert seeing.session is not None
        assert other.session is not None
        assert "httpx" in seeing.session.warnings[0]
        assert "http.client" in seeing.session.warnings[0]
        assert "httplib2" not in seeing.session.warnings[0]
        assert "httplib2, httpx" in other.session.warnings[0]


class TestIdentity:
    """The same call by whatever client is the same call."""

    def by_urllib(self, url: str, data: Any = None, **headers: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
            content: bytes = response.read()
            return content

    def by_requests(self, url: str, data: Any = None, **headers: str) -> bytes:
        return requests.request("POST" if data else "GET", url, data=data, headers=headers).content

    def by_urllib3(self, url: str, data: Any = None, **headers: str) -> bytes:
        with urllib3.PoolManager() as pool:
            return pool.request("POST" if data else "GET", url, body=data, headers=headers).data

    CALLS: tuple[tuple[str, bytes | None, dict[str, str]], ...] = (
        ("/n?b=2&a=%7e1", None, {}),
        ("/n", None, {"Range": "bytes=0-1"}),
        ("/n", None, {"Accept": "text/csv"}),
        ("/n?x", b'{"a": 1}', {"Content-Type": "application/json"}),
        ("/n", b"a=1&b=2", {"Content-Type": "application/x-www-form-urlencoded"}),
    )

    @pytest.mark.parametrize("recorder", ["urllib", "requests", "urllib3"])
    def test_each_replays_what_another_recorded(
        self, recorder: str, server: RawServer, tmp_path: Path
    ) -> None:
        ways = {"urllib": self.by_urllib, "requests": self.by_requests, "urllib3": self.by_urllib3}
        with recording(tmp_path):
            got = [
                ways[recorder](server.url + path, body, **fields)
                for path, body, fields in self.CALLS
            ]
        hits = server.hits
        assert len({call.request.params_hash for call in calls(tmp_path)}) == len(self.CALLS)
        for way in ways.values():
            with recording(tmp_path, "replay"):
                assert got == [
                    way(server.url + path, body, **fields) for path, body, fields in self.CALLS
                ]
        assert server.hits == hits

    def test_vary_on_what_http_client_adds_by_itself(self, tmp_path: Path) -> None:
        routes = {"/": answer(200, b"x", headers=[("Vary", "Accept-Encoding, Host")])}
        with (
            RawServer(responder(routes)) as server,
            recording(tmp_path),
            closing(Client(server.host, server.port)) as connection,
        ):
            get(connection, "/")
            self.by_urllib3(f"{server.url}/")
        first, second = calls(tmp_path)
        assert first.request.params_hash == second.request.params_hash

    @pytest.mark.parametrize(
        ("make", "url"),
        [
            (lambda: Client("EXAMPLE.test"), "http://example.test/a"),
            (lambda: Client("example.test", 8080), "http://example.test:8080/a"),
            (lambda: Client("[::1]:8080"), "http://[::1]:8080/a"),
            (lambda: Client("bücher.test"), "http://xn--bcher-kva.test/a"),
            (lambda: http.client.HTTPSConnection("example.test"), "https://example.test/a"),
        ],
    )
    def test_urls(self, make: Callable[[], Client], url: str, tmp_path: Path) -> None:
        with recording(tmp_path):
            pass
        with recording(tmp_path, "replay") as ingest:
            wanted = capture_of(ingest).identify("GET", url).params_hash()
            with pytest.raises(ReplayMissError) as miss:
                make().request("GET", "/a")
            ingest.misses.clear()
        assert wanted in str(miss.value)

    def test_a_failure_of_another_client_comes_bare(
        self, server: RawServer, tmp_path: Path
    ) -> None:
        server.stop()
        with recording(tmp_path), pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/n")
        with recording(tmp_path, "replay"), pytest.raises(urllib.error.URLError) as caught:
            fetch(f"{server.url}/n")
        assert isinstance(caught.value.reason, ConnectionRefusedError)


class TestMiss:
    def test_it_passes_through_urllib_and_is_noted(self, server: RawServer, tmp_path: Path) -> None:
        with recording(tmp_path):
            fetch(f"{server.url}/n?a=1")
        hits = server.connections
        ingest = recording(tmp_path, "replay").open()
        with pytest.raises(ReplayMissError, match="a: asked '2', recorded '1'"):
            fetch(f"{server.url}/n?a=2")
        # As the program had caught it.
        with pytest.raises(ReplayMissError):
            ingest.close()
        assert server.connections == hits

    def test_what_goes_on_besides_http_is_refused(self, server: RawServer, tmp_path: Path) -> None:
        with recording(tmp_path), closing(Client(server.host, server.port)) as connection:
            get(connection)
        hits = server.hits
        with recording(tmp_path, "replay") as ingest:
            with closing(Client(server.host, server.port)) as connection:
                get(connection)
                for step in (
                    lambda: connection.sock.sendall(b"raw"),
                    lambda: connection.sock.recv(1),
                    lambda: connection.send(b"raw"),
                ):
                    with pytest.raises(ReplayMissError, match="besides HTTP"):
                        step()
            connection = Client(server.host, server.port)
            with pytest.raises(ReplayMissError, match=r"http\.client's requests"):
                connection.send(b"raw")
            assert len(ingest.misses) == 4
            ingest.misses.clear()
        assert server.hits == hits

    def test_bytes_past_http_are_named_in_recording(self, tmp_path: Path) -> None:
        def silent(connection: Connection) -> None:
            connection.receive()

        with RawServer(silent) as server:
            ingest = recording(tmp_path).open()
            with closing(Client(server.host, server.port)) as connection:
                connection.send(b"raw")
            with pytest.warns(DataIOWarning, match="SEND"):
                ingest.close()
        assert ingest.session.status is Status.INCOMPLETE

    def test_an_upgrade_is_recorded_as_far_as_http_goes(self, tmp_path: Path) -> None:
        def upgrade(connection: Connection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 101 Up\r\nUpgrade: echo\r\n\r\n")
            connection.send(connection.receive())

        with RawServer(upgrade) as server:
            with recording(tmp_path), closing(Client(server.host, server.port)) as connection:
                connection.request("GET", "/", headers={"Upgrade": "echo"})
                assert connection.getresponse().status == 101
                connection.sock.sendall(b"hello")
                assert connection.sock.recv(5) == b"hello"
            with recording(tmp_path, "replay") as ingest:
                with closing(Client(server.host, server.port)) as connection:
                    connection.request("GET", "/", headers={"Upgrade": "echo"})
                    response = connection.getresponse()
                    assert response.getheader("Upgrade") == "echo"
                    with pytest.raises(ReplayMissError):
                        response.fp.read(5)
                ingest.misses.clear()

    def test_a_body_half_read_ends_where_it_was_left(
        self, server: RawServer, tmp_path: Path
    ) -> None:
        def some(amount: int) -> bytes:
            with closing(Client(server.host, server.port)) as connection:
                connection.request("GET", "/big")
                with connection.getresponse() as response:
                    return response.read(amount)

        with recording(tmp_path):
            some(1000)
        (cut,) = calls(tmp_path)
        assert cut.request.status is Status.PARTIAL
        with recording(tmp_path, "replay") as ingest:
            assert some(1000) == b"x" * 1000
            with pytest.raises(ReplayMissError, match="broke off"):
                some(1_000_000)
            assert len(ingest.misses) == 1
            ingest.misses.clear()

    def test_an_answer_that_was_never_fetched(self, server: RawServer, tmp_path: Path) -> None:
        kept = []

        def fire(how: str) -> None:
            connection = Client(server.host, server.port)
            connection.request("GET", f"/n?{how}")
            if how == "closed":
                connection.close()
                kept.append(connection)
            elif how == "dropped":
                sock, connection.sock = connection.sock, None
                sock.close()
                del connection

        for how in ("closed", "dropped"):
            three_ways(tmp_path / how, None, lambda how=how: fire(how), stdlib=True)
            (call,) = calls(tmp_path / how)
            assert call.request.status is Status.PARTIAL
            assert call.answer.status_code is None
        with recording(tmp_path / "closed", "replay") as ingest:
            with pytest.raises(ReplayMissError), closing(Client(server.host, server.port)) as late:
                get(late, "/n?closed")
            ingest.misses.clear()


class TestAuto:
    def test_what_is_safe_is_served(self, server: RawServer, tmp_path: Path) -> None:
        def work() -> list[bytes]:
            with closing(Client(server.host, server.port)) as connection:
                got = [get(connection), get(connection, method="POST", body=b"whole")]
                connection.putrequest("GET", "/n?steps")
                connection.endheaders()
                got.append(connection.getresponse().read())
                got.append(get(connection, method="POST", body=iter([b"part"])))
                got.append(get(connection, "/close"))
                return [*got, fetch(f"{server.url}/n?urllib")]

        with recording(tmp_path, "auto"):
            first = work()
        hits = server.hits
        with recording(tmp_path, "auto") as ingest:
            assert work() == first
        assert server.hits == hits + 2, "what posts went out, and nothing else"
        with RecordingStore(tmp_path) as store:
            again = [e.request for e in store.exchanges(ingest.id)]
        fetched = [call.served_from is None for call in again]
        assert fetched == [False, True, False, True, False, False]

    @pytest.mark.parametrize("kept", [True, False], ids=["kept alive", "closed"])
    @pytest.mark.parametrize("changed", [False, True], ids=["304", "changed"])
    def test_revalidation(self, kept: bool, changed: bool, tmp_path: Path) -> None:
        fields = [] if kept else [("Connection", "close")]

        def page(request: Request) -> bytes:
            tag = '"2"' if changed and server.hits > 1 else '"1"'
            if request.header("If-None-Match") == tag:
                return answer(304, headers=[("ETag", tag), *fields])
            return answer(200, b"page " + tag.encode(), headers=[("ETag", tag), *fields])

        with RawServer(responder({"/": page})) as server:
            with recording(tmp_path, ttl=0), closing(Client(server.host, server.port)) as one:
                assert get(one, "/") == b'page "1"'
            auto = recording(tmp_path, "auto", ttl=0)
            with auto as ingest, closing(Client(server.host, server.port)) as connection:
                got = get(connection, "/", headers={"X-Mine": "1"})
                assert got == (b'page "2"' if changed else b'page "1"')
                # Of a program that asks for itself, the answer is its own.
                connection.request("GET", "/", headers={"If-None-Match": '"2"'})
                response = connection.getresponse()
                response.read()
                assert response.status == (304 if changed else 200)
            raw = [request.raw for request in server.requests]
            assert raw[1] == raw[0].replace(
                b"\r\n\r\n", b'\r\nX-Mine: 1\r\nIf-None-Match: "1"\r\n\r\n'
            )
            with RecordingStore(tmp_path) as store:
                seen = [e.request.served_from is not None for e in store.exchanges(ingest.id)]
            assert seen == [not changed, False]

    def test_a_connection_in_use_goes_on(self, server: RawServer, tmp_path: Path) -> None:
        with recording(tmp_path):
            fetch(f"{server.url}/n?known")
            fetch(f"{server.url}/close")
        connections = server.connections
        with recording(tmp_path, "auto"), closing(Client(server.host, server.port)) as connection:
            get(connection, "/n?1")
            sock = connection.sock
            assert get(connection, "/n?known") == b"GET /n?known "
            assert connection.sock is sock
            assert get(connection, "/n?2") == b"GET /n?2 "
            assert get(connection, "/close") == b"bye"
            assert connection.sock is None
            assert sock.fileno() == -1
        assert server.connections == connections + 1


class TestLifetimes:
    PLACES = (Client, http.client.HTTPSConnection, Mine := type("Mine", (Client,), {}))

    @pytest.fixture(autouse=True)
    def _as_before(self) -> Iterator[None]:
        before = [dict(vars(cls)) for cls in self.PLACES]
        yield
        assert [dict(vars(cls)) for cls in self.PLACES] == before
        assert not [name for _, name, _, ours in hook.HOOK._made if ours() is not None]

    def test_a_connection_from_before_and_after(self, server: RawServer, tmp_path: Path) -> None:
        with closing(Client(server.host, server.port)) as connection:
            get(connection)
            usual = set(vars(connection)), type(connection.sock)
            with recording(tmp_path):
                get(connection, "/n?1")
                assert (set(vars(connection)), type(connection.sock)) == usual
            get(connection, "/n?unseen")
            with recording(tmp_path, "replay"):
                assert get(connection, "/n?1") == b"GET /n?1 "
                assert (set(vars(connection)), type(connection.sock)) == usual
            assert get(connection, "/n?after") == b"GET /n?after "
            assert (set(vars(connection)), type(connection.sock)) == usual
        assert server.connections == 1
        assert server.hits == 4
        assert len(calls(tmp_path)) == 1

    def test_a_connection_of_a_replay_goes_on_live(self, server: RawServer, tmp_path: Path) -> None:
        with recording(tmp_path):
            fetch(f"{server.url}/n?1")
        with closing(Client(server.host, server.port)) as connection:
            with recording(tmp_path, "replay"):
                get(connection, "/n?1")
                assert isinstance(connection.sock, StoreSocket)
            assert connection.sock is None
            assert get(connection, "/n?2") == b"GET /n?2 "
        with closing(Client(server.host, server.port)) as connection, recording(tmp_path):
            with recording(tmp_path, "replay"):
                get(connection, "/n?1")
            # Within a session that records: the hook stands still.
            assert get(connection, "/n?3") == b"GET /n?3 "
        assert [call.request.url[-2:] for call in calls(tmp_path)] == ["?1", "?3"]

    def test_sessions_that_end_amid_a_call(self, server: RawServer, tmp_path: Path) -> None:
        connection = Client(server.host, server.port)
        with recording(tmp_path):
            connection.request("GET", "/n?1")
        assert connection.getresponse().read() == b"GET /n?1 "
        with recording(tmp_path):
            connection.request("GET", "/big")
            response = connection.getresponse()
            got = response.read(10)
        assert got + response.read() == b"x" * 1_000_000
        first, second = calls(tmp_path)
        assert first.request.status is Status.INTERRUPTED
        assert second.request.status is Status.PARTIAL
        get(connection, "/n?ask")
        connection.close()
        with recording(tmp_path):
            get(connection, "/n?kept")
        connection.close()
        with recording(tmp_path, "replay"):
            connection.request("GET", "/n?kept")
        assert connection.getresponse().read() == b"GET /n?kept "
        connection.close()

    def test_begun_before(self, server: RawServer, tmp_path: Path) -> None:
        connection = Client(server.host, server.port)
        with recording(tmp_path):
            pass
        for mode in ("record", "replay"):
            connection.putrequest("POST", f"/n?{mode}")
            connection.putheader("Content-Length", "2")
            connection.endheaders()
            with recording(tmp_path, mode):
                connection.send(b"ab")
                got = connection.getresponse().read()
            assert got == f"POST /n?{mode} ab".encode()
        connection.close()
        assert calls(tmp_path) == []

    def test_nothing_outlives_its_session(self, server: RawServer, tmp_path: Path) -> None:
        for mode in ("record", "replay"):
            ingest = recording(tmp_path, mode).open()
            connection = Client(server.host, server.port)
            assert get(connection) == b"GET /n "
            ref = weakref.ref(ingest)
            ingest.close()
            del ingest
            gc.collect()
            assert ref() is None
            connection.close()

    @pytest.mark.parametrize("name", ["putrequest", "endheaders", "send", "getresponse", "close"])
    def test_programs_own_patches(self, name: str, server: RawServer, tmp_path: Path) -> None:
        def patch() -> tuple[Any, list[str]]:
            log: list[str] = []
            was = getattr(Client, name)

            def mine(self: Any, *args: Any, **kwargs: Any) -> Any:
                log.append(name)
                return was(self, *args, **kwargs)

            setattr(Client, name, mine)
            return was, log

        own = vars(Client)[name]
        was, log = patch()
        with recording(tmp_path):
            fetch(f"{server.url}/close?1")
        assert log
        setattr(Client, name, was)
        with recording(tmp_path):
            was, log = patch()
            fetch(f"{server.url}/close?2")
            assert log
            setattr(Client, name, was)
            fetch(f"{server.url}/n?3")
            patch()
        # The program's patch stays, ours beneath it does nothing any more.
        fetch(f"{server.url}/n?unseen")
        with recording(tmp_path):
            fetch(f"{server.url}/n?4")
        setattr(Client, name, own)
        with recording(tmp_path):
            pass
        assert [call.request.url[-1] for call in calls(tmp_path)] == ["1", "2", "3", "4"]

    def test_forked_children(self, server: RawServer, tmp_path: Path) -> None:
        connection = Client(server.host, server.port)
        with recording(tmp_path) as ingest:
            get(connection, "/n?parent")

            def child() -> None:
                with closing(Client(server.host, server.port)) as other:
                    get(other, "/n?child")
                ingest.close()

            assert forked(child) == 0
            get(connection, "/n?again")
        connection.close()
        with RecordingStore(tmp_path) as store:
            held = {s.parent_id is None: s.id for s in store.sessions()}
            urls = {own: [e.request.url for e in store.exchanges(held[own])] for own in held}
        assert [url[-5:] for url in urls[False]] == ["child"]
        assert len(urls[True]) == 2

    def test_threads(self, server: RawServer, tmp_path: Path) -> None:
        def work(number: int) -> None:
            with closing(Client(server.host, server.port)) as connection:
                for step in range(10):
                    got[number].append(get(connection, f"/n?{number}.{step}"))

        wanted = [[f"GET /n?{n}.{step} ".encode() for step in range(10)] for n in range(4)]
        for mode in ("record", "replay"):
            got: list[list[bytes]] = [[] for _ in range(4)]
            with recording(tmp_path, mode):
                threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert got == wanted
        assert len(calls(tmp_path)) == 40


class TestPools:
    """What urllib3's pools do is seen once; its connections without a pool as any other."""

    @pytest.fixture(params=["urllib3's first", "http.client's first"])
    def order(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Which hook is beneath which depends on the sessions that are open already."""
        first = HOOK if request.param == "urllib3's first" else hook.HOOK
        first.install()
        yield
        first.uninstall()

    @pytest.mark.usefixtures("order")
    def test_calls_of_pools_are_recorded_once(self, server: RawServer, tmp_path: Path) -> None:
        context, bundle = tls_server(tmp_path)
        with RawServer(responder({"/": answer(200, b"s")}), tls=context) as secure:

            def work() -> Any:
                with requests.Session() as session:
                    got: list[Any] = [session.get(f"{server.url}/n?{n}").text for n in (1, 2)]
                    got.append(session.get(secure.url, verify=bundle).text)
                    got.append(session.post(f"{server.url}/n", iter([b"a", b"b"])).text)
                with urllib3.PoolManager() as pool:
                    got.append(pool.request("POST", f"{server.url}/n", body=b"c").data)
                    # One whose head goes through the parsers in replay too.
                    got.append(pool.request("GET", f"{server.url}/folded").headers.items())
                return got, fetch(f"{server.url}/n?3")

            three_ways(tmp_path / "root", server, work, stdlib=True)
        assert len(calls(tmp_path / "root")) == 7

    def test_what_an_adapter_does_to_make_a_call_is_no_call(
        self, server: RawServer, tmp_path: Path
    ) -> None:
        class Bare(requests.adapters.BaseAdapter):
            """A program's adapter that does without urllib3."""

            def send(self, request: Any, *_args: Any, **_kwargs: Any) -> requests.Response:
                with closing(Client(server.host, server.port)) as connection:
                    connection.request(request.method, request.path_url)
                    made = requests.Response()
                    answered = connection.getresponse()
                    made.status_code, made.raw, made.request = answered.status, answered, request
                    made._content = answered.read()
                    return made

            def close(self) -> None:
                """Nothing to close."""

        with recording(tmp_path) as ingest, requests.Session() as session:
            session.mount("http://", Bare())
            with mount(session, ingest):
                assert session.get(f"{server.url}/n?1").content == b"GET /n?1 "
        assert [call.request.url for call in calls(tmp_path)] == [f"{server.url}/n?1"]

    @pytest.mark.usefixtures("order")
    def test_a_mounted_session_beside(self, server: RawServer, tmp_path: Path) -> None:
        mine = IngestSession("mine", tmp_path / "mine", hook=False)
        with recording(tmp_path / "all"), mine, requests.Session() as session:
            mount(session, mine)
            session.get(f"{server.url}/n?1")
        assert len(calls(tmp_path / "mine")) == 1
        assert calls(tmp_path / "all") == []

    def connection(self, server: RawServer) -> Any:
        return closing(urllib3.connection.HTTPConnection(server.host, server.port))

    @pytest.mark.usefixtures("order")
    def test_a_connection_without_a_pool(self, server: RawServer, tmp_path: Path) -> None:
        def work() -> Any:
            with self.connection(server) as connection:
                seen = []
                for path in ("/n?1", "/n?2", "/close"):
                    connection.request("POST", path, body=b"abc", headers={"Accept": "a/b"})
                    response = connection.getresponse()
                    seen.append((response.status, response.read(), list(response.headers.items())))
                return seen

        three_ways(tmp_path, server, work, stdlib=True)
        assert [call.request.body_size for call in calls(tmp_path)] == [3, 3, 3]

    @pytest.fixture
    def vendored(self) -> Iterator[Any]:
        """A urllib3 inside another package; not to be found there by the tests that follow."""
        before = set(sys.modules)
        yield pytest.importorskip("pip._vendor.urllib3")
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "pip":
                del sys.modules[name]

    def test_a_urllib3_inside_another_package(
        self, vendored: Any, server: RawServer, tmp_path: Path
    ) -> None:
        def work() -> Any:
            with vendored.PoolManager() as pool:
                paths = ("/n?1", "/n?2", "/close", "/missing")
                got = [pool.request("GET", server.url + path) for path in paths]
                got.append(pool.request("POST", f"{server.url}/n", body=b"b"))
                return [(one.status, one.data, one.headers.items()) for one in got]

        three_ways(tmp_path, server, work, stdlib=True)
        assert len(calls(tmp_path)) == 5


class Unix(Client):
    """As programs have it that talk to a daemon."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class TestOwnConnections:
    def test_a_unix_socket(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        server = UnixServer(responder({"/": answer(200, b"daemon")}), path)

        def work() -> Any:
            with closing(Unix(path)) as connection:
                got = [get(connection, "/"), get(connection, "/")]
            with closing(Unix(path)) as connection:
                # As httplib2 does it.
                connection.connect()
                return [*got, get(connection, "/"), connection.sock is not None]

        three_ways(tmp_path / "root", server, work, before_replay=server.stop, stdlib=True)
        assert len(calls(tmp_path / "root")) == 4

    def test_one_of_a_class_made_meanwhile(self, server: RawServer, tmp_path: Path) -> None:
        for mode in ("record", "replay"):
            with recording(tmp_path, mode):

                class Late(Client):
                    def connect(self) -> None:
                        self.sock = socket.create_connection((self.host, self.port))

                own = vars(Late)["connect"]
                with closing(Late(server.host, server.port)) as connection:
                    connection.connect()
                    assert get(connection) == b"GET /n "
            assert vars(Late)["connect"] is own
        assert server.connections == 1

    def test_a_socket_that_the_program_connected(self, server: RawServer, tmp_path: Path) -> None:
        def work() -> Any:
            with closing(Client("somewhere.test")) as connection:
                connection.sock = socket.create_connection((server.host, server.port))
                got = get(connection), get(connection, "/n?1")
                return got, connection.sock.getpeername()

        for mode in ("record", "replay"):
            with recording(tmp_path, mode, redaction=EXACT):
                got = work()
            assert got[0] == (b"GET /n ", b"GET /n?1 ")
        assert server.hits == 2, "its own connection it makes, but nothing is sent there"

    def test_a_socket_of_no_kind_of_pythons(self, tmp_path: Path) -> None:
        class Odd:
            def __init__(self) -> None:
                self.sent = b""

            def sendall(self, data: bytes) -> None:
                self.sent += data

            def makefile(self, mode: str) -> Any:
                return Reader()

            def close(self) -> None:
                """Nothing to close."""

        class Reader:
            """As little of a file as http.client asks for."""

            def __init__(self) -> None:
                self._rest = answer(200, b"over a channel", chunked=[4])

            def read(self, size: int = -1) -> bytes:
                size = len(self._rest) if size < 0 else size
                data, self._rest = self._rest[:size], self._rest[size:]
                return data

            def readline(self, limit: int = -1) -> bytes:
                return self.read(min(limit, self._rest.find(b"\n") + 1))

            def flush(self) -> None:
                """Nothing to flush."""

            def close(self) -> None:
                """Nothing to close."""

        def work() -> Any:
            connection = Client("channel.test")
            connection.sock = Odd()  # type: ignore[assignment]
            return get(connection, "/")

        three_ways(tmp_path, None, work, stdlib=True)
        (call,) = calls(tmp_path)
        assert call.answer.complete
        assert call.answer.framing is not None

    def test_an_upload_that_breaks_off_with_an_answer_waiting(self, tmp_path: Path) -> None:
        """A server may refuse an upload and hang up: who asks then, gets the answer."""

        class Refusing:
            """A socket of a server that takes no more than the head."""

            def __init__(self) -> None:
                self.sent = 0

            def sendall(self, data: bytes) -> None:
                self.sent += 1
                if self.sent > 1:
                    raise BrokenPipeError(32, "Broken pipe")

            def makefile(self, mode: str) -> Any:
                return io.BytesIO(answer(413, b"too much"))

            def close(self) -> None:
                """Nothing to close."""

        def work() -> Any:
            seen = []
            for body in (b"whole", iter([b"part"])):
                connection = Client("channel.test")
                connection.sock = Refusing()  # type: ignore[assignment]
                seen.append(outcome(lambda c=connection, b=body: c.request("POST", "/", b)))
                with connection.getresponse() as response:
                    seen.append((response.status, response.read()))
                connection.close()
            connection = Client("channel.test")
            connection.sock = Refusing()  # type: ignore[assignment]
            seen.append(outcome(lambda: connection.request("POST", "/unasked", b"whole")))
            seen.append(connection.sock is None)
            connection.close()
            return seen

        got = three_ways(tmp_path, None, work, stdlib=True)
        assert got[1] == (413, b"too much")
        first = calls(tmp_path)[0]
        assert first.request.status is Status.FAILED
        assert first.request.failure.error_class == "BrokenPipeError"
        assert first.answer.status_code == 413

    def test_httplib2(self, server: RawServer, tmp_path: Path) -> None:
        httplib2: Any = pytest.importorskip("httplib2")

        def work() -> Any:
            client = httplib2.Http()
            seen = []
            for path in ("/n?1", "/n?2", "/close", "/missing"):
                response, content = client.request(server.url + path)
                seen.append((dict(response), content))
            response, content = client.request(f"{server.url}/n", "POST", body=b"abc")
            client.close()
            return seen, content

        three_ways(tmp_path, server, work, stdlib=True)


class TestBesides:
    """With the settings and files that other parts of the package have."""

    def test_a_watch_has_nothing_to_tell(self, server: RawServer, tmp_path: Path) -> None:
        path = tmp_path / "s"
        daemon = UnixServer(responder({"/": answer(200, b"daemon")}), path)

        def work() -> list[bytes]:
            with closing(Client(server.host, server.port)) as connection:
                connection.connect()
                got = [get(connection), fetch(f"{server.url}/n")]
            with closing(Unix(path)) as connection:
                return [*got, get(connection, "/")]

        with recording(tmp_path / "root", watch=True) as ingest:
            first = work()
        assert ingest.session.coverage == ()
        daemon.stop()
        with recording(tmp_path / "root", "replay", watch=True) as ingest:
            assert work() == first
        assert ingest.session.coverage == ()

    def test_cassettes(self, server: RawServer, tmp_path: Path) -> None:
        gone = RawServer(responder({}))
        gone.stop()

        def work() -> Any:
            got = [fetch(f"{server.url}/n?1"), fetch(f"{server.url}/n", b"a=1")]
            return [*got, outcome(lambda: fetch(gone.url))]

        options: Any = {"stdlib": True}
        with use_cassette(tmp_path / "calls.json", "record", **options):
            first = work()
        hits = server.hits
        with use_cassette(tmp_path / "calls.json", "replay", **options):
            assert work() == first
        assert server.hits == hits

    def test_a_bound_on_what_is_kept(self, server: RawServer, tmp_path: Path) -> None:
        def read(amount: int) -> bytes:
            with urllib.request.urlopen(f"{server.url}/big") as response:
                content: bytes = response.read(amount)
                return content

        with recording(tmp_path, max_body=1000):
            assert read(1_000_000) == b"x" * 1_000_000
        (call,) = calls(tmp_path)
        assert (call.answer.size, call.answer.truncated) == (1000, 999_000)
        with recording(tmp_path, "replay") as ingest:
            assert read(1000) == b"x" * 1000
            with pytest.raises(ReplayMissError, match="max_body"):
                read(1_000_000)
            ingest.misses.clear()

    def test_sources_by_host(self, server: RawServer, tmp_path: Path) -> None:
        options: Any = {"sources": {server.host: "by host"}}
        for mode in ("record", "replay"):
            with recording(tmp_path, mode, **options):
                assert fetch(f"{server.url}/n") == b"GET /n "
        assert [call.request.source for call in calls(tmp_path)] == ["by host"]


SCRIPT = """
import sys
import urllib.request
from mxm_dataio import IngestSession
with IngestSession("s", sys.argv[1], sys.argv[2], stdlib=True):
    print(urllib.request.urlopen(sys.argv[3]).read())
"""


def test_in_a_process_of_its_own(server: RawServer, tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error::ResourceWarning",
                "-c",
                SCRIPT,
                str(tmp_path),
                mode,
                f"{server.url}/n",
            ],
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout == "b'GET /n '\n"
    assert server.hits == 1


def test_urllib3_is_not_loaded_for_it() -> None:
    code = (
        "import sys, mxm_dataio.adapters.http_client.hook; "
        "assert not [m for m in sys.modules if 'urllib3' in m or m == 'requests']"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)


def test_what_stands_in_the_place_of_its_connections_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Other:
        pass

    monkeypatch.setattr(hook, "Connection", Other)
    with pytest.warns(DataIOWarning, match=r"http\.client can't be captured"), recording(tmp_path):
        pass
    with pytest.raises(ConfigError, match=r"http\.client can't be captured"):
        recording(tmp_path, "replay").open()


def test_one_replaced_by_the_program_is_found(tmp_path: Path) -> None:
    """As long as what is put in its place is derived from it."""
    code = """
import http.client, sys, urllib.request
class Mine(http.client.HTTPConnection): pass
http.client.HTTPConnection = Mine
from mxm_dataio.adapters.http_client import hook as stdlib
assert stdlib.Connection is Mine.__mro__[1]
"""
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
    assert importlib.import_module("http.client").HTTPConnection is Client
