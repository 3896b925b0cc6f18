"""Runs the same code plainly, recorded and replayed, and compares all that it can observe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import urllib3

from mxm_dataio import IngestSession, Redaction
from tests.servers import RawServer

SOURCE = "test"
ADDRESS = re.compile(r"0x[0-9a-f]+|<recorded pool of[^>]*>|HTTPS?ConnectionPool\([^)]*\)")
# Fidelity is measured with redaction off; what redaction changes has tests of its own.
EXACT = Redaction(headers=frozenset(), names=frozenset(), userinfo=False)


def outcome(work: Callable[[], Any]) -> Any:
    """Return what the work returned, or its exception with classes and words down the chain."""
    try:
        return work()
    except Exception as exc:
        return describe(exc)


def describe(exc: BaseException | None, depth: int = 0) -> Any:
    """Return an exception as comparable data, object addresses left out."""
    if exc is None or depth > 3:
        return None
    reason = getattr(exc, "reason", None)
    return (
        type(exc).__name__,
        ADDRESS.sub("…", str(exc)),
        [describe(arg, depth + 1) for arg in exc.args if isinstance(arg, BaseException)],
        describe(reason, depth + 1) if isinstance(reason, BaseException) else None,
    )


def three_ways(
    root: Path, server: RawServer | None, work: Callable[[], Any], **options: Any
) -> Any:
    """Run work plainly, recorded and replayed; all three must observe the same."""
    options = {"redaction": EXACT, **options}
    before = server.connections if server else 0
    plain = outcome(work)
    after = server.connections if server else 0
    with IngestSession(SOURCE, root, "record", **options):
        recorded = outcome(work)
    assert recorded == plain
    if server is not None:
        assert server.connections - after == after - before, "other connections under capture"
    hits = server.hits if server else 0
    with IngestSession(SOURCE, root, "replay", **options):
        replayed = outcome(work)
    assert replayed == plain
    if server is not None:
        assert server.hits == hits, "replay reached the server"
    return plain


def observe(response: requests.Response | urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """Return all that a program can see of a response, its body read last."""
    raw = response.raw if isinstance(response, requests.Response) else response
    original = raw._original_response
    seen: dict[str, Any] = {
        "status": raw.status,
        "reason": raw.reason,
        "version": raw.version,
        "version_string": getattr(raw, "version_string", None),
        "headers": list(raw.headers.items()),
        "msg": original.msg.items() if original is not None else None,
        "length_remaining": raw.length_remaining,
        "chunked": raw.chunked,
        "geturl": raw.geturl(),
        "type": type(raw).__name__,
        "retries": [h[:2] + h[3:] for h in raw.retries.history] if raw.retries else None,
    }
    if isinstance(response, requests.Response):
        seen |= {
            "url": response.url,
            "encoding": response.encoding,
            "history": [h.status_code for h in response.history],
            "cookies": sorted(response.cookies.keys()),
            "content": response.content,
        }
    else:
        seen["data"] = response.data
    seen |= {"tell": raw.tell(), "closed": raw.closed}
    return seen
