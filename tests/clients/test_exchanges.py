"""ccxt: private calls of exchanges, with a nonce or a clock in the form or query, signed anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.clients.harness import HEAVY, files_with, record_then_replay_by
from tests.support.servers import RawServer, Request, answer, responder

ccxt = pytest.importorskip("ccxt", reason=HEAVY)

KEY, SECRET = "example-exchange-key", "ZXhhbXBsZS1leGNoYW5nZS1zZWNyZXQ="


def said(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return answer(200, body, headers=[("Content-Type", "application/json")])


def traded(request: Request) -> bytes:
    form = dict(parse_qsl(request.body.decode()) + parse_qsl(urlsplit(request.target).query))
    symbol = form.get("pair") or form.get("symbol")
    return said({"error": [], "result": {"symbol": symbol, "price": 70.25}})


@pytest.fixture
def server() -> Iterator[RawServer]:
    paths = ("/0/private/TradesHistory", "/api/v3/myTrades")
    with RawServer(responder(dict.fromkeys(paths, traded))) as running:
        yield running


def kraken(url: str) -> Any:
    exchange = ccxt.kraken({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], url)
    return [exchange.private_post_tradeshistory({"pair": name}) for name in ("A", "B", "A")]


def binance(url: str) -> Any:
    exchange = ccxt.binance({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
    exchange.urls["api"]["private"] = f"{url}/api/v3"
    return [exchange.private_get_mytrades({"symbol": name}) for name in ("A", "B", "A")]


@pytest.mark.parametrize(
    "rules",
    [
        {"ignore_params": ["nonce"]},
        {"view": lambda call: call.without("nonce")},
        {"view": lambda call: call.replace(form={**dict(call.form), "nonce": 0})},
        {"ignore_body_of": ["*/private/*"]},
    ],
)
def test_a_nonce(server: RawServer, tmp_path: Path, rules: dict[str, Any]) -> None:
    result = record_then_replay_by(tmp_path, server, lambda: kraken(server.url), **rules)
    assert [one["result"]["symbol"] for one in result] == ["A", "B", "A"]
    for text in (KEY, SECRET):
        assert files_with(tmp_path, text) == []


def test_a_clock_beside_a_signature_counts_for_nothing(server: RawServer, tmp_path: Path) -> None:
    result = record_then_replay_by(tmp_path, server, lambda: binance(server.url))
    assert [one["result"]["symbol"] for one in result] == ["A", "B", "A"]
    for text in (KEY, SECRET):
        assert files_with(tmp_path, text) == []


def test_an_exchange_at_another_address(server: RawServer, tmp_path: Path) -> None:
    """As from the test network of one to its own."""

    def moved() -> None:
        urls.append("http://elsewhere.test:99")

    urls = [server.url]
    record_then_replay_by(
        tmp_path, server, lambda: binance(urls[-1]), later=moved, match_host=False
    )
