"""A network that drops, delays and refuses, before a real S3."""

from __future__ import annotations

import http.client
import random
import threading
import time

from tests.support.servers import Connection, answer


class Unreliable:
    """A proxy before an S3 that drops, delays, and answers in its place."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self._endpoint = endpoint.removeprefix("http://")
        self._draw = random.Random(seed)
        self._lock = threading.Lock()
        self.done: list[str] = []

    def __call__(self, connection: Connection) -> None:
        while request := connection.read_request():
            with self._lock:
                what = self._draw.choices(
                    ["pass", "drop", "lose", "503", "429", "delay"], [60, 8, 8, 12, 4, 8]
                )[0]
                self.done.append(what)
            if what == "drop":
                return
            if what in ("503", "429"):
                body = b"<Error><Code>SlowDown</Code></Error>"
                connection.send(answer(int(what), body))
                continue
            if what == "delay":
                time.sleep(0.3)
            upstream = http.client.HTTPConnection(self._endpoint, timeout=30)
            headers = dict(request.headers)
            upstream.request(request.method, request.target, request.body, headers)
            came = upstream.getresponse()
            body = came.read()
            upstream.close()
            if what == "lose":
                # It was done, and nobody is told.
                return
            kept = [
                pair for pair in came.getheaders()
                if pair[0].lower() not in ("transfer-encoding", "content-length", "connection")
            ]  # fmt: skip
            if request.method == "HEAD":
                kept.append(("Content-Length", came.getheader("Content-Length") or "0"))
                connection.send(answer(came.status, b"", headers=kept))
            else:
                connection.send(answer(came.status, body, headers=kept))
