"""Functions of users that edit what is stored of a call as a whole."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import FetchResult, IngestSession, Store, register
from mxm_dataio.redaction import DEFAULT, Interaction
from mxm_dataio.registry import unregister
from tests.support.servers import RawServer, Request, answer, responder

seen: list[Interaction] = []


def edit(one: Interaction) -> Interaction | None:
    seen.append(one)
    if one.url.endswith("/dropped"):
        return None
    url = one.url.replace("/of-anna", "/of-nobody")
    return replace(one, url=url, answer=one.answer.replace(b"anna", b"nobody"))


EDITED = DEFAULT.adding(edits=[edit])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


def test_each_try_is_asked_for(tmp_path: Path) -> None:
    raws = [answer(503, b"anna is busy"), answer(200, b"anna")]

    def route(_request: Request) -> bytes:
        return raws.pop(0)

    view: Any = lambda call: call.replace(path=call.path.replace("/of-anna", "/of-nobody"))  # noqa: E731
    retries = urllib3.Retry(1, status_forcelist=[503], backoff_factor=0)
    server = RawServer(responder({"/of-anna": route}))
    with server, urllib3.PoolManager(retries=retries) as pool:
        for mode in ("record", "replay"):
            with IngestSession("s", tmp_path, mode, redaction=EDITED, view=view) as ingest:
                got = pool.request("GET", f"{server.url}/of-anna")
                assert got.data == (b"anna" if mode == "record" else b"nobody")
            if mode == "record":
                session = ingest.id
    assert [(one.status_code, one.answer) for one in seen] == [
        (503, b"anna is busy"),
        (200, b"anna"),
    ]
    with Store(tmp_path, readonly=True) as store:
        (request,) = store.requests(session)
        exchange = store.exchange(request.id)
        assert exchange is not None
        assert {one.url for one in exchange.responses} == {f"{server.url}/of-nobody"}
        assert [one.content for one in exchange.responses] == [b"nobody is busy", b"nobody"]
        assert exchange.responses[1].original_checksum
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"anna" not in path.read_bytes(), path


def test_what_is_changed_is_what_is_stored_alone(tmp_path: Path) -> None:
    raw = answer(200, b"anna", headers=[("X-B", "1"), ("x-b", "2"), ("Odd", "a  b")])
    with RawServer(responder({"/a": raw})) as server:
        for redaction in (DEFAULT, DEFAULT.adding(edits=[lambda one: one])):
            with IngestSession("s", tmp_path, redaction=redaction) as ingest:
                requests.get(f"{server.url}/a", timeout=5)
                requests.head(f"{server.url}/a", timeout=5)
            with Store(tmp_path, readonly=True) as store:
                found = [store.exchange(one.id) for one in store.requests(ingest.id)]
                heads = [
                    (one.answer.head, one.request.headers) for one in found if one and one.answer
                ]
            if redaction is DEFAULT:
                plain = heads
        assert heads == plain


def test_a_call_that_failed_is_kept(tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, redaction=EDITED) as ingest:
        for path in ("a", "dropped"):
            with pytest.raises(requests.ConnectionError):
                requests.get(f"http://127.0.0.1:9/{path}", timeout=5)
    assert [one.status_code for one in seen] == [None, None]
    assert [call.answered for call in ingest.calls] == ["recorded", "left out"]


@pytest.mark.parametrize("status", [None, 200])
def test_a_fetcher_of_ones_own(status: int | None, tmp_path: Path) -> None:
    class Broker:
        def fetch(self, request: Any) -> FetchResult:
            return FetchResult(b"anna", status_code=status)

    register("broker", Broker())
    try:
        with IngestSession("broker", tmp_path, redaction=EDITED) as ingest:
            assert ingest.request("quote/A").content == b"anna"
            assert ingest.request("quote/dropped").content == b"anna"
        with IngestSession("broker", tmp_path, "replay", redaction=EDITED) as ingest:
            assert ingest.request("quote/A").content == b"nobody"
    finally:
        unregister("broker")


def test_it_goes_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(EDITED)) == EDITED
