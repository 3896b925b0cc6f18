"""Connection classes that send and read in ways of their own, as those of libraries do."""

from __future__ import annotations

import functools
import http.client
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection

from mxm_dataio import Status
from mxm_dataio.models import Exchange
from mxm_dataio.storage.recording_store import RecordingStore
from tests.clients.servers import Talk
from tests.support.harness import three_ways
from tests.support.servers import RawServer, answer, responder


class Together(HTTPConnection):
    """Sends the head together with the first of the body, as botocore's on urllib3 1.26."""

    def send(self, data: Any) -> None:
        if data.startswith(b"POST "):
            self.kept = data
        else:
            super().send(self.kept + data)
            self.kept = b""


class Whole(HTTPConnection):
    """Gives a body to ``send`` as it is, as botocore's on urllib3 1.26."""

    def request(self, method: str, url: str, body: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        super().request(method, url, **kwargs)
        self.send(body)


class Known(http.client.HTTPResponse):
    """Has its status line from elsewhere."""

    def __init__(self, *args: Any, line: tuple[str, int, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.line = line

    def _read_status(self) -> tuple[str, int, str]:
        return self.line


class Peeking(HTTPConnection):
    """Reads the status line from the socket, as botocore's in wait of 100 Continue."""

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            with self.sock.makefile("rb", 0) as reader:
                version, status, reason = reader.readline().decode().split(None, 2)
            line = (version, int(status), reason)
            self.response_class = functools.partial(Known, line=line)  # type: ignore[assignment]
        return super().getresponse(*args, **kwargs)


class Breaking(HTTPConnection):
    """Finds that the server takes no more, in the midst of a body."""

    def send(self, data: Any) -> None:
        if data.endswith(b"end"):
            raise BrokenPipeError
        super().send(data)


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {"/": lambda r: answer(200, b"got " + r.body[:20], reason="Fine")}
    with RawServer(responder(routes)) as running:
        yield running


def post(
    server: RawServer | Talk, kind: type[HTTPConnection], body: Callable[[], Any], **headers: str
) -> Any:
    """Return work: two posts over a connection of a kind."""

    def work() -> Any:
        with urllib3.connection_from_url(server.url) as pool:
            pool.ConnectionCls = kind
            seen = []
            for _ in range(2):
                made = pool.urlopen("POST", "/", body(), headers, retries=False)
                seen.append((made.status, made.reason, made.data, list(made.headers.items())))
            return seen

    return work


def calls(root: Path) -> list[Exchange]:
    with RecordingStore(root) as store:
        return list(store.exchanges(store.sessions()[0].id))


def stored(root: Path, call: Exchange) -> bytes:
    with RecordingStore(root) as store:
        request = call.request
        assert request.body_checksum is not None
        return store.payloads.path(request.body_checksum).read_bytes()


BODIES: dict[str, tuple[Callable[[], Any], bytes]] = {
    "bytes": (lambda: b"a: b\r\n\r\nc", b"a: b\r\n\r\nc"),
    "file": (lambda: io.BytesIO(b"f" * 20_000), b"f" * 20_000),
    "text": (lambda: io.StringIO("text"), b"text"),
    "parts": (lambda: [b"one", b"two"], b"onetwo"),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Together, "bytes"), *((Whole, name) for name in BODIES)],
)
def test_a_body_is_recorded_however_it_is_sent(
    kind: type[HTTPConnection], name: str, server: RawServer, tmp_path: Path
) -> None:
    make, sent = BODIES[name]
    work = post(server, kind, make, **{"Content-Length": str(len(sent))})
    result = three_ways(tmp_path, server, work)
    assert [seen[2] for seen in result] == [b"got " + sent[:20]] * 2
    for call in calls(tmp_path):
        assert stored(tmp_path, call) == sent
        assert all(name.lower() != "a" for name, _ in call.request.headers)


def test_a_status_line_that_the_connection_took_itself(server: RawServer, tmp_path: Path) -> None:
    (first, second) = three_ways(tmp_path, server, post(server, Peeking, lambda: b"body"))
    assert first == second == (200, "Fine", b"got body", [("Content-Length", "8")])
    for call in calls(tmp_path):
        assert call.request.status is Status.COMPLETE
        assert call.answer.head == b"HTTP/1.1 200 Fine\r\nContent-Length: 8\r\n\r\n"


def test_a_stream_that_the_server_did_not_want(tmp_path: Path) -> None:
    def refuses(talk: Talk, reader: Any, send: Any) -> None:
        talk.head(reader)
        send(answer(413, b"too much", headers=[("Connection", "close")]))
        reader.read()

    server = Talk(refuses)
    work = post(server, Breaking, lambda: iter([b"some", b"end"]), **{"Content-Length": "7"})
    result = three_ways(tmp_path, server, work)
    server.stop()
    assert [seen[0] for seen in result] == [413, 413]
    assert len(calls(tmp_path)) == 2
