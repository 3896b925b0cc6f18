"""``http.client`` plainly, recorded and replayed: every answer, reader, upload and failure."""

from __future__ import annotations

import array
import http.client
import io
import mmap
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.answers import ANSWERS, RUINS, TEXT
from tests.support.effort import sampled
from tests.support.harness import outcome, three_ways
from tests.support.proxies import proxy
from tests.support.servers import Connection, RawServer, Request, answer, responder, tls_server
from tests.support.ways import wire_ways

Answer = http.client.HTTPResponse


def observe(response: Answer) -> dict[str, Any]:
    """Return all that a program can see of an answer before it reads the body."""
    return {
        "type": type(response),
        "line": (response.version, response.status, response.code, response.reason),
        "headers": response.getheaders(),
        "message": (response.msg is response.headers, response.info().as_bytes()),
        "defects": [type(defect).__name__ for defect in response.msg.defects],
        "one": (response.getheader("content-TYPE"), response.getheader("none", "default")),
        "framing": (response.chunked, response.length, response.will_close),
        "file": (response.readable(), response.isclosed(), response.closed),
        "reader": type(response.fp),
    }


def by_steps(read: Callable[[Answer], Any]) -> Callable[[Answer], Any]:
    """Return a reader that reads on until nothing comes, and keeps what came until it fails."""

    def reader(response: Answer) -> Any:
        parts = []
        while True:
            got = outcome(lambda: read(response))
            parts.append((got, response.length, response.isclosed()))
            if not got or not isinstance(got, (bytes, int)) or len(parts) > 2000:
                return parts

    return reader


def peeked(response: Answer) -> Any:
    ahead = response.peek()
    got = response.read(7)
    # How much is ahead is up to the network.
    assert got.startswith(ahead[:7]) or ahead.startswith(got)
    return got


def filled(response: Answer) -> Any:
    buffer = bytearray(1000)
    count = response.readinto(buffer)
    return bytes(buffer[:count])


def copied(response: Answer) -> Any:
    with tempfile.TemporaryFile() as file:
        while block := response.read(4096):
            file.write(block)
        file.seek(0)
        return file.read()


