"""The public contract as a user writes it; checked by mypy, not run."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any, Unpack, assert_type

import pytest
import requests
from requests.adapters import HTTPAdapter

import mxm_dataio
from mxm_dataio import (
    Call,
    CaptureAdapter,
    CassetteOptions,
    CassetteSession,
    ConfigError,
    DataIOError,
    Exchange,
    Fetcher,
    FetchResult,
    IngestSession,
    IntegrityError,
    MarkerOptions,
    Mode,
    ReplayMissError,
    Request,
    Response,
    Session,
    Status,
    Store,
    mount,
    register,
    use_cassette,
)

with IngestSession(source="yahoo", root="data", mode="record", as_of="2025-10-07") as ingest:
    resp = ingest.request(
        endpoint="https://data.example/CSPX.L", params={"interval": "1d"}, kind="daily_bars"
    )
    assert_type(resp, Response)
    assert_type(resp.bytes_path, Path | None)
    assert_type(resp.checksum, str | None)
    assert_type(ingest.content(resp), bytes)
    assert_type(resp.content, bytes)
    assert_type(resp.read(limit=1 << 20), bytes)
    assert_type(resp.raw, bytes)
    assert_type(resp.text, str)
    prices: dict[str, float] = resp.json()
    assert_type(ingest.session, Session)
    assert_type(ingest.play_count, int)
    assert_type(ingest.unused, list[Request])
    assert_type([call.answered == "recorded" for call in ingest.calls], list[bool])

with IngestSession(
    "yahoo",
    Path("data"),
    "auto",
    as_of=date(2025, 10, 7),
    ttl={"*/live/*": timedelta(minutes=1), "*": "1h", "*/ever": None},
    reuse={"*": [200, "POST"]},
    stale_if_error="1d",
    match_headers=["X-Tenant"],
    exhausted="error",
    redaction=None,
    strict=True,
    ignore_params=["nonce"],
):
    pass


def echoed(exchange: Exchange, call: Call) -> Exchange:
    return exchange.with_json({**exchange.json(), "id": call.json["id"]}).with_status(201)


with IngestSession("yahoo", answer=echoed):
    pass

with requests.Session() as session:
    with mount(session, ingest) as mounted:
        assert_type(mounted, requests.Session)
    session.mount("https://", CaptureAdapter(ingest=ingest))
    session.mount("http://", CaptureAdapter(inner=HTTPAdapter()))


class IBFetcher:
    def fetch(self, request: Request) -> bytes:
        return request.endpoint.encode()


class Detailed:
    def fetch(self, request: Request) -> FetchResult:
        return FetchResult(b"", status_code=200, headers=(("X-A", "1"),))


fetchers: list[Fetcher] = [IBFetcher(), Detailed()]
register("ibkr", fetchers[0])

with Store("data", readonly=True) as store:
    assert_type(store.sessions(), list[Session])
    for one in store.sessions("yahoo"):
        assert_type(one.status, Status)
        assert_type(one.mode, Mode)
        for exchange in store.exchanges(one.id):
            assert_type(exchange.request, Request)
            assert_type(exchange.responses, tuple[Response, ...])
        for exchange in store.calls(session=one, host="*.example", since=timedelta(days=1)):
            assert_type(exchange.answer, Response | None)
    rows = store.sql("SELECT host, count(*) FROM calls WHERE source = ? GROUP BY 1", ["yahoo"])
    assert_type(rows.columns, tuple[str, ...])
    assert_type([dict(row) for row in rows], list[dict[str, Any]])
    store.table("calls").num_rows  # noqa: B018 - pyarrow's and pandas's own types, where there are
    store.frame().groupby("host").size()
    assert_type(store.latest("yahoo", status=["2xx", 304]), Exchange | None)

# A word that is none, and an option that is none, are errors before anything runs: mypy says where
# one is not.
IngestSession("yahoo", mode="recrod")  # type: ignore[arg-type]
IngestSession("yahoo", mode=Mode.REPLAY, durability="often")  # type: ignore[arg-type]
use_cassette("a.json", mode="sometimes")  # type: ignore[arg-type]
use_cassette("a.json", keep_fialed=True)  # type: ignore[call-arg]
use_cassette("a.json", exhausted="never")  # type: ignore[arg-type]

with use_cassette("a.json", "new_episodes", shared=["b.json"], ttl="1h", ignore_params=["t"]) as c:
    assert_type(c, CassetteSession)


@use_cassette("a.json", keep_failed=True)
def counted(numbers: list[int]) -> int:
    return sum(numbers)


assert_type(counted([1]), int)


def recorded(name: str, **options: Unpack[CassetteOptions]) -> use_cassette:
    return use_cassette(f"cassettes/{name}.json", **options)


recorded("symbols", strict=True)
recorded("symbols", stirct=True)  # type: ignore[call-arg]


@pytest.mark.dataio(**MarkerOptions(mode="once", freeze="tick", on_expired="fail", scope="module"))
def test_marked(dataio: IngestSession) -> None:
    assert dataio.all_played


MarkerOptions(freeze="tock")  # type: ignore[typeddict-item]
MarkerOptions(on_expires="fail")  # type: ignore[typeddict-unknown-key]

errors: tuple[type[DataIOError], ...] = (ReplayMissError, IntegrityError, ConfigError)

assert_type(mxm_dataio.__version__, str)
# An error to a type checker, though names are handed on by a __getattr__: mypy says where it isn't.
misspelt = mxm_dataio.Sesion  # type: ignore[attr-defined]
