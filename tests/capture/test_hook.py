"""The process-wide hook: what it sees, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import gc
import http.client
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from urllib3 import connection, connectionpool

from mxm_dataio import ConfigError, IngestSession, ReplayMissError, Status
from mxm_dataio.adapters.urllib3 import taps
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import forks
from tests.support.effort import rounds
from tests.support.servers import Connection, RawServer, answer, responder

CLASSES = (
    http.client.HTTPConnection,
    connection.HTTPConnection,
    connection.HTTPSConnection,
    connectionpool.HTTPConnectionPool,
    connectionpool.HTTPSConnectionPool,
)


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {"/": answer(200, b"hello"), "/echo": lambda r: answer(200, r.body)}
    with RawServer(responder(routes)) as running:
        yield running


def exchanges(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


def test_leaves_no_trace(server: RawServer, tmp_path: Path) -> None:
    before = [dict(vars(cls)) for cls in CLASSES]
    with IngestSession("s", tmp_path), IngestSession("s", tmp_path):
        requests.get(server.url)
        assert connectionpool.HTTPConnectionPool.urlopen is not before[3]["urlopen"]
    assert [dict(vars(cls)) for cls in CLASSES] == before


def test_private_names_are_still_there() -> None:
    # The two names without a public counterpart; see wire._new_conn and replay.respond.
    assert callable(connection.HTTPConnection._new_conn)
    made = urllib3.HTTPResponse(b"", preload_content=False)
    assert hasattr(made, "_pool")
    assert set(taps.TAPS) >= {"request", "connect", "send", "getresponse", "_new_conn"}


@pytest.mark.parametrize("recorder", ["requests", "urllib3", "bare", "request"])
@pytest.mark.parametrize("replayer", ["requests", "urllib3", "bare", "request"])
def test_each_client_replays_what_another_recorded(
    recorder: str, replayer: str, server: RawServer, tmp_path: Path
) -> None:
    def call(client: str, ingest: IngestSession) -> bytes:
        if client == "requests":
            return requests.get(f"{server.url}/", params={"b": "2", "a": ["1", "x y"]}).content
        if client == "urllib3":
            with urllib3.PoolManager() as pool:
                return pool.request("GET", f"{server.url}/?a=1&a=x%20y&b=2").data
        if client == "bare":
            with urllib3.HTTPConnectionPool(server.host, server.port) as pool:
                return pool.request("GET", "/?b=2&a=1&a=x+y", preload_content=False).read()
        answer = ingest.request(f"{server.url}/", {"a": ["1", "x y"], "b": 2})
        return ingest.content(answer)

    with IngestSession("s", tmp_path) as ingest:
        assert call(recorder, ingest) == b"hello"
    hits = server.hits
    with IngestSession("s", tmp_path, "replay") as ingest:
        assert call(replayer, ingest) == b"hello"
    assert server.hits == hits


@pytest.mark.parametrize("payload", [{"json": {"a": [1, {"b": None}]}}, {"data": {"a": "1"}}])
def test_posts_match_across_clients(payload: Any, server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path):
        first = requests.post(f"{server.url}/echo", **payload).content
    with IngestSession("s", tmp_path, "replay"), urllib3.PoolManager() as pool:
        if "json" in payload:
            kwargs: dict[str, Any] = {
                "body": b'{ "a" : [1.0, {"b": null}] }',
                "headers": {"content-type": "application/json; charset=utf-8"},
            }
        else:
            kwargs = {"fields": {"a": "1"}, "encode_multipart": False}
        assert pool.request("POST", f"{server.url}/echo", **kwargs).data == first


def test_many_threads(server: RawServer, tmp_path: Path) -> None:
    for number in range(rounds(2, 50)):
        root = tmp_path / str(number)

        def fetch(index: int) -> bytes:
            return requests.post(f"{server.url}/echo?n={index}", data=b"%d" % index).content

        with IngestSession("s", root) as ingest, ThreadPoolExecutor(16) as threads:
            got = list(threads.map(fetch, range(64)))
        assert ingest.session.status is Status.COMPLETE
        assert len(exchanges(root)) == 64
        hits = server.hits
        with IngestSession("s", root, "replay"), ThreadPoolExecutor(16) as threads:
            assert list(threads.map(fetch, range(64))) == got == [b"%d" % n for n in range(64)]
        assert server.hits == hits


def test_sessions_from_before_and_used_after(server: RawServer, tmp_path: Path) -> None:
    early = requests.Session()
    early.get(server.url)
    with IngestSession("s", tmp_path):
        early.get(server.url)
        late = requests.Session()
        late.get(server.url)
    early.get(server.url)
    late.get(server.url)
    assert server.connections == 2
    assert len(exchanges(tmp_path)) == 2
    early.close()
    late.close()


def test_subclasses_made_before(server: RawServer, tmp_path: Path) -> None:
    class Mine(connection.HTTPConnection):
        def connect(self) -> None:
            seen.append("connect")
            super().connect()

    class Pool(connectionpool.HTTPConnectionPool):
        ConnectionCls = Mine

        def urlopen(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("urlopen")
            return super().urlopen(*args, **kwargs)

    seen: list[str] = []
    with IngestSession("s", tmp_path), Pool(server.host, server.port) as pool:
        assert pool.request("GET", "/").data == b"hello"
    assert seen == ["urlopen", "connect"]
    (exchange,) = exchanges(tmp_path)
    assert exchange.answer.timings.connect > 0


def test_nested_sessions_record_to_the_inner(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("outer", tmp_path) as outer:
        requests.get(f"{server.url}/?n=1")
        with IngestSession("inner", tmp_path) as inner:
            requests.get(f"{server.url}/?n=2")
        requests.get(f"{server.url}/?n=3")
    with RecordingStore(tmp_path) as store:
        urls = {i.source: [r.url[-1] for r in store.requests(i.id)] for i in (outer, inner)}
    assert urls == {"outer": ["1", "3"], "inner": ["2"]}


def test_a_body_fetched_while_sending_is_its_own_call(server: RawServer, tmp_path: Path) -> None:
    def relay() -> Iterator[bytes]:
        yield requests.get(f"{server.url}/").content

    with IngestSession("s", tmp_path):
        assert requests.post(f"{server.url}/echo", data=relay()).content == b"hello"
    with IngestSession("s", tmp_path, "replay"):
        assert requests.post(f"{server.url}/echo", data=relay()).content == b"hello"
    assert sorted(e.request.method for e in exchanges(tmp_path)) == ["GET", "POST"]


def test_first_event_is_on_time_and_the_body_is_not_read_ahead(tmp_path: Path) -> None:
    go = threading.Event()

    def events(connection: Connection) -> None:
        while connection.read_request():
            connection.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
            )
            go.wait(5)
            connection.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    with RawServer(events) as server, IngestSession("s", tmp_path):
        response = requests.get(server.url, stream=True)
        lines = response.iter_lines(chunk_size=1)
        assert next(lines) == b"data: 1"
        assert not exchanges(tmp_path), "not over yet"
        go.set()
        assert list(lines) == [b"", b"data: 2", b""]
        (exchange,) = exchanges(tmp_path)
    assert exchange.request.status is Status.COMPLETE
    assert exchange.answer.size == 18


def test_recorded_before_the_last_read_returns(tmp_path: Path) -> None:
    body = os.urandom(700_000)
    with RawServer(responder({"/": answer(200, body)})) as server, IngestSession("s", tmp_path):
        response = requests.get(server.url, stream=True)
        got = b""
        while len(got) < len(body):
            got += response.raw.read(50_000)
        (exchange,) = exchanges(tmp_path)
        assert exchange.answer.bytes_path.read_bytes() == body == got


@pytest.mark.parametrize("how", ["close", "drop", "session"])
def test_half_read_bodies_are_records_and_say_so(how: str, tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    with RawServer(responder({"/": answer(200, body)})) as server:
        with IngestSession("s", tmp_path), requests.Session() as session:
            response = session.get(server.url, stream=True)
            got = response.raw.read(100_000)
            if how == "close":
                response.close()
            elif how == "drop":
                session.close()
                del response
                gc.collect()
            if how != "session":
                assert len(exchanges(tmp_path)) == 1
        if how == "session":
            response.close()
        (exchange,) = exchanges(tmp_path)
        assert exchange.request.status is Status.PARTIAL
        assert not exchange.answer.complete
        assert 100_000 <= exchange.answer.size < len(body)
        assert exchange.answer.bytes_path.read_bytes() == body[: exchange.answer.size]

        with IngestSession("s", tmp_path, "replay") as ingest:
            response = requests.get(server.url, stream=True)
            assert response.raw.read(100_000) == got
            with pytest.raises(ReplayMissError, match="broke off"):
                response.raw.read()
            # A miss like any other: caught or not, the session fails for it.
            (miss,) = ingest.misses
            assert "broke off" in str(miss)
            ingest.misses.clear()


def test_never_read(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path):
        response = requests.get(server.url, stream=True)
        del response
    (exchange,) = exchanges(tmp_path)
    assert exchange.answer.status_code == 200
    assert exchange.answer.size == 5


def test_large_body_goes_through_flat_memory(tmp_path: Path) -> None:
    import tracemalloc

    block = os.urandom(1 << 16)
    count = 512

    def big(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * count))
            for _ in range(count):
                connection.send(block)

    def fetch(url: str) -> int:
        with requests.get(url, stream=True) as response:
            return sum(len(part) for part in response.iter_content(1 << 16))

    with RawServer(big) as server:
        tracemalloc.start()
        with IngestSession("s", tmp_path):
            assert fetch(server.url) == len(block) * count
        with IngestSession("s", tmp_path, "replay"):
            assert fetch(server.url) == len(block) * count
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 6 << 20


def test_forked_child_records_as_a_child(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest:
        requests.get(f"{server.url}/?n=parent")

        def child() -> None:
            requests.get(f"{server.url}/?n=child")
            ingest.close()

        assert forks.forked(child) == 0
        requests.get(f"{server.url}/?n=parent2")
    with RecordingStore(tmp_path) as store:
        parent, forked = store.sessions()
        assert forked.parent_id == parent.id == forked.root_id
        assert forked.status is Status.COMPLETE
        assert [r.url[-7:] for r in store.requests(parent.id)] == ["=parent", "parent2"]
        assert [r.url[-6:] for r in store.requests(forked.id)] == ["=child"]
    hits = server.hits
    with IngestSession("s", tmp_path, "replay", session=parent.id):
        for name in ("parent", "child", "parent2"):
            requests.get(f"{server.url}/?n={name}")
    assert server.hits == hits


def test_two_roots_in_one_process(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path / "a"):
        with pytest.raises(ConfigError, match="hook=False"):
            IngestSession("s", tmp_path / "b").open()
        with IngestSession("s", tmp_path / "b", hook=False) as other:
            requests.get(server.url)
            other.request(f"{server.url}/?n=other")
    assert [e.request.url[-1] for e in exchanges(tmp_path / "a")] == ["/"]
    assert [e.request.url[-5:] for e in exchanges(tmp_path / "b")] == ["other"]


def test_off_touches_nothing(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path / "none", "off") as ingest:
        assert requests.get(server.url).content == b"hello"
        assert ingest.content(ingest.request(server.url)) == b"hello"
    assert not (tmp_path / "none").exists()


class TestAuto:
    """Mode ``auto``: time to live and revalidation (RFC 9111 §4.3)."""

    @pytest.fixture
    def site(self) -> Iterator[RawServer]:
        self.version = 1

        def page(request: Any) -> bytes:
            etag = f'"v{self.version}"'
            if request.header("If-None-Match") == etag:
                return answer(304, headers=[("ETag", etag), ("X-Fresh", "yes")])
            return answer(200, b"version %d" % self.version, headers=[("ETag", etag)])

        routes: dict[str, Any] = {
            "/page": page,
            "/bare": lambda _: answer(200, b"at %d" % self.version),
            "/bad": lambda _: answer(503, b"busy"),
        }
        with RawServer(responder(routes)) as running:
            yield running

    def get(self, client: str, url: str) -> Any:
        if client == "requests":
            seen = requests.get(url)
            return seen.status_code, seen.content
        with urllib3.PoolManager() as pool:
            raw = pool.request("GET", url, retries=False)
            return raw.status, raw.data

    @pytest.mark.parametrize("client", ["requests", "urllib3"])
    def test_fresh_is_served(self, client: str, site: RawServer, tmp_path: Path) -> None:
        for _ in range(3):
            with IngestSession("s", tmp_path, "auto", ttl=60):
                assert self.get(client, f"{site.url}/bare") == (200, b"at 1")
        assert site.hits == 1
        # Each session replays whole, the served ones too.
        with RecordingStore(tmp_path) as store:
            sessions = store.sessions()
        for session in sessions:
            with IngestSession("s", tmp_path, "replay", session=session.id):
                assert self.get(client, f"{site.url}/bare") == (200, b"at 1")
        assert site.hits == 1

    @pytest.mark.parametrize("client", ["requests", "urllib3"])
    def test_stale_is_revalidated(self, client: str, site: RawServer, tmp_path: Path) -> None:
        for _ in range(2):
            with IngestSession("s", tmp_path, "auto", ttl=0):
                assert self.get(client, f"{site.url}/page") == (200, b"version 1")
        assert [r.header("If-None-Match") for r in site.requests] == [None, '"v1"']
        first, second = exchanges(tmp_path)
        assert second.answer.status_code == 304
        assert second.answer.header("X-Fresh") == "yes"
        assert second.request.served_from == first.request.id
        self.version = 2
        with IngestSession("s", tmp_path, "auto", ttl=0):
            assert self.get(client, f"{site.url}/page") == (200, b"version 2")
        assert site.connections <= 3
        hits = site.hits
        with RecordingStore(tmp_path) as store:
            ids = [s.id for s in store.sessions()]
        for session, version in zip(ids, (b"1", b"1", b"2"), strict=True):
            with IngestSession("s", tmp_path, "replay", session=session):
                assert self.get(client, f"{site.url}/page") == (200, b"version " + version)
        assert site.hits == hits

    def test_a_304_renews_the_answer(self, site: RawServer, tmp_path: Path) -> None:
        for wait, hits in ((0.55, 1), (0, 2), (0, 2)):
            with IngestSession("s", tmp_path, "auto", ttl=0.5):
                assert requests.get(f"{site.url}/page").content == b"version 1"
            assert site.hits == hits, "the 304 made it fresh"
            time.sleep(wait)

    def test_conditions_of_the_program_are_its_own(self, site: RawServer, tmp_path: Path) -> None:
        for _ in range(2):
            with IngestSession("s", tmp_path, "auto", ttl=0):
                mine = {"If-None-Match": '"v1"'}
                assert requests.get(f"{site.url}/page", headers=mine).status_code == 304
        assert site.hits == 2

    def test_stale_without_validators_is_fetched(self, site: RawServer, tmp_path: Path) -> None:
        for version in (1, 2):
            self.version = version
            with IngestSession("s", tmp_path, "auto", ttl=0):
                assert requests.get(f"{site.url}/bare").content == b"at %d" % version

    def test_failures_are_fetched_again(self, site: RawServer, tmp_path: Path) -> None:
        for _ in range(2):
            with IngestSession("s", tmp_path, "auto"):
                assert requests.get(f"{site.url}/bad").status_code == 503
        assert site.hits == 2

    def test_time_passes(self, site: RawServer, tmp_path: Path) -> None:
        for wait, hits in ((0, 1), (0.35, 1), (0, 2)):
            with IngestSession("s", tmp_path, "auto", ttl=0.3):
                requests.get(f"{site.url}/bare")
            assert site.hits == hits
            time.sleep(wait)


class TestVary:
    """An answer's ``Vary`` makes headers part of identity."""

    @pytest.fixture
    def site(self) -> Iterator[RawServer]:
        def page(request: Any) -> bytes:
            language = request.header("Accept-Language") or "-"
            return answer(200, language.encode(), headers=[("Vary", "Accept-Language, Cookie")])

        with RawServer(responder({"/": page})) as running:
            yield running

    def test_each_variant_is_its_own(self, site: RawServer, tmp_path: Path) -> None:
        def get(language: str | None) -> str:
            headers = {"Accept-Language": language} if language else {}
            return requests.get(site.url, headers=headers).text

        with IngestSession("s", tmp_path):
            assert [get("de"), get("en"), get(None)] == ["de", "en", "-"]
        with IngestSession("s", tmp_path, "replay") as ingest:
            assert [get("en"), get(None), get("de"), get("de")] == ["en", "-", "de", "de"]
            with pytest.raises(ReplayMissError, match="accept-language: asked 'fr', recorded"):
                get("fr")
            ingest.misses.clear()

    def test_a_304_without_vary_stays_with_its_variant(self, tmp_path: Path) -> None:
        def page(request: Any) -> bytes:
            if request.header("If-None-Match"):
                return answer(304)
            language = str(request.header("Accept-Language"))
            headers = [("Vary", "Accept-Language"), ("ETag", f'"{language}"')]
            return answer(200, language.encode(), headers=headers)

        def get(language: str) -> str:
            return requests.get(server.url, headers={"Accept-Language": language}).text

        with RawServer(responder({"/": page})) as server:
            for _ in range(2):
                with IngestSession("s", tmp_path, "auto", ttl=0):
                    assert [get("de"), get("en")] == ["de", "en"]
            assert server.hits == 4
            with IngestSession("s", tmp_path, "replay") as ingest:
                assert [get("en"), get("de")] == ["en", "de"]
                with pytest.raises(ReplayMissError):
                    get("fr")
                ingest.misses.clear()


