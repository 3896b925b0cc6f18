"""Each behaviour of a client plainly, recorded and replayed against a real server: no change."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import shutil
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, Store
from tests.harness import SOURCE, describe, observe, outcome, three_ways
from tests.servers import Connection, RawServer, answer, responder, tls_server

TEXT = b"line one\nline two\r\nline three " * 40
GZIPPED = gzip.compress(TEXT, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


ANSWERS: dict[str, bytes] = {
    "plain": answer(200, TEXT),
    "gzip": answer(200, GZIPPED, headers=[("Content-Encoding", "gzip")]),
    "deflate": answer(200, zlib.compress(TEXT), headers=[("Content-Encoding", "deflate")]),
    "deflate-raw": answer(200, raw_deflate(TEXT), headers=[("Content-Encoding", "deflate")]),
    "multi": answer(
        200, gzip.compress(zlib.compress(TEXT), mtime=0), headers=[("Content-Encoding", "deflate, gzip")]
    ),
    "chunked": answer(200, TEXT, chunked=[1, 7, 130, 3]),
    "chunked-gzip": answer(200, GZIPPED, chunked=[5], headers=[("Content-Encoding", "gzip")]),
    "chunk-extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n00A ; x\r\n0123456789\r\n1\r\n!\r\n0;last\r\nX-Trailer: 1\r\nX-More: 2\r\n\r\n",
    "chunked-empty": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "close-delimited": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + TEXT,
    "http10": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + TEXT,
    "http10-length": answer(200, TEXT, version="HTTP/1.0"),
    "http10-keep-alive": answer(200, TEXT, version="HTTP/1.0", headers=[("Connection", "keep-alive")]),
    "no-content": answer(204),
    "empty": answer(200, b""),
    "partial": answer(206, TEXT[10:20], headers=[("Content-Range", "bytes 10-19/1200")]),
    "early-hints": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, TEXT),
    "repeated": answer(
        200, b"x", headers=[("X-A", "1"), ("x-a", "2"), ("SET-cookie", "a=b; Path=/"), ("X-Odd-CASE", " padded ")]
    ),
    "latin-1": b"HTTP/1.1 200 Tr\xe8s bien\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\nok",
    "folded": b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nContent-Length: 2\r\n\r\nok",
    "no-reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "odd-reason": b"HTTP/1.1 299 All is  well\r\nContent-Length: 2\r\n\r\nok",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bad-gzip": answer(200, b"no gzip at all", headers=[("Content-Encoding", "gzip")]),
    "length-twice": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2, 2\r\n\r\nok",
    "chunked-and-length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip-chunked-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "server-error": answer(500, b"oops"),
    "teapot": answer(418, b"short and stout", headers=[("Content-Type", "text/plain; charset=utf-8")]),
    "redirect-nowhere": answer(302),
    "big": answer(200, b"0123456789abcdef" * 40_000),
    "big-chunked": answer(200, b"0123456789abcdef" * 40_000, chunked=[8192] * 70),
}  # fmt: skip

RUINS: dict[str, bytes] = {
    "nothing": b"",
    "bad-status": b"FTP/9 what\r\n\r\n",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "truncated-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4000\r\n\r\n" + GZIPPED[:30],
    "truncated-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf",
    "ended-between-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "ended-before-line-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\nbad\r\n0\r\n\r\n",
    "no-trailer-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n",
}  # fmt: skip

READERS: dict[str, Callable[[Any], Any]] = {
    "read": lambda raw: raw.read(),
    "read-undecoded": lambda raw: raw.read(decode_content=False),
    "read-amount": lambda raw: [raw.read(7) for _ in range(5)] + [raw.read()],
    "stream": lambda raw: list(raw.stream(64)),
    "stream-decoded": lambda raw: list(raw.stream(50, decode_content=True)),
    "read-chunked": lambda raw: list(raw.read_chunked()),
    "read-chunked-amount": lambda raw: list(raw.read_chunked(4)),
    "readinto": lambda raw: _readinto(raw),
    "buffered": lambda raw: io.BufferedReader(raw).read(),
    "copyfileobj": lambda raw: _copy(raw),
    "lines": lambda raw: list(raw),
    "data": lambda raw: raw.data,
}


def _readinto(raw: Any) -> list[bytes]:
    pieces = []
    buffer = bytearray(33)
    while count := raw.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return pieces


def _copy(raw: Any) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(raw, target)
    return target.getvalue()


def ruin(name: str) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(RUINS[name])
            connection.close()

    return handler


@pytest.fixture
def server() -> Any:
    with RawServer(responder({f"/{name}": body for name, body in ANSWERS.items()})) as running:
        yield running


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_through_requests(name: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with requests.Session() as session:
            return observe(session.get(f"{server.url}/{name}", stream=True, allow_redirects=False))

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("preload", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_through_urllib3(
    name: str, preload: bool, server: RawServer, tmp_path: Path
) -> None:
    def work() -> Any:
        with urllib3.PoolManager() as pool:
            url = f"{server.url}/{name}"
            return observe(
                pool.request("GET", url, preload_content=preload, redirect=False, retries=False)
            )

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", ANSWERS)
def test_head(name: str, tmp_path: Path) -> None:
    head = ANSWERS[name].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if name in ("early-hints", "bare-lf"):
        pytest.skip("the answer's first empty line is not its head's end")
    with RawServer(responder({"/": head})) as server:

        def work() -> Any:
            with requests.Session() as session:
                return observe(session.head(f"{server.url}/"))

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "name",
    ["plain", "gzip", "chunked", "chunked-gzip", "close-delimited", "chunk-extensions", "bad-gzip"],
)
def test_readers(name: str, reader: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with requests.Session() as session:
            response = session.get(f"{server.url}/{name}", stream=True)
            return outcome(lambda: READERS[reader](response.raw)), response.raw.tell()

    three_ways(tmp_path, server, work)


@pytest.mark.skipif(not hasattr(urllib3.HTTPResponse, "read1"), reason="read1 is new in urllib3 2")
@pytest.mark.parametrize("name", ["plain", "gzip", "chunked", "close-delimited"])
def test_read1_gives_the_same_bytes(name: str, server: RawServer, tmp_path: Path) -> None:
    # How much one read1 gives depends on the arrival of packets, live as well.
    def work() -> Any:
        with requests.Session() as session:
            raw = session.get(f"{server.url}/{name}", stream=True).raw
            return b"".join(iter(lambda: raw.read1(), b""))

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("reader", ["read", "stream", "read-chunked", "data"])
@pytest.mark.parametrize("name", RUINS)
def test_ruins_while_streaming(name: str, reader: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work() -> Any:
            got: list[bytes] = []
            with requests.Session() as session:
                response = session.get(f"{server.url}/{name}", stream=True)
                result = outcome(lambda: got.append(READERS[reader](response.raw)))
            return result, got

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", RUINS)
def test_ruins_through_requests(name: str, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:
        three_ways(tmp_path, server, lambda: requests.get(f"{server.url}/x?q=1").content)


@pytest.mark.parametrize("retries", [False, 0, 2])
@pytest.mark.parametrize("name", RUINS)
def test_ruins_through_urllib3(name: str, retries: Any, tmp_path: Path) -> None:
    with RawServer(ruin(name)) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", f"{server.url}/x", retries=retries).data

        three_ways(tmp_path, server, work)


def test_reset_amid_the_body(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            connection.send(b"first part")
            go.wait(5)
            go.clear()
            connection.reset()

    go = threading.Event()
    with RawServer(handler) as server:

        def work() -> Any:
            got: list[bytes] = []
            with requests.Session() as session:
                response = session.get(server.url, stream=True)
                stream = response.iter_content(5)
                got += [next(stream), next(stream)]
                go.set()
                return outcome(lambda: got.extend(stream)), got

        (error, got) = three_ways(tmp_path, server, work)
    assert got == [b"first", b" part"]
    assert error[0] in ("ConnectionError", "ChunkedEncodingError")


def test_reset_before_the_answer(tmp_path: Path) -> None:
    def handler(connection: Connection) -> None:
        if connection.read_request():
            connection.reset()

    with RawServer(handler) as server:
        seen = three_ways(tmp_path, server, lambda: requests.get(server.url))
    assert seen[0] == "ConnectionError"


@pytest.mark.parametrize("amid", [False, True])
def test_read_timeout(amid: bool, tmp_path: Path) -> None:
    stop = threading.Event()

    def handler(connection: Connection) -> None:
        if connection.read_request():
            if amid:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            stop.wait(2)

    with RawServer(handler) as server:
        seen = three_ways(tmp_path, server, lambda: requests.get(server.url, timeout=0.2).content)
        stop.set()
    assert seen[0] == ("ConnectionError" if amid else "ReadTimeout")


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

    assert three_ways(tmp_path / "1", None, by_requests)[0] == "ConnectionError"
    three_ways(tmp_path / "2", None, by_urllib3)


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, *args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    seen = three_ways(tmp_path, None, lambda: requests.get("http://no-such-host.invalid/"))
    assert seen[0] == "ConnectionError"


def test_redirects_and_cookies(tmp_path: Path) -> None:
    with RawServer(
        responder(
            {
                "/start": answer(302, headers=[("Location", "/next"), ("Set-Cookie", "a=1; Path=/")]),
                "/next": answer(301, b"moved", headers=[("Location", "/end")]),
                "/end": answer(200, b"here", headers=[("Set-Cookie", "b=2")]),
                "/post": answer(303, headers=[("Location", "/end")]),
                "/keep": answer(307, headers=[("Location", "/end")]),
                "/loop": answer(302, headers=[("Location", "/loop")]),
            }
        )
    ) as server:  # fmt: skip

        def work() -> Any:
            with requests.Session() as session:
                session.max_redirects = 4
                got = [
                    observe(session.get(f"{server.url}/start")),
                    observe(session.post(f"{server.url}/post", data={"q": "1"})),
                    observe(session.post(f"{server.url}/keep", json={"q": [1, 2]})),
                    outcome(lambda: session.get(f"{server.url}/loop")),
                    sorted(session.cookies.keys()),
                ]
            with urllib3.PoolManager() as pool:
                got += [observe(pool.request("GET", f"{server.url}/start"))]
                got += [outcome(lambda: pool.request("GET", f"{server.url}/loop", retries=3))]
            # A bare pool follows redirects itself: attempts of one call.
            with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
                got += [observe(bare.request("GET", "/start"))]
            return got

        three_ways(tmp_path, server, work)


def test_retries_keep_their_history_and_do_not_sleep(tmp_path: Path) -> None:
    served = 0

    def flaky(_request: Any) -> bytes:
        nonlocal served
        served += 1
        return answer(503, b"later", headers=[("Retry-After", "1")]) if served % 3 else answer(200, b"now")  # fmt: skip

    with RawServer(responder({"/": flaky, "/always": answer(503, b"never")})) as server:

        def work() -> Any:
            with requests.Session() as session:
                retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
                session.mount("http://", HTTPAdapter(max_retries=retry))
                good = session.get(f"{server.url}/")
                history = good.raw.retries.history
                left = (good.raw.retries.total, [h.status for h in history])
                return observe(good), left, outcome(lambda: session.get(f"{server.url}/always"))

        plain = three_ways(tmp_path, server, work)
    assert plain[1] == (1, [503, 503])
    with Store(tmp_path) as store:
        first, second = store.exchanges(store.sessions()[0].id)
    assert [r.status_code for r in first.responses] == [503, 503, 200]
    assert [r.sequence for r in first.responses] == [1, 2, 3]
    assert [r.status_code for r in second.responses] == [503] * 4
    assert second.request.failure is not None


def test_a_retry_after_a_failure_keeps_the_failure(tmp_path: Path) -> None:
    tries = 0

    def first_fails(connection: Connection) -> None:
        nonlocal tries
        while connection.read_request():
            tries += 1
            if tries % 2:
                connection.reset()
                return
            connection.send(answer(200, b"second try"))

    with RawServer(first_fails) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                got = pool.request("GET", server.url, retries=Retry(2, backoff_factor=0))
                return got.data, [describe(h.error) for h in got.retries.history]

        plain = three_ways(tmp_path, server, work)
    assert plain[0] == b"second try"
    assert plain[1][0][0] == "ProtocolError"
    with Store(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    first, second = exchange.responses
    assert first.error_class == "urllib3.exceptions.ProtocolError"
    assert first.status_code is None
    assert (second.status_code, second.failure) == (200, None)


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_exceptions_name_their_pool(mode: str, tmp_path: Path) -> None:
    for running in ["record"] if mode == "record" else ["record", "replay"]:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", 1)
        with (
            IngestSession(SOURCE, tmp_path, running),
            pytest.raises(urllib3.exceptions.MaxRetryError) as caught,
        ):
            pool.request("GET", "/", retries=0)
        assert caught.value.pool is pool
        assert caught.value.url == "/"
        assert isinstance(caught.value.reason, urllib3.exceptions.NewConnectionError)


UPLOADS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "bytes": lambda _: {"data": b"\x00\x01binary"},
    "text": lambda _: {"data": "häh"},
    "form": lambda _: {"data": {"a": ["1", "2"], "b": ""}},
    "json": lambda _: {"json": {"b": 1.5, "a": ["ü", None]}},
    "multipart": lambda _: {"files": {"f": ("n.txt", b"content")}, "data": {"x": "y"}},
    "generator": lambda _: {"data": (part for part in (b"one", b"two", b"three" * 100))},
    "file": lambda path: {"data": opened(path, 0)},
    "file-from-middle": lambda path: {"data": opened(path, 1000)},
    "no-length": lambda _: {"data": NoLength(b"x" * 70_000)},
    "empty": lambda _: {"data": b""},
}


class NoLength:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def __iter__(self) -> Any:
        return iter(lambda: self.read(1000), b"")


def opened(path: Path, offset: int) -> Any:
    file = path.open("rb")
    file.seek(offset)
    return file


@pytest.mark.parametrize("client", ["requests", "urllib3"])
@pytest.mark.parametrize("kind", UPLOADS)
def test_uploads(kind: str, client: str, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(range(256)) * 1500)
    with RawServer(responder({"/up": lambda r: answer(200, r.body_sha256.encode())})) as server:

        def by_requests() -> Any:
            given = UPLOADS[kind](content)
            seen = requests.post(f"{server.url}/up", **given)
            body = given.get("data")
            where = body.tell() if hasattr(body, "tell") else None
            if hasattr(body, "close"):
                body.close()
            return None if kind == "multipart" else seen.content, where

        def by_urllib3() -> Any:
            given = UPLOADS[kind](content)
            with urllib3.PoolManager() as pool:
                if "json" in given or "files" in given or isinstance(given["data"], dict):
                    fields = {"f": ("n.txt", "content"), "x": "y"}
                    pool.request("POST", f"{server.url}/up", fields=fields)
                    return None
                if kind == "no-length":
                    given["data"] = iter(given["data"])
                chunked = kind == "generator" or kind == "no-length"
                seen = pool.urlopen("POST", f"{server.url}/up", body=given["data"], chunked=chunked)
                if hasattr(given["data"], "close"):
                    given["data"].close()
                return seen.data

        work = by_requests if client == "requests" else by_urllib3
        three_ways(tmp_path / "root", server, work)


def test_streamed_upload_is_stored_and_its_file_left_where_it_was(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(range(256)) * 4000)
    with (
        RawServer(responder({"/up": lambda r: answer(200, r.body_sha256.encode())})) as server,
        IngestSession(SOURCE, tmp_path / "root") as ingest,
    ):
        with content.open("rb") as file:
            file.seek(500)
            seen = requests.post(f"{server.url}/up", data=file).text
        (exchange,) = ingest.store.exchanges(ingest.id)
    digest = hashlib.sha256(content.read_bytes()[500:]).hexdigest()
    assert seen == digest == exchange.request.body_checksum
    assert exchange.request.body_size == content.stat().st_size - 500


def test_tls_facts_and_failures(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        three_ways(tmp_path / "1", server, lambda: observe(requests.get(server.url, verify=bundle)))
        refused = three_ways(tmp_path / "2", server, lambda: requests.get(server.url))
        with urllib3.PoolManager(ca_certs=bundle) as pool:
            three_ways(tmp_path / "3", None, lambda: pool.request("GET", server.url).data)
    assert refused[0] == "SSLError"
    with Store(tmp_path / "1") as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    peer, timings = exchange.responses[0].peer, exchange.responses[0].timings
    assert peer.address == f"127.0.0.1:{server.port}"
    assert peer.tls_version
    assert peer.tls_version.startswith("TLSv1.")
    assert peer.tls_cipher
    assert peer.tls_certificate
    assert len(peer.tls_certificate) == 64
    assert timings.connect is not None
    assert timings.tls is not None
    assert timings.first_byte is not None
    assert timings.total is not None
    assert timings.connect + timings.tls < timings.first_byte <= timings.total


def test_pickled_response(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        response = pickle.loads(pickle.dumps(requests.get(f"{server.url}/gzip")))
        return response.content, response.headers, response.url, response.status_code

    three_ways(tmp_path, server, work)


def test_iter_lines_and_content(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        out: list[Any] = []
        for name in ("plain", "gzip", "chunked", "close-delimited"):
            with requests.get(f"{server.url}/{name}", stream=True) as response:
                out.append(list(response.iter_lines()))
            with requests.get(f"{server.url}/{name}", stream=True) as response:
                out.append(b"".join(response.iter_content(None)))
        return out

    three_ways(tmp_path, server, work)


def test_digest_auth_makes_two_calls(tmp_path: Path) -> None:
    def guarded(request: Any) -> bytes:
        if request.header("Authorization"):
            return answer(200, b"secret page")
        challenge = 'Digest realm="r", nonce="n1", qop="auth", algorithm=MD5'
        return answer(401, b"who?", headers=[("WWW-Authenticate", challenge)])

    with RawServer(responder({"/": guarded})) as server:

        def work() -> Any:
            auth = requests.auth.HTTPDigestAuth("user", "pass")
            with requests.Session() as session:
                response = session.get(server.url, auth=auth)
                return observe(response), len(response.history)

        plain = three_ways(tmp_path, server, work)
    assert plain[0]["content"] == b"secret page"


def proxy(connection: Connection) -> None:
    """A forward proxy for one request: plain by absolute form, or a CONNECT tunnel."""
    request = connection.read_request()
    if request is None:
        return
    if request.method != "CONNECT":
        connection.send(answer(200, b"via proxy " + request.target.encode(), headers=[("Connection", "close")]))  # fmt: skip
        return
    if request.target.startswith("refused"):
        connection.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        return


def test_plain_proxy_and_refused_tunnel(tmp_path: Path) -> None:
    with RawServer(proxy) as server:
        proxies = {"http": server.url, "https": server.url}

        def work() -> Any:
            with requests.Session() as session:
                session.trust_env = False
                return (
                    observe(session.get("http://far.test/x?a=1", proxies=proxies)),
                    outcome(lambda: session.get("https://refused.test/", proxies=proxies)),
                )

        plain = three_ways(tmp_path, server, work)
    assert plain[0]["content"] == b"via proxy http://far.test/x?a=1"
    assert plain[1][0] == "ProxyError"
    with Store(tmp_path) as store:
        first, _ = store.exchanges(store.sessions()[0].id)
    assert first.request.url == "http://far.test/x?a=1"
