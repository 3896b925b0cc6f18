"""The auditor runs a legacy program unchanged and gets a record of what it fetched.

python -m examples.auditor
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest import mock

from examples import scraper
from examples.market_server import MarketServer
from mxm_dataio import IngestSession, Store


def main(root: Path) -> list[str]:
    """Run the scraper's own ``main`` under a recording; return a line for each attempt."""
    with MarketServer() as server, mock.patch.object(sys, "argv", ["scraper.py", server.url]):
        ingest = IngestSession(source="legacy", root=root, mode="record")
        with ingest:
            scraper.main()
    lines = [f"session {ingest.id} is {ingest.session.status}; {len(ingest.session.warnings)} gaps"]
    with Store(root, readonly=True) as store:
        for exchange in store.exchanges(ingest.id):
            for attempt in exchange.responses:
                lines.append(
                    f"{attempt.started_at} {attempt.method} {attempt.url} "
                    f"from {attempt.peer.address}: {attempt.status_code}, sha256 {attempt.checksum}"
                )
    return lines


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*main(Path(folder)), sep="\n")
