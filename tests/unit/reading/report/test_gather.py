"""What is gathered of a session."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity.proofs import Head
from mxm_dataio.models import Status, Unseen
from mxm_dataio.reading.report.gather import Limits, Report, fitting, gather
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.recorded import DAWN, Recorder, Try

HOST = "https://data.example"


def report(
    root: Path, id: str, limits: Limits | None = None, against: Head | None = None
) -> Report:
    with RootStore(root, readonly=True) as store:
        return gather(store, id, limits=limits, against=[against] if against else [])


def made(root: Path, count: int = 5) -> Recorder:
    with RecordingStore(root) as store:
        main = Recorder.begin(store, program="scraper.py")
        for number in range(count):
            status = 404 if number % 4 == 3 else 200
            main.call(f"{HOST}/{number}", Try(status, b"body %d" % number), at=float(number))
        main.end(10.0, coverage=())
    return main


def test_a_session_as_it_was_recorded(tmp_path: Path) -> None:
    main = made(tmp_path)
    found = report(tmp_path, main.session.id)
    assert found.ok
    assert found.session == main.session
    assert (found.parts[0].calls, found.parts[0].bad) == (5, 1)
    end = found.parts[0].end
    assert end is not None
    assert (end.records, end.leaf, end.seal is not None) == (5, 0, True)
    assert [one.request.id for one in found.listed] == main.calls
    assert found.wrong == {main.calls[3]: "404 Not Found"}
    assert (found.began, found.ended) == (DAWN, DAWN + 10)
    assert found.verified.head is not None
    assert found.coverage == ()
    checksum = found.listed[2].responses[0].checksum
    assert checksum is not None
    assert found.bodies[checksum].content == "body 2"
    assert len(found.bodies) == 5


def test_children_are_part_of_it(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        other = Recorder.begin(store)
        main = Recorder.begin(store)
        child = Recorder.begin(store, main.session)
        grandchild = Recorder.begin(store, child.session)
        recorders = [main, child, grandchild]
        made = [one.call(HOST, Try(), at=float(at)) for at, one in enumerate(recorders * 2)]
        other.call(HOST, Try())
        seen = Unseen("process", "curl", 2, "a")
        grandchild.end(5, coverage=[seen, Unseen("library", "httpx", 1, "b")])
        child.end(6)
        main.end(7, coverage=[seen])
        other.end(8, coverage=[Unseen("process", "wget", 1, "")])
    found = report(tmp_path, main.session.id)
    assert [part.session.id for part in found.parts] == [one.session.id for one in recorders]
    assert [one.request.id for one in found.listed] == made
    assert found.coverage == (
        Unseen("library", "httpx", 1, "b"), Unseen("process", "curl", 4, "a"),
    )  # fmt: skip
    assert found.unwatched == 1
    assert found.verified.sessions == 3
    below = report(tmp_path, child.session.id)
    assert [part.session.id for part in below.parts] == [child.session.id, grandchild.session.id]


def test_nobody_watched(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        main.end(1)
    found = report(tmp_path, main.session.id)
    assert found.coverage is None
    assert (found.listed, found.bodies, found.ok) == ((), {}, True)


def test_beyond_the_limit_only_what_went_wrong_is_listed(tmp_path: Path) -> None:
    main = made(tmp_path, 30)
    found = report(tmp_path, main.session.id, Limits(calls=8))
    listed = [main.calls.index(one.request.id) for one in found.listed]
    assert listed == [*range(8), 11, 15]
    assert found.tally.totals.calls == 30
    assert found.tally.totals.errors == 7


def test_bodies_share_a_budget(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        for letter in "abcd":
            main.call(HOST, Try(body=letter.encode() * 1000))
        main.call(HOST, Try(body=b"short"), method="POST", upload=b"sent")
        main.end(1)
    found = report(tmp_path, main.session.id, Limits(bodies=809))
    assert found.body_limit == 200
    assert sorted(len(one.content) for one in found.bodies.values()) == [4, 5, 200, 200, 200, 200]
    assert report(tmp_path, main.session.id, Limits(body=0)).bodies == {}


@given(st.lists(st.integers(0, 5000)), st.integers(1, 5000), st.integers(0, 20000))
def test_all_that_is_shown_fits_and_no_room_is_left(
    sizes: list[int], most: int, budget: int
) -> None:
    limit = fitting(sizes, most, budget)
    assert 0 <= limit <= most
    assert sum(min(size, limit) for size in sizes) <= budget or not limit
    if limit < most:
        assert sum(min(size, limit + 1) for size in sizes) > budget


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    main = made(tmp_path)
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db, db:
        db.execute("UPDATE requests SET url = 'https://elsewhere.example/' WHERE number = 2")
    found = report(tmp_path, main.session.id)
    assert not found.ok
    assert [one.request for one in found.verified.findings] == [main.calls[1]]
    assert found.listed[1].request.url == "https://elsewhere.example/"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE requests SET status = 'bogus' WHERE number = 2",
        "UPDATE requests SET started = 1e300 WHERE number = 2",
        "UPDATE responses SET framing = '[' WHERE request = 2",
    ],
)
def test_a_record_that_cant_be_read_hides_no_other(tmp_path: Path, change: str) -> None:
    main = made(tmp_path)
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db, db:
        db.execute(change)
    found = report(tmp_path, main.session.id)
    assert not found.ok
    assert [main.calls[1] in what for what in found.damaged] == [True]
    assert [one.request.id for one in found.listed] == [main.calls[0], *main.calls[2:]]


def test_columns_of_any_type(tmp_path: Path) -> None:
    main = made(tmp_path)
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db, db:
        db.execute("UPDATE requests SET url = x'ff', duration = 'long', body_size = 'x'")
        db.execute("UPDATE responses SET size = 1.5, connect = 'a', total = 9e999, peer = 3")
    found = report(tmp_path, main.session.id)
    assert not found.ok
    # What can't be read is not guessed at.
    assert found.listed == ()
    assert found.tally.totals.received == 0
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db, db:
        db.execute("UPDATE sessions SET program = x'00', pid = 'x', host = 7")
    with pytest.raises(IntegrityError, match="is damaged"):
        report(tmp_path, main.session.id)


def test_a_payload_that_was_changed_is_not_shown(tmp_path: Path) -> None:
    main = made(tmp_path)
    with RootStore(tmp_path, readonly=True) as store:
        path = store.responses(main.calls[0])[0].bytes_path
    assert path is not None
    path.write_bytes(b"forged")
    found = report(tmp_path, main.session.id)
    assert not found.ok
    shown = found.bodies[path.stem]
    assert (shown.content, shown.whole) == ("", False)
    assert shown.note.startswith("can't be shown: ")


def test_a_session_under_way(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        main.call(HOST, Try())
        store.move()
        found = gather(store, main.session.id)
        assert found.ok
        assert found.session.status is Status.RUNNING
        assert found.parts[0].end is not None
        assert found.parts[0].end.seal is None
        assert len(found.listed) == 1
        main.end(1)


def test_a_head_that_the_store_does_not_continue(tmp_path: Path) -> None:
    main = made(tmp_path)
    head = report(tmp_path, main.session.id).verified.head
    assert head is not None
    assert report(tmp_path, main.session.id, against=head).ok
    assert not report(tmp_path, main.session.id, against=Head(1, bytes(32))).ok


def test_no_such_session(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(StoreError, match="no session"):
        report(tmp_path, "none")


def test_progress(tmp_path: Path) -> None:
    main = made(tmp_path)
    told: list[tuple[str, int, int]] = []
    with RootStore(tmp_path, readonly=True) as store:
        gather(store, main.session.id, progress=lambda *one: told.append(one))
    assert told[-2:] == [("reading", 5, 5), ("bodies", 5, 5)]
