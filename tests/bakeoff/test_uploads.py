"""Uploads: the bytes on the wire are the program's own, plainly and recorded; replay finds them."""

from __future__ import annotations

import array
import io
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.filepost import encode_multipart_formdata
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, ReplayMissError, Status, mount
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.harness import EXACT, SOURCE, observe, outcome
from tests.support.servers import Connection, RawServer, Request, answer, responder
from tests.support.ways import HOOK, HOWS, MOUNT, Opener, opener, wire_ways

OLD_URLLIB3 = hasattr(urllib3.HTTPResponse, "from_httplib")
OLD_REQUESTS = not hasattr(HTTPAdapter, "get_connection_with_tls_context")
CONTENT = bytes(range(256)) * 300
FIELDS = {"file": ("name.txt", b"content\r\n--with dashes", "text/plain"), "a": "ü"}


class Iterable:
    """Iterable with a length, as requests' own streaming uploads like it."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)


class Readable:
    """File-like, of unknown length, not seekable."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


class BadTell(io.BytesIO):
    """No one can note where it stands, and so no one can go back there."""

    def tell(self) -> int:
        raise OSError("no position")


class ReadableLines(Readable):
    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(1000), b"")


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=100)  # noqa: SIM115 - the caller closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def at(file: Any, offset: int) -> Any:
    file.seek(offset)
    return file


def boundary() -> dict[str, Any]:
    body, kind = encode_multipart_formdata(FIELDS, boundary="given")
    return {"data": body, "headers": {"Content-Type": kind}}


def encoder() -> dict[str, Any]:
    toolbelt = pytest.importorskip("requests_toolbelt", reason="requests-toolbelt is missing")
    body = toolbelt.MultipartEncoder(FIELDS, boundary="given")
    return {"data": body, "headers": {"Content-Type": body.content_type}}


# What requests takes as data; urllib3 takes the same as body, but for the dictionaries.
UPLOADS: dict[str, Callable[[Path], Any]] = {
    "none": lambda _: None,
    "bytes": lambda _: b"\x00\x01binary",
    "empty": lambda _: b"",
    "bytearray": lambda _: bytearray(b"mutable"),
    "memoryview": lambda _: memoryview(b"--viewed--")[2:-2],
    "memoryview-items": lambda _: memoryview(array.array("H", [1, 2, 3])),
    "array": lambda _: array.array("H", [1, 2, 3]),
    "ascii": lambda _: "text",
    "text": lambda _: "häh",
    "text-beyond-latin-1": lambda _: "zł",
    "generator": lambda _: (part for part in (b"one", b"two", b"three" * 100)),
    "generator-of-text": lambda _: (part for part in ("one", "zł")),
    "generator-of-bytearrays": lambda _: (bytearray(part) for part in (b"one", b"two")),
    "generator-with-gaps": lambda _: (part for part in (b"", b"one", b"", b"two", b"")),
    "generator-of-nothing": lambda _: iter(()),
    "list": lambda _: [b"one", b"two"],
    "iterable": lambda _: Iterable(b"one", b"two" * 400),
    "file": lambda path: path.open("rb"),
    "file-from-the-middle": lambda path: at(path.open("rb"), 1000),
    "file-at-its-end": lambda path: at(path.open("rb"), len(CONTENT)),
    "unbuffered-file": lambda path: path.open("rb", buffering=0),
    "bytes-io": lambda _: io.BytesIO(CONTENT),
    "bytes-io-from-the-middle": lambda _: at(io.BytesIO(CONTENT), 70_000),
    "string-io": lambda _: io.StringIO("text"),
    "spooled": lambda _: spooled(),
    "unrewindable": lambda _: BadTell(b"body"),
    "readable": lambda _: Readable(CONTENT),
    "readable-lines": lambda _: ReadableLines(CONTENT),
}
WHOLE: dict[str, Callable[[], dict[str, Any]]] = {
    "form": lambda: {"data": {"a": ["1", "2"], "b": "ü&", "c": ""}},
    "form-pairs": lambda: {"data": [("b", "1"), ("a", "2"), ("b", "3")]},
    "json": lambda: {"json": {"b": 1.5, "a": ["ü", None]}},
    "boundary": boundary,
    "encoder": encoder,
}


def digest(request: Request) -> bytes:
    return answer(200, request.body_sha256.encode())


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes = {"/up": digest, "/again": answer(307, headers=[("Location", "/up")])}
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


def recorded(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() if s.mode == "record" for e in store.exchanges(s.id)]