READERS: dict[str, Callable[[Answer], Any]] = {
    "read": lambda r: r.read(),
    "read again": lambda r: (r.read(), r.read(), r.read(5)),
    "read in parts": by_steps(lambda r: r.read(1009)),
    "read nothing": lambda r: (r.read(0), r.read()),
    "readinto": by_steps(filled),
    "readline": by_steps(lambda r: r.readline()),
    "readline in parts": by_steps(lambda r: r.readline(10)),
    "readlines": lambda r: r.readlines(),
    "iteration": lambda r: list(r),
    "peek": by_steps(peeked),
    "text": lambda r: io.TextIOWrapper(r, "latin-1").read(),
    "buffered": lambda r: io.BufferedReader(r).read(),
    "copied": copied,
    "below": lambda r: r.fp.read(2) if r.fp else None,
    "with": lambda r: (r.__enter__() is r, r.read(4), r.__exit__(None, None, None), r.closed),
    "closed": lambda r: (r.close(), r.isclosed(), r.closed),
}
MAIN = ("read", "read in parts", "readinto", "readline", "iteration")
# Each kind of framing.
KINDS = (
    "plain", "gzip", "chunked", "chunk-extensions", "chunked-empty", "close-delimited", "http10",
    "no-content", "empty", "switching-chunked", "too-long", "bare-lf",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[RawServer]:
    def method(request: Request) -> bytes:
        return answer(200, request.method.encode() + request.body)

    routes: dict[str, Any] = {f"/{name}": body for name, body in ANSWERS.items()}
    with RawServer(responder({**routes, "/method": method})) as running:
        yield running


def connected(server: RawServer) -> Any:
    return closing(http.client.HTTPConnection(server.host, server.port, timeout=20))


@pytest.mark.parametrize("name", sampled(ANSWERS, 2))
def test_every_answer_by_every_reader(name: str, server: RawServer, tmp_path: Path) -> None:
    readers = READERS if name in KINDS else MAIN

    def work() -> Any:
        seen = []
        for reader in readers:
            with connected(server) as connection:
                # Some read past the end of a body, and would wait for ever.
                connection.request("GET", f"/{name}", headers={"Connection": "close"})
                response = connection.getresponse()
                first = observe(response)
                body = outcome(lambda read=READERS[reader], response=response: read(response))
                after = response.isclosed(), response.closed, response.length
                seen.append((reader, first, body, after, connection.sock is None))
                response.close()
        return seen

    three_ways(tmp_path, server, work, stdlib=True)
    with RecordingStore(tmp_path) as store:
        calls = list(store.exchanges(store.sessions()[0].id))
    assert len(calls) == len(readers)


@pytest.mark.parametrize("name", KINDS)
def test_read1_gives_the_same_in_the_end(name: str, server: RawServer, tmp_path: Path) -> None:
    """How much it gives at a time is up to the network."""

    def work() -> Any:
        with connected(server) as connection:
            connection.request("GET", f"/{name}")
            response = connection.getresponse()
            parts = []
            while part := response.read1(5000):
                parts.append(part)
            return observe(response), b"".join(parts)

    three_ways(tmp_path, server, work, stdlib=True)


@pytest.mark.parametrize("name", sampled(RUINS, 2))
def test_ruins(name: str, tmp_path: Path) -> None:
    def wreck(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(RUINS[name])

    def one(read: Callable[[Answer], Any], server: RawServer) -> Any:
        with connected(server) as connection:
            connection.request("GET", "/")
            response = connection.getresponse()
            return observe(response), outcome(lambda: read(response)), response.isclosed()

    with RawServer(wreck) as server:

        def work() -> Any:
            names = ("read", "read in parts", "readinto", "readline", "iteration")
            return [outcome(lambda n=n: one(READERS[n], server)) for n in names]

        three_ways(tmp_path, server, work, stdlib=True)


def test_head_then_get(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        seen = []
        with connected(server) as connection:
            for method in ("HEAD", "GET", "OPTIONS", "HEAD", "DELETE"):
                connection.request(method, "/empty")
                response = connection.getresponse()
                seen.append((observe(response), response.read(), response.getheaders()))
        return seen

    three_ways(tmp_path, server, work, stdlib=True)


def test_many_on_one_connection(server: RawServer, tmp_path: Path) -> None:
    names = ["plain", "chunked", "empty", "gzip", "no-content", "http10-keep-alive", "not-found"]

    def work() -> Any:
        seen = []
        with connected(server) as connection:
            for name in names * 3:
                connection.request("GET", f"/{name}", headers={"X-Mine": name})
                with connection.getresponse() as response:
                    seen.append((observe(response), response.read(), bool(connection.sock)))
        return seen

    three_ways(tmp_path, server, work, stdlib=True)


# -- uploads, byte for byte ------------------------------------------------------------------

BODY = bytes(range(256)) * 100


def mapped() -> mmap.mmap:
    block = mmap.mmap(-1, len(BODY))
    block.write(BODY)
    block.seek(10)
    return block


class Reader:
    """A file of no class of Python's."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def file_of(data: bytes) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(3)
    return file


UPLOADS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "empty": lambda: b"",
    "bytes": lambda: BODY,
    "bytearray": lambda: bytearray(BODY),
    "memoryview": lambda: memoryview(BODY)[5:],
    "array": lambda: array.array("B", range(200)),
    "map": mapped,
    "text": lambda: "Größe",
    "text beyond": lambda: "€",
    "file": lambda: file_of(BODY),
    "file of text": lambda: io.StringIO("Größe " * 3000),
    "odd file": lambda: Reader(BODY),
    "empty file": lambda: io.BytesIO(),
    "list": lambda: [b"one", b"", b"two" * 5000],
    "iterator": lambda: iter([b"one", b"two"]),
    "generator": lambda: (b"%d," % n for n in range(50)),
    "generator that fails": lambda: (b"1" if n else 1 / 0 for n in (1, 2, 0)),
    "number": lambda: 5,
}
FRAMINGS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "as it comes": ({}, {}),
    "chunked": ({"Transfer-Encoding": "chunked"}, {"encode_chunked": True}),
}


def echo(request: Request) -> bytes:
    seen = f"{request.method} {request.body_length} {request.body_sha256}"
    return answer(200, seen.encode(), headers=[("Connection", "close")])


@pytest.mark.parametrize("name", UPLOADS)
def test_uploads(name: str, tmp_path: Path) -> None:
    with RawServer(responder({"/": echo})) as server:

        def one(framing: str) -> Any:
            headers, options = FRAMINGS[framing]
            body = UPLOADS[name]()
            with connected(server) as connection:
                try:
                    connection.request("POST", "/", body, headers, **options)
                    return connection.getresponse().read()
                finally:
                    if hasattr(body, "close"):
                        body.close()

        def work(_open: Any) -> Any:
            # Of nothing http.client makes no chunks, and the server would wait.
            framings = [f for f in FRAMINGS if name != "nothing" or not FRAMINGS[f][0]]
            return [outcome(lambda f=f: one(f)) for f in framings]

        wire_ways(tmp_path, server, work, stdlib=True)


def test_a_file_of_known_length(tmp_path: Path) -> None:
    """Not read ahead of what is sent, nor beyond."""

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            reads.append((size, len(data)))
            return data

    reads: list[tuple[int | None, int]] = []
    with RawServer(responder({"/": echo})) as server:

        def work(_open: Any) -> Any:
            reads.clear()
            headers = {"Content-Length": str(len(BODY))}
            with connected(server) as connection:
                connection.request("PUT", "/", Counted(BODY), headers)
                return connection.getresponse().read(), list(reads)

        got = wire_ways(tmp_path, server, work, stdlib=True)
    assert len(got[1]) > 2


def test_step_by_step(tmp_path: Path) -> None:
    with RawServer(responder({"/": echo})) as server:

        def steps(*sends: Any, body: Any = None, headers: Any = (), **options: Any) -> Any:
            with connected(server) as connection:
                connection.putrequest("POST", "/?a=1", **options)
                for name, *values in headers:
                    connection.putheader(name, *values)
                connection.endheaders(*([body] if body is not None else []))
                for data in sends:
                    connection.send(data)
                response = connection.getresponse()
                return observe(response), response.read()

        def work(_open: Any) -> Any:
            return [
                steps(headers=[("Content-Length", 0)]),
                steps(headers=[("X-Two", "1", "2"), ("X-Bytes", b"\xe4"), ("Content-Length", "0")]),
                steps(b"abc", b"", b"def", headers=[("Content-Length", "6")]),
                steps(b"def", body=b"abc", headers=[("Content-Length", "6")]),
                steps(b"xyz", body=b"abc", headers=[("Content-Length", "6")]),
                steps(io.BytesIO(b"abc"), [b"d", b"ef"], headers=[("Content-Length", "6")]),
                steps(io.StringIO("äöü"), array.array("B", b"d"), headers=[("Content-Length", 4)]),
                steps(b"3\r\nabc\r\n", b"0\r\n\r\n", headers=[("Transfer-Encoding", "chunked")]),
                steps(body=b"abc", headers=[("Content-Length", "3")], skip_host=True),
                steps(body=b"abc", headers=[("Content-Length", "3")], skip_accept_encoding=1),
            ]  # fmt: skip

        got = wire_ways(tmp_path, server, work, stdlib=True)
    # Told apart by what was sent after the first part.
    assert got[3][1] != got[4][1]


def test_an_answer_before_the_upload_ends(tmp_path: Path) -> None:
    def refuse(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer(413, b"too much", headers=[("Connection", "close")]))
        go.wait(10)

    go = threading.Event()
    with RawServer(refuse) as server:

        def work() -> Any:
            go.clear()
            with connected(server) as connection:
                connection.request("POST", "/", b"x" * 100)
                response = connection.getresponse()
                try:
                    return observe(response), response.read()
                finally:
                    go.set()

        three_ways(tmp_path, server, work, stdlib=True)


# -- what a connection does -------------------------------------------------------------------


def test_out_of_order(server: RawServer, tmp_path: Path) -> None:
    """What http.client refuses, it refuses alike, and goes on alike."""

    def work() -> Any:
        seen = []
        with connected(server) as connection:
            seen.append(outcome(connection.getresponse))
            seen.append(outcome(connection.endheaders))
            seen.append(outcome(lambda: connection.putheader("a", "b")))
            connection.putrequest("GET", "/plain")
            seen.append(outcome(lambda: connection.request("GET", "/gzip")))
            seen.append(outcome(lambda: connection.putheader("bad name", "b")))
            seen.append(outcome(lambda: connection.putheader("name", "b\r\nc: d")))
            seen.append(outcome(connection.getresponse))
            connection.endheaders()
            seen.append(outcome(connection.endheaders))
            seen.append(outcome(lambda: connection.request("GET", "/gzip")))
            first = connection.getresponse()
            seen.append(outcome(connection.getresponse))
            connection.request("GET", "/chunked")
            seen.append(outcome(connection.getresponse))
            seen.append(first.read())
            seen.append(connection.getresponse().read())
            seen.append(outcome(lambda: connection.request("GET", "/a b")))
            connection.close()
            seen.append(outcome(lambda: connection.request("GET\n", "/a")))
            connection.close()
            connection.request("GET", "/plain")
            connection.close()
            seen.append(outcome(connection.getresponse))
            connection.request("GET", "/plain")
            seen.append(connection.getresponse().read())
            seen.append(outcome(lambda: connection.set_tunnel("a.test")))
        return seen

    three_ways(tmp_path, server, work, stdlib=True)


def test_debugging_prints_the_same(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        out = io.StringIO()
        with redirect_stdout(out), connected(server) as connection:
            connection.set_debuglevel(1)
            connection.request("GET", "/plain", headers={"X-A": "1"})
            connection.getresponse().read()
            connection.request("POST", "/method", iter([b"a", b"", b"b"]))
            connection.getresponse().read()
            connection.request("POST", "/method", io.StringIO("text"))
            connection.getresponse().read()
            connection.putrequest("POST", "/method")
            connection.putheader("Content-Length", "9")
            connection.endheaders()
            for data in (io.BytesIO(b"abc"), io.StringIO("abc"), [b"ab", b"c"]):
                connection.send(data)
            connection.getresponse().read()
        return [line.partition(" at 0x")[0] for line in out.getvalue().splitlines()]

    got = three_ways(tmp_path, server, work, stdlib=True)
    assert any(line.startswith("header: Content-Length") for line in got)


def test_without_auto_open(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with connected(server) as connection:
            connection.auto_open = 0
            refused = outcome(lambda: connection.request("GET", "/plain"))
            connection.close()
            connection.connect()
            connection.request("GET", "/plain")
            return refused, connection.getresponse().read()

    three_ways(tmp_path, server, work, stdlib=True)
    with RecordingStore(tmp_path) as store:
        methods = [call.request.method for call in store.exchanges(store.sessions()[0].id)]
    assert methods == ["CONNECT", "GET"]


def test_the_socket_of_a_connection(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with connected(server) as connection:
            before = connection.sock
            connection.request("GET", "/plain")
            sock = connection.sock
            connection.getresponse().read()
            facts = sock is connection.sock, sock.gettimeout(), sock.getpeername()
            sock.settimeout(3)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert sock.fileno() > 0
            connection.close()
            return before, facts[0], facts[2], connection.sock

    three_ways(tmp_path, server, work, stdlib=True)


class Answering(http.client.HTTPResponse):
    """A program's own answer."""

    def begin(self) -> None:
        super().begin()
        self.headers["X-Added"] = "by the program"


class Mine(http.client.HTTPConnection):
    """A program's own connection, with something to say at every step."""

    response_class = Answering

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.log: list[str] = []
        super().__init__(*args, **kwargs)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        self.log.append("request")
        super().request(method, url, *args, **kwargs)

    def putheader(self, header: Any, *values: Any) -> None:
        self.log.append(f"header {header}")
        super().putheader(header, *values)

    def endheaders(self, message_body: Any = None, **kwargs: Any) -> None:
        super().putheader("X-Signed", "yes")
        super().endheaders(message_body, **kwargs)

    def send(self, data: Any) -> None:
        self.log.append(f"send {len(data)}")
        super().send(data)

    def getresponse(self) -> Answer:
        self.log.append("getresponse")
        return super().getresponse()

    def close(self) -> None:
        self.log.append("close")
        super().close()


def test_a_subclass(tmp_path: Path) -> None:
    with RawServer(responder({"/": echo})) as server:

        def work(_open: Any) -> Any:
            connection = Mine(server.host, server.port)
            seen = []
            for body in (None, b"abc", iter([b"a", b"b"])):
                connection.request("POST", "/", body)
                response = connection.getresponse()
                seen.append((observe(response), response.read()))
            connection.close()
            return seen, connection.log

        wire_ways(tmp_path, server, work, stdlib=True)
        assert all(request.header("X-Signed") == "yes" for request in server.requests)


def test_answers_made_by_the_program(server: RawServer, tmp_path: Path) -> None:
    """Without a connection there is no call; and none of it is anything to us."""

    def work() -> Any:
        with socket.create_connection((server.host, server.port)) as sock:
            sock.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
            response = http.client.HTTPResponse(sock)
            response.begin()
            return observe(response), response.read()

    plain = work()
    with IngestSession("test", tmp_path, stdlib=True) as ingest:
        assert work() == plain
    with RecordingStore(tmp_path) as store:
        assert list(store.exchanges(ingest.id)) == []


# -- failures ---------------------------------------------------------------------------------


def fetch(connection: http.client.HTTPConnection, body: Any = None) -> Any:
    """Return what happens at each step, and what is left."""
    sent = outcome(lambda: connection.request("GET", "/", body))
    seen = [sent]
    if sent is None:
        response = outcome(connection.getresponse)
        seen.append(response if not isinstance(response, Answer) else observe(response))
        if isinstance(response, Answer):
            # A second time too: what a socket says after it has failed once.
            seen += [outcome(response.read), outcome(response.read)]
    seen.append(connection.sock is None)
    connection.close()
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("body", [None, b"abc", "stream"])
def test_refused(body: Any, tmp_path: Path) -> None:
    port = free_port()

    def work() -> Any:
        given = iter([b"a"]) if body == "stream" else body
        return fetch(http.client.HTTPConnection("127.0.0.1", port), given)

    got = three_ways(tmp_path, None, work, stdlib=True)
    assert got[0].name == "ConnectionRefusedError"


def test_a_name_that_is_none(tmp_path: Path) -> None:
    def work() -> Any:
        return fetch(http.client.HTTPConnection("no-such-host.invalid"))

    got = three_ways(tmp_path, None, work, stdlib=True)
    assert got[0].name == "gaierror"


def reset_at_once(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def hang(connection: Connection) -> None:
    connection.read_request()
    connection.receive()


def hang_amid(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.")
    connection.receive()


def hang_in_head(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-")
    connection.receive()


def reset_amid(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.")
    read.wait(10)
    connection.reset()


read = threading.Event()


@pytest.mark.parametrize("handle", [reset_at_once, hang, hang_amid, hang_in_head])
def test_no_answer(handle: Any, tmp_path: Path) -> None:
    with RawServer(handle) as server:

        def work() -> Any:
            return fetch(http.client.HTTPConnection(server.host, server.port, timeout=0.1))

        # It may not have read the request yet when the client gives up; so not by counting.
        three_ways(tmp_path, None, work, before_replay=server.stop, stdlib=True)


def test_cut_amid_the_body(tmp_path: Path) -> None:
    with RawServer(reset_amid) as server:

        def work() -> Any:
            read.clear()
            with connected(server) as connection:
                connection.request("GET", "/")
                response = connection.getresponse()
                seen = [response.read(5)]
                read.set()
                seen += [outcome(lambda: response.read(5)), outcome(response.read)]
                return seen

        got = three_ways(tmp_path, server, work, stdlib=True)
    assert got[1].name == "ConnectionResetError"


def test_connecting_by_oneself(server: RawServer, tmp_path: Path) -> None:
    """``connect()`` fails where it failed, as often as it did."""
    port = free_port()

    def work() -> Any:
        seen = []
        up: RawServer | None = None
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for attempt in range(4):
            if attempt == 2 and live:
                up = At(port)
            seen.append(outcome(connection.connect))
            connection.close()
        if up is not None:
            up.stop()
        with connected(server) as other:
            other.connect()
            other.request("GET", "/plain")
            seen.append(other.getresponse().read())
        return seen

    class At(RawServer):
        def __init__(self, port: int) -> None:
            self._at = port
            super().__init__(hang)

        def _listen(self) -> socket.socket:
            return socket.create_server((self.host, self._at))

    live = True

    def offline() -> None:
        nonlocal live
        live = False

    got = three_ways(tmp_path, server, work, before_replay=offline, stdlib=True)
    names = [getattr(one, "name", one) for one in got[:4]]
    assert names == ["ConnectionRefusedError", "ConnectionRefusedError", None, None]


def test_a_server_that_hangs_up_between_requests(tmp_path: Path) -> None:
    def once(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer(200, b"ok"))

    with RawServer(once) as server:

        def work() -> Any:
            seen = []
            connection = http.client.HTTPConnection(server.host, server.port)
            connection.request("GET", "/1")
            seen.append(connection.getresponse().read())
            server.sync()
            # What then comes is up to the moment; that a program tries again is its own affair.
            for _ in range(2):
                try:
                    connection.request("GET", "/2")
                    seen.append(connection.getresponse().read())
                    break
                except (ConnectionError, http.client.RemoteDisconnected):
                    connection.close()
            connection.close()
            return seen

        three_ways(tmp_path, None, work, stdlib=True)


# -- TLS and tunnels --------------------------------------------------------------------------


def test_tls(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    trusting, doubting = ssl.create_default_context(cafile=bundle), ssl.create_default_context()
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:

        def one(host: str, client: ssl.SSLContext) -> Any:
            return fetch(http.client.HTTPSConnection(host, server.port, context=client))

        def work() -> Any:
            return [
                one("127.0.0.1", trusting),
                one("localhost", trusting),
                one("127.0.0.1", doubting),
            ]

        got = three_ways(tmp_path / "root", server, work, stdlib=True)
        assert got[2][0].name == "SSLCertVerificationError"
        port = server.port
    with RecordingStore(tmp_path / "root") as store:
        first, *_ = store.exchanges(store.sessions()[0].id)
    assert first.request.url == f"https://127.0.0.1:{port}/"
    assert first.answer is not None
    assert (first.answer.peer.tls_version or "").startswith("TLS")
    assert first.answer.timings.connect is not None
    assert first.answer.timings.tls is not None


def test_a_tunnel(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    trusting = ssl.create_default_context(cafile=bundle)
    with (
        RawServer(responder({"/": answer(200, TEXT)}), tls=context) as origin,
        RawServer(responder({"/": answer(200, b"bare")})) as plain,
        RawServer(proxy()) as tunnel,
        RawServer(proxy(refusal=answer(403, b"no"))) as closed,
    ):

        def one(cls: Any, by: RawServer, to: int, **options: Any) -> Any:
            connection = cls(by.host, by.port, **options)
            connection.set_tunnel("127.0.0.1", to, headers={"X-Through": "1"})
            return fetch(connection)

        def work() -> Any:
            secure = http.client.HTTPSConnection
            return [
                one(secure, tunnel, origin.port, context=trusting),
                one(http.client.HTTPConnection, tunnel, plain.port),
                one(secure, closed, origin.port, context=trusting),
            ]

        three_ways(tmp_path / "root", tunnel, work, stdlib=True)
        urls = [f"https://127.0.0.1:{origin.port}/", f"http://127.0.0.1:{plain.port}/"]
    with RecordingStore(tmp_path / "root") as store:
        calls = list(store.exchanges(store.sessions()[0].id))
    assert [call.request.url for call in calls] == [*urls, urls[0]]
