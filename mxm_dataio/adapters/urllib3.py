"""The hook: sees and answers every urllib3 call of the process while a session is active."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, assert_never

import urllib3
from urllib3 import connection as connections
from urllib3.connectionpool import HTTPConnectionPool

from ..api import IngestSession, active
from ..asking import collector
from ..identity import Identity
from ..models import Exchange, Headers, Mode, Request
from ..policy import Fetch, Miss, Pass, Revalidate, Serve
from ..utils import instant, new_id
from .call import UNSENT, Call, header_pairs, view
from .replay import replay
from .wire import current, tapped

_CONDITIONS = frozenset(
    {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"}
)
_BODY_STEP = 65536


def text_bytes(body: Any, *, chunked: bool = False) -> Any:
    """Return a text body as the bytes urllib3 sends."""
    if isinstance(body, str):
        return body.encode(_text_coding(chunked), "replace")
    return bytes(body) if isinstance(body, bytearray) else body


def _text_coding(chunked: bool) -> str:
    """Return the coding of text: UTF-8; before urllib3 2.0 http.client's, except in chunks."""
    old = hasattr(urllib3.HTTPResponse, "from_httplib")
    return "latin-1" if old and not chunked else "utf-8"


class Plan:
    """A call, what to do with it, and its answer where the store has one.

    Args:
        chunked: the program asked urllib3 for chunks.
    """

    def __init__(
        self,
        ingest: IngestSession,
        method: str,
        url: str,
        headers: Any,
        body: Any,
        *,
        chunked: bool = False,
    ) -> None:
        self.ingest = ingest
        self.method = method
        self.url = url
        self.headers = header_pairs(headers)
        self.body = text_bytes(body, chunked=chunked)
        self._chunked = chunked
        self.serve: Exchange | None = None
        self.stored: Exchange | None = None
        self.passes = False
        self._conditions: Headers = ()
        self._decide()

    def _decide(self) -> None:
        ingest = self.ingest
        streams = not isinstance(self.body, (bytes, type(None)))
        if ingest.mode is Mode.OFF:
            self.passes = True
            return
        if ingest.mode is Mode.RECORD or (ingest.mode is Mode.AUTO and streams):
            # Of a stream nothing is known before it is sent, and it can be sent only once.
            return
        identity = self._identity(streams)
        safe = self.method.upper() in ("GET", "HEAD") and not any(
            name.lower() in _CONDITIONS for name, _ in self.headers
        )
        decision = ingest.decide(identity, conditional=safe)
        if isinstance(decision, Miss) and streams:
            # Perhaps the recorded upload never got as far as being sent.
            decision = ingest.decide(identity.with_body(UNSENT))
        match decision:
            case Pass():
                self.passes = True
            case Fetch():
                pass
            case Serve(stored):
                self.serve = stored
                request = Request(
                    id=new_id(),
                    session_id="",
                    source="",
                    endpoint="",
                    method=self.method.upper(),
                    url=self.url,
                    headers=self.headers,
                    started_at=instant(time.time()),
                    duration=0.0,
                )
                ingest.served(stored, request, identity, collector())
            case Revalidate(stored, conditions):
                self.stored, self._conditions = stored, conditions
            case Miss():
                raise ingest.miss(identity, self.url)
            case _:
                assert_never(decision)

    def _identity(self, streams: bool) -> Identity:
        """Return the identity; a streamed body is read as sending it would have."""
        if not streams:
            return self.ingest.identify(self.method, self.url, self.headers, self.body)
        spool = self.ingest.spool()
        try:
            for part in body_parts(self.body, _text_coding(self._chunked)):
                spool.write(part)
            probe = Call(self.ingest, self.method, self.url, self.headers, self.body)
            self.ingest.settled(probe)
            return probe.identify(spool)
        finally:
            spool.discard()

    def call(self) -> Call:
        """Begin to record."""
        return Call(
            self.ingest,
            self.method,
            self.url,
            self.headers,
            self.body,
            conditions=self._conditions,
        )

    def not_modified(self, call: Call, status: int) -> bool:
        """Say whether a 304 confirmed the stored answer, and note it on the call."""
        if self.stored is None or status != 304:
            return False
        call.revalidated = self.stored
        return True


