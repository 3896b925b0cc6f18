"""A server that means harm: the program sees what it sees plainly, recording is sound and bounded.

Each of these runs against a real socket: plainly, recorded and replayed, by the hook and mounted.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    ConfigError,
    Exchange,
    FetchResult,
    IngestSession,
    Status,
    Store,
    mount,
    register,
)
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.registry import unregister
from tests.support.effort import crossed, sampled
from tests.support.harness import observe, outcome
from tests.support.memory import growth
from tests.support.servers import Connection, RawServer, answer, responder
from tests.support.ways import HOOK, HOWS, Opener, wire_ways

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def stored(root: Path) -> list[Exchange]:
    with Store(root, readonly=True) as store:
        return [one for session in store.sessions() for one in store.exchanges(session.id)]


def repeated(head: bytes, block: bytes, times: int, tail: bytes = b"") -> Callable[..., None]:
    """Return a server that sends a block again and again, as long as it is read."""
    together = max(1, (1 << 16) // len(block))

    def handle(connection: Connection) -> None:
        if connection.read_request():
            connection.send(head)
            for _ in range(times // together):
                connection.send(block * together)
            connection.send(block * (times % together) + tail)

    return handle


def get(opened: Opener, url: str, **options: Any) -> Any:
    with opened() as session:
        return observe(session.get(url, timeout=30, **options))


# -- heads -------------------------------------------------------------------------------------

ENDLESS = 1 << 40
FLOODS = {
    # As much as http.client takes: 6 MB of it.
    "large": repeated(OK, b"X-Long: " + b"v" * 60_000 + b"\r\n", 98, b"\r\n"),
    "many": repeated(OK, b"X-More: 1\r\n", ENDLESS),
    "one endless line": repeated(OK + b"X-Long: ", b"v" * 1_000, ENDLESS),
    "an endless folded line": repeated(OK + b"X-Long: a\r\n", b" and more\r\n", ENDLESS),
    "an endless status line": repeated(b"HTTP/1.1 200 ", b"v" * 1_000, ENDLESS),
    "no status line": repeated(b"", b"A" * 1_000, ENDLESS),
    "one long word": repeated(b"", b"a" * 60_000 + b"\r\n\r\n", 1),
    "one long path": repeated(b"", b"/" * 60_000 + b"\r\n\r\n", 1),
    "interim answers": repeated(
        b"", b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n", 20_000, answer(200, b"at last")
    ),
    "endless interim headers": repeated(b"HTTP/1.1 100 Continue\r\n", b"A: b\r\n", ENDLESS),
}


@pytest.mark.parametrize(("name", "how"), crossed(FLOODS, HOWS, 2))
def test_floods_of_headers(tmp_path: Path, name: str, how: str) -> None:
    with RawServer(FLOODS[name]) as server:

        def work(opened: Opener) -> Any:
            return outcome(lambda: get(opened, server.url))

        start = time.monotonic()
        seen = wire_ways(tmp_path, server, work, how)
        assert time.monotonic() - start < 20
    assert isinstance(seen, dict) == (name in ("large", "interim answers"))
    (exchange,) = stored(tmp_path)
    wanted = Status.COMPLETE if isinstance(seen, dict) else Status.FAILED
    assert exchange.request.status is wanted
    assert verify_root(tmp_path).ok


@pytest.mark.parametrize(
    "name", sampled(["large", "many", "one endless line", "no status line"], 2)
)
def test_their_memory_is_bounded(tmp_path: Path, name: str) -> None:
    with RawServer(FLOODS[name]) as server:

        def plain() -> None:
            for _ in range(3):
                outcome(lambda: requests.get(server.url, timeout=30).status_code)

        def work() -> None:
            with IngestSession("s", tmp_path):
                plain()

        # What waits in a journal is held once more, and written as text.
        assert growth(work) < growth(plain) + (64 << 20)
    assert len(stored(tmp_path)) == 3


# -- how a body is cut -------------------------------------------------------------------------


def pieces(*sizes: int, extension: bytes = b"", tail: bytes = b"0\r\n\r\n") -> bytes:
    """Return chunks of these sizes."""
    whole = b"0123456789abcdef" * 256
    return b"".join(b"%x%s\r\n%s\r\n" % (n, extension, whole[:n]) for n in sizes) + tail


CUT = {
    "single bytes": pieces(*[1] * 20_000),
    "no two alike": pieces(*itertools.islice(itertools.cycle(range(1, 200)), 3_000)),
    "odd ones": pieces(*[2] * 5_000, extension=b";a=b"),
    "long extensions": pieces(*[2] * 30, extension=b";a=" + b"b" * 60_000),
    "trailers": pieces(5, tail=b"0\r\n" + b"X-Trailer: of no use\r\n" * 100_000 + b"\r\n"),
    "a long trailer": pieces(5, tail=b"0\r\nX: " + b"v" * 60_000 + b"\r\n\r\n"),
    "too long a trailer": pieces(5, tail=b"0\r\nX: " + b"v" * 70_000 + b"\r\n\r\n"),
    "too long a size": pieces(5, tail=b"0" * 70_000 + b"1\r\na\r\n0\r\n\r\n"),
    "a size of any length": pieces(5, tail=b"f" * 5_000 + b"\r\nabc"),
    "a size of no word": pieces(5, tail=b"ffffffffffffffff\r\nabc"),
    "leading zeros": pieces(5, tail=b"0" * 60_000 + b"1\r\na\r\n0\r\n\r\n"),
    "an endless line": pieces(5, tail=b"a" * 3_000_000),
}


@pytest.mark.parametrize(("name", "how"), crossed(CUT, HOWS, 2))
def test_bodies_cut_to_harm(tmp_path: Path, name: str, how: str) -> None:
    with RawServer(repeated(CHUNKED, CUT[name], 1)) as server:

        def work(opened: Opener) -> Any:
            with opened() as session:
                response = session.get(server.url, timeout=30, stream=True)
                return outcome(lambda: b"".join(response.iter_content(4_096)))

        seen = wire_ways(tmp_path, server, work, how)
    (exchange,) = stored(tmp_path)
    wanted = {Status.COMPLETE if isinstance(seen, bytes) else Status.PARTIAL}
    if hasattr(urllib3.HTTPResponse, "from_httplib"):
        # urllib3 1.26 takes the end of the chunks for that of the body, whatever follows them.
        wanted.add(Status.PARTIAL)
    assert exchange.request.status in wanted
    assert verify_root(tmp_path).ok
    rows = (tmp_path / "dataio.sqlite").stat().st_size
    assert rows < 9 << 20, "more is kept of how a body was cut than of the body"


def test_trailers_do_not_wait_in_memory(tmp_path: Path) -> None:
    """http.client reads them for as long as they come, and keeps none."""
    head = CHUNKED + b"5\r\nhello\r\n0\r\n"
    trailer = b"X-Trailer: %s\r\n" % (b"of no use " * 9)
    with RawServer(repeated(head, trailer, 300_000, b"\r\n")) as server:

        def work() -> None:
            with IngestSession("s", tmp_path):
                assert requests.get(server.url, timeout=60).content == b"hello"

        assert growth(work) < 24 << 20
    (exchange,) = stored(tmp_path)
    assert exchange.request.status is Status.COMPLETE


@pytest.mark.parametrize("sizes", [(1,), (1, 2)], ids=str)
def test_tiny_chunks_of_a_large_body_take_little(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """How it is cut is kept as runs, or not at all where it has none."""
    block = pieces(*sizes * 500, tail=b"")
    size = sum(sizes) * 500

    def read(url: str) -> int:
        with requests.get(url, stream=True, timeout=60) as response:
            return sum(map(len, iter(lambda: response.raw.read(1 << 16), b"")))

    with RawServer(repeated(CHUNKED, block, 100, b"0\r\n\r\n")) as server:

        def plain() -> None:
            assert read(server.url) == size * 100

        def work() -> None:
            with IngestSession("s", tmp_path):
                plain()

        def replayed() -> None:
            with IngestSession("s", tmp_path, "replay"):
                plain()

        base = growth(plain)
        assert growth(work) < base + (24 << 20)
        assert growth(replayed) < base + (24 << 20)
        assert server.hits == 2
    (exchange,) = stored(tmp_path)
    assert exchange.request.status is Status.COMPLETE
    framing = exchange.responses[0].framing
    if sizes == (1,):
        assert framing is not None
        assert framing.chunks == ((1, 50_000),)
    else:
        assert framing is None


# -- bodies that inflate -----------------------------------------------------------------------

SECRET = "zX9-kq27Lw_8vTr41"
# Made for those alone that ask for them.
INFLATING: dict[str, Callable[[], bytes]] = {
    "BOMB": lambda: gzip.compress(bytes(200 << 20), 9, mtime=0),
    "MEMBERS": lambda: gzip.compress(b"", mtime=0) * 400_000,
    "DEEP": lambda: gzip.compress(b'{"a_token":' * 400_000, mtime=0),
    "WIDE": lambda: gzip.compress(b'{"x_token":[' + b"{},[]," * 1_800_000, 9, mtime=0),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    crossed(INFLATING, ["text/html", "application/json"], 2),
)
def test_a_body_that_inflates_is_looked_into_so_far(tmp_path: Path, name: str, kind: str) -> None:
    """For known secrets and tokens; what it takes is bounded, whatever it would come to."""
    body = INFLATING[name]()
    fields = [("Content-Encoding", "gzip"), ("Content-Type", kind)]
    raw = answer(200, body, headers=fields)

    def read(url: str) -> bytes:
        with requests.post(url, stream=True, headers={"X-API-Key": SECRET}) as response:
            return response.raw.read(decode_content=False)

    with RawServer(responder({"/token": raw})) as server:
        url = f"{server.url}/token"

        def work() -> None:
            start = time.monotonic()
            with IngestSession("s", tmp_path):
                assert read(url) == body
            assert time.monotonic() - start < 20

        # 16 MiB of it are undone, and looked through.
        assert growth(work) < (72 << 20) + 4 * len(body)
        with IngestSession("s", tmp_path, "replay"):
            assert read(url) == body
    assert verify_root(tmp_path).ok


def test_a_secret_behind_the_first_member_is_found(tmp_path: Path) -> None:
    parts = [b"nothing here\n" * 9, f"but {SECRET}\n".encode(), b"and more\n"]
    body = b"".join(gzip.compress(part, mtime=0) for part in parts) + b"and what is no member"
    fields = [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")]
    with RawServer(responder({"/": answer(200, body, headers=fields)})) as server:

        def read() -> bytes:
            return requests.get(server.url, headers={"X-API-Key": SECRET}).content

        with IngestSession("s", tmp_path):
            assert read() == b"".join(parts)
        (exchange,) = stored(tmp_path)
        answered = exchange.responses[0]
        assert answered.redacted
        assert answered.bytes_path is not None
        kept = zlib.decompress(answered.bytes_path.read_bytes(), 31)
        assert kept == b"".join(parts).replace(SECRET.encode(), b"REDACTED")
        with IngestSession("s", tmp_path, "replay"):
            assert read() == kept


# -- what a head may hold ----------------------------------------------------------------------

HEADS = {
    "nul": b"X-A: a\0b\r\nX-\0: c\r\n",
    "lone cr": b"X-A: a\rSet-Cookie: b=c\rX-D: e\r\n",
    "split by cr": b"X-A: a\r\r\nX-B: b\r\n",
    "no utf-8": b"X-A: \xff\xfe\x80\r\nX-\xc3: \xc3\x28\r\n",
    "overlong": b"X-A: \xc0\xaf\xe0\x80\xaf\xed\xa0\x80\r\n",
    "line separators": "X-A: a\u2028b\x85c\x0bd\x0ce\x1cf\r\n".encode("utf-8"),
    "latin-1 line ends": b"X-A: a\x85b\x1dc\x1ed\xa0\r\nX-B: c\r\n",
    "no name": b": value\r\n : folded\r\n",
    "a name of blanks": b"  X-A : b\r\nX B: c\r\n",
    "injected": b"X-A: a%0d%0aSet-Cookie:%20b=c\r\n",
    "a cookie of all": b"Set-Cookie: \x01\x02=\xff; Path=\0; ;=;\r\nSet-Cookie: =\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 400\r\n",
    "a length with a sign": b"Content-Length: +4\r\n",
    "a length in another script": b"Content-Length: " + b"\xb2\r\n",
    "a length with a blank of Latin-1": b"Content-Length: 4\xa0\r\n",
    "a length behind a next line": b"Content-Length: \x854\r\n",
    "a length in parts": b"Content-Length: 1_0\r\n",
    "a length of any length": b"Content-Length: " + b"9" * 5_000 + b"\r\n",
    "chunked, nearly": b"Transfer-Encoding: chunked\xa0\r\n",
    "chunked by a blank": b"Transfer-Encoding:\x0bchunked\x0c\r\n",
    "a charset of none": b"Content-Type: text/html; charset=\0\r\n",
    "a coding of none": b"Content-Encoding: \xff, gzip\0\r\n",
    "vary by anything": b"Vary: \xff, *, ,a\0b, " + b"x," * 5_000 + b"\r\n",
    "a place of blanks": b"Location: \t\r\n",
    "an etag of quotes": b'ETag: """\\"\r\nLast-Modified: never\r\n',
}


