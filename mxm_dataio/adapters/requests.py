"""``CaptureAdapter`` and ``mount``: one ``requests.Session`` under capture, nothing patched."""

from __future__ import annotations

import contextlib
import functools
import io
import weakref
from http.client import HTTPConnection
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ..api import IngestSession, active
from ..errors import ConfigError
from ..models import Exchange, Mode
from . import wire
from .call import Attempt, Call
from .replay import replay
from .urllib3 import Plan, recording

_OWN = frozenset({"_inner", "_ingest"})
_OWN_MAKERS = (None, HTTPConnectionPool._new_conn, HTTPSConnectionPool._new_conn)
_POOL_GETTERS = ("get_connection_with_tls_context", "get_connection")


class CaptureAdapter(HTTPAdapter):
    """Records and replays the calls of the ``requests.Session`` it is mounted on.

    Everything is done by the adapter inside, which keeps its retries, TLS set-up and pools;
    reading or setting an attribute here reads or sets it there.

    Args:
        inner: the adapter that makes the calls; a plain ``HTTPAdapter`` if not given.
        ingest: the session to record to; the active one if not given.
        kwargs: for that plain ``HTTPAdapter``.
    """

    def __init__(
        self,
        inner: BaseAdapter | None = None,
        ingest: IngestSession | None = None,
        **kwargs: Any,
    ) -> None:
        if inner is not None and kwargs:
            raise ConfigError(
                f"CaptureAdapter(inner=…) takes no {', '.join(kwargs)}: give them to the adapter "
                "inside"
            )
        # HTTPAdapter.__init__ is not called: it would make pools that no one uses.
        self._inner: BaseAdapter = inner if inner is not None else HTTPAdapter(**kwargs)
        self._ingest = ingest
        self._tap_pools()

    def _tap_pools(self) -> None:
        """Have the inner adapter's pools, as it hands them to itself, make tapped connections."""
        inner = self._inner
        if isinstance(inner, CaptureAdapter):
            return
        for name in _POOL_GETTERS:
            getter = getattr(inner, name, None)
            if getter is None or hasattr(getter, "_dataio_taps"):
                continue
            with contextlib.suppress(AttributeError):
                setattr(inner, name, _tapping(getter))

    @property
    def inner(self) -> BaseAdapter:
        """The adapter that makes the calls."""
        return self._inner

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._inner, name, value)

    def __getstate__(self) -> dict[str, Any]:
        # An open session stays in its process; the copy records to the one active there.
        return {"_inner": self._inner}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._inner = state["_inner"]
        self._ingest = None
        self._tap_pools()

    def __deepcopy__(self, memo: dict[int, Any]) -> CaptureAdapter:
        import copy

        return CaptureAdapter(inner=copy.deepcopy(self._inner, memo), ingest=self._ingest)

    def __repr__(self) -> str:
        return f"<CaptureAdapter({self._inner!r})>"

    def close(self) -> None:
        """Close the inner adapter's pools."""
        self._inner.close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
        **kwargs: Any,
    ) -> requests.Response:
        """Make, record or replay a call; every argument goes to the inner adapter.

        Raises:
            ReplayMissError: replay holds no such call.
            requests.RequestException: as the inner adapter raises, or as it was recorded.
        """
        kwargs.update(stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        ingest = self._ingest or active()
        if wire.current.get() is not None or ingest is None or not ingest.is_open:
            return self._inner.send(request, **kwargs)
        response = capture(self._inner, ingest, request, kwargs)
        response.connection = self
        return response


def capture(
    inner: BaseAdapter,
    ingest: IngestSession,
    request: requests.PreparedRequest,
    kwargs: dict[str, Any],
) -> requests.Response:
    """Make, record or replay one call of an adapter.

    Raises:
        ReplayMissError: replay holds no such call.
        requests.RequestException: as the adapter raises, or as it was recorded.
    """
    if ingest.mode is Mode.OFF:
        return inner.send(request, **kwargs)
    plan = Plan(ingest, str(request.method), str(request.url), request.headers, request.body)
    if plan.serve is not None:
        return _replay(inner, ingest, plan.serve, request, kwargs)
    with recording(plan.call()) as call:
        response = inner.send(request, **kwargs)
    if plan.not_modified(call, response.status_code) and plan.stored is not None:
        response.content  # noqa: B018 - read to its end, so that the connection is reused
        call.returned()
        return _replay(inner, ingest, plan.stored, request, kwargs)
    if not call.attempts:
        _tap_body(response, call)
    call.returned()
    return response


def _replay(
    inner: BaseAdapter,
    ingest: IngestSession,
    stored: Exchange,
    request: requests.PreparedRequest,
    kwargs: dict[str, Any],
) -> requests.Response:
    adapter = inner if isinstance(inner, HTTPAdapter) else HTTPAdapter()
    bare = request
    if request.body is not None:
        # Nothing is sent: without a body no version of requests takes its way for chunks.
        bare = request.copy()
        bare.body = None
    try:
        response = _Replayer(ingest, stored, adapter).send(bare, **kwargs)
    except requests.RequestException as exc:
        exc.request = request
        raise
    response.request = request
    return response


class _Pool:
    """What ``HTTPAdapter.send`` gets in place of a pool: it answers from the store."""

    def __init__(self, ingest: IngestSession, stored: Exchange, url: str) -> None:
        self._ingest = ingest
        self._stored = stored
        self._url = url

    def __repr__(self) -> str:
        return f"<recorded pool of {self._url.partition('?')[0]}>"

    def urlopen(
        self,
        method: str,
        url: str,
        retries: Any = None,
        redirect: bool = True,
        preload_content: bool = True,
        decode_content: bool = True,
        **_kwargs: Any,
    ) -> Any:
        """Return the recorded answer, or raise the recorded exception."""
        assert self._ingest.store is not None
        response_kw = {"preload_content": preload_content, "decode_content": decode_content}
        return replay(
            self._ingest.store, self._stored, self, method, url, retries, redirect, response_kw
        )


class _Replayer(HTTPAdapter):
    """requests' own adapter over recorded answers: it makes responses and errors as ever."""

    def __init__(self, ingest: IngestSession, stored: Exchange, inner: HTTPAdapter) -> None:
        self._ingest = ingest
        self._stored = stored
        self._inner = inner
        self.max_retries = inner.max_retries

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        return _Pool(self._ingest, self._stored, request.url)

    def get_connection(self, url: Any, *_args: Any, **_kwargs: Any) -> Any:
        return _Pool(self._ingest, self._stored, url)

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """No certificate is needed offline."""

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        return self._inner.build_response(req, resp)


def _tapping(getter: Any) -> Any:
    def get(*args: Any, **kwargs: Any) -> Any:
        pool = getter(*args, **kwargs)
        tap_pool(pool)
        return pool

    get._dataio_taps = True  # type: ignore[attr-defined]
    return get


def tap_pool(pool: Any) -> None:
    """Have a pool make tapped connections, and tap the idle ones it holds."""
    cls = getattr(pool, "ConnectionCls", None)
    if cls is None or getattr(cls, "_dataio_taps", False):
        return
    pool.ConnectionCls = wire.capturing(cls)
    # A pool may make its connections without that class, as those of unix sockets do. The method
    # has no public name, but is what such pools override.
    make = getattr(type(pool), "_new_conn", None)
    if make not in _OWN_MAKERS:
        pool._new_conn = functools.partial(_new_connection, make, weakref.ref(pool))
    # Idle connections from before: without this they would be used unseen, or dropped, and the
    # server would see one more. queue.Queue shows its content under no public name.
    for connection in list(getattr(pool.pool, "queue", ())):
        _tap_connection(connection)


def _new_connection(make: Any, pool: weakref.ref[Any], *args: Any, **kwargs: Any) -> Any:
    # Not the pool's bound method: in a cycle it would close its connections later than without.
    return _tap_connection(make(pool(), *args, **kwargs))


def _tap_connection(connection: Any) -> Any:
    if isinstance(connection, HTTPConnection):
        cls: type = type(connection)
        connection.__class__ = wire.capturing(cls)
    return connection


# -- an inner adapter that never reaches urllib3's connections -------------------------------


class _TapBody:
    """The file under a response that came from elsewhere than a socket, read and noted."""

    def __init__(self, fp: Any, attempt: Attempt) -> None:
        self._fp = fp
        self._attempt = attempt

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        data = self._fp.read(*(() if amt is None else (amt,)), *args, **kwargs)
        spool = self._attempt.spool
        if data and spool is not None and not self._attempt.done:
            spool.write(data)
        if (not data and amt != 0) or amt is None or amt < 0:
            self._ended()
        return data

    def _ended(self) -> None:
        parser = self._attempt.parser
        if parser is not None and not self._attempt.done:
            parser.complete = True
            self._attempt.finish()

    def close(self) -> None:
        # One that closed itself did so at its end (the way responses' bodies do).
        if getattr(self._fp, "closed", False):
            self._ended()
        self._fp.close()
        self._attempt.finish()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fp, name)

    def __iter__(self) -> Any:
        while data := self.read(io.DEFAULT_BUFFER_SIZE):
            yield data


