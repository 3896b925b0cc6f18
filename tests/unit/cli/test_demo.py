"""``mxm-dataio demo``, and what it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.cli import demo_scraper as demonstration
from mxm_dataio.cli.demo_scraper import Demonstrated
from tests.unit.cli.running import Screen, fits, run, values


def test_replay_finds_what_the_recording_found(demonstrated: tuple[Path, Demonstrated]) -> None:
    _, done = demonstrated
    recorded, replayed = done.found
    assert done.equal
    assert recorded == replayed
    assert done.asked == (16, 0)
    assert (recorded["user"], recorded["missing"], recorded["flaky"]) == (
        "demo", 404, {"status": "ok"},
    )  # fmt: skip
    assert len(recorded["weather"]) == len(recorded["rows"]) == 6


def test_into_a_pipe(tmp_path: Path) -> None:
    done = run("demo", "--root", tmp_path / "deep" / "root")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "  result      EQUAL: the replay found what the recording had found" in done.stdout
    assert "asked 16 times while recording, 0 replaying" in done.stdout
    assert run("verify", "--root", tmp_path / "deep" / "root").exit_code == 0


def test_again_into_the_same_store_as_json(tmp_path: Path) -> None:
    for _ in range(2):
        *calls, last = values("demo", "--root", tmp_path)
        assert len(calls) == 15
        assert (last["equal"], last["asked"], last["root"]) == (True, [16, 0], str(tmp_path))
    assert len(values("sessions", "--root", tmp_path)) == 2


def test_on_a_terminal(tmp_path: Path, screen: Screen) -> None:
    lines = screen("demo", "--root", tmp_path)
    assert fits([line for line in lines if str(tmp_path) not in line])
    assert any("503→200" in line for line in lines)


def test_a_replay_that_finds_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Iterator[dict[str, Any]] = iter([{"runs": 1}, {"runs": 2}])
    monkeypatch.setattr(demonstration, "scrape", lambda url: next(found))
    done = run("demo", "--root", tmp_path)
    assert done.exit_code == 1
    assert "NOT EQUAL" in done.stdout


def test_a_replay_that_misses_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    paths = iter(["/cities?page=1", "/table.csv"])

    def other_calls(url: str) -> dict[str, Any]:
        return {"status": requests.get(url + next(paths), timeout=10).status_code}

    monkeypatch.setattr(demonstration, "scrape", other_calls)
    assert run("demo", "--root", tmp_path).exit_code == 1


def test_where_nothing_is_said_it_is_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXM_DATAIO_ROOT", str(tmp_path / "mine"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("demo").exit_code == 0
    (made,) = tmp_path.iterdir()
    assert made.name.startswith("mxm-dataio-demo-")
