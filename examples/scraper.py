"""A scraper as people write them: plain requests and urllib3, nothing else.

It knows nothing of recording or replay. It makes the kinds of calls that real
collectors make (retries, a thread pool, streaming, a login, redirects,
conditional requests) and returns what it found, free of anything that changes
between runs, so that results can be compared.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

TIMEOUT = 10.0
WORKERS = 4


class _Links(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the href of each anchor."""
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _session() -> requests.Session:
    """Return a session that retries a service that is briefly unavailable."""
    session = requests.Session()
    retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
    session.mount("http://", HTTPAdapter(max_retries=retry, pool_maxsize=WORKERS))
    return session


def _symbols(session: requests.Session, base_url: str) -> list[str]:
    """Follow the pages of the symbol list to its end."""
    symbols: list[str] = []
    path: str | None = "/symbols?page=1"
    while path:
        response = session.get(base_url + path, timeout=TIMEOUT)
        response.raise_for_status()
        page = response.json()
        symbols += page["symbols"]
        path = page["next"]
    return symbols


def _bars(session: requests.Session, base_url: str, symbol: str) -> dict[str, object]:
    """Fetch the daily bars of a symbol and keep the closes."""
    response = session.get(f"{base_url}/bars/{symbol}", params={"interval": "1d"}, timeout=TIMEOUT)
    response.raise_for_status()
    return {
        "sha256": _sha256(response.content),
        "encoding": response.headers.get("Content-Encoding"),
        "closes": [bar["close"] for bar in response.json()["bars"]],
    }


def _history(session: requests.Session, base_url: str, symbol: str) -> dict[str, object]:
    """Stream the CSV history of a symbol piece by piece."""
    body = bytearray()
    with session.get(f"{base_url}/history/{symbol}.csv", stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        for piece in response.iter_content(chunk_size=100):
            body += piece
    rows = list(csv.DictReader(body.decode().splitlines()))
    return {
        "sha256": _sha256(bytes(body)),
        "rows": len(rows),
        "last_close": float(rows[-1]["close"]),
    }


def _quote(session: requests.Session, base_url: str, symbol: str) -> dict[str, object]:
    """Fetch a quote from its old address, which redirects."""
    response = session.get(f"{base_url}/quote/{symbol}", timeout=TIMEOUT)
    return {
        "status": response.status_code,
        "close": response.json()["close"],
        "url": response.url.removeprefix(base_url),
        "history": [
            [step.status_code, step.url.removeprefix(base_url)] for step in response.history
        ],
    }


def _order(
    session: requests.Session, base_url: str, symbol: str, side: str, quantity: int
) -> dict[str, object]:
    """Ask what an order would cost."""
    order = {"symbol": symbol, "side": side, "quantity": quantity}
    response = session.post(f"{base_url}/orders/preview", json=order, timeout=TIMEOUT)
    return {"status": response.status_code, "preview": response.json()}


def _login(session: requests.Session, base_url: str) -> dict[str, object]:
    """Log in with a form; the session keeps the cookie, the result its name."""
    form = {"user": "demo", "password": "not a secret"}
    response = session.post(f"{base_url}/login", data=form, timeout=TIMEOUT)
    return {
        "status": response.status_code,
        "user": response.json()["user"],
        "cookies": sorted(session.cookies.keys()),
    }


def _missing(session: requests.Session, base_url: str) -> dict[str, object]:
    """Ask for what is not there, and take the error as an answer."""
    try:
        response = session.get(f"{base_url}/missing", timeout=TIMEOUT)
        response.raise_for_status()
    except requests.HTTPError as error:
        return {"status": error.response.status_code, "error": error.response.json()}
    return {"status": response.status_code, "error": None}


def _calendar(pool: urllib3.PoolManager, base_url: str) -> dict[str, object]:
    """Fetch the calendar, then ask whether it has changed."""
    first = pool.request("GET", f"{base_url}/calendar", timeout=TIMEOUT)
    etag = first.headers["ETag"]
    again = pool.request(
        "GET",
        f"{base_url}/calendar",
        headers={"If-None-Match": etag},
        timeout=TIMEOUT,
    )
    return {
        "statuses": [first.status, again.status],
        "etag": etag,
        "holidays": json.loads(first.data)["holidays"],
    }


def _index(pool: urllib3.PoolManager, base_url: str) -> dict[str, object]:
    """Fetch the front page and collect its links."""
    response = pool.request("GET", f"{base_url}/", timeout=TIMEOUT)
    links = _Links()
    links.feed(response.data.decode())
    return {
        "status": response.status,
        "sha256": _sha256(response.data),
        "links": links.targets,
    }


def run(base_url: str) -> dict[str, object]:
    """Scrape the market server at base_url and return what was found.

    The result is plain, JSON-able, and the same for every run against the same
    content: addresses are relative to base_url.
    """
    base_url = base_url.rstrip("/")
    with _session() as session, urllib3.PoolManager() as pool:
        index = _index(pool, base_url)
        symbols = _symbols(session, base_url)
        with ThreadPoolExecutor(max_workers=WORKERS) as workers:
            bars = workers.map(lambda name: _bars(session, base_url, name), symbols)
            bars_by_symbol = dict(zip(symbols, bars, strict=True))
        flaky = session.get(f"{base_url}/flaky", timeout=TIMEOUT)
        return {
            "index": index,
            "symbols": symbols,
            "bars": bars_by_symbol,
            "history": {name: _history(session, base_url, name) for name in symbols[:2]},
            "quote": _quote(session, base_url, symbols[0]),
            "flaky": {"status": flaky.status_code, "body": flaky.json()},
            "calendar": _calendar(pool, base_url),
            "login": _login(session, base_url),
            "orders": [
                _order(session, base_url, symbols[0], "buy", 100),
                _order(session, base_url, symbols[0], "sell", 25),
                _order(session, base_url, symbols[0], "sell", 0),
            ],
            "missing": _missing(session, base_url),
        }


def main() -> int:
    """Scrape the server whose base address is the only argument; print JSON."""
    if len(sys.argv) != 2:
        print("usage: scraper.py BASE_URL", file=sys.stderr)
        return 2
    print(json.dumps(run(sys.argv[1]), indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
