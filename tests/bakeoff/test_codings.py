"""Content codings plainly, recorded and replayed, whether or not this urllib3 decodes them."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.answers import GZIPPED, TEXT
from tests.support.effort import sampled
from tests.support.harness import mounted, observe, outcome, three_ways
from tests.support.servers import RawServer, answer, responder

brotli = pytest.importorskip("brotli", reason="the brotli package is not installed")
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    zstd = pytest.importorskip("backports.zstd", reason="backports.zstd is not installed")

BROTLI = brotli.compress(TEXT)
ZSTD = zstd.compress(TEXT)


def coded(coding: str, body: bytes, **framing: Any) -> bytes:
    return answer(200, body, headers=[("Content-Encoding", coding)], **framing)


def garbled(body: bytes) -> bytes:
    """Return a body whose middle is not what it was."""
    middle = len(body) // 2
    return (
        body[:middle] + bytes(255 - byte for byte in body[middle : middle + 9]) + body[middle + 9 :]
    )


ANSWERS: dict[str, bytes] = {
    "br": coded("br", BROTLI),
    "br-chunked": coded("br", BROTLI, chunked=[1, 2, 3, 20]),
    "br-corrupt": coded("br", garbled(BROTLI)),
    "br-none": coded("br", b"no brotli at all"),
    "br-short": coded("br", BROTLI[:-9]),
    "br-and-more": coded("br", BROTLI + b"more"),
    "br-empty": coded("br", b""),
    "br-close-delimited": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: br\r\n\r\n"
    + BROTLI,
    "zstd": coded("zstd", ZSTD),
    "zstd-chunked": coded("zstd", ZSTD, chunked=[1, 2, 3, 20]),
    "zstd-frames": coded("zstd", ZSTD + zstd.compress(b"second") + zstd.compress(b"third")),
    "zstd-frames-chunked": coded("zstd", ZSTD + zstd.compress(b"second"), chunked=[len(ZSTD)]),
    "zstd-corrupt": coded("zstd", garbled(ZSTD)),
    "zstd-none": coded("zstd", b"no zstd at all"),
    "zstd-short": coded("zstd", ZSTD[:-9]),
    "zstd-empty": coded("zstd", b""),
    "gzip-members": coded("gzip", GZIPPED + gzip.compress(b"second", mtime=0)),
    "gzip-and-more": coded("gzip", GZIPPED + b"\0\0trailing"),
    "gzip-short": coded("gzip", GZIPPED[:-9]),
    "gzip-corrupt": coded("gzip", garbled(GZIPPED)),
    "gzip-bad-check": coded("gzip", GZIPPED[:-8] + b"\0" * 8),
    "gzip-empty": coded("gzip", b""),
    "x-gzip": coded("x-gzip", GZIPPED),
    "deflate-corrupt": coded("deflate", b"\x78\x9c" + b"no deflate"),
    "GZIP": coded("GZIP", GZIPPED),
    "identity": coded("identity", TEXT),
    "unknown": coded("snappier", TEXT),
    "none-named": coded("", TEXT),
    "gzip-br": coded("gzip, br", brotli.compress(GZIPPED)),
    "br-gzip": coded("br, gzip", gzip.compress(BROTLI, mtime=0), chunked=[7, 7]),
    "zstd-gzip": coded("zstd,gzip", gzip.compress(ZSTD, mtime=0)),
    "deflate-zstd": coded("deflate ,  zstd", zstd.compress(zlib.compress(TEXT))),
    "gzip-gzip": coded("gzip, gzip", gzip.compress(GZIPPED, mtime=0)),
    "unknown-gzip": coded("snappier, gzip", GZIPPED),
    "six-codings": coded("gzip, gzip, gzip, gzip, gzip, gzip", GZIPPED),
    "two-fields": answer(
        200, gzip.compress(zlib.compress(TEXT), mtime=0),
        headers=[("Content-Encoding", "deflate"), ("content-encoding", "gzip")],
    ),
    "big-br": coded("br", brotli.compress(b"0123456789abcdef" * 40_000)),
    "big-zstd": coded("zstd", zstd.compress(b"0123456789abcdef" * 40_000), chunked=[20, 3]),
}  # fmt: skip

READERS: dict[str, Callable[[Any], Any]] = {
    "read": lambda raw: raw.read(decode_content=True),
    "undecoded": lambda raw: raw.read(decode_content=False),
    "amounts": lambda raw: list(iter(lambda: raw.read(100, decode_content=True), b"")),
    "stream": lambda raw: list(raw.stream(64, decode_content=True)),
    "stream-undecoded": lambda raw: list(raw.stream(64, decode_content=False)),
    "tell": lambda raw: [(len(raw.read(50, decode_content=True)), raw.tell()) for _ in range(9)],
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({f"/{name}": raw for name, raw in ANSWERS.items()})) as running:
        yield running


@pytest.mark.parametrize("name", sampled(ANSWERS, 2, 1))
def test_codings(name: str, server: RawServer, tmp_path: Path) -> None:
    url = f"{server.url}/{name}"

    def hooked() -> Any:
        with requests.Session() as session:
            return observe(session.get(url, stream=True)), outcome(lambda: session.get(url).content)

    def pooled() -> Any:
        with urllib3.PoolManager() as pool:
            seen = [outcome(lambda: observe(pool.request("GET", url)))]
            with pool.request("GET", url, preload_content=False, decode_content=False) as raw:
                return [*seen, observe(raw)]

    three_ways(tmp_path / "1", server, hooked)
    three_ways(tmp_path / "2", server, pooled)
    mounted(tmp_path / "3", server, lambda session: observe(session.get(url, stream=True)))


@pytest.mark.parametrize("name", sampled(ANSWERS, 2))
def test_readers_of_codings(name: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        seen = {}
        for reader, read in READERS.items():
            with requests.get(f"{server.url}/{name}", stream=True) as response:
                seen[reader] = outcome(lambda read=read: read(response.raw)), response.raw.tell()
        return seen

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", ["br", "zstd", "gzip-br"])
def test_a_coded_body_is_stored_as_it_came(name: str, server: RawServer, tmp_path: Path) -> None:
    three_ways(tmp_path, server, lambda: requests.get(f"{server.url}/{name}").content)
    with RecordingStore(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
        with store.open(exchange.responses[-1]) as payload:
            stored = payload.read()
    assert stored == ANSWERS[name].partition(b"\r\n\r\n")[2]


def test_these_codings_are_decoded_where_urllib3_knows_them(server: RawServer) -> None:
    """Without this, a missing decoder could make every row above one of undecoded bytes."""
    known = urllib3.HTTPResponse.CONTENT_DECODERS
    for coding, body in (("br", BROTLI), ("zstd", ZSTD)):
        got = requests.get(f"{server.url}/{coding}").content
        assert got == (TEXT if coding in known else body)
    assert "br" in known