@pytest.mark.parametrize(("name", "how"), crossed(HEADS, HOWS, 2))
def test_heads_with_anything_in_them(tmp_path: Path, name: str, how: str) -> None:
    raw = OK + HEADS[name] + b"Connection: close\r\n\r\nbody\xff\0\xed\xa0\x80"
    with RawServer(responder({"/": raw})) as server:

        def work(opened: Opener) -> Any:
            return outcome(lambda: get(opened, server.url))

        wire_ways(tmp_path, server, work, how)
    (exchange,) = stored(tmp_path)
    assert verify_root(tmp_path).ok
    if exchange.responses[0].head:
        assert exchange.responses[0].head == raw[: raw.index(b"\r\n\r\n") + 4]


@pytest.mark.parametrize(("name", "how"), crossed(HEADS, HOWS, 2))
def test_the_same_with_redaction(tmp_path: Path, name: str, how: str) -> None:
    """Which looks into all of it, and leaves what is no secret as it is."""
    raw = OK + HEADS[name] + b"Connection: close\r\n\r\nbody\xff\0\xed\xa0\x80"
    hook = how == HOOK
    with RawServer(responder({"/": raw})) as server:
        for mode in ("record", "replay"):
            with (
                requests.Session() as session,
                IngestSession("s", tmp_path, mode, hook=hook) as ingest,
                contextlib.nullcontext() if hook else mount(session, ingest),
            ):
                for _ in range(2):
                    seen = outcome(lambda: session.get(server.url, headers={"X-API-Key": SECRET}))
                    assert seen
                if mode == "replay":
                    ingest.misses.clear()
        assert ingest.session.status is Status.COMPLETE
    assert verify_root(tmp_path).ok


