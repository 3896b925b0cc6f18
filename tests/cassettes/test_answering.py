"""``answer=``: a value that must be echoed, or be today's, in the place of the recorded one."""

from __future__ import annotations

import gzip
import http.client
import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    Call,
    ConfigError,
    DataIOWarning,
    Exchange,
    FetchResult,
    IngestSession,
    mount,
    register,
    use_cassette,
)
from mxm_dataio.registry import unregister
from tests.support.pytests import bare, run
from tests.support.servers import RawServer, answer

pytest_plugins = ["pytester"]

JSON = ("Content-Type", "application/json; charset=utf-8")
KINDS = ["root", "cassette"]


@pytest.fixture
def server() -> Iterator[RawServer]:
    def echo(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            given = json.loads(request.body) if request.body.startswith(b"{") else {}
            body = json.dumps({"path": request.target, "id": given.get("id"), "é": "ü"}).encode()
            match request.path:
                case "/gzip":
                    packed = gzip.compress(body)
                    sent = answer(200, packed, headers=[JSON, ("Content-Encoding", "gzip")])
                case "/chunked":
                    sent = answer(200, body, chunked=[3, 5], headers=[JSON])
                case "/both":
                    packed = gzip.compress(body)
                    headers = [JSON, ("Content-Encoding", "gzip"), ("Content-MD5", "eA==")]
                    sent = answer(200, packed, chunked=[3, 5], headers=headers)
                case "/close":
                    sent = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
                case "/none":
                    sent = answer(204)
                case "/long":
                    sent = answer(200, body + b" " * 2_500_000, headers=[JSON])
                case _:
                    sent = answer(200, body, headers=[JSON])
            if request.method == "HEAD":
                sent = sent[: sent.index(b"\r\n\r\n") + 4]
            connection.send(sent)
            if request.path == "/close":
                return

    with RawServer(echo) as running:
        yield running


def opened(tmp_path: Path, kind: str, mode: str, **options: Any) -> Any:
    if kind == "root":
        return IngestSession("s", tmp_path / "root", mode, stdlib=True, **options)
    return use_cassette(tmp_path / "c.json", mode, **options)


def rpc(url: str) -> None:
    drawn = str(uuid.uuid4())
    got = requests.post(f"{url}/rpc", json={"id": drawn, "method": "ping"}, timeout=5).json()
    assert got["id"] == drawn, "the answer is for another request"


def echoed(exchange: Exchange, call: Call) -> Exchange:
    return exchange.with_json({**exchange.json(), "id": call.json["id"]})


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_id_is_echoed(server: RawServer, tmp_path: Path, kind: str) -> None:
    options = {"ignore_params": ["id"], "answer": echoed}
    with opened(tmp_path, kind, "record", **options):
        rpc(server.url)
    for _ in range(2):
        with opened(tmp_path, kind, "replay", **options) as ingest:
            rpc(server.url)
            rpc(server.url)
        assert ingest.all_played
    # Nothing that was stored has changed.
    plain = opened(tmp_path, kind, "replay", ignore_params=["id"])
    with plain, pytest.raises(AssertionError, match="another request"):
        rpc(server.url)


# -- each way to read, over each way in which a body came -----------------------------------------


def by_requests(url: str) -> tuple[int, dict[str, str], bytes]:
    found = requests.get(url, timeout=5)
    return found.status_code, dict(found.headers), found.content


def by_requests_streamed(url: str) -> tuple[int, dict[str, str], bytes]:
    with requests.get(url, stream=True, timeout=5) as found:
        return found.status_code, dict(found.headers), b"".join(found.iter_content(300))


def by_requests_raw(url: str) -> tuple[int, dict[str, str], bytes]:
    with requests.get(url, stream=True, timeout=5) as found:
        return found.status_code, dict(found.headers), found.raw.read(decode_content=False)


def by_mount(url: str) -> tuple[int, dict[str, str], bytes]:
    return by_requests(url)


def by_urllib3(url: str) -> tuple[int, dict[str, str], bytes]:
    with urllib3.PoolManager() as pool:
        found = pool.request("GET", url)
        return found.status, dict(found.headers), found.data


def by_urllib3_streamed(url: str) -> tuple[int, dict[str, str], bytes]:
    with urllib3.PoolManager() as pool:
        found = pool.request("GET", url, preload_content=False)
        return found.status, dict(found.headers), b"".join(found.stream(700))


def by_http_client(url: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(url.split("/")[2])
    connection.request("GET", "/" + url.split("/", 3)[3])
    found = connection.getresponse()
    body = b""
    while piece := found.read(1000):
        body += piece
    connection.close()
    return found.status, dict(found.getheaders()), body


def by_urllib(url: str) -> tuple[int, dict[str, str], bytes]:
    with urllib.request.urlopen(url) as found:
        return found.status, dict(found.headers), found.read()


WAYS = [
    by_requests, by_requests_streamed, by_requests_raw, by_urllib3, by_urllib3_streamed,
    by_http_client, by_urllib,
]  # fmt: skip
PATHS = ["plain", "gzip", "chunked", "both", "close", "long"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", WAYS)
def test_a_changed_body_is_right_on_the_wire(
    server: RawServer, tmp_path: Path, way: Callable[[str], Any], path: str, kind: str
) -> None:
    url = f"{server.url}/{path}"
    value = {"today": "2025-10-07", "ü": ["é"] * 40}

    def changed(exchange: Exchange, call: Call) -> Exchange:
        assert exchange.json()["path"] == f"/{path}"
        return exchange.with_json(value).with_header("X-Changed", "yes")

    with opened(tmp_path, kind, "record"):
        way(url)
    with opened(tmp_path, kind, "replay", answer=changed):
        for _ in range(2):
            status, headers, body = way(url)
            assert (status, json.loads(body)) == (200, value)
            assert headers["X-Changed"] == "yes"
            assert headers["Content-Length"] == str(len(body))
            assert not {"Content-Encoding", "Transfer-Encoding", "Content-MD5"} & set(headers)
    # What was recorded is served as it was.
    with opened(tmp_path, kind, "replay"):
        assert "X-Changed" not in way(url)[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_has_none_and_one_that_gets_one(
    server: RawServer, tmp_path: Path, way: Callable[[str], Any], kind: str
) -> None:
    with opened(tmp_path, kind, "record"):
        way(f"{server.url}/chunked")
        way(f"{server.url}/none")

    def swapped(exchange: Exchange, call: Call) -> Exchange:
        if call.path == "/none":
            return exchange.with_status(200).with_text("größer")
        return exchange.with_status(204)

    with opened(tmp_path, kind, "replay", answer=swapped):
        assert (lambda found: (found[0], found[2]))(way(f"{server.url}/chunked")) == (204, b"")
        status, headers, body = way(f"{server.url}/none")
    assert (status, body.decode()) == (200, "größer")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_has_the_length_and_no_body(server: RawServer, tmp_path: Path, kind: str) -> None:
    def head(url: str) -> list[Any]:
        connection = http.client.HTTPConnection(url.split("/")[2])
        connection.request("HEAD", "/plain")
        mine = connection.getresponse()
        connection.close()
        with urllib3.PoolManager() as pool:
            theirs = pool.request("HEAD", f"{url}/plain")
        ours = requests.head(f"{url}/plain")
        return [
            (mine.getheader("Content-Length"), mine.read()),
            (theirs.headers["Content-Length"], theirs.data),
            (ours.headers["Content-Length"], ours.content),
        ]

    with opened(tmp_path, kind, "record"):
        head(server.url)
    with opened(tmp_path, kind, "replay", answer=lambda one, _: one.with_content(b"x" * 99)):
        assert head(server.url) == [("99", b"")] * 3


@pytest.mark.parametrize("way", [by_requests, by_urllib3])
def test_a_status_is_what_retries_and_programs_see(
    server: RawServer, tmp_path: Path, way: Callable[[str], Any]
) -> None:
    with opened(tmp_path, "root", "record"):
        way(f"{server.url}/gzip")
    with opened(tmp_path, "root", "replay", answer=lambda one, _: one.with_status(503)) as ingest:
        found = requests.get(f"{server.url}/gzip")
        assert (found.status_code, found.reason) == (503, "Service Unavailable")
        assert found.json()["path"] == "/gzip"
        with pytest.raises(requests.HTTPError):
            found.raise_for_status()
    assert ingest.calls[0].status_code == 200


def test_a_mounted_session_and_a_request_of_ours_are_given_it(
    server: RawServer, tmp_path: Path
) -> None:
    def changed(exchange: Exchange, call: Call) -> Exchange:
        return exchange.with_json({"n": call.params[0][1]})

    url = f"{server.url}/gzip"
    for mode in ("record", "replay"):
        options = {"hook": False, "answer": changed}
        ingest = IngestSession("s", tmp_path, mode, ignore_params=["n"], **options)
        with ingest, requests.Session() as session, mount(session, ingest):
            found = session.get(url, params={"n": 7}).json()
            asked = ingest.request(url, {"n": 8})
    assert found == {"n": "7"}
    assert (asked.json(), asked.text, asked.bytes_path) == ({"n": "8"}, '{"n": "8"}', None)
    assert asked.checksum is not None


def test_a_fetcher_s_answer_can_be_changed_too(tmp_path: Path) -> None:
    class Share:
        def fetch(self, request: object) -> FetchResult:
            return FetchResult(b"old", None, (("X-A", "1"),))

    def changed(exchange: Exchange, call: Call) -> Exchange:
        return exchange.with_content(f"{call.path} {call.params}".encode()).with_header("X-A", "é")

    register("share", Share())
    try:
        for mode in ("record", "replay"):
            with IngestSession("share", tmp_path, mode, answer=changed) as ingest:
                found = ingest.request("e", {"a": 1})
    finally:
        unregister("share")
    assert found.content == b"e (('a', '1'),)"
    assert found.headers == (("X-A", "é"),)


# -- what it is asked with ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_asked_with_all_that_the_program_asks_for(
    server: RawServer, tmp_path: Path, kind: str
) -> None:
    seen: list[Call] = []

    def look(exchange: Exchange, call: Call) -> Exchange:
        seen.append(call)
        return exchange

    def work() -> None:
        headers = {"X-Run": "é7", "Authorization": "Bearer kZ81xq02Vw93Lm"}
        url = f"{server.url}/a%20b?z=1&token=kZ81xq02Vw93Lm"
        requests.post(url, json={"b": 1, "password": "kZ81"}, headers=headers)
        requests.post(f"{server.url}/f", data={"state": "x y", "a": "1"})
        requests.put(f"{server.url}/s", data=iter([b"<a>", b"</a>"]))
        requests.put(f"{server.url}/t", data="größe".encode())

    options = {"ignore_params": ["z"]}
    with opened(tmp_path, kind, "record", answer=look, **options):
        work()
    assert not seen
    with opened(tmp_path, kind, "replay", answer=look, **options):
        work()
    first, form, stream, text = seen
    assert (first.method, first.path, first.host) == ("POST", "/a%20b", "127.0.0.1")
    assert dict(first.params) == {"z": "1", "token": "kZ81xq02Vw93Lm"}
    assert first.json == {"b": 1, "password": "kZ81"}
    assert first.headers["x-run"] == "é7"
    assert first.headers["authorization"] == "Bearer kZ81xq02Vw93Lm"
    assert dict(form.form or ()) == {"state": "x y", "a": "1"}
    assert stream.xml == "<a></a>"
    assert text.text == "größe"
    # And nothing of it is stored.
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"kZ81xq02Vw93Lm" not in path.read_bytes()


# -- where recorded answers are served besides ---------------------------------------------------


def test_auto_gives_it_and_records_what_was_recorded(server: RawServer, tmp_path: Path) -> None:
    def changed(exchange: Exchange, call: Call) -> Exchange:
        return exchange.with_json("new")

    url = f"{server.url}/plain"
    with opened(tmp_path, "root", "record"):
        old = requests.get(url).json()
    with opened(tmp_path, "root", "auto", answer=changed) as ingest:
        assert requests.get(url).json() == "new"
        assert requests.get(f"{server.url}/other").json()["path"] == "/other"
    with opened(tmp_path, "root", "auto", answer=changed) as ingest:
        assert ingest.request(url).json() == "new"
    with opened(tmp_path, "root", "replay", session=ingest.id):
        assert requests.get(url).json() == old


@pytest.mark.parametrize("way", [by_requests, by_urllib3, by_urllib])
def test_what_was_confirmed_is_given_it(tmp_path: Path, way: Callable[[str], Any]) -> None:
    def tagged(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            fresh = request.header("If-None-Match") == '"1"'
            tag = ("ETag", '"1"')
            connection.send(
                answer(304, headers=[tag]) if fresh else answer(200, b'"old"', headers=[tag])
            )

    options = {"answer": lambda one, _: one.with_json("new")}
    with RawServer(tagged) as server:
        with opened(tmp_path, "root", "record"):
            way(f"{server.url}/e")
        with opened(tmp_path, "root", "auto", ttl=0, **options) as ingest:
            assert json.loads(way(f"{server.url}/e")[2]) == "new"
        assert [one.answered for one in ingest.calls] == ["revalidated"]
        with opened(tmp_path, "root", "auto", ttl=0, **options) as ingest:
            assert ingest.request(f"{server.url}/e").json() == "new"
        assert [one.answered for one in ingest.calls] == ["revalidated"]


# -- one that is wrong ---------------------------------------------------------------------------


def raising(exchange: Exchange, call: Call) -> Exchange:
    raise KeyError("no such thing")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_what_it_raises_is_raised_and_can_t_be_swallowed(
    server: RawServer, tmp_path: Path, way: Callable[[str], Any], kind: str
) -> None:
    url = f"{server.url}/plain"
    with opened(tmp_path, kind, "record"):
        way(url)
    ingest = opened(tmp_path, kind, "replay", answer=raising)
    with pytest.raises(KeyError, match="no such thing"), ingest:
        way(url)
    ingest = opened(tmp_path, kind, "replay", answer=raising)
    with pytest.raises(KeyError, match="no such thing"), ingest, suppress(KeyError):
        way(url)


def test_a_recording_program_goes_on_with_what_was_recorded(
    server: RawServer, tmp_path: Path
) -> None:
    url = f"{server.url}/plain"
    with opened(tmp_path, "root", "record"):
        old = requests.get(url).json()
    ingest = opened(tmp_path, "root", "auto", answer=raising)
    said = "'raising', which answer= names, raised KeyError"
    with pytest.warns(DataIOWarning, match=said), ingest:
        assert requests.get(url).json() == old
    ingest = opened(tmp_path, "root", "auto", answer=raising, strict=True)
    with pytest.raises(ConfigError, match="raised KeyError"), ingest:
        requests.get(url)
    # A test is to fail.
    with opened(tmp_path, "cassette", "record"):
        requests.get(url)
    with pytest.raises(KeyError), opened(tmp_path, "cassette", "auto", answer=raising):
        requests.get(url)


@pytest.mark.parametrize("wrong", [None, "x", b"x", 3])
def test_what_it_returns_is_an_exchange(server: RawServer, tmp_path: Path, wrong: Any) -> None:
    url = f"{server.url}/plain"
    with opened(tmp_path, "root", "record"):
        requests.get(url)
    ingest = opened(tmp_path, "root", "replay", answer=lambda *_: wrong)
    said = f"returned {type(wrong).__name__}: return the exchange"
    with pytest.raises(ConfigError, match=said), ingest:
        requests.get(url)


def test_it_is_a_function(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a function of the recorded exchange"):
        IngestSession("s", tmp_path, answer="nope")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_changes_that_fit_no_wire_are_refused(server: RawServer, tmp_path: Path, kind: str) -> None:
    def changes(exchange: Exchange, call: Call) -> Exchange:
        for name in ("Content-Length", "content-encoding", "Transfer-Encoding"):
            with pytest.raises(ConfigError, match="follows from the body"):
                exchange.with_header(name, "1")
        for name, value in (("X-A", "a\r\nX-B: c"), ("X A", "b"), ("", "b"), ("X-A", "a\0")):
            with pytest.raises(ConfigError, match="is no header"):
                exchange.with_header(name, value)
        for code in (0, 99, 1000, "200", None, True):
            with pytest.raises(ConfigError, match="is no status"):
                exchange.with_status(code)  # type: ignore[arg-type]
        exchange = exchange.with_header("X-Many", "€").with_header("content-type", None)
        return exchange.with_status(299)

    with opened(tmp_path, kind, "record"):
        requests.get(f"{server.url}/plain")
    with opened(tmp_path, kind, "replay", answer=changes):
        found = requests.get(f"{server.url}/plain")
    assert (found.status_code, found.reason) == (299, "")
    assert found.headers["X-Many"].encode("latin-1").decode() == "€"
    assert "Content-Type" not in found.headers


def test_a_failure_has_no_answer_to_change(tmp_path: Path) -> None:
    def look(exchange: Exchange, call: Call) -> Exchange:
        for change in (lambda: exchange.with_json(1), lambda: exchange.with_status(200)):
            with pytest.raises(ConfigError, match="no answer was recorded"):
                change()
        return exchange

    for mode in ("record", "replay"):
        ingest = opened(tmp_path, "root", mode, answer=look)
        with ingest, pytest.raises(requests.ConnectionError):
            requests.get("http://127.0.0.1:1/", timeout=5)


def test_a_body_that_broke_off_can_be_made_whole(tmp_path: Path) -> None:
    def cut(connection: Any) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npartly")

    with RawServer(cut) as server:
        # The oldest requests takes what came for the whole.
        short = (requests.RequestException, AssertionError)
        with opened(tmp_path, "root", "record"), pytest.raises(short):
            assert len(requests.get(f"{server.url}/").content) == 50
        with opened(tmp_path, "root", "replay", answer=lambda one, _: one.with_content(b"whole")):
            assert requests.get(f"{server.url}/").content == b"whole"


# -- in tests ------------------------------------------------------------------------------------


def test_a_marker_takes_it(
    pytester: pytest.Pytester, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare(monkeypatch)
    test = """
    import uuid, pytest, requests

    def echoed(exchange, call):
        return exchange.with_json({**exchange.json(), "id": call.json["id"]})

    @pytest.mark.dataio(ignore_params=["id"], answer=echoed)
    def test_rpc():
        drawn = str(uuid.uuid4())
        assert requests.post("URL/rpc", json={"id": drawn}).json()["id"] == drawn

    def wrong(exchange, call):
        raise LookupError("not this one")

    @pytest.mark.dataio(answer=wrong)
    def test_wrong():
        requests.get("URL/a")
    """
    pytester.makepyfile(test_it=test.replace("URL", server.url))
    run(pytester, passed=2)
    result = run(pytester, passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *LookupError: not this one"])
