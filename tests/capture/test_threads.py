"""Threads, executors, signals, generators: whoever makes the call, whatever breaks it off."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import multiprocessing.pool
import os
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, ReplayMissError, Status, mount
from mxm_dataio.adapters.urllib3 import hook, taps
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import rounds
from tests.support.harness import EXACT, three_ways
from tests.support.servers import Connection, RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    def numbered(request: Any) -> bytes:
        return answer(200, request.target.encode())

    with RawServer(responder({"/": answer(200, b"hello"), "/n": numbered})) as running:
        yield running


def exchanges(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


# -- ways to run calls side by side; each takes a function and numbers, and gives the results -----


def pool_executor(fetch: Callable[[int], bytes], numbers: range) -> list[bytes]:
    with ThreadPoolExecutor(4) as threads:
        return [f.result() for f in as_completed([threads.submit(fetch, n) for n in numbers])]


def thread_pool(fetch: Callable[[int], bytes], numbers: range) -> list[bytes]:
    with multiprocessing.pool.ThreadPool(4) as threads:
        done = list(threads.imap_unordered(fetch, numbers))
        threads.close()
        threads.join()
        return done


def bare_threads(fetch: Callable[[int], bytes], numbers: range) -> list[bytes]:
    done: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threads = [threading.Thread(target=lambda n=n: done.put(fetch(n))) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done.get_nowait() for _ in numbers]


def to_thread(fetch: Callable[[int], bytes], numbers: range) -> list[bytes]:
    async def main() -> list[bytes]:
        return list(await asyncio.gather(*(asyncio.to_thread(fetch, n) for n in numbers)))

    return asyncio.run(main())


def run_in_executor(fetch: Callable[[int], bytes], numbers: range) -> list[bytes]:
    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as threads:
            calls = [loop.run_in_executor(threads, fetch, n) for n in numbers]
            return list(await asyncio.gather(*calls))

    return asyncio.run(main())


WAYS = [pool_executor, thread_pool, bare_threads, to_thread, run_in_executor]


@pytest.mark.parametrize("shared", [True, False], ids=["one-session", "a-session-each"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_calls_side_by_side(
    way: Callable[..., list[bytes]], shared: bool, server: RawServer, tmp_path: Path
) -> None:
    def work() -> Any:
        with requests.Session() as session:
            # One for each worker, so that no connection is dropped for want of room.
            session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=16))

            def fetch(number: int) -> bytes:
                url = f"{server.url}/n?{number}"
                return (session.get(url) if shared else requests.get(url)).content

            return sorted(way(fetch, range(12)))

    plain = work()
    hits = server.hits
    with IngestSession("s", tmp_path, redaction=EXACT):
        assert work() == plain
    assert server.hits == 2 * hits
    assert Counter(e.request.status for e in exchanges(tmp_path)) == {Status.COMPLETE: 12}
    with IngestSession("s", tmp_path, "replay"):
        assert work() == plain
    assert server.hits == 2 * hits


def test_requests_futures(server: RawServer, tmp_path: Path) -> None:
    sessions = pytest.importorskip("requests_futures.sessions", reason="needs requests-futures")

    def work() -> Any:
        with sessions.FuturesSession(max_workers=3) as session:
            calls = [session.get(f"{server.url}/n?{n}") for n in range(9)]
            return [call.result().content for call in calls]

    plain = work()
    with IngestSession("s", tmp_path):
        assert work() == plain
    hits = server.hits
    with IngestSession("s", tmp_path, "replay"):
        assert work() == plain
    assert server.hits == hits
    assert len(exchanges(tmp_path)) == 9


def test_the_kth_of_many_threads_gets_the_kth_answer(tmp_path: Path) -> None:
    count = iter(range(100))
    lock = threading.Lock()

    def next_one(_request: Any) -> bytes:
        with lock:
            return answer(200, b"%d" % next(count))

    with (
        RawServer(responder({"/": next_one})) as server,
        requests.Session() as session,
        ThreadPoolExecutor(8) as threads,
    ):

        def fetch(_n: int) -> bytes:
            return session.get(server.url).content

        with IngestSession("s", tmp_path):
            recorded = list(threads.map(fetch, range(40)))
        with IngestSession("s", tmp_path, "replay", exhausted="error"):
            replayed = list(threads.map(fetch, range(40)))
        assert set(recorded) == set(replayed) == {b"%d" % n for n in range(40)}
        in_order = [e.answer.bytes_path.read_bytes() for e in exchanges(tmp_path)]
        with IngestSession("s", tmp_path, "replay"):
            assert [fetch(0) for _ in range(40)] == in_order
        assert server.hits == 40


def test_opened_in_one_thread_used_and_closed_in_others(server: RawServer, tmp_path: Path) -> None:
    ingest = IngestSession("s", tmp_path)

    def in_a_thread(work: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work).result()

    in_a_thread(ingest.open)
    requests.get(f"{server.url}/n?main")
    in_a_thread(lambda: requests.get(f"{server.url}/n?other"))
    in_a_thread(ingest.close)
    requests.get(f"{server.url}/n?after")
    assert [e.request.url.partition("?")[2] for e in exchanges(tmp_path)] == ["main", "other"]


CLASSES = (
    urllib3.connection.HTTPConnection,
    urllib3.connection.HTTPSConnection,
    urllib3.connectionpool.HTTPConnectionPool,
    requests.adapters.HTTPAdapter,
)


@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
def test_opened_and_closed_amid_traffic_that_never_stops(
    mode: str, server: RawServer, tmp_path: Path
) -> None:
    before = [dict(vars(cls)) for cls in CLASSES]
    stop = threading.Event()
    failures: list[BaseException] = []
    made = [0] * 4

    def traffic(worker: int) -> None:
        try:
            with requests.Session() as session:
                while not stop.is_set():
                    url = f"{server.url}/n?{worker}"
                    assert session.get(url).content == f"/n?{worker}".encode()
                    made[worker] += 1
        except BaseException as exc:
            failures.append(exc)

    with IngestSession("s", tmp_path):
        for worker in range(4):
            requests.get(f"{server.url}/n?{worker}")
    connections, hits = server.connections, server.hits
    threads = [threading.Thread(target=traffic, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    statuses = set()
    for _ in range(rounds(10, 100)):
        with IngestSession("s", tmp_path, mode) as ingest:
            pass
        statuses.add(ingest.session.status)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert statuses == {Status.COMPLETE}
    assert server.connections == connections + 4, "each thread kept its connection"
    assert [dict(vars(cls)) for cls in CLASSES] == before
    if mode == "record":
        # What was recorded and what was not together are what was made; nothing is there twice.
        assert server.hits == hits + sum(made)
        assert len(exchanges(tmp_path)) <= 4 + sum(made)
        assert {e.request.status for e in exchanges(tmp_path)} <= set(Status)
    else:
        assert server.hits <= hits + sum(made)


def test_a_daemon_thread_outlives_the_session(server: RawServer, tmp_path: Path) -> None:
    steps: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def daemon() -> None:
        with requests.Session() as session:
            while (step := steps.get()) is not None:
                done.put(session.get(f"{server.url}/n?{step}").content)

    def step(name: str | None) -> Any:
        steps.put(name)
        return done.get(timeout=10)

    thread = threading.Thread(target=daemon, daemon=True)
    with IngestSession("s", tmp_path):
        thread.start()
        assert step("in") == b"/n?in"
    assert step("after") == b"/n?after"
    with IngestSession("s", tmp_path, "replay"):
        assert step("in") == b"/n?in"
    assert step("in") == b"/n?in"
    steps.put(None)
    thread.join(10)
    assert [r.target for r in server.requests] == ["/n?in", "/n?after", "/n?in"]
    assert server.connections == 1
    assert len(exchanges(tmp_path)) == 1


# -- broken off ------------------------------------------------------------------------------


class Stop(BaseException):
    """What a program's own machinery may raise anywhere, as gevent's timeout does."""


class Alarm:
    """Has a signal's handler raise in the main thread, as soon as that is in a given function."""

    def __init__(self) -> None:
        self._kind: type[BaseException] | None = None
        self._where = ""
        self._raised = threading.Event()
        self._thread: threading.Thread | None = None

    def set(self, kind: type[BaseException], where: str) -> None:
        """Begin to send signals."""
        self._kind, self._where = kind, where
        self._raised.clear()
        self._thread = threading.Thread(target=self._ring)
        self._thread.start()

    def _ring(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while not self._raised.wait(0.005):
            signal.pthread_kill(main, signal.SIGUSR1)

    def handle(self, _number: int, frame: FrameType | None) -> None:
        """Raise, if it is time."""
        if self._kind is not None and frame is not None and frame.f_code.co_name == self._where:
            kind, self._kind = self._kind, None
            self._raised.set()
            raise kind("from outside")

    def join(self) -> None:
        """Wait until no more signals come."""
        self._raised.set()
        if self._thread is not None:
            self._thread.join()


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    was = signal.signal(signal.SIGUSR1, made.handle)
    yield made
    made.join()
    signal.signal(signal.SIGUSR1, was)


def stalling() -> RawServer:
    """Return a server that answers a call of /again; any other gets no whole answer."""

    def handle(connection: Connection) -> None:
        while request := connection.read_request():
            if request.path == "/again":
                connection.send(answer(200, b"whole"))
            elif request.path == "/body":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    return RawServer(handle)


@pytest.mark.parametrize("how", ["hook", "mount"])
@pytest.mark.parametrize("point", ["head", "body"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, Stop], ids=lambda k: k.__name__)
def test_broken_off_from_outside(
    kind: type[BaseException], point: str, how: str, alarm: Alarm, tmp_path: Path
) -> None:
    def work(session: requests.Session) -> Any:
        with stalling() as server:
            if point == "head":
                alarm.set(kind, "readinto")
                with pytest.raises(kind) as caught:
                    session.get(server.url)
            else:
                with session.get(f"{server.url}/body", stream=True) as response:
                    assert response.raw.read(4) == b"half"
                    alarm.set(kind, "readinto")
                    with pytest.raises(kind) as caught:
                        response.raw.read()
            # The pool is usable, and the connection that was cut amid an answer is not used.
            again = session.get(f"{server.url}/again").content
            return str(caught.value), again, server.connections

    with requests.Session() as session:
        plain = work(session)
    with (
        requests.Session() as session,
        IngestSession("s", tmp_path, hook=how == "hook") as ingest,
    ):
        if how == "mount":
            mount(session, ingest)
        assert work(session) == plain
        assert taps.current.get() is None
    assert ingest.session.status is Status.COMPLETE
    broken, whole = exchanges(tmp_path)
    assert broken.request.status is Status.INTERRUPTED
    assert whole.request.status is Status.COMPLETE
    if point == "body":
        assert broken.answer.bytes_path.read_bytes() == b"half"
    # It has no outcome that replay could give.
    with IngestSession("s", tmp_path, "replay") as ingest:
        assert requests.get(whole.request.url).content == b"whole"
        with pytest.raises(ReplayMissError):
            requests.get(broken.request.url)
        ingest.misses.clear()


def test_a_timeout_of_the_programs_own_is_an_outcome(alarm: Alarm, tmp_path: Path) -> None:
    def read(url: str) -> Any:
        with requests.get(f"{url}/body", stream=True) as response:
            assert response.raw.read(4) == b"half"
            if live:
                alarm.set(TimeoutError, "readinto")
            with pytest.raises((TimeoutError, urllib3.exceptions.HTTPError)) as caught:
                response.raw.read()
            return type(caught.value), str(caught.value)

    live = True
    with stalling() as server, IngestSession("s", tmp_path):
        recorded = read(server.url)
    live = False
    with IngestSession("s", tmp_path, "replay"):
        assert read(server.url) == recorded


def test_interrupted_while_connecting(alarm: Alarm, server: RawServer, tmp_path: Path) -> None:
    def resolve_slowly() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pass

    class Slow(urllib3.connection.HTTPConnection):
        slow = True

        def _new_conn(self) -> Any:
            if Slow.slow:
                Slow.slow = False
                resolve_slowly()
            return super()._new_conn()

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Slow

    with IngestSession("s", tmp_path), Pool(server.host, server.port, maxsize=1) as pool:
        alarm.set(KeyboardInterrupt, "resolve_slowly")
        with pytest.raises(KeyboardInterrupt):
            pool.request("GET", "/")
        assert pool.request("GET", "/").data == b"hello"
        assert pool.pool.qsize() == 1
    broken, whole = exchanges(tmp_path)
    assert broken.request.status is Status.INTERRUPTED
    assert whole.request.status is Status.COMPLETE


def test_a_generator_closed_amid_the_body(tmp_path: Path) -> None:
    body = os.urandom(100_000)
    with RawServer(responder({"/": answer(200, body)})) as server:

        def work() -> Any:
            with requests.get(server.url, stream=True) as response:
                parts = response.iter_content(1000)
                first = next(parts)
                parts.close()
            return first

        three_ways(tmp_path, server, work)
    (exchange,) = exchanges(tmp_path)
    assert exchange.request.status is Status.PARTIAL


def lines_of_ours(work: Callable[[], Any], at: int | None) -> int:
    """Run work, raising KeyboardInterrupt at the n-th line of ours, and return how many ran."""
    seen = 0
    own = str(Path(taps.__file__).parent.parent)

    def line(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal seen
        # (At a "with", Python itself sees to it that no signal comes between lock and block.)
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not source.lstrip().startswith("with "):
            seen += 1
            if seen == at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return line

    def call(frame: FrameType, _event: str, _arg: object) -> Any:
        return line if frame.f_code.co_filename.startswith(own) else None

    was = sys.gettrace()
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(was)
    return seen


# Some of these lines run in finalizers, from where Python can only tell of an exception.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["hook", "mount"])
def test_interrupted_at_any_line_of_ours(how: str, server: RawServer, tmp_path: Path) -> None:
    """A signal handler may raise between any two lines; whatever it hits has to stay whole."""
    with requests.Session() as session, IngestSession("s", tmp_path, hook=how == "hook") as ingest:
        if how == "mount":
            mount(session, ingest)

        def work() -> None:
            assert session.get(f"{server.url}/n?cut").content == b"/n?cut"

        work()
        total = lines_of_ours(work, None)
        assert total > 100
        step = rounds(23, 1)
        for number, at in enumerate(range(1, total, step)):
            with contextlib.suppress(KeyboardInterrupt):
                assert lines_of_ours(work, at) < at, "it was raised, and it came through"
            assert taps.current.get() is None, at
            url = f"{server.url}/n?{number}"
            assert session.get(url).content == f"/n?{number}".encode()
    urls = [e.request.url.partition("?")[2] for e in exchanges(tmp_path)]
    # Every call that was left alone is there, once.
    assert [u for u in urls if u != "cut"] == [str(n) for n in range(number + 1)]
    assert hook.HOOK._count == 0
