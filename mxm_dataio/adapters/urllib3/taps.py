"""The tap: urllib3's connections, with every byte passing by.

The same methods of a connection class (:data:`TAPS`) are replaced in two ways: :func:`capturing`
makes a subclass for a mounted adapter's pools, :func:`tapped` yields replacements for the
process-wide hook. What they report of a connection once it has an attempt is ``http.client``'s,
and is in :mod:`mxm_dataio.adapters.taps`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from urllib3.connectionpool import HTTPSConnectionPool

from ...ingest.active import active
from ...ingest.uncaptured import outside
from ...process import perf_counter_ns, seconds_since
from ..attempt import ON_CONNECTION, Attempt
from ..call import REPLAYS, Call
from ..taps import (
    Method,
    absolute,
    base_of,
    begin,
    connect,
    current,
    getresponse,
    send,
    under_way,
)
from .classes import Pool

# Set while the hook stands, whole: what then comes to the taps without a call went past it.
hooked = False

# urllib3's own, from below the wrappers that name it so.
_URLOPEN = inspect.unwrap(Pool.urlopen).__code__
_OWN_MAKERS = (None, Pool._new_conn, HTTPSConnectionPool._new_conn)


def _request(original: Method) -> Method:
    @functools.wraps(original)
    def request(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        call = under_way()
        if call is None:
            return original(self, method, url, *args, **kwargs)
        _begin(self, call, method, url)
        if call.conditions:
            args, kwargs = _with_headers(args, kwargs, dict(call.conditions))
        current.set(None)
        try:
            return original(self, method, url, *args, **kwargs)
        finally:
            current.set(call)

    return request


def _putrequest(original: Method) -> Method:
    # Within request() no call is current; this serves who drives a connection step by step, as
    # requests 2.28 does for a body in chunks.
    @functools.wraps(original)
    def putrequest(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        call = under_way()
        if call is None:
            _outside(self, method, url)
        else:
            _begin(self, call, method, url).suspended = True
            current.set(None)
        return original(self, method, url, *args, **kwargs)

    return putrequest


def _outside(connection: Any, method: str, url: str) -> None:
    """Tell the active session of a request that belongs to no call.

    It was made past urllib3's pools, or the program has undone the hook on them: by putting back
    what stood in ``urlopen`` before a patch of its own.
    """
    if not hooked or ON_CONNECTION in connection.__dict__ or hasattr(connection, REPLAYS):
        return
    ingest = active()
    if ingest is None:
        return
    if ingest.settings.stdlib:
        # To the hook on http.client, below this, it is a call.
        return
    if _begun_before():
        return
    outside(ingest, method, absolute(url, base_of(connection)))


def _begun_before() -> bool:
    """Say whether this is within a pool's call that was under way when the hook came."""
    if getattr(vars(Pool)["urlopen"], "__code__", None) is _URLOPEN:
        # The hook is gone from there.
        return False
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is _URLOPEN:
            return True
        frame = frame.f_back
    return False


def _begin(connection: Any, call: Call, method: str, url: str) -> Attempt:
    """Begin an attempt on a connection, or go on with the one that connected it."""
    attempt: Attempt | None = connection.__dict__.get(ON_CONNECTION)
    if attempt is None or attempt.call is not call or attempt.requested:
        attempt = begin(connection, call)
    attempt.requested = True
    attempt.method = method
    attempt.url = absolute(url, call.url)
    return attempt


