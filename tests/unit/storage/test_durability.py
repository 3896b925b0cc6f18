"""``durability="power"``: no call is done before what it wrote was synced, and threads share."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.storage import writer as module
from mxm_dataio.storage.journal import MAGIC
from mxm_dataio.storage.recording_store import RecordingStore
from tests.unit.test_store import record, session


class Disk:
    """What of each file would survive a power cut: its size as it was last synced."""

    def __init__(self, patch: pytest.MonkeyPatch, seconds: float = 0.0) -> None:
        self.sizes: dict[int, int] = {}
        self.count = 0
        self.log: list[str] = []
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._noting(getattr(os, name), seconds))
        patch.setattr(os, "sync", self._all)

    def _noting(self, sync: Any, seconds: float) -> Any:
        def noted(file: int) -> None:
            found = os.fstat(file)
            time.sleep(seconds)
            sync(file)
            self.sizes[found.st_ino] = max(found.st_size, self.sizes.get(found.st_ino, 0))
            self.count += 1

        return noted

    def _all(self) -> None:
        raise AssertionError("only hundreds of payloads are worth a sync of everything")

    def has(self, path: Path, size: int = 1) -> bool:
        """Say whether so much of a file would survive."""
        return self.sizes.get(path.stat().st_ino, 0) >= size


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_a_call_is_synced_when_it_is_recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with RecordingStore(root, durability="power") as store:
        held = session()
        store.begin(held)
        for number in range(3):
            record(store, held, b"%d" % number, limit=100)
            (journal,) = (root / "journal").glob("*.journal")
            assert journal.stat().st_size > len(MAGIC)
            assert disk.has(journal, journal.stat().st_size)
        for folder in (root, root / "journal"):
            assert disk.has(folder), "nor is a name lost"
        # A large one goes into a file of its own.
        record(store, held, bytes(100_000), limit=1000)
        (payload,) = (root / "responses").glob("*.bin")
        assert disk.has(payload, 100_000)
        assert disk.has(root / "responses")
        # Moved, it is as safe as before, and the journal goes last.
        asked: list[str] = []
        assert store._catalog.database._db is not None
        store._catalog.database._db.set_trace_callback(asked.append)
        assert len(store.requests(held.id)) == 4
        store._catalog.database._db.set_trace_callback(None)
        # SQLite's own syncs can't be seen from here.
        assert asked.index("PRAGMA synchronous=FULL") < asked.index("COMMIT")
        assert not list((root / "journal").glob("*.journal"))
        for payload in (root / "responses").iterdir():
            if payload.suffix == ".bin":
                assert disk.has(payload), payload
        before = disk.count
        record(store, held, b"another", limit=100)
        (journal,) = (root / "journal").glob("*.journal")
        assert disk.has(journal, journal.stat().st_size)
        assert disk.count > before


def test_by_default_a_call_is_not_synced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        record(store, held, b"content", limit=100)
        assert len(store.requests(held.id)) == 1
        assert disk.count == 0


def test_threads_share_a_sync_and_none_is_done_before_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FULL", 7)
    monkeypatch.setattr(module, "_STEP_EVERY", 2)
    disk = Disk(monkeypatch, 0.01)
    with RecordingStore(root, durability="power") as store:
        held = session()
        store.begin(held)
        append, lost = store._writer._queue.put, []

        def watched(entry: Any) -> Any:
            journal, end = append(entry)
            marks[threading.get_ident()] = (journal.path, end)
            return journal, end

        marks: dict[int, tuple[Path, int]] = {}
        monkeypatch.setattr(store._writer._queue, "put", watched)
        before = disk.count

        def calls(mark: int) -> None:
            for number in range(6):
                record(store, held, b"%d-%d" % (mark, number), limit=100)
                path, end = marks[threading.get_ident()]
                try:
                    safe = disk.has(path, end)
                except FileNotFoundError:
                    # Moved: into a catalog that was synced.
                    safe = True
                if not safe:
                    lost.append((mark, number))

        threads = [threading.Thread(target=calls, args=(mark,)) for mark in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lost == []
        assert len(store.requests(held.id)) == 48
        assert disk.count - before < 8 * 48, "they do not share"
