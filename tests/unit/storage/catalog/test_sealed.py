"""Ended sessions as they travel: what is read of them is what their seals cover."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.storage.catalog import sealed
from mxm_dataio.storage.catalog.chain import START, record_hash, seal
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.old_schemas import make_older
from tests.trust.small import end, fill, record, session, with_pruned


def test_what_is_read_is_what_was_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "_PAGE", 2)
    ids = fill(tmp_path)
    with_pruned(tmp_path)
    with RootStore(tmp_path) as store:
        found = store.catalog.sealed_sessions()
        assert [one.leaf for one in found] == list(range(5))
        assert {one.store for one in found} == {store.catalog.store_id()}
        assert {one.id for one in found} >= set(ids)
        assert found == sorted(found, key=lambda one: one.leaf)
        assert store.catalog.sealed_sessions("market") == found
        assert [one.source for one in store.catalog.sealed_sessions("other")] == [""]
        for one in found:
            assert seal(one.head, one.count, one.columns) == one.seal
            before, count = START, 0
            for call in store.catalog.sealed_calls(one.id):
                assert call.hash == record_hash(before, call.columns, call.attempts)
                before, count = call.hash, count + 1
            assert one.pruned_at or (before, count) == (one.head, one.count)
        assert [one.count for one in found if one.pruned_at] == [2]


def test_a_session_under_way_is_not_among_them(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        first, second = session(), session()
        for held in (first, second):
            store.begin(held)
        for number in range(3):
            # Their rows lie between each other's.
            record(store, first, f"a{number}", b"x")
            record(store, second, f"b{number}", b"y", b"z")
        end(store, second)
        assert [one.id for one in store.catalog.sealed_sessions()] == [second.id]
        calls = list(store.catalog.sealed_calls(second.id))
        assert [call.columns[1] for call in calls] == [second.id] * 3
        assert [len(call.attempts) for call in calls] == [2] * 3


def test_calls_that_are_pruned_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_PAGE", 1)
    first, *_ = fill(tmp_path)
    with RecordingStore(tmp_path) as store:
        calls = store.catalog.sealed_calls(first)
        next(calls)
        with store.catalog.pruning() as db:
            db.execute("DELETE FROM responses")
            db.execute("DELETE FROM requests")
        with pytest.raises(StoreError, match="was pruned as it was read"):
            next(calls)


def test_each_store_has_an_id_that_stays(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other", "one"):
        with RecordingStore(tmp_path / name) as store:
            found.append(store.catalog.store_id())
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("change", ["DELETE FROM store", "UPDATE store SET id = 'x'"])
def test_an_id_that_was_changed(tmp_path: Path, change: str) -> None:
    with RecordingStore(tmp_path) as store:
        store.catalog.database.all(change)
        with pytest.raises(IntegrityError, match="the id of the store"):
            store.catalog.store_id()


def test_a_root_of_an_older_release_has_none_until_it_records(tmp_path: Path) -> None:
    ids = fill(tmp_path)
    make_older(tmp_path, 2)
    with RootStore(tmp_path) as store:
        assert len(store.catalog.leaves()) == 3
        with pytest.raises(StoreError, match="open it once for recording"):
            store.catalog.store_id()
    with RecordingStore(tmp_path) as store:
        assert len(store.catalog.store_id()) == 32
        assert {one.id for one in store.catalog.sealed_sessions()} == set(ids)
