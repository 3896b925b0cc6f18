"""The author of a test records once and replays ever after, offline.

    python -m examples.author_of_test

``mode="once"`` records where the source has no recording yet and replays where it has one.
In a test file of your own, ``recorded`` is a fixture and ``root`` a folder beside the tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from examples.market_server import MarketServer
from mxm_dataio import IngestSession


def last_close(base_url: str, symbol: str) -> float:
    """Return the last close of a symbol: the code under test."""
    response = requests.get(f"{base_url}/bars/{symbol}", params={"interval": "1d"}, timeout=10)
    return float(response.json()["bars"][-1]["close"])


@contextmanager
def recorded(root: Path) -> Iterator[IngestSession]:
    """Record the calls made within, or replay them."""
    with IngestSession(source="test_last_close", root=root, mode="once") as ingest:
        yield ingest


def check_last_close(root: Path, base_url: str) -> str:
    """Be the test; return the mode in which it ran."""
    with recorded(root) as ingest:
        assert last_close(base_url, "ALFA") == last_close(base_url, "ALFA") > 0
    return ingest.mode


def main(root: Path) -> list[str]:
    """Run the test twice, the second time with the server stopped; return the modes."""
    with MarketServer() as server:
        modes = [check_last_close(root, server.url)]
        server.stop()
        modes.append(check_last_close(root, server.url))
    return modes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*main(Path(folder)), sep="\n")
