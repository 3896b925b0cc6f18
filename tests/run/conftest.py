"""What the tests of programs under capture share: a server, and a folder of programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import GET, Programs
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Answers with what it is asked for; ``/n`` counts."""
    count = iter(range(1, 10_000))
    routes: dict[str, Any] = {"/n": lambda _request: answer(200, b"%d" % next(count))}
    for name in "abcdef":
        routes[f"/{name}"] = answer(200, name.encode())
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    made = Programs(tmp_path)
    made.write("get.py", GET)
    return made