# -- what it would have taken for a secret -----------------------------------------------------

BAITS = [
    "application/json",
    "%0d%0aContent-Length: ",
    "HTTP/1.1 200 OK",
    "chunked-1; gzip-2",
    '","endpoint":"http',
    "127.0.0.1%2Fdata",
    "x7Kq-9vTz2",
    "%22,%22headers%22:[],%22x7Kq9vTz%22:%22",
    "utf-8%00text/html",
    "/x7Kq9vTz2",
]


@pytest.mark.parametrize("bait", BAITS)
def test_a_cookie_makes_no_later_answer_unreadable(tmp_path: Path, bait: str) -> None:
    """A server may choose what is masked from then on: not what answers are read by."""
    body = json.dumps({"price": 1, "kind": "application/json", "at": "/x7Kq9vTz2"}).encode()
    fields = [("Content-Type", "application/json"), ("X-Kind", "x7Kq-9vTz2 and utf-8")]
    routes = {
        "/bait": OK + b"Set-Cookie: csrftoken=" + bait.encode() + b"\r\nContent-Length: 0\r\n\r\n",
        "/data": answer(200, body, headers=fields),
        "/gzip": answer(200, gzip.compress(body), headers=[*fields, ("Content-Encoding", "gzip")]),
        "/chunks": answer(200, body, headers=fields, chunked=[7, 16]),
    }
    with RawServer(responder(routes)) as server:

        def work() -> Any:
            with requests.Session() as session:
                session.get(f"{server.url}/bait")
                return [
                    (answered.status_code, answered.headers["Content-Type"], set(answered.json()))
                    for answered in (
                        session.get(f"{server.url}{path}", headers={"Accept": "application/json"})
                        for path in ("/data", "/gzip", "/chunks")
                    )
                ]

        plain = work()
        with IngestSession("s", tmp_path) as ingest:
            assert work() == plain
        assert ingest.session.status is Status.COMPLETE, ingest.session.warnings
        hits = server.hits
        with IngestSession("s", tmp_path, "replay"):
            assert work() == plain
        assert server.hits == hits
    assert verify_root(tmp_path).ok