def body_parts(body: Any, coding: str) -> Any:
    """Yield a streamed body's bytes as urllib3 would send them, from where it stands."""
    if hasattr(body, "read"):
        while part := body.read(_BODY_STEP):
            yield part.encode(coding, "replace") if isinstance(part, str) else part
        return
    try:
        parts: Any = (view(body),)
    except TypeError:
        parts = body
    for part in parts:
        yield part.encode("utf-8") if isinstance(part, str) else part


@contextmanager
def recording(call: Call) -> Any:
    """Make a call the one that the taps report to."""
    token = current.set(call)
    try:
        yield call
    except BaseException as exc:
        call.raised(exc)
        raise
    finally:
        current.reset(token)


def url_of(pool: Any, url: str) -> str:
    """Return the absolute URL of a call of ``pool.urlopen(method, url)``."""
    if "://" in url.partition("?")[0]:
        return url
    host = pool.host or ""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    port = f":{pool.port}" if pool.port else ""
    path = url if url.startswith("/") else f"/{url}"
    return f"{pool.scheme}://{host}{port}{path}"


def _urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def urlopen(
        self: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        redirect: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        under_way = current.get()
        if under_way is not None:
            # urllib3 calls itself for each retry and redirect; the history tells why.
            history = getattr(retries, "history", ())
            if history:
                under_way.blame(history[-1].error)
            return original(self, method, url, body, headers, retries, redirect, *args, **kwargs)
        ingest = active()
        if ingest is None or ingest.mode is Mode.OFF:
            return original(self, method, url, body, headers, retries, redirect, *args, **kwargs)
        sent = self.headers if headers is None else headers
        chunked = bool(kwargs.get("chunked"))
        plan = Plan(ingest, method, url_of(self, url), sent, body, chunked=chunked)
        if plan.passes:
            return original(self, method, url, body, headers, retries, redirect, *args, **kwargs)
        if plan.serve is not None:
            return _replay(ingest, plan.serve, self, method, url, retries, redirect, kwargs)
        with recording(plan.call()) as call:
            response = original(
                self, method, url, body, headers, retries, redirect, *args, **kwargs
            )
        try:
            if plan.not_modified(call, response.status) and plan.stored is not None:
                response.drain_conn()
                response.release_conn()
                call.returned()
                return _replay(ingest, plan.stored, self, method, url, retries, redirect, kwargs)
            call.returned()
            return response
        finally:
            # A retry's error keeps this frame, and the response its history: a cycle otherwise.
            del response

    return urlopen


def _replay(
    ingest: IngestSession,
    stored: Exchange,
    pool: Any,
    method: str,
    url: str,
    retries: Any,
    redirect: bool,
    kwargs: dict[str, Any],
) -> Any:
    assert ingest.store is not None
    response_kw: dict[str, Any] = {
        name: kwargs[name]
        # The last is urllib3 1.26's.
        for name in ("preload_content", "decode_content", "enforce_content_length", "request_url")
        if name in kwargs
    }
    return replay(ingest.store, stored, pool, method, url, retries, redirect, response_kw)


class Hook:
    """Replaces methods of urllib3's pool and connection classes; counted, undone by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._undo: list[tuple[type, str, Any]] = []

    def install(self) -> None:
        """Replace, unless another session has."""
        with self._lock:
            self._count += 1
            if self._count > 1:
                return
            self._replace(HTTPConnectionPool, "urlopen", _urlopen(HTTPConnectionPool.urlopen))
            base: type = connections.HTTPConnection
            for name, method in tapped(base, own=False).items():
                self._replace(base, name, method)
            # Where urllib3's TLS connection overrides, its own methods are replaced as well.
            for name, method in tapped(connections.HTTPSConnection, own=True).items():
                self._replace(connections.HTTPSConnection, name, method)

    def uninstall(self) -> None:
        """Put everything back, if no other session needs it."""
        with self._lock:
            self._count -= 1
            if self._count:
                return
            while self._undo:
                cls, name, was = self._undo.pop()
                if was is None:
                    delattr(cls, name)
                else:
                    setattr(cls, name, was)

    def _replace(self, cls: type, name: str, method: Any) -> None:
        self._undo.append((cls, name, cls.__dict__.get(name)))
        setattr(cls, name, method)


HOOK = Hook()
