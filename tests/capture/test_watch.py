"""What goes past a session is listed, and in replay refused: real sockets, processes, clients."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes.util
import http.client
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util import Retry

from mxm_dataio import (
    ConfigError,
    DataIOWarning,
    IngestSession,
    ReplayMissError,
    Session,
    Status,
    Store,
    mount,
    register,
    unregister,
    utils,
)
from mxm_dataio.coverage import audit
from mxm_dataio.models import Unseen
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.unseen import line_of
from tests.support import CHECKOUT
from tests.support.forks import forked
from tests.support.harness import SOURCE
from tests.support.proxies import proxy, socks
from tests.support.servers import RawServer, answer, responder, tls_server

# Python 3.12 and later warn of any fork beside threads; the servers here are threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
QUIET = ("-W", "ignore:.*use of fork:DeprecationWarning")
TRUE = shutil.which("true") or "true"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/": answer(200, b"hello"), "/busy": answer(503, b"")})) as running:
        yield running


@contextlib.contextmanager
def watched(root: Path, mode: str = "record", **options: Any) -> Iterator[IngestSession]:
    with IngestSession(SOURCE, root, mode, watch=True, **options) as ingest:
        yield ingest


def coverage_of(ingest: IngestSession) -> list[Unseen]:
    assert ingest.session.coverage is not None
    return list(ingest.session.coverage)


def run(root: Path, code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, which has its session in ``ingest`` and its arguments."""
    program = "import sys\nfrom mxm_dataio import IngestSession\nroot, *args = sys.argv[1:]\n"
    program += textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, *QUIET, "-c", program, str(root), *arguments],
        capture_output=True, text=True, timeout=60, cwd=CHECKOUT, **options,
    )  # fmt: skip
    return done


def stored(root: Path) -> list[Session]:
    with Store(root, readonly=True) as store:
        return store.sessions()


def only(root: Path) -> Session:
    (session,) = stored(root)
    return session


def raw(port: int, host: str = "127.0.0.1") -> None:
    with socket.create_connection((host, port), timeout=10):
        pass


# -- what is listed ----------------------------------------------------------------------------

AUDITED = """
    import socket, subprocess, requests, httpx, urllib.request
    url, port = args[0], int(args[1])
    with IngestSession("audit", root, sys.argv[4], watch=True) as ingest:
        assert requests.get(url).content == b"hello"
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            assert sock.recv(100)
        assert subprocess.run(["curl", "-s", url], capture_output=True).stdout == b"hello"
        assert httpx.get(url).content == b"hello"
    print(ingest.id)
"""


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_a_raw_socket_curl_and_httpx_are_just_these_three(
    server: RawServer, tmp_path: Path
) -> None:
    done = run(tmp_path, AUDITED, server.url, str(server.port), "record")
    assert done.returncode == 0, done.stderr
    session = only(tmp_path)
    assert session.coverage == (
        Unseen("connection", f"127.0.0.1:{server.port}", 1, "__main__"),
        Unseen("connection", f"127.0.0.1:{server.port}", 1, "httpx"),
        Unseen("process", "curl", 1, "__main__"),
    )
    assert session.status is Status.COMPLETE
    (said,) = session.warnings
    assert said == (
        f"coverage: not captured: connection 127.0.0.1:{server.port} by __main__, connection "
        f"127.0.0.1:{server.port} by httpx, process curl by __main__; mxm-dataio coverage tells "
        "of each"
    )
    assert done.stderr == ""


def test_nothing_unseen_is_an_empty_list_and_nobody_watching_none(
    server: RawServer, tmp_path: Path
) -> None:
    with watched(tmp_path) as ingest:
        requests.get(server.url)
    assert coverage_of(ingest) == []
    with IngestSession(SOURCE, tmp_path) as ingest:
        requests.get(server.url)
        raw(server.port)
    assert ingest.session.coverage is None
    with IngestSession(SOURCE, tmp_path, "off", watch=True) as ingest:
        raw(server.port)
    assert ingest.session.coverage is None
    first, second = stored(tmp_path)
    assert (first.coverage, first.warnings) == ((), ())
    assert second.coverage is None
    assert not audit._watching
    assert audit._handlers.keys() == {audit._HELLO}


