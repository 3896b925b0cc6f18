"""The hook: sees and answers every urllib3 call of the process while a session is active."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, assert_never

import urllib3

from ..api import IngestSession, active
from ..asking import collector
from ..entries import CapturedCall
from ..heads import given_head
from ..identity import Identity
from ..models import Exchange, Headers, Mode
from ..policy import Fetch, Miss, Pass, Revalidate, Serve
from ..store import Store
from ..utils import after_fork, new_id
from .bases import Connection, Pool, TLSConnection
from .call import UNSENT, Call, header_pairs, identify_streamed, view
from .replay import replay
from .wire import bracketed, current, hooked, tapped

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
        # Kept, since the session may end in another thread meanwhile.
        self._store = ingest.store
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
        if ingest.mode is Mode.RECORD or (ingest.mode is Mode.AUTO and streams):
            # Of a stream nothing is known before it is sent, and it can be sent only once.
            return
        identity = self._identity(streams)
        decision = ingest.decide(
            identity, conditional=ingest.mode is Mode.AUTO and self._may_be_conditional()
        )
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
                ingest.served(stored, self._served, identity, collector())
            case Revalidate(stored, conditions):
                self.stored, self._conditions = stored, conditions
            case Miss():
                raise ingest.miss(identity, self.url)
            case _:
                assert_never(decision)

    def _may_be_conditional(self) -> bool:
        return self.method.upper() in ("GET", "HEAD") and not any(
            name.lower() in _CONDITIONS for name, _ in self.headers
        )

    def _served(self) -> CapturedCall:
        """Return the call as one that never went out."""
        head = given_head(self.headers)
        return CapturedCall(
            new_id(), self.method.upper(), self.url, time.time(), duration=0.0, head=head
        )

    def _identity(self, streams: bool) -> Identity:
        """Return the identity; a streamed body is read as sending it would have."""
        if not streams:
            return self.ingest.identify(self.method, self.url, self.headers, self.body)
        spool = self.ingest.spool()
        try:
            for part in body_parts(self.body, _text_coding(self._chunked)):
                spool.write(part)
            return identify_streamed(self.ingest, self.method, self.url, self.headers, spool)
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

    @property
    def store(self) -> Store:
        """The store that holds the answer to serve."""
        assert self._store is not None
        return self._store

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


def recorded(call: Call, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Make a call, with the taps reporting to it.

    An interrupt may come at any line, the first of a ``finally`` too: hence a second one.
    """
    try:
        try:
            current.set(call)
            return make(*args, **kwargs)
        except BaseException as exc:
            call.raised(exc)
            raise
        finally:
            current.set(None)
    finally:
        current.set(None)


def url_of(pool: Any, url: str) -> str:
    """Return the absolute URL of a call of ``pool.urlopen(method, url)``."""
    if "://" in url.partition("?")[0]:
        return url
    host = bracketed(pool.host or "")
    port = f":{pool.port}" if pool.port else ""
    path = url if url.startswith("/") else f"/{url}"
    return f"{pool.scheme}://{host}{port}{path}"


# How ``urlopen`` names its first arguments, in their order.
_NAMES = ("method", "url", "body", "headers", "retries", "redirect")


def _urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Passed on exactly as they came: what is below may be the program's own replacement.
        given = {"retries": None, "redirect": True, **dict(zip(_NAMES, args, strict=False))}
        given |= kwargs
        under_way = current.get()
        if under_way is not None:
            # urllib3 calls itself for each retry and redirect; the history tells why.
            history = getattr(given["retries"], "history", ())
            if history:
                under_way.blame(history[-1].error)
            return original(self, *args, **kwargs)
        ingest = active()
        if ingest is None or ingest.mode is Mode.OFF or not {"method", "url"} <= given.keys():
            return original(self, *args, **kwargs)
        headers = given.get("headers")
        if headers is None:
            headers = self.headers
        url, chunked = url_of(self, given["url"]), bool(given.get("chunked"))
        plan = Plan(ingest, given["method"], url, headers, given.get("body"), chunked=chunked)
        if plan.passes:
            return original(self, *args, **kwargs)
        if plan.serve is not None:
            return _replay(plan, plan.serve, self, given)
        call = plan.call()
        response = recorded(call, original, self, *args, **kwargs)
        try:
            if plan.not_modified(call, response.status) and plan.stored is not None:
                response.drain_conn()
                response.release_conn()
                call.returned()
                return _replay(plan, plan.stored, self, given)
            if not call.attempts:
                call.lose(RuntimeError("no connection of urllib3's brought the answer (a mock?)"))
            call.returned()
            return response
        finally:
            # A retry's error keeps this frame, and the response its history: a cycle otherwise.
            del response

    return urlopen


# The last is urllib3 1.26's.
_RESPONSE_KW = ("preload_content", "decode_content", "enforce_content_length", "request_url")


def _replay(plan: Plan, stored: Exchange, pool: Any, given: dict[str, Any]) -> Any:
    response_kw = {name: given[name] for name in _RESPONSE_KW if name in given}
    method, url, retries = given["method"], given["url"], given["retries"]
    return replay(
        plan.store, stored, pool, method, url, retries, given["redirect"], response_kw,
        plan.ingest.missed,
    )  # fmt: skip


class Patches:
    """Methods of other people's classes replaced, and put back; counted, undone by the last.

    The program may replace the same methods, before, meanwhile and after, and undo it in any
    order. So a method is put back only where ours still stands: what has come over it is the
    program's, and calls ours, which without a session does nothing. If ours comes to light again
    later, the next session takes it off.
    """

    def __init__(self) -> None:
        self._renew_lock()
        self._count = 0
        self._made: list[tuple[type, str, Any, weakref.ref[Any]]] = []

        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def install(self) -> None:
        """Replace, unless another session has."""
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._put_back()
                self.replace_all()

    def uninstall(self) -> None:
        """Put everything back, if no other session needs it."""
        with self._lock:
            self._count -= 1
            if not self._count:
                self._put_back()

    def replace_all(self) -> None:
        """Replace the methods."""
        raise NotImplementedError

    def replace(self, cls: type, name: str, method: Any) -> None:
        """Replace one method."""
        self._made.append((cls, name, cls.__dict__.get(name), weakref.ref(method)))
        setattr(cls, name, method)

    def _put_back(self) -> None:
        covered = []
        for cls, name, was, ours in reversed(self._made):
            method = ours()
            if method is None:
                # Gone for good: the program put something else there and dropped ours.
                continue
            if cls.__dict__.get(name) is not method:
                covered.append((cls, name, was, ours))
            elif was is None:
                delattr(cls, name)
            else:
                setattr(cls, name, was)
        self._made = covered[::-1]


class Hook(Patches):
    """Replaces methods of urllib3's pool and connection classes."""

    def replace_all(self) -> None:
        # The pool comes last and goes first: a call that it sees has to meet the taps.
        for name, method in tapped(Connection, own=False).items():
            self.replace(Connection, name, method)
        # Where urllib3's TLS connection overrides, its own methods are replaced as well.
        for name, method in tapped(TLSConnection, own=True).items():
            self.replace(TLSConnection, name, method)
        self.replace(Pool, "urlopen", _urlopen(Pool.urlopen))
        hooked.set()

    def _put_back(self) -> None:
        hooked.clear()
        super()._put_back()


HOOK = Hook()
