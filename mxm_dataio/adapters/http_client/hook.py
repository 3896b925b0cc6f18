"""The hook on ``http.client``: sees and answers what goes through its connections alone.

So ``urllib.request``, ``xmlrpc.client``, and every library with no more than these beneath it. A
call is one request and its answer on an ``HTTPConnection``; redirects that ``urllib.request``
follows are calls of their own, and so is what a program tries again.

Recording, a call begins as its headers go out, and the taps of :mod:`mxm_dataio.adapters.taps`
report to it. In replay a connection gets a :class:`~.socket.StoreSocket`, and all above it runs as
it does live. What urllib3's pools do is left to their own hook.
"""

from __future__ import annotations

import functools
import http.client
import inspect
import weakref
from typing import Any

from ...concurrency import mutex
from ...coverage import captured
from ...errors import ConfigError
from ...ingest.active import active
from ...ingest.capture import Capture
from ...ingest.misses import replayed
from ...ingest.uncaptured import outside
from ...models import Exchange, Headers, Mode
from ...process import perf_counter_ns, seconds_since
from ...replay.policy import Fetch, Serve
from .. import failures, taps
from ..attempt import ON_CONNECTION, Attempt
from ..call import REPLAYS
from ..patches import Patches, own_class
from ..plan import Plan
from ..taps import Method, absolute, base_of, under_way
from ..uploads import Upload
from .call import ConnectionCall
from .request import STREAM, OutgoingRequest
from .socket import StoreSocket, give_back, leave, stand_in, standing

# The attribute that a request takes on its connection until its head goes out.
_ASKED = "_dataio_asked"

Connection: Any = own_class(
    "HTTPConnection",
    "http.client",
    http.client.HTTPConnection,
    getattr(http.client, "HTTPSConnection", None),
)
TLSConnection: Any = own_class(
    "HTTPSConnection",
    "http.client",
    # Not there in a Python without ssl.
    getattr(http.client, "HTTPSConnection", None),
)


def require() -> None:
    """Make sure that the connections of ``http.client`` can be captured.

    Raises:
        ConfigError: the program had put others in their place before this package was loaded.
    """
    if Connection.__module__ != "http.client":
        raise ConfigError(
            "coverage: calls through http.client can't be captured: connections of "
            f"{Connection.__module__} are in the place of its own: load mxm_dataio before"
        )


def _session(connection: Any) -> Capture | None:
    """Return the session that is to see what a connection does, unless other taps see it."""
    if under_way() is not None or hasattr(connection, REPLAYS):
        return None
    attempt: Attempt | None = connection.__dict__.get(ON_CONNECTION)
    if not (attempt is None or attempt.done or isinstance(attempt.call, ConnectionCall)):
        return None
    ingest = active()
    if ingest is None or not ingest.settings.stdlib or ingest.mode is Mode.OFF:
        return None
    return ingest


def _call_on(connection: Any) -> tuple[Attempt, ConnectionCall] | None:
    """Return the call of ours under way on a connection."""
    attempt: Attempt | None = connection.__dict__.get(ON_CONNECTION)
    if attempt is not None and isinstance(attempt.call, ConnectionCall):
        return attempt, attempt.call
    return None


# -- a call, step by step ----------------------------------------------------------------------


