"""A small market-data server on loopback, so that the demo needs no network.

It shows what real data services do to a client: paged JSON, gzip, chunked
transfer coding, redirects, a service that fails now and then, validators,
forms and cookies. What it answers depends on the requests alone, never on the
clock or the port, so two runs of a client can be compared byte for byte.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

SYMBOLS: Sequence[str] = (
    "ALFA",
    "BRVO",
    "CHRL",
    "DLTA",
    "ECHO",
    "FXTR",
    "GOLF",
    "HOTL",
    "INDI",
)
PAGE_SIZE = 3
BAR_COUNT = 40
FIRST_DAY = date(2024, 1, 1)
CHUNK_SIZES = (1, 7, 13, 97, 331)
HOLIDAYS = ("2024-01-01", "2024-03-29", "2024-05-27", "2024-12-25")

_INDEX_HTML = (
    "<!DOCTYPE html>\n<html><head><title>Loopback Market</title></head><body>\n<ul>\n"
    + "".join(f'<li><a href="/quote/{name}">{name}</a></li>\n' for name in SYMBOLS)
    + "</ul>\n</body></html>\n"
).encode()
_CALENDAR = json.dumps({"holidays": HOLIDAYS}).encode()
_CALENDAR_ETAG = f'"{hashlib.sha256(_CALENDAR).hexdigest()[:16]}"'


def _bars(symbol: str) -> list[dict[str, str | float | int]]:
    """Return the daily bars of a symbol, a walk seeded by its name."""
    bars: list[dict[str, str | float | int]] = []
    close = 5_000 + 100 * hashlib.sha256(symbol.encode()).digest()[0]
    for number in range(BAR_COUNT):
        seed = hashlib.sha256(f"{symbol}:{number}".encode()).digest()
        opened, close = close, max(100, close + seed[0] - 127)
        bars.append(
            {
                "date": (FIRST_DAY + timedelta(days=number)).isoformat(),
                "open": opened / 100,
                "high": (max(opened, close) + seed[1]) / 100,
                "low": max(1, min(opened, close) - seed[2] // 4) / 100,
                "close": close / 100,
                "volume": 1_000 * (1 + seed[3]),
            }
        )
    return bars


def _csv(symbol: str) -> bytes:
    """Return the bars of a symbol as CSV, header line first."""
    bars = _bars(symbol)
    rows = [",".join(bars[0]), *(",".join(map(str, bar.values())) for bar in bars)]
    return ("\n".join(rows) + "\n").encode()


def _preview(order: object) -> dict[str, object] | None:
    """Return the preview of an order, or None if it is not a valid order."""
    if not isinstance(order, dict):
        return None
    symbol, side, quantity = (order.get(key) for key in ("symbol", "side", "quantity"))
    if symbol not in SYMBOLS or side not in ("buy", "sell"):
        return None
    if not isinstance(quantity, int) or quantity <= 0:
        return None
    price = float(_bars(str(symbol))[-1]["close"])
    canonical = json.dumps([symbol, side, quantity]).encode()
    return {
        "preview_id": hashlib.sha256(canonical).hexdigest()[:12],
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "price": price,
        "notional": round(price * quantity, 2),
        "fee": round(1 + 0.0005 * price * quantity, 2),
    }


class _Server(ThreadingHTTPServer):
    """The HTTP server with what its request threads share.

    Open connections are kept so that stopping the server ends them too: a
    client that holds a keep-alive connection must not go on being served.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.hits = 0
        self.flaky_hits = 0
        self.open_sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and remember its socket."""
        connection, address = super().get_request()
        with self.lock:
            self.open_sockets.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection and forget its socket."""
        if isinstance(request, socket.socket):
            with self.lock:
                self.open_sockets.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End every open connection, which wakes and ends its thread."""
        with self.lock:
            for connection in self.open_sockets:
                with suppress(OSError):  # The peer may have left first.
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(
        self,
        request: socket.socket | tuple[bytes, socket.socket],
        client_address: object,
    ) -> None:
        """Report errors of the server, not of a peer that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Name the server without the version of the interpreter."""
        return "LoopbackMarket"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the demo's own output is what matters."""

    def do_GET(self) -> None:
        """Answer a GET by the path's first segment."""
        self._count()
        target = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(target.query).items()}
        match target.path.split("/")[1:]:
            case [""]:
                self._send(200, _INDEX_HTML, "text/html; charset=utf-8")
            case ["symbols"]:
                self._symbols(query.get("page", "1"))
            case ["bars", symbol] if symbol in SYMBOLS:
                self._send_bars(symbol, query.get("interval", "1d"))
            case ["history", name] if name.removesuffix(".csv") in SYMBOLS:
                self._send_chunked(_csv(name.removesuffix(".csv")), "text/csv")
            case ["quote", symbol] if symbol in SYMBOLS:
                self._send(302, headers={"Location": f"/v2/quote/{symbol}"})
            case ["v2", "quote", symbol] if symbol in SYMBOLS:
                self._send_json(200, {"symbol": symbol, **_bars(symbol)[-1]})
            case ["flaky"]:
                self._flaky()
            case ["calendar"]:
                self._calendar()
            case _:
                self._send_json(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Answer a POST; the body is read first, to keep the connection usable."""
        self._count()
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            self._send_json(411, {"error": "length required"})
            return
        body = self.rfile.read(int(length))
        match urlsplit(self.path).path:
            case "/orders/preview":
                self._preview(body)
            case "/login":
                self._login(body)
            case _:
                self._send_json(404, {"error": "not found"})

    def _count(self) -> None:
        with self.server.lock:
            self.server.hits += 1

    def _symbols(self, page: str) -> None:
        last = -(-len(SYMBOLS) // PAGE_SIZE)
        if not page.isdecimal() or not 1 <= int(page) <= last:
            self._send_json(400, {"error": "no such page"})
            return
        number = int(page)
        content = {
            "page": number,
            "symbols": SYMBOLS[(number - 1) * PAGE_SIZE : number * PAGE_SIZE],
            "next": f"/symbols?page={number + 1}" if number < last else None,
        }
        self._send_json(200, content)

    def _send_bars(self, symbol: str, interval: str) -> None:
        """Send bars, gzip-encoded where accepted.

        The answer does not say ``Vary: Accept-Encoding``, as many a real
        service does not.
        """
        if interval != "1d":
            self._send_json(400, {"error": "unknown interval"})
            return
        content = {"symbol": symbol, "interval": interval, "bars": _bars(symbol)}
        body = json.dumps(content).encode()
        headers: dict[str, str] = {}
        if self._accepts_gzip():
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        self._send(200, body, "application/json", headers)

    def _accepts_gzip(self) -> bool:
        for item in self.headers.get("Accept-Encoding", "").split(","):
            coding, _, weight = item.replace(" ", "").lower().partition(";q=")
            if coding == "gzip":
                return weight.strip("0.") != "" or weight == ""
        return False

    def _flaky(self) -> None:
        """Fail the first hit of each pair, so that one retry always succeeds."""
        with self.server.lock:
            self.server.flaky_hits += 1
            fails = self.server.flaky_hits % 2 == 1
        if fails:
            self._send_json(503, {"error": "try again"}, {"Retry-After": "0"})
        else:
            self._send_json(200, {"status": "ok"})

    def _calendar(self) -> None:
        headers = {"ETag": _CALENDAR_ETAG}
        known = self.headers.get("If-None-Match", "").split(",")
        if {"*", _CALENDAR_ETAG} & {tag.strip().removeprefix("W/") for tag in known}:
            self._send(304, headers=headers)
        else:
            self._send(200, _CALENDAR, "application/json", headers)

    def _preview(self, body: bytes) -> None:
        try:
            preview = _preview(json.loads(body))
        except ValueError:
            preview = None
        if preview is None:
            self._send_json(400, {"error": "not an order"})
        else:
            self._send_json(200, preview)

    def _login(self, body: bytes) -> None:
        form = parse_qs(body.decode("latin-1"))
        user, password = (form.get(key, [""])[0] for key in ("user", "password"))
        if not user or not password:
            self._send_json(401, {"error": "login failed"})
            return
        token = hashlib.sha256(f"{user}:{password}".encode()).hexdigest()[:16]
        cookie = {"Set-Cookie": f"session={token}; Path=/; HttpOnly"}
        self._send_json(200, {"user": user}, cookie)

    def _send_json(
        self, status: int, content: object, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(content).encode()
        self._send(status, body, "application/json", headers)

    def _send(
        self,
        status: int,
        body: bytes = b"",
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send an answer with a Content-Length, but for a 304, which has no body."""
        self._send_head(status, content_type, headers or {})
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_chunked(self, body: bytes, content_type: str) -> None:
        """Send a body in chunks of odd sizes; HTTP/1.0 clients get it whole."""
        if self.request_version == "HTTP/1.0":
            self._send(200, body, content_type)
            return
        self._send_head(200, content_type, {"Transfer-Encoding": "chunked"})
        self.end_headers()
        start, sizes = 0, cycle(CHUNK_SIZES)
        while start < len(body):
            chunk = body[start : start + next(sizes)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            start += len(chunk)
        self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, status: int, content_type: str | None, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")


class MarketServer:
    """The market-data server, listening from construction until `stop`.

    Used as a context manager it stops by itself. Only its loopback port differs
    from one instance to the next.
    """

    def __init__(self) -> None:
        """Start to serve on a free port of 127.0.0.1."""
        self._server = _Server()
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="market-server",
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def hits(self) -> int:
        """How many requests have reached the server, errors included."""
        with self._server.lock:
            return self._server.hits

    def stop(self) -> None:
        """Stop listening and end every connection; further calls do nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.close_connections()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()
