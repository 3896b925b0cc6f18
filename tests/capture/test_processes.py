"""Forked, spawned and killed processes; and a fresh interpreter under odd settings."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, Status, mount
from mxm_dataio.concurrency import mutex
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.effort import some
from tests.support.forks import forked
from tests.support.servers import Connection, RawServer, answer, responder

# Python 3.12 and later warn of any fork beside threads; the servers here are threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/": answer(200, b"hello"),
        "/n": lambda request: answer(200, request.target.encode()),
    }
    with RawServer(responder(routes)) as running:
        yield running


def calls(root: Path) -> dict[str, Status]:
    """Return what is recorded: the end of each URL, and the call's status."""
    with RecordingStore(root) as store:
        return {
            request.url.partition("?")[2]: request.status
            for session in store.sessions()
            for request in store.requests(session.id)
        }


def fetch(url: str) -> bytes:
    return requests.get(url, timeout=20).content


def run(script: str, *args: object, options: tuple[str, ...] = ()) -> str:
    """Run a script in an interpreter of its own; it must end well and say nothing on stderr."""
    command = [sys.executable, *options, "-c", textwrap.dedent(script), *map(str, args)]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


class TestFork:
    """A forked child that goes on in Python records a session of its own."""

    def test_process_pool(self, server: RawServer, tmp_path: Path) -> None:
        def work() -> list[bytes]:
            context = multiprocessing.get_context("fork")
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                return list(pool.map(fetch, [f"{server.url}/n?{n}" for n in range(8)]))

        plain = work()
        with IngestSession("s", tmp_path):
            assert work() == plain
        assert calls(tmp_path) == {str(n): Status.COMPLETE for n in range(8)}
        with RecordingStore(tmp_path) as store:
            parent, *children = store.sessions()
        assert {child.parent_id for child in children} == {parent.id}
        assert {child.status for child in children} == {Status.COMPLETE}
        hits = server.hits
        with IngestSession("s", tmp_path, "replay"):
            assert work() == plain
        assert server.hits == hits

    def test_a_process_of_multiprocessing(self, server: RawServer, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        for mode in ("record", "replay"):
            with IngestSession("s", tmp_path, mode):
                process = context.Process(target=fetch, args=[f"{server.url}/n?1"])
                process.start()
                process.join(30)
                assert process.exitcode == 0
        assert server.hits == 1
        assert calls(tmp_path) == {"1": Status.COMPLETE}

    @pytest.mark.parametrize("parent_first", [True, False])
    def test_children_are_served_one_answer_after_the_other(
        self, parent_first: bool, tmp_path: Path
    ) -> None:
        """The k-th call gets the k-th answer, whichever process makes it."""
        count = iter(range(1, 100))
        routes: dict[str, Any] = {"/n": lambda _request: answer(200, b"%d" % next(count))}
        out = tmp_path / "out"

        def work() -> list[str]:
            out.write_bytes(b"")

            def note() -> None:
                with out.open("ab") as file:
                    file.write(fetch(f"{server.url}/n") + b" ")

            for number in range(6):
                if number % 3 == (0 if parent_first else 2):
                    note()
                else:
                    assert forked(note) == 0
            return out.read_text().split()

        with RawServer(responder(routes)) as server:
            with IngestSession("s", tmp_path / "root"):
                assert work() == list("123456")
            with IngestSession("s", tmp_path / "root", "replay"):
                assert work() == list("123456")
                # The last again.
                assert work() == ["6"] * 6
            with IngestSession("s", tmp_path / "root", "replay", exhausted="error") as ingest:
                assert work() == list("123456")
                assert forked(lambda: fetch(f"{server.url}/n")) == 1
                assert not ingest.misses
            assert server.hits == 6

    def test_processes_that_replay_at_once_share_the_answers(self, tmp_path: Path) -> None:
        count = iter(range(1, 1000))
        routes: dict[str, Any] = {"/n": lambda _request: answer(200, b"%d" % next(count))}
        context = multiprocessing.get_context("fork")

        def work(size: int) -> list[int]:
            with concurrent.futures.ProcessPoolExecutor(size, mp_context=context) as pool:
                return sorted(map(int, pool.map(fetch, [f"{server.url}/n"] * 60)))

        with RawServer(responder(routes)) as server:
            with IngestSession("s", tmp_path):
                assert work(3) == list(range(1, 61))
            with IngestSession("s", tmp_path, "replay"):
                assert work(4) == list(range(1, 61))

    def test_with_a_mount_and_no_hook(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path, hook=False) as ingest, requests.Session() as session:
            mount(session, ingest)
            session.get(f"{server.url}/n?parent")
            # The connection is the parent's: the child opens its own.
            session.close()
            assert forked(lambda: session.get(f"{server.url}/n?child").content) == 0
        assert calls(tmp_path) == {"parent": Status.COMPLETE, "child": Status.COMPLETE}

    def test_while_another_thread_holds_the_lock(
        self, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One held by another thread at the fork stays held for ever in the child."""
        monkeypatch.setattr("mxm_dataio.storage.catalog.database._FORK_SECONDS", 0.1)
        with IngestSession("s", tmp_path):
            held, go = threading.Event(), threading.Event()

            def hold() -> None:
                with mutex.lock:
                    held.set()
                    go.wait(30)

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait(10)
            try:
                assert forked(lambda: fetch(f"{server.url}/n?child")) == 0
            finally:
                go.set()
                thread.join()
            fetch(f"{server.url}/n?parent")
        assert calls(tmp_path) == {"parent": Status.COMPLETE, "child": Status.COMPLETE}

    def test_amid_the_traffic_of_threads(self, server: RawServer, tmp_path: Path) -> None:
        stop = threading.Event()

        def traffic() -> None:
            with requests.Session() as session:
                while not stop.is_set():
                    session.get(f"{server.url}/n?traffic")

        threads = [threading.Thread(target=traffic) for _ in range(3)]
        with IngestSession("s", tmp_path) as ingest:
            for thread in threads:
                thread.start()
            try:
                for n in range(8):
                    assert forked(lambda n=n: fetch(f"{server.url}/n?{n}")) == 0
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        assert ingest.session.status is Status.COMPLETE
        assert set(calls(tmp_path)) == {"traffic", *map(str, range(8))}

    @pytest.mark.parametrize("limit", [1, 1 << 20], ids=["in-a-file", "in-memory"])
    def test_amid_a_body_of_the_parents(self, limit: int, tmp_path: Path) -> None:
        """What the parent is reading is the parent's, whatever the child does with it."""
        body, go = os.urandom(300_000), threading.Event()

        def slow(connection: Connection) -> None:
            if connection.read_request():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body[:1000])
                go.wait(20)
                connection.send(body[1000:])

        with (
            RawServer(slow) as server,
            IngestSession("s", tmp_path, spool_limit=limit) as ingest,
        ):
            response = requests.get(server.url, stream=True)
            got = response.raw.read(1000)
            # Dropping it there neither records it nor takes its temporary file away.
            assert forked(lambda: response.raw._fp.fp.close()) == 0
            assert forked(ingest.close) == 0
            go.set()
            assert got + response.raw.read() == body
        assert ingest.session.status is Status.COMPLETE
        with RecordingStore(tmp_path) as store:
            (exchange,) = [e for s in store.sessions() for e in store.exchanges(s.id)]
        assert exchange.request.status is Status.COMPLETE
        assert exchange.request.session_id == ingest.id
        assert exchange.answer.bytes_path.read_bytes() == body

    @pytest.mark.parametrize("end", ["kill", "_exit"])
    def test_a_child_that_dies_amid_a_body(
        self, end: str, server: RawServer, tmp_path: Path
    ) -> None:
        def half(connection: Connection) -> None:
            while connection.read_request():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        def die() -> None:
            fetch(f"{server.url}/n?whole")
            kept = requests.get(f"{halves.url}/?half", stream=True)
            assert kept.raw.read(4) == b"half"
            if end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(7)

        with RawServer(half) as halves, IngestSession("s", tmp_path) as ingest:
            assert forked(die) == (-signal.SIGKILL if end == "kill" else 7)
            fetch(f"{server.url}/n?parent")
        assert ingest.session.status is Status.COMPLETE
        assert calls(tmp_path) == {"whole": Status.COMPLETE, "parent": Status.COMPLETE}
        with RecordingStore(tmp_path) as store:
            statuses = {session.parent_id: session.status for session in store.sessions()}
        assert statuses == {None: Status.COMPLETE, ingest.id: Status.INTERRUPTED}
        with IngestSession("s", tmp_path, "replay"):
            assert fetch(f"{server.url}/n?whole") == b"/n?whole"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_fresh_process_is_not_seen_and_not_harmed(
    method: str, server: RawServer, tmp_path: Path
) -> None:
    script = """
        import multiprocessing, sys, requests
        from mxm_dataio import IngestSession
        method, url, root = sys.argv[1:]
        with IngestSession("s", root) as ingest:
            requests.get(url + "/n?parent")
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(pool.apply(requests.get, [url + "/n?child"]).text)
                pool.close()
                pool.join()
        print(ingest.session.status)
        """
    assert run(script, method, server.url, tmp_path) == "/n?child\ncomplete\n"
    assert calls(tmp_path) == {"parent": Status.COMPLETE}
    assert server.hits == 2


PROGRAM = """
    import os, sys, threading, warnings, requests, urllib3
    from mxm_dataio import IngestSession, mount
    url, root = sys.argv[1:]
    if os.environ.get("TRACE"):
        def trace(frame, event, arg):
            return trace
        {"trace": sys.settrace, "profile": sys.setprofile}[os.environ["TRACE"]](trace)
        threading.settrace(trace)
    def work(session):
        with session.get(url + "/n?1", stream=True) as half:
            half.raw.read(1)
        with urllib3.PoolManager() as pool:
            data = pool.request("POST", url + "/n?2", body=b"x").data
        return half.status_code, data, session.get(url + "/n?3").text
    with requests.Session() as session:
        plain = work(session)
    for mode in ("record", "replay"):
        for hook in (True, False):
            with requests.Session() as session, IngestSession("s", root, mode, hook=hook) as ingest:
                with mount(session, ingest):
                    print(mode, work(session) == plain, ingest.mode)
            print(ingest.session.status)
    """


@pytest.mark.parametrize(
    "how",
    some(
        ["", "-X dev -W error", "-W error", "-O", "-OO", "trace", "profile"],
        ["-X dev -W error", "-OO", "trace"],
    ),
    ids=lambda how: how or "usual",
)
def test_interpreter_settings(
    how: str, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = tuple(how.split())
    if how in ("trace", "profile"):
        monkeypatch.setenv("TRACE", how)
        options = ()
    # urllib3 1.26's own, on Pythons newer than it.
    quiet = ("-W", "ignore:::urllib3", "-W", "ignore::ImportWarning") if options else ()
    out = run(PROGRAM, server.url, tmp_path, options=(*options, *quiet))
    assert out == 2 * "record True record\ncomplete\n" + 2 * "replay True replay\ncomplete\n"


def test_where_warnings_are_errors_the_session_fails_not_the_call(
    server: RawServer, tmp_path: Path
) -> None:
    script = """
        import pathlib, sys, requests
        from mxm_dataio import DataIOWarning, IngestSession
        url, root = sys.argv[1:]
        try:
            with IngestSession("s", root) as ingest:
                pathlib.Path(root, "journal").touch()
                print(requests.get(url).text)
                print(requests.get(url).text)
        except DataIOWarning as warning:
            print("was not recorded" in str(warning), ingest.session.status)
        """
    out = run(script, server.url, tmp_path, options=("-W", "error::UserWarning"))
    assert out == "hello\nhello\nTrue incomplete\n"