def stored_as_sent(root: Path, server: RawServer) -> bool:
    """Say whether the recorded body is the one that the server got."""
    if not server.requests:
        return True
    (exchange,), sent = recorded(root), server.requests[-1]
    if not sent.body:
        return exchange.request.body_checksum is None
    stored = (exchange.request.body_checksum, exchange.request.body_size)
    return stored == (sent.body_sha256, sent.body_length)


def send(post: Callable[[Any], Any], body: Any) -> Any:
    """Send a body; return what came, and where the body stands after."""
    try:
        got = outcome(lambda: post(body))
        return got, outcome(body.tell) if hasattr(body, "tell") else None
    finally:
        if hasattr(body, "close"):
            body.close()


@pytest.mark.parametrize(("kind", "how"), crossed(UPLOADS, HOWS, 2))
def test_uploads_through_requests(
    kind: str, how: str, server: RawServer, path: Path, tmp_path: Path
) -> None:
    if kind == "generator-with-gaps" and OLD_REQUESTS:
        pytest.skip("an empty part ends the body that this requests sends")
    if kind == "readable" and OLD_REQUESTS:
        pytest.skip("this requests fails amid a body that it can't iterate: when, is left to luck")
    if kind in ("array", "memoryview-items"):
        pytest.skip("requests takes the number of items for that of bytes")

    def work(opener: Opener) -> Any:
        with opener() as session:
            body = UPLOADS[kind](path)
            return send(lambda body: observe(session.post(f"{server.url}/up", data=body)), body)

    wire_ways(tmp_path / "root", server, work, how)
    assert stored_as_sent(tmp_path / "root", server)


@pytest.mark.parametrize(("kind", "how"), crossed(WHOLE, HOWS, 2))
def test_forms_through_requests(kind: str, how: str, server: RawServer, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        with opener() as session:
            return observe(session.post(f"{server.url}/up", **WHOLE[kind]()))

    wire_ways(tmp_path / "root", server, work, how)
    if kind in ("boundary", "encoder"):
        assert b"\r\n--given--\r\n" in server.requests[-1].raw


@pytest.mark.parametrize(("kind", "chunked"), crossed(UPLOADS, [False, True], 2))
def test_uploads_through_urllib3(
    kind: str, chunked: bool, server: RawServer, path: Path, tmp_path: Path
) -> None:
    if chunked and kind in ("array", "memoryview-items"):
        pytest.skip("urllib3 takes the number of items for that of bytes")

    def work(_: Opener) -> Any:
        def post(body: Any) -> Any:
            kwargs = {"chunked": True} if chunked else {}
            return observe(pool.urlopen("POST", f"{server.url}/up", body=body, **kwargs))

        with urllib3.PoolManager(retries=False) as pool:
            return send(post, UPLOADS[kind](path))

    wire_ways(tmp_path / "root", server, work)
    assert stored_as_sent(tmp_path / "root", server)


@pytest.mark.parametrize("chunked", [False, True])
def test_text_mode_file(chunked: bool, server: RawServer, tmp_path: Path) -> None:
    path = tmp_path / "text"
    # urllib3 1.26 leaves the coding to http.client, which takes Latin-1.
    path.write_text("häh\n" * 9000 if OLD_URLLIB3 else "häh zł\n" * 9000, encoding="utf-8")

    def work(_: Opener) -> Any:
        kwargs = {"chunked": True} if chunked else {}
        with urllib3.PoolManager(retries=False) as pool, path.open(encoding="utf-8") as file:
            return pool.urlopen("POST", f"{server.url}/up", body=file, **kwargs).data

    wire_ways(tmp_path / "root", server, work)
    assert stored_as_sent(tmp_path / "root", server)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"fields": {"a": "1", "b": "ü"}, "multipart_boundary": "given"},
        {"fields": {"a": "1"}, "encode_multipart": False},
        {"fields": FIELDS, "multipart_boundary": "given", "headers": {"x-Odd-CASE": "1"}},
    ],
    ids=["fields", "urlencoded", "file"],
)
def test_fields_through_urllib3(kwargs: dict[str, Any], server: RawServer, tmp_path: Path) -> None:
    def work(_: Opener) -> Any:
        with urllib3.PoolManager() as pool:
            return observe(pool.request("POST", f"{server.url}/up", **kwargs))

    wire_ways(tmp_path, server, work)