def _with_headers(
    args: tuple[Any, ...], kwargs: dict[str, Any], extra: dict[str, str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of ``request(method, url, body, headers, …)`` with more headers."""
    if len(args) > 1:
        headers = args[1].copy() if args[1] is not None else {}
        headers.update(extra)
        return (args[0], headers, *args[2:]), kwargs
    given = kwargs.get("headers")
    headers = given.copy() if given is not None else {}
    headers.update(extra)
    return args, {**kwargs, "headers": headers}


def _new_conn(original: Method) -> Method:
    # Private in urllib3: there is no public seam between the TCP connection and the TLS
    # handshake. Without it both count as "connect"; a test of ours watches for that.
    @functools.wraps(original)
    def new_conn(self: Any) -> Any:
        clock = perf_counter_ns()
        sock = original(self)
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is not None:
            attempt.connect = seconds_since(clock)
        return sock

    return new_conn


TAPS: dict[str, Callable[[Method], Method]] = {
    "request": _request,
    "request_chunked": _request,
    "putrequest": _putrequest,
    "connect": connect,
    "_new_conn": _new_conn,
    "send": send,
    "getresponse": getresponse,
}


def tapped(cls: type, *, own: bool) -> dict[str, Method]:
    """Return the replacements for a connection class's methods.

    Args:
        own: only of methods that the class defines itself, not of inherited ones.
    """
    found = {}
    for name, tap in TAPS.items():
        method = cls.__dict__.get(name) if own else getattr(cls, name, None)
        if method is not None:
            found[name] = tap(method)
    return found


@functools.cache
def capturing(cls: type) -> type:
    """Return a subclass of a connection class that taps its connections."""
    if getattr(cls, "_dataio_taps", False):
        return cls
    members = {**tapped(cls, own=False), "_dataio_taps": True}
    made = type(cls.__name__, (cls,), members)
    made.__module__, made.__qualname__ = cls.__module__, cls.__qualname__
    return made


# -- the taps on one adapter's pools -----------------------------------------------------------

_POOL_GETTERS = ("get_connection_with_tls_context", "get_connection")


class Taps:
    """The taps on one adapter's pools, counted: several sessions may carry the same adapter."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = weakref.ref(adapter)
        self._count = 0
        self._were: dict[str, Any] = {}
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()

    @classmethod
    def of(cls, adapter: Any) -> Taps:
        """Return the adapter's taps, or new ones."""
        for name in _POOL_GETTERS:
            found = getattr(getattr(adapter, name, None), "_dataio_taps", None)
            if isinstance(found, Taps):
                return found
        return cls(adapter)

    def add(self) -> None:
        """Tap what the adapter gets its pools from."""
        adapter = self._adapter()
        self._count += 1
        if self._count > 1:
            return
        for name in _POOL_GETTERS:
            getter = getattr(adapter, name, None)
            if getter is not None:
                was = vars(adapter).get(name)
                with contextlib.suppress(AttributeError):
                    setattr(adapter, name, self._tapping(getter))
                    self._were[name] = was

    def remove(self) -> None:
        """Leave the adapter, its pools and their idle connections as they were."""
        adapter = self._adapter()
        self._count -= 1
        if self._count or adapter is None:
            return
        for name, was in self._were.items():
            if getattr(vars(adapter).get(name), "_dataio_taps", None) is not self:
                continue
            if was is None:
                delattr(adapter, name)
            else:
                setattr(adapter, name, was)
        for pool in list(self._pools):
            untap_pool(pool)

    def _tapping(self, getter: Any) -> Any:
        own = getattr(getter, "__self__", None) is self._adapter()
        # The adapter holds this, so this must not hold the adapter: dropped, it is to be gone.
        found = weakref.WeakMethod(getter) if own else lambda: getter

        def get(*args: Any, **kwargs: Any) -> Any:
            pool = found()(*args, **kwargs)  # type: ignore[misc]
            if tap_pool(pool):
                self._pools.add(pool)
            return pool

        get._dataio_taps = self  # type: ignore[attr-defined]
        return get


def tap_pool(pool: Any) -> bool:
    """Have a pool make tapped connections, and tap the idle ones it holds; say if that is new."""
    cls = getattr(pool, "ConnectionCls", None)
    if cls is None or getattr(cls, "_dataio_taps", False):
        return False
    pool.ConnectionCls = capturing(cls)
    # A pool may make its connections without that class, as those of unix sockets do. The method
    # has no public name, but is what such pools override.
    make = getattr(type(pool), "_new_conn", None)
    if make not in _OWN_MAKERS:
        pool._new_conn = functools.partial(_make, make, weakref.ref(pool))
    # Idle connections from before: without this they would be used unseen, or dropped, and the
    # server would see one more.
    for connection in _idle(pool):
        _tap_connection(connection)
    return True


def untap_pool(pool: Any) -> None:
    """Have a pool make its own connections again, and leave no trace on the idle ones."""
    made = vars(pool).get("ConnectionCls")
    if made is None or not getattr(made, "_dataio_taps", False):
        return
    (cls,) = made.__bases__
    del pool.ConnectionCls
    if pool.ConnectionCls is not cls:
        # It was the pool's own, not its class's.
        pool.ConnectionCls = cls
    if getattr(vars(pool).get("_new_conn"), "func", None) is _make:
        del pool._new_conn
    for connection in _idle(pool):
        if getattr(type(connection), "_dataio_taps", False):
            (connection.__class__,) = type(connection).__bases__


def _idle(pool: Any) -> list[Any]:
    # queue.Queue shows its content under no public name.
    return list(getattr(pool.pool, "queue", ()))


def _make(make: Method, pool: weakref.ref[Any], *args: Any, **kwargs: Any) -> Any:
    # Not the pool's bound method: in a cycle it would close its connections later than without.
    return _tap_connection(make(pool(), *args, **kwargs))


def _tap_connection(connection: Any) -> Any:
    cls: type = type(connection)
    if any(base.__module__ == "http.client" for base in cls.__mro__):
        connection.__class__ = capturing(cls)
    return connection
