"""What lives longer, or began earlier, than a session; and that nothing of ours outlives it."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import queue
import socket
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, ReplayMissError, Status, mount
from mxm_dataio.adapters.attempt import Attempt
from mxm_dataio.adapters.call import Call
from mxm_dataio.adapters.urllib3.hook import HOOK
from mxm_dataio.api import capture_of
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import rounds
from tests.support.harness import EXACT, observe, three_ways
from tests.support.servers import Connection, RawServer, answer, responder

BODY = os.urandom(2_000_000)


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/": answer(200, b"hello"),
        "/big": answer(200, BODY),
        "/n": lambda request: answer(200, request.target.encode()),
    }
    with RawServer(responder(routes)) as running:
        yield running


def exchanges(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


def kept_alive(session: requests.Session, url: str) -> Any:
    """Return the one idle connection that a requests.Session holds to a server."""
    (connection,) = [one for one in pool_of(session, url).pool.queue if one is not None]
    return connection


def pool_of(session: requests.Session, url: str) -> Any:
    """Return the one pool that a requests.Session has for a scheme."""
    pools = session.get_adapter(url).poolmanager.pools
    (key,) = pools.keys()
    return pools[key]


def looks(connection: Any) -> tuple[type, set[str]]:
    """Return what tells one of our connections from urllib3's: its class and attributes."""
    return type(connection), set(vars(connection))


class TestConnections:
    """Kept-alive connections come into a session and go out of it as they were."""

    @pytest.mark.parametrize("how", ["hook", "mount"])
    def test_from_before_and_used_after(self, how: str, server: RawServer, tmp_path: Path) -> None:
        with requests.Session() as session:
            session.get(server.url)
            before = looks(kept_alive(session, server.url))
            pool = pool_of(session, server.url)
            attributes = set(vars(pool))
            if how == "hook":
                with IngestSession("s", tmp_path):
                    session.get(server.url)
            else:
                with IngestSession("s", tmp_path, hook=False) as ingest, mount(session, ingest):
                    session.get(server.url)
            assert looks(kept_alive(session, server.url)) == before
            assert set(vars(pool)) == attributes
            session.get(server.url)
            assert looks(kept_alive(session, server.url)) == before
        assert server.connections == 1
        assert len(exchanges(tmp_path)) == 1

    @pytest.mark.parametrize("how", ["hook", "mount"])
    def test_opened_in_it_and_used_after(self, how: str, server: RawServer, tmp_path: Path) -> None:
        with requests.Session() as plain:
            plain.get(server.url)
            usual = looks(kept_alive(plain, server.url))
        with requests.Session() as session:
            if how == "hook":
                with IngestSession("s", tmp_path):
                    session.get(server.url)
            else:
                with IngestSession("s", tmp_path, hook=False) as ingest, mount(session, ingest):
                    session.get(server.url)
            assert looks(kept_alive(session, server.url)) == usual
            hits = server.hits
            session.get(server.url)
            assert server.hits == hits + 1
        assert server.connections == 2
        assert len(exchanges(tmp_path)) == 1

    @pytest.mark.parametrize("failing", ["connect", "answer"])
    def test_a_failed_call_leaves_nothing_on_its_connection(
        self, failing: str, tmp_path: Path
    ) -> None:
        class Mine(urllib3.connection.HTTPConnection):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                made.append(self)

        def hang_up(connection: Connection) -> None:
            connection.read_request()
            connection.reset()

        made: list[Any] = []
        with RawServer(hang_up) as server:
            if failing == "connect":
                server.stop()
            with urllib3.HTTPConnectionPool(server.host, server.port) as pool:
                pool.ConnectionCls = Mine
                with IngestSession("s", tmp_path), pytest.raises(urllib3.exceptions.MaxRetryError):
                    pool.request("GET", "/", retries=Retry(2, backoff_factor=0))
        assert made
        assert not [name for one in made for name in vars(one) if "dataio" in name]

    def test_pool_managers_too(self, server: RawServer, tmp_path: Path) -> None:
        def work(early: urllib3.PoolManager) -> list[bytes]:
            with urllib3.PoolManager() as late:
                return [pool.request("GET", f"{server.url}/n?1").data for pool in (early, late)]

        with urllib3.PoolManager() as early:
            early.request("GET", server.url)
            three_ways(tmp_path, server, lambda: work(early))


