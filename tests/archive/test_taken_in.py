"""Pushes from roots that hold sessions of others, and what processes left."""

from __future__ import annotations

import shutil
from pathlib import Path

from mxm_dataio import Status
from mxm_dataio.archive import Archive
from mxm_dataio.integrity.proofs import head_of
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import carry, record, session, with_pruned


def test_one_that_was_pruned_after_it_came_is_its_origins_to_push(
    root: Path, tmp_path: Path, folder: str
) -> None:
    carry(root, other := tmp_path / "other")
    with RecordingStore(other) as store:
        prune(store, Choice(source="market"))
    with Archive(folder) as archive:
        assert archive.push(other).sessions == 1, "the prune itself"
        assert archive.push(root).sessions == 3
        assert archive.push(other).sessions == 0
        found = archive.verify()
        assert (found.findings, found.calls) == ((), 8)


def test_it_goes_on_from_who_has_it(root: Path, tmp_path: Path, folder: str) -> None:
    with RootStore(root) as store:
        head = head_of(store)
    carry(root, other := tmp_path / "other")
    shutil.rmtree(root)
    with Archive(folder) as archive:
        assert archive.push(other).sessions == 3
        assert archive.verify(against=[head]).findings == ()


def test_prunes_go_with_the_sessions_of_a_source(root: Path, folder: str) -> None:
    with_pruned(root)
    with Archive(folder) as archive:
        archive.push(root, source="market")
        assert archive.verify().findings == ()


def test_what_a_dead_process_left_is_pushed(root: Path, folder: str) -> None:
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        record(store, held, "left", b"x")
    with Archive(folder) as archive:
        assert archive.push(root).sessions == 4
        status = {one.id: one.status for one in archive.sessions()}
    assert status[held.id] is Status.INTERRUPTED
