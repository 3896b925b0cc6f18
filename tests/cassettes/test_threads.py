"""Threads that have a cassette each: a call goes to its own thread's, or is refused."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import (
    CassetteSession,
    ConfigError,
    IngestSession,
    ReplayMissError,
    Status,
    use_cassette,
)
from mxm_dataio.api import capture_of
from tests.cassettes.test_use_cassette import Counter, bodies


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "test_it.json"


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter() as running:
        yield running


def side_by_side(*works: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(works)) as threads:
        return [call.result(timeout=30) for call in [threads.submit(work) for work in works]]


@pytest.mark.parametrize("one", [True, False], ids=["one-decorator", "two"])
def test_threads_have_each_their_own(path: Path, counter: Counter, one: bool) -> None:
    barrier = threading.Barrier(2)
    shared = use_cassette(path)

    def work(name: str) -> Any:
        with shared if one else use_cassette(path.with_name(f"{name}.json")) as ingest:
            barrier.wait(10)
            got = [counter.get(f"/{name}/1")]
            context = contextvars.copy_context()
            with ThreadPoolExecutor(1) as pool:
                got += [pool.submit(context.run, counter.get, f"/{name}/2").result()]
            got += [asyncio.run(asyncio.to_thread(counter.get, f"/{name}/3"))]
            assert capture_of(ingest).is_open
            barrier.wait(10)
            if name == "b":
                barrier.wait(10)
                # The other's end is not this one's.
                got += [counter.get("/b/4")]
        if name == "a":
            barrier.wait(10)
        return got

    def both() -> list[Any]:
        return side_by_side(*(functools.partial(work, name) for name in "ab"))

    recorded = both()
    hits = counter.hits
    assert hits == 7
    if not one:
        for name, got in zip("ab", recorded, strict=True):
            held = bodies(path.with_name(f"{name}.json"))
            assert sorted(body["n"] for body in held) == sorted(body["n"] for body in got)
    assert both() == recorded
    assert counter.hits == hits


def in_a_pool(pool: ThreadPoolExecutor, fetch: Callable[..., Any], where: str) -> Any:
    return pool.submit(fetch, where).result()


def in_a_thread(pool: ThreadPoolExecutor, fetch: Callable[..., Any], where: str) -> Any:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            fetch(where)
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise caught[0]


@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
@pytest.mark.parametrize("how", [in_a_pool, in_a_thread])
@pytest.mark.filterwarnings("ignore::mxm_dataio.DataIOWarning")
def test_a_thread_that_may_be_of_either_is_refused(
    how: Callable[..., Any], mode: str, path: Path, counter: Counter
) -> None:
    barrier = threading.Barrier(2)

    def fetch_by_urllib(where: str) -> Any:
        return urllib.request.urlopen(counter.server.url + where, timeout=10).read()

    def work(name: str, pool: ThreadPoolExecutor, fetch: Callable[..., Any]) -> CassetteSession:
        session = use_cassette(path.with_name(f"{name}.json"), mode=mode)
        missed = pytest.raises(ReplayMissError) if mode == "replay" else contextlib.nullcontext()
        with missed, session as ingest:
            barrier.wait(10)
            with pytest.raises(ConfigError, match="copy_context"):
                how(pool, fetch, f"/{name}/1")
            barrier.wait(10)
        return ingest

    # A pool of both's; its thread is the first one's.
    with ThreadPoolExecutor(1) as pool:
        for fetch in (counter.get, fetch_by_urllib):
            a, b = (functools.partial(work, name, pool, fetch) for name in "ab")
            for ingest in side_by_side(a, b):
                assert counter.hits == 0
                assert ingest.session.status in (Status.INCOMPLETE, Status.FAILED)
    with use_cassette(path), ThreadPoolExecutor(1) as pool:
        pool.submit(counter.get, "/alone").result()
    assert len(bodies(path)) == 1


@pytest.mark.filterwarnings("ignore::mxm_dataio.DataIOWarning")
def test_a_pool_that_outlives_its_block_is_not_another_s(path: Path, counter: Counter) -> None:
    ended, done = threading.Event(), threading.Event()
    opened = threading.Barrier(2)

    def first(pool: ThreadPoolExecutor) -> Any:
        with use_cassette(path.with_name("a.json")):
            opened.wait(10)
            late = pool.submit(lambda: ended.wait(10) and counter.get("/late"))
        ended.set()
        with pytest.raises(ConfigError):
            late.result()
        done.set()

    def second() -> None:
        with use_cassette(path.with_name("b.json")):
            opened.wait(10)
            done.wait(10)
            counter.get("/mine")

    with ThreadPoolExecutor(1) as pool:
        side_by_side(lambda: first(pool), second)
    assert counter.hits == len(bodies(path.with_name("b.json"))) == 1


def test_sessions_on_one_root_side_by_side(tmp_path: Path, counter: Counter) -> None:
    barrier = threading.Barrier(2)

    def work(name: str, mode: str) -> Any:
        with IngestSession(name, tmp_path, mode):
            barrier.wait(10)
            got = [counter.get(f"/{name}/1")]
            with ThreadPoolExecutor(1) as pool:
                call = pool.submit(contextvars.copy_context().run, counter.get, f"/{name}/2")
                got += [call.result()]
            barrier.wait(10)
            return got

    for mode in ("record", "replay"):
        got = side_by_side(*(functools.partial(work, name, mode) for name in "ab"))
        assert counter.hits == 4
        if mode == "record":
            recorded = got
    assert got == recorded
