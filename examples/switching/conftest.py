"""How pytest-recording records and replays the calls of this project's tests.

Recorded against the market server of these examples, which stands in for the host of the client;
in the checkout, with pytest-recording installed:

    python -m examples.serve
    rm -r examples/switching/cassettes
    http_proxy=http://127.0.0.1:8000 pytest --record-mode=new_episodes examples/switching
"""

from __future__ import annotations

from typing import Any

import pytest
from market_client import Market


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Return what every cassette has in common."""
    return {
        "filter_headers": [("authorization", "Bearer of-nobody"), "user-agent", "cookie"],
        "filter_post_data_parameters": ["password"],
        "decode_compressed_response": True,
    }


@pytest.fixture
def market() -> Market:
    """Return a client."""
    return Market(key="k-5c1f7b40a9")
