"""The test servers and the demo's server do what other tests rely on."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3

from examples import scraper
from examples.market_server import SYMBOLS, MarketServer
from tests.support.servers import (
    KEPT_BODY,
    Connection,
    RawServer,
    Request,
    Route,
    answer,
    responder,
    tls_server,
)
from tests.support.waiting import eventually

TIMEOUT = 10.0


def _echo(request: Request) -> bytes:
    return answer(200, request.body)


def test_keep_alive_serves_many_requests_on_one_connection() -> None:
    routes: dict[str, Route] = {"/a": answer(200, b"A"), "/echo": _echo}
    with RawServer(responder(routes)) as server, requests.Session() as session:
        assert session.get(f"{server.url}/a?x=1", timeout=TIMEOUT).content == b"A"
        sent = session.post(f"{server.url}/echo", data=b"body", timeout=TIMEOUT)
        assert sent.content == b"body"
        missing = session.get(f"{server.url}/none", timeout=TIMEOUT)
        assert (missing.status_code, missing.reason) == (404, "Not Found")
        assert (server.connections, server.hits) == (1, 3)
        targets = [(seen.method, seen.target, seen.path) for seen in server.requests]
    assert targets == [
        ("GET", "/a?x=1", "/a"),
        ("POST", "/echo", "/echo"),
        ("GET", "/none", "/none"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        answer(200, b"end", headers=[("Connection", "close")]),
        b"HTTP/1.0 200 OK\r\n\r\nend",
        answer(103) + b"HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\nend",
    ],
)
def test_an_answer_that_closes_is_followed_by_end_of_file(raw: bytes) -> None:
    with (
        RawServer(responder({"/": raw})) as server,
        socket.create_connection((server.host, server.port), TIMEOUT) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while data := client.recv(4096):
            received += data
    assert received == raw


def test_answer_framing() -> None:
    assert answer(200, b"ab") == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
    assert answer(204) == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert answer(599, version="HTTP/1.0", headers=[("Content-Length", "9")]) == (
        b"HTTP/1.0 599 \r\nContent-Length: 9\r\n\r\n"
    )
    assert answer(200, b"abcdef", reason="Fine", chunked=[1, 2]) == (
        b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"
    )
    assert answer(200, b"a", chunked=[5, 5]).endswith(b"\r\n1\r\na\r\n0\r\n\r\n")
    with pytest.raises(ValueError, match="at least one byte"):
        answer(200, b"a", chunked=[0])


def test_chunked_both_ways_with_a_big_body() -> None:
    body = bytes(range(256)) * (3 * KEPT_BODY // 256)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 70_001):
            yield body[start : start + 70_001]

    def echo(request: Request) -> bytes:
        return answer(200, request.body, chunked=[1, 7, 100_003])

    with RawServer(responder({"/": echo})) as server, requests.Session() as session:
        chunked = session.post(f"{server.url}/", data=pieces(), timeout=TIMEOUT)
        sized = session.post(f"{server.url}/", data=body, timeout=TIMEOUT)
        assert chunked.content == sized.content == body
        assert server.connections == 1
        first, second = server.requests
    assert first.header("transfer-encoding") == "chunked"
    assert second.header("content-length") == str(len(body))
    for request in (first, second):
        assert request.body == b""
        assert request.body_length == len(body)
        assert request.body_sha256 == hashlib.sha256(body).hexdigest()


def test_chunk_extensions_and_trailers_are_read_past() -> None:
    with (
        RawServer(responder({"/": _echo})) as server,
        socket.create_connection((server.host, server.port), TIMEOUT) as client,
    ):
        client.sendall(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;x=y\r\nab\r\n0\r\nTrailer: z\r\n\r\n"
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
        )
        received = b""
        while data := client.recv(4096):
            received += data
        assert received == answer(200, b"ab") + answer(200)
        assert server.hits == 2


def test_reset_reaches_the_client_as_a_reset() -> None:
    def handle(connection: Connection) -> None:
        connection.read_request()
        connection.reset()

    with (
        RawServer(handle) as server,
        socket.create_connection((server.host, server.port), TIMEOUT) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert (server.connections, server.hits) == (1, 1)


def test_tls_needs_the_authority(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    # Without a length, the end of the body is the end of the connection.
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(KEPT_BODY)
    with RawServer(responder({"/": raw}), tls=context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        for host in (server.host, "localhost"):
            url = f"https://{host}:{server.port}/"
            assert len(requests.get(url, verify=bundle, timeout=TIMEOUT).content) == (KEPT_BODY)
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(server.url, timeout=TIMEOUT)
        assert (server.connections, server.hits) == (3, 2)


@pytest.mark.parametrize("with_tls", [False, True])
def test_stop_is_prompt_and_final(tmp_path: Path, with_tls: bool) -> None:
    context, bundle = tls_server(tmp_path)
    before = set(threading.enumerate())
    server = RawServer(responder({}), tls=context if with_tls else None)
    with (
        socket.create_connection((server.host, server.port), TIMEOUT) as silent,
        requests.Session() as session,
    ):
        session.get(server.url, verify=bundle, timeout=TIMEOUT)
        started = time.monotonic()
        server.stop()
        server.stop()
        assert time.monotonic() - started < 0.9
        assert set(threading.enumerate()) <= before
        assert silent.recv(1) == b""
        with pytest.raises(requests.ConnectionError):
            session.get(server.url, verify=bundle, timeout=TIMEOUT)


def test_the_scraper_finds_the_same_twice() -> None:
    with MarketServer() as server:
        first = scraper.run(server.url)
        hits = server.hits
        assert scraper.run(f"{server.url}/") == first
        assert server.hits == 2 * hits
    with MarketServer() as server:
        assert scraper.run(server.url) == first
    assert json.loads(json.dumps(first)) == first
    assert first["symbols"] == list(SYMBOLS)
    assert first["flaky"] == {"status": 200, "body": {"status": "ok"}}
    assert json.dumps(first).count("127.0.0.1") == 0


def test_market_server_on_the_wire() -> None:
    with MarketServer() as server, urllib3.PoolManager(retries=False) as pool:

        def get(path: str, **headers: str) -> urllib3.BaseHTTPResponse:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return pool.request(
                "GET",
                server.url + path,
                headers=sent,
                decode_content=False,
                redirect=False,
            )

        plain = get("/bars/ALFA?interval=1d")
        coded = get("/bars/ALFA?interval=1d", Accept_Encoding="gzip, br")
        assert "Content-Encoding" not in plain.headers
        assert coded.headers["Content-Encoding"] == "gzip"
        assert "Vary" not in coded.headers
        assert coded.data[:2] == b"\x1f\x8b"
        refused = get("/bars/ALFA", Accept_Encoding="gzip;q=0")
        assert refused.data == plain.data
        assert get("/bars/ALFA?interval=5m").status == 400

        history = get("/history/ALFA.csv")
        assert history.headers["Transfer-Encoding"] == "chunked"
        assert history.data.startswith(b"date,open,high,low,close,volume\n")

        quote = get("/quote/ALFA")
        assert (quote.status, quote.headers["Location"]) == (302, "/v2/quote/ALFA")

        flaky = [get("/flaky") for _ in range(4)]
        assert [response.status for response in flaky] == [503, 200, 503, 200]
        assert flaky[0].headers["Retry-After"] == "0"

        etag = get("/calendar").headers["ETag"]
        unchanged = get("/calendar", If_None_Match=f'"other", W/{etag}')
        assert (unchanged.status, unchanged.data) == (304, b"")
        assert get("/calendar", If_None_Match='"other"').status == 200

        login = pool.request(
            "POST", f"{server.url}/login", fields={"user": "x"}, encode_multipart=False
        )
        assert login.status == 401
        assert get("/symbols?page=4").status == 400
        assert get("/missing").status == 404
        assert get("/bars/NONE").status == 404


def test_market_server_stop_ends_open_connections() -> None:
    before = set(threading.enumerate())
    server = MarketServer()
    with requests.Session() as session:
        session.get(f"{server.url}/calendar", timeout=TIMEOUT)
        server.stop()
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{server.url}/calendar", timeout=TIMEOUT)
    assert eventually(lambda: set(threading.enumerate()) <= before, 2)


def test_requests_are_kept_as_they_came() -> None:
    raw = b"POST /a HTTP/1.1\r\nhost:  x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    with RawServer(responder({"/a": answer(200)})) as server:
        with socket.create_connection((server.host, server.port), TIMEOUT) as client:
            for _ in range(2):
                client.sendall(raw)
                assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert [seen.raw for seen in server.requests] == [raw, raw]


def test_a_handler_may_take_bytes_as_they_come() -> None:
    got: list[bytes] = []

    def handler(connection: Connection) -> None:
        got.append(connection.read_head())
        while data := connection.receive():
            got.append(data)
        connection.send(b"done")

    with (
        RawServer(handler) as server,
        socket.create_connection((server.host, server.port), TIMEOUT) as client,
    ):
        client.sendall(b"CONNECT x HTTP/1.1\r\n\r\n\x16\x03")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"done"
    assert got[0] == b"CONNECT x HTTP/1.1\r\n\r\n"
    assert b"".join(got[1:]) == b"\x16\x03"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_are_counted_at_sync(host: str) -> None:
    class Server(RawServer):
        pass

    Server.host = host
    try:
        server = Server(lambda connection: None)
    except OSError as exc:
        pytest.skip(f"no {host} on this machine: {exc}")
    with server:
        for number in range(20):
            socket.create_connection((host, server.port), TIMEOUT).close()
            server.sync()
            assert server.connections == number + 1
    assert server.url == f"http://{'[::1]' if ':' in host else host}:{server.port}"


def test_what_was_sent_by_one_that_did_not_wait_is_settled() -> None:
    begin = threading.Event()

    def late(connection: Connection) -> None:
        begin.wait(5)
        connection.read_request()

    with RawServer(late) as server:
        with socket.create_connection((server.host, server.port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.sync()
        assert server.hits == 0
        threading.Timer(0.1, begin.set).start()
        server.settle()
        assert server.hits == 1
