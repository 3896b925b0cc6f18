"""``max_body``: the program gets all of a body, the store its beginning and how much it was."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import random
import re
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    DataIOWarning,
    Exchange,
    FetchResult,
    IngestSession,
    ReplayMissError,
    Status,
    Store,
    StoreError,
    register,
)
from mxm_dataio.api import capture_of
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.registry import unregister
from tests.support.effort import crossed, rounds
from tests.support.harness import outcome
from tests.support.memory import growth
from tests.support.servers import Connection, RawServer, answer, responder
from tests.support.ways import HOOK, HOWS, MOUNT, opener

BODY = random.Random(7).randbytes(5_000)
LARGE = random.Random(8).randbytes(1 << 20) * 11
PACKED = gzip.compress(BODY * 2, mtime=0)
ROUTES: dict[str, Any] = {
    "/length": answer(200, BODY),
    "/chunked": answer(200, BODY, chunked=[1_000, 1_500]),
    "/pieces": answer(200, BODY, chunked=[10] * 500),
    "/close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
    "/gzip": answer(200, PACKED, headers=[("Content-Encoding", "gzip")]),
    "/empty": answer(200),
    "/large": answer(200, LARGE),
    "/large-chunked": answer(200, LARGE, chunked=[70_000] * 100),
    # Ends before it should, and by a reset.
    "/short": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n" + BODY,
}
PAYLOADS = {"/gzip": PACKED, "/empty": b"", "/large": LARGE, "/large-chunked": LARGE}


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer(responder(ROUTES)) as running:
        yield running


def stored(root: Path) -> list[Exchange]:
    with Store(root, readonly=True) as store:
        return [one for session in store.sessions() for one in store.exchanges(session.id)]


def streamed(session: requests.Session, url: str) -> bytes:
    with session.get(url, stream=True, timeout=30) as response:
        return b"".join(response.raw.stream(700, decode_content=False))


def pooled(_session: requests.Session, url: str) -> bytes:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False, decode_content=False)
        return b"".join(iter(lambda: response.read(700), b""))


@pytest.mark.parametrize("how", [*HOWS, "urllib3"])
@pytest.mark.parametrize(
    ("path", "limit"),
    crossed(["/length", "/chunked", "/pieces", "/close", "/gzip"], [0, 1, 2_500, 4_999], 3),
)
def test_the_program_gets_all_and_the_store_the_beginning(
    server: RawServer, tmp_path: Path, path: str, limit: int, how: str
) -> None:
    url = server.url + path
    payload = PAYLOADS.get(path, BODY)
    read = pooled if how == "urllib3" else streamed
    hook = how != MOUNT

    with (
        IngestSession("s", tmp_path, max_body=limit, hook=hook) as ingest,
        opener(None if hook else ingest)() as session,
    ):
        assert read(session, url) == payload
    assert (ingest.session.status, ingest.session.warnings) == (Status.COMPLETE, ())
    (exchange,) = stored(tmp_path)
    got = exchange.responses[0]
    assert exchange.request.status is Status.PARTIAL
    assert (got.complete, got.closed_by_peer, got.size) == (False, False, limit)
    assert got.truncated == len(payload) - limit
    assert got.checksum == hashlib.sha256(payload[:limit]).hexdigest()
    assert got.bytes_path is not None
    assert got.bytes_path.read_bytes() == payload[:limit]
    assert verify_root(tmp_path).ok

    hits = server.hits
    with (
        IngestSession("s", tmp_path, "replay", hook=hook) as ingest,
        opener(None if hook else ingest)() as session,
    ):
        came = bytearray()
        with pytest.raises(ReplayMissError) as caught:
            came_until(session, url, came, how)
        assert came == payload[:limit]
        assert str(caught.value) == (
            f"GET {url}: {limit} bytes of this body were recorded (max_body), and {len(payload)} "
            "came; there is no more to replay: record it again with a larger max_body, or read no "
            "further"
        )
        assert ingest.misses == [caught.value]
        ingest.misses.clear()
    assert server.hits == hits


def came_until(session: requests.Session, url: str, came: bytearray, how: str) -> None:
    if how == "urllib3":
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", url, preload_content=False, decode_content=False)
            while part := response.read(1):
                came += part
    else:
        with session.get(url, stream=True) as answered:
            while part := answered.raw.read(1, decode_content=False):
                came += part


@pytest.mark.parametrize("limit", [5_000, 5_001, 1 << 40])
@pytest.mark.parametrize("path", ["/length", "/chunked", "/close", "/empty"])
def test_a_body_that_fits_is_whole(
    server: RawServer, tmp_path: Path, path: str, limit: int
) -> None:
    payload = PAYLOADS.get(path, BODY)
    with IngestSession("s", tmp_path, max_body=limit):
        assert requests.get(server.url + path).content == payload
    (exchange,) = stored(tmp_path)
    got = exchange.responses[0]
    assert exchange.request.status is Status.COMPLETE
    assert (got.complete, got.truncated, got.size) == (True, 0, len(payload))
    with IngestSession("s", tmp_path, "replay", max_body=1):
        assert requests.get(server.url + path).content == payload


def test_a_program_that_reads_no_further_replays(server: RawServer, tmp_path: Path) -> None:
    def work() -> bytes:
        with requests.get(f"{server.url}/length", stream=True) as response:
            return response.raw.read(100)

    with IngestSession("s", tmp_path, max_body=200):
        assert work() == BODY[:100]
    with IngestSession("s", tmp_path, "replay"):
        assert work() == BODY[:100]


def test_a_program_that_swallows_the_miss_fails_at_the_end(
    server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path, max_body=200):
        requests.get(f"{server.url}/length")
    ingest = IngestSession("s", tmp_path, "replay").open()
    with contextlib.suppress(Exception):
        requests.get(f"{server.url}/length")
    with pytest.raises(ReplayMissError, match=r"went on without(.|\n)*max_body"):
        ingest.close()


@pytest.mark.parametrize("how", HOWS)
def test_what_went_wrong_beyond_is_no_end_of_the_body(
    server: RawServer, tmp_path: Path, how: str
) -> None:
    """The program met the short end behind the bytes that are kept; replay does not guess."""
    url, hook = f"{server.url}/short", how == HOOK

    def work(session: requests.Session) -> Any:
        return outcome(lambda: session.get(url).content)

    with requests.Session() as session:
        plain = work(session)
    # Older releases do not mind that it is short.
    assert isinstance(plain, bytes) or plain.name == "ChunkedEncodingError"
    with (
        IngestSession("s", tmp_path, max_body=100, hook=hook) as ingest,
        opener(None if hook else ingest)() as session,
    ):
        assert work(session) == plain
    (exchange,) = stored(tmp_path)
    assert exchange.responses[0].truncated == len(BODY) - 100
    with (
        IngestSession("s", tmp_path, "replay", hook=hook) as ingest,
        opener(None if hook else ingest)() as session,
    ):
        with pytest.raises(ReplayMissError):
            session.get(url)
        ingest.misses.clear()


@pytest.mark.parametrize("how", HOWS)
def test_a_reset_beyond_is_not_met_before_it(tmp_path: Path, how: str) -> None:
    """Where the kept bytes end replay says so, and not what the program met long after."""
    go = threading.Event()

    def cut(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + BODY)
            go.wait(10)
            connection.reset()

    def work(session: requests.Session) -> None:
        with session.get(server.url, stream=True, timeout=10) as response:
            got = response.raw.read(len(BODY))
            assert got == BODY
            go.set()
            with pytest.raises((OSError, urllib3.exceptions.HTTPError)):
                response.raw.read(10)

    hook = how == HOOK
    with RawServer(cut) as server:
        with (
            IngestSession("s", tmp_path, max_body=100, hook=hook) as ingest,
            opener(None if hook else ingest)() as session,
        ):
            work(session)
        (exchange,) = stored(tmp_path)
        got = exchange.responses[0]
        assert (got.size, got.truncated) == (100, len(BODY) - 100)
        assert got.error_class is not None
        with (
            IngestSession("s", tmp_path, "replay", hook=hook) as ingest,
            opener(None if hook else ingest)() as session,
        ):
            response = session.get(server.url, stream=True)
            assert response.raw.read(100) == BODY[:100]
            with pytest.raises(ReplayMissError, match="max_body"):
                response.raw.read(1)
            ingest.misses.clear()


# -- large ones, and those without an end -----------------------------------------------------


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "drain" in thread.name]


@pytest.mark.parametrize("limit", [100_000, 300_000, (9 << 20) + 5])
@pytest.mark.parametrize("path", ["/large", "/large-chunked"])
def test_large_bodies_too(server: RawServer, tmp_path: Path, path: str, limit: int) -> None:
    digest = hashlib.sha256()
    with IngestSession("s", tmp_path, max_body=limit):
        with requests.get(server.url + path, stream=True, timeout=60) as response:
            count = 0
            for piece in response.iter_content(1 << 16):
                digest.update(piece)
                count += len(piece)
                if count > limit + (1 << 17):
                    assert own_threads() == [], "a thread waits for what is not kept"
        assert digest.digest() == hashlib.sha256(LARGE).digest()
        files = [path.stat().st_size for path in tmp_path.rglob("*.bin")]
        assert files == [limit]
    (exchange,) = stored(tmp_path)
    got = exchange.responses[0]
    assert (got.size, got.truncated) == (limit, len(LARGE) - limit)
    assert verify_root(tmp_path).ok
    with IngestSession("s", tmp_path, "replay") as ingest:
        came = bytearray()
        with pytest.raises(ReplayMissError, match=str(limit)):
            came_in(came, server.url + path)
        # A last piece that is not whole goes with the error, as ever.
        assert LARGE.startswith(came)
        assert limit - 1024 < len(came) <= limit
        ingest.misses.clear()


def came_in(came: bytearray, url: str) -> None:
    with requests.get(url, stream=True) as response:
        for piece in response.iter_content(1 << 10):
            came += piece


def endless(framing: str) -> Callable[[Connection], None]:
    """Return a server that sends until it is cut off."""
    block = random.Random(9).randbytes(1 << 16)
    chunked = b"%x\r\n%s\r\n" % (len(block), block)
    # Chunks of sizes that make no runs, each with something to note.
    odd = b"".join(b"%x;%d\r\n%s\r\n" % (n % 7 + 1, n, b"x" * (n % 7 + 1)) for n in range(5_000))

    def handle(connection: Connection) -> None:
        if connection.read_request():
            coding = "" if framing == "close" else "Transfer-Encoding: chunked\r\n"
            connection.send(f"HTTP/1.1 200 OK\r\n{coding}\r\n".encode())
            while True:
                connection.send({"close": block, "chunked": chunked, "odd": odd}[framing])

    return handle


@pytest.mark.parametrize(("framing", "how"), crossed(["close", "chunked", "odd"], HOWS, 2))
def test_an_endless_body_fills_neither_memory_nor_disk(
    tmp_path: Path, framing: str, how: str
) -> None:
    """Until the client closes; what it costs is what reading it costs, and the beginning."""
    limit, wanted = (1 << 16, 1 << 19) if framing == "odd" else (1 << 20, 96 << 20)

    def read(session: requests.Session, size: int) -> int:
        count = 0
        with session.get(server.url, stream=True, timeout=30) as response:
            for piece in response.iter_content(1 << 15):
                count += len(piece)
                if count >= size:
                    break
        return count

    def work() -> None:
        with (
            IngestSession("s", tmp_path, max_body=limit, hook=how == HOOK) as ingest,
            opener(None if how == HOOK else ingest)() as session,
        ):
            assert read(session, wanted) >= wanted
        assert ingest.session.status is Status.COMPLETE

    def plain() -> None:
        with requests.Session() as session:
            read(session, wanted)

    with RawServer(endless(framing)) as server:
        assert growth(work) < growth(plain) + (10 << 20)
    (exchange,) = stored(tmp_path)
    got = exchange.responses[0]
    assert exchange.request.status is Status.PARTIAL
    assert got.size == limit
    assert got.truncated >= wanted - limit
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert kept < limit + (1 << 20)
    assert verify_root(tmp_path).ok


def test_without_a_store_a_body_does_not_wait_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def work() -> None:
        with (
            pytest.warns(DataIOWarning, match="can't be made"),
            IngestSession("s", tmp_path / "file" / "root"),
            requests.get(server.url, stream=True, timeout=30) as response,
        ):
            assert sum(len(next(response.iter_content(1 << 16))) for _ in range(1_500)) >= 90 << 20

    with RawServer(endless("close")) as server:
        assert growth(work) < 24 << 20


# -- auto, request(), the chain, secrets -------------------------------------------------------


def test_auto_does_not_serve_it(server: RawServer, tmp_path: Path) -> None:
    url = f"{server.url}/length"
    hits = server.hits
    for number in (1, 2):
        with IngestSession("s", tmp_path, "auto", max_body=10):
            assert requests.get(url).content == BODY
        assert server.hits == hits + number
    for _ in range(2):
        with IngestSession("s", tmp_path, "auto"):
            assert requests.get(url).content == BODY
        assert server.hits == hits + 3


class Share:
    def fetch(self, _request: Any) -> FetchResult:
        return FetchResult(BODY)


@pytest.fixture(params=["http", "fetcher"])
def source(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "fetcher":
        register("fetcher", Share())
    yield request.param
    if request.param == "fetcher":
        unregister("fetcher")


def test_request_gives_the_program_all_of_it(
    server: RawServer, tmp_path: Path, source: str
) -> None:
    url = f"{server.url}/length"
    with IngestSession(source, tmp_path, max_body=10) as ingest:
        response = ingest.request(url)
        assert (response.size, response.truncated, response.complete) == (10, 4_990, False)
        assert response.bytes_path is not None
        assert response.bytes_path.read_bytes() == BODY[:10]
        assert ingest.content(response) == BODY
        assert capture_of(ingest).store is not None
        (request,) = capture_of(ingest).store.requests(ingest.id)
        assert request.status is Status.PARTIAL
    assert verify_root(tmp_path).ok
    with IngestSession(source, tmp_path, "replay") as ingest:
        with pytest.raises(ReplayMissError, match="10 bytes of this body were recorded"):
            ingest.request(url)
        assert len(ingest.misses) == 1
        ingest.misses.clear()
        assert response.content == BODY
        assert capture_of(ingest).store is not None
        exchange = capture_of(ingest).store.exchange(response.request_id)
        assert exchange is not None
        assert exchange.answer is not None
        assert exchange.answer.raw == BODY[:10]
        for read in (lambda one: one.content, ingest.content, lambda one: one.text):
            with pytest.raises(StoreError, match="4990 more came"):
                read(exchange.answer)


def test_contents_that_are_not_kept_are_held_for_a_while(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxm_dataio.ingest.request._HELD_SIZE", 12_000)
    with IngestSession("s", tmp_path, max_body=10) as ingest:
        answers = [ingest.request(f"{server.url}/length?{n}") for n in range(4)]
        for late in answers[:2]:
            with pytest.raises(StoreError, match="as soon as the answer is there"):
                ingest.content(late)
        for held in answers[2:]:
            assert ingest.content(held) == BODY
        # The last is there, however large.
        large = ingest.request(f"{server.url}/large")
        assert ingest.content(large) == LARGE


def test_the_chain_covers_how_much_was_left_out(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, max_body=10):
        requests.get(f"{server.url}/length")
    with contextlib.closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db:
        assert db.execute("UPDATE responses SET truncated = 0, complete = 1").rowcount == 1
        db.commit()
    (finding,) = verify_root(tmp_path).findings
    assert "was changed" in finding.what


SECRET = "zX9-kq27Lw_8vTr41"


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("limit", [25, 30, 35, 39, 44, 60])
def test_a_token_cut_off_is_not_stored(tmp_path: Path, limit: int, coded: bool) -> None:
    """Neither one of which the beginning is kept, nor one in what does not parse any more."""
    content = json.dumps({"access_token": SECRET, "refresh_token": SECRET[::-1], "n": 1}).encode()
    fields = [("Content-Type", "application/json")]
    if coded:
        # Stored, not deflated: cut anywhere, the text is there.
        coder = gzip.GzipFile
        content = gzip.compress(content, compresslevel=0)
        fields.append(("Content-Encoding", "gzip"))
        limit += 15
        assert coder
    with RawServer(responder({"/token": answer(200, content, headers=fields)})) as server:
        with IngestSession("s", tmp_path, max_body=limit):
            got = requests.post(f"{server.url}/token").json()
        assert got["access_token"] == SECRET
    (exchange,) = stored(tmp_path)
    assert exchange.request.status is Status.PARTIAL
    assert exchange.responses[0].truncated == len(content) - limit
    told = everything(tmp_path)
    for secret in (SECRET, SECRET[::-1]):
        assert secret[:8].encode() not in told
    assert verify_root(tmp_path).ok


def test_a_secret_that_is_known_is_not_stored_by_half(tmp_path: Path) -> None:
    page = f"<p>{SECRET} and again {SECRET}</p>".encode()
    routes: dict[str, Any] = {"/": answer(200, page, headers=[("Content-Type", "text/html")])}
    with RawServer(responder(routes)) as server:
        for limit in range(3 + len(SECRET), len(page), 5):
            with IngestSession("s", tmp_path / str(limit), max_body=limit):
                fields = {"X-API-Key": SECRET}
                assert requests.get(server.url, headers=fields).content == page
            assert SECRET[:8].encode() not in everything(tmp_path / str(limit))
            (exchange,) = stored(tmp_path / str(limit))
            assert exchange.responses[0].redacted


def everything(root: Path) -> bytes:
    """Return every byte on disk, undone where it is gzip's."""
    found = b""
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += data
            with contextlib.suppress(OSError, EOFError):
                found += gzip.decompress(data)
    return re.sub(rb"\s", b"", found)


