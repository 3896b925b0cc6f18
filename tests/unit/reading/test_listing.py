"""Listings: totals, and calls by what they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.models import Status
from mxm_dataio.reading.listing import Ending, Listing, Totals
from mxm_dataio.storage.catalog.selection import Outcome, Wanted, outcome_of
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.calls import call
from tests.trust.small import end, fill, session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path) as made:
        yield made


def listed(store: RecordingStore, wanted: Wanted, *, newest_first: bool = False) -> list[str]:
    with store.catalog.snapshot() as db:
        calls = Listing(db).calls(wanted, newest_first=newest_first)
        return [one.url.rpartition("/")[2] for one in calls]


def test_totals(store: RecordingStore) -> None:
    first, second, third = session(), session(), session()
    for held in (first, second, third):
        store.begin(held)
    call(store, first, "https://h/a", 503, 200)
    call(store, first, "https://h/b", 404)
    call(store, first, "https://h/c", None, None, status=Status.FAILED)
    call(store, first, "https://h/d", status=Status.FAILED)
    call(store, first, "https://h/e", 500, status=Status.FAILED)
    call(store, first, "https://h/f", status=Status.INTERRUPTED)
    served = call(store, second, "https://h/g", 200)
    call(store, second, "https://h/h", served_from=served)
    with store.catalog.snapshot() as db:
        found = Listing(db).totals()
        assert found == {
            first.id: Totals(calls=6, attempts=6, errors=5, size=20),
            second.id: Totals(calls=2, attempts=1, errors=0, size=5),
        }
        assert Listing(db).totals([second.id, third.id]) == {second.id: found[second.id]}


def test_which_calls(store: RecordingStore) -> None:
    first, second = session(), session()
    for held in (first, second):
        store.begin(held)
    call(store, first, "https://one.example/a", 503, 200, started=10)
    call(store, second, "https://one.example:8443/b", 404, method="POST", started=20)
    call(store, first, "https://two.example/c", None, status=Status.FAILED, started=30)
    call(store, second, "https://two.example/d", 200, status=Status.PARTIAL, source="other")
    call(store, first, "closes", status=Status.INTERRUPTED)
    for wanted, urls in [
        (Wanted(), "a b c d closes"),
        (Wanted(sessions=(first.id,)), "a c closes"),
        (Wanted(sessions=(first.id, second.id)), "a b c d closes"),
        (Wanted(sessions=()), ""),
        (Wanted(host="one.example"), "a b"),
        (Wanted(host="*.example"), "a b c d"),
        (Wanted(method="POST"), "b"),
        (Wanted(since=20), "b c d closes"),
        (Wanted(source="other"), "d"),
        (Wanted(failed=True), "b c closes"),
        (Wanted(outcomes=(outcome_of("5xx"),)), "a"),
        (Wanted(outcomes=(outcome_of("200"), Outcome(status=Status.FAILED))), "a c d"),
        (Wanted(outcomes=(outcome_of("partial"),)), "d"),
        (Wanted(sessions=(second.id,), outcomes=(outcome_of("2xx"),), host="two.example"), "d"),
    ]:
        assert listed(store, wanted) == urls.split(), wanted
        assert listed(store, wanted, newest_first=True) == urls.split()[::-1]
        with store.catalog.snapshot() as db:
            assert Listing(db).count(wanted) >= len(urls.split())


def test_a_listed_call(tmp_path: Path) -> None:
    ids = fill(tmp_path)
    with RootStore(tmp_path, readonly=True) as store, store.catalog.snapshot() as db:
        found = list(Listing(db).calls(Wanted(sessions=(ids[0],))))
        exchanges = list(store.exchanges(ids[0]))
        endings = [Listing(db).ending(one.id) for one in found]
        hashes = list(Listing(db).hashes([ids[2], ids[0]]))
        assert Listing(db).ending("none") is None
    assert [one.id for one in found] == [one.request.id for one in exchanges]
    for one, exchange in zip(found, exchanges, strict=True):
        request = exchange.request
        assert (one.session, one.source, one.method, one.url) == (
            ids[0], request.source, request.method, request.url,
        )  # fmt: skip
        assert (one.status, one.duration, one.served_from) == (
            request.status, request.duration, request.served_from,
        )  # fmt: skip
        assert [(t.status_code, t.size, t.checksum, t.complete, t.truncated)
                for t in one.attempts] == [
            (r.status_code, r.size, r.checksum, r.complete, r.truncated)
            for r in exchange.responses
        ]  # fmt: skip
        assert one.failed is (request.status is Status.FAILED)
    for ending, exchange in zip(endings, exchanges, strict=True):
        answer = exchange.answer
        assert isinstance(ending, Ending)
        assert (ending.status_code, ending.checksum, ending.head) == (
            (answer.status_code, answer.checksum, answer.head) if answer else (None, None, None)
        )
    assert [id for _, id in hashes] == sorted(id for _, id in hashes)
    assert len(hashes) == 6


def test_many_are_listed_one_after_the_other(store: RecordingStore) -> None:
    sessions = [session() for _ in range(3)]
    for held in sessions:
        store.begin(held)
    for number in range(600):
        call(store, sessions[number % 3], f"https://h/{number}", 200)
    end(store, replace(sessions[0]))
    wanted = Wanted(sessions=tuple(one.id for one in sessions))
    assert listed(store, wanted) == [str(number) for number in range(600)]
    with store.catalog.snapshot() as db:
        assert next(Listing(db).calls(Wanted(), newest_first=True)).url == "https://h/599"


def test_what_is_broken_off_may_be_collected_after_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(tmp_path)
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with RootStore(tmp_path) as store:
        with store.catalog.snapshot() as db:
            listing = Listing(db)
            begun: list[Iterator[object]] = [
                listing.calls(Wanted()),
                listing.calls(Wanted(sessions=(ids[0],))),
                listing.calls(Wanted(sessions=tuple(ids))),
                listing.hashes(ids),
                listing.hashes(ids[:1]),
            ]
            for one in begun:
                # From the second on, of the last that has any, directly.
                assert next(one) != next(one)
        begun.clear()
        del one
    assert said == []
