"""Programs that nobody wrote for this are recorded, and replayed offline, by ``run``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from examples.market_server import MarketServer
from mxm_dataio import Status
from tests.support import CHECKOUT
from tests.support.effort import some
from tests.support.running import Programs

LEGACY = CHECKOUT / "examples" / "legacy"

PROGRAMS = {
    "pool": ("pool_scraper.py", "{url}", "3"),
    "crawler": ("crawler.py", "{url}"),
    "console-script": ("-m", "market", "--base", "{url}", "quote", "ALFA", "BRVO", "CHRL"),
    "console-script-fails": ("-m", "market", "--base", "{url}", "quote", "ALFA", "NONE", "BRVO"),
    "console-script-revalidates": ("-m", "market", "--base", "{url}", "calendar", "--twice"),
    "console-script-misused": ("-m", "market", "--base", "{url}", "qoute"),
}


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """The programs, in a folder of their own."""
    shutil.copytree(LEGACY, tmp_path / "legacy", ignore=shutil.ignore_patterns("__pycache__"))
    return Programs(tmp_path / "legacy")


QUICK = ("pool", "console-script")


@pytest.mark.parametrize(
    "name",
    some(PROGRAMS, QUICK),
)
def test_it_is_recorded_and_replayed_offline(name: str, programs: Programs) -> None:
    with MarketServer() as server:
        words = [word.format(url=server.url) for word in PROGRAMS[name]]
        plain = programs.plainly(*words)
    with MarketServer() as server:
        words = [word.format(url=server.url) for word in PROGRAMS[name]]
        done = programs.run(*words)
    assert (done.status, done.out) == (plain.returncode, plain.stdout)
    assert done.said.splitlines() == plain.stderr.splitlines()
    assert done.summary["coverage"] == []
    # The server is gone.
    again = programs.run(*words, options="--mode replay --require-full-coverage")
    assert (again.status, again.out, again.said) == (done.status, done.out, done.said)
    assert (again.summary["missed"], again.summary["calls"]) == (0, done.summary["calls"])


@pytest.mark.long
def test_the_pools_workers_have_sessions_of_their_own(programs: Programs) -> None:
    with MarketServer() as server:
        done = programs.run("pool_scraper.py", server.url, "3", options="--source bars")
    assert done.status == 0
    root, *children = programs.sessions()
    assert root.status is Status.COMPLETE
    assert 1 <= len(children) <= 3
    assert {(child.parent_id, child.source) for child in children} == {(root.id, "bars")}
    assert {child.program for child in children} == {"multiprocessing"}
    assert done.summary["calls"] == len(programs.requests())
    assert done.summary["calls"] > 9 * 3
