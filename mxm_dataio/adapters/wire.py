"""The tap: urllib3's connections, with every byte passing by.

The same four methods of a connection class are replaced in two ways: :func:`capturing` makes a
subclass for a mounted adapter's pools, :func:`tapped` yields replacements for the process-wide
hook. Below ``http.client``'s parser the answer is seen by a raw stream under its buffered
reader: one Python call for each ``recv``, whichever way the body is read.
"""

from __future__ import annotations

import functools
import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from socket import SocketIO
from typing import Any

from ..models import Peer
from .call import Attempt, Call

# The call under way in this context; None while a connection sends, since what a body's
# generator or a resolver fetches meanwhile are calls of their own.
current: ContextVar[Call | None] = ContextVar("mxm_dataio_call", default=None)

# Kept on the connection, since that is what lives from connect to answer.
_ATTEMPT = "_dataio_attempt"
_PEER = "_dataio_peer"

Method = Callable[..., Any]


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


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
        if call is not None:
            _begin(self, call, method, url).suspended = True
            current.set(None)
        return original(self, method, url, *args, **kwargs)

    return putrequest


def _begin(connection: Any, call: Call, method: str, url: str) -> Attempt:
    """Begin an attempt on a connection, or go on with the one that connected it."""
    attempt: Attempt | None = connection.__dict__.get(_ATTEMPT)
    if attempt is None or attempt.call is not call or attempt.requested:
        attempt = call.attempt()
        connection.__dict__[_ATTEMPT] = attempt
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


def _connect(original: Method) -> Method:
    @functools.wraps(original)
    def connect(self: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(_ATTEMPT)
        if attempt is None or attempt.done or attempt.busy:
            call = current.get()
            if call is None or (attempt is not None and attempt.busy):
                return original(self)
            attempt = call.attempt()
            self.__dict__[_ATTEMPT] = attempt
        attempt.busy = True
        token = current.set(None)
        clock = time.perf_counter()
        try:
            result = original(self)
        finally:
            current.reset(token)
            attempt.busy = False
        seconds = time.perf_counter() - clock
        tcp = self.__dict__.pop("_dataio_tcp", None)
        attempt.connect = seconds if tcp is None else tcp
        if tcp is not None and hasattr(self.sock, "cipher"):
            attempt.tls = seconds - tcp
        return result

    return connect


def _new_conn(original: Method) -> Method:
    # Private in urllib3: there is no public seam between the TCP connection and the TLS
    # handshake. Without it both count as "connect"; a test of ours watches for that.
    @functools.wraps(original)
    def new_conn(self: Any) -> Any:
        clock = time.perf_counter()
        sock = original(self)
        if _ATTEMPT in self.__dict__:
            self.__dict__["_dataio_tcp"] = time.perf_counter() - clock
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
            # http.client finds out in the same way, and then iterates.
            self.data = self._each() if isinstance(data, Iterable) else data

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
            self._attempt.sent(memoryview(block).cast("B"))


def _send(original: Method) -> Method:
    @functools.wraps(original)
    def send(self: Any, data: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(_ATTEMPT)
        if attempt is None or attempt.busy or not attempt.requested:
            return original(self, data)
        if getattr(self, "sock", None) is None and getattr(self, "auto_open", False):
            # http.client connects within the first send; that send is tapped, the tunnel's
            # are not.
            self.connect()
        sending = _Sending(data, attempt)
        attempt.busy = True
        try:
            result = original(self, sending.data)
        finally:
            attempt.busy = False
        sending.sent()
        return result

    return send


def _getresponse(original: Method) -> Method:
    @functools.wraps(original)
    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(_ATTEMPT)
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
            self.__dict__.pop(_ATTEMPT, None)

    return getresponse


def _peer(connection: Any) -> Peer:
    """Return the other end's facts; asked of a socket once, for they do not change."""
    sock = connection.sock
    known = connection.__dict__.get(_PEER)
    if known is not None and known[0] is sock:
        peer: Peer = known[1]
        return peer
    address = version = cipher = certificate = None
    try:
        name = sock.getpeername()
        address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
        if hasattr(sock, "cipher"):
            version = sock.version()
            cipher = (sock.cipher() or (None,))[0]
            der = sock.getpeercert(binary_form=True)
            certificate = hashlib.sha256(der).hexdigest() if der else None
    except (OSError, AttributeError, ValueError, NotImplementedError):
        # Facts of an odd socket (a test's, a library's own TLS) are not worth a failure.
        pass
    peer = Peer(address, version, cipher, certificate)
    connection.__dict__[_PEER] = (sock, peer)
    return peer


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
    # http.client's request() serves request_chunked() in urllib3 2; one tap is enough.
    made = type(cls.__name__, (cls,), members)
    made.__module__, made.__qualname__ = cls.__module__, cls.__qualname__
    return made
