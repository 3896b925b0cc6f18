"""The decision table: every mode, every kind of stored answer, the edges of the ttl."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mxm_dataio.models import Exchange, Failure, Headers, Mode, Request, Response, Status
from mxm_dataio.replay.policy import (
    Fetch,
    Miss,
    Pass,
    Reuse,
    Revalidate,
    Serve,
    decide,
    validators,
)
from mxm_dataio.utils import instant

THEN = 1_700_000_000.5
ETAG: Headers = (("ETag", '"v1"'),)
DATED: Headers = (("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),)


def stored(
    code: int | None = 200,
    headers: Headers = (),
    status: Status = Status.COMPLETE,
    method: str = "GET",
) -> Exchange:
    request = Request("r", "s", "src", "e", method, started_at=instant(THEN), status=status)
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


@pytest.mark.parametrize(
    ("age", "stale_if_error", "spared"),
    [(11.0, 0.0, False), (11.0, 2.0, True), (12.0, 2.0, False), (1e9, math.inf, True)],
)
def test_a_stale_answer_is_kept_for_a_failure(
    age: float, stale_if_error: float, spared: bool
) -> None:
    for held in (stored(), GOOD):
        decision = decide(Mode.AUTO, held, age=age, ttl=10.0, stale_if_error=stale_if_error)
        assert isinstance(decision, Fetch if held is not GOOD else Revalidate)
        assert decision.spare == (held if spared else None)
    for held in (None, FAILED, CUT, stored(503)):
        decision = decide(Mode.AUTO, held, age=age, ttl=10.0, stale_if_error=stale_if_error)
        assert decision == Fetch()


# RFC 9110 §15.1, and redirects.
KEPT = [200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414]


def test_auto_asks_again_for_what_no_cache_keeps() -> None:
    for code in set(range(100, 600)) - set(KEPT):
        assert decide(Mode.AUTO, stored(code, ETAG), ttl=None) == Fetch(), code


@pytest.mark.parametrize("code", [*KEPT, None])
def test_auto_serves_a_lasting_answer(code: int | None) -> None:
    assert decide(Mode.AUTO, stored(code), ttl=None) == Serve(stored(code))


def test_which_statuses_auto_serves_can_be_said() -> None:
    reuse = Reuse(["200", "4XX"])
    for code, serves in ((200, True), (403, True), (499, True), (301, False), (500, False)):
        assert isinstance(decide(Mode.AUTO, stored(code), reuse=reuse), Serve) is serves


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "MKCOL"])
def test_auto_serves_what_changes_something_only_where_that_is_said(method: str) -> None:
    posted = stored(method=method)
    assert decide(Mode.AUTO, posted) == Fetch()
    assert decide(Mode.AUTO, posted, reuse=Reuse([method.lower()])) == Serve(posted)
    # The statuses stay those that are kept anyway.
    assert decide(Mode.AUTO, stored(500, method=method), reuse=Reuse([method])) == Fetch()


@pytest.mark.parametrize("word", ["6xx", "20", "2x", "ok!", "", "200 "])
def test_a_word_that_is_neither_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="no status"):
        Reuse([word])


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
    assert Reuse().admits(Exchange(GOOD.request, (bad, replace(good, sequence=2))))
    assert not Reuse().admits(Exchange(GOOD.request, (good, replace(bad, sequence=2))))