def _tap_body(response: requests.Response, call: Call) -> None:
    """Capture an answer at its body, where no connection was seen (a mock, a file adapter)."""
    attempt = call.attempt()
    attempt.requested = True
    attempt.url = call.url
    attempt.expect()
    assert attempt.parser is not None
    attempt.parser.head += _head_of(response)
    attempt.parser.status = response.status_code
    attempt.parser._head_done = True
    raw = response.raw
    if raw is None or getattr(response, "_content_consumed", False):
        content = response.content or b""
        assert attempt.spool is not None
        attempt.spool.write(content)
        attempt.parser.complete = True
        attempt.finish()
        return
    # A real urllib3 response reads from its file-like body, which has no public name.
    if isinstance(raw, urllib3.HTTPResponse) and getattr(raw, "_fp", None) is not None:
        raw._fp = _TapBody(raw._fp, attempt)  # type: ignore[assignment]
    else:
        response.raw = _TapBody(raw, attempt)


def _head_of(response: requests.Response) -> bytes:
    lines = [f"HTTP/1.1 {response.status_code} {response.reason or ''}".rstrip()]
    raw_headers = getattr(response.raw, "headers", None)
    headers = raw_headers if raw_headers is not None else response.headers
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


# -- requests before 2.29 --------------------------------------------------------------------


