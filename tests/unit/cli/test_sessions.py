"""``mxm-dataio sessions``."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.cli import output
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.models import Session, Status
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import instant
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, rows, run, values


@pytest.fixture
def held(root: Path, store: RecordingStore) -> list[Session]:
    """Sessions of every kind: with a child, failed, interrupted, running, pruned."""
    now = time.time()
    first = replace(session(), started_at=instant(now - 90_000))
    child = replace(session(first), started_at=instant(now - 80_000))
    broken = replace(session(), source="other", started_at=instant(now - 10))
    gone = replace(session(), started_at=instant(now - 5))
    for one in (first, child, gone):
        store.begin(one)
    call(store, first, "https://h/a", 503, 200)
    call(store, child, "https://h/b", 404)
    call(store, gone, "https://h/c", 200)
    with RecordingStore(root) as dead:
        dead.begin(broken)
        call(dead, broken, "https://h/d", 200, source="other")
    end(store, child)
    end(store, first, Status.FAILED)
    end(store, gone)
    prune(store, Choice(sessions=(gone.id,)))
    running = replace(session(), started_at=instant(now))
    store.begin(running)
    return [first, child, broken, gone, running]


def test_into_a_pipe(root: Path, held: list[Session]) -> None:
    found = rows("sessions", "--root", root)
    first, child, broken, gone, running = held
    assert [row[0] for row in found[:4]] == [first.id, child.id, broken.id, gone.id]
    assert [row[4] for row in found] == [
        "failed", "complete", "interrupted", "pruned", "complete", "running",
    ]  # fmt: skip
    assert found[0][:4] == [first.id, "market", "2025-01-01", "record"]
    assert found[0][5:] == [
        first.started_at, found[0][6], "1", "0", "10", "-", "scraper.py", "3",
    ]  # fmt: skip
    assert found[1][7:11] == ["1", "1", "5", first.id]
    assert found[4][11] == "mxm-dataio prune"
    assert found[5][0] == running.id
    assert [row[12] for row in found[1:]] == ["3", "-", "3", "-", "-"]
    assert {len(row) for row in found} == {13}


def test_as_json(root: Path, held: list[Session]) -> None:
    found = values("sessions", "--root", root)
    one = found[1]
    assert (one["type"], one["id"], one["parent_id"]) == ("session", held[1].id, held[0].id)
    assert (one["calls"], one["attempts"], one["errors"], one["bytes"]) == (1, 1, 1, 5)
    assert (one["exit_status"], one["unseen"], one["warnings"]) == (3, 1, ["a word"])
    assert (one["family"]["calls"], found[0]["calls"]) == (1, 1)
    assert found[0]["family"] == {"calls": 2, "attempts": 3, "errors": 1, "size": 15}
    assert found[3]["pruned_at"]
    assert found[2]["status"] == "interrupted"


def test_on_a_terminal(root: Path, held: list[Session], screen: Screen) -> None:
    narrow = screen("sessions", "--root", root)
    assert fits(narrow)
    assert narrow[0].split() == [
        "id", "source", "status", "exit", "started", "(UTC)", "calls", "errors", "bytes",
    ]  # fmt: skip
    assert narrow[2].startswith(f"{held[0].id[-8:]}  ")
    assert narrow[3].startswith(f"└ {held[1].id[-8:]}  market")
    assert "pruned" in narrow[5]
    assert "(prune)" in narrow[6]
    wide = screen("sessions", "--root", root, width=140)
    assert fits(wide, 140)
    assert "as of" in wide[0]
    assert wide[0].split()[-1] == "program"
    assert "scraper.py" in wide[2]


def test_a_family_is_counted_in_its_parents_row(
    root: Path, held: list[Session], store: RecordingStore, screen: Screen
) -> None:
    whole = screen("sessions", "--root", root)
    assert whole[2].split()[-3:] == ["2", "1", "15"]
    assert whole[3].split()[-3:] == ["1", "1", "5"]
    # Whatever else is listed.
    failed = screen("sessions", "--status", "failed", "--root", root)
    assert (len(failed), failed[2].split()[-3:]) == (3, ["2", "1", "15"])
    store.close()
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        db.execute("UPDATE sessions SET parent_id = id WHERE id = ?", (held[0].id,))
    assert run("sessions", "--root", root).exit_code == 0


@pytest.mark.parametrize(
    ("exit_status", "shown"), [(0, "0"), (1, "1"), (-15, "SIGTERM"), (-99, "signal 99")]
)
def test_how_the_program_ended_stands_beside_how_capture_did(
    exit_status: int, shown: str, root: Path, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session()
    store.begin(one)
    store.end(
        replace(one, status=Status.COMPLETE, ended_at=one.started_at, exit_status=exit_status)
    )
    assert rows("sessions", "--root", root)[0][12] == str(exit_status)
    monkeypatch.setattr(output, "width", lambda: 80)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    row = run("sessions", "--root", root).stdout.splitlines()[2]
    assert shown in row
    assert ("\x1b[32mcomplete" in row) == (exit_status == 0)
    assert (f"\x1b[1;31m{shown}" in row) == (exit_status != 0)
    assert shown in run("coverage", "--root", root).stdout
    assert shown in run("show", "--root", root).stdout


def test_a_child_that_its_parent_ended_is_not_interrupted(
    root: Path, store: RecordingStore
) -> None:
    parent, child = (top := session()), session(top)
    for one in (child, parent):
        store.begin(one)
        store.end(replace(one, status=Status.INTERRUPTED, ended_at=one.started_at, exit_status=-15))
    found = {row[0]: row[4] for row in rows("sessions", "--root", root)}
    assert found == {child.id: "ended by parent", parent.id: "interrupted"}
    assert [row[0] for row in rows("sessions", "--status", "ended by parent", "--root", root)] == [
        child.id
    ]
    (one,) = values("show", child.id, "--root", root)
    assert (one["status"], one["outcome"]) == ("interrupted", "ended by parent")


def test_which(root: Path, held: list[Session]) -> None:
    def ids(*options: object) -> list[int]:
        known = [one.id for one in held]
        found = run("sessions", "--root", root, *options)
        assert found.exit_code == 0
        shown = [line.split("\t")[0] for line in found.stdout.splitlines()]
        return [known.index(id) for id in shown if id in known]

    assert ids("--source", "other") == [2]
    assert ids("--status", "pruned") == [3]
    assert ids("--status", "interrupted") == [2]
    assert ids("--status", "complete") == [1]
    assert ids("--since", "1h") == [2, 3, 4]
    assert ids("--since", "23h") == [1, 2, 3, 4]
    assert ids("--since", "2001-01-01", "--source", "market") == [0, 1, 3, 4]
    assert ids("--limit", 1) == [4]
    assert ids("--limit", 4) == [2, 3, 4]
    assert ids("--limit", 5) == [0, 1, 2, 3, 4]
    none = run("sessions", "--root", root, "--source", "none")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "no sessions found\n")


def test_sources_by_rule(root: Path, store: RecordingStore, screen: Screen) -> None:
    held, plain = session(), session()
    for one in (held, plain):
        store.begin(one)
        call(store, one, "https://h/a", 200)
    call(store, held, "https://h/b", 200, source="yahoo")
    for one in (held, plain):
        end(store, one)
    assert [row[1] for row in rows("sessions", "--root", root)] == ["market, yahoo", "market"]
    assert [row[0] for row in rows("sessions", "--source", "yahoo", "--root", root)] == [held.id]
    assert values("sessions", "--root", root)[0]["other_sources"] == ["yahoo"]
    assert "market, yahoo" in screen("sessions", "--root", root)[2]


def test_called_wrongly(root: Path, tmp_path: Path) -> None:
    for wrong in (("--since", "then"), ("--status", "lost"), ("--limit", "0"), ("extra",)):
        assert run("sessions", "--root", root, *wrong).exit_code == 2
    done = run("sessions", "--root", tmp_path / "none")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "nothing is recorded" in done.stderr
