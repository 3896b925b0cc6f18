"""Runs the same code plainly, recorded and replayed, and compares all that it can observe."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests
import urllib3

from mxm_dataio import IngestSession, Redaction, mount
from tests.support.servers import RawServer

SOURCE = "test"
ADDRESS = re.compile(r"0x[0-9a-f]+")
# Fidelity is measured with redaction off; what redaction changes has tests of its own.
EXACT = Redaction(headers=frozenset(), names=frozenset(), userinfo=False, words=False)
_DEPTH = 6


class Raised(NamedTuple):
    """An exception as comparable data, object addresses left out."""

    name: str
    text: str
    args: list[Any]
    reason: Raised | None
    facts: dict[str, Any]
    cause: Raised | None
    context: Raised | None


def outcome(work: Callable[[], Any]) -> Any:
    """Return what the work returned, or its exception with classes and words down the chain."""
    try:
        return work()
    except (AssertionError, NameError):
        raise  # A fault of the test itself would be the same in all three ways.
    except Exception as exc:
        return describe(exc)


def describe(exc: BaseException | None, depth: int = 0) -> Raised | None:
    """Return an exception, and those it came from, as comparable data."""
    if exc is None or depth > _DEPTH:
        return None
    reason = getattr(exc, "reason", None)
    return Raised(
        type(exc).__name__,
        _text(exc),
        [_argument(arg, depth) for arg in exc.args],
        describe(reason, depth + 1) if isinstance(reason, BaseException) else None,
        _facts(exc),
        describe(exc.__cause__, depth + 1),
        None if exc.__suppress_context__ else describe(exc.__context__, depth + 1),
    )


def _argument(arg: Any, depth: int) -> Any:
    if isinstance(arg, BaseException):
        return describe(arg, depth + 1)
    if isinstance(arg, str):
        return _text(arg)
    return arg if isinstance(arg, (bytes, int, type(None))) else _text(repr(arg))


def _text(value: object) -> str:
    return ADDRESS.sub("…", str(value))


def _facts(exc: BaseException) -> dict[str, Any]:
    """Return what a program may ask of an exception besides its arguments."""
    facts: dict[str, Any] = {}
    for name in ("errno", "strerror", "partial", "expected", "url", "verify_code", "length"):
        if hasattr(exc, name):
            facts[name] = _argument(getattr(exc, name), 0)
    if isinstance(exc, requests.RequestException):
        request, response = exc.request, exc.response
        facts["request"] = (request.method, request.url) if request is not None else None
        facts["response"] = (response.status_code, response.url) if response is not None else None
    return facts


def three_ways(
    root: Path,
    server: RawServer | None,
    work: Callable[[], Any],
    *,
    before_replay: Callable[[], Any] = lambda: None,
    **options: Any,
) -> Any:
    """Run work plainly, recorded and replayed; all three must observe the same."""

    def run(_ingest: IngestSession | None) -> Any:
        return outcome(work)

    return _compare(root, server, run, before_replay, options)


def mounted(
    root: Path,
    server: RawServer | None,
    work: Callable[[requests.Session], Any],
    *,
    before_replay: Callable[[], Any] = lambda: None,
    **options: Any,
) -> Any:
    """Do as `three_ways` through a `requests.Session`, captured by `mount` and not by the hook."""

    def run(ingest: IngestSession | None) -> Any:
        with requests.Session() as session:
            if ingest is None:
                return outcome(lambda: work(session))
            with mount(session, ingest):
                return outcome(lambda: work(session))

    return _compare(root, server, run, before_replay, {"hook": False, **options})


def _compare(
    root: Path,
    server: RawServer | None,
    run: Callable[[IngestSession | None], Any],
    before_replay: Callable[[], Any],
    options: dict[str, Any],
) -> Any:
    options = {"redaction": EXACT, **options}
    before = server.connections if server else 0
    plain = run(None)
    after = server.connections if server else 0
    with IngestSession(SOURCE, root, "record", **options) as ingest:
        recorded = run(ingest)
    assert recorded == plain, f"recording differs at {difference(recorded, plain)}"
    if server is not None:
        assert server.connections - after == after - before, "other connections under capture"
        server.settle()
    hits = server.hits if server else 0
    before_replay()
    with IngestSession(SOURCE, root, "replay", **options) as ingest:
        replayed = run(ingest)
    assert replayed == plain, f"replay differs at {difference(replayed, plain)}"
    if server is not None:
        server.settle()
        assert server.hits == hits, "replay reached the server"
    return plain


def difference(got: Any, wanted: Any, at: str = "") -> str:
    """Return where two observations first differ, and how."""
    if type(got) is type(wanted) and isinstance(got, dict) and got.keys() == wanted.keys():
        pairs = [(f"{at}[{key!r}]", got[key], wanted[key]) for key in got]
    elif type(got) is type(wanted) and isinstance(got, (list, tuple)) and len(got) == len(wanted):
        names = getattr(got, "_fields", range(len(got)))
        pairs = [(f"{at}.{name}", *both) for name, *both in zip(names, got, wanted, strict=True)]
    else:
        pairs = []
    for place, left, right in pairs:
        if left != right:
            return difference(left, right, place)
    return f"{at or 'its top'}: {got!r} is not {wanted!r}"


def observe(response: requests.Response | urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """Return all that a program can see of a response, its body read last."""
    raw = response.raw if isinstance(response, requests.Response) else response
    seen: dict[str, Any] = {
        "type": type(raw).__name__,
        "status": raw.status,
        "reason": raw.reason,
        "version": raw.version,
        "version_string": getattr(raw, "version_string", None),
        "headers": list(raw.headers.items()),
        "joined": dict(raw.headers),
        "lists": {name: raw.headers.getlist(name) for name in raw.headers},
        "length_remaining": raw.length_remaining,
        "chunked": raw.chunked,
        "geturl": raw.geturl(),
        "url": getattr(raw, "url", None),
        "settings": (raw.decode_content, raw.enforce_content_length, raw.auto_close),
        "file": (raw.readable(), raw.isclosed(), raw.closed, raw.supports_chunked_reads()),
        "original": _original(raw._original_response),
        "retries": counted(raw.retries),
    }
    if isinstance(response, requests.Response):
        seen |= _observe_requests(response)
    else:
        seen["data"] = response.data
    seen |= {
        "tell": raw.tell(),
        "left": raw.length_remaining,
        "closed": (raw.isclosed(), raw.closed),
    }
    return seen


def _original(original: http.client.HTTPResponse | None) -> Any:
    """Return what cookie jars and debuggers see of the answer under urllib3's."""
    if original is None:
        return None
    facts = (original.status, original.reason, original.version, original.length, original.chunked)
    return facts, original.msg.items(), original.getheaders(), original.info().as_bytes()


