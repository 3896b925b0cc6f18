"""The figures of calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mxm_dataio.models import Exchange, Failure, Peer, Request, Response, Status, Timings
from mxm_dataio.reading.outcomes import wrong
from mxm_dataio.reading.report.tally import Percentiles, Tally, counted_host
from mxm_dataio.utils import instant

START = 1_750_000_000.0


def call(
    *codes: int | None,
    at: float = 0.0,
    url: str = "https://data.example/a",
    size: int = 10,
    checksum: str = "c",
    duration: float | None = 0.1,
    **facts: Any,
) -> Exchange:
    request = Request(
        "q", "s", "market", url, url=url, started_at=instant(START + at), duration=duration, **facts
    )
    responses = [
        Response(
            "q", number, status_code=code, size=size if code else 0,
            checksum=checksum if code else None, started_at=instant(START + at),
            timings=Timings(total=0.2), peer=Peer("192.0.2.1:443", "TLSv1.3") if code else Peer(),
        )
        for number, code in enumerate(codes, 1)
    ]  # fmt: skip
    return Exchange(request, tuple(responses))


def tally(*calls: Exchange) -> Tally:
    made = Tally(1)
    for one in calls:
        made.take(one, 0)
    return made


REFUSED = Failure("requests.exceptions.ConnectionError", "refused")


@pytest.mark.parametrize(
    ("exchange", "what"),
    [
        (call(200), None),
        (call(304), None),
        (call(), None),
        (call(503, 200), None),
        (call(404), "404 Not Found"),
        (call(599), "599"),
        (call(None, status=Status.FAILED, failure=REFUSED), "ConnectionError"),
        (call(503, status=Status.FAILED), "no answer"),
        (call(200, status=Status.INTERRUPTED), "interrupted"),
        (call(200, status=Status.PARTIAL), None),
    ],
)
def test_how_a_call_went_wrong(exchange: Exchange, what: str | None) -> None:
    assert wrong(exchange) == what


def test_totals() -> None:
    found = tally(
        call(200, checksum="a", body_size=5, body_checksum="u"),
        call(200, checksum="a"),
        call(503, 503, 200, checksum="b", size=20),
        call(302, 200, checksum="b", size=20),
        call(503, 503, checksum="b", size=20),
        call(404, checksum="c"),
        call(None, None, status=Status.FAILED, failure=REFUSED),
        call(200, status=Status.INTERRUPTED, checksum="a"),
        call(200, status=Status.PARTIAL, checksum="a"),
        call(served_from="other"),
    ).totals
    assert (found.calls, found.attempts, found.hosts) == (10, 14, 1)
    assert (found.retries, found.redirects, found.recovered) == (4, 1, 1)
    assert (found.failed, found.errors, found.interrupted, found.partial) == (1, 2, 1, 1)
    assert (found.received, found.sent, found.served) == (10 * 5 + 20 * 7, 5, 1)
    assert (found.payloads, found.payload_bytes) == (13, 10 * 5 + 20 * 7 + 5)
    assert (found.distinct, found.distinct_bytes) == (4, 45)


def test_hosts() -> None:
    found = tally(
        call(200, url="https://b.example/x", duration=0.3),
        call(404, url="https://a.example:8443/", at=5),
        call(200, url="https://b.example/y", duration=0.1, at=9),
        call(200, url="https://user@b.example/z", duration=None),
    )
    b, a = found.hosts()
    assert (b.name, b.calls, b.bad, b.received) == ("b.example", 3, 0, 30)
    assert (a.name, a.calls, a.bad) == ("a.example:8443", 1, 1)
    assert dict(a.answers) == {"4xx": 1}
    assert (b.began, b.ended) == (START, START + 9)
    assert Percentiles.of(b.latencies) == (0.1, 0.3, 0.3, 0.3)
    assert b.reached == (["192.0.2.1:443"], 0)
    assert b.tls == {"TLSv1.3"}
    assert found.percentiles() == (0.1, 0.3, 0.3, 0.3)


@pytest.mark.parametrize(
    ("url", "host"), [(".", "(market)"), ("", "(market)"), ("http://[", "(market)")]
)
def test_what_names_no_host_is_its_sources(url: str, host: str) -> None:
    assert counted_host(call(url=url).request) == host


def test_failures_are_told_by_kind() -> None:
    found = tally(
        call(404, at=1),
        call(None, at=2, status=Status.FAILED, failure=REFUSED),
        call(404, at=3, url="https://b.example/"),
    )
    missing, refused = found.failing()
    assert (missing.what, missing.calls, missing.answered) == ("404 Not Found", 2, True)
    assert list(missing.hosts) == ["data.example", "b.example"]
    assert missing.began == START + 1
    assert (refused.what, refused.answered, refused.message) == (
        "ConnectionError", False, "refused",
    )  # fmt: skip


def test_distributions() -> None:
    found = tally(call(200, duration=0.012), call(404, duration=0.0125, size=0), call(200, size=70))
    slow = found.latencies()
    assert (slow[0].values, slow[0].marked, slow[-1].values) == (2, 1, 1)
    assert slow[0].low <= 0.012 < slow[0].high
    assert [(one.low, one.values) for one in found.sizes() if one.values] == [
        (0, 1), (4, 1), (64, 1),
    ]  # fmt: skip


def lanes(counts: Sequence[int]) -> Tally:
    made = Tally(len(counts))
    for session, number in enumerate(counts):
        for place in range(number):
            made.take(call(404 if place else 200, at=float(place)), session)
    return made


def test_lanes_of_sessions_that_made_calls() -> None:
    first, second = lanes([2, 0, 1]).lanes(START, START + 1)
    assert (first.session, second.session) == (0, 2)
    assert (first.counts[0], first.counts[-1], sum(first.counts)) == (1, 1, 2)
    assert (sum(first.bad), first.bad[-1]) == (1, 1)
    assert len(first.counts) == len(second.counts) == 120


def test_many_sessions_share_a_lane() -> None:
    found = list(lanes([1] * 40).lanes(START, START + 1))
    assert [lane.session for lane in found] == [*range(11), None]
    assert sum(found[-1].counts) == 29


def test_calls_of_one_instant_have_a_lane() -> None:
    (lane,) = lanes([1]).lanes(START, START)
    assert sum(lane.counts) == 1