@pytest.mark.parametrize("how", HOWS)
def test_heads_are_as_given(how: str, server: RawServer, tmp_path: Path) -> None:
    """Order, case, spaces, Latin-1 and removed headers."""

    def work(opener: Opener) -> Any:
        headers = {"zz-LAST": "b", "Aa-first": "caf\xe9".encode("latin-1"), "User-Agent": None}
        with opener() as session:
            session.headers = {"x-own": "1", "ACCEPT": "text/*"}
            got = [session.request("pUt", f"{server.url}/up?b=2&a=%7e", headers=headers).text]
        if how == HOOK:
            repeated = urllib3._collections.HTTPHeaderDict([("X-A", "1"), ("x-a", "2")])
            names = ("Host", "Accept-Encoding", "User-Agent")
            skipped = dict.fromkeys(names, urllib3.util.SKIP_HEADER)
            with urllib3.PoolManager(headers={"x-pool": "1"}) as pool:
                got.append(pool.request("GET", f"{server.url}/up?x=[1]#f", headers=repeated).data)
                got.append(pool.request("GET", f"{server.url}/up", headers=skipped).data)
                got.append(pool.request("GET", f"{server.url}/up").data)
        return got

    if how == HOOK and not hasattr(urllib3.util, "SKIP_HEADER"):
        pytest.skip("this urllib3 can't leave headers out")
    wire_ways(tmp_path, server, work, how)
    head = server.requests[0].raw
    assert head.index(b"x-own") < head.index(b"zz-LAST") < head.index(b"Aa-first: caf\xe9")


@pytest.mark.parametrize("how", HOWS)
def test_chunks_stay_as_the_generator_made_them(
    how: str, server: RawServer, tmp_path: Path
) -> None:
    parts = [b"a", b"b" * 70_000, b"c" * 3]

    def work(opener: Opener) -> Any:
        with opener() as session:
            return session.post(f"{server.url}/up", data=iter(parts)).text

    wire_ways(tmp_path, server, work, how)
    body = server.requests[-1].raw.partition(b"\r\n\r\n")[2]
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("how", HOWS)
def test_uploads_in_mode_off(how: str, server: RawServer, tmp_path: Path) -> None:
    with (
        IngestSession(SOURCE, tmp_path, "off", hook=how == HOOK) as ingest,
        opener(ingest if how == MOUNT else None)() as session,
    ):
        sent = session.post(f"{server.url}/up", data=iter([b"one", b"two"]))
    assert sent.text == server.requests[0].body_sha256
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", HOWS)
def test_random_boundaries_replay(how: str, server: RawServer, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        with opener() as session:
            files = {"file": ("name.txt", b"content")}
            response = session.post(f"{server.url}/up", files=files, data={"a": "1"})
            sent = re.search(r"boundary=(\w+)", response.request.headers["Content-Type"])
            boundaries.append(sent and sent[1])
            return response.status_code

    boundaries: list[Any] = []
    wire_ways(tmp_path, server, work, how, compare_wire=False)
    assert len(set(boundaries)) == 3


@pytest.mark.parametrize("how", HOWS)
def test_expect_100_continue(how: str, tmp_path: Path) -> None:
    """Neither requests nor urllib3 waits; the interim answer is passed over."""

    def continues(connection: Connection) -> None:
        while request := connection.read_request():
            connection.send(b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n" + digest(request))

    def work(opener: Opener) -> Any:
        headers = {"Expect": "100-continue"}
        with opener() as session:
            got = [observe(session.post(server.url, data=b"body", headers=headers))]
            got += [observe(session.post(server.url, data=iter([b"b", b"y"]), headers=headers))]
        if how == HOOK:
            with urllib3.PoolManager() as pool:
                got += [observe(pool.request("PUT", server.url, body=b"x", headers=headers))]
        return got

    with RawServer(continues) as server:
        wire_ways(tmp_path, server, work, how)
        assert server.requests[0].header("Expect") == "100-continue"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("sized", [False, True])
def test_refused_midway(sized: bool, how: str, tmp_path: Path) -> None:
    """The server answers and closes while the program is still sending."""
    closed = threading.Event()

    def refuses(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer(413, b"too much", headers=[("Connection", "close")]))
        connection.close()
        closed.set()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            assert closed.wait(5)
            for number in range(500):
                yield b"%064d" % number

    class Sized(Body):
        def __len__(self) -> int:
            return 500 * 64

    def work(opener: Opener) -> Any:
        with opener() as session:
            return observe(session.post(server.url, data=Sized() if sized else Body()))

    def by_urllib3(_: Opener) -> Any:
        with urllib3.PoolManager(retries=False) as pool:
            return observe(pool.urlopen("POST", server.url, body=iter(Body())))

    with RawServer(refuses) as server:
        wire_ways(tmp_path / "1", server, work, how, before=closed.clear)
        if how == HOOK:
            seen = wire_ways(tmp_path / "2", server, by_urllib3, before=closed.clear)
            assert (seen["status"], seen["data"]) == (413, b"too much")


@pytest.mark.parametrize("client", [*HOWS, "urllib3"])
@pytest.mark.parametrize("first", [0, 3])
def test_generator_that_raises(first: int, client: str, tmp_path: Path) -> None:
    class OwnError(Exception):
        """No one else's."""

    def body() -> Iterator[bytes]:
        yield from [b"part"] * first
        assert connected.wait(5)
        raise OwnError("the source broke")

    def work(opener: Opener) -> Any:
        if client == "urllib3":
            with urllib3.PoolManager() as pool:
                return pool.urlopen("POST", server.url, body=body())
        with opener() as session:
            return session.post(server.url, data=body())

    def waits(connection: Connection) -> None:
        connected.set()
        connection.read_request()

    connected = threading.Event()
    with RawServer(waits) as server:
        how = MOUNT if client == MOUNT else HOOK
        seen = wire_ways(tmp_path, server, work, how, before=connected.clear)
    assert seen[:2] == ("OwnError", "the source broke")
    (exchange,) = recorded(tmp_path)
    assert exchange.request.status is Status.FAILED
    assert exchange.request.failure.message == "the source broke"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["file-from-the-middle", "generator", "unrewindable", "text"])
def test_redirected_uploads_are_rewound(
    kind: str, how: str, server: RawServer, path: Path, tmp_path: Path
) -> None:
    def work(opener: Opener) -> Any:
        url = f"{server.url}/again"
        with opener() as session:
            got = [send(lambda body: observe(session.post(url, data=body)), UPLOADS[kind](path))]
        if how == HOOK:
            with urllib3.HTTPConnectionPool(server.host, server.port) as pool:
                urlopen = pool.urlopen
                got += [send(lambda b: observe(urlopen("PUT", "/again", b)), UPLOADS[kind](path))]
            with urllib3.PoolManager() as manager:
                got += [
                    send(
                        lambda b: observe(manager.urlopen("PUT", url, body=b)), UPLOADS[kind](path)
                    )
                ]
        return got

    seen = wire_ways(tmp_path / "root", server, work, how)
    if kind == "unrewindable":
        assert [one[0][0] for one in seen[:2]] == ["UnrewindableBodyError"] * len(seen[:2])
    else:
        assert [step[0] for step in seen[0][0]["history"]] == [307]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["file-from-the-middle", "generator", "unrewindable"])
