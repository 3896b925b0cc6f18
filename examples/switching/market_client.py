"""The client that this project tests: a few calls of a market-data service."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import requests

BASE = "http://market.test"


class MarketError(Exception):
    """The service refused what was asked."""


class Market:
    """A connection to the service."""

    def __init__(self, key: str = "", base: str = BASE) -> None:
        self._base = base
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def login(self, user: str, password: str) -> str:
        """Log in, and return the user's name; the session cookie is kept."""
        answer = self._session.post(
            f"{self._base}/login", data={"user": user, "password": password}, timeout=10
        )
        return str(self._checked(answer).json()["user"])

    @property
    def logged_in(self) -> bool:
        """Whether the service has given a session cookie."""
        return "session" in self._session.cookies

    def page(self, number: int) -> list[str]:
        """Return one page of the symbols."""
        return list(self._json("/symbols", page=number)["symbols"])

    def symbols(self) -> Iterator[str]:
        """Yield all symbols, page by page."""
        path: str | None = "/symbols?page=1"
        while path:
            page = self._json(path)
            yield from page["symbols"]
            path = page["next"]

    def bars(self, symbol: str, interval: str = "1d") -> list[dict[str, Any]]:
        """Return the daily bars of a symbol."""
        return list(self._json(f"/bars/{symbol}", interval=interval)["bars"])

    def quote(self, symbol: str) -> dict[str, Any]:
        """Return the latest bar; the service redirects to where it is."""
        return self._json(f"/quote/{symbol}")

    def history(self, symbol: str) -> list[dict[str, str]]:
        """Return the history as rows of a CSV file."""
        answer = self._session.get(f"{self._base}/history/{symbol}.csv", timeout=10)
        return list(csv.DictReader(io.StringIO(self._checked(answer).text)))

    def preview(self, symbol: str, side: str, quantity: int) -> dict[str, Any]:
        """Return what an order would cost."""
        order = {"symbol": symbol, "side": side, "quantity": quantity}
        answer = self._session.post(f"{self._base}/orders/preview", json=order, timeout=10)
        return dict(self._checked(answer).json())

    def status(self) -> str:
        """Return whether the service is up; it fails now and then."""
        answer = self._session.get(f"{self._base}/flaky", timeout=10)
        return str(answer.json().get("status", answer.status_code))

    def _json(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._session.get(self._base + path, params=params, timeout=10)
        return dict(self._checked(answer).json())

    def _checked(self, answer: requests.Response) -> requests.Response:
        if answer.status_code >= 400:
            raise MarketError(answer.json()["error"])
        return answer