def counted(retries: Any) -> Any:
    """Return the state of a `Retry`: what is left, and every field of its history."""
    if retries is None:
        return None
    left = [getattr(retries, name) for name in ("total", "connect", "read", "redirect", "status")]
    history = [(*h[:2], describe(h.error), *h[3:]) for h in retries.history]
    return left, getattr(retries, "other", None), history


def _observe_requests(response: requests.Response) -> dict[str, Any]:
    return {
        "address": response.url,
        "encoding": response.encoding,
        "request": (response.request.method, response.request.url),
        "history": [(h.status_code, h.url, h.content, h.is_redirect) for h in response.history],
        "following": response.next.url if response.next else None,
        "cookies": jar(response.cookies),
        "elapsed": response.elapsed > timedelta(0),
        "adapter": isinstance(response.connection, requests.adapters.BaseAdapter),
        "links": response.links,
        "judged": (response.ok, bool(response), response.is_permanent_redirect),
        "content": outcome(lambda: response.content),
        "apparent_encoding": outcome(lambda: response.apparent_encoding),
        "text": outcome(lambda: response.text),
        "complaint": outcome(response.raise_for_status) if not response.ok else None,
    }


def jar(cookies: Any) -> list[Any]:
    """Return every detail of the cookies of a jar, in order."""
    details = [vars(cookie) | {"rest": dict(vars(cookie)["_rest"])} for cookie in cookies]
    return sorted((sorted(detail.items(), key=str) for detail in details), key=str)