class TestHalfRead:
    """A body that is being read as the session begins or ends."""

    def test_begun_before_and_finished_in_it(self, server: RawServer, tmp_path: Path) -> None:
        with requests.get(f"{server.url}/big", stream=True) as response:
            got = response.raw.read(1000)
            with IngestSession("s", tmp_path):
                got += response.raw.read(500_000)
            with IngestSession("s", tmp_path, "replay"):
                got += response.raw.read()
        assert got == BODY
        assert exchanges(tmp_path) == []

    @pytest.mark.parametrize("how", ["hook", "mount"])
    def test_begun_in_it_and_finished_after(
        self, how: str, server: RawServer, tmp_path: Path
    ) -> None:
        with requests.Session() as session:
            usual = session.get(server.url).raw.__class__
            with IngestSession("s", tmp_path, hook=how == "hook") as ingest:
                if how == "mount":
                    mount(session, ingest)
                response = session.get(f"{server.url}/big", stream=True)
                got = response.raw.read(1000)
            assert type(response.raw) is usual
            (cut,) = exchanges(tmp_path)
            size = cut.answer.size
            got += b"".join(response.iter_content(7777))
            assert got == BODY
            assert session.get(server.url).content == b"hello"
        assert server.connections == 1
        (after,) = exchanges(tmp_path)
        assert after == cut
        assert cut.request.status is Status.PARTIAL
        assert not cut.answer.complete
        assert cut.answer.bytes_path.read_bytes() == BODY[:size]

    def test_begun_in_one_and_finished_in_the_next(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("one", tmp_path):
            response = requests.get(f"{server.url}/big", stream=True)
            got = response.raw.read(1000)
        with IngestSession("two", tmp_path) as two:
            got += response.raw.read()
        assert got == BODY
        with RecordingStore(tmp_path) as store:
            assert store.requests(two.id) == []

    def test_a_call_without_answer_at_the_end_is_interrupted(self, tmp_path: Path) -> None:
        asked, go, got = threading.Event(), threading.Event(), queue.SimpleQueue()

        def late(_request: Any) -> bytes:
            asked.set()
            go.wait(10)
            return answer(200, b"late")

        with RawServer(responder({"/": late})) as server:
            url = server.url
            thread = threading.Thread(target=lambda: got.put(requests.get(url).content))
            with IngestSession("s", tmp_path) as ingest:
                thread.start()
                assert asked.wait(10)
            assert ingest.session.status is Status.COMPLETE
            go.set()
            thread.join(10)
        assert got.get_nowait() == b"late"
        (call,) = exchanges(tmp_path)
        assert call.request.status is Status.INTERRUPTED
        with IngestSession("s", tmp_path, "replay") as ingest:
            with pytest.raises(ReplayMissError):
                requests.get(url)
            ingest.misses.clear()

    def test_replayed_and_read_after_the_session(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/big")
        with IngestSession("s", tmp_path, "replay"):
            response = requests.get(f"{server.url}/big", stream=True)
            got = response.raw.read(1000)
        assert got + response.raw.read() == BODY


class TestCopies:
    """Pickled and copied objects of requests work as the ones they were made from."""

    WAYS: tuple[Callable[[Any], Any], ...] = (
        copy.copy,
        copy.deepcopy,
        lambda thing: pickle.loads(pickle.dumps(thing)),
    )

    @pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle"])
    def test_sessions_adapters_and_prepared_requests(
        self, way: Callable[[Any], Any], server: RawServer, tmp_path: Path
    ) -> None:
        def work() -> Any:
            with requests.Session() as session:
                session.headers["X-Mine"] = "1"
                session.mount("http://", HTTPAdapter(max_retries=Retry(2, backoff_factor=0)))
                session.get(f"{server.url}/n?0")
                seen = []
                with way(session) as again:
                    seen.append((again.headers["X-Mine"], observe(again.get(f"{server.url}/n?1"))))
                adapter = way(session.get_adapter(server.url))
                with requests.Session() as third:
                    third.mount("http://", adapter)
                    seen.append(
                        (adapter.max_retries.total, observe(third.get(f"{server.url}/n?2")))
                    )
                prepared = session.prepare_request(requests.Request("GET", f"{server.url}/n?3"))
                # Python's copy of it is not one that can be sent, live; requests' own is.
                seen.append(observe(session.send(prepared.copy())))
                seen.append(vars(way(prepared))["url"])
                return seen

        three_ways(tmp_path, server, work)

    @pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle"])
    def test_responses(self, way: Callable[[Any], Any], server: RawServer, tmp_path: Path) -> None:
        def work() -> Any:
            with requests.Session() as session:
                response = way(session.get(f"{server.url}/n?1"))
                return response.content, response.status_code, response.headers, response.url

        three_ways(tmp_path, server, work)


class TestManySessions:
    """Nested and overlapping sessions, and mounts."""

    def test_nested_and_the_outer_again(self, server: RawServer, tmp_path: Path) -> None:
        def get(number: int) -> bytes:
            return requests.get(f"{server.url}/n?{number}").content

        with IngestSession("outer", tmp_path):
            get(1)
            with IngestSession("inner", tmp_path):
                get(2)
            get(3)
        hits = server.hits
        with IngestSession("outer", tmp_path, "replay"):
            assert get(1) == b"/n?1"
            with IngestSession("inner", tmp_path, "replay"):
                assert get(2) == b"/n?2"
            assert get(3) == b"/n?3"
        assert server.hits == hits

    def test_overlapping_closed_out_of_order(self, server: RawServer, tmp_path: Path) -> None:
        before = vars(urllib3.HTTPConnectionPool)["urlopen"]
        sessions = [IngestSession(name, tmp_path).open() for name in "abc"]
        for position, closing in enumerate((0, 2, 1)):
            requests.get(f"{server.url}/n?{position}")
            sessions[closing].close()
        requests.get(f"{server.url}/n?unseen")
        with RecordingStore(tmp_path) as store:
            urls = {i.source: [r.url[-1] for r in store.requests(i.id)] for i in sessions}
        assert urls == {"a": [], "b": ["2"], "c": ["0", "1"]}
        assert vars(urllib3.HTTPConnectionPool)["urlopen"] is before

    def test_mounts_undone_in_any_order(self, server: RawServer, tmp_path: Path) -> None:
        with requests.Session() as session, IngestSession("one", tmp_path, hook=False) as one:
            own = dict(session.adapters)
            first = mount(session, one)
            with IngestSession("two", tmp_path, hook=False) as two:
                second = mount(session, two)
                first.unmount()
                session.get(f"{server.url}/n?two")
                second.unmount()
            assert dict(session.adapters) == own
            assert not [name for name in vars(own["http://"]) if name.startswith("get_")]
            session.get(f"{server.url}/n?unseen")
        (exchange,) = exchanges(tmp_path)
        assert exchange.request.url.endswith("two")
        assert exchange.answer.head, "seen on the wire"

    def test_two_mounts_share_an_adapter(self, server: RawServer, tmp_path: Path) -> None:
        adapter = HTTPAdapter()
        with requests.Session() as one, requests.Session() as two:
            one.mount("http://", adapter)
            two.mount("http://", adapter)
            with IngestSession("s", tmp_path, hook=False) as ingest:
                first, second = mount(one, ingest), mount(two, ingest)
                one.get(f"{server.url}/n?1")
                first.unmount()
                two.get(f"{server.url}/n?2")
                second.unmount()
            assert "get_connection" not in vars(adapter)
            assert "get_connection_with_tls_context" not in vars(adapter)
        peers = [e.answer.peer.address for e in exchanges(tmp_path)]
        assert peers == [f"{server.host}:{server.port}"] * 2

    def test_a_closed_session_is_freed(self, server: RawServer, tmp_path: Path) -> None:
        outer = IngestSession("a", tmp_path).open()
        inner = IngestSession("b", tmp_path).open()
        with requests.Session() as session:
            session.get(server.url)
            # The outer first: the inner's end must not bring it back.
            outer.close()
            inner.close()
            refs = [weakref.ref(outer), weakref.ref(inner)]
            del outer, inner
            gc.collect()
            assert [ref() for ref in refs] == [None, None]


def closing_server() -> tuple[RawServer, queue.SimpleQueue[str]]:
    """Return a server that tells when a client hangs up amid a body without end."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    retried = threading.Event()

    def handle(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/retry" and not retried.is_set():
                retried.set()
                connection.reset()
                return
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe beginning")
        # No whole request came any more: the client is gone.
        heard.put(request.path if request else "closed")

    return RawServer(handle), heard


class TestReferenceCounting:
    """A program may rely on it: what it drops is closed at once, without the collector."""

    @pytest.mark.parametrize("mode", ["plain", "record"])
    @pytest.mark.parametrize("path", ["/", "/retry"])
    def test_urllib3(self, path: str, mode: str, tmp_path: Path) -> None:
        server, heard = closing_server()
        gc.disable()
        try:
            # (A PoolManager keeps a retried response in its own frame, and with it a cycle.)
            with server, urllib3.HTTPConnectionPool(server.host, server.port) as pool:
                ingest = IngestSession("s", tmp_path, "off" if mode == "plain" else mode)
                with ingest:
                    retries = Retry(2, backoff_factor=0)
                    response = pool.urlopen("GET", path, preload_content=False, retries=retries)
                    assert response.read(3) == b"the"
                    del response
                    assert heard.get(timeout=5) == "closed"
        finally:
            gc.enable()

    @pytest.mark.parametrize("how", ["plain", "hook", "mount"])
    def test_requests(self, how: str, tmp_path: Path) -> None:
        server, heard = closing_server()
        gc.disable()
        try:
            with (
                server,
                requests.Session() as session,
                IngestSession(
                    "s", tmp_path, "off" if how == "plain" else "record", hook=how == "hook"
                ) as ingest,
            ):
                if how == "mount":
                    mount(session, ingest)
                response = session.get(server.url, stream=True)
                assert response.raw.read(3) == b"the"
                del response
                assert heard.get(timeout=5) == "closed"
        finally:
            gc.enable()

    def test_a_mounted_retry(self, tmp_path: Path) -> None:
        """An adapter that holds no response itself: then ours holds none either."""

        class Mine(HTTPAdapter):
            def send(self, request: Any, **_kwargs: Any) -> requests.Response:
                # requests' own send keeps the response in its frame, and with it a cycle.
                response = requests.Response()
                pool = self.get_connection_with_tls_context(request, True)
                response.raw = pool.urlopen(
                    "GET", "/retry", preload_content=False, retries=Retry(2, backoff_factor=0)
                )
                response.status_code, response.request = 200, request
                response.url = request.url
                try:
                    return response
                finally:
                    del response

            def get_connection_with_tls_context(self, request: Any, *args: Any, **kw: Any) -> Any:
                return self.poolmanager.connection_from_url(request.url)

        def fetch(adapter: Any, url: str) -> requests.Response:
            prepared = requests.Request("GET", f"{url}/retry").prepare()
            return adapter.send(prepared, stream=True)

        for capture in (False, True):
            server, heard = closing_server()
            gc.disable()
            try:
                with (
                    server,
                    IngestSession("s", tmp_path, hook=False) as ingest,
                    requests.Session() as session,
                ):
                    session.mount("http://", Mine())
                    mount(session if capture else requests.Session(), ingest)
                    response = fetch(session.get_adapter(server.url), server.url)
                    assert response.raw.read(3) == b"the"
                    assert len(response.raw.retries.history) == 1
                    del response
                    assert heard.get(timeout=5) == "closed"
            finally:
                gc.enable()

    @pytest.mark.parametrize("mode", ["record", "replay"])
    @pytest.mark.parametrize("how", ["urllib3", "requests", "mount"])
    def test_no_call_leaves_garbage_of_ours(
        self, how: str, mode: str, server: RawServer, tmp_path: Path
    ) -> None:
        def calls() -> None:
            with requests.Session() as session, urllib3.PoolManager() as pool:
                if how == "mount":
                    mount(session, ingest)
                for n in range(5):
                    url = f"{server.url}/n?{n}"
                    if how == "urllib3":
                        pool.request("GET", url)
                    else:
                        session.get(url)

        with IngestSession("s", tmp_path, hook=how != "mount") as ingest:
            calls()
        with IngestSession("s", tmp_path, mode, hook=how != "mount") as ingest:
            calls()
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                calls()
                gc.collect()
                ours = [thing for thing in gc.garbage if is_ours(thing)]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
        assert not ours, {type(thing).__qualname__ for thing in ours}

    def test_a_failed_call_is_gone_with_its_exception(
        self, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        # pytest keeps what is logged, and urllib3 logs its exceptions.
        logging.disable()
        request.addfinalizer(lambda: logging.disable(logging.NOTSET))
        # urllib3's own frames hold the exception that holds them: the collector is needed here.
        with socket.create_server(("127.0.0.1", 0)) as gone:
            dead = f"http://127.0.0.1:{gone.getsockname()[1]}/"
        with IngestSession("s", tmp_path), urllib3.PoolManager() as pool:
            for _ in range(3):
                with pytest.raises(urllib3.exceptions.MaxRetryError):
                    pool.request("GET", dead, retries=Retry(1, backoff_factor=0))
            gc.collect()
            kinds = {Call, Attempt}
            assert not [thing for thing in gc.get_objects() if type(thing) in kinds]
        assert len(exchanges(tmp_path)) == 3


def is_ours(thing: Any) -> bool:
    """Say whether an object is of this package."""
    if isinstance(thing, types.FrameType):
        return "mxm_dataio" in thing.f_code.co_filename
    return type(thing).__module__.startswith("mxm_dataio")


def test_hundreds_of_calls_leave_nothing_open(server: RawServer, tmp_path: Path) -> None:
    def calls(number: int) -> None:
        for n in range(number):
            response = pool.request("GET", f"{server.url}/n?{n % 7}", preload_content=False)
            # Some are read to the end, some half, some not at all.
            if n % 3:
                response.read(None if n % 3 == 1 else 2)
            if n % 2:
                response.drain_conn()
                response.release_conn()
            else:
                response.close()

    def held(ingest: IngestSession) -> tuple[int, int, int, int]:
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        unstored = len(ingest._requester._held)
        return descriptors, len(threading.enumerate()), len(capture_of(ingest).pending), unstored

    with urllib3.PoolManager() as pool, IngestSession("s", tmp_path, redaction=EXACT) as ingest:
        calls(50)
        # The server's thread of the last connection may still be ending.
        before = held(ingest)
        calls(rounds(400, 2000))
        after = held(ingest)
        assert after[2:] == before[2:] == (0, 0)
        assert abs(after[0] - before[0]) <= 4
        assert abs(after[1] - before[1]) <= 2
    assert HOOK._count == 0
