"""The taps: ``http.client``'s connections, with every byte passing by.

They report to the attempt that stands on a connection, and do nothing where there is none. Below
``http.client``'s parser the answer is seen by a raw stream under its buffered reader: one Python
call for each ``recv``, whichever way the body is read.
"""

from __future__ import annotations

import functools
import hashlib
import io
import weakref
from collections.abc import Callable, Iterable, Iterator
from socket import SocketIO
from types import CodeType
from typing import Any

from ..concurrency.reentry import Here, note_handlers, within
from ..coverage import captured
from ..models import Peer
from ..process import perf_counter_ns, seconds_since
from . import unix_sockets
from .attempt import ON_CONNECTION, Attempt, view
from .call import Call

# The call under way here; None while a connection sends, since what a body's
# generator or a resolver fetches meanwhile are calls of their own.
current: Here[Call] = Here()
# Whether this is within the connecting of a captured call.
_connecting: Here[bool] = Here()

Method = Callable[..., Any]


def recorded(call: Call, make: Method, *args: Any, **kwargs: Any) -> Any:
    """Make a call, with the taps reporting to it.

    An interrupt may come at any line, the first of a ``finally`` too: hence a second one.
    """
    note_handlers()
    outer = current.get()
    try:
        try:
            current.set(call)
            return make(*args, **kwargs)
        except BaseException as exc:
            call.raised(exc)
            if call.stored is not None:
                return None
            raise
        finally:
            current.set(outer)
    finally:
        current.set(outer)


def under_way() -> Call | None:
    """Return the call that what runs here is a part of."""
    call = current.get()
    return call if call is not None and within(recorded.__code__) else None


# What an adapter does that makes a call without a connection of these is the call's as well.
captured.accounts.append(lambda: under_way() is not None)
captured.accounts.append(lambda: _connecting.get() is not None and within(_CONNECT))


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


class TapFile:
    """The reader of an answer that is none of ``io``'s over a socket: an odd socket's, a mock's.

    It reads no further than it is asked to, as the file itself does.
    """

    def __init__(self, fp: Any, attempt: Attempt) -> None:
        self._fp = fp
        self._attempt = attempt

    def read(self, *args: Any) -> Any:
        """Read as the file does; tell the attempt what came."""
        return self._came(self._fp.read, args, bool(args) and args[0] is not None and args[0] >= 0)

    def read1(self, *args: Any) -> Any:
        """Read as the file does; tell the attempt what came."""
        return self._came(self._fp.read1, args, True)

    def readline(self, *args: Any) -> Any:
        """Read as the file does; tell the attempt what came."""
        return self._came(self._fp.readline, args, True)

    def _came(self, read: Method, args: tuple[Any, ...], in_parts: bool) -> Any:
        data = self._told(read, *args)
        if data:
            self._feed(data)
        if not in_parts or (not data and args != (0,)):
            self._attempt.feed_eof()
        return data

    def readinto(self, buffer: Any) -> Any:
        """Read as the file does; tell the attempt what came."""
        count = self._told(self._fp.readinto, buffer)
        if count:
            self._feed(memoryview(buffer).cast("B")[:count])
        elif count == 0 and len(buffer):
            self._attempt.feed_eof()
        return count

    def _feed(self, data: Any) -> None:
        try:
            self._attempt.feed(memoryview(data))
        except TypeError as exc:
            # A mock's text, say, with which the program has to get along itself.
            self._attempt.call.lose(exc)

    def _told(self, read: Method, *args: Any) -> Any:
        try:
            return read(*args)
        except BaseException as exc:
            self._attempt.feed_error(exc)
            raise

    def close(self) -> None:
        """Close the file; what has not come by now will not."""
        try:
            self._fp.close()
        finally:
            self._attempt.finish()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fp, name)


def _tap(response: Any, attempt: Attempt) -> Any:
    """Put a tap under the reader of a fresh ``http.client`` response, before it reads."""
    fp = response.fp
    if type(fp) is io.BufferedReader:
        response.fp = io.BufferedReader(TapRaw(fp.detach(), attempt))
    elif fp is not None:
        response.fp = TapFile(fp, attempt)
    return response


def begin(connection: Any, call: Call) -> Attempt:
    """Begin an attempt, kept on its connection."""
    attempt = call.attempt()
    attempt.hold_on(connection)
    return attempt