def _putrequest(original: Method) -> Method:
    @functools.wraps(original)
    def putrequest(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        ingest = _session(self)
        # It may refuse, and then nothing was asked.
        result = original(self, method, url, *args, **kwargs)
        if ingest is None or ingest.mode is not Mode.REPLAY:
            leave(self)
        if ingest is not None:
            skips = dict(zip(("skip_host", "skip_accept_encoding"), args, strict=False)) | kwargs
            own = [name for name in ("host", "accept-encoding") if not skips.get(_skip(name))]
            asked = OutgoingRequest(ingest, method, absolute(url or "/", base_of(self)), tuple(own))
            self.__dict__[_ASKED] = asked
        return result

    return putrequest


def _skip(name: str) -> str:
    return f"skip_{name.replace('-', '_')}"


def _endheaders(original: Method) -> Method:
    @functools.wraps(original)
    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked: OutgoingRequest | None = self.__dict__.pop(_ASKED, None)
        if asked is None or (self.sock is None and not self.auto_open):
            return original(self, *args, **kwargs)
        asked.given = args[0] if args else kwargs.get("message_body")
        asked.coded = bool(kwargs.get("encode_chunked"))
        if asked.ingest.mode is Mode.REPLAY:
            return _offline(self, asked, original, *args, **kwargs)
        call = ConnectionCall(asked)
        taps.begin(self, call).requested = True
        call.watch(self)
        try:
            return original(self, *args, **kwargs)
        except BaseException as exc:
            call.broke(exc)
            if call.plan is not None and (stored := call.plan.stands_in(call, None)) is not None:
                call.plan.serve = stored
                stand_in(self).expect(asked, call.plan)
                return None
            raise

    return endheaders


def _offline(self: Any, asked: OutgoingRequest, original: Method, *args: Any, **kwargs: Any) -> Any:
    """Send a request to the store."""
    gone = weakref.ref(self)

    def goes_out(asked: OutgoingRequest, sent: bytes) -> None:
        connection = gone()
        if connection is not None:
            _go_out(connection, asked, sent)

    sock = stand_in(self, goes_out)
    sock.expect(asked)
    try:
        return original(self, *args, **kwargs)
    except BaseException:
        if sock.refused:
            leave(self)
        raise


def _go_out(connection: Any, asked: OutgoingRequest, sent: bytes) -> None:
    """Send a request that is left out to its host, with what of it was sent so far."""
    leave(connection)
    call = ConnectionCall(asked)
    call.take_head(asked)
    taps.begin(connection, call).requested = True
    call.watch(connection)
    try:
        if connection.sock is None:
            connection.connect()
        connection.sock.sendall(sent)
    except BaseException as exc:
        call.raised(exc)
        raise


def _send(original: Method) -> Method:
    tapped = taps.send(original)

    @functools.wraps(original)
    def send(self: Any, data: Any) -> Any:
        if ON_CONNECTION not in self.__dict__:
            _refuse_bare(self)
            return original(self, data)
        found = _call_on(self)
        if found is None:
            return original(self, data)
        attempt, call = found
        asked = call.asked
        if asked is not None and not attempt.busy and type(data) is bytes:
            asked.take_head(data)
            call.take_head(asked)
            if asked.ingest.mode is Mode.AUTO and (plan := _planned(asked, call)) is not None:
                if plan.serve is not None:
                    call.cancel()
                    stand_in(self).expect(asked, plan)
                    return original(self, data)
                call.plan, call.spare = plan, plan.spare
                data = _with_fields(data, plan.conditions)
        return tapped(self, data)

    return send


def _planned(asked: OutgoingRequest, call: ConnectionCall) -> Plan | None:
    """Return what to do with a call in ``auto``; ``None`` if that can't be told before it is sent.

    A stream that can't be read twice goes out as it is read.
    """
    if asked.body is not STREAM:
        return Plan(asked.ingest, call.method, call.url, call.headers, asked.body)
    if asked.given is None:
        return None
    # As http.client encodes text.
    upload = Upload(asked.given, "iso-8859-1", asked.ingest.spool)
    if not upload.rereadable:
        return None
    body = asked.given
    plan = Plan(asked.ingest, call.method, call.url, call.headers, body, upload.read, upload.again)
    return plan


def _with_fields(head: bytes, fields: Headers) -> bytes:
    """Return a head with more fields at its end."""
    lines = "".join(f"\r\n{name}: {value}" for name, value in fields)
    return head.replace(b"\r\n\r\n", lines.encode("latin-1") + b"\r\n\r\n", 1)


def _refuse_bare(connection: Any) -> None:
    """Note what is sent on a connection without a request of HTTP's.

    Raises:
        ReplayMissError: in replay, where it would reach the network.
    """
    if isinstance(connection.sock, StoreSocket):
        return
    ingest = _session(connection)
    # The state has no public name. One in which a request is under way began before the session.
    if ingest is not None and getattr(connection, "_HTTPConnection__state", "") == "Idle":
        outside(
            ingest,
            "SEND",
            base_of(connection),
            past="http.client's requests",
            instead="send it as a request",
        )


def _getresponse(original: Method) -> Method:
    tapped = taps.getresponse(original)

    @functools.wraps(original)
    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self.sock, StoreSocket):
            try:
                return original(self, *args, **kwargs)
            finally:
                give_back(self)
        found = _call_on(self)
        if found is None:
            return original(self, *args, **kwargs)
        attempt, call = found
        call.reads()
        try:
            response = tapped(self, *args, **kwargs)
        except BaseException as exc:
            # Else it was too early for an answer.
            if attempt.parser is not None:
                call.raised(exc)
            if call.plan is not None and (stored := call.plan.stands_in(call, None)) is not None:
                return _stored_answer(self, call.plan, stored)
            raise
        plan = call.plan
        if plan is not None and (stored := plan.stands_in(call, response.status)) is not None:
            response.read()
            call.answered()
            return _stored_answer(self, plan, stored)
        call.answered()
        return response

    return getresponse


