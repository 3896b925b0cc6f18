"""Redirects plainly, recorded and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
import urllib3

from tests.harness import observe, outcome, three_ways
from tests.servers import RawServer, answer, responder


def test_redirects_and_cookies(tmp_path: Path) -> None:
    with RawServer(
        responder(
            {
                "/start": answer(302, headers=[("Location", "/next"), ("Set-Cookie", "a=1; Path=/")]),
                "/next": answer(301, b"moved", headers=[("Location", "/end")]),
                "/end": answer(200, b"here", headers=[("Set-Cookie", "b=2")]),
                "/post": answer(303, headers=[("Location", "/end")]),
                "/keep": answer(307, headers=[("Location", "/end")]),
                "/loop": answer(302, headers=[("Location", "/loop")]),
            }
        )
    ) as server:  # fmt: skip

        def work() -> Any:
            with requests.Session() as session:
                session.max_redirects = 4
                got = [
                    observe(session.get(f"{server.url}/start")),
                    observe(session.post(f"{server.url}/post", data={"q": "1"})),
                    observe(session.post(f"{server.url}/keep", json={"q": [1, 2]})),
                    outcome(lambda: session.get(f"{server.url}/loop")),
                    sorted(session.cookies.keys()),
                ]
            with urllib3.PoolManager() as pool:
                got += [observe(pool.request("GET", f"{server.url}/start"))]
                got += [outcome(lambda: pool.request("GET", f"{server.url}/loop", retries=3))]
            # A bare pool follows redirects itself: attempts of one call.
            with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
                got += [observe(bare.request("GET", "/start"))]
            return got

        three_ways(tmp_path, server, work)
