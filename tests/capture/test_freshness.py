"""How long a stored answer is fresh by its URL, and what stands in where its source fails."""

from __future__ import annotations

import time
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import FetchResult, IngestSession, mount, register, use_cassette
from mxm_dataio.errors import ConfigError, DataIOWarning
from mxm_dataio.registry import unregister
from tests.support.servers import Connection, RawServer, Request, answer, responder

Get = Callable[[str], tuple[int, bytes]]


def by_requests(url: str) -> tuple[int, bytes]:
    got = requests.get(url, timeout=5)
    return got.status_code, got.content


def by_session(url: str) -> tuple[int, bytes]:
    with requests.Session() as session:
        retries = urllib3.Retry(1, status_forcelist=[503], backoff_factor=0)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        got = session.get(url, timeout=5)
        return got.status_code, got.content


def by_urllib3(url: str) -> tuple[int, bytes]:
    with urllib3.PoolManager(retries=False) as pool:
        got = pool.request("GET", url, timeout=5)
        return got.status, got.data


def by_urllib(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=5) as got:
        return got.status, got.read()


CLIENTS = [by_requests, by_session, by_urllib3, by_urllib]


def counting(**headers: str) -> Callable[[Request], bytes]:
    """Return a route that answers with how often it was asked."""
    asked: list[Request] = []

    def route(request: Request) -> bytes:
        asked.append(request)
        if request.header("If-None-Match"):
            return answer(304)
        return answer(200, b"%d" % len(asked), headers=list(headers.items()))

    return route


def test_a_time_by_url(tmp_path: Path) -> None:
    routes = {path: counting() for path in ("/live/a", "/daily/a", "/ever", "/other")}
    with RawServer(responder(routes)) as server:
        ttl = {
            "*/live/*": 0,
            f"{server.url}/daily/*": "1h",
            f"127.0.0.1:{server.port}/other?x=1": 0,
        }
        for expected in (b"1111", b"2112"):
            with IngestSession("market", tmp_path, "auto", ttl=ttl):
                seen = [by_requests(f"{server.url}{path}") for path in routes if path != "/other"]
                seen.append(by_requests(f"{server.url}/other?x=1"))
            assert b"".join(body for _, body in seen) == expected
        # The first that matches counts.
        with IngestSession("market", tmp_path, "auto", ttl={"*": None, **ttl}):
            assert by_requests(f"{server.url}/live/a") == (200, b"2")


def test_what_may_be_served_by_url(tmp_path: Path) -> None:
    with RawServer(responder({"/search": counting(), "/order": counting()})) as server:
        for expected in (b"1", b"2"):
            with IngestSession("market", tmp_path, "auto", reuse={"*/search": [200, "POST"]}):
                assert requests.post(f"{server.url}/search", timeout=5).content == b"1"
                assert requests.post(f"{server.url}/order", timeout=5).content == expected
    with pytest.raises(ConfigError, match="'6xx' is no status"):
        IngestSession("market", tmp_path, "auto", reuse={"*": ["6xx"]})


class Failing:
    """A server that answers once, and then fails in a way."""

    def __init__(self, how: str, **headers: str) -> None:
        self.how = ""
        self._then = how
        self._first = answer(200, b"stored", headers=list(headers.items()))

    def __call__(self, connection: Connection) -> None:
        while connection.read_request() is not None:
            how, self.how = self.how, self._then
            if how == "cut":
                return
            if how.isdecimal():
                connection.send(answer(int(how), b"sorry"))
            else:
                connection.send(self._first)


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("how", ["503", "500", "cut", "gone"])
@pytest.mark.parametrize("headers", [{}, {"ETag": '"1"'}])
def test_a_stale_answer_serves_where_its_source_fails(
    get: Get, how: str, headers: dict[str, str], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"ttl": 0, "stale_if_error": True, "stdlib": True}
    with RawServer(Failing(how, **headers)) as server:
        url = f"{server.url}/a"
        with IngestSession("market", tmp_path, "auto", **given):
            assert get(url) == (200, b"stored")
        if how == "gone":
            server.stop()
        for _ in range(2):
            # Not fresh by it: it is asked for once more.
            with (
                pytest.warns(DataIOWarning, match=f"GET {url}: its source failed .*stale_if_error"),
                IngestSession("market", tmp_path, "auto", **given) as ingest,
            ):
                assert get(url) == (200, b"stored")
        assert [one.answered for one in ingest.calls] == ["replayed"]
        session = ingest.id
    with IngestSession("market", tmp_path, session=session, mode="replay", stdlib=True):
        assert get(url) == (200, b"stored")
        assert get(url) == (200, b"stored")


