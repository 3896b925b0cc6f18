"""Each kind of answer plainly, recorded to a cassette and replayed from it: no change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import use_cassette
from mxm_dataio.formats.volatile import NOTHING
from tests.support.answers import ANSWERS
from tests.support.effort import sampled
from tests.support.harness import EXACT, observe, outcome
from tests.support.servers import RawServer, responder

# All is kept, and what a cassette keeps if it is not told otherwise.
WHOLE = {"volatile": NOTHING, "keep_chunks": True}
USUAL: dict[str, Any] = {}


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer(responder({f"/{name}": body for name, body in ANSWERS.items()})) as running:
        yield running


def by_requests(url: str) -> Any:
    with requests.Session() as session:
        return observe(session.get(url, stream=True, allow_redirects=False))


def by_pieces(url: str) -> Any:
    with urllib3.PoolManager() as pool:
        read = pool.request("GET", url, preload_content=False, redirect=False, retries=False)
        return list(read.stream(None, decode_content=False))


CASES = [
    *sampled([(by_requests, name, USUAL) for name in ANSWERS if name != "cookies"], 2),
    # When these expire is left out of the usual ones.
    (by_requests, "cookies", WHOLE),
    *((by_pieces, name, USUAL) for name in ANSWERS if "chunk" in name),
]


@pytest.mark.parametrize(("work", "name", "options"), CASES)
def test_answers(
    work: Callable[[str], Any], name: str, options: Any, server: RawServer, tmp_path: Path
) -> None:
    url = f"{server.url}/{name}"
    path = tmp_path / "cassette.json"
    plain = outcome(lambda: work(url))
    texts = []
    for mode in ("once", "rewrite"):
        with use_cassette(path, mode, redaction=EXACT, **options):
            assert outcome(lambda: work(url)) == plain
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    hits = server.hits
    with use_cassette(path, "none", redaction=EXACT, **options):
        assert outcome(lambda: work(url)) == plain
    assert server.hits == hits
