"""The tap: urllib3's connections, with every byte passing by.

The same methods of a connection class (:data:`TAPS`) are replaced in two ways: :func:`capturing`
makes a subclass for a mounted adapter's pools, :func:`tapped` yields replacements for the
process-wide hook. Below ``http.client``'s parser the answer is seen by a raw stream under its
buffered reader: one Python call for each ``recv``, whichever way the body is read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import io
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from socket import SocketIO
from typing import Any

from urllib3.connectionpool import HTTPSConnectionPool

from .. import network
from ..api import active
from ..models import Peer
from .bases import Pool
from .call import ON_CONNECTION, REPLAYS, Attempt, Call, view

# The call under way in this context; None while a connection sends, since what a body's
# generator or a resolver fetches meanwhile are calls of their own.
current: ContextVar[Call | None] = ContextVar("mxm_dataio_call", default=None)

# What an adapter does that makes a call without urllib3 is the call's as well.
network.accounts.append(lambda: current.get() is not None)

# Set while the hook stands, whole: what then comes to the taps without a call went past it.
hooked = threading.Event()

Method = Callable[..., Any]

# urllib3's own, from below the wrappers that name it so.
_URLOPEN = inspect.unwrap(Pool.urlopen).__code__
_OWN_MAKERS = (None, Pool._new_conn, HTTPSConnectionPool._new_conn)


class TapRaw(SocketIO):
    """The raw stream under the reader of an answer, handing each read's bytes on.

    Of the class that it stands for, since a client that takes a connection over asks for it
    (docker does); whatever is not said here is the stream's below.
    """

    def __init__(self, raw: io.RawIOBase, attempt: Attempt) -> None:
        # SocketIO.__init__ would count one more user of the socket.
        self._raw = raw
        self._attempt = attempt

    def readinto(self, buffer: Any) -> int | None:
        """Read as the stream below does; tell the attempt what came."""
        try:
            count = self._raw.readinto(buffer)
        except BaseException as exc:
            self._attempt.feed_error(exc)
            raise
        if count:
            self._attempt.feed(memoryview(buffer)[:count])
        elif count == 0:
            self._attempt.feed_eof()
        return count

    def readable(self) -> bool:
        """Say that it can be read."""
        return self._raw.readable()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the stream below; what has not come by now will not."""
        if not self.closed:
            try:
                self._raw.close()
            finally:
                io.RawIOBase.close(self)
                self._attempt.finish()

    # The rest of what ``socket.SocketIO`` shows, some of it under no public name, which programs
    # use all the same to get at the socket. Not by __getattr__: io asks for an attribute of its
    # own before each read, and takes any exception in there for an answer.
    _sock = property(lambda self: self._raw._sock)
    _timeout_occurred = property(lambda self: self._raw._timeout_occurred)
    name = property(lambda self: self._raw.name)
    mode = property(lambda self: self._raw.mode)


def _tap(response: Any, attempt: Attempt) -> Any:
    """Put a tap under the reader of a fresh ``http.client`` response, before it reads."""
    fp = response.fp
    if type(fp) is io.BufferedReader:
        response.fp = io.BufferedReader(TapRaw(fp.detach(), attempt))
    return response


