"""``IngestSession``: what each mode does, which answer replay serves, and how a session ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import (
    ConfigError,
    DataIOWarning,
    FetchError,
    FetchResult,
    IngestSession,
    IntegrityError,
    Mode,
    ReplayMissError,
    Response,
    Status,
    StoreError,
    register,
    unregister,
)
from mxm_dataio.api import capture_of
from mxm_dataio.ingest.active import active
from mxm_dataio.storage.root_store import RootStore
from tests.support.clocks import set_clock

SOURCE = "unit-api"


class Counter:
    """Answers ``1``, ``2``, …, so that every fetch can be told from every other."""

    def __init__(self) -> None:
        self.count = 0

    def fetch(self, request: object) -> bytes:
        self.count += 1
        return b"%d" % self.count


@pytest.fixture(autouse=True)
def fetcher() -> Iterator[Counter]:
    made = Counter()
    register(SOURCE, made)
    yield made
    unregister(SOURCE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def ask(ingest: IngestSession, endpoint: str = "e", **params: Any) -> bytes:
    return ingest.content(ingest.request(endpoint, params))


def record(root: Path, calls: int = 1, **more: Any) -> str:
    """Record calls in a session of their own and return its id."""
    with IngestSession(SOURCE, root, "record", **more) as ingest:
        for _ in range(calls):
            ask(ingest)
    return ingest.id


def replay(root: Path, calls: int = 1, **more: Any) -> list[bytes]:
    with IngestSession(SOURCE, root, "replay", **more) as ingest:
        return [ask(ingest) for _ in range(calls)]


def sessions(root: Path) -> list[Status]:
    with RootStore(root, readonly=True) as store:
        return [session.status for session in store.sessions()]


# -- modes -----------------------------------------------------------------------------------


def test_what_was_recorded_replays_without_the_fetcher(root: Path, fetcher: Counter) -> None:
    with IngestSession(SOURCE, root, "record", "2025-10-07") as ingest:
        live = ingest.request("e", {"a": 1})
    assert (ingest.session.status, ingest.session.as_of) == (Status.COMPLETE, "2025-10-07")
    with IngestSession(SOURCE, root, "replay") as ingest:
        again = ingest.request("e", {"a": 1})
        assert ingest.content(again) == b"1"
    assert again == live
    assert again.bytes_path == root / "responses" / f"{again.checksum}.bin"
    assert fetcher.count == 1
    assert sessions(root) == [Status.COMPLETE]


def test_record_fetches_every_time(root: Path, fetcher: Counter) -> None:
    record(root, 2)
    record(root)
    assert fetcher.count == 3


def test_replay_never_fetches(root: Path, fetcher: Counter) -> None:
    record(root)
    with pytest.raises(ReplayMissError), IngestSession(SOURCE, root, "replay") as ingest:
        ask(ingest, other=1)
    assert fetcher.count == 1


def test_off_fetches_and_stores_nothing(root: Path, fetcher: Counter) -> None:
    with IngestSession(SOURCE, root, "off") as ingest:
        response = ingest.request("e")
        assert ingest.content(response) == b"1"
        assert (response.size, response.bytes_path) == (1, None)
    assert fetcher.count == 1
    assert not root.exists()


def test_auto_counts_calls_as_replay_does(root: Path, fetcher: Counter) -> None:
    with IngestSession(SOURCE, root, "auto") as ingest:
        # What this session has fetched answers none of its own calls.
        assert [ask(ingest), ask(ingest)] == [b"1", b"2"]
    for ttl in (None, 1000):
        with IngestSession(SOURCE, root, "auto", ttl=ttl) as ingest:
            assert [ask(ingest), ask(ingest)] == [b"1", b"2"]
    with IngestSession(SOURCE, root, "auto", exhausted="repeat") as ingest:
        # What goes beyond the recording is fetched.
        assert [ask(ingest), ask(ingest), ask(ingest)] == [b"1", b"2", b"3"]
    with IngestSession(SOURCE, root, "auto", ttl=0) as ingest:
        assert [ask(ingest), ask(ingest)] == [b"4", b"5"]


def test_a_job_that_auto_polls_comes_to_an_end(root: Path) -> None:
    states = iter([b"running", b"running", b"done"])
    register(SOURCE, type("Job", (), {"fetch": lambda self, request: next(states)})())
    for _ in range(2):
        with IngestSession(SOURCE, root, "auto") as ingest:
            assert [ask(ingest) for _ in range(3)] == [b"running", b"running", b"done"]


def test_what_a_broken_off_session_polled_is_no_end_of_its_own(root: Path) -> None:
    states = iter([b"running", b"done"])
    register(SOURCE, type("Job", (), {"fetch": lambda self, request: next(states)})())
    record(root)
    with IngestSession(SOURCE, root, "auto") as ingest:
        assert [ask(ingest), ask(ingest)] == [b"running", b"done"]


def test_auto_is_served_by_a_session_that_is_still_open(
    root: Path, fetcher: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxm_dataio.ingest.place._SHARED_SECONDS", 0.0)
    with IngestSession(SOURCE, root, "auto") as one:
        assert [ask(one), ask(one)] == [b"1", b"2"]
        with IngestSession(SOURCE, root, "auto") as other:
            assert ask(other) == b"1"


def test_what_a_method_changes_is_sent_by_auto_unless_said(root: Path, fetcher: Counter) -> None:
    for _ in range(2):
        with IngestSession(SOURCE, root, "auto") as ingest:
            ingest.request("e", method="POST")
    assert fetcher.count == 2
    with IngestSession(SOURCE, root, "auto", reuse=["post"]) as ingest:
        ingest.request("e", method="POST")
    assert fetcher.count == 2


def test_reuse_is_statuses_and_methods(root: Path) -> None:
    with pytest.raises(ConfigError, match="'2x' is no status"):
        IngestSession(SOURCE, root, "auto", reuse=["2x"])


def test_auto_goes_by_the_age_of_the_answer(
    root: Path, fetcher: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(root)
    now = time.time()
    with IngestSession(SOURCE, root, "auto", ttl=60) as ingest:
        set_clock(monkeypatch, lambda: now + 50)
        assert ask(ingest) == b"1"
        # Having been served a moment ago makes no answer younger.
        set_clock(monkeypatch, lambda: now + 70)
        assert ask(ingest) == b"2"


def test_auto_does_not_serve_a_failure(root: Path) -> None:
    results: list[Any] = [OSError("x"), FetchResult(b"busy", 503), b"good"]

    class Flaky:
        def fetch(self, request: object) -> bytes:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result  # type: ignore[no-any-return]

    register(SOURCE, Flaky())
    with IngestSession(SOURCE, root, "auto") as ingest:
        with pytest.raises(FetchError):
            ask(ingest)
        assert [ask(ingest), ask(ingest)] == [b"busy", b"good"]
    results += [b"better", b"best"]
    with IngestSession(SOURCE, root, "auto") as ingest:
        assert [ask(ingest), ask(ingest), ask(ingest)] == [b"better", b"best", b"good"]


def test_what_auto_served_is_a_call_of_its_session_and_replays(root: Path) -> None:
    first = record(root, as_of="2025-01-01")
    with IngestSession(SOURCE, root, "auto", "2025-01-02") as ingest:
        ask(ingest)
    assert replay(root, session=ingest.id) == [b"1"]
    with RootStore(root, readonly=True) as store:
        (origin,) = store.requests(first)
        (served,) = store.requests(ingest.id)
    assert (served.served_from, served.status) == (origin.id, Status.COMPLETE)


def test_what_auto_served_says_when_and_what_it_was(root: Path) -> None:
    first = record(root)
    with IngestSession(SOURCE, root, "auto") as ingest:
        ask(ingest)
    with RootStore(root, readonly=True) as store:
        (origin,) = store.requests(first)
        (served,) = store.requests(ingest.id)
    assert (served.url, served.started_at > origin.started_at) == (origin.url, True)


def test_once_records_then_replays(root: Path, fetcher: Counter) -> None:
    for mode in (Mode.RECORD, Mode.REPLAY, Mode.REPLAY):
        with IngestSession(SOURCE, root, "once") as ingest:
            assert ingest.mode is mode
            assert ask(ingest) == b"1"
    assert fetcher.count == 1


def test_threads_record_through_one_session(root: Path) -> None:
    with IngestSession(SOURCE, root) as ingest:
        threads = [threading.Thread(target=ask, args=(ingest,), kwargs={"n": n}) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with RootStore(root, readonly=True) as store:
        assert {request.params["n"] for request in store.requests(ingest.id)} == {
            str(n) for n in range(16)
        }


# -- which answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "answer"),
    [
        ("2025-01-01", b"2"),
        ("2025-01-02", b"2"),
        ("2025-01-03", b"1"),
        (date(2025, 1, 9), b"1"),
        (datetime(2025, 1, 2, 23, tzinfo=UTC), b"2"),
        (None, b"1"),
    ],
)
def test_the_newest_session_not_after_as_of_answers(root: Path, as_of: Any, answer: bytes) -> None:
    record(root, as_of="2025-01-03")
    record(root, as_of="2025-01-01")
    assert replay(root, as_of=as_of) == [answer]
    with IngestSession(SOURCE, root, "auto", as_of) as ingest:
        assert ask(ingest) == answer


def test_a_date_takes_in_the_instants_of_its_day(root: Path) -> None:
    record(root, as_of="2025-01-02T15:00:00+00:00")
    assert replay(root, as_of="2025-01-02") == [b"1"]
    assert replay(root, as_of="2025-01-02T15:00:00Z") == [b"1"]
    with pytest.raises(ReplayMissError):
        replay(root, as_of="2025-01-02T14:59:59Z")


def test_of_one_day_the_later_session_answers(root: Path) -> None:
    record(root, as_of="2025-01-01")
    record(root, as_of="2025-01-01")
    assert replay(root) == [b"2"]


def test_nothing_recorded_after_as_of_answers(root: Path) -> None:
    record(root, as_of="2025-01-02")
    with pytest.raises(ReplayMissError, match="date: recorded as of 2025-01-02, after the asked"):
        replay(root, as_of="2025-01-01")


def test_the_newest_session_that_holds_the_call_answers(root: Path) -> None:
    record(root, as_of="2025-01-01")
    with IngestSession(SOURCE, root, as_of="2025-01-02") as ingest:
        ask(ingest, other=1)
    with IngestSession(SOURCE, root, "replay") as ingest:
        assert (ask(ingest), ask(ingest, other=1)) == (b"1", b"2")


def test_a_session_by_its_id_answers_alone(root: Path) -> None:
    first = record(root)
    with IngestSession(SOURCE, root) as ingest:
        ask(ingest)
        ask(ingest, other=1)
    assert replay(root, session=first) == [b"1"]
    assert replay(root, session=ingest.id) == [b"2"]
    with (
        pytest.raises(ReplayMissError, match=first),
        IngestSession(SOURCE, root, "replay", session=first) as ingest,
    ):
        ask(ingest, other=1)


def test_a_session_that_is_not_there_or_of_another_source_is_refused(root: Path) -> None:
    held = record(root)
    with pytest.raises(ConfigError, match="no session nowhere"):
        IngestSession(SOURCE, root, "replay", session="nowhere").open()
    with pytest.raises(ConfigError, match=SOURCE):
        IngestSession("other", root, "replay", session=held).open()


def test_the_session_to_replay_may_be_given_by_its_place_or_a_part_of_its_id(root: Path) -> None:
    first, _ = record(root), record(root)
    with IngestSession("other", root):
        # The newest of all, and none of this source's.
        pass
    assert replay(root, session="latest") == [b"2"]
    assert replay(root, session="latest~1") == [b"1"]
    assert replay(root, session=first[-12:]) == [b"1"]
    for text in ("latest~2", "latest~x", "-1", ""):
        with pytest.raises(ConfigError, match=f"no session {text} "):
            replay(root, session=text)
    with pytest.raises(ConfigError, match="several sessions begin or end with 0"):
        replay(root, session="0")
    with RootStore(root) as store:
        assert store.session(store.session_id("latest")).source == "other"  # type: ignore[union-attr]


def test_the_kth_call_gets_the_kth_answer_then_the_last_again(root: Path) -> None:
    record(root, 3)
    assert replay(root, 5) == [b"1", b"2", b"3", b"3", b"3"]
    assert replay(root, 1) == [b"1"]
    assert replay(root, 3, exhausted="error") == [b"1", b"2", b"3"]


def test_exhausted_error_is_a_miss_that_says_why(root: Path) -> None:
    record(root, 2)
    with pytest.raises(ReplayMissError, match="recorded fewer times"):
        replay(root, 3, exhausted="error")


def test_each_call_has_its_own_count(root: Path) -> None:
    def asked(ingest: IngestSession) -> list[bytes]:
        return [ask(ingest, n=n) for n in (1, 2, 1, 2)]

    with IngestSession(SOURCE, root) as ingest:
        live = asked(ingest)
    with IngestSession(SOURCE, root, "replay") as ingest:
        assert asked(ingest) == live == [b"1", b"2", b"3", b"4"]


def test_a_recording_beside_a_replay_does_not_change_it_half_way(root: Path) -> None:
    record(root, 2)
    with IngestSession(SOURCE, root, "replay") as ingest:
        assert ask(ingest) == b"1"
        record(root, 2)
        assert ask(ingest) == b"2"


def test_a_source_sees_its_own_recordings_only(root: Path) -> None:
    record(root)
    register("other", Counter())
    try:
        with (
            pytest.raises(ReplayMissError, match=f"source: asked 'other', recorded '{SOURCE}'"),
            IngestSession("other", root, "replay") as ingest,
        ):
            ask(ingest)
    finally:
        unregister("other")


def test_damaged_bytes_are_never_served(root: Path) -> None:
    record(root)
    (payload,) = (root / "responses").iterdir()
    payload.write_bytes(b"9")
    with pytest.raises(IntegrityError, match=payload.name):
        replay(root)
    payload.unlink()
    # Before anybody reads bytes_path: the answer itself is refused.
    with (
        IngestSession(SOURCE, root, "replay") as ingest,
        pytest.raises(IntegrityError, match=payload.name),
    ):
        ingest.request("e")


# -- misses ----------------------------------------------------------------------------------


def test_a_miss_says_what_was_asked_and_what_is_nearest(root: Path) -> None:
    with IngestSession(SOURCE, root) as ingest:
        ask(ingest, symbol="A", token="s3cr3t")
    with pytest.raises(ReplayMissError) as caught, IngestSession(SOURCE, root, "replay") as ingest:
        ask(ingest, symbol="B", token="s3cr3t")
    miss = caught.value
    assert (miss.method, miss.url) == ("GET", "e")
    assert len(miss.params_hash) == 64
    assert miss.nearest[0].differences == ("param symbol: asked 'B', recorded 'A'",)
    assert "param symbol: asked 'B', recorded 'A'" in str(miss)
    assert "mode='record'" in str(miss)
    assert "s3cr3t" not in str(miss)
    assert ingest.session.status is Status.FAILED


def swallowing(root: Path) -> IngestSession:
    ingest = IngestSession(SOURCE, root, "replay").open()
    for name in ("first", "second"):
        with suppress(ReplayMissError):
            ask(ingest, **{name: 1})
    assert [len(miss.params_hash) for miss in ingest.misses] == [64, 64]
    return ingest


def test_a_swallowed_miss_raises_at_the_end(root: Path) -> None:
    record(root)
    ingest = swallowing(root)
    with pytest.raises(ReplayMissError, match="2 calls were not in the recording") as caught:
        ingest.__exit__(None, None, None)
    assert caught.value.__cause__ is ingest.misses[0]
    assert caught.value.params_hash == ingest.misses[0].params_hash
    assert active() is None


def ends_with(root: Path, error: BaseException) -> None:
    """Replay a program that swallows a miss and then raises."""
    with IngestSession(SOURCE, root, "replay") as ingest:
        with suppress(ReplayMissError):
            ask(ingest, other=1)
        raise error


def test_a_swallowed_miss_raises_through_system_exit(root: Path) -> None:
    record(root)
    with pytest.raises(ReplayMissError):
        ends_with(root, SystemExit(0))


@pytest.mark.parametrize("error", [ValueError("theirs"), KeyboardInterrupt()])
def test_another_exception_in_flight_stays_and_gets_a_note(
    root: Path, error: BaseException
) -> None:
    record(root)
    with pytest.raises(type(error)) as caught:
        ends_with(root, error)
    assert caught.value is error
    assert "1 call was not in the recording" in error.__notes__[0]


def test_a_miss_in_flight_is_raised_as_it_is(root: Path) -> None:
    record(root)
    with pytest.raises(ReplayMissError) as caught, IngestSession(SOURCE, root, "replay") as ingest:
        ask(ingest, other=1)
    assert caught.value is ingest.misses[0]


# -- storing that fails ----------------------------------------------------------------------


@pytest.fixture
def bad_root(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("no folder")
    return tmp_path / "file" / "root"


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_a_bad_root_warns_and_the_program_goes_on(bad_root: Path, mode: str) -> None:
    ingest = IngestSession(SOURCE, bad_root, mode)
    with pytest.warns(DataIOWarning, match="can't be made") as warned:
        ingest.open()
    assert [ask(ingest), ask(ingest)] == [b"1", b"2"]
    ingest.close()
    assert len(warned) == 1
    assert ingest.session.status is Status.INCOMPLETE
    assert len(ingest.session.warnings) == 3


def test_strict_raises_on_a_bad_root(bad_root: Path) -> None:
    ingest = IngestSession(SOURCE, bad_root, strict=True)
    with pytest.raises(StoreError, match="can't be made"):
        ingest.open()
    assert not capture_of(ingest).is_open
    assert active() is None


def lose(root: Path) -> None:
    (root / "journal").write_bytes(b"in the way")


def test_a_store_that_fails_half_way_warns_once_and_marks_the_session(root: Path) -> None:
    with IngestSession(SOURCE, root) as ingest:
        lose(root)
        with pytest.warns(DataIOWarning, match="was not recorded") as warned:
            assert [ask(ingest), ask(ingest)] == [b"1", b"2"]
    assert len(warned) == 1
    assert sessions(root) == [Status.INCOMPLETE]


def test_strict_raises_when_a_call_can_t_be_stored(root: Path) -> None:
    with IngestSession(SOURCE, root, strict=True) as ingest:
        lose(root)
        with pytest.raises(StoreError, match="was not recorded"):
            ask(ingest)
    assert sessions(root) == [Status.INCOMPLETE]


@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
def test_a_foreign_database_is_refused_in_every_mode(root: Path, mode: str) -> None:
    root.mkdir()
    (root / "dataio.sqlite").write_bytes(b"something else entirely")
    with pytest.raises(IntegrityError):
        IngestSession(SOURCE, root, mode).open()
    assert active() is None


def test_replay_of_nothing_is_a_store_error(root: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded"):
        IngestSession(SOURCE, root, "replay").open()
    assert not root.exists()


# -- life ------------------------------------------------------------------------------------


def test_an_exception_marks_the_session_failed_and_passes(root: Path) -> None:
    def scrape() -> None:
        with IngestSession(SOURCE, root) as ingest:
            ask(ingest)
            raise ValueError("theirs")

    with pytest.raises(ValueError, match="theirs"):
        scrape()
    assert sessions(root) == [Status.FAILED]
    assert replay(root) == [b"1"]


def test_nested_sessions_on_one_root_take_turns(root: Path) -> None:
    with IngestSession(SOURCE, root) as outer:
        assert active() is capture_of(outer)
        with IngestSession("inner", root, kind="k") as inner:
            assert active() is capture_of(inner)
            ask(outer)
        assert active() is capture_of(outer)
        ask(outer)
    assert active() is None
    with RootStore(root, readonly=True) as store:
        assert len(store.requests(outer.id)) == 2
        assert store.requests(inner.id) == []
        assert [session.kind for session in store.sessions("inner")] == ["k"]


def test_sessions_on_two_roots_exclude_each_other(root: Path, tmp_path: Path) -> None:
    with IngestSession(SOURCE, root) as first:
        with pytest.raises(ConfigError, match=r"can't record to .*elsewhere"):
            IngestSession(SOURCE, tmp_path / "elsewhere").open()
        assert not (tmp_path / "elsewhere").exists()
        assert active() is capture_of(first)
        with IngestSession(SOURCE, tmp_path / "apart", hook=False) as apart:
            assert ask(apart) == b"1"
            assert active() is capture_of(first)
    with IngestSession(SOURCE, tmp_path / "elsewhere") as after:
        assert ask(after) == b"2"


def test_a_session_is_opened_once(root: Path) -> None:
    with IngestSession(SOURCE, root) as ingest, pytest.raises(ConfigError, match="opened once"):
        ingest.open()
    assert sessions(root) == [Status.COMPLETE]


def test_a_session_that_ended_can_t_be_opened_again(root: Path) -> None:
    # What it met, served and pinned belongs to the run that ended.
    record(root)
    ingest = swallowing(root)
    with suppress(ReplayMissError):
        ingest.close()
    try:
        with pytest.raises(ConfigError):
            ingest.open()
    finally:
        with suppress(ReplayMissError):
            ingest.close()


def test_a_closed_session_refuses_calls(root: Path) -> None:
    ingest = IngestSession(SOURCE, root)
    with pytest.raises(ConfigError, match="not open"):
        ingest.request("e")
    with pytest.raises(ConfigError, match="no id"):
        _ = ingest.id
    with ingest:
        response: Response = ingest.request("e")
    with pytest.raises(ConfigError, match="not open"):
        ingest.request("e")
    assert ingest.content(response) == response.content == b"1"
    ingest.close()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"mode": "recrod"}, "did you mean 'record'"),
        ({"source": ""}, "source is a name"),
        ({"as_of": "soon"}, "neither a date nor an instant"),
        ({"ttl": -1}, "not negative"),
        ({"exhausted": "loop"}, "exhausted"),
    ],
)
def test_wrong_arguments_are_refused_at_once(root: Path, arguments: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        IngestSession(**{"source": SOURCE, "root": root, **arguments})
    assert not root.exists()


def test_redaction_is_on_unless_switched_off_aloud(root: Path) -> None:
    class Cookies:
        def fetch(self, request: object) -> FetchResult:
            return FetchResult(b"x", 200, (("Set-Cookie", "sid=s3cr3t"),))

    register(SOURCE, Cookies())
    with IngestSession(SOURCE, root) as ingest:
        assert ingest.request("e").headers == (("Set-Cookie", "sid=REDACTED"),)
    with pytest.warns(DataIOWarning, match=f"redaction is off for source '{SOURCE}'"):
        ingest = IngestSession(SOURCE, root, redaction=None)
    with ingest:
        assert ingest.request("e").headers == (("Set-Cookie", "sid=s3cr3t"),)


def test_a_recording_made_with_one_secret_replays_with_another(root: Path) -> None:
    with IngestSession(SOURCE, root, ignore_params=["Nonce"]) as ingest:
        ask(ingest, token="one", nonce=1, a=1)
    with IngestSession(SOURCE, root, "replay", ignore_params=["nonce"]) as ingest:
        assert ask(ingest, token="two", nonce=2, a=1) == b"1"


def test_settings_come_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXM_DATAIO_ROOT", str(root))
    monkeypatch.setenv("MXM_DATAIO_MODE", "record")
    with IngestSession(SOURCE) as ingest:
        ask(ingest)
    monkeypatch.setenv("MXM_DATAIO_MODE", "replay")
    with IngestSession(SOURCE) as ingest:
        assert ask(ingest) == b"1"
