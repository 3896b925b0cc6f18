"""Bars, quotes and histories of symbols."""

from __future__ import annotations

import pytest
from market_client import Market, MarketError


@pytest.mark.vcr
@pytest.mark.parametrize("symbol", ["ALFA", "BRVO"])
def test_bars(market: Market, symbol: str) -> None:
    bars = market.bars(symbol)
    assert len(bars) == 40
    assert all(bar["low"] <= bar["close"] <= bar["high"] for bar in bars)


@pytest.mark.vcr
@pytest.mark.parametrize(
    ("symbol", "interval"), [("ALFA", "1h"), ("BRVO", "5m")], ids=["ALFA/1h", "BRVO?5m"]
)
def test_unknown_interval(market: Market, symbol: str, interval: str) -> None:
    with pytest.raises(MarketError, match="unknown interval"):
        market.bars(symbol, interval)


@pytest.mark.vcr
@pytest.mark.block_network
def test_quote_follows_a_redirect(market: Market) -> None:
    assert market.quote("ALFA")["close"] == market.quote("ALFA")["close"]


@pytest.mark.vcr
class TestHistory:
    """The history is a CSV file."""

    def test_columns(self, market: Market) -> None:
        assert list(market.history("CHRL")[0])[:2] == ["date", "open"]

    def test_days_ascend(self, market: Market) -> None:
        days = [row["date"] for row in market.history("DLTA")]
        assert days == sorted(days)
        assert len(days) == 40
