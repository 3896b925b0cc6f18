"""Orders are previewed by who has logged in."""

from __future__ import annotations

import pytest
from market_client import Market, MarketError


@pytest.mark.vcr
@pytest.mark.default_cassette("login.yaml")
def test_login(market: Market) -> None:
    assert market.login("ada", "p-93be41c7") == "ada"
    assert market.logged_in


@pytest.mark.vcr("login.yaml")
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_preview(market: Market, side: str) -> None:
    market.login("ada", "p-93be41c7")
    preview = market.preview("ALFA", side, 10)
    assert (preview["side"], preview["quantity"]) == (side, 10)
    assert preview["fee"] > 1


@pytest.mark.vcr(record_mode="once")
def test_an_order_that_is_none(market: Market) -> None:
    with pytest.raises(MarketError, match="not an order"):
        market.preview("ALFA", "hold", 10)


@pytest.mark.vcr
def test_the_service_fails_now_and_then(market: Market) -> None:
    assert [market.status() for _ in range(4)] == ["503", "ok", "503", "ok"]