class ChunkedHook:
    """Sees what requests 2.28 sends in chunks past ``urlopen``, on a pool's bare connection.

    (psf/requests#6226 gave these calls to urllib3.) Counted, undone by the last.
    """

    def __init__(self) -> None:
        self._count = 0
        self._send: Any = None

    def install(self) -> None:
        """Replace ``HTTPAdapter.send``, unless another session has."""
        self._count += 1
        if self._count == 1:
            self._send = HTTPAdapter.send
            HTTPAdapter.send = _chunked_send(HTTPAdapter.send)  # type: ignore[method-assign]

    def uninstall(self) -> None:
        """Put it back, if no other session needs it."""
        self._count -= 1
        if not self._count:
            HTTPAdapter.send = self._send  # type: ignore[method-assign]


def _chunked_send(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        chunked = not (request.body is None or "Content-Length" in request.headers)
        ingest = active()
        if not chunked or args or ingest is None or wire.current.get() is not None:
            return original(self, request, *args, **kwargs)
        return capture(self, ingest, request, kwargs)

    return send


CHUNKED_HOOK = ChunkedHook()

# -- mounting --------------------------------------------------------------------------------


class Mount:
    """A ``requests.Session`` under capture; :meth:`unmount`, or leaving the ``with``, undoes it."""

    def __init__(self, session: requests.Session, ingest: IngestSession | None) -> None:
        self.session = session
        self._mine: dict[str, tuple[CaptureAdapter, BaseAdapter]] = {}
        for prefix, inner in list(session.adapters.items()):
            adapter = CaptureAdapter(inner=inner, ingest=ingest)
            self._mine[prefix] = (adapter, inner)
            session.adapters[prefix] = adapter

    def __enter__(self) -> requests.Session:
        return self.session

    def __exit__(self, *exc_info: object) -> None:
        self.unmount()

    def unmount(self) -> None:
        """Put the session's own adapters back, where ours still stand."""
        for prefix, (adapter, inner) in self._mine.items():
            if self.session.adapters.get(prefix) is adapter:
                self.session.adapters[prefix] = inner
            for name in _POOL_GETTERS:
                if hasattr(vars(inner).get(name), "_dataio_taps"):
                    delattr(inner, name)
        self._mine.clear()


def mount(session: requests.Session, ingest: IngestSession | None = None) -> Mount:
    """Capture a ``requests.Session``, wrapping whatever adapters it carries.

    Args:
        session: keeps its adapters' retries, TLS set-up and pools.
        ingest: the session to record to; the active one at each call if not given.

    Returns:
        A handle to undo it, usable as a context manager.
    """
    return Mount(session, ingest)
