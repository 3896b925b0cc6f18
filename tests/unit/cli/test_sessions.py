"""``mxm-dataio sessions``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.models import Session, Status
from mxm_dataio.store import Store
from mxm_dataio.utils import instant
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, rows, run, values


@pytest.fixture
def held(root: Path, store: Store) -> list[Session]:
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
    with Store(root) as dead:
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
        first.started_at, found[0][6], "1", "0", "10", "-", "scraper.py",
    ]  # fmt: skip
    assert found[1][7:11] == ["1", "1", "5", first.id]
    assert found[4][11] == "mxm-dataio prune"
    assert found[5][0] == running.id
    assert {len(row) for row in found} == {12}


def test_as_json(root: Path, held: list[Session]) -> None:
    found = values("sessions", "--root", root)
    one = found[1]
    assert (one["type"], one["id"], one["parent_id"]) == ("session", held[1].id, held[0].id)
    assert (one["calls"], one["attempts"], one["errors"], one["bytes"]) == (1, 1, 1, 5)
    assert (one["exit_status"], one["unseen"], one["warnings"]) == (3, 1, ["a word"])
    assert found[3]["pruned_at"]
    assert found[2]["status"] == "interrupted"


def test_on_a_terminal(root: Path, held: list[Session], screen: Screen) -> None:
    narrow = screen("sessions", "--root", root)
    assert fits(narrow)
    assert narrow[0].split() == [
        "id", "source", "status", "started", "(UTC)", "took", "calls", "errors", "bytes",
    ]  # fmt: skip
    assert narrow[2].startswith(f"{held[0].id[-8:]}  ")
    assert narrow[3].startswith(f"└ {held[1].id[-8:]}  market")
    assert narrow[5].split()[-1] == "ms" or "pruned" in narrow[5]
    assert "(prune)" in narrow[6]
    wide = screen("sessions", "--root", root, width=140)
    assert fits(wide, 140)
    assert "as of" in wide[0]
    assert wide[0].split()[-1] == "program"
    assert "scraper.py → 3" in wide[2]


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


def test_sources_by_rule(root: Path, store: Store, screen: Screen) -> None:
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