def test_many_long_cookies_cost_little(tmp_path: Path) -> None:
    """Each is learned, in all of its writings, for as long as the session lasts."""
    odd = '"!$&(*+/:<=>?@[]^`{|}~' * 170
    cookies = b"".join(b"Set-Cookie: csrf%d=%d%s\r\n" % (n, n, odd.encode()) for n in range(90))
    raw = OK + cookies + b"Content-Length: 2\r\n\r\nok"
    with (
        RawServer(responder({"/": raw})) as server,
        requests.Session() as session,
        IngestSession("s", tmp_path),
    ):
        start = time.monotonic()
        for _ in range(3):
            assert session.get(server.url).content == b"ok"
            session.cookies.clear()
        assert time.monotonic() - start < 15
    assert len(stored(tmp_path)) == 3


# -- where it leads ----------------------------------------------------------------------------

PLACES = [
    "/self",
    "/round/a",
    "/longer?" + "x" * 500,
    "/../../../../etc/passwd",
    "//",
    "/%2e%2e/%2e%2e/%00",
    "?",
    "#",
    "http://[",
    "http://127.0.0.1:99999/",
    "file:///etc/passwd",
    "\xff\xfe",
    "/a b\tc",
]


def led(place: str) -> Any:
    def handle(request: Any) -> bytes:
        if request.path == "/round/a":
            to = "/round/b"
        elif request.path == "/round/b":
            to = "/round/a"
        elif request.path.startswith("/longer"):
            to = f"{request.target}&{'x' * 50}"
        else:
            to = place
        head = b"HTTP/1.1 302 Found\r\nLocation: " + to.encode("latin-1") + b"\r\n"
        return head + b"Content-Length: 4\r\n\r\nthat"

    return handle