def test_a_child_s_memory_can_be_measured() -> None:
    """What the tests here rest on."""

    def fill() -> None:
        # Not of zeros, which the system hands out without memory.
        assert len(bytes([1 + os.urandom(1)[0] % 255]) * (40 << 20)) == 40 << 20

    assert 39 << 20 < growth(fill) < 48 << 20


class TestNothingIsStored:
    """Answers of ``mode="off"``, which has no store to ask for them later."""

    def test_what_is_held_does_not_grow(self, tmp_path: Path) -> None:
        size = 100_000

        class Fetching:
            def fetch(self, request: object) -> bytes:
                return bytes(bytearray(size))

        register("off-fetched", Fetching())
        try:
            with IngestSession("off-fetched", tmp_path, "off") as ingest:
                answers = []
                tracemalloc.start()
                try:
                    for _ in range(200):
                        answers.append(ingest.request("here"))
                        assert len(ingest.content(answers[-1])) == size
                    held, _ = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                assert held < 64 * size + 1_000_000
                with pytest.raises(StoreError, match="as soon as the answer is there"):
                    ingest.content(answers[0])
                assert len(ingest.content(answers[-64])) == size
        finally:
            unregister("off-fetched")

    def test_few_large_ones(
        self, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mxm_dataio.ingest.request._HELD_SIZE", 12_000)
        with IngestSession("s", tmp_path, "off") as ingest:
            answers = [ingest.request(f"{server.url}/length?{n}") for n in range(4)]
            assert [ingest.content(one) for one in answers[2:]] == [BODY, BODY]
            for late in answers[:2]:
                with pytest.raises(StoreError, match=f"GET {server.url}.* is not stored"):
                    ingest.content(late)
        # Behind the end, as within.
        assert ingest.content(answers[3]) == BODY

    def test_threads(self, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path, "off") as ingest, ThreadPoolExecutor(8) as pool:

            def ask(number: int) -> bytes:
                return ingest.content(ingest.request(f"{server.url}/length?{number}"))

            assert set(pool.map(ask, range(rounds(100, 300)))) == {BODY}
            assert len(ingest._requester._held) <= 64
