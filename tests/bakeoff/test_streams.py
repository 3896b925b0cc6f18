"""Events as they come: nothing is held up, live, recorded or replayed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, Status
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.servers import Connection, RawServer

EVENTS = [b"data: %d\n\n" % n for n in range(3)]


class Source:
    """A server that sends an event only when the client has acknowledged the one before."""

    def __init__(self, framing: str) -> None:
        self.seen = threading.Semaphore(0)
        self.late = False
        self._framing = framing
        self.server = RawServer(self._handle)

    def _handle(self, connection: Connection) -> None:
        while connection.read_request():
            seen = self.seen
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            if self._framing == "chunked":
                head += b"Transfer-Encoding: chunked\r\n"
            connection.send(head + b"\r\n")
            for event in EVENTS:
                chunked = b"%x\r\n%s\r\n" % (len(event), event)
                connection.send(chunked if self._framing == "chunked" else event)
                if not seen.acquire(timeout=10):
                    self.late = True
            if self._framing != "chunked":
                return
            connection.send(b"0\r\n\r\n")


def iter_lines(response: requests.Response) -> Iterator[bytes]:
    for line in response.iter_lines(chunk_size=1):
        if line:
            yield line + b"\n\n"


def iter_content(response: requests.Response) -> Iterator[bytes]:
    event = b""
    for byte in response.iter_content(1):
        event += byte
        if event.endswith(b"\n\n"):
            yield event
            event = b""


def stream(response: requests.Response) -> Iterator[bytes]:
    # By the chunk where there are chunks, else by the byte: urllib3 reads as much as it is asked.
    event = b""
    for part in response.raw.stream(1):
        event += part
        if event.endswith(b"\n\n"):
            yield event
            event = b""


def read1(response: requests.Response) -> Iterator[bytes]:
    if not hasattr(urllib3.HTTPResponse, "read1"):
        pytest.skip("this urllib3 has no read1")
    event = b""
    while part := response.raw.read1(100):
        event += part
        if event.endswith(b"\n\n"):
            yield event
            event = b""


def readline(response: requests.Response) -> Iterator[bytes]:
    while line := response.raw._fp.readline():
        if line != b"\n":
            yield line + b"\n"


CASES = [
    (reader, framing)
    for framing in ("chunked", "close")
    for reader in (iter_lines, iter_content, stream, read1, readline)
    # Without chunks read1 gives what has come, and in replay all has: a boundary of the network,
    # not of the message.
    if (reader, framing) != (read1, "close")
]


@pytest.mark.parametrize(
    ("reader", "framing"), CASES, ids=[f"{r.__name__}-{framing}" for r, framing in CASES]
)
def test_each_event_is_on_time(
    reader: Callable[[Any], Iterator[bytes]], framing: str, tmp_path: Path
) -> None:
    source = Source(framing)

    def work() -> list[bytes]:
        got = []
        with requests.get(source.server.url, stream=True) as response:
            for event in reader(response):
                got.append(event)
                source.seen.release()
        return got

    with source.server as server:
        assert work() == EVENTS
        with IngestSession("s", tmp_path):
            assert work() == EVENTS
        assert not source.late
        hits = server.hits
        with IngestSession("s", tmp_path, "replay"):
            assert work() == EVENTS
        assert server.hits == hits == 2
    with RecordingStore(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
        assert exchange.request.status is Status.COMPLETE
        assert exchange.answer.bytes_path.read_bytes() == b"".join(EVENTS)


def test_a_stream_left_after_its_first_event(tmp_path: Path) -> None:
    source = Source("chunked")

    def work() -> bytes:
        # The call before may not have used up what it was given.
        source.seen = threading.Semaphore(0)
        with requests.get(source.server.url, stream=True) as response:
            first = next(iter_lines(response))
        source.seen.release(len(EVENTS))
        return first

    with source.server:
        plain = work()
        with IngestSession("s", tmp_path):
            assert work() == plain
        with IngestSession("s", tmp_path, "replay"):
            assert work() == plain
    with RecordingStore(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    assert exchange.request.status is Status.PARTIAL


def test_long_polls(tmp_path: Path) -> None:
    """An answer that comes when something happens; what happens comes from another thread."""
    happened, asked = threading.Semaphore(0), threading.Semaphore(0)
    count = iter(range(100))

    def poll(connection: Connection) -> None:
        while connection.read_request():
            asked.release()
            happened.acquire(timeout=10)
            body = b"%d" % next(count)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)

    def work(live: bool) -> list[str]:
        def happen() -> None:
            for _ in range(3):
                asked.acquire(timeout=10)
                happened.release()

        thread = threading.Thread(target=happen)
        if live:
            thread.start()
        with requests.Session() as session:
            got = [session.get(server.url).text for _ in range(3)]
        if live:
            thread.join()
        return got

    with RawServer(poll) as server:
        assert work(True) == ["0", "1", "2"]
        with IngestSession("s", tmp_path):
            assert work(True) == ["3", "4", "5"]
        start = time.monotonic()
        with IngestSession("s", tmp_path, "replay"):
            assert work(False) == ["3", "4", "5"]
        assert time.monotonic() - start < 10
        assert server.hits == 6
