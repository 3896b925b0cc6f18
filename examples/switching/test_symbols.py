"""Symbols come in pages."""

from __future__ import annotations

import pytest
from market_client import Market, MarketError

pytestmark = pytest.mark.vcr


def test_all(market: Market) -> None:
    symbols = list(market.symbols())
    assert (len(symbols), symbols[0], symbols[-1]) == (9, "ALFA", "INDI")


@pytest.mark.parametrize("page", [1, 2, 3])
def test_page(market: Market, page: int) -> None:
    assert len(market.page(page)) == 3


def test_no_such_page(market: Market) -> None:
    with pytest.raises(MarketError, match="no such page"):
        market.page(4)