class TestMiss:
    def test_says_what_is_nearest_and_why(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path, as_of="2025-10-07"):
            requests.get(f"{server.url}/?symbol=A&interval=1d")
            requests.post(f"{server.url}/echo", json={"page": {"size": 10}})
        with IngestSession("other", tmp_path):
            requests.get(f"{server.url}/?x=1")
        with IngestSession("s", tmp_path, as_of="2025-10-09"):
            requests.get(f"{server.url}/?later=1")
        cases: list[tuple[Any, str]] = [
            (lambda: requests.get(f"{server.url}/?symbol=A&interval=1h"), "asked '1h', recorded"),
            (lambda: requests.get(f"{server.url}/?symbol=A"), "param interval: recorded '1d'"),
            (
                lambda: requests.post(f"{server.url}/echo", json={"page": {"size": 20}}),
                r"body \$.page.size: asked 20, recorded 10",
            ),
            (lambda: requests.get(f"{server.url}/?x=1"), "recorded 'other'"),
            (lambda: requests.get(f"{server.url}/?later=1"), "date: recorded as of 2025-10-09"),
            (lambda: requests.put(f"{server.url}/?symbol=A&interval=1d"), "method: asked PUT"),
        ]
        with IngestSession("s", tmp_path, "replay", as_of="2025-10-08") as ingest:
            for work, words in cases:
                with pytest.raises(ReplayMissError, match=words) as caught:
                    work()
                assert caught.value.params_hash in str(caught.value)
                assert caught.value.nearest
            ingest.misses.clear()

    @pytest.mark.parametrize("leave", ["quietly", "SystemExit"])
    def test_swallowed_fails_the_session(
        self, leave: str, server: RawServer, tmp_path: Path
    ) -> None:
        with IngestSession("s", tmp_path):
            requests.get(server.url)

        def program() -> None:
            with contextlib.suppress(Exception):
                requests.get(f"{server.url}/not-recorded")
            if leave == "SystemExit":
                raise SystemExit(0)

        def run() -> None:
            with IngestSession("s", tmp_path, "replay"):
                program()

        with pytest.raises(ReplayMissError, match="went on without"):
            run()

    def test_no_request_exception(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path):
            requests.get(server.url)
        with IngestSession("s", tmp_path, "replay") as ingest:
            for method in ("GET", "POST"):
                with pytest.raises(ReplayMissError) as caught:
                    requests.request(method, f"{server.url}/not-recorded")
                others = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
                assert not isinstance(caught.value, others)
            ingest.misses.clear()


