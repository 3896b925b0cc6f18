"""Reading ahead changes no answer: whatever is asked, and whatever is recorded meanwhile."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.config.choices import Exhausted
from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.identity import Identity, identify
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.replay import read_ahead
from mxm_dataio.replay.lookup import Lookup
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.layout import DATABASE
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import examples

SOURCE = "src"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


class Plainly:
    """In place of :class:`ReadAhead`: nothing is ever read ahead."""

    def find(self, *_args: object) -> None:
        return None

    def answered(self, *_args: object, **_kwargs: object) -> None:
        return None


def asked(
    name: int, vary: Sequence[str] = (), language: str = ""
) -> tuple[Identity, tuple[str, ...]]:
    headers = [("Accept-Language", language)] if language else []
    if name == 3:
        # Names its operation in a header, which always counts.
        headers.append(("SOAPAction", "look"))
    identity = identify("GET", f"http://a.test/{name}", headers=headers)
    return identity, identity.counting(vary)


class Recorder:
    """Writes calls as a process of its own would."""

    def __init__(self, root: Path) -> None:
        self.catalog = SQLiteCatalog(root / DATABASE)
        self.sessions: list[Session] = []
        self._count = 0

    def id(self) -> str:
        self._count += 1
        return f"{self._count:06}"

    def begin(self, as_of: str, root: str = "", source: str = SOURCE) -> Session:
        id = self.id()
        made = Session(
            id, source, Mode.RECORD, as_of, Status.COMPLETE, "t", root_id=root or id,
            parent_id=root or None,
        )  # fmt: skip
        self.catalog.put_session(made)
        self.sessions.append(made)
        return made

    def call(
        self, held: Session, name: int, vary: Sequence[str] = (), language: str = "",
        status: Status = Status.COMPLETE, attempts: int = 1,
    ) -> None:  # fmt: skip
        identity, names = asked(name, vary, language)
        call = CapturedCall(self.id(), "GET", f"http://a.test/{name}", 1e9, status)
        attempt = CapturedAttempt("GET", call.url, 1e9, 200, "0" * 64, 1, True, head=HEAD)
        self.catalog.put(
            [
                Entry(
                    call, InSession(held.id, held.root_id, held.source, held.as_of), "",
                    identity.document(names).decode(), names,
                    identity.params_hash() if names else None, None, 0, None,
                    (attempt,) * attempts, {},
                )
            ]
        )  # fmt: skip


names = st.integers(0, 3)
languages = st.sampled_from(["", "de", "en"])
varies = st.sampled_from([(), (), ("accept-language",), ("accept-language", "x")])
as_ofs = st.sampled_from(["2025-01-01", "2025-01-02", "2025-01-03"])
calls = st.tuples(
    st.just("call"), st.integers(0, 3), names, varies, languages,
    st.sampled_from([Status.COMPLETE] * 5 + [Status.INTERRUPTED]), st.integers(0, 2),
)  # fmt: skip
begun = st.tuples(st.just("begin"), as_ofs, st.booleans())
finds = st.tuples(st.just("find"), names, languages)
# Many of a session's calls once more, in their order: what reading ahead is for.
again = st.tuples(st.just("again"), st.integers(0, 3), st.integers(1, 12))


@examples(150)
@given(
    before=st.lists(st.one_of(calls, calls, calls, begun), min_size=4, max_size=40),
    then=st.lists(st.one_of(finds, again, again, calls, begun), max_size=25),
    as_of=st.none() | as_ofs,
    pinned=st.booleans(),
    exhausted=st.sampled_from(get_args(Exhausted)),
)
def test_answers_are_the_same(
    before: list[Any], then: list[Any], as_of: str | None, pinned: bool, exhausted: Exhausted
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_ahead, "_FIRST", 2)
        patch.setattr(read_ahead, "_MORE", 5)
        patch.setattr(read_ahead, "_LONGEST_PAUSE", 1)
        recorder = Recorder(Path(folder))
        recorder.begin("2025-01-02")
        recorded: list[tuple[Session, int, str]] = []

        def record(step: Any) -> None:
            match step:
                case "begin", date, child:
                    last = recorder.sessions[-1]
                    recorder.begin(last.as_of if child else date, last.root_id if child else "")
                case "call", which, name, vary, language, status, attempts:
                    held = recorder.sessions[-1 - which % len(recorder.sessions)]
                    recorder.call(held, name, vary, language, status, attempts)
                    recorded.append((held, name, language))

        for step in before:
            record(step)
        with RootStore(folder, readonly=True) as store:
            root_id = recorder.sessions[-1].root_id if pinned else None
            options: Any = {"as_of": as_of, "root_id": root_id, "exhausted": exhausted}
            plain, reading = Lookup(store, SOURCE, **options), Lookup(store, SOURCE, **options)
            plain._ahead = Plainly()  # type: ignore[assignment]

            def compare(name: int, language: str) -> None:
                identity, _ = asked(name, (), language)
                expected = plain.find(identity)
                got = reading.find(identity)
                assert [one and store.placed(one) for one in got] == list(expected)

            for step in then:
                match step:
                    case "find", name, language:
                        compare(name, language)
                    case "again", which, count:
                        held = recorder.sessions[-1 - which % len(recorder.sessions)]
                        of_it = [(n, la) for one, n, la in recorded if one is held]
                        for name, language in of_it[:count]:
                            compare(name, language)
                    case _:
                        record(step)
        recorder.catalog.close()


# -- one by one ------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path)
    yield made
    made.catalog.close()


class Counted(Lookup):
    """Counts the look-ups that reading ahead did not spare."""

    looked_up = 0

    def _look_up(self, *asked: Any, **more: Any) -> Any:
        self.looked_up += 1
        return super()._look_up(*asked, **more)


def served(lookup: Lookup, *calls: int) -> list[str | None]:
    found = [lookup.find(asked(name)[0])[0] for name in calls]
    return [one.request.id if one else None for one in found]


def test_calls_in_order_are_looked_up_once(recorder: Recorder, tmp_path: Path) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 300):
        recorder.call(held, number)
    with RootStore(tmp_path, readonly=True) as store:
        lookup = Counted(store, SOURCE)
        assert None not in served(lookup, *range(100, 300))
        assert lookup.looked_up == 1


def test_a_call_read_ahead_is_the_call_that_was_recorded(
    recorder: Recorder, tmp_path: Path
) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 110):
        recorder.call(held, number, ["accept-encoding"], status=Status.FAILED, attempts=2)
    with RootStore(tmp_path, readonly=True) as store:
        lookup = Lookup(store, SOURCE)
        served(lookup, 100)
        for number in range(101, 105):
            found, confirmed = lookup.find(asked(number)[0])
            assert found is not None
            assert found is confirmed
            expected = store.catalog.exchange(found.request.id)
            assert expected is not None
            made = (found.request, *found.responses)
            for one, whole in zip(made, (expected.request, *expected.responses), strict=True):
                # Each is asked for a first time.
                assert pickle.loads(pickle.dumps(copy.copy(one))) == whole
                assert (repr(one), replace(one)) == (repr(whole), whole)
                assert not hasattr(one, "other")
            assert found == expected


def test_what_is_damaged_is_told_once_it_is_asked_for(recorder: Recorder, tmp_path: Path) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 110):
        recorder.call(held, number)
    with recorder.catalog.database.write() as db:
        db.execute("UPDATE requests SET started = 1e300")
    with RootStore(tmp_path, readonly=True) as store:
        row = store.catalog._requests("TRUE")[1]
        (found,) = store.catalog.following(SOURCE, row[1], "9", 1)
        exchange = store.decoded(found)
        assert exchange.request.url == "http://a.test/102"
        with pytest.raises(IntegrityError, match=exchange.request.id):
            exchange.request.started_at  # noqa: B018


def test_answers_that_vary_are_read_ahead_too(recorder: Recorder, tmp_path: Path) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 150):
        recorder.call(held, number, ["accept-encoding"])
    with RootStore(tmp_path, readonly=True) as store:
        lookup = Counted(store, SOURCE)
        assert None not in served(lookup, *range(100, 150))
        assert lookup.looked_up == 1


def test_calls_in_no_order_are_hardly_read_ahead(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 400):
        recorder.call(held, number)
    read: list[int] = []
    following = SQLiteCatalog.following

    def counted(self: SQLiteCatalog, *args: Any) -> Any:
        read.append(args[-1])
        return following(self, *args)

    monkeypatch.setattr(SQLiteCatalog, "following", counted)
    with RootStore(tmp_path, readonly=True) as store:
        assert None not in served(Lookup(store, SOURCE), *reversed(range(100, 400)))
    assert sum(read) < 60


def test_a_session_recorded_meanwhile_answers_what_was_read_ahead(
    recorder: Recorder, tmp_path: Path
) -> None:
    held = recorder.begin("2025-01-01")
    for number in range(100, 110):
        recorder.call(held, number)
    with RootStore(tmp_path, readonly=True) as store:
        lookup = Lookup(store, SOURCE)
        first = served(lookup, 100, 101, 102)
        newer = recorder.begin("2025-01-02")
        recorder.call(newer, 103)
        (found,) = served(lookup, 103)
        assert None not in first
        assert found is not None
        assert found > newer.id


DE = ("accept-language",)
OLD, NEW = "2025-01-01", "2025-01-02"
Step = tuple[str, int, tuple[str, ...], Status]


def step(day: str, name: int, vary: tuple[str, ...] = (), status: Status = Status.COMPLETE) -> Step:
    return day, name, vary, status


@pytest.mark.parametrize(
    ("recorded", "asks", "days"),
    [
        pytest.param(
            [step(OLD, 1), step(OLD, 2), step(NEW, 2)], [1, 2], [OLD, NEW],
            id="a newer session holds the next",
        ),
        pytest.param(
            [step(OLD, 1), step(OLD, 2, DE), step(NEW, 2)], [1, 2], [OLD, NEW],
            id="a newer one holds it, without what it varied on",
        ),
        pytest.param(
            [step(OLD, 1), step(OLD, 2), step(NEW, 2, DE)], [1, 2], [OLD, NEW],
            id="a newer one holds it, which varied",
        ),
        pytest.param(
            [step(OLD, 1), step(OLD, 2, DE), step(NEW, 2, (*DE, "x"))], [1, 2], [OLD, NEW],
            id="a newer one holds it, which varied on more",
        ),
        pytest.param(
            [step(OLD, 1), step(OLD, 3), step(NEW, 3, DE)], [1, 3], [OLD, NEW],
            id="one names its operation",
        ),
        pytest.param(
            [step(OLD, 1), step(OLD, 2), step(OLD, 2, (), Status.INTERRUPTED)], [1, 2, 2],
            [OLD] * 3,
            id="the next but one was broken off",
        ),
    ],
)  # fmt: skip
def test_the_next_call_is_not_what_answers(
    recorded: list[Step], asks: list[int], days: list[str], recorder: Recorder, tmp_path: Path
) -> None:
    sessions = {day: recorder.begin(day) for day in (OLD, NEW)}
    for day, name, vary, status in recorded:
        recorder.call(sessions[day], name, vary, "de", status)
    with RootStore(tmp_path, readonly=True) as store:
        lookup = Lookup(store, SOURCE)
        found = [lookup.find(asked(name, (), "de")[0])[0] for name in asks]
    assert [one and one.request.as_of for one in found] == days
    assert all(one and one.request.status is Status.COMPLETE for one in found)


def test_trouble_with_later_calls_is_not_this_one_s(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = recorder.begin("2025-01-01")
    recorder.call(held, 100)
    recorder.call(held, 101)

    def damaged(*_args: object) -> Any:
        raise StoreError("damaged", path=tmp_path)

    monkeypatch.setattr(SQLiteCatalog, "following", damaged)
    with RootStore(tmp_path, readonly=True) as store:
        assert None not in served(Lookup(store, SOURCE), 100, 101)