def test_connections_are_counted(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path) as ingest:
        for _ in range(3):
            raw(server.port)
        raw(server.port, "localhost")
    assert coverage_of(ingest) == [
        Unseen("connection", f"127.0.0.1:{server.port}", 3, __name__),
        Unseen("connection", f"localhost:{server.port}", 1, __name__),
    ]
    assert only(tmp_path).coverage == tuple(coverage_of(ingest))


def test_what_is_allowed_is_not_listed(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path, allowed_hosts=["loopback"]) as ingest:
        raw(server.port)
        raw(server.port, "localhost")
    assert coverage_of(ingest) == []


def test_every_road_of_the_standard_library(server: RawServer, tmp_path: Path) -> None:
    def smtp() -> None:
        with pytest.raises((smtplib.SMTPException, OSError)):
            smtplib.SMTP("127.0.0.1", server.port, local_hostname="localhost", timeout=0.2)

    async def stream() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
        await writer.wait_closed()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        connection.close()

    def in_a_thread() -> None:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(raw, server.port).result()

    roads: list[Callable[[], object]] = [smtp, lambda: asyncio.run(stream()), client, in_a_thread]
    with watched(tmp_path) as ingest:
        for road in roads:
            road()
    assert coverage_of(ingest) == [
        Unseen("connection", f"127.0.0.1:{server.port}", len(roads), __name__)
    ]


def test_a_library_that_no_one_can_see_through_is_named(tmp_path: Path) -> None:
    (tmp_path / "pycurl.py").touch()
    (tmp_path / "grpc.py").touch()
    (tmp_path / "zmq.py").write_text("raise ImportError('no libzmq')\n")
    (tmp_path / "httplib2.py").touch()
    (tmp_path / "shop.py").write_text("import pycurl\n")
    done = run(
        tmp_path / "root",
        """
        import contextlib, importlib, grpc
        with IngestSession("audit", root, watch=True) as ingest:
            import shop, httplib2
            with contextlib.suppress(ImportError):
                import zmq
        with IngestSession("audit", root, watch=True) as ingest:
            pass
        """,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    first, second = stored(tmp_path / "root")
    assert first.coverage == (
        Unseen("library", "grpc", 1, ""),
        Unseen("library", "pycurl", 1, "shop"),
    )
    # Not httplib2: its connections are seen, and there was none.
    assert first.warnings == (
        "coverage: not captured: library grpc, library pycurl; mxm-dataio coverage tells of each",
    )
    assert second.coverage == (
        Unseen("library", "grpc", 1, ""),
        Unseen("library", "pycurl", 1, ""),
    )


# -- what is accounted for ---------------------------------------------------------------------


def captured_roads(server: RawServer) -> dict[str, Callable[[], object]]:
    url = server.url
    name = f"http://localhost:{server.port}/"

    def retried() -> None:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[503])))
            with pytest.raises(requests.exceptions.RetryError):
                session.get(f"{url}/busy")

    def refused() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with urllib3.PoolManager() as pool, pytest.raises(urllib3.exceptions.MaxRetryError):
            pool.request("GET", f"http://127.0.0.1:{port}/", retries=Retry(2, backoff_factor=0))

    def pooled() -> None:
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", name).data == b"hello"

    def threads() -> None:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(requests.get, [url] * 8))

    return {
        "requests": lambda: requests.get(url),
        "by name": lambda: requests.get(name),
        "urllib3": pooled,
        "retries": retried,
        "refused": refused,
        "threads": threads,
    }


@pytest.mark.parametrize(
    "road", ["requests", "by name", "urllib3", "retries", "refused", "threads"]
)
def test_captured_calls_are_accounted_for(road: str, server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path) as ingest:
        captured_roads(server)[road]()
    assert coverage_of(ingest) == []


