"""Values of the types that they are said to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mxm_dataio.models import (
    Exchange,
    Failure,
    Mode,
    Peer,
    Request,
    Response,
    Session,
    Status,
    Timings,
    Unseen,
)
from mxm_dataio.storage.catalog.sound import sound, sound_session

REQUEST = Request("1", "s", "market", "https://data.example/a", duration=0.5, body_size=3)
RESPONSE = Response("1", 1, "GET", status_code=200, size=7, timings=Timings(0.1, None, 0.2, 0.3))
SESSION = Session("s", "market", Mode.RECORD, "2025-01-01", Status.COMPLETE, "2025-01-01")
ANYTHING: list[Any] = [b"\xff", "text", 3, 1.5, -2, float("inf"), float("nan"), 1e300, None]


def test_what_is_sound_stays() -> None:
    assert sound(Exchange(REQUEST, (RESPONSE,))) == Exchange(REQUEST, (RESPONSE,))
    watched = replace(SESSION, coverage=(Unseen("process", "curl", 2, "m"),), exit_status=-9)
    assert sound_session(watched) == watched


@pytest.mark.parametrize("value", ANYTHING)
def test_whatever_a_column_holds(value: Any) -> None:
    request = replace(
        REQUEST, url=value, method=value, duration=value, body_size=value, body_checksum=value,
        served_from=value, failure=Failure(value, value, value),
    )  # fmt: skip
    response = replace(
        RESPONSE, status_code=value, size=value, checksum=value, truncated=value, url=value,
        timings=Timings(value, value, value, value), peer=Peer(value, value, value, value),
        failure=Failure(value, value, value), original_checksum=value,
    )  # fmt: skip
    found = sound(Exchange(request, (response,)))
    (one,) = found.responses
    for text in (found.request.url, found.request.method, one.url):
        assert type(text) is str
    for number in (found.request.body_size, one.size, one.truncated):
        assert type(number) is int
        assert number >= 0
    for seconds in (found.request.duration, *vars_of(one.timings)):
        assert seconds is None or (type(seconds) is float and abs(seconds) < 1e12)
    assert one.status_code is None or type(one.status_code) is int
    assert all(part is None or type(part) is str for part in one.peer)


def vars_of(timings: Timings) -> tuple[float | None, ...]:
    return timings.connect, timings.tls, timings.first_byte, timings.total


@pytest.mark.parametrize("value", ANYTHING)
def test_whatever_a_sessions_column_holds(value: Any) -> None:
    found = sound_session(
        replace(
            SESSION, source=value, as_of=value, pid=value, program=value, exit_status=value,
            warnings=(value,), started_at=value, ended_at=value,
            coverage=(Unseen(value, value, value, value),),
        )
    )  # fmt: skip
    assert [type(text) for text in (found.source, found.program, *found.warnings)] == [str] * 3
    assert found.coverage is not None
    assert type(found.coverage[0].times) is int
