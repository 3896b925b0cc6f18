"""Eight processes of eight threads record into one root at once, and nothing is lost.

    python -m tests.trust.writers [--calls N]

Each thread makes N calls over real sockets, each answered by what was asked; everything is moved to
the database as it comes, so that all write to it at once. Any warning is an error ("database is
locked" would be one). Then every call has to be there, whole, once, and the store has to verify.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from mxm_dataio import IngestSession, Status, Store
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage import adoption, writer
from tests.trust.source import Asked, serve

_PROCESSES, _THREADS = 8, 8


def work(root: Path, url: str, number: int, calls: int) -> None:
    """Record one process's calls."""
    writer._FULL, writer._STEP, adoption._STEP = 16, 4, 4
    warnings.simplefilter("error")

    def ask(thread: int) -> None:
        with requests.Session() as plain:
            plain.trust_env = False
            for call in range(calls):
                large = call % 10 == 9
                asked = Asked("get", 100_000 if large else 900, call, f"{number}-{thread}-{call}")
                content = plain.get(url + asked.path, timeout=60).content
                assert content == asked.payload, asked

    with IngestSession(f"p{number}", root) as ingest, ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(ask, range(_THREADS)))
    assert ingest.session.status is Status.COMPLETE, ingest.session.warnings


def whole(root: Path) -> list[str]:
    """Return the URLs of the calls that were recorded whole."""
    urls = []
    with Store(root, readonly=True) as store:
        for session in store.sessions():
            for exchange in store.exchanges(session.id):
                answer = exchange.answer
                assert answer is not None
                assert answer.complete
                with store.open(answer) as file:
                    assert file.read() == Asked.of(exchange.request.url).payload
                urls.append(exchange.request.url)
    return urls


def main() -> int:
    """Try, print the figures, and return 1 if a call is missing or a process failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust.writers")
    parser.add_argument("--calls", type=int, default=60, help="of each thread")
    parser.add_argument("--work", nargs=3, metavar=("ROOT", "URL", "NUMBER"), help="as a child")
    asked = parser.parse_args()
    if asked.work is not None:
        root, url, number = asked.work
        work(Path(root), url, int(number), asked.calls)
        return 0
    url, stop = serve()
    with tempfile.TemporaryDirectory() as name:
        clock = time.monotonic()
        command = [sys.executable, "-m", "tests.trust.writers", f"--calls={asked.calls}", "--work"]
        children = [
            subprocess.Popen([*command, name, url, str(number)]) for number in range(_PROCESSES)
        ]
        failed = sum(child.wait() != 0 for child in children)
        seconds = time.monotonic() - clock
        stop()
        found = whole(Path(name))
        sound = verify_root(Path(name)).ok
    expected = _PROCESSES * _THREADS * asked.calls
    print(
        f"{_PROCESSES} processes x {_THREADS} threads on one root: {expected:,} calls made, "
        f"{len(set(found)):,} found whole, {failed} processes failed, "
        f"{'the store verifies' if sound else 'THE STORE DOES NOT VERIFY'} ({seconds:.0f} s)"
    )
    return int(bool(failed or not sound or not len(found) == len(set(found)) == expected))


if __name__ == "__main__":
    sys.exit(main())