def _stored_answer(connection: Any, plan: Plan, stored: Exchange) -> Any:
    """Return a stored answer in the place of a 304, as the connection would have made it."""
    plan.serve = stored
    sock = StoreSocket()
    sock.expect(OutgoingRequest(plan.ingest, plan.method, plan.url), plan)
    response = connection.response_class(sock, connection.debuglevel, method=plan.method)
    response.begin()
    return response


def _close(original: Method) -> Method:
    @functools.wraps(original)
    def close(self: Any) -> Any:
        found = _call_on(self)
        self.__dict__.pop(_ASKED, None)
        try:
            return original(self)
        finally:
            if found is not None and not found[0].busy and found[0].parser is None:
                found[1].abandoned()

    return close


# -- connecting --------------------------------------------------------------------------------


def _connect(original: Method) -> Method:
    tapped = taps.connect(_timed(original))

    @functools.wraps(original)
    def connect(self: Any) -> Any:
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is not None and not attempt.done:
            return tapped(self)
        ingest = _session(self)
        if ingest is None:
            return original(self)
        if ingest.mode is Mode.REPLAY:
            return _connect_offline(self, ingest, original)
        # The program connects by itself. Whether that succeeds is an answer of its own.
        call = ConnectionCall(OutgoingRequest(ingest, "CONNECT", base_of(self)))
        call.streams = False
        taps.begin(self, call)
        try:
            result = tapped(self)
        except BaseException as exc:
            call.raised(exc)
            raise
        call.connected(taps.peer_of(self))
        return result

    return connect


def _timed(original: Method) -> Method:
    """Note how long the connection took, apart from the TLS that a method above adds to it."""

    def connect(self: Any) -> Any:
        clock = perf_counter_ns()
        result = original(self)
        attempt: Attempt | None = self.__dict__.get(ON_CONNECTION)
        if attempt is not None and attempt.busy and attempt.connect is None:
            attempt.connect = seconds_since(clock)
        return result

    return connect


def _connect_offline(connection: Any, ingest: Capture, original: Method) -> Any:
    """Connect to the store, or raise what was met in connecting; to a host that may be reached."""
    decision = ingest.decide(ingest.identify("CONNECT", base_of(connection)))
    if isinstance(decision, Fetch):
        with captured.captured():
            return original(connection)
    if isinstance(decision, Serve):
        request = decision.stored.request
        if request.failure is not None:
            failures.raise_again(request.failure, bare=True, note=replayed(ingest, request))
    stand_in(connection)
    return None


# -- the hook ----------------------------------------------------------------------------------


def _init(original: Method) -> Method:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        HOOK.cover(type(self))
        original(self, *args, **kwargs)

    return __init__


# The request comes last and goes first: one that is seen has to meet the others.
_TAPS = {
    "__init__": _init,
    "connect": _connect,
    "close": _close,
    "send": _send,
    "getresponse": _getresponse,
    "endheaders": _endheaders,
    "putrequest": _putrequest,
}


class Hook(Patches):
    """Replaces methods of ``http.client``'s connections."""

    def __init__(self) -> None:
        super().__init__()
        self._covered: set[type] = set()

    def replace_all(self) -> None:
        if TLSConnection is not None:
            self.replace(TLSConnection, "connect", _connect)
        for name, tap in _TAPS.items():
            self.replace(Connection, name, tap)
        self._covered.add(Connection)
        for cls in _derived(Connection):
            self._cover(cls)

    def cover(self, cls: type) -> None:
        """See to the ``connect`` of a class that has its own, which programs call by themselves."""
        if cls in self._covered:
            return
        with mutex.lock:
            if self._count:
                self._cover(cls)

    def _cover(self, cls: type) -> None:
        for base in cls.__mro__:
            if base is Connection:
                return
            if base in self._covered:
                continue
            self._covered.add(base)
            connect = base.__dict__.get("connect")
            # urllib3's own have their own hook.
            urllib3s = base.__module__.partition(".")[0] == "urllib3"
            if base is not TLSConnection and not urllib3s and inspect.isfunction(connect):
                self.replace(base, "connect", _connect)

    def _put_back(self) -> None:
        self._covered.clear()
        super()._put_back()
        for connection in list(standing):
            sock = connection.sock
            if not (isinstance(sock, StoreSocket) and sock.waits):
                leave(connection)
        standing.clear()


def _derived(cls: type) -> list[type]:
    """Return all classes derived from one."""
    direct: list[type] = cls.__subclasses__()
    return direct + [further for one in direct for further in _derived(one)]


HOOK = Hook()
