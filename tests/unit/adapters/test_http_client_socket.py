"""The socket that answers from the store, asked as a socket is."""

from __future__ import annotations

import errno
import http.client
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession, ReplayMissError
from mxm_dataio.adapters.http_client.request import OutgoingRequest
from mxm_dataio.adapters.http_client.socket import (
    StoreSocket,
    TLSStoreSocket,
    give_back,
    leave,
    stand_in,
)
from mxm_dataio.api import capture_of
from tests.support.servers import RawServer, answer, responder

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> RawServer:
    """A server whose answer is recorded, and which is there no more."""
    running = RawServer(responder({"/": answer(200, b"hello")}))
    with IngestSession("test", tmp_path, stdlib=True):
        connection = http.client.HTTPConnection(running.host, running.port)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
    running.stop()
    return running


@pytest.fixture
def ingest(server: RawServer, tmp_path: Path) -> Iterator[IngestSession]:
    with IngestSession("test", tmp_path, "replay", stdlib=True) as opened:
        yield opened
        opened.misses.clear()


def expecting(ingest: IngestSession, server: RawServer, path: str = "/") -> StoreSocket:
    sock = StoreSocket()
    sock.expect(OutgoingRequest(capture_of(ingest), "GET", f"{server.url}{path}"))
    return sock


def test_it_takes_a_request_and_gives_an_answer(ingest: IngestSession, server: RawServer) -> None:
    with closing(expecting(ingest, server)) as sock:
        sock.sendall(REQUEST)
        assert sock.waits
        with sock.makefile("rb") as file:
            assert file.read() == answer(200, b"hello")
        assert not sock.waits
        assert sock.getpeername() == (server.host, server.port)


def test_what_is_no_buffer_is_refused_as_by_a_socket(
    ingest: IngestSession, server: RawServer
) -> None:
    # http.client then goes through the parts.
    for data in ([b"a"], "text", None):
        with pytest.raises(TypeError):
            expecting(ingest, server).sendall(data)


def test_a_miss_comes_as_soon_as_all_is_known(ingest: IngestSession, server: RawServer) -> None:
    with pytest.raises(ReplayMissError):
        expecting(ingest, server, "/other").sendall(REQUEST)
    assert len(ingest.misses) == 1


def test_bytes_besides_http_are_a_miss_and_after_the_session_a_broken_pipe(
    ingest: IngestSession, server: RawServer
) -> None:
    sock = expecting(ingest, server)
    sock.sendall(REQUEST)
    sock.makefile().close()
    for step in (lambda: sock.sendall(b"a"), lambda: sock.recv(1), sock.makefile):
        with pytest.raises(ReplayMissError):
            step()
    assert len(ingest.misses) == 3
    ingest.misses.clear()
    ingest.close()
    with pytest.raises(BrokenPipeError):
        sock.sendall(b"a")
    late = StoreSocket()
    late.expect(OutgoingRequest(capture_of(ingest), "GET", server.url))
    with pytest.raises(BrokenPipeError):
        late.sendall(REQUEST)


def test_one_can_ask_and_tell_it_what_one_asks_and_tells_sockets() -> None:
    with closing(StoreSocket()) as sock:
        sock.settimeout(3)
        assert sock.gettimeout() == 3
        sock.setblocking(False)
        assert sock.gettimeout() == 0
        sock.setblocking(True)
        assert sock.gettimeout() is None
        sock.setsockopt(1, 2, 3)
        sock.shutdown(2)
        with pytest.raises(OSError, match="not connected") as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        # As long as no one hung up, there is nothing to read.
        assert select.select([sock], [], [], 0) == ([], [], [])


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80, 0, 0)),
        ("/run/some.sock", "/run/some.sock"),
    ],
)
def test_the_other_end(peer: str, name: Any) -> None:
    sock = StoreSocket()
    sock._peer = peer
    assert sock.getpeername() == name


def test_facts_of_tls_are_not_made_up(ingest: IngestSession, server: RawServer) -> None:
    sock = TLSStoreSocket()
    sock.expect(OutgoingRequest(capture_of(ingest), "GET", server.url))
    for ask in (sock.getpeercert, sock.cipher, sock.version):
        with pytest.raises(ReplayMissError):
            ask()


class Closable:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_it_stands_for_a_connections_own() -> None:
    connection = http.client.HTTPConnection("a.test")
    own: Any = Closable()
    connection.sock = own
    sock = stand_in(connection)
    assert connection.sock is sock  # type: ignore[comparison-overlap]
    assert stand_in(connection) is sock
    give_back(connection)
    assert connection.sock is own
    stand_in(connection)
    connection.close()
    assert own.closed
    bare = http.client.HTTPSConnection("a.test")
    assert isinstance(stand_in(bare), TLSStoreSocket)
    give_back(bare)
    assert isinstance(bare.sock, TLSStoreSocket), "there is no other"
    leave(bare)
    assert bare.sock is None