@pytest.mark.parametrize("kind", ["forwarding", "tunnel", "socks"])
def test_so_are_proxies(kind: str, tmp_path: Path) -> None:
    with RawServer(socks() if kind == "socks" else proxy()) as between:
        scheme = "socks5h" if kind == "socks" else "http"
        proxies = {
            "http": f"{scheme}://localhost:{between.port}",
            "https": f"{scheme}://localhost:{between.port}",
        }
        context, ca = tls_server(tmp_path) if kind == "tunnel" else (None, "")
        with (
            RawServer(responder({"/": answer(200, b"hello")}), tls=context) as origin,
            watched(tmp_path / "root") as ingest,
            requests.Session() as session,
        ):
            answered = session.get(origin.url, proxies=proxies, verify=ca or None)
            assert answered.status_code == 200
    # The proxies here are threads of this process, which connect to the origin themselves.
    assert [one for one in coverage_of(ingest) if one.caller != "tests.support.proxies"] == []
    assert between.connections


def test_a_mounted_session_alone_accounts_for_its_calls(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path, hook=False) as ingest, requests.Session() as session:
        with mount(session, ingest):
            session.get(server.url)
        requests.get(server.url)
        with urllib3.PoolManager() as pool:
            pool.request("GET", server.url)
    assert coverage_of(ingest) == [
        Unseen("connection", f"127.0.0.1:{server.port}", 2, "urllib3.util.connection")
    ]


def test_an_adapter_that_connects_by_itself_is_accounted_for(
    server: RawServer, tmp_path: Path
) -> None:
    class Own(BaseAdapter):
        def send(self, request: Any, *_args: Any, **_kwargs: Any) -> requests.Response:
            raw(server.port)
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content = b"own"
            return response

        def close(self) -> None:
            pass

    with watched(tmp_path, hook=False) as ingest, requests.Session() as session:
        session.mount("http://", Own())
        with mount(session, ingest):
            assert session.get(server.url).content == b"own"
    assert coverage_of(ingest) == []


def test_so_is_a_fetcher(server: RawServer, tmp_path: Path) -> None:
    class Own:
        def fetch(self, _request: Any) -> bytes:
            raw(server.port)
            return b"own"

    register(SOURCE, Own())
    try:
        with watched(tmp_path) as ingest:
            ingest.request("somewhere")
            raw(server.port)
    finally:
        unregister(SOURCE)
    assert coverage_of(ingest) == [Unseen("connection", f"127.0.0.1:{server.port}", 1, __name__)]
    with watched(tmp_path) as ingest:
        ingest.request(server.url)
    assert coverage_of(ingest) == []


# -- processes ---------------------------------------------------------------------------------


def test_children_are_listed_unless_they_capture_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MXM_DATAIO_AUTO", raising=False)
    python = [sys.executable, "-c", ""]
    with watched(tmp_path) as ingest:
        subprocess.run(["true"], check=True)
        subprocess.run(python, check=True)
        subprocess.run("true | true", shell=True, check=True)
        # So the standard library asks the machine about itself.
        assert ctypes.util.find_library("c")
        monkeypatch.setenv("MXM_DATAIO_AUTO", "source=x")
        subprocess.run(python, check=True)
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        subprocess.run(python, check=True, env={})
    assert sorted(coverage_of(ingest)) == sorted(
        [
            Unseen("process", sys.executable, 3, __name__),
            Unseen("process", "/bin/sh", 1, __name__),
            Unseen("process", "true", 1, __name__),
        ]
    )


SPAWNING = """
    import multiprocessing, time
    def work(): pass
    if __name__ == "__main__":
        with IngestSession("audit", root, watch=True) as ingest:
            for method in args:
                context = multiprocessing.get_context(method)
                for _ in range(2):
                    process = context.Process(target=time.time)
                    process.start()
                    process.join()
                    assert process.exitcode == 0
"""


@pytest.mark.parametrize("captured", [False, True])
def test_multiprocessing_is_listed_unless_it_captures_itself(
    captured: bool, tmp_path: Path
) -> None:
    env = {**os.environ, "MXM_DATAIO_AUTO": "1"} if captured else dict(os.environ)
    done = run(tmp_path, SPAWNING, "spawn", "forkserver", env=env)
    assert done.returncode == 0, done.stderr
    found = [
        Unseen("process", "multiprocessing (forkserver)", 1, "__main__"),
        Unseen("process", "multiprocessing (spawn)", 1, "__main__"),
    ]
    (session, *_) = stored(tmp_path)
    assert session.coverage == (() if captured else tuple(found))


