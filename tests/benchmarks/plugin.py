"""What the pytest plugin costs a test: ``python -m tests.benchmarks.plugin [--rounds N]``.

The same tests of three calls each, answered by an adapter with a constant answer, and replayed from
cassettes; interleaved, each in a process of its own. Prints milliseconds a test.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.market_server import MarketServer

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


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, MarketServer() as server:
        stubbed, replayed = Path(folder, "test_stubbed.py"), Path(folder, "test_replayed.py")
        _write(stubbed, _STUB, server.url, asked.tests)
        _write(replayed, _PLAIN, server.url, asked.tests)
        _seconds(replayed, "once")
        server.stop()
        pairs = [
            (_seconds(stubbed, "none"), _seconds(replayed, "none")) for _ in range(asked.rounds)
        ]
    for name, values in zip(("stubbed", "replayed"), zip(*pairs, strict=True), strict=True):
        print(f"{name:<10} {1000 * statistics.median(values) / asked.tests:6.2f} ms a test")
    over = statistics.median(1000 * (new - old) / asked.tests for old, new in pairs)
    print(f"{'over that':<10} {over:6.2f} ms a test (target 3)")


if __name__ == "__main__":
    main()
