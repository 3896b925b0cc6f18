"""Bodies that are left: half read, closed, dropped, never read. What follows goes on as ever."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, ReplayMissError
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.harness import SOURCE, mounted, outcome, three_ways
from tests.support.servers import RawServer, answer, responder

SMALL, BIG = b"0123456789" * 50, b"0123456789abcdef" * 20_000


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/small": answer(200, SMALL),
        "/big": answer(200, BIG),
        "/chunked": answer(200, BIG, chunked=[1000] * 50),
        "/next": answer(200, b"next"),
    }
    with RawServer(responder(routes)) as running:
        yield running


def close(response: Any) -> None:
    response.close()


def drop(response: Any) -> None:
    """Leave it to the caller, who lets go of it."""


def drain(response: Any) -> None:
    raw = getattr(response, "raw", response)
    raw.drain_conn()
    raw.release_conn()


def release(response: Any) -> None:
    getattr(response, "raw", response).release_conn()


def exhaust(response: Any) -> None:
    raw = getattr(response, "raw", response)
    raw.read()


LEAVING: dict[str, Callable[[Any], None]] = {
    "closed": close,
    "dropped": drop,
    "drained": drain,
    "released": release,
    "exhausted": exhaust,
}


@pytest.mark.parametrize("amount", [0, 10])
@pytest.mark.parametrize(("path", "leave"), crossed(["small", "big", "chunked"], LEAVING, 3))
def test_left_and_gone_on(
    path: str, leave: str, amount: int, server: RawServer, tmp_path: Path
) -> None:
    def read_and_leave(response: Any) -> Any:
        raw = getattr(response, "raw", response)
        got = raw.read(amount) if amount else b""
        # What draining meets beyond a program's own reading is the same in all three ways.
        return got, raw.tell(), outcome(lambda: LEAVING[leave](response)), raw.closed

    def work(session: requests.Session) -> Any:
        seen = [read_and_leave(session.get(f"{server.url}/{path}", stream=True)) for _ in range(2)]
        gc.collect()
        return seen, session.get(f"{server.url}/next").content

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    def pooled() -> Any:
        with urllib3.PoolManager() as pool:
            url = f"{server.url}/{path}"
            seen = [
                read_and_leave(pool.request("GET", url, preload_content=False)) for _ in range(2)
            ]
            gc.collect()
            return seen, pool.request("GET", f"{server.url}/next").data

    plain = three_ways(tmp_path / "1", server, hooked)
    assert mounted(tmp_path / "2", server, work) == plain
    assert three_ways(tmp_path / "3", server, pooled)[1] == b"next" == plain[1]


def test_an_iterator_left_half_way(server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        seen: list[Any] = []
        for path in ("big", "chunked"):
            with session.get(f"{server.url}/{path}", stream=True) as response:
                for number, piece in enumerate(response.iter_content(700)):
                    seen.append(piece)
                    if number == 2:
                        break
            response = session.get(f"{server.url}/{path}", stream=True)
            pieces = response.iter_content(9)
            seen.append(next(pieces))
            del pieces, response
        gc.collect()
        return seen, session.get(f"{server.url}/next").content

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    assert mounted(tmp_path / "1", server, work) == three_ways(tmp_path / "2", server, hooked)


def test_a_session_closed_before_its_answers_are_read(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with requests.Session() as session:
            response = session.get(f"{server.url}/big", stream=True)
            first = response.raw.read(10)
        # Its pool is closed; the connection in use is not.
        with response:
            rest = len(response.content)
        with session:
            return first, rest, session.get(f"{server.url}/next").content

    assert three_ways(tmp_path, server, work) == (BIG[:10], len(BIG) - 10, b"next")


def test_what_was_broken_off_is_told_so_in_replay(server: RawServer, tmp_path: Path) -> None:
    url = f"{server.url}/big"
    with (
        IngestSession(SOURCE, tmp_path),
        requests.Session() as session,
        session.get(url, stream=True) as response,
    ):
        head = response.raw.read(100)
    with RecordingStore(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    assert (exchange.request.status, exchange.answer.complete) == ("partial", False)
    assert 100 <= exchange.answer.size < len(BIG)
    with IngestSession(SOURCE, tmp_path, "replay") as ingest:
        with requests.get(url, stream=True) as response:
            assert response.raw.read(100) == head
            with pytest.raises(ReplayMissError, match="broke off"):
                response.raw.read()
        assert len(ingest.misses) == 1
        ingest.misses.clear()
