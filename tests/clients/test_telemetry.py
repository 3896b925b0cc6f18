"""sentry-sdk and dlt phone home from threads of their own: left out, no replay has a miss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.harness import HEAVY, WHY
from tests.support.running import Programs
from tests.support.servers import RawServer, Request, answer, responder

# Each asks 127.0.0.1 for the prices, and phones home to localhost.
SENTRY = """
    import logging, sys, requests, sentry_sdk

    api, home, _ = sys.argv[1:]
    # Without a release it asks git for one, which no session captures.
    sentry_sdk.init(home.replace("//", "//key@") + "/7", release="1", traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="night"):
        print(requests.get(api).json()["close"])
        logging.error("a price is late")
        try:
            1 / 0
        except ZeroDivisionError:
            sentry_sdk.capture_exception()
    sentry_sdk.flush(5)
    print("done")
"""
DLT = """
    import os, sys

    api, home, folder = sys.argv[1:]
    os.environ["RUNTIME__DLTHUB_TELEMETRY_ENDPOINT"] = home + "/t"
    os.environ["HOME"] = folder
    import dlt
    from dlt.sources.helpers import requests

    @dlt.destination(batch_size=10)
    def printed(items, table):
        print(*[item["close"] for item in items])

    @dlt.resource
    def prices():
        yield requests.get(api).json()

    dlt.pipeline("prices", destination=printed, pipelines_dir=folder).run(prices())
    print("done")
"""
PROGRAMS = {"sentry_sdk": SENTRY, "dlt": DLT}


class Home(dict[str, Any]):
    """Routes of all that is not the API."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path, answer(200, b"{}", headers=[("Content-Type", "application/json")]))


@pytest.fixture
def server() -> Iterator[RawServer]:
    def prices(_: Request) -> bytes:
        said = [("Content-Type", "application/json")]
        return answer(200, b'{"close": 70.25}', headers=said)

    with RawServer(responder(Home({"/prices": prices}))) as running:
        yield running


@pytest.fixture(params=PROGRAMS)
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Programs:
    pytest.importorskip(request.param, reason=HEAVY if request.param == "dlt" else WHY)
    made = Programs(tmp_path)
    made.write("prog.py", PROGRAMS[request.param])
    return made


def test_what_phones_home_is_left_out(programs: Programs, server: RawServer) -> None:
    def started(options: str) -> tuple[tuple[int, str], dict[str, Any]]:
        folder = programs.folder / f"home{len(list(programs.folder.glob('home*')))}"
        folder.mkdir()
        words = f"{server.url}/prices", f"http://localhost:{server.port}", folder
        done = programs.run("prog.py", *words, options=options)
        return (done.status, done.out), done.summary

    good = 0, "70.25\ndone\n"
    told = "--ignore-host localhost --require-full-coverage"
    done, summary = started(told)
    assert done == good, summary
    assert programs.called() == ["prices"]
    phoned = sum(request.path != "/prices" for request in server.requests)
    assert summary["left_out"] == {f"localhost:{server.port}": phoned}
    assert phoned > 0
    # As a run that recorded all of it, last night.
    assert started("--root last")[0] == good
    hits = server.hits
    server.stop()
    for root in ("root", "last"):
        done, summary = started(f"{told} --root {root} --mode replay")
        assert (done, summary["missed"]) == (good, 0)
    (status, _), summary = started("--root last --mode replay")
    assert status != 0
    assert summary["missed"] > 0
    assert server.hits == hits