@pytest.mark.parametrize(("place", "how"), crossed(PLACES, HOWS, 2))
def test_redirects_without_an_end_and_to_odd_places(tmp_path: Path, place: str, how: str) -> None:
    with RawServer(lambda connection: answering(connection, led(place))) as server:

        def work(opened: Opener) -> Any:
            return outcome(lambda: get(opened, f"{server.url}/start"))

        seen = wire_ways(tmp_path, server, work, how)
        if place in ("/self", "/round/a"):
            assert seen.name == "TooManyRedirects"
    assert verify_root(tmp_path).ok


@pytest.mark.parametrize("place", ["/self", "/round/a", "/../../../etc/passwd"])
@pytest.mark.parametrize("manager", [False, True])
def test_so_by_urllib3(tmp_path: Path, place: str, manager: bool) -> None:
    with RawServer(lambda connection: answering(connection, led(place))) as server:

        def work(_opened: Opener) -> Any:
            if manager:
                with urllib3.PoolManager() as pools:
                    return outcome(lambda: observe(pools.request("GET", f"{server.url}/start")))
            with urllib3.HTTPConnectionPool("127.0.0.1", server.port) as pool:
                return outcome(lambda: observe(pool.request("GET", "/start")))

        seen = wire_ways(tmp_path, server, work)
        assert seen.name == "MaxRetryError"
    assert verify_root(tmp_path).ok


