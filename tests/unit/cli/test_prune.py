"""``mxm-dataio prune``."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.models import Session
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import instant
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, run, values


@pytest.fixture
def held(root: Path, store: RecordingStore) -> list[Session]:
    """Three sessions of which the first is old and has a child, and files that are old."""
    found = []
    for days, source in ((40, "market"), (5, "other"), (0, "market")):
        one = replace(session(), source=source, started_at=instant(time.time() - days * 86_400))
        store.begin(one)
        call(store, one, f"https://h/{days}", 200, body=f"of {days}".encode())
        if days == 40:
            child = session(one)
            store.begin(child)
            call(store, child, "https://h/child", 200, body=b"child")
            end(store, child)
        end(store, one)
        found.append(one)
    for path in (root / "responses").iterdir():
        os.utime(path, (1e9, 1e9))
    return found


def calls(root: Path) -> int:
    return len(values("requests", "--root", root))


def test_it_says_first_what_would_go(root: Path, held: list[Session]) -> None:
    before = sorted((path, path.stat().st_mtime) for path in root.rglob("*"))
    done = run("prune", "--older-than", "30d", "--root", root)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split("\t") == [
        held[0].id, "market", "2025-01-01", held[0].started_at, "1", "2", "10",
    ]  # fmt: skip
    assert lines[2:] == [
        "would prune 2 sessions with 2 calls, and remove 2 payload files (10 bytes)",
        "nothing was deleted: --yes does it",
    ]
    assert calls(root) == 4
    assert before == sorted((path, path.stat().st_mtime) for path in root.rglob("*"))
    assert run("prune", "--older-than", "30d", "--dry-run", "--root", root).stdout == done.stdout


def test_it_does_so_if_told(root: Path, held: list[Session]) -> None:
    done = run("prune", "--older-than", "30d", "--yes", "--vacuum", "--root", root)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == (
        "pruned 2 sessions with 2 calls, and removed 2 payload files (10 bytes)"
    )
    assert calls(root) == 2
    assert len(list((root / "responses").iterdir())) == 2
    assert b"https://h/child" not in (root / "dataio.sqlite").read_bytes()
    checked = run("verify", "--root", root)
    assert checked.exit_code == 0
    assert checked.stdout.startswith(f"note: session {held[0].id}: pruned on ")
    assert "5 sessions (2 of them pruned), 2 calls, 2 payloads (8 bytes): all as recorded" in (
        checked.stdout
    )
    again = run("prune", "--older-than", "30d", "--root", root)
    assert again.stdout == (
        "would prune 0 sessions with 0 calls, and remove 0 payload files (0 bytes)\n"
    )


def test_as_json(root: Path, held: list[Session]) -> None:
    (root / "responses" / f"{'0' * 64}.bin").write_bytes(b"young")
    first, last = values("prune", "--session", held[0].id[-8:], "--root", root)
    assert (first["type"], first["id"], len(first["children"])) == ("session", held[0].id, 1)
    assert last == {
        "type": "prune", "done": False, "sessions": 2, "calls": 2, "files": 2, "bytes": 10,
        "young": 1, "temporary": 0,
    }  # fmt: skip
    assert values("prune", "--keep-last", 0, "--yes", "--root", root)[-1]["sessions"] == 4


def test_on_a_terminal(root: Path, held: list[Session], screen: Screen) -> None:
    lines = screen("prune", "--keep-last", 1, "--root", root)
    assert fits(lines)
    assert lines[0].split() == [
        "id", "source", "as", "of", "started", "(UTC)", "children", "calls", "bytes", "named",
    ]  # fmt: skip
    assert lines[2].startswith(held[0].id[-8:])


def test_what_stays_is_told(root: Path, store: RecordingStore, held: list[Session]) -> None:
    running = session()
    store.begin(running)
    (root / "responses" / f"{'0' * 64}.bin").write_bytes(b"young")
    shown = run("prune", "--source", "market", "--yes", "--root", root).stdout
    assert f"kept: session {running.id}: it is under way" in shown
    assert "1 file that no record names: written or met within the last hour" in shown
    kept = [
        one for one in values("prune", "--keep-last", 0, "--root", root) if one["type"] == "kept"
    ]
    assert [one["id"] for one in kept] == [running.id]


def test_called_wrongly(root: Path, held: list[Session], tmp_path: Path) -> None:
    for wrong in (
        ("--older-than", "2025-01-01"), ("--yes", "--dry-run"), ("--vacuum",),
        ("--session", "none"), ("--keep-last", "-3"), ("extra",),
    ):  # fmt: skip
        done = run("prune", *wrong, "--root", root)
        assert (done.exit_code, done.stdout) == (2, ""), wrong
    assert calls(root) == 4
    for yes in ((), ("--yes",)):
        assert run("prune", *yes, "--root", tmp_path / "none").exit_code == 2
    assert not (tmp_path / "none").exists()