def test_a_forked_child_lists_what_goes_past_itself(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path) as ingest:
        raw(server.port)

        def child() -> None:
            raw(server.port, "localhost")
            ingest.close()

        assert forked(child) == 0
    parent, own = stored(tmp_path)
    assert own.parent_id == parent.id
    assert parent.coverage == (Unseen("connection", f"127.0.0.1:{server.port}", 1, __name__),)
    assert own.coverage == (Unseen("connection", f"localhost:{server.port}", 1, __name__),)
    assert own.status is Status.COMPLETE


def test_what_a_fork_becomes_is_its_parent_s(tmp_path: Path) -> None:
    with watched(tmp_path) as ingest:
        assert forked(lambda: os.execvp("true", ["true"])) == 0
    assert coverage_of(ingest) == [Unseen("process", TRUE, 1, __name__)]
    assert only(tmp_path).coverage == tuple(coverage_of(ingest))


def test_what_is_spawned_is_one_process(tmp_path: Path) -> None:
    with watched(tmp_path) as ingest:
        assert os.spawnvp(os.P_WAIT, "true", ["true"]) == 0
    assert coverage_of(ingest) == [Unseen("process", "true", 1, __name__)]


# -- processes that end otherwise --------------------------------------------------------------


def test_one_that_is_killed_has_told_what_it_saw(server: RawServer, tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import os, signal, socket, subprocess
        ingest = IngestSession("audit", root, watch=True).open()
        for _ in range(5):
            socket.create_connection(("127.0.0.1", int(args[0]))).close()
        subprocess.run(["true"])
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        str(server.port),
    )
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        session = only(tmp_path)
        assert session.status is Status.INTERRUPTED
        # The count doubles from one note to the next.
        assert session.coverage == (
            Unseen("connection", f"127.0.0.1:{server.port}", 4, "__main__"),
            Unseen("process", "true", 1, "__main__"),
        )
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize("watch", [False, True])
def test_one_that_saw_nothing_has_told_that_it_watched(watch: bool, tmp_path: Path) -> None:
    code = """
        import os
        ingest = IngestSession("audit", root, watch=args[0] == "True").open()
        os._exit(1)
    """
    run(tmp_path, code, str(watch))
    session = only(tmp_path)
    assert session.status is Status.INTERRUPTED
    assert session.coverage == (() if watch else None)


def test_so_has_a_forked_child_that_is_killed(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path):
        raw(server.port)
        forked(lambda: requests.get(server.url))
    parent, own = stored(tmp_path)
    assert (own.status, own.coverage) == (Status.INTERRUPTED, ())
    assert parent.coverage is not None
    assert len(parent.coverage) == 1


def test_who_ends_the_session_of_one_that_was_killed_has_what_it_saw(
    server: RawServer, tmp_path: Path
) -> None:
    with RecordingStore(tmp_path) as store:
        ingest = IngestSession(SOURCE, tmp_path).open()
        ended = replace(ingest.session, status=Status.INTERRUPTED, ended_at=utils.utc_now())
        ingest.close()
        begun = replace(ended, id=utils.new_id(), status=Status.RUNNING, ended_at=None)
        store.begin(begun)
        # The process of the program knows the session, and has not begun it.
        with RecordingStore(tmp_path) as other:
            other.note_unseen(begun.id, line_of(Unseen("", ""), 1))
            other.note_unseen(begun.id, line_of(Unseen("process", "curl"), 1))
        store.end(replace(ended, id=begun.id))
        found = store.session(begun.id)
    assert found is not None
    assert found.coverage == (Unseen("process", "curl"),)


def test_what_it_has_seen_so_far_can_be_read(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path):
        raw(server.port)
        running = only(tmp_path)
        assert running.status is Status.RUNNING
        assert running.coverage == (Unseen("connection", f"127.0.0.1:{server.port}", 1, __name__),)


