"""The hook: sees and answers every urllib3 call of the process while a session is active."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import urllib3
from urllib3.util.retry import Retry

from ...ingest.active import active
from ...ingest.capture import Capture
from ...ingest.misses import replayed
from ...models import Exchange, Mode
from .. import unix_sockets
from ..headers import header_pairs
from ..patches import Patches
from ..plan import Plan
from ..taps import bracketed, recorded, under_way
from ..uploads import Upload
from . import taps
from .classes import Connection, Pool, TLSConnection
from .taps import tapped


def text_bytes(body: Any, *, chunked: bool = False) -> Any:
    """Return a text body as the bytes urllib3 sends."""
    if isinstance(body, str):
        return body.encode(_text_coding(chunked), "replace")
    return bytes(body) if isinstance(body, bytearray) else body


def _text_coding(chunked: bool) -> str:
    """Return the coding of text: UTF-8; before urllib3 2.0 http.client's, except in chunks."""
    old = hasattr(urllib3.HTTPResponse, "from_httplib")
    return "latin-1" if old and not chunked else "utf-8"


def planned(
    ingest: Capture,
    method: str,
    url: str,
    headers: Any,
    body: Any,
    *,
    chunked: bool = False,
) -> Plan:
    """Return what to do with a call of urllib3's or requests'.

    Args:
        chunked: the program asked urllib3 for chunks.

    Raises:
        ReplayMissError: replay holds no such call.
    """
    body = text_bytes(body, chunked=chunked)

    pairs = header_pairs(headers)
    if isinstance(body, (bytes, type(None))):
        return Plan(ingest, method, url, pairs, body)
    upload = Upload(body, _text_coding(chunked), ingest.spool)
    return Plan(ingest, method, url, pairs, body, upload.read, upload.again)


def url_of(pool: Any, url: str) -> str:
    """Return the absolute URL of a call of ``pool.urlopen(method, url)``."""
    if "://" in url.partition("?")[0]:
        return url
    host = bracketed(pool.host or "")
    port = f":{pool.port}" if pool.port else ""
    path = url if url.startswith("/") else f"/{url}"
    return unix_sockets.url_of(pool, f"{pool.scheme}://{host}{port}{path}")


# How ``urlopen`` names its first arguments, in their order.
_NAMES = ("method", "url", "body", "headers", "retries", "redirect")


def _urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Passed on exactly as they came: what is below may be the program's own replacement.
        given = {"retries": None, "redirect": True, **dict(zip(_NAMES, args, strict=False))}
        given |= kwargs
        call = under_way()
        if call is not None:
            # urllib3 calls itself for each retry and redirect; the history tells why.
            history = getattr(given["retries"], "history", ())
            if history:
                call.blame(history[-1].error)
            return original(self, *args, **kwargs)
        ingest = active()
        if ingest is None or ingest.mode is Mode.OFF or not {"method", "url"} <= given.keys():
            return original(self, *args, **kwargs)
        headers = given.get("headers")
        if headers is None:
            headers = self.headers
        url, chunked = url_of(self, given["url"]), bool(given.get("chunked"))
        plan = planned(ingest, given["method"], url, headers, given.get("body"), chunked=chunked)
        if plan.passes:
            return original(self, *args, **kwargs)
        if plan.serve is not None:
            return _replay(plan, plan.serve, self, given)
        if plan.again is not None:
            args, kwargs = _with_body(args, kwargs, plan.again)
        call = plan.call()
        response = recorded(call, original, self, *args, **kwargs)
        try:
            stored = plan.stands_in(call, response.status if response is not None else None)
            if stored is not None:
                if response is not None:
                    response.drain_conn()
                    response.release_conn()
                    call.returned()
                return _replay(plan, stored, self, given)
            if not call.attempts:
                call.lose(RuntimeError("no connection of urllib3's brought the answer (a mock?)"))
            call.returned()
            return response
        finally:
            # A retry's error keeps this frame, and the response its history: a cycle otherwise.
            del response

    return urlopen


def _with_body(
    args: tuple[Any, ...], kwargs: dict[str, Any], body: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of ``urlopen`` with another body."""
    at = _NAMES.index("body")
    if len(args) > at:
        return (*args[:at], body, *args[at + 1 :]), kwargs
    return args, {**kwargs, "body": body}


# The last is urllib3 1.26's.
_RESPONSE_KW = ("preload_content", "decode_content", "enforce_content_length", "request_url")


def _replay(plan: Plan, stored: Exchange, pool: Any, given: dict[str, Any]) -> Any:
    from .response import replay  # a session that only records has none
    from .retrying import settle

    response_kw = {name: given[name] for name in _RESPONSE_KW if name in given}
    method, url = given["method"], given["url"]
    retry = Retry.from_int(given["retries"], redirect=given["redirect"], default=pool.retries)
    stored, retry = settle(plan, stored, retry, method, url, pool)
    return replay(
        plan.store,
        stored,
        pool,
        method,
        url,
        retry,
        response_kw,
        plan.ingest.missed,
        partial(replayed, plan.ingest),
    )


def _given(method: Any) -> Callable[[Any], Any]:
    return lambda _: method


class Hook(Patches):
    """Replaces methods of urllib3's pool and connection classes."""

    def replace_all(self) -> None:
        # The pool comes last and goes first: a call that it sees has to meet the taps.
        for name, method in tapped(Connection, own=False).items():
            self.replace(Connection, name, _given(method))
        # Where urllib3's TLS connection overrides, its own methods are replaced as well.
        for name, method in tapped(TLSConnection, own=True).items():
            self.replace(TLSConnection, name, _given(method))
        self.replace(Pool, "urlopen", _urlopen)
        taps.hooked = True

    def _put_back(self) -> None:
        taps.hooked = False
        super()._put_back()


HOOK = Hook()
