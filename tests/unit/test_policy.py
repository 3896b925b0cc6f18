"""The decision table: every mode, every kind of stored answer, the edges of the ttl."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mxm_dataio.models import Exchange, Failure, Headers, Mode, Request, Response, Status
from mxm_dataio.replay.policy import (
    Fetch,
    Miss,
    Pass,
    Revalidate,
    Serve,
    decide,
    reusable,
    validators,
)
from mxm_dataio.utils import instant

THEN = 1_700_000_000.5
ETAG: Headers = (("ETag", '"v1"'),)
DATED: Headers = (("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),)


def stored(
    code: int | None = 200, headers: Headers = (), status: Status = Status.COMPLETE
) -> Exchange:
    request = Request("r", "s", "src", "e", started_at=instant(THEN), status=status)
    return Exchange(request, (Response("r", status_code=code, headers=headers, complete=True),))


GOOD = stored(headers=ETAG)
FAILED = Exchange(replace(GOOD.request, status=Status.FAILED, failure=Failure("a", "b")), ())
CUT = Exchange(GOOD.request, (replace(GOOD.responses[0], complete=False),))
EMPTY = Exchange(GOOD.request, ())


@pytest.mark.parametrize("held", [None, GOOD, FAILED])
def test_off_passes_and_record_fetches_whatever_is_held(held: Exchange | None) -> None:
    for ttl in (None, 0.0, 1e9):
        assert decide(Mode.OFF, held, ttl=ttl) == Pass()
        assert decide(Mode.RECORD, held, ttl=ttl) == Fetch()


def test_replay_serves_all_that_was_recorded_and_nothing_else() -> None:
    assert decide(Mode.REPLAY, None, ttl=None) == Miss()
    for held in (GOOD, FAILED, CUT, EMPTY, stored(503)):
        # Neither age nor kind matter: it is what the program saw.
        assert decide(Mode.REPLAY, held, age=1e9, ttl=0.0) == Serve(held)


@pytest.mark.parametrize("conditional", [True, False])
def test_auto_fetches_what_is_not_held(conditional: bool) -> None:
    assert decide(Mode.AUTO, None, ttl=None, conditional=conditional) == Fetch()


@pytest.mark.parametrize(
    ("age", "ttl", "fresh"),
    [
        (0.0, None, True),
        (1e9, None, True),
        (9.0, 10.0, True),
        (10.0, 10.0, False),
        (11.0, 10.0, False),
        (0.0, 0.0, False),
        (-5.0, 10.0, True),
    ],
)
def test_auto_serves_while_fresh(age: float, ttl: float | None, fresh: bool) -> None:
    bare = stored()
    expected = Serve(bare) if fresh else Fetch()
    assert decide(Mode.AUTO, bare, age=age, ttl=ttl) == expected
    decision = decide(Mode.AUTO, GOOD, age=age, ttl=ttl)
    assert decision == (Serve(GOOD) if fresh else Revalidate(GOOD, (("If-None-Match", '"v1"'),)))


def test_auto_revalidates_only_calls_that_may_be_conditional() -> None:
    assert decide(Mode.AUTO, GOOD, age=1, ttl=1.0, conditional=False) == Fetch()


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_auto_never_serves_a_passing_failure(code: int) -> None:
    assert not reusable(stored(code, ETAG))
    assert decide(Mode.AUTO, stored(code, ETAG), ttl=None) == Fetch()


@pytest.mark.parametrize("code", [200, 204, 206, 301, 400, 401, 404, 410, 499, None])
def test_auto_serves_a_lasting_answer(code: int | None) -> None:
    assert decide(Mode.AUTO, stored(code), ttl=None) == Serve(stored(code))


@pytest.mark.parametrize("held", [FAILED, CUT, EMPTY])
def test_auto_fetches_what_is_no_whole_answer(held: Exchange) -> None:
    assert decide(Mode.AUTO, held, ttl=None) == Fetch()


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.COMPLETE])
def test_auto_fetches_what_did_not_end_well(status: Status) -> None:
    assert decide(Mode.AUTO, stored(status=status), ttl=None) == Fetch()


def test_validators() -> None:
    assert validators(stored(headers=ETAG + DATED)) == (
        ("If-None-Match", '"v1"'),
        ("If-Modified-Since", "Mon, 01 Jan 2024 00:00:00 GMT"),
    )
    assert validators(stored(headers=DATED)) == (("If-Modified-Since", DATED[0][1]),)
    assert validators(stored()) == ()
    assert validators(stored(404, ETAG)) == ()
    assert validators(stored(206, ETAG)) == ()
    assert validators(EMPTY) == ()


def test_the_last_attempt_decides() -> None:
    bad, good = stored(503).responses[0], GOOD.responses[0]
    assert reusable(Exchange(GOOD.request, (bad, replace(good, sequence=2))))
    assert not reusable(Exchange(GOOD.request, (good, replace(bad, sequence=2))))
