"""A program of many calls, and what it saw: the same live, under another recorder, and replayed.

It knows nothing but requests and urllib3, so that it runs under any recorder of any version.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import requests
import urllib3

Seen = dict[str, Any]


class Steps(dict[str, Callable[[], Seen]]):
    """Calls by their names, in their order, and what lets go of their connections."""

    def __init__(self, calls: dict[str, Callable[[], Seen]], close: Callable[[], None]) -> None:
        super().__init__(calls)
        self.close = close


def digest(data: bytes) -> str:
    """Return a short name of bytes."""
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:12]}"


def _answer(answer: requests.Response, base: str) -> Seen:
    return {
        "status": answer.status_code,
        "reason": answer.reason,
        "url": answer.url.removeprefix(base),
        "body": digest(answer.content),
        "text": answer.text[:40],
        "type": answer.headers.get("Content-Type"),
        "extra": answer.headers.get("X-Extra"),
        "history": [
            [step.status_code, step.url.removeprefix(base), digest(step.content)]
            for step in answer.history
        ],
    }


def by_requests(base: str, session: requests.Session | None = None) -> Steps:
    """Return calls of one ``requests.Session`` by their names, in their order."""
    session = session or requests.Session()

    def call(method: str, path: str, **kw: Any) -> Callable[[], Seen]:
        kw.setdefault("allow_redirects", method != "HEAD")
        return lambda: _answer(session.request(method, base + path, timeout=10, **kw), base)

    def get(path: str, **kw: Any) -> Callable[[], Seen]:
        return call("GET", path, **kw)

    def post(path: str, **kw: Any) -> Callable[[], Seen]:
        return call("POST", path, **kw)

    def streamed() -> Seen:
        with session.get(f"{base}/long", stream=True, timeout=10) as answer:
            return {"pieces": digest(b"".join(answer.iter_content(1000)))}

    def raw() -> Seen:
        with session.get(f"{base}/gzip", stream=True, timeout=10, params={"raw": 1}) as answer:
            data = answer.raw.read()
            return {"raw": data[:2].hex(), "size": len(data)}

    def pieces() -> Any:
        yield b"one,"
        yield b"two"

    calls = {
        "json": get("/json", params={"q": "ä b", "n": ["2", "1"]}),
        "gzip": get("/gzip"),
        "gzip raw": raw,
        "deflate": get("/deflate"),
        "binary": get("/binary"),
        "unicode": get("/unicode"),
        "latin-1": get("/latin1"),
        "chunked": get("/chunked"),
        "long": streamed,
        "form": post("/echo", data={"name": "Zoë", "n": ["2", "1"]}),
        "post json": post("/echo", json={"b": [1, 2.5, None], "a": "ü"}),
        "multipart": post(
            "/size", data={"kind": "x"}, files={"file": ("a.bin", bytes(range(256)), "image/x")}
        ),
        "put bytes": call("PUT", "/size", data=bytes(range(256))),
        "file": post("/size", data=io.BytesIO(b"of a file")),
        "generator": post("/size", data=pieces()),
        "redirect": get("/redirect"),
        "see other": post("/see-other", data=b"x"),
        "no redirect": get("/redirect", allow_redirects=False, params={"stay": ""}),
        "count 1": get("/count"),
        "count 2": get("/count"),
        "count 3": get("/count"),
        "head": call("HEAD", "/json"),
        "options": call("OPTIONS", "/empty"),
        "delete": call("DELETE", "/no-content"),
        "no content": get("/no-content"),
        "not modified": get("/not-modified", headers={"If-None-Match": '"x"'}),
        "empty": get("/empty"),
        "not found": get("/nowhere"),
        "broken": get("/broken"),
        "part": get("/part", headers={"Range": "bytes=0-3"}),
        "cookie": get("/cookie"),
        "with cookie": get("/json", params={"with": "cookie"}),
        "repeats": get("/repeats"),
        "varies": get("/varies"),
        "key": get("/json", params={"api_key": "k-93748201xx"}),
    }
    return Steps(calls, session.close)


def by_urllib3(base: str) -> Steps:
    """Return calls of one ``urllib3.PoolManager`` by their names, in their order."""
    pool = urllib3.PoolManager()

    def seen(answer: Any) -> Seen:
        return {
            "status": answer.status,
            "reason": answer.reason,
            "body": digest(answer.data),
            "type": answer.headers.get("Content-Type"),
        }

    def call(method: str, path: str, **kw: Any) -> Callable[[], Seen]:
        return lambda: seen(pool.request(method, base + path, timeout=10.0, **kw))

    def unread() -> Seen:
        answer = pool.request("GET", f"{base}/gzip?u=2", preload_content=False, timeout=10.0)
        data = answer.read(decode_content=True)
        answer.release_conn()
        return {"status": answer.status, "body": digest(data)}

    calls = {
        "json": call("GET", "/json", fields={"u": "1"}),
        "gzip": call("GET", "/gzip"),
        "gzip read": unread,
        "form": call("POST", "/echo", fields={"u": "1"}, encode_multipart=False),
        "multipart": call("POST", "/size", fields={"u": ("u.txt", "data")}),
        "redirect": call("GET", "/redirect?u=1"),
        "no content": call("DELETE", "/no-content?u=1"),
        "head": call("HEAD", "/json?u=1"),
        "not found": call("GET", "/nowhere?u=1"),
        "binary": call("GET", "/binary?u=1"),
    }
    return Steps(calls, pool.clear)


def run(steps: Steps, leave: frozenset[str] = frozenset()) -> Seen:
    """Make the calls, but for some; what one raises is what it saw."""
    seen: Seen = {}
    for name, step in steps.items():
        if name in leave:
            continue
        try:
            seen[name] = step()
        except Exception as exc:
            seen[name] = {"raised": type(exc).__name__, "said": str(exc)[:200]}
    steps.close()
    return seen
