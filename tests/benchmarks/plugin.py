"""What the pytest plugin costs a test.

The same tests of three calls each, answered by an adapter with a constant answer, and replayed from
cassettes; interleaved, each in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from examples.market_server import MarketServer

from .plan import Bench, say
from .report import Group, Line

_TEST = 1.5
_CALLS = """
import pytest, requests
{more}
@pytest.mark.parametrize("number", range({tests}))
def test_it(number{fixture}):
    session = {session}
    for page in (1, 2, 3):
        answer = session.get("{url}/symbols", params={{"page": page}}, timeout=10)
        assert "symbols" in answer.json()
"""
_STUB = """
from requests.adapters import BaseAdapter

class Constant(BaseAdapter):
    def send(self, request, **kwargs):
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer._content = b'{"page": 1, "symbols": ["ALFA", "BRVO", "CHRL"]}'
        answer.headers["Content-Type"] = "application/json"
        return answer

    def close(self):
        pass

@pytest.fixture(scope="session")
def shared():
    session = requests.Session()
    session.mount("http://", Constant())
    return session
"""
_PLAIN = """
@pytest.fixture(scope="session")
def shared():
    return requests.Session()

pytestmark = pytest.mark.dataio
"""


def _write(path: Path, more: str, url: str, tests: int) -> None:
    text = _CALLS.format(more=more, tests=tests, fixture=", shared", session="shared", url=url)
    path.write_text(text, encoding="utf-8")


def _seconds(path: Path, mode: str) -> float:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
    done = subprocess.run(
        [*command, f"--dataio-mode={mode}"],
        cwd=path.parent, capture_output=True, text=True, check=False,
        env={key: value for key, value in os.environ.items() if key != "CI"},
    )  # fmt: skip
    found = re.search(r"passed in ([\d.]+)s", done.stdout)
    if done.returncode or found is None:
        raise SystemExit(done.stdout + done.stderr)
    return float(found[1])


def plugin(bench: Bench) -> list[Group]:
    """Measure a test's time in each way, and what replay adds to it."""
    say("plugin")
    tests = bench.amounts.tests
    samples: list[float] = []
    with bench.folder() as folder, MarketServer() as server:
        # Not those of the checkout that the folder is in.
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        stubbed, replayed = folder / "test_stubbed.py", folder / "test_replayed.py"
        _write(stubbed, _STUB, server.url, tests)
        _write(replayed, _PLAIN, server.url, tests)
        _seconds(replayed, "once")
        server.stop()
        for _ in range(bench.amounts.plugin_rounds):
            spent = _seconds(replayed, "none") - _seconds(stubbed, "none")
            samples.append(1000 * spent / tests)
    line = Line("a test of three replayed calls", tuple(samples), target=_TEST, own=True)
    return [Group("plugin", "The pytest plugin, above tests with a stub", "ms", (line,))]