def connect(original: Method) -> Method:
    """Return a tap on ``connect``: how long it took."""

    @functools.wraps(original)
    def tapped(self: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or attempt.done or attempt.busy:
            call = under_way()
            if call is None or (attempt is not None and attempt.busy):
                return original(self)
            attempt = begin(self, call)
        attempt.busy = True
        attempt.connect = None
        call = current.set(None)
        outer = _connecting.set(True)
        clock = perf_counter_ns()
        try:
            result = original(self)
        finally:
            _connecting.set(outer)
            current.set(call)
            attempt.busy = False
        seconds = seconds_since(clock)
        if attempt.connect is None:
            attempt.connect = seconds
        elif hasattr(self.sock, "cipher"):
            attempt.tls = round(seconds - attempt.connect, 6)
        return result

    return tapped


# Of all that this makes.
_CONNECT: CodeType = connect(lambda _: None).__code__


class _Sending:
    """A file or an iterable on its way out, which can tell how far that went.

    It looks like what was given, since ``http.client`` prints that if told to debug.
    """

    def __init__(self, given: Any, attempt: Attempt) -> None:
        self._attempt = attempt
        self._given = given
        self._block: Any = b""

    def __repr__(self) -> str:
        return repr(self._given)

    def sent(self) -> None:
        """Tell the attempt of the block that went out last."""
        block, self._block = self._block, b""
        if isinstance(block, str):
            block = block.encode("iso-8859-1")
        if len(block):
            self._attempt.sent(view(block))


class _SendingFile(_Sending):
    def read(self, size: int = -1) -> Any:
        """Read on; what was read before has been sent by now."""
        self.sent()
        self._block = block = self._given.read(size)
        return block


class _SendingText(_SendingFile, io.TextIOBase):
    """Such that ``http.client`` encodes what it reads, as it would what was given."""

    def read(self, size: int | None = -1) -> Any:
        """Read on, text."""
        return super().read(-1 if size is None else size)


class _SendingParts(_Sending):
    def __iter__(self) -> Iterator[Any]:
        for block in self._given:
            self.sent()
            self._block = block
            yield block


def _sending(data: Any, attempt: Attempt) -> _Sending | None:
    """Return what is sent in the place of what can't be looked at in advance."""
    if isinstance(data, io.TextIOBase):
        return _SendingText(data, attempt)
    if hasattr(data, "read"):
        return _SendingFile(data, attempt)
    try:
        memoryview(data)
    except TypeError:
        # http.client finds out in the same way, and then iterates; text is refused.
        if isinstance(data, Iterable) and not isinstance(data, str):
            return _SendingParts(data, attempt)
    return None


def send(original: Method) -> Method:
    """Return a tap on ``send``: what went out."""

    @functools.wraps(original)
    def tapped(self: Any, data: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or attempt.busy or not attempt.requested:
            return original(self, data)
        if getattr(self, "sock", None) is None and getattr(self, "auto_open", False):
            # http.client connects within the first send; that send is tapped, the tunnel's
            # are not.
            self.connect()
        sending = None if type(data) is bytes else _sending(data, attempt)
        attempt.busy = True
        try:
            result = original(self, data if sending is None else sending)
        finally:
            attempt.busy = False
        if sending is not None:
            sending.sent()
        elif len(data):
            attempt.sent(data if type(data) is bytes else view(data))
        return result

    return tapped


def getresponse(original: Method) -> Method:
    """Return a tap on ``getresponse``: the answer, from its first byte on."""

    @functools.wraps(original)
    def tapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is None or args or kwargs or attempt.busy or not attempt.requested:
            # urllib3 1.26 first asks with an argument of Python 2's, and gets a TypeError.
            return original(self, *args, **kwargs)
        if attempt.suspended:
            current.set(attempt.call)
        attempt.peer = peer_of(self)
        own = self.__dict__.get("response_class")
        make = self.response_class

        def tapping(*args: Any, **kwargs: Any) -> Any:
            # Not before: http.client may say that it is too early for an answer.
            attempt.expect()
            return _tap(make(*args, **kwargs), attempt)

        self.response_class = tapping
        attempt.busy = True
        response = None
        try:
            response = original(self)
            return response
        finally:
            attempt.busy = False
            if own is None:
                del self.response_class
            else:
                self.response_class = own
            if attempt.parser is not None:
                attempt.begun(response)
                attempt.release()

    return tapped


def peer_of(connection: Any) -> Peer:
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


def base_of(connection: Any) -> str:
    """Return scheme, host and port of what a connection leads to, behind a tunnel if it has one."""
    scheme = "https" if connection.default_port == 443 else "http"
    host, port = connection.host, connection.port
    # Under no public name, but there since Python 2.7.
    if getattr(connection, "_tunnel_host", None):
        host, port = connection._tunnel_host, connection._tunnel_port
    return unix_sockets.url_of(connection, f"{scheme}://{bracketed(host)}:{port}")


def bracketed(host: str) -> str:
    """Return a host as a URL has it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def absolute(url: str, base: str) -> str:
    """Return a request target as a URL, with scheme and host of the call it belongs to."""
    if "://" in url.partition("?")[0]:
        return url
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}{url}"
