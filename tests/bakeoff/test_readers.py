"""Every way to read a body, plainly, recorded and replayed: the same pieces, the same places."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from tests.support.answers import ANSWERS
from tests.support.effort import crossed, sampled
from tests.support.harness import mounted, outcome, three_ways
from tests.support.servers import RawServer, answer, responder

BODIES = [
    "plain", "gzip", "chunked", "chunked-gzip", "close-delimited", "chunk-extensions", "bad-gzip",
    "empty", "no-content",
]  # fmt: skip
TEXTS = ["plain", "gzip", "chunked", "chunked-gzip", "close-delimited", "utf-8"]
OLD = hasattr(urllib3.HTTPResponse, "from_httplib")
WORDS = "Größe; naïve · 日本\r\nzweite Zeile\rdritte\n\nEnde".encode()


def until_empty(read: Callable[[], Any]) -> list[bytes]:
    """Return the pieces of a reader up to the empty one."""
    return list(iter(read, b""))


def readinto(raw: Any) -> list[bytes]:
    pieces = []
    buffer = bytearray(33)
    while count := raw.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return pieces


def copy(raw: Any) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(raw, target)
    return target.getvalue()


def drained(raw: Any) -> Any:
    raw.read(9)
    raw.drain_conn()
    return raw.read(), raw.isclosed()


def released(raw: Any) -> Any:
    raw.read()
    raw.release_conn()
    return raw.connection, raw.read()


def wrapped(raw: Any) -> list[str]:
    raw.auto_close = False  # As urllib3's guide says to, lest the wrapper finds a closed file.
    return list(io.TextIOWrapper(raw, encoding="latin-1", newline=""))


def buffered(raw: Any) -> Any:
    raw.auto_close = False
    with io.BufferedReader(raw, 50) as reader:
        return reader.peek(1)[:5], reader.read(9), reader.readline(), reader.read(), raw.closed


READERS: dict[str, Callable[[Any], Any]] = {
    "read": lambda raw: raw.read(),
    "read-undecoded": lambda raw: raw.read(decode_content=False),
    "read-decoded": lambda raw: raw.read(decode_content=True),
    "read-amount": lambda raw: [raw.read(7) for _ in range(5)] + [raw.read()],
    "read-amount-decoded": lambda raw: until_empty(lambda: raw.read(100, decode_content=True)),
    "read-nothing": lambda raw: [raw.read(0), raw.tell(), raw.read(3), raw.read(0), raw.read()],
    "read-negative": lambda raw: raw.read(-1),
    "read-cached": lambda raw: [raw.read(cache_content=True), raw.data, raw.read()],
    "read-then-undecoded": lambda raw: [
        raw.read(3, decode_content=True), raw.read(3, decode_content=False)
    ],
    "stream": lambda raw: list(raw.stream(64)),
    "stream-decoded": lambda raw: list(raw.stream(50, decode_content=True)),
    "stream-undecoded": lambda raw: list(raw.stream(50, decode_content=False)),
    "stream-all": lambda raw: list(raw.stream(None)),
    "stream-default": lambda raw: list(raw.stream()),
    "read-chunked": lambda raw: list(raw.read_chunked()),
    "read-chunked-amount": lambda raw: list(raw.read_chunked(4)),
    "read-chunked-decoded": lambda raw: list(raw.read_chunked(decode_content=True)),
    "readinto": readinto,
    "buffered": lambda raw: io.BufferedReader(raw).read(),
    "buffered-unclosed": buffered,
    "text": wrapped,
    "copyfileobj": copy,
    "lines": lambda raw: list(raw),
    "data": lambda raw: [raw.data, raw.data],
    "data-after-part": lambda raw: [raw.read(5), raw.data, raw.data],
    "drained": drained,
    "released": released,
    "closed": lambda raw: [raw.read(5), raw.close(), raw.closed, outcome(lambda: raw.read())],
    "facts": lambda raw: [raw.readable(), raw.writable(), raw.seekable(), raw.isatty()],
    "json": lambda raw: raw.json(),
    "flush": lambda raw: [raw.flush(), raw.read(), raw.flush()],
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes = {f"/{name}": raw for name, raw in ANSWERS.items()}
    utf8 = [("Content-Type", "text/plain; charset=utf-8")]
    routes["/utf-8"] = answer(200, WORDS * 9, headers=utf8, chunked=[7, 1, 30])
    with RawServer(responder(routes)) as running:
        yield running


@pytest.mark.parametrize(("name", "reader"), crossed(BODIES, READERS, 6))
def test_readers(name: str, reader: str, server: RawServer, tmp_path: Path) -> None:
    if reader == "read-negative" and OLD and name != "close-delimited":
        pytest.skip("urllib3 1.26 takes -1 for an amount, and waits for the connection's end")

    def through_requests() -> Any:
        with requests.Session() as session:
            raw = session.get(f"{server.url}/{name}", stream=True).raw
            return outcome(lambda: READERS[reader](raw)), raw.tell(), raw.length_remaining

    def through_urllib3() -> Any:
        with urllib3.PoolManager() as pool:
            raw = pool.request("GET", f"{server.url}/{name}", preload_content=False)
            return outcome(lambda: READERS[reader](raw)), raw.tell(), raw.length_remaining

    three_ways(tmp_path / "1", server, through_requests)
    three_ways(tmp_path / "2", server, through_urllib3)


@pytest.mark.parametrize("reader", sampled(READERS, 2))
def test_readers_after_preloading(reader: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with urllib3.PoolManager() as pool:
            raw = pool.request("GET", f"{server.url}/gzip")
            return outcome(lambda: READERS[reader](raw)), raw.tell(), raw.data

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("name", BODIES)
def test_where_a_reader_stands_at_each_step(name: str, server: RawServer, tmp_path: Path) -> None:
    def stands(raw: Any) -> Any:
        original = raw._original_response
        return raw.tell(), raw.length_remaining, raw.isclosed(), raw.closed, original.length

    def work() -> Any:
        with requests.Session() as session:
            raw = session.get(f"{server.url}/{name}", stream=True).raw
            steps = [stands(raw)]
            for amount in (0, 1, 300, 7, 2000, 1):
                steps.append((outcome(lambda amount=amount: raw.read(amount)), stands(raw)))
            raw.close()
            return steps, stands(raw)

    three_ways(tmp_path, server, work)


@pytest.mark.skipif(not hasattr(urllib3.HTTPResponse, "read1"), reason="read1 is new in urllib3 2")
@pytest.mark.parametrize("decode", [None, True, False])
@pytest.mark.parametrize(
    ("name", "amount"),
    crossed(
        ["plain", "gzip", "chunked", "chunked-gzip", "close-delimited"], [None, 1, 50, 10_000], 4
    ),
)
def test_read1_gives_the_same_bytes(
    name: str, amount: int | None, decode: bool | None, server: RawServer, tmp_path: Path
) -> None:
    # How much one read1 gives depends on the arrival of packets, live as well.
    def work() -> Any:
        with requests.Session() as session:
            raw = session.get(f"{server.url}/{name}", stream=True).raw
            if amount == 1:
                return [raw.read1(0, decode), *(raw.read1(1, decode) for _ in range(20))]
            got = b"".join(until_empty(lambda: raw.read1(amount, decode)))
            return got, raw.tell(), raw.isclosed(), raw.read1(amount, decode)

    three_ways(tmp_path, server, work)


ITERATORS: dict[str, Callable[[requests.Response], Any]] = {
    "content": lambda r: list(r.iter_content(64)),
    "content-one": lambda r: list(r.iter_content()),
    "content-bad-size": lambda r: list(r.iter_content("x")),
    "content-text": lambda r: list(r.iter_content(5, decode_unicode=True)),
    "content-again": lambda r: [r.content, list(r.iter_content(99)), list(r.iter_content(None))],
    "content-twice": lambda r: [list(r.iter_content(99)), outcome(lambda: list(r.iter_content()))],
    "content-late": lambda r: [next(r.iter_content(3), None), outcome(lambda: r.content)],
    "lines": lambda r: list(r.iter_lines()),
    "lines-small": lambda r: list(r.iter_lines(chunk_size=5)),
    "lines-text": lambda r: list(r.iter_lines(7, decode_unicode=True)),
    "lines-delimited": lambda r: list(r.iter_lines(chunk_size=11, delimiter=b"\r\n")),
    "iterated": list,
    "text": lambda r: (r.text, r.encoding, r.apparent_encoding),
    "json": lambda r: r.json(),
    "judged": lambda r: (bool(r), r.ok, len(r.content), repr(r)),
    "closed": lambda r: [next(r.iter_content(9), None), r.close(), outcome(lambda: r.raw.read())],
}


@pytest.mark.parametrize(("name", "reader"), crossed(TEXTS, ITERATORS, 5))
def test_iterators_of_requests(name: str, reader: str, server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        with session.get(f"{server.url}/{name}", stream=True) as response:
            return outcome(lambda: ITERATORS[reader](response)), response.raw.tell()

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    three_ways(tmp_path / "1", server, hooked)
    mounted(tmp_path / "2", server, work)


@pytest.mark.parametrize("name", TEXTS)
def test_iter_content_of_any_size_gives_the_same_bytes(
    name: str, server: RawServer, tmp_path: Path
) -> None:
    # Its pieces are as packets come, where the body is neither chunked nor coded.
    def work() -> Any:
        with requests.get(f"{server.url}/{name}", stream=True) as response:
            pieces = list(response.iter_content(None))
        with requests.get(f"{server.url}/{name}", stream=True) as response:
            text = "".join(
                piece if isinstance(piece, str) else piece.decode()
                for piece in response.iter_content(None, decode_unicode=True)
            )
        return pieces if "chunked" in name else b"".join(pieces), text

    three_ways(tmp_path, server, work)


def test_json_with_its_odd_encodings(tmp_path: Path) -> None:
    bodies = [b'{"a": [1, "\xc3\xbc"]}', '{"b": "ü"}'.encode("utf-16"), b"[", b"", b"\xff\xff"]
    routes: dict[str, Any] = {f"/{n}": answer(200, body) for n, body in enumerate(bodies)}
    with RawServer(responder(routes)) as server:

        def work() -> Any:
            return [
                outcome(requests.get(f"{server.url}/{number}").json)
                for number in range(len(bodies))
            ]

        plain = three_ways(tmp_path, server, work)
    assert plain[0] == {"a": [1, "ü"]}
    assert plain[2].name == "JSONDecodeError"