def test_a_mounted_session_is_served_too(tmp_path: Path) -> None:
    with RawServer(Failing("cut")) as server:
        for _ in range(2):
            with (
                warnings.catch_warnings(),
                IngestSession(
                    "market", tmp_path, "auto", ttl=0, stale_if_error="1h", hook=False
                ) as ingest,
                requests.Session() as session,
                mount(session, ingest),
            ):
                warnings.simplefilter("ignore", DataIOWarning)
                assert session.get(f"{server.url}/a", timeout=5).content == b"stored"


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("stale_if_error", [False, 0, "0s"])
def test_else_the_failure_is_the_programs(get: Get, stale_if_error: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {"ttl": 0, "stale_if_error": stale_if_error, "stdlib": True}
    with RawServer(Failing("cut")) as server:
        with IngestSession("market", tmp_path, "auto", **given):
            get(f"{server.url}/a")
        with (
            IngestSession("market", tmp_path, "auto", **given),
            pytest.raises((OSError, urllib3.exceptions.HTTPError)),
        ):
            get(f"{server.url}/a")


def test_a_404_is_no_failure(tmp_path: Path) -> None:
    with RawServer(Failing("404")) as server:
        for expected in (200, 404):
            with IngestSession("market", tmp_path, "auto", ttl=0, stale_if_error=True):
                assert by_requests(f"{server.url}/a")[0] == expected


def test_in_a_cassette(tmp_path: Path) -> None:
    with RawServer(Failing("503")) as server:
        with use_cassette(tmp_path / "a.json", "record"):
            by_requests(f"{server.url}/a")
        text = (tmp_path / "a.json").read_text()
        with (
            pytest.warns(DataIOWarning, match="its source failed"),
            use_cassette(tmp_path / "a.json", "auto", ttl=0, stale_if_error=True),
        ):
            assert by_requests(f"{server.url}/a") == (200, b"stored")
    assert (tmp_path / "a.json").read_text() == text


class Broker:
    """A fetcher that answers once, and then fails in a way."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.asked = 0

    def fetch(self, request: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            return b"stored"
        if self.how == "raises":
            raise TimeoutError("no answer")
        return FetchResult(b"sorry", status_code=int(self.how))


@pytest.mark.parametrize("how", ["raises", "503"])
def test_a_fetcher_of_ones_own(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(how)
    register("broker", broker)
    try:
        given: dict[str, Any] = {"ttl": 0, "stale_if_error": True}
        with IngestSession("broker", tmp_path, "auto", **given) as ingest:
            ingest.request("quote/A")
        with (
            pytest.warns(DataIOWarning, match="quote/A: its source failed"),
            IngestSession("broker", tmp_path, "auto", **given) as ingest,
        ):
            assert ingest.request("quote/A").content == b"stored"
        assert broker.asked == 2
        with IngestSession("broker", tmp_path, "replay", session=ingest.id) as replay:
            assert replay.request("quote/A").content == b"stored"
    finally:
        unregister("broker")


def test_a_failure_confirms_nothing(tmp_path: Path) -> None:
    with RawServer(Failing("503")) as server:
        with IngestSession("market", tmp_path, "record"):
            by_requests(f"{server.url}/a")
        time.sleep(0.3)
        for hits in (2, 3):
            with (
                pytest.warns(DataIOWarning, match="its source failed"),
                IngestSession("market", tmp_path, "auto", ttl=0.3, stale_if_error=True),
            ):
                assert by_requests(f"{server.url}/a") == (200, b"stored")
            assert server.hits == hits
