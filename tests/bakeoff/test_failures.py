"""What goes wrong, plainly, recorded and replayed: the same exceptions, the same partial bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, mount
from tests.bakeoff.test_readers import READERS
from tests.support.answers import RUINS
from tests.support.effort import crossed, sampled
from tests.support.harness import SOURCE, Raised, mounted, outcome, three_ways
from tests.support.servers import Connection, RawServer, answer


def ruin(name: str) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(RUINS[name])
            connection.close()

    return handler


@pytest.mark.parametrize(
    ("name", "reader"),
    crossed(
        RUINS,
        [
            "read",
            "read-amount",
            "stream",
            "stream-decoded",
            "read-chunked",
            "data",
            "readinto",
            "drained",
        ],
        6,
    ),
)
def test_ruins_while_streaming(name: str, reader: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work(session: requests.Session) -> Any:
            response = session.get(f"{server.url}/{name}", stream=True)
            raw = response.raw
            first = outcome(lambda: READERS[reader](raw))
            return first, raw.tell(), raw.closed, outcome(raw.read), raw.length_remaining

        def hooked() -> Any:
            with requests.Session() as session:
                return work(session)

        plain = three_ways(tmp_path / "1", server, hooked)
        assert mounted(tmp_path / "2", server, work) == plain


@pytest.mark.parametrize("name", sampled(RUINS, 2))
def test_ruins_piece_by_piece(name: str, tmp_path: Path) -> None:
    def pieces(got: list[Any], reader: Any) -> Any:
        return got, outcome(lambda: got.extend(reader))

    with RawServer(ruin(name)) as server:

        def work() -> Any:
            # A connection for each: the server closes it, and when that is noticed is left to luck.
            url, seen = f"{server.url}/{name}", []
            for size in (3, None):
                with requests.Session() as session:
                    response = session.get(url, stream=True)
                    seen.append(pieces([], response.iter_content(size)))
                    seen.append(outcome(lambda again=response: again.content))
            with requests.Session() as session:
                seen.append(pieces([], session.get(url, stream=True).iter_lines(4)))
            with urllib3.PoolManager() as pool:
                raw = pool.request("GET", url, preload_content=False)
                seen.append(pieces([], raw.stream(3)))
            return seen

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", RUINS)
def test_ruins_through_requests(name: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:
        url = f"{server.url}/x?q=1"
        three_ways(tmp_path / "1", server, lambda: requests.get(url).content)
        mounted(tmp_path / "2", server, lambda session: session.get(url).content)


@pytest.mark.parametrize(("name", "retries"), crossed(RUINS, [False, 0, 2]))
def test_ruins_through_urllib3(name: str, retries: Any, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", f"{server.url}/x", retries=retries).data

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("sent", [b"", b"first part"])
@pytest.mark.parametrize("chunked", [False, True])
def test_reset_after_the_head(chunked: bool, sent: bytes, tmp_path: Path) -> None:
    """The reset follows once the program holds the head, and what came of the body."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 100"
    piece = b"%x\r\n%b\r\n" % (len(sent), sent) if chunked and sent else sent

    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + piece)
            go.wait(5)
            go.clear()
            connection.reset()

    go = threading.Event()
    with RawServer(handler) as server:

        def work(session: requests.Session) -> Any:
            got: list[bytes] = []
            response = session.get(server.url, stream=True)
            stream = response.iter_content(5)
            got += [next(stream) for _ in range(len(sent) // 5)]
            go.set()
            failed = outcome(lambda: got.extend(stream))
            return failed, got, response.raw.tell(), outcome(response.raw.read)

        def hooked() -> Any:
            with requests.Session() as session:
                return work(session)

        plain = three_ways(tmp_path / "1", server, hooked)
        go.clear()
        assert mounted(tmp_path / "2", server, work) == plain
    assert b"".join(plain[1]) == sent
    assert plain[0].name in ("ConnectionError", "ChunkedEncodingError")


def test_reset_before_the_answer(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.reset()

    with RawServer(handler) as server:
        seen = three_ways(tmp_path / "1", server, lambda: requests.get(server.url))
        mounted(tmp_path / "2", server, lambda session: session.get(server.url))
    assert seen.name == "ConnectionError"
    assert seen.context.name == "ProtocolError"
    assert seen.context.context.name == "ConnectionResetError"


def test_reset_between_two_calls(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(answer(200, b"whole"))
            go.wait(5)
            go.clear()
            connection.reset()
            gone.set()

    go, gone = threading.Event(), threading.Event()
    with RawServer(handler) as server:

        def work() -> Any:
            with requests.Session() as session:
                first = session.get(server.url).content
                live = server.hits > len(hits)
                hits.extend([0] * (server.hits - len(hits)))
                go.set()
                if live:
                    assert gone.wait(5)
                gone.clear()
                second = session.get(server.url).content
                hits.extend([0] * (server.hits - len(hits)))
                go.set()
                if live:
                    assert gone.wait(5)
                gone.clear()
                return first, second

        hits: list[int] = []
        assert three_ways(tmp_path, server, work) == (b"whole", b"whole")


@pytest.mark.parametrize("amid", [False, True])
def test_read_timeout(amid: bool, tmp_path: Path) -> None:
    stop = threading.Event()

    def handler(connection: Connection) -> None:
        if connection.read_request():
            if amid:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            stop.wait(5)

    with RawServer(handler) as server:

        def work(session: requests.Session) -> Any:
            got: list[bytes] = []

            def read() -> None:
                with session.get(server.url, timeout=0.2, stream=True) as response:
                    got.extend(response.iter_content(2))

            return outcome(read), got, outcome(lambda: session.get(server.url, timeout=(3, 0.2)))

        def hooked() -> Any:
            with requests.Session() as session:
                return work(session)

        def pooled() -> Any:
            with urllib3.PoolManager(timeout=urllib3.Timeout(read=0.2)) as pool:
                return [
                    outcome(
                        lambda retries=retries: pool.request("GET", server.url, retries=retries)
                    )
                    for retries in (False, 0, 1)
                ]

        plain = three_ways(tmp_path / "1", server, hooked)
        mounted(tmp_path / "2", server, work)
        three_ways(tmp_path / "3", server, pooled)
        stop.set()
    assert plain[0].name == ("ConnectionError" if amid else "ReadTimeout")
    assert plain[1] == ([b"ha", b"lf"] if amid else [])


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port that answers no more connections: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_connect_timeout(full_port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{full_port}/"

    def work(session: requests.Session) -> Any:
        return session.get(url, timeout=(0.1, 5))

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    def pooled() -> Any:
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=0.1)) as pool:
            return [
                outcome(lambda retries=retries: pool.request("GET", url, retries=retries))
                for retries in (False, 0, 1)
            ]

    plain = three_ways(tmp_path / "1", None, hooked)
    if not isinstance(plain, Raised):
        pytest.skip("this system takes connections beyond the backlog")
    assert plain.name == "ConnectTimeout"
    mounted(tmp_path / "2", None, work)
    three_ways(tmp_path / "3", None, pooled)


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

    def by_mount(session: requests.Session) -> Any:
        session.get_adapter(url).max_retries = Retry.from_int(retries)
        return session.get(url)

    assert three_ways(tmp_path / "1", None, by_requests).name == "ConnectionError"
    three_ways(tmp_path / "2", None, by_urllib3)
    mounted(tmp_path / "3", None, by_mount)


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, *args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    url = "http://no-such-host.invalid/"
    seen = three_ways(tmp_path / "1", None, lambda: requests.get(url))
    assert seen.name == "ConnectionError"
    mounted(tmp_path / "2", None, lambda session: session.get(url))
    with urllib3.PoolManager() as pool:
        three_ways(tmp_path / "3", None, lambda: pool.request("GET", url, retries=1))


def test_a_failure_within_a_handler_keeps_its_origins(tmp_path: Path) -> None:
    """What the program was handling comes last in the chain, and never into the store."""
    url = f"http://127.0.0.1:{closed_port()}/"

    def work() -> Any:
        try:
            raise LookupError("a secret of the program's own")
        except LookupError:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", url, retries=0)

    plain = three_ways(tmp_path, None, work)
    assert plain.name == "MaxRetryError"
    assert b"secret" not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


def test_exceptions_of_a_mounted_session_are_recorded_for_the_hook_too(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/"
    seen = []
    for mode, hook in (("record", False), ("replay", True)):
        with (
            IngestSession(SOURCE, tmp_path, mode, hook=hook) as ingest,
            requests.Session() as session,
            contextlib.nullcontext() if hook else mount(session, ingest),
        ):
            seen.append(outcome(lambda: session.get(url)))
    assert seen[1] == seen[0]
    assert seen[0].name == "ConnectionError"
