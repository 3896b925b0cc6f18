"""Streamed uploads where calls are both replayed and recorded: known by their bytes."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, mount, use_cassette
from mxm_dataio.adapters.support import sends_chunks
from tests.support.effort import crossed
from tests.support.servers import RawServer, Request, answer, responder

LONG = b"0123456789" * 20_000


class Socketlike:
    """A file that can only be read on."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        # Less than is asked for, as pipes do.
        return self._file.read(min(size, 7000) if size > 0 else size)


def in_file(folder: Path, content: bytes) -> Any:
    path = folder / "body"
    path.write_bytes(b"skipped" + content)
    file = path.open("rb")
    file.seek(7)
    return file


def pieces(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), 999):
        yield content[at : at + 999]


class Again:
    """What can be gone through any number of times."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return pieces(self._content)


KINDS: dict[str, Callable[[Path, bytes], Any]] = {
    "file": in_file,
    "memory": lambda _, content: io.BytesIO(content),
    "text": lambda _, content: io.StringIO(content.decode("ascii")),
    "reader": lambda _, content: Socketlike(content),
    "generator": lambda _, content: pieces(content),
    "iterable": lambda _, content: Again(content),
}


def by_requests(url: str, body: Any, _: Any) -> str:
    return requests.post(url, data=body).text


def by_mount(url: str, body: Any, ingest: IngestSession | None) -> str:
    with requests.Session() as session:
        if ingest is not None:
            mount(session, ingest)
        return session.post(url, data=body).text


def by_urllib3(url: str, body: Any, _: Any) -> str:
    with urllib3.PoolManager() as pool:
        return str(pool.request("POST", url, body=body).data.decode())


def by_stdlib(url: str, body: Any, _: Any) -> str:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port)) as connection:
        connection.request("POST", parts.path, body=body)
        return connection.getresponse().read().decode()


WAYS = [by_requests, by_mount, by_urllib3, by_stdlib]
# requests before 2.29 sends such bodies itself, piece by piece.
IN_PIECES = sends_chunks(requests.__version__)
# It has no way to send what was read of them.
GONE = {("by_stdlib", "reader"), ("by_stdlib", "generator")}


@pytest.fixture
def server() -> Iterator[RawServer]:
    def length(request: Request) -> bytes:
        return answer(200, str(len(request.body)).encode())

    with RawServer(responder({"/": length})) as running:
        yield running


@pytest.mark.parametrize(("kind", "way"), crossed(KINDS, WAYS, 2))
@pytest.mark.parametrize("size", [50, len(LONG)], ids=["short", "long"])
def test_what_was_uploaded_once_is_replayed(
    way: Any, kind: str, size: int, server: RawServer, tmp_path: Path
) -> None:
    if way is by_urllib3 and kind == "iterable" and urllib3.__version__.startswith("1."):
        pytest.skip("urllib3 1.26 sends no such thing")
    if kind == "reader" and way in (by_requests, by_mount) and IN_PIECES:
        pytest.skip("this requests takes a body that it does not know the length of in pieces")
    url = f"{server.url}/"

    def upload(content: bytes, ingest: IngestSession | None = None) -> str:
        body = KINDS[kind](tmp_path, content)
        try:
            return str(way(url, body, ingest))
        finally:
            if hasattr(body, "close"):
                body.close()

    first, second = LONG[:size], LONG[1 : size + 1]
    expected = [str(len(first)), str(len(second))]
    assert [upload(first), upload(second)] == expected
    plain = [(one.raw, one.body_sha256) for one in server.requests]
    for _ in range(3):
        with use_cassette(tmp_path / "c.json", mode="new_episodes", spool_limit=1000) as ingest:
            assert [upload(first, ingest), upload(second, ingest)] == expected
    hits = server.hits - 2
    if (way.__name__, kind) in GONE:
        assert hits == 6
    else:
        # What was read before it was sent went out as ever.
        assert hits == 2
    assert [(one.raw, one.body_sha256) for one in server.requests[2:4]] == plain
    server.stop()
    with use_cassette(tmp_path / "c.json", mode="none") as ingest:
        assert [upload(first, ingest), upload(second, ingest)] == expected


@pytest.mark.parametrize("reuse", [(), ("POST",)])
def test_in_a_root_where_that_is_said(
    reuse: tuple[str, ...], server: RawServer, tmp_path: Path
) -> None:
    for _ in range(2):
        with IngestSession("s", tmp_path, "auto", reuse=reuse):
            assert requests.post(f"{server.url}/", data=pieces(b"x" * 5000)).text == "5000"
    assert server.hits == (1 if reuse else 2)


def test_a_stream_that_breaks_breaks_as_ever(server: RawServer, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise ZeroDivisionError

    with use_cassette(tmp_path / "c.json"):
        requests.post(f"{server.url}/", data=pieces(b"known"))
    with (
        pytest.raises(ZeroDivisionError),
        use_cassette(tmp_path / "c.json", mode="new_episodes"),
    ):
        requests.post(f"{server.url}/", data=broken())