def test_order_within_a_session_and_exhaustion(tmp_path: Path) -> None:
    count = iter(range(100))
    with RawServer(responder({"/": lambda _: answer(200, b"%d" % next(count))})) as server:
        with IngestSession("s", tmp_path, as_of="2025-01-01"):
            [requests.get(server.url) for _ in range(2)]
        with IngestSession("s", tmp_path, as_of="2025-01-02"):
            [requests.get(server.url) for _ in range(3)]

        def texts(number: int, **options: Any) -> list[str]:
            with IngestSession("s", tmp_path, "replay", **options) as ingest:
                try:
                    return [requests.get(server.url).text for _ in range(number)]
                finally:
                    ingest.misses.clear()

        assert texts(5) == ["2", "3", "4", "4", "4"]
        assert texts(3, as_of="2025-01-01") == ["0", "1", "1"]
        with pytest.raises(ReplayMissError, match="fewer times"):
            texts(4, exhausted="error")
        with pytest.raises(ReplayMissError):
            texts(1, as_of="2024-12-31")


@pytest.mark.parametrize("name", ["X-Amz-Target", "SOAPAction"])
def test_operations_of_one_url_are_told_apart(name: str, tmp_path: Path) -> None:
    with RawServer(
        responder({"/": lambda request: answer(200, (request.header(name) or "none").encode())})
    ) as server:

        def ask(operation: str | None) -> str:
            headers = {name: operation} if operation else {}
            return requests.post(server.url, b"{}", headers=headers).text

        with IngestSession("s", tmp_path):
            assert [ask(one) for one in ("Describe", "Scan", None)] == ["Describe", "Scan", "none"]
        with IngestSession("s", tmp_path, "replay") as ingest:
            assert [ask(one) for one in ("Scan", None, "Describe")] == ["Scan", "none", "Describe"]
            with pytest.raises(ReplayMissError):
                ask("Delete")
            ingest.misses.clear()
        assert server.hits == 3