def answering(connection: Connection, route: Any) -> None:
    while (request := connection.read_request()) is not None:
        connection.send(route(request))


# -- names -------------------------------------------------------------------------------------

NAMES = ["../../x", "/etc/passwd", "..", "a/../../b", "a\0b", "-rf", "~root", "CON", "x" * 3_000]
OURS = re.compile(
    r"dataio\.sqlite(-wal|-shm)?|responses|journal|running|responses/[0-9a-f]{64}\.(bin|prefixes)"
    r"|(journal|running)/[0-9a-f-]{36}\.(journal|lock|tmp)"
)


class Named:
    def fetch(self, _request: Any) -> FetchResult:
        return FetchResult(b"x" * 100, headers=(("Content-Disposition", "filename=../../../y"),))


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_another_s_choosing_is_one_of_a_file(tmp_path: Path, name: str) -> None:
    """Of a URL, a header, a source, a kind, a session to be replayed."""
    root = tmp_path / "deep" / "er" / "root"
    shown = name.encode("latin-1").replace(b"\0", b"%00")
    field = b'Content-Disposition: attachment; filename="%s"; filename*=UTF-8\'\'%s\r\n' % (
        shown, shown,
    )  # fmt: skip
    large = b"z" * 300_000
    routes: Any = lambda request: OK + field + b"ETag: %s\r\nContent-Length: %d\r\n\r\n" % (  # noqa: E731
        shown, len(large)) + large  # fmt: skip
    with RawServer(lambda connection: answering(connection, routes)) as server:
        for source in ("s", name):
            with IngestSession(source, root, kind=name) as ingest:
                url = f"{server.url}/{shown.decode('latin-1')}"
                assert outcome(lambda url=url: requests.get(url).content == large)
                ingest.request(server.url, {"file": name}, kind=name)
                seen = [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]
        register(name, Named())
        try:
            with IngestSession(name, root) as ingest:
                ingest.request(name, {"name": name})
        finally:
            unregister(name)
        with pytest.raises(ConfigError, match="no session"):
            IngestSession("s", root, "replay", session=name).open()
    seen += [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]
    top = {Path("deep"), Path("deep/er"), Path("deep/er/root")}
    for path in set(seen) - top:
        assert OURS.fullmatch(path.relative_to("deep/er/root").as_posix()), path


# -- what the program itself is handed ---------------------------------------------------------


def test_what_came_of_a_body_is_not_kept_a_second_time_in_its_failure(tmp_path: Path) -> None:
    """http.client's IncompleteRead holds all that had come, as the payload does."""
    came = b"\xff" * (8 << 20)
    raw = OK + b"Content-Length: 99999999\r\nConnection: close\r\n\r\n" + came

    def work() -> Any:
        with (
            urllib3.PoolManager(retries=False) as pool,
            pytest.raises(urllib3.exceptions.ProtocolError) as caught,
        ):
            pool.request("GET", server.url)
        found: BaseException | None = caught.value
        while found is not None and not hasattr(found, "partial"):
            found = found.__context__
        return repr(caught.value), len(getattr(found, "partial", b""))

    with RawServer(responder({"/": raw})) as server:
        plain = work()
        with IngestSession("s", tmp_path):
            assert work() == plain
        assert (tmp_path / "dataio.sqlite").stat().st_size < 2 << 20
        (exchange,) = stored(tmp_path)
        assert exchange.responses[0].size == len(came)
        with IngestSession("s", tmp_path, "replay"):
            assert work() == plain