@pytest.mark.parametrize("failing", ["status", "reset"])
def test_retried_uploads_are_rewound(
    failing: str, kind: str, how: str, path: Path, tmp_path: Path
) -> None:
    tries = 0

    def flaky(connection: Connection) -> None:
        nonlocal tries
        while request := connection.read_request():
            tries += 1
            if tries % 2 == 0:
                connection.send(digest(request))
            elif failing == "status":
                connection.send(answer(503, b"later"))
            else:
                return connection.reset()

    def restart() -> None:
        nonlocal tries
        tries = 0

    def work(opener: Opener) -> Any:
        retry = Retry(2, status_forcelist=[503], backoff_factor=0, allowed_methods=False)
        with opener({"http://": HTTPAdapter(max_retries=retry)}) as session:
            got = [send(lambda b: observe(session.put(server.url, data=b)), UPLOADS[kind](path))]
        if how == HOOK:
            restart()
            with urllib3.PoolManager(retries=retry) as pool:
                got += [
                    send(
                        lambda b: observe(pool.urlopen("PUT", server.url, body=b)),
                        UPLOADS[kind](path),
                    )
                ]
        return got

    with RawServer(flaky) as server:
        wire_ways(tmp_path / "root", server, work, how, before=restart)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["bytes", "generator", "file", "text"])
def test_a_changed_byte_is_a_miss(kind: str, how: str, server: RawServer, tmp_path: Path) -> None:
    bodies: dict[str, Callable[[bytes], Any]] = {
        "bytes": bytes,
        "generator": lambda content: iter([content[:10], content[10:]]),
        "file": io.BytesIO,
        "text": lambda content: content.decode("latin-1"),
    }
    with requests.Session() as session:

        def post(mode: str, content: bytes) -> str:
            options = {"redaction": EXACT, "hook": how == HOOK}
            with IngestSession(SOURCE, tmp_path, mode, **options) as ingest:
                try:
                    if how == MOUNT:
                        with mount(session, ingest):
                            return session.post(f"{server.url}/up", data=bodies[kind](content)).text
                    return session.post(f"{server.url}/up", data=bodies[kind](content)).text
                finally:
                    ingest.misses.clear()

        first = post("record", CONTENT)
        assert post("replay", CONTENT) == first
        changed = CONTENT[:-1] + b"x"
        with pytest.raises(ReplayMissError):
            post("replay", changed)
        assert server.hits == 1
