"""Each program in examples/ runs, and does what its page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from examples import auditor, author_of_test, demo, fetcher, owner, scraper
from examples.market_server import MarketServer
from mxm_dataio import Store
from tests.support import CHECKOUT

OTHERS = {"__init__", "market_server", "scraper", "serve"}
MAINS = {"auditor": auditor, "author_of_test": author_of_test, "fetcher": fetcher, "owner": owner}


def run_module(
    name: str, cwd: Path, *args: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m examples.name`` with warnings as errors."""
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::ImportWarning",
            "-m",
            f"examples.{name}",
            *args,
        ],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_demo_replays_what_it_recorded(tmp_path: Path, width: str) -> None:
    done = run_module("demo", tmp_path, COLUMNS=width)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert any(re.match(r"result +EQUAL: ", line) for line in lines)
    assert any(
        re.match(r"server +26 requests while recording, 0 while replaying$", ln) for ln in lines
    )
    assert any(re.match(r"calls +25, in 26 attempts$", line) for line in lines)
    assert any(re.match(r"GET +/flaky +503→200 +16 ", line) for line in lines)
    assert max(map(len, lines)) <= int(width)


def test_the_demo_empties_its_store_first(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    (root / "responses").mkdir(parents=True)
    (root / "responses" / "old.bin").write_bytes(b"old")
    assert demo.main(root) == 0
    assert demo.main(root) == 0
    assert not (root / "responses" / "old.bin").exists()
    with Store(root, readonly=True) as store:
        assert len(store.sessions("market")) == 1


def test_the_demo_without_rich_prints_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert demo.main(tmp_path / "demo") == 0
    out = capsys.readouterr().out
    assert "\nmethod  path                    status   coding   bytes" in out
    assert "\nresult    EQUAL: " in out


def test_the_demo_says_when_the_results_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Iterator[dict[str, object]] = iter([{"runs": 1}, {"runs": 2}])
    monkeypatch.setattr(scraper, "run", lambda url: next(found))
    assert demo.main(tmp_path / "demo") == 1
    assert "NOT EQUAL: the replay found something else" in capsys.readouterr().out


def test_the_demo_says_when_a_call_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = iter(["/symbols", "/calendar"])

    def other_calls(url: str) -> dict[str, object]:
        return {"status": requests.get(url + next(paths), timeout=10).status_code}

    monkeypatch.setattr(scraper, "run", other_calls)
    assert demo.main(tmp_path / "demo") == 1
    out = capsys.readouterr().out
    assert "NOT EQUAL: a call was not in the store\nGET http://127.0.0.1:" in out


def test_the_demo_prints_to_a_terminal_without_arrows(tmp_path: Path) -> None:
    done = run_module("demo", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "503>200" in done.stdout


def test_the_owner_keeps_her_adapters_and_retries(tmp_path: Path) -> None:
    first, second = owner.main(tmp_path)
    assert first == second == '{"status": "ok"}'
    with Store(tmp_path, readonly=True) as store:
        (session,) = store.sessions()
        (call,) = store.exchanges(session.id)
    assert [attempt.status_code for attempt in call.responses] == [503, 200]


def test_the_author_records_once_and_replays(tmp_path: Path) -> None:
    assert author_of_test.main(tmp_path) == ["record", "replay"]


def test_the_auditor_sees_every_attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, *attempts = auditor.main(tmp_path)
    assert re.fullmatch(r"session [0-9a-f-]{36} is complete; 0 gaps", head)
    with MarketServer() as server:
        scraper.run(server.url)
        assert len(attempts) == server.hits
    assert all(
        re.search(r" from 127\.0\.0\.1:\d+: \d{3}, sha256 [0-9a-f]{64}$", line) for line in attempts
    )
    assert capsys.readouterr().out.startswith("{")  # the scraper's own output is untouched


def test_a_fetcher_of_ones_own_replays_without_its_source(tmp_path: Path) -> None:
    assert fetcher.main(tmp_path) == ['[["2024-01-02", 70.25]]'] * 2
    assert not (tmp_path / "warehouse.db").exists()


@pytest.mark.parametrize("name", sorted(MAINS))
def test_each_example_runs_as_a_program(tmp_path: Path, name: str) -> None:
    done = run_module(name, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_server_for_the_readme_serves(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "examples.serve", "0"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line
            assert requests.get(found[0] + "/symbols", timeout=10).json()["page"] == 1
        finally:
            process.terminate()


def test_no_example_goes_untested() -> None:
    names = {path.stem for path in (CHECKOUT / "examples").glob("*.py")}
    assert names == OTHERS | set(MAINS) | {"demo"}
