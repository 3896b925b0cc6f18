"""A demonstration that needs neither network nor checkout: record, stop the server, replay.

A server on loopback does what data services do to a client (pages, gzip, chunks, a redirect, a
service that fails once, a login), and a scraper that knows nothing of this package asks it.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..api import IngestSession
from ..errors import ReplayMissError

SOURCE = "demo"
_CITIES = ("Bergen", "Cadiz", "Fes", "Lund", "Namur", "Split")
_PAGE = 2
_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """What came of it.

    Attributes:
        recorded: id of the session.
        found: what the scraper found, first while it was recorded, then replayed; ``None`` where a
            call was not in the store.
        seconds: how long it took, both times.
        asked: how many requests the server got, both times.
    """

    recorded: str
    found: tuple[dict[str, Any], dict[str, Any] | None]
    seconds: tuple[float, float]
    asked: tuple[int, int]

    @property
    def equal(self) -> bool:
        """Replay found what the recording had found, and asked nobody."""
        return self.found[0] == self.found[1] and not self.asked[1]


def demonstrate(root: Path) -> Demonstrated:
    """Record the scraper into a store, stop the server, and replay it from there.

    Raises:
        StoreError: the store can't be made there.
    """
    with _serving() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        began = time.perf_counter()
        with IngestSession(SOURCE, root, "record") as ingest:
            found = scrape(url)
        recorded, asked = time.perf_counter() - began, server.asked
    began = time.perf_counter()
    replayed: dict[str, Any] | None = None
    try:
        with IngestSession(SOURCE, root, "replay", session=ingest.id):
            replayed = scrape(url)
    except ReplayMissError:
        replayed = None
    return Demonstrated(
        ingest.id,
        (found, replayed),
        (recorded, time.perf_counter() - began),
        (asked, server.asked - asked),
    )


# -- the program -----------------------------------------------------------------------------------


def scrape(url: str) -> dict[str, Any]:
    """Ask the server for all it has, and return it."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=Retry(2, status_forcelist=[503])))
        login = {"user": "demo", "password": "a secret of some length"}
        user = session.post(f"{url}/login", data=login, timeout=_TIMEOUT).json()["user"]
        cities: list[str] = []
        page: int | None = 1
        while page is not None:
            answer = session.get(f"{url}/cities", params={"page": page}, timeout=_TIMEOUT).json()
            cities += answer["cities"]
            page = answer["next"]
        weather = {
            city: session.get(f"{url}/weather/{city}", timeout=_TIMEOUT).json() for city in cities
        }
        table = session.get(f"{url}/table.csv", timeout=_TIMEOUT).text
        moved = session.get(f"{url}/news", timeout=_TIMEOUT)
        flaky = session.get(f"{url}/flaky", timeout=_TIMEOUT).json()
        missing = session.get(f"{url}/missing", timeout=_TIMEOUT).status_code
    return {
        "user": user, "weather": weather, "rows": table.splitlines(), "flaky": flaky,
        "news": [moved.url.removeprefix(url), moved.text], "missing": missing,
    }  # fmt: skip


# -- the server ------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked = 0
    failed = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Heads and bodies are written apart; the second is not to wait for the first's receipt.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer by the path."""
        self.server.asked += 1
        path, _, query = self.path.partition("?")
        match path.split("/")[1:]:
            case ["cities"]:
                page = int(parse_qs(query)["page"][0])
                cities = _CITIES[(page - 1) * _PAGE : page * _PAGE]
                more = page + 1 if page * _PAGE < len(_CITIES) else None
                self._json({"cities": cities, "next": more})
            case ["weather", city]:
                self._json({"city": city, "days": _days(city)}, compressed=True)
            case ["table.csv"]:
                self._chunked("".join(f"{city},{len(city)}\n" for city in _CITIES).encode())
            case ["news"]:
                self._send(302, b"", {"Location": "/news/today"})
            case ["news", "today"]:
                page_of_news = "<html><body><h1>Café reopens</h1></body></html>\n".encode()
                self._send(200, page_of_news, {"Content-Type": "text/html; charset=utf-8"})
            case ["flaky"] if not self.server.failed:
                self.server.failed = True
                self._json({"error": "try again"}, 503)
            case ["flaky"]:
                self._json({"status": "ok"})
            case _:
                self._json({"error": "not found"}, 404)

    def do_POST(self) -> None:
        """Log in."""
        self.server.asked += 1
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        cookie = {"Set-Cookie": "session=2f9c61e07d3b4a58; HttpOnly"}
        self._json({"user": form["user"][0]}, 200 if urlsplit(self.path).path == "/login" else 404,
                   headers=cookie)  # fmt: skip

    def _json(
        self,
        value: object,
        status: int = 200,
        *,
        compressed: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        body = json.dumps(value).encode()
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        if compressed:
            body = gzip.compress(body, mtime=0)
            all_headers["Content-Encoding"] = "gzip"
        self._send(status, body, all_headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 16):
            piece = body[start : start + 16]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def _days(city: str) -> list[dict[str, object]]:
    return [
        {"date": f"2024-03-{day:02}", "high": sum(map(ord, city)) % 17 + day / 10, "rain": day % 3}
        for day in range(1, 15)
    ]


@contextmanager
def _serving() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
