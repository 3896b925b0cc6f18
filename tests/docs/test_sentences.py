"""What the documentation says in plain sentences, where no block shows it."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

import mxm_dataio
from examples.market_server import MarketServer
from mxm_dataio import ConfigError, DataIOWarning, IngestSession, ReplayMissError, Store
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[MarketServer]:
    """Serve the market for one test."""
    with MarketServer() as market:
        yield market


def test_a_swallowed_miss_is_raised_at_the_end(tmp_path: Path, server: MarketServer) -> None:
    with IngestSession("market", tmp_path, "record"):
        requests.get(server.url, timeout=10)
    replay = IngestSession("market", tmp_path, "replay")
    with (
        pytest.raises(ReplayMissError, match="the program went on without"),
        replay,
        suppress(ReplayMissError),
    ):
        requests.get(f"{server.url}/symbols", timeout=10)
    assert server.hits == 1


def test_a_replayed_cookie_is_the_placeholder(tmp_path: Path, server: MarketServer) -> None:
    form = {"user": "demo", "password": "one"}
    with IngestSession("market", tmp_path, "record"):
        live = requests.post(f"{server.url}/login", data=form, timeout=10)
    assert live.cookies["session"] != "REDACTED"
    form["password"] = "another"
    with IngestSession("market", tmp_path, "replay"):
        replayed = requests.post(f"{server.url}/login", data=form, timeout=10)
    assert replayed.cookies["session"] == "REDACTED"
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert live.cookies["session"].encode() not in stored
    assert b"password=REDACTED" in stored


def test_without_redaction_the_cookie_is_stored(tmp_path: Path, server: MarketServer) -> None:
    form = {"user": "demo", "password": "one"}
    values = []
    for mode in ("record", "replay"):
        with pytest.warns(DataIOWarning, match="redaction is off"):
            ingest = IngestSession("market", tmp_path, mode, redaction=None)
        with ingest:
            logged_in = requests.post(f"{server.url}/login", data=form, timeout=10)
        values.append(logged_in.cookies["session"])
    assert values[0] == values[1] != "REDACTED"


def test_auto_serves_what_is_fresh_and_revalidates_what_is_not(
    tmp_path: Path, server: MarketServer
) -> None:
    seen = []
    for ttl in (None, None, 3600, 0):
        with IngestSession("market", tmp_path, "auto", ttl=ttl) as ingest:
            got = requests.get(f"{server.url}/calendar", timeout=10)
        assert (got.status_code, bool(got.json()["holidays"])) == (200, True)
        seen.append(server.hits)
    assert seen == [1, 1, 1, 2]
    with Store(tmp_path, readonly=True) as store:
        (call,) = store.exchanges(ingest.id)
    assert [attempt.status_code for attempt in call.responses] == [304]


def test_auto_never_serves_a_failure(tmp_path: Path, server: MarketServer) -> None:
    statuses = []
    for _ in range(3):
        with IngestSession("market", tmp_path, "auto"):
            statuses.append(requests.get(f"{server.url}/flaky", timeout=10).status_code)
    assert (statuses, server.hits) == ([503, 200, 200], 2)


def test_auto_fetches_a_streamed_upload_every_time(tmp_path: Path, server: MarketServer) -> None:
    for _ in range(2):
        with IngestSession("market", tmp_path, "auto"):
            requests.post(f"{server.url}/orders/preview", data=io.BytesIO(b"{}"), timeout=10)
    assert server.hits == 2


def test_a_body_broken_off_is_replayed_as_far_as_it_was_received(tmp_path: Path) -> None:
    body = bytes(range(256)) * 40_000  # more than any buffer on the way takes
    pieces = []
    with RawServer(responder({"/big": answer(200, body)})) as server:
        url = f"{server.url}/big"
        for mode in ("record", "replay"):
            ingest = IngestSession("market", tmp_path, mode)
            with ingest, requests.get(url, stream=True, timeout=10) as streamed:
                pieces.append(next(streamed.iter_content(chunk_size=100)))
        assert pieces == [body[:100]] * 2
        replay = IngestSession("market", tmp_path, "replay")
        with pytest.raises(ReplayMissError, match="broke off"), replay:
            requests.get(url, timeout=10)
        assert server.hits == 1


def test_the_kth_call_gets_the_kth_answer_then_the_last(
    tmp_path: Path, server: MarketServer
) -> None:
    url = f"{server.url}/flaky"
    with IngestSession("market", tmp_path, "record"):
        recorded = [requests.get(url, timeout=10).status_code for _ in range(2)]
    with IngestSession("market", tmp_path, "replay"):
        replayed = [requests.get(url, timeout=10).status_code for _ in range(4)]
    assert (recorded, replayed) == ([503, 200], [503, 200, 200, 200])
    with IngestSession("market", tmp_path, "replay", exhausted="error") as strict:
        assert [requests.get(url, timeout=10).status_code for _ in range(2)] == recorded
        with pytest.raises(ReplayMissError):
            requests.get(url, timeout=10)
        strict.misses.clear()


def test_what_does_not_go_through_urllib3_is_not_seen(tmp_path: Path, server: MarketServer) -> None:
    with IngestSession("market", tmp_path, "record") as ingest:
        urllib.request.urlopen(f"{server.url}/symbols", timeout=10).close()
    with Store(tmp_path, readonly=True) as store:
        assert store.requests(ingest.id) == []
    with IngestSession("market", tmp_path, "replay"):
        urllib.request.urlopen(f"{server.url}/symbols", timeout=10).close()
    assert server.hits == 2


def test_one_root_at_a_time_with_the_hook(tmp_path: Path) -> None:
    with IngestSession("market", tmp_path / "a"):
        with pytest.raises(ConfigError, match="hook=False"):
            IngestSession("market", tmp_path / "b").open()
        with IngestSession("market", tmp_path / "b", hook=False) as beside:
            mxm_dataio.mount(requests.Session(), beside).unmount()
