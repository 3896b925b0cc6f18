"""The owner of a ``requests.Session`` mounts it in one line and keeps her own adapters.

python -m examples.owner
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from examples.market_server import MarketServer
from mxm_dataio import IngestSession, mount


def main(root: Path) -> list[str]:
    """Fetch under a recording, then from it with the server stopped; return both answers."""
    hers = HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[503]))
    answers = []
    with requests.Session() as session, MarketServer() as server:
        session.mount("http://", hers)
        # hook=False: only what is mounted is captured, nothing in the process is patched.
        with IngestSession("market", root, "record", hook=False) as ingest, mount(session, ingest):
            answers.append(session.get(f"{server.url}/flaky").text)  # 503, then her retry's 200
        assert session.get_adapter("http://") is hers
        server.stop()
        with IngestSession("market", root, "replay", hook=False) as ingest, mount(session, ingest):
            answers.append(session.get(f"{server.url}/flaky").text)
    return answers


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*main(Path(folder)), sep="\n")
