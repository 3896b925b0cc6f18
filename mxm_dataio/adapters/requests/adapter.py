"""``CaptureAdapter`` and ``mount``: one ``requests.Session`` under capture, nothing patched."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from ...api import IngestSession, active
from ...errors import ConfigError
from ...models import Exchange, Mode
from .. import failures
from ..call import Attempt, Call
from ..patches import Patches
from ..plan import Plan
from ..support import require_requests, require_urllib3, sends_chunks
from ..taps import recorded, under_way
from ..urllib3 import taps
from ..urllib3.hook import planned
from ..urllib3.response import replay

_OWN = frozenset({"_inner", "_ingest", "_refusal", "_taps"})


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
        if ingest is not None:
            ingest.sees_calls = True
        self._refusal = _refusal()
        self._tap_pools()

    def _tap_pools(self) -> None:
        """Have the adapter that makes the calls hand itself pools of tapped connections."""
        adapter = self._inner
        while isinstance(adapter, CaptureAdapter):
            adapter = adapter._inner
        self._taps = taps.Taps.of(adapter)
        if not self._refusal:
            self._taps.add()

    def untap(self) -> None:
        """Undo that, unless another mount of the same adapter needs it."""
        if not self._refusal:
            self._taps.remove()

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
        self._refusal = _refusal()
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
            ReplayMissError: replay holds no such call, or the session given has ended.
            ConfigError: that session was never opened; in replay, with a urllib3 or requests that
                can't be captured.
            requests.RequestException: as the inner adapter raises, or as it was recorded.
        """
        kwargs.update(stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        ingest = None if under_way() is not None else self._ingest or active()
        if ingest is not None and not ingest.is_open:
            if ingest is self._ingest and active() is None:
                ingest.not_open(str(request.method), str(request.url))
            ingest = None
        if ingest is None:
            return self._inner.send(request, **kwargs)
        if self._refusal:
            ingest.blind(self._refusal)
            return self._inner.send(request, **kwargs)
        response = capture(self._inner, ingest, request, kwargs)
        try:
            response.connection = self
            return response
        finally:
            # As in capture().
            del response


def _refusal() -> str:
    """Return why nothing can be captured here; empty if it can."""
    try:
        require_requests(requests.__version__)
        require_urllib3()
    except ConfigError as exc:
        return str(exc)
    return ""


def capture(
    inner: BaseAdapter,
    ingest: IngestSession,
    request: requests.PreparedRequest,
    kwargs: dict[str, Any],
    send: Callable[..., requests.Response] | None = None,
) -> requests.Response:
    """Make, record or replay one call of an adapter.

    Args:
        inner: the adapter.
        ingest: to record to, or to replay from.
        request, kwargs: what the adapter's ``send`` takes.
        send: what makes the call, if not that.

    Raises:
        ReplayMissError: replay holds no such call.
        requests.RequestException: as the adapter raises, or as it was recorded.
    """
    send = send or inner.send
    if ingest.mode is Mode.OFF:
        return send(request, **kwargs)
    plan = planned(ingest, str(request.method), str(request.url), request.headers, request.body)
    if plan.passes:
        return send(request, **kwargs)
    if plan.serve is not None:
        return _replay(inner, plan, plan.serve, request, kwargs)
    call = plan.call()
    response: requests.Response = recorded(call, send, request, **kwargs)
    try:
        call.explain(response.raw)
        if plan.not_modified(call, response.status_code) and plan.stored is not None:
            response.content  # noqa: B018 - read to its end, so that the connection is reused
            call.returned()
            return _replay(inner, plan, plan.stored, request, kwargs)
        if not call.attempts:
            _tap_body(response, call)
        call.returned()
        return response
    finally:
        # A retry's error keeps this frame, and the response its history: a cycle otherwise.
        del response


def _replay(
    inner: BaseAdapter,
    plan: Plan,
    stored: Exchange,
    request: requests.PreparedRequest,
    kwargs: dict[str, Any],
) -> requests.Response:
    adapter = inner if isinstance(inner, HTTPAdapter) else HTTPAdapter()
    failure = stored.request.failure
    pool = _Pool(plan, stored, str(request.url))
    raw = None
    if failure is None and _waits(kwargs.get("timeout")):
        # All that requests does with an answer that comes; the rest of its work is for failures.
        proxies = kwargs.get("proxies")
        url = request.path_url
        if proxies or url.startswith("//"):
            url = HTTPAdapter.request_url(adapter, request, proxies)
        try:
            raw = pool.urlopen(
                str(request.method),
                url,
                retries=adapter.max_retries,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (OSError, urllib3.exceptions.HTTPError):
            # What was stored is no answer of HTTP's: for requests to say, below.
            raw = None
    if raw is not None:
        response = adapter.build_response(request, raw)
    else:
        response = _sent(adapter, pool, request, kwargs)
    response.request = request
    if _SENDS_CHUNKS and _in_chunks(request):
        response.raw.retries = None
    return response


def _waits(timeout: Any) -> bool:
    """Say whether ``HTTPAdapter.send`` surely takes this timeout; others are for it to judge."""
    return timeout is None or (type(timeout) in (int, float) and timeout > 0)


def _sent(
    adapter: HTTPAdapter, pool: _Pool, request: requests.PreparedRequest, kwargs: dict[str, Any]
) -> requests.Response:
    """Have requests send a call to the store, and make its own exception of what that raises."""
    bare = request
    if request.body is not None:
        # Nothing is sent: without a body no version of requests takes its way for chunks.
        bare = request.copy()
        bare.body = None
    failure = pool.stored.request.failure
    try:
        if failure is not None and not failure.error_class.startswith("urllib3."):
            # What the adapter inside raised; else it is for requests to wrap what urllib3 did.
            failures.raise_again(failure, pool, wrapped=True)
        return _Replayer(pool, adapter).send(bare, **kwargs)
    except requests.RequestException as exc:
        if exc.request is not None:
            exc.request = request
        raise


class _Pool:
    """What ``HTTPAdapter.send`` gets in place of a pool: it answers from the store."""

    __slots__ = ("_plan", "_url", "stored")

    def __init__(self, plan: Plan, stored: Exchange, url: str) -> None:
        self._plan = plan
        self.stored = stored
        self._url = url

    def __repr__(self) -> str:
        # As a pool of urllib3 names itself in messages.
        url = urllib3.util.parse_url(self._url)
        name, port = (
            ("HTTPSConnectionPool", 443) if url.scheme == "https" else ("HTTPConnectionPool", 80)
        )
        return f"{name}(host={url.host!r}, port={url.port or port!r})"

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
        response_kw = {"preload_content": preload_content, "decode_content": decode_content}
        plan = self._plan
        return replay(
            plan.store, self.stored, self, method, url, retries, redirect, response_kw,
            plan.ingest.missed,
        )  # fmt: skip


class _Replayer(HTTPAdapter):
    """requests' own adapter over recorded answers: it makes responses and errors as ever."""

    def __init__(self, pool: _Pool, inner: HTTPAdapter) -> None:
        self._pool = pool
        self._inner = inner
        self.max_retries = inner.max_retries

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._pool

    def get_connection(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._pool

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """No certificate is needed offline."""

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        return self._inner.build_response(req, resp)


# -- an inner adapter that never reaches urllib3's connections -------------------------------


class _TapBody:
    """The file under a response that came from elsewhere than a socket, read and noted."""

    def __init__(self, fp: Any, attempt: Attempt) -> None:
        self._fp = fp
        self._attempt = attempt

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        data = self._fp.read(*(() if amt is None else (amt,)), *args, **kwargs)
        if data and not self._attempt.done:
            self._attempt.take(data)
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
        attempt.take(content)
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


class ChunkedHook(Patches):
    """Sees what requests 2.28 sends in chunks past ``urlopen``, on a pool's bare connection.

    (psf/requests#6226 gave these calls to urllib3.)
    """

    def replace_all(self) -> None:
        self.replace(HTTPAdapter, "send", _chunked_send)


def _in_chunks(request: requests.PreparedRequest) -> bool:
    return not (request.body is None or "Content-Length" in request.headers)


# Whether this requests sends such a body itself; urllib3 then counts no retries for it.
_SENDS_CHUNKS = sends_chunks(requests.__version__)


def _chunked_send(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if under_way() is not None or args or not _in_chunks(request):
            return original(self, request, *args, **kwargs)
        ingest = active()
        if ingest is None:
            return original(self, request, *args, **kwargs)
        # Not through self.send, which may be a subclass's that has led here.
        return capture(self, ingest, request, kwargs, functools.partial(original, self))

    return send


CHUNKED_HOOK = ChunkedHook()

# -- mounting --------------------------------------------------------------------------------


class Mount:
    """A ``requests.Session`` under capture; :meth:`unmount`, or leaving the ``with``, undoes it."""

    def __init__(self, session: requests.Session, ingest: IngestSession | None) -> None:
        self.session = session
        self._mine: dict[str, CaptureAdapter] = {}
        for prefix, inner in list(session.adapters.items()):
            adapter = CaptureAdapter(inner=inner, ingest=ingest)
            self._mine[prefix] = adapter
            session.adapters[prefix] = adapter

    def __enter__(self) -> requests.Session:
        return self.session

    def __exit__(self, *exc_info: object) -> None:
        self.unmount()

    def unmount(self) -> None:
        """Put the session's own adapters back, where ours still stand; in any order of mounts."""
        for prefix, adapter in self._mine.items():
            adapter.untap()
            above = self.session.adapters.get(prefix)
            if above is adapter:
                self.session.adapters[prefix] = adapter.inner
            while isinstance(above, CaptureAdapter):
                # A later mount wraps ours: ours is taken out from below it.
                if above.inner is adapter:
                    above._inner = adapter.inner
                above = above.inner
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
