"""The program's own ``Retry`` in replay, over what was recorded one attempt a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, mount
from tests.support import importing
from tests.support.servers import Connection, RawServer, answer

BUSY = answer(503, b"busy", headers=[("Retry-After", "3600")])
GOOD = answer(200, b"good")
GONE = b""


def flaky(*answers: bytes) -> Callable[[Connection], None]:
    """Return a handler that answers one after the other, by hanging up where there is nothing."""
    left = list(answers)

    def handle(connection: Connection) -> None:
        while connection.read_request() is not None:
            said = left.pop(0)
            if not said:
                return
            connection.send(said)

    return handle


def retry(**options: Any) -> Retry:
    return Retry(**{"total": 5, "status_forcelist": [503], "backoff_factor": 60, **options})


class ByHook:
    """urllib3's pools."""

    @staticmethod
    @contextmanager
    def client(ingest: IngestSession, retries: Any) -> Iterator[Any]:
        with urllib3.PoolManager() as pool:

            def get(url: str, method: str = "GET") -> tuple[int, bytes, int]:
                got = pool.request(method, url, retries=retries)
                return got.status, got.data, len(got.retries.history) if got.retries else 0

            yield get


class ByRequests:
    """A ``requests.Session``, through the hook."""

    mounted = False

    @classmethod
    @contextmanager
    def client(cls, ingest: IngestSession, retries: Any) -> Iterator[Any]:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=retries))
            if cls.mounted:
                mount(session, ingest)

            def get(url: str, method: str = "GET") -> tuple[int, bytes, int]:
                got = session.request(method, url)
                history = got.raw.retries.history if got.raw.retries else ()
                return got.status_code, got.content, len(history)

            yield get


class ByMount(ByRequests):
    """A ``requests.Session``, mounted."""

    mounted = True


WAYS = [ByHook, ByRequests, ByMount]
Way = Any


def gave_up() -> Any:
    errors = urllib3.exceptions.MaxRetryError, requests.exceptions.RetryError
    return pytest.raises(errors, match="503")


def recorded(way: Way, root: Path, *answers: bytes, method: str = "GET") -> str:
    """Record a program that tries again by itself; return the URL."""
    with RawServer(flaky(*answers)) as server:
        with IngestSession("s", root) as ingest, way.client(ingest, False) as get:
            for _ in answers:
                try:
                    get(f"{server.url}/", method)
                except (urllib3.exceptions.HTTPError, requests.RequestException):
                    continue
        return f"{server.url}/"


@pytest.mark.parametrize("way", WAYS)
def test_what_a_retry_would_not_have_shown_is_not_shown(way: Way, tmp_path: Path) -> None:
    url = recorded(way, tmp_path, BUSY, BUSY, GOOD, GOOD)
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, retry()) as get:
        assert get(url) == (200, b"good", 2)
        # The next call has the next.
        assert get(url) == (200, b"good", 0)
    # Without it each is an answer.
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, False) as get:
        assert [get(url)[0] for _ in range(4)] == [503, 503, 200, 200]


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_is_tried_again(way: Way, tmp_path: Path) -> None:
    url = recorded(way, tmp_path, GONE, GOOD)
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, retry()) as get:
        assert get(url) == (200, b"good", 1)
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, False) as get:
        with pytest.raises((urllib3.exceptions.ProtocolError, requests.ConnectionError)):
            get(url)
        assert get(url)[1] == b"good"


def test_what_urllib3_never_tries_again_is_not_tried_again(tmp_path: Path) -> None:
    def work(base: str) -> Any:
        with urllib3.HTTPConnectionPool(*base, maxsize=1, block=True) as pool:
            held = pool.request("GET", "/", preload_content=False)
            with pytest.raises(urllib3.exceptions.EmptyPoolError):
                pool.request("GET", "/full", pool_timeout=0.01, retries=3)
            held.read()
            held.release_conn()
            return pool.request("GET", "/full", retries=3).data

    with RawServer(flaky(GOOD, GOOD)) as server:
        base: Any = server.host, server.port
        with IngestSession("s", tmp_path):
            live = work(base)
    with IngestSession("s", tmp_path, "replay"):
        assert work(base) == live


@pytest.mark.parametrize("way", WAYS)
def test_where_no_more_is_recorded_the_retries_end_as_live(way: Way, tmp_path: Path) -> None:
    url = recorded(way, tmp_path, BUSY)
    with (
        IngestSession("s", tmp_path, "replay") as ingest,
        way.client(ingest, retry()) as get,
        gave_up(),
    ):
        get(url)
    silent = retry(raise_on_status=False)
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, silent) as get:
        assert get(url)[:2] == (503, b"busy")


@pytest.mark.parametrize("way", WAYS)
def test_fewer_tries_than_were_recorded_end_as_live(way: Way, tmp_path: Path) -> None:
    url = recorded(way, tmp_path, BUSY, BUSY, GOOD)
    once = retry(total=1)
    with (
        IngestSession("s", tmp_path, "replay") as ingest,
        way.client(ingest, once) as get,
        gave_up(),
    ):
        get(url)


@pytest.mark.parametrize("way", WAYS)
def test_what_the_program_would_not_repeat_is_its_answer(way: Way, tmp_path: Path) -> None:
    url = recorded(way, tmp_path, BUSY, GOOD, method="POST")
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, retry()) as get:
        assert [get(url, "POST")[0] for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_recorded_with_its_retries_is_as_it_was(way: Way, tmp_path: Path) -> None:
    quick = retry(backoff_factor=0, respect_retry_after_header=False)
    with (
        RawServer(flaky(BUSY, BUSY, GOOD, BUSY, GOOD)) as server,
        IngestSession("s", tmp_path) as ingest,
        way.client(ingest, quick) as get,
    ):
        live = [get(f"{server.url}/") for _ in range(2)]
    assert live == [(200, b"good", 2), (200, b"good", 1)]
    with IngestSession("s", tmp_path, "replay") as ingest, way.client(ingest, quick) as get:
        assert [get(f"{server.url}/") for _ in range(2)] == live


def test_a_cassette_of_vcrpy_s_of_a_program_that_retries(tmp_path: Path) -> None:
    vcr = pytest.importorskip("vcr")
    quick = retry(backoff_factor=0, respect_retry_after_header=False)

    def suite(url: str) -> list[Any]:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=quick))
            return [session.get(url).text, session.get(f"{url}other").text]

    with RawServer(flaky(BUSY, BUSY, GOOD, GOOD)) as server:
        url = f"{server.url}/"
        with vcr.use_cassette(str(tmp_path / "tape.yaml")):
            live = suite(url)
    with vcr.use_cassette(str(tmp_path / "tape.yaml"), record_mode="none"):
        assert suite(url) == live
    importing.put(tmp_path, "s", importing.read(tmp_path / "tape.yaml").recordings)
    with IngestSession("s", tmp_path, "replay"):
        assert suite(url) == live
