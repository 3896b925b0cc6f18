"""Retries plainly, recorded and replayed: their history, their end, and no sleep in replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession, Store
from tests.harness import SOURCE, describe, observe, outcome, three_ways
from tests.servers import Connection, RawServer, answer, responder


def test_retries_keep_their_history_and_do_not_sleep(tmp_path: Path) -> None:
    served = 0

    def flaky(_request: Any) -> bytes:
        nonlocal served
        served += 1
        later = answer(503, b"later", headers=[("Retry-After", "1")])
        return later if served % 3 else answer(200, b"now")

    with RawServer(responder({"/": flaky, "/always": answer(503, b"never")})) as server:

        def work() -> Any:
            with requests.Session() as session:
                retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
                session.mount("http://", HTTPAdapter(max_retries=retry))
                good = session.get(f"{server.url}/")
                history = good.raw.retries.history
                left = (good.raw.retries.total, [h.status for h in history])
                return observe(good), left, outcome(lambda: session.get(f"{server.url}/always"))

        plain = three_ways(tmp_path, server, work)
    assert plain[1] == (1, [503, 503])
    with Store(tmp_path) as store:
        first, second = store.exchanges(store.sessions()[0].id)
    assert [r.status_code for r in first.responses] == [503, 503, 200]
    assert [r.sequence for r in first.responses] == [1, 2, 3]
    assert [r.status_code for r in second.responses] == [503] * 4
    assert second.request.failure is not None


def test_a_retry_after_a_failure_keeps_the_failure(tmp_path: Path) -> None:
    tries = 0

    def first_fails(connection: Connection) -> None:
        nonlocal tries
        while connection.read_request():
            tries += 1
            if tries % 2:
                connection.reset()
                return
            connection.send(answer(200, b"second try"))

    with RawServer(first_fails) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                got = pool.request("GET", server.url, retries=Retry(2, backoff_factor=0))
                return got.data, [describe(h.error) for h in got.retries.history]

        plain = three_ways(tmp_path, server, work)
    assert plain[0] == b"second try"
    assert plain[1][0][0] == "ProtocolError"
    with Store(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    first, second = exchange.responses
    assert first.error_class == "urllib3.exceptions.ProtocolError"
    assert first.status_code is None
    assert (second.status_code, second.failure) == (200, None)


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_exceptions_name_their_pool(mode: str, tmp_path: Path) -> None:
    for running in ["record"] if mode == "record" else ["record", "replay"]:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", 1)
        with (
            IngestSession(SOURCE, tmp_path, running),
            pytest.raises(urllib3.exceptions.MaxRetryError) as caught,
        ):
            pool.request("GET", "/", retries=0)
        assert caught.value.pool is pool
        assert caught.value.url == "/"
        assert isinstance(caught.value.reason, urllib3.exceptions.NewConnectionError)