def _request(original: Method) -> Method:
    @functools.wraps(original)
    def request(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        call = current.get()
        if call is None:
            return original(self, method, url, *args, **kwargs)
        _begin(self, call, method, url)
        if call.conditions:
            args, kwargs = _with_headers(args, kwargs, dict(call.conditions))
        token = current.set(None)
        try:
            return original(self, method, url, *args, **kwargs)
        finally:
            current.reset(token)

    return request


def _putrequest(original: Method) -> Method:
    # Within request() no call is current; this serves who drives a connection step by step, as
    # requests 2.28 does for a body in chunks.
    @functools.wraps(original)
    def putrequest(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        call = current.get()
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
    ingest = active() if hooked.is_set() else None
    if ingest is None or ON_CONNECTION in connection.__dict__ or hasattr(connection, REPLAYS):
        return
    if _begun_before():
        return
    scheme = "https" if connection.default_port == 443 else "http"
    base = f"{scheme}://{bracketed(connection.host)}:{connection.port}"
    ingest.outside(method, absolute(url, base))


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
        attempt = _attempt(connection, call)
    attempt.requested = True
    attempt.method = method
    attempt.url = absolute(url, call.url)
    return attempt


def _attempt(connection: Any, call: Call) -> Attempt:
    """Begin an attempt, kept on its connection."""
    attempt = call.attempt()
    attempt.hold_on(connection)
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


def _connect(original: Method) -> Method:
    @functools.wraps(original)
    def connect(self: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or attempt.done or attempt.busy:
            call = current.get()
            if call is None or (attempt is not None and attempt.busy):
                return original(self)
            attempt = _attempt(self, call)
        attempt.busy = True
        attempt.connect = None
        token = current.set(None)
        mark = network.accounted.set(True)
        clock = time.perf_counter()
        try:
            result = original(self)
        finally:
            network.accounted.reset(mark)
            current.reset(token)
            attempt.busy = False
        seconds = time.perf_counter() - clock
        if attempt.connect is None:
            attempt.connect = seconds
        elif hasattr(self.sock, "cipher"):
            attempt.tls = seconds - attempt.connect
        return result

    return connect


def _new_conn(original: Method) -> Method:
    # Private in urllib3: there is no public seam between the TCP connection and the TLS
    # handshake. Without it both count as "connect"; a test of ours watches for that.
    @functools.wraps(original)
    def new_conn(self: Any) -> Any:
        clock = time.perf_counter()
        sock = original(self)
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is not None:
            attempt.connect = time.perf_counter() - clock
        return sock

    return new_conn


class _Sending:
    """What a connection is given to send, once it can tell how far that went.

    Attributes:
        data: the same, to be sent in its place: files and iterables are read through here.
    """

    def __init__(self, data: Any, attempt: Attempt) -> None:
        self._attempt = attempt
        self._given = data
        self._block: Any = b""
        self.data: Any = self
        if hasattr(data, "read"):
            return
        try:
            self._block = memoryview(data)
            self.data = data
        except TypeError:
            # http.client finds out in the same way, and then iterates; text is refused.
            iterates = isinstance(data, Iterable) and not isinstance(data, str)
            self.data = self._each() if iterates else data

    def _each(self) -> Iterator[Any]:
        for block in self._given:
            self.sent()
            self._block = block
            yield block

    def read(self, size: int = -1) -> bytes:
        """Read on; what was read before has been sent by now."""
        self.sent()
        block = self._given.read(size)
        # As http.client encodes a text file, which it can't recognise any more.
        self._block = block.encode("iso-8859-1") if isinstance(block, str) else block
        data: bytes = self._block
        return data

    def sent(self) -> None:
        """Tell the attempt of the block that went out last."""
        block, self._block = self._block, b""
        if len(block):
            self._attempt.sent(view(block))


def _send(original: Method) -> Method:
    @functools.wraps(original)
    def send(self: Any, data: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or attempt.busy or not attempt.requested:
            return original(self, data)
        if getattr(self, "sock", None) is None and getattr(self, "auto_open", False):
            # http.client connects within the first send; that send is tapped, the tunnel's
            # are not.
            self.connect()
        sending = None if type(data) is bytes else _Sending(data, attempt)
        attempt.busy = True
        try:
            result = original(self, data if sending is None else sending.data)
        finally:
            attempt.busy = False
        if sending is None:
            attempt.sent(data)
        else:
            sending.sent()
        return result

    return send


def _getresponse(original: Method) -> Method:
    @functools.wraps(original)
    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or args or kwargs or not attempt.requested or attempt.parser:
            # urllib3 1.26 first asks with an argument of Python 2's, and gets a TypeError.
            return original(self, *args, **kwargs)
        if attempt.suspended:
            current.set(attempt.call)
        attempt.expect()
        attempt.peer = _peer(self)
        own = self.__dict__.get("response_class")
        make = self.response_class
        self.response_class = lambda *a, **k: _tap(make(*a, **k), attempt)
        response = None
        try:
            response = original(self)
            return response
        finally:
            attempt.begun(response)
            if own is None:
                del self.response_class
            else:
                self.response_class = own
            attempt.release()

    return getresponse


def _peer(connection: Any) -> Peer:
    """Return the other end's facts, which a few microseconds get from the socket."""
    sock = connection.sock
    try:
        known = _peers.get(sock)
        if known is None:
            known = _peers[sock] = _ask_peer(sock)
    except TypeError:
        # No weak reference to it can be had.
        known = _ask_peer(sock)
    return known


# What sockets said of their other ends, which stay the same as long as they live.
_peers: weakref.WeakKeyDictionary[Any, Peer] = weakref.WeakKeyDictionary()


def _ask_peer(sock: Any) -> Peer:
    # TLS within TLS, to an HTTPS proxy, is no socket but keeps one.
    carrier = sock if hasattr(sock, "getpeername") else getattr(sock, "socket", sock)
    name = _fact(lambda: carrier.getpeername())
    if isinstance(name, tuple):
        host, port = name[:2]
        address = f"{bracketed(host)}:{port}"
    else:
        address = name and str(name)
    version = cipher = certificate = None
    if hasattr(sock, "cipher"):
        version = _fact(lambda: sock.version())
        cipher = _fact(lambda: sock.cipher()[0])
        certificate = _fact(lambda: hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest())
    return Peer(address, version, cipher, certificate)


def _fact(ask: Callable[[], Any]) -> Any:
    """Return what a socket says; facts of an odd one (a library's own) are worth no failure."""
    try:
        return ask()
    except (OSError, AttributeError, TypeError, ValueError, NotImplementedError):
        return None


def bracketed(host: str) -> str:
    """Return a host as a URL has it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def absolute(url: str, base: str) -> str:
    """Return a request target as a URL, with scheme and host of the call it belongs to."""
    if "://" in url.partition("?")[0]:
        return url
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}{url}"


TAPS: dict[str, Callable[[Method], Method]] = {
    "request": _request,
    "request_chunked": _request,
    "putrequest": _putrequest,
    "connect": _connect,
    "_new_conn": _new_conn,
    "send": _send,
    "getresponse": _getresponse,
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
