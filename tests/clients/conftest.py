"""Fixtures of the clients' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.clients.harness")

from tests.clients.servers import Talk  # noqa: E402


@pytest.fixture
def talk() -> Iterator[Callable[..., Talk]]:
    servers: list[Talk] = []

    def start(function: Callable[[Talk, Any, Any], None], **options: Any) -> Talk:
        servers.append(Talk(function, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(params=["hook", "mount"])
def way(request: pytest.FixtureRequest) -> str:
    """The two ways in, for clients that hold a requests.Session."""
    return str(request.param)