def test_one_that_becomes_another_program_has_told_of_it(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import os
        ingest = IngestSession("audit", root, watch=True).open()
        os.execvp("true", ["true"])
        """,
    )
    assert only(tmp_path).coverage == (Unseen("process", TRUE, 1, "__main__"),)


def test_a_root_that_can_not_be_written_is_no_matter(server: RawServer, tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataIOWarning)
        with watched(tmp_path / "root") as ingest:
            raw(server.port)
    assert len(coverage_of(ingest)) == 1


# -- replay ------------------------------------------------------------------------------------


def record(server: RawServer, root: Path) -> None:
    with watched(root):
        requests.get(server.url)


def test_replay_refuses_what_goes_past_it(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    connections = server.connections
    ingest = IngestSession(SOURCE, tmp_path, "replay", watch=True).open()
    assert requests.get(server.url).content == b"hello"
    for _ in range(2):
        with pytest.raises(ReplayMissError) as refused:
            raw(server.port)
    with contextlib.suppress(Exception):
        raw(server.port, "example.invalid")
    with pytest.raises(ReplayMissError, match="2 calls were not in") as caught:
        ingest.close()
    assert server.connections == connections
    assert str(refused.value) == (
        f"a connection to 127.0.0.1:{server.port} by {__name__} was refused: replay is offline, "
        "and no captured call makes it; make the call through requests or urllib3, or through "
        "http.client with stdlib=True, or let it pass with allowed_hosts=['loopback']"
    )
    assert refused.value.url == f"127.0.0.1:{server.port}"
    look_up = ingest.misses[1]
    assert f"a look-up of example.invalid:{server.port} by {__name__} was refused" in str(look_up)
    assert "allowed_hosts=['example.invalid']" in str(look_up)
    assert "the program went on without" in str(caught.value)
    assert coverage_of(ingest) == []


def test_so_does_every_client(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    done = run(
        tmp_path,
        """
        import asyncio, http.client, httpx, smtplib, socket, threading, urllib.request, urllib3
        url, port = args[0], int(args[1])

        async def stream(host):
            await asyncio.open_connection(host, port)

        async def client():
            async with httpx.AsyncClient() as client:
                await client.get(f"http://example.invalid:{port}/")

        def thread():
            found = []
            def work():
                try:
                    socket.create_connection(("127.0.0.1", port))
                except Exception as exc:
                    found.append(exc)
            one = threading.Thread(target=work)
            one.start()
            one.join()
            raise found[0]

        def datagram():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", ("127.0.0.1", port))

        def unix():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect("/nowhere")

        roads = [
            lambda: socket.create_connection(("127.0.0.1", port)),
            lambda: socket.gethostbyname("example.invalid"),
            lambda: asyncio.run(stream("127.0.0.1")),
            lambda: asyncio.run(stream("example.invalid")),
            lambda: httpx.get(url),
            lambda: asyncio.run(client()),
            lambda: smtplib.SMTP("127.0.0.1", port),
            lambda: urllib.request.urlopen(url),
            lambda: urllib3.PoolManager().request("GET", url),
            thread, datagram, unix,
        ]
        ingest = IngestSession("test", root, "replay", watch=True, hook=False).open()
        for number, road in enumerate(roads):
            try:
                road()
            except Exception as exc:
                print(number, type(exc).__name__)
        print(len(ingest.misses))
        """,
        server.url, str(server.port),
    )  # fmt: skip
    assert done.stdout.split("\n")[:12] == [f"{n} ReplayMissError" for n in range(12)], done.stderr
    assert server.hits == 1


def test_a_forked_child_can_not_swallow_it_either(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    done = run(
        tmp_path,
        """
        import os, socket
        with IngestSession("test", root, "replay", watch=True) as ingest:
            child = os.fork()
            if child == 0:
                try:
                    socket.create_connection(("127.0.0.1", int(args[0])))
                except Exception:
                    sys.exit()
            os.waitpid(child, 0)
        print(len(ingest.misses))
        """,
        str(server.port),
    )
    assert done.stdout == "0\n"
    assert "1 call was not in the recording and the program went on without" in done.stderr
    assert server.connections == 1


def test_what_is_allowed_passes_in_replay(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    with watched(tmp_path, "replay", allowed_hosts=["loopback"]) as ingest:
        raw(server.port)
        raw(server.port, "localhost")
        with pytest.raises(ReplayMissError):
            socket.gethostbyname("example.invalid")
        ingest.misses.clear()
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sock:
        listener.bind(str(path))
        listener.listen()
        with watched(tmp_path, "replay", allowed_hosts=["unix"]) as ingest:
            sock.connect(str(path))
            with pytest.raises(ReplayMissError):
                raw(server.port)
            ingest.misses.clear()


def test_a_name_that_is_allowed_is_by_whatever_road_its_address_comes(
    server: RawServer, tmp_path: Path
) -> None:
    async def connect() -> None:
        loop = asyncio.get_running_loop()
        for name in ("ip6-localhost", "localhost"):
            with contextlib.suppress(OSError):
                found = await loop.getaddrinfo(name, server.port, family=socket.AF_INET)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, found[0][4])

    record(server, tmp_path)
    with watched(tmp_path, "replay", allowed_hosts=["localhost"]):
        asyncio.run(connect())


def test_without_watch_they_pass(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    with IngestSession(SOURCE, tmp_path, "replay"):
        raw(server.port)


def test_a_child_process_in_replay_is_warned_of(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    said = "replay started true: what a child process fetches"
    with pytest.warns(DataIOWarning, match=said), watched(tmp_path, "replay") as ingest:
        subprocess.run(["true"], check=True)
    assert coverage_of(ingest) == [Unseen("process", "true", 1, __name__)]


def test_recording_anew_in_auto_is_not_refused(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path, "auto") as ingest:
        requests.get(server.url)
        raw(server.port)
    assert len(coverage_of(ingest)) == 1


def test_a_recording_within_a_replay_connects(server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path)
    with watched(tmp_path, "replay"), IngestSession(SOURCE, tmp_path, "record"):
        assert requests.get(server.url).content == b"hello"


def test_a_process_that_admits_no_hook(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import warnings
        from mxm_dataio import ConfigError, DataIOWarning
        def admits_none(event, args):
            if event == "sys.addaudithook":
                raise RuntimeError
        sys.addaudithook(admits_none)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with IngestSession("audit", root, watch=True) as ingest:
                pass
        ours = [one for one in said if issubclass(one.category, DataIOWarning)]
        print(ingest.session.status, ingest.session.coverage, len(ours))
        try:
            IngestSession("audit", root, "replay", watch=True).open()
        except ConfigError as exc:
            print("refused", exc)
        """,
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "incomplete None 1"
    assert second.startswith("refused this process has an audit hook that admits no other")


def test_sessions_that_overlap_each_have_their_own(server: RawServer, tmp_path: Path) -> None:
    with watched(tmp_path) as outer:
        raw(server.port)
        with watched(tmp_path, allowed_hosts=["loopback"]) as inner:
            raw(server.port)
        with watched(tmp_path) as last:
            raw(server.port)
    assert [one.times for one in coverage_of(outer)] == [3]
    assert coverage_of(inner) == []
    assert [one.times for one in coverage_of(last)] == [1]


def test_threads_that_connect_at_once_are_all_counted(server: RawServer, tmp_path: Path) -> None:
    def many() -> None:
        for _ in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", 9))

    with watched(tmp_path) as ingest:
        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert coverage_of(ingest) == [Unseen("connection", "127.0.0.1:9", 160, __name__)]


def test_a_program_that_is_watched_is_not_slowed(server: RawServer, tmp_path: Path) -> None:
    def connect() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", 9))

    def seconds(work: Callable[[], object], count: int = 300) -> float:
        best = 1.0
        for _ in range(5):
            clock = time.thread_time()
            for _ in range(count):
                work()
            best = min(best, (time.thread_time() - clock) / count)
        return best

    with watched(tmp_path):
        assert seconds(connect) < 1e-3, "some 15 µs of the processor"
        assert seconds(lambda: compile("x = 1", "<x>", "exec")) < 1e-3


def test_the_setting_comes_from_the_environment(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXM_DATAIO_WATCH", "1")
    monkeypatch.setenv("MXM_DATAIO_ALLOWED_HOSTS", f"127.0.0.1:{server.port + 1},localhost")
    with IngestSession(SOURCE, tmp_path) as ingest:
        raw(server.port)
        raw(server.port, "localhost")
    assert coverage_of(ingest) == [Unseen("connection", f"127.0.0.1:{server.port}", 1, __name__)]
    assert issubclass(ConfigError, Exception)
