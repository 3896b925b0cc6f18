"""``use_cassette`` against real servers: every mode, each way in, and what the file is."""

from __future__ import annotations

import asyncio
import difflib
import gzip
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import unittest
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from examples.market_server import MarketServer
from mxm_dataio import (
    CaptureAdapter,
    ConfigError,
    DataIOWarning,
    IngestSession,
    IntegrityError,
    Redaction,
    ReplayMissError,
    StoreError,
    mount,
    register,
    unregister,
    use_cassette,
)
from mxm_dataio.api import capture_of
from mxm_dataio.formats.cassette import document as cassette
from mxm_dataio.formats.volatile import Volatile
from mxm_dataio.utils import utc_now
from tests.support.effort import crossed, rounds
from tests.support.forks import forked
from tests.support.servers import Connection, RawServer, Request, answer, responder
from tests.support.waiting import eventually

TODAY = "2025-10-07"


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every recording be of one day."""
    on(monkeypatch, TODAY)


def on(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    """Have recordings be of a day."""
    monkeypatch.setattr("mxm_dataio.cassettes.place.utc_now", lambda: f"{day}T12:00:00.000000Z")


@pytest.fixture
def market() -> Iterator[MarketServer]:
    with MarketServer() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "test_it.json"


class Counter:
    """A server whose answers count, so that each tells which it is."""

    def __init__(self) -> None:
        self.hits = 0
        self.body: Callable[[int, Request], bytes] = lambda n, _: b'{"n":%d}' % n
        self.headers: dict[str, str] = {}
        self._lock = threading.Lock()
        self.server = RawServer(self._handle)

    def _handle(self, connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            with self._lock:
                self.hits += 1
                hits = self.hits
            body = self.body(hits, request)
            headers = {"Content-Type": "application/json", **self.headers}
            connection.send(answer(200, body, headers=list(headers.items())))

    def __enter__(self) -> Counter:
        self.server.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.server.__exit__(*exc_info)

    def get(self, path: str = "/", **params: Any) -> Any:
        return requests.get(f"{self.server.url}{path}", params=params, timeout=10).json()


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter() as running:
        yield running


def bodies(path: Path) -> list[Any]:
    """Return the JSON of the answers in a cassette."""
    document = cassette.parse(path.read_bytes(), str(path))
    return [node["responses"][-1]["body"].get("json") for node in document.calls]


def changed(old: str, new: str) -> tuple[int, int]:
    """Return how many lines are gone and how many are new, as a diff has it."""
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    marks = [line[0] for line in list(diff)[2:]]
    return marks.count("-"), marks.count("+")


# -- record and replay -------------------------------------------------------------------------


def program(base: str, session: requests.Session) -> list[Any]:
    """Return all that a program sees of the market server by requests."""
    paths = ["/", "/symbols", "/symbols?page=2", "/bars/ALFA", "/history/ALFA.csv", "/quote/ALFA"]
    got: list[Any] = []
    for path in [*paths, "/calendar", "/nowhere"]:
        response = session.get(base + path, timeout=10)
        got.append((response.status_code, response.content, response.reason, response.url))
    order = {"symbol": "ALFA", "side": "buy", "quantity": 3}
    response = session.post(f"{base}/orders/preview", json=order, timeout=10)
    got.append(response.json())
    form = {"user": "ann", "password": "correct horse battery"}
    got.append(session.post(f"{base}/login", data=form, timeout=10).json())
    return got


def by_hook(base: str, ingest: IngestSession) -> list[Any]:
    with requests.Session() as session:
        return program(base, session)


def by_mount(base: str, ingest: IngestSession) -> list[Any]:
    with requests.Session() as session, mount(session, ingest):
        return program(base, session)


def by_adapter(base: str, ingest: IngestSession) -> list[Any]:
    with requests.Session() as session:
        session.mount("http://", CaptureAdapter())
        return program(base, session)


def by_urllib3(base: str, ingest: IngestSession) -> list[Any]:
    with urllib3.PoolManager() as pool:
        retries = urllib3.Retry(3, status_forcelist=[503], backoff_factor=0)
        flaky = pool.request("GET", f"{base}/flaky", retries=retries)
        assert flaky.retries is not None
        page = pool.request("GET", f"{base}/symbols", fields={"page": "2"})
        gone = pool.request("GET", f"{base}/quote/ALFA")
        read = pool.request("GET", f"{base}/history/BRVO.csv", preload_content=False)
        return [
            flaky.data,
            len(flaky.retries.history),
            page.data,
            gone.data,
            b"".join(read.stream(99)),
        ]


WAYS = [by_hook, by_mount, by_adapter, by_urllib3]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_recorded_replays_with_no_server(way: Callable[..., Any], path: Path) -> None:
    with MarketServer() as market:
        base = market.url
        with use_cassette(path, hook=way is not by_mount) as ingest:
            assert ingest.mode == "record"
            recorded = way(base, ingest)
        hits = market.hits
    assert hits >= 4
    with use_cassette(path, hook=way is not by_mount) as ingest:
        assert ingest.mode == "replay"
        assert way(base, ingest) == recorded
    assert ingest.cassette.unplayed() == []


@pytest.mark.parametrize("way", WAYS)
def test_recording_an_unchanged_source_again_changes_no_byte(
    way: Callable[..., Any], path: Path, market: MarketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("other.json")
    for each in (path, other):
        with use_cassette(each, source="market") as ingest:
            way(market.url, ingest)
    first = path.read_bytes()
    assert other.read_bytes() == first
    os.utime(path, ns=(1, 1))
    on(monkeypatch, "2031-01-01")
    for mode in ("all", "rewrite", "record", "new_episodes"):
        with use_cassette(path, mode) as ingest:
            way(market.url, ingest)
        assert not ingest.cassette.written
        assert path.read_bytes() == first
        assert path.stat().st_mtime_ns == 1
    assert not list(path.parent.glob(".*"))


def test_bytes_on_the_wire_come_back(path: Path, counter: Counter) -> None:
    data = gzip.compress(b'{"a": 1}')
    counter.body = lambda n, request: data
    counter.headers = {"Content-Encoding": "gzip"}

    def fetch() -> Any:
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", counter.server.url, decode_content=False)
            return response.data, dict(response.headers)

    with use_cassette(path):
        assert fetch()[0] == data
    with use_cassette(path):
        replayed, headers = fetch()
    assert replayed == data
    assert headers["Content-Length"] == str(len(data))
    assert bodies(path) == [{"a": 1}]


def test_the_file_is_as_documented(path: Path, counter: Counter) -> None:
    counter.headers = {"Date": "now", "X-Request-Id": "7", "ETag": '"x"', "X-RateLimit-Left": "3"}
    with use_cassette(path, source="shop"):
        counter.get("/items", q="é")
    agent = requests.utils.default_user_agent()
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "mxm-dataio cassette": 1,
        "source": "shop",
        "recorded": TODAY,
        "calls": [
            {
                "request": {
                    "method": "GET",
                    "url": f"{counter.server.url}/items?q=%C3%A9",
                    "headers": [
                        f"Host: 127.0.0.1:{counter.server.port}",
                        f"User-Agent: {agent}",
                        f"Accept-Encoding: {requests.utils.DEFAULT_ACCEPT_ENCODING}",
                        "Accept: */*",
                        "Connection: keep-alive",
                    ],
                },
                "responses": [
                    {
                        "status": "HTTP/1.1 200 OK",
                        "headers": [
                            "Content-Type: application/json",
                            'ETag: "x"',
                            "Content-Length: {size}",
                        ],
                        "body": {
                            "bytes": {"sha256": hashlib.sha256(b'{"n":1}').hexdigest()},
                            "json": {"n": 1},
                        },
                    }
                ],
            }
        ],
    }


def test_it_is_a_file_like_others_of_the_project(path: Path, counter: Counter) -> None:
    umask = os.umask(0o022)
    try:
        with use_cassette(path):
            counter.get()
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert path.read_text(encoding="utf-8").endswith("}\n")


def test_failures_retries_and_broken_bodies_replay(path: Path) -> None:
    def handle(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/cut":
                connection.send(answer(200, b"abc", headers=[("Content-Length", "9")]))
                return
            if request.path == "/chunks":
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
                return
            return

    def tell(work: Callable[[], requests.Response]) -> str:
        try:
            # Old releases do not look whether a body is as long as it is said to be.
            return repr(work().content)
        except requests.RequestException as exc:
            return re.sub(r"0x[0-9a-f]+", "", f"{type(exc)} {exc}")

    def run(url: str) -> list[str]:
        return [
            tell(lambda: requests.get(f"{url}/cut", timeout=9)),
            tell(lambda: requests.get(f"{url}/chunks", timeout=9)),
            tell(lambda: requests.get(f"{url}/gone", timeout=9)),
            tell(lambda: requests.get("http://127.0.0.1:9/", timeout=9)),
        ]

    with RawServer(handle) as server:
        url = server.url
        with use_cassette(path):
            recorded = run(url)
        first = path.read_bytes()
        with use_cassette(path, "all"):
            run(url)
        assert path.read_bytes() == first
    with use_cassette(path):
        assert run(url) == recorded


def test_large_binary_bodies_are_beside_and_go_when_no_call_has_them(
    path: Path, counter: Counter
) -> None:
    picture = bytes(range(256)) * 400
    counter.body = lambda n, request: picture if request.path == "/png" else b"{}"

    def fetch() -> bytes:
        return requests.get(f"{counter.server.url}/png", timeout=9).content

    with use_cassette(path):
        assert fetch() == picture
    (beside,) = path.with_name("test_it.json.d").iterdir()
    assert beside.name == f"{hashlib.sha256(picture).hexdigest()}.bin"
    assert beside.read_bytes() == picture
    with use_cassette(path):
        assert fetch() == picture
    beside.write_bytes(picture[:-1] + b"x")
    with use_cassette(path, keep_failed=True), pytest.raises(IntegrityError, match="sha256"):
        fetch()
    beside.unlink()
    beside.symlink_to("/etc/hostname")
    with use_cassette(path), pytest.raises(IntegrityError, match="can't be read"):
        fetch()
    with use_cassette(path, "rewrite"):
        counter.get("/other")
    assert not beside.parent.exists()


# -- modes ---------------------------------------------------------------------------------------


def test_once_records_where_there_is_no_file_and_replays_where_there_is(
    path: Path, counter: Counter
) -> None:
    for _ in range(2):
        with use_cassette(path):
            assert [counter.get(), counter.get()] == [{"n": 1}, {"n": 2}]
    with pytest.raises(ReplayMissError, match=re.escape(str(path))), use_cassette(path):
        counter.get("/new")
    assert counter.hits == 2


@pytest.mark.parametrize("mode", ["none", "replay"])
def test_none_never_records(path: Path, counter: Counter, mode: str) -> None:
    with pytest.raises(ReplayMissError, match="which is not there"), use_cassette(path, mode):
        counter.get()
    assert counter.hits == 0
    assert not path.parent.exists()


@pytest.mark.parametrize("mode", ["new_episodes", "auto"])
def test_new_episodes_replays_what_is_there_and_records_what_is_not(
    path: Path, counter: Counter, mode: str
) -> None:
    with use_cassette(path, mode):
        # What was just recorded is no answer yet: the source is asked as often as the program asks.
        assert [counter.get(), counter.get()] == [{"n": 1}, {"n": 2}]
    with use_cassette(path, mode) as ingest:
        assert [counter.get(), counter.get("/b"), counter.get()] == [{"n": 1}, {"n": 3}, {"n": 2}]
        assert counter.get() == {"n": 4}
    assert ingest.cassette.written
    assert bodies(path) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    with use_cassette(path, mode) as ingest:
        assert counter.get() == {"n": 1}
    assert not ingest.cassette.written
    assert [place for place, _ in ingest.cassette.unplayed()] == [1, 2, 3]
    assert counter.hits == 4


def test_new_episodes_replays_failures_too(path: Path) -> None:
    def handle(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/gone":
                return
            connection.send(answer(503, b"not now"))

    with RawServer(handle) as server:
        for _ in range(2):
            with use_cassette(path, "new_episodes"):
                with pytest.raises(requests.ConnectionError):
                    requests.get(f"{server.url}/gone", timeout=9)
                assert requests.get(f"{server.url}/busy", timeout=9).status_code == 503
        assert server.hits == 2
    assert len(cassette.parse(path.read_bytes(), "").calls) == 2


@pytest.mark.parametrize("mode", ["all", "record"])
def test_all_records_what_is_called_anew_and_leaves_the_rest(
    path: Path, counter: Counter, mode: str
) -> None:
    with use_cassette(path):
        counter.get("/a"), counter.get("/b"), counter.get("/b"), counter.get("/c")
    with use_cassette(path, mode):
        assert [counter.get("/b"), counter.get("/d")] == [{"n": 5}, {"n": 6}]
    assert bodies(path) == [{"n": 1}, {"n": 5}, {"n": 4}, {"n": 6}]


def test_rewrite_drops_what_is_not_called(path: Path, counter: Counter) -> None:
    with use_cassette(path):
        counter.get("/a"), counter.get("/b")
    with use_cassette(path, "rewrite"):
        counter.get("/b")
    assert bodies(path) == [{"n": 3}]
    with use_cassette(path, "rewrite"):
        pass
    assert not path.exists()


def test_off_passes_and_writes_nothing(path: Path, counter: Counter) -> None:
    with use_cassette(path, "off"):
        assert counter.get() == {"n": 1}
    assert not path.parent.exists()


def test_a_block_without_calls_makes_no_file(path: Path) -> None:
    for mode in ("once", "all", "new_episodes", "rewrite"):
        with use_cassette(path, mode) as ingest:
            pass
        assert not ingest.cassette.written
    assert not path.parent.exists()


def test_auto_asks_again_when_what_it_has_is_too_old(
    path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "2020-01-01")
    with use_cassette(path):
        counter.get(), counter.get("/b")
    on(monkeypatch, utc_now()[:10])
    with use_cassette(path, "auto", ttl=3 * 86_400) as ingest:
        assert [counter.get(), counter.get("/b")] == [{"n": 3}, {"n": 4}]
    assert ingest.cassette.recorded == "2020-01-01"
    with use_cassette(path, "auto", ttl=3 * 86_400) as ingest:
        assert [counter.get(), counter.get("/b")] == [{"n": 3}, {"n": 4}]
    assert bodies(path) == [{"n": 3}, {"n": 4}]


def test_what_the_source_confirms_is_of_today(
    path: Path, monkeypatch: pytest.MonkeyPatch, market: MarketServer
) -> None:
    on(monkeypatch, "2020-01-01")
    with use_cassette(path):
        requests.get(f"{market.url}/calendar", timeout=9)
        requests.get(f"{market.url}/symbols", timeout=9)
    on(monkeypatch, TODAY)
    with use_cassette(path, "auto", ttl=0):
        assert requests.get(f"{market.url}/calendar", timeout=9).status_code == 200
    document = cassette.parse(path.read_bytes(), "")
    assert document.recorded == "2020-01-01"
    assert [document.recorded_of(node) for node in document.calls] == [TODAY, "2020-01-01"]


def test_a_word_that_is_no_mode_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'once'"), use_cassette(path, "onec"):
        pass


@pytest.mark.parametrize("option", ["root", "session", "durability", "compression"])
def test_what_only_a_root_has_is_refused(path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=option), use_cassette(path, **{option: "x"}):
        pass


def test_the_options_of_a_session_count(path: Path, counter: Counter) -> None:
    with use_cassette(path, ignore_params=["nonce"]):
        counter.get(nonce="1", a="2")

    def twice() -> None:
        with use_cassette(path, ignore_params=["nonce"], exhausted="error"):
            assert counter.get(nonce="3", a="2") == {"n": 1}
            counter.get(nonce="3", a="2")

    with pytest.raises(ReplayMissError, match="fewer times"):
        twice()
    assert counter.hits == 1


def test_what_is_ignored_from_now_on_matches_what_was_recorded_before(
    path: Path, counter: Counter
) -> None:
    with use_cassette(path):
        counter.get(nonce="1", a="2")
    with use_cassette(path, ignore_params=["nonce"]):
        assert counter.get(nonce="9", a="2") == {"n": 1}


def test_what_is_installed_elsewhere_does_not_count(path: Path, counter: Counter) -> None:
    counter.headers = {"Vary": "Accept-Encoding, User-Agent, Accept-Language"}
    counter.body = lambda n, request: b"{}"

    def ask(coding: str, agent: str, language: str) -> None:
        headers = {"Accept-Encoding": coding, "User-Agent": agent, "Accept-Language": language}
        requests.get(counter.server.url, headers=headers, timeout=9)

    with use_cassette(path):
        ask("gzip", "python-requests/2.28.0", "en")
    first = path.read_bytes()
    with use_cassette(path, "new_episodes"):
        ask("gzip, br", "python-requests/2.99.0", "en")
    with use_cassette(path, "all"):
        ask("gzip, br", "python-requests/2.99.0", "en")
    assert path.read_bytes() == first
    with pytest.raises(ReplayMissError, match="header accept-language"), use_cassette(path):
        ask("gzip", "python-requests/2.28.0", "fr")


# -- the diff ------------------------------------------------------------------------------------

BARS = {"symbol": "ALFA", "bars": [{"day": d, "close": 100 + d / 4} for d in range(30)], "page": 1}


@pytest.mark.parametrize(
    ("value", "coding"),
    crossed(
        ["another", 12345.5, "x" * 500, "é", "a/b", None, [], "1e5 as text", 1e-7],
        ["", "gzip"],
        2,
    ),
)
@pytest.mark.parametrize("calls", [1, 3])
def test_one_changed_field_changes_three_lines_at_most(
    path: Path,
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    coding: str,
    calls: int,
    value: Any,
) -> None:
    served = {**BARS, "field": "a value"}

    def body(n: int, request: Request) -> bytes:
        text = json.dumps(served if request.path == "/1" else BARS).encode()
        return gzip.compress(text) if coding else text

    counter.body = body
    counter.headers = {"Content-Encoding": coding} if coding else {}

    def fetch() -> None:
        for number in range(1, calls + 1):
            counter.get(f"/{number}")

    with use_cassette(path):
        fetch()
    first = path.read_text(encoding="utf-8")
    served["field"] = value
    on(monkeypatch, "2026-01-01")
    with use_cassette(path, "rewrite"):
        fetch()
    gone, new = changed(first, path.read_text(encoding="utf-8"))
    assert gone <= 3
    assert new <= 3
    with use_cassette(path):
        assert counter.get("/1") == served


def test_another_compression_of_the_same_content_changes_no_line(
    path: Path, counter: Counter
) -> None:
    # Python's gzip puts the time into its header; a proxy may compress at another level.
    counter.headers = {"Content-Encoding": "gzip"}
    counter.body = lambda n, request: gzip.compress(json.dumps(BARS).encode(), 1 + n, mtime=n)
    with use_cassette(path):
        counter.get()
    first = path.read_bytes()
    with use_cassette(path, "rewrite") as ingest:
        counter.get()
    assert not ingest.cassette.written
    assert path.read_bytes() == first


def test_an_upload_with_a_boundary_of_its_own_changes_no_line(path: Path, counter: Counter) -> None:
    counter.body = lambda n, request: b"{}"

    def upload() -> None:
        files = {"file": ("a.csv", b"1,2\n")}
        requests.post(counter.server.url, files=files, data={"a": "1"}, timeout=9)

    with use_cassette(path):
        upload()
    first = path.read_bytes()
    with use_cassette(path, "rewrite"):
        upload()
    assert path.read_bytes() == first
    with use_cassette(path):
        upload()


def test_redate_gives_what_has_not_changed_todays_date(
    path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter.body = lambda n, request: b"{}"
    with use_cassette(path):
        counter.get("/a"), counter.get("/b")
    first = path.read_text(encoding="utf-8")
    on(monkeypatch, "2026-01-01")
    with use_cassette(path, "rewrite", redate=True):
        counter.get("/a"), counter.get("/b")
    assert changed(first, path.read_text(encoding="utf-8")) == (1, 1)
    with use_cassette(path) as ingest:
        assert ingest.cassette.recorded == "2026-01-01"


def test_headers_of_ones_own_can_be_left_out_and_kept(path: Path, counter: Counter) -> None:
    counter.headers = {"X-Trace": "7", "Date": "today"}
    volatile = Volatile().adding(answers=["X-Trace"]).without(answers=["date"])
    with use_cassette(path, volatile=volatile):
        counter.get()
    text = path.read_text(encoding="utf-8")
    assert "Date: today" in text
    assert "X-Trace" not in text


# -- threads -------------------------------------------------------------------------------------


def test_calls_of_many_threads_stand_in_one_order(path: Path, market: MarketServer) -> None:
    # Answers do not depend on who is first; their order in the file must not either.
    def crawl() -> None:
        requests.get(f"{market.url}/symbols", timeout=9)
        with ThreadPoolExecutor(4) as pool:
            names = ["ALFA", "BRVO", "CHRL", "DLTA", "ECHO", "FXTR", "GOLF"]
            urls = [f"{market.url}/v2/quote/{name}" for name in names * 2]
            list(pool.map(lambda url: requests.get(url, timeout=9).content, reversed(urls)))
        requests.get(f"{market.url}/calendar", timeout=9)

    texts = set()
    for number in range(5):
        one = path.with_name(f"{number}.json")
        with use_cassette(one, source="market"):
            crawl()
        texts.add(one.read_bytes())
    assert len(texts) == 1
    with use_cassette(one):
        crawl()


def test_a_call_recorded_by_several_threads_keeps_the_order_of_its_answers(
    path: Path, counter: Counter
) -> None:
    def crawl() -> list[Any]:
        got = [counter.get("/z")]
        thread = threading.Thread(target=lambda: got.append(counter.get("/z")))
        thread.start()
        thread.join()
        return [*got, counter.get("/a"), counter.get("/z")]

    with use_cassette(path):
        recorded = crawl()
    with use_cassette(path):
        assert crawl() == recorded


# -- what is written, and what is not -----------------------------------------------------------


def test_a_block_that_raised_writes_nothing_unless_asked(path: Path, counter: Counter) -> None:
    def fail(keep_failed: bool) -> None:
        with use_cassette(path, keep_failed=keep_failed):
            counter.get()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail(False)
    assert not path.exists()
    with pytest.raises(RuntimeError):
        fail(True)
    assert bodies(path) == [{"n": 2}]


@pytest.mark.parametrize(("status", "kept"), [(0, True), (None, True), (1, False), ("no", False)])
def test_an_exit_is_a_failure_by_its_status(
    path: Path, counter: Counter, status: Any, kept: bool
) -> None:
    def leave() -> None:
        with use_cassette(path):
            counter.get()
            raise SystemExit(status)

    with pytest.raises(SystemExit):
        leave()
    assert path.exists() is kept


def test_keep_can_be_taken_back(path: Path, counter: Counter) -> None:
    with use_cassette(path) as ingest:
        counter.get()
        ingest.keep = False
    assert not path.exists()


DAMAGES = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "newer": lambda text: text.replace('cassette": 1', 'cassette": 2'),
    "edited": lambda text: text.replace('"n": 1', '"n": 7'),
    "no cassette": lambda text: '{"interactions": []}',
    "twice": lambda text: text.replace('"source"', '"recorded": "2025-01-01", "source"'),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mode", ["once", "none", "new_episodes", "all", "rewrite"])
def test_what_is_damaged_or_newer_is_never_overwritten(
    path: Path, counter: Counter, damage: str, mode: str
) -> None:
    with use_cassette(path):
        counter.get()
    text = DAMAGES[damage](path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    if damage == "edited" and mode in ("all", "rewrite"):
        # It is not looked at: what takes its place is new.
        with use_cassette(path, mode):
            counter.get()
        return
    with pytest.raises(IntegrityError, match=re.escape(str(path))), use_cassette(path, mode):
        counter.get()
    assert path.read_text(encoding="utf-8") == text


def test_a_file_that_can_not_be_written_is_an_error(
    path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with use_cassette(path):
        counter.get()
    first = path.read_bytes()
    monkeypatch.setattr("mxm_dataio.formats.cassette.files.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"), use_cassette(path, "all"):
        counter.get()
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_two_that_record_at_once_lose_nothing(path: Path, counter: Counter) -> None:
    one, other = use_cassette(path, hook=False), use_cassette(path, hook=False)
    with requests.Session() as a, requests.Session() as b, one as first, other as second:
        mount(a, first)
        mount(b, second)
        a.get(f"{counter.server.url}/a", timeout=9)
        b.get(f"{counter.server.url}/b", timeout=9)
    assert len(bodies(path)) == 2


def test_secrets_stay_out(path: Path, counter: Counter) -> None:
    counter.headers = {"Set-Cookie": "sessionid=s3cr3ts3cr3t; Path=/"}
    with use_cassette(path):
        requests.get(
            counter.server.url,
            params={"api_key": "k3yk3yk3yk3y"},
            headers={"Authorization": "Bearer t0kent0kent0ken"},
            timeout=9,
        )
    text = path.read_text(encoding="utf-8")
    assert not [secret for secret in ("s3cr3t", "k3yk3y", "t0ken") if secret in text]
    with use_cassette(path):
        assert counter.get(api_key="another key") == {"n": 1}


def test_a_secret_that_is_another_in_each_run_changes_no_line_and_replays(
    path: Path, counter: Counter
) -> None:
    tokens = iter(["Zk3v9-QmX71_tRw8", "aB4c5D6e7F8g9H0i", "never asked for"])

    def serve(n: int, request: Request) -> bytes:
        if request.path == "/login":
            token = next(tokens)
            counter.headers = {"Set-Cookie": f"csrftoken={token}; Path=/"}
            return b'{"ok": true}'
        counter.headers = {}
        echoed = (request.header("X-Csrf") or "") + request.target
        return json.dumps({"echo": echoed}).encode()

    counter.body = serve

    def use() -> Any:
        with requests.Session() as session:
            session.get(f"{counter.server.url}/login", timeout=9)
            token = session.cookies["csrftoken"]
            headers = {"X-Csrf": token}
            url = f"{counter.server.url}/items/{token}"
            return session.post(url, data={"t": token}, headers=headers, timeout=9).json(), token

    with use_cassette(path):
        (echo, token) = use()
    assert token in echo["echo"]
    first = path.read_bytes()
    assert token.encode() not in first
    with use_cassette(path, "rewrite"):
        use()
    assert path.read_bytes() == first
    with use_cassette(path):
        assert use()[1] == "REDACTED"


def test_recording_again_takes_out_what_is_secret_from_now_on(path: Path, counter: Counter) -> None:
    counter.body = lambda n, request: b"{}"
    rules = Redaction().adding(names=["pin"])

    def ask() -> None:
        requests.post(counter.server.url, params={"pin": "4711"}, json={"pin": "0815"}, timeout=9)

    with use_cassette(path):
        ask()
    text = path.read_text(encoding="utf-8")
    assert "4711" in text
    assert "0815" in text
    with use_cassette(path, "rewrite", redaction=rules):
        ask()
    text = path.read_text(encoding="utf-8")
    assert "4711" not in text
    assert "0815" not in text


# -- beside and within others --------------------------------------------------------------------


def test_shared_cassettes_answer_and_are_never_written(path: Path, counter: Counter) -> None:
    shared = path.with_name("login.json")
    with use_cassette(shared):
        counter.get("/login")
    first = shared.read_bytes()
    for mode in ("once", "new_episodes", "all", "rewrite", "once", "none"):
        with use_cassette(path, mode, shared=[shared]):
            # As often as it is asked for: it is not this cassette's to record.
            assert [counter.get("/login"), counter.get("/login")] == [{"n": 1}, {"n": 1}]
            mine = counter.get("/mine")
        assert bodies(path) == [mine]
    assert shared.read_bytes() == first
    with (
        pytest.raises(StoreError, match="there is no cassette"),
        use_cassette(path, shared=[path.with_name("absent.json")]),
    ):
        pass


def test_the_inner_of_two_is_active(path: Path, counter: Counter) -> None:
    inner = path.with_name("inner.json")
    with use_cassette(path):
        counter.get("/a")
        with use_cassette(inner):
            counter.get("/b")
        counter.get("/c")
    assert bodies(path) == [{"n": 1}, {"n": 3}]
    assert bodies(inner) == [{"n": 2}]


def test_a_cassette_within_a_session_and_a_session_within_a_cassette(
    path: Path, counter: Counter, tmp_path: Path
) -> None:
    def made(ingest: IngestSession) -> int:
        assert capture_of(ingest).store is not None
        return len(list(capture_of(ingest).store.exchanges(ingest.id)))

    with IngestSession("outer", tmp_path / "root") as outer:
        counter.get("/a")
        with use_cassette(path):
            counter.get("/b")
            with IngestSession("inner", tmp_path / "root") as inner:
                counter.get("/c")
                assert made(inner) == 1
            counter.get("/d")
        assert made(outer) == 1
    assert bodies(path) == [{"n": 2}, {"n": 4}]
    outside = use_cassette(path.with_name("b.json"))
    with outside, IngestSession("inner", tmp_path / "other") as inner:
        counter.get("/e")
        assert made(inner) == 1
    assert not path.with_name("b.json").exists()


def test_a_fetcher_of_ones_own_is_recorded_too(path: Path) -> None:
    class Fetcher:
        calls = 0

        def fetch(self, request: Any) -> bytes:
            self.calls += 1
            return f"{request.endpoint} {sorted(request.params.items())}".encode()

    fetcher = Fetcher()
    register("quotes", fetcher)
    try:
        for _ in range(2):
            with use_cassette(path, source="quotes") as ingest:
                response = ingest.request("ALFA", {"day": "2025-01-01"}, kind="bars")
                assert ingest.content(response) == b"ALFA [('day', '2025-01-01')]"
                assert response.bytes_path is None
    finally:
        unregister("quotes")
    assert fetcher.calls == 1
    (node,) = json.loads(path.read_text(encoding="utf-8"))["calls"]
    assert node["kind"] == "bars"
    assert node["identity"]["params"] == [["day", "2025-01-01"]]


def test_request_replays_what_the_program_recorded(path: Path, market: MarketServer) -> None:
    url = f"{market.url}/bars/ALFA"
    with use_cassette(path):
        content = requests.get(url, timeout=9).content
    with use_cassette(path) as ingest:
        assert ingest.content(ingest.request(url)) == content


# -- decorators ----------------------------------------------------------------------------------


def test_functions_coroutines_and_generators(path: Path, counter: Counter) -> None:
    @use_cassette(path)
    def plain(where: str, *, twice: bool = False) -> Any:
        """Get it."""
        return [counter.get(where) for _ in range(1 + twice)]

    @use_cassette(path.with_name("coroutine.json"))
    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return await asyncio.to_thread(counter.get, "/c")

    @use_cassette(path.with_name("generator.json"))
    def generator() -> Iterator[Any]:
        yield counter.get("/g")
        return counter.get("/h")

    @use_cassette(path.with_name("async_generator.json"))
    async def async_generator() -> Any:
        yield counter.get("/i")

    async def collected() -> list[Any]:
        return [item async for item in async_generator()]

    def all_of_it() -> list[Any]:
        got = [plain("/p", twice=True), asyncio.run(coroutine()), *generator()]
        return [*got, *asyncio.run(collected())]

    assert plain.__name__ == "plain"
    assert plain.__doc__ == "Get it."
    assert asyncio.iscoroutinefunction(coroutine)
    recorded = all_of_it()
    hits = counter.hits
    assert hits == 6
    assert all_of_it() == recorded
    assert counter.hits == hits


def test_tasks_at_once_have_each_their_own(path: Path, counter: Counter) -> None:
    async def task(name: str) -> Any:
        async with use_cassette(path.with_name(f"{name}.json")):
            await asyncio.sleep(0.01)
            got = await asyncio.to_thread(counter.get, f"/{name}")
            await asyncio.sleep(0.01)
            return got

    async def both() -> Any:
        return await asyncio.gather(task("a"), task("b"))

    recorded = asyncio.run(both())
    assert bodies(path.with_name("a.json")) == [recorded[0]]
    assert bodies(path.with_name("b.json")) == [recorded[1]]
    assert asyncio.run(both()) == recorded


def test_unittest(tmp_path: Path, counter: Counter) -> None:
    seen = []

    class Methods(unittest.TestCase):
        @use_cassette(tmp_path / "method.json")
        def test_method(self) -> None:
            seen.append(counter.get("/m"))

        def test_context(self) -> None:
            with use_cassette(tmp_path / "context.json"):
                seen.append(counter.get("/c"))

        def test_entered(self) -> None:
            self.enterContext(use_cassette(tmp_path / "entered.json"))
            seen.append(counter.get("/e"))

    @use_cassette(tmp_path / "all")
    class Class(unittest.TestCase):
        def setUp(self) -> None:
            seen.append("set up")

        def test_one(self) -> None:
            seen.append(counter.get("/1"))

        def test_two(self) -> None:
            seen.append(counter.get("/2"))

        def helper(self) -> None: ...

    def run() -> None:
        suite = unittest.TestSuite()
        for case in (Methods, Class):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
        result = unittest.TestResult()
        suite.run(result)
        assert result.testsRun == 5
        assert result.wasSuccessful(), result.errors

    run()
    assert counter.hits == 5
    recorded = list(seen)
    seen.clear()
    run()
    assert counter.hits == 5
    assert seen == recorded
    assert sorted(file.name for file in (tmp_path / "all").iterdir()) == [
        "Class.test_one.json",
        "Class.test_two.json",
    ]
    with pytest.raises(ConfigError, match="give a folder"):
        use_cassette(tmp_path / "one.json")(Class)


def test_a_path_without_a_suffix_gets_one_and_another_is_refused(
    path: Path, counter: Counter
) -> None:
    with use_cassette(str(path.with_suffix(""))):
        counter.get()
    assert path.exists()
    with pytest.raises(ConfigError, match="mxm-dataio import"), use_cassette("x.yaml"):
        pass


# -- other processes -----------------------------------------------------------------------------


def test_a_forked_child_replays_and_says_that_it_can_not_record(
    path: Path, counter: Counter
) -> None:
    with use_cassette(path) as ingest:
        counter.get("/parent")

        def child() -> None:
            with pytest.warns(DataIOWarning, match="forked"):
                counter.get("/child")
            ingest.close()

        assert forked(child) == 0
        assert not path.exists()
    assert bodies(path) == [{"n": 1}]


WRITER = """
import json, sys
from mxm_dataio.formats.cassette import files as tapes
from mxm_dataio.formats.cassette.document import Document
from pathlib import Path

path = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    node = {"request": {"method": "GET", "url": "http://a.test/"}, "kind": str(number) * 50_000}
    was, document = tapes.load(path)
    tapes.save(path, Document("s", "2025-01-01", calls=[node] * 20), {}, was)
"""


def test_a_kill_amid_writing_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    sizes = set()
    for _ in range(rounds(3, 50)):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            assert eventually(path.exists)
            time.sleep(random.uniform(0, 0.05))
            writer.kill()
        document = cassette.parse(path.read_bytes(), str(path))
        assert len(document.calls) == 20
        assert len({node["kind"] for node in document.calls}) == 1
        sizes.add(document.calls[0]["kind"][:6])
    assert sizes


# -- the standard library --------------------------------------------------------------------------


def test_the_standard_library_s_calls_are_recorded_unless_left_out(
    path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(where: str) -> Any:
        with urllib.request.urlopen(counter.server.url + where, timeout=10) as answered:
            return json.load(answered)

    with use_cassette(path):
        recorded = [get("/a"), counter.get("/b")]
    assert counter.hits == len(bodies(path)) == 2
    with use_cassette(path):
        # Whichever way it is asked.
        assert [counter.get("/a"), get("/b")] == recorded
    assert counter.hits == 2
    with use_cassette(path.with_name("without.json"), stdlib=False):
        get("/a")
    assert not path.with_name("without.json").exists()
    monkeypatch.setenv("MXM_DATAIO_STDLIB", "0")
    with use_cassette(path.with_name("without.json")):
        get("/a")
    assert not path.with_name("without.json").exists()


def test_a_random_file_name_of_an_upload_is_left_out_by_what_the_miss_advises(
    tmp_path: Path,
) -> None:
    def upload(name: str, content: bytes = b"a,b\n") -> None:
        requests.post(f"{server.url}/", files={"file": (name, content)}, data={"kind": "csv"})

    with RawServer(responder({"/": answer(200, b"fine")})) as server:
        with use_cassette(tmp_path / "a.json"):
            upload("tmp1.csv")
        with pytest.raises(ReplayMissError) as missed, use_cassette(tmp_path / "a.json"):
            upload("tmp2.csv")
        assert "part 'file': filename asked 'tmp2.csv', recorded 'tmp1.csv'" in str(missed.value)
        assert "ignore_params=['filename']" in str(missed.value)
        ignored = ["filename"]
        with use_cassette(tmp_path / "b.json", ignore_params=ignored):
            upload("tmp1.csv")
        with use_cassette(tmp_path / "b.json", ignore_params=ignored):
            upload("tmp2.csv")
        other = pytest.raises(ReplayMissError, match="other content")
        with other, use_cassette(tmp_path / "b.json", ignore_params=ignored):
            upload("tmp2.csv", b"c,d\n")
