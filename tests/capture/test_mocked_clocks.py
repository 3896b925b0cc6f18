"""Programs that have the clock tell a list of values: all of them are theirs."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, mount, register, unregister, use_cassette
from tests.support.effort import crossed
from tests.support.servers import RawServer, answer, responder

CLOCKS = ["time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic_ns", "process_time"]


def by_requests(url: str, _: Any) -> bytes:
    return requests.get(url).content


def by_mount(url: str, ingest: IngestSession) -> bytes:
    with requests.Session() as session, mount(session, ingest):
        return session.get(url).content


def by_urllib3(url: str, _: Any) -> bytes:
    with urllib3.PoolManager() as pool:
        return bytes(pool.request("GET", url).data)


def by_urllib(url: str, _: Any) -> bytes:
    with urllib.request.urlopen(url) as response:
        return bytes(response.read())


def by_fetcher(url: str, ingest: IngestSession) -> bytes:
    return ingest.content(ingest.request("x"))


WAYS = [by_requests, by_mount, by_urllib3, by_urllib, by_fetcher]


class Fetcher:
    """A fetcher of one's own."""

    def fetch(self, request: object) -> bytes:
        return b"ok"


@pytest.mark.parametrize(("way", "clock"), crossed(WAYS, CLOCKS, 2))
def test_its_values_are_the_program_s(way: Any, clock: str, tmp_path: Path) -> None:
    register("own", Fetcher())

    def timed(url: str, ingest: IngestSession) -> float:
        told = iter(range(1, 1000, 2))
        with mock.patch(f"time.{clock}", side_effect=lambda: next(told)):
            start = getattr(time, clock)()
            assert way(url, ingest) == b"ok"
            return float(getattr(time, clock)() - start)

    source = "own" if way is by_fetcher else "s"
    try:
        with RawServer(responder({"/": answer(200, b"ok")})) as server:
            url = f"{server.url}/"
            with IngestSession("s", tmp_path, "off") as none:
                plain = 2.0 if way is by_fetcher else timed(url, none)
            for mode in ("record", "replay", "auto"):
                with IngestSession(source, tmp_path, mode, stdlib=True) as ingest:
                    assert timed(url, ingest) == plain, mode
            if way is not by_fetcher:
                for mode in ("once", "none"):
                    with use_cassette(tmp_path / "c.json", mode=mode) as cassette:
                        assert timed(url, cassette) == plain, mode
    finally:
        unregister("own")
