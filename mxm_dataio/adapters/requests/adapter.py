"""``CaptureAdapter`` and ``mount``: one ``requests.Session`` under capture, nothing patched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from ...api import IngestSession, capture_of
from ...errors import ConfigError, DataIOWarning, ReplayMissError
from ...ingest.active import active
from ...ingest.capture import Capture
from ...ingest.uncaptured import blind
from ...models import Mode
from .. import unix_sockets
from ..support import require_requests, require_urllib3
from ..taps import recorded, under_way
from ..urllib3 import taps
from ..urllib3.hook import planned
from .body_tap import _tap_body

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
        ingest: IngestSession | Capture | None = None,
        **kwargs: Any,
    ) -> None:
        if inner is not None and kwargs:
            raise ConfigError(
                f"CaptureAdapter(inner=…) takes no {', '.join(kwargs)}: give them to the adapter "
                "inside"
            )
        # HTTPAdapter.__init__ is not called: it would make pools that no one uses.
        self._inner: BaseAdapter = inner if inner is not None else HTTPAdapter(**kwargs)
        self._ingest = None if ingest is None else capture_of(ingest)
        if self._ingest is not None:
            self._ingest.sees_calls = True
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
                _not_open(ingest, str(request.method), str(request.url))
            ingest = None
        if ingest is None:
            return self._inner.send(request, **kwargs)
        if self._refusal:
            blind(ingest, self._refusal)
            return self._inner.send(request, **kwargs)
        response = capture(self._inner, ingest, request, kwargs)
        try:
            response.connection = self
            return response
        finally:
            # As in capture().
            del response


def _not_open(capture: Capture, method: str, url: str) -> None:
    """Take a call of what is mounted on a session that is not open.

    Raises:
        ConfigError: it never was.
        ReplayMissError: it has ended, and replayed: the call would reach the network.
    """
    url = capture.secrets_for(url).url(url)
    mounted = f"{method} {url}: the session {capture.source!r} that this is mounted on"
    if capture.session is None:
        raise ConfigError(
            f"{mounted} was never opened; call within with IngestSession(…) as ingest: …"
        )
    advice = "call before its end, or undo the mount: with mount(session, ingest): …"
    if capture.mode is Mode.REPLAY:
        raise ReplayMissError(
            f"{mounted} has ended, and what it replays is offline; {advice}",
            method=method,
            url=url,
        )
    if capture.mode is not Mode.OFF and not capture.said_ended:
        capture.said_ended = True
        # Where warnings are errors too, the program's call is to go through.
        with contextlib.suppress(DataIOWarning):
            text = f"{mounted} has ended, so that no call is recorded from here on; {advice}"
            capture.opener.warn(DataIOWarning(text), 4)


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
    ingest: Capture,
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
    url = unix_sockets.url_of(inner, str(request.url))
    plan = planned(ingest, str(request.method), url, request.headers, request.body)
    if plan.passes:
        return send(request, **kwargs)
    if plan.serve is not None:
        from .replay import _replay  # a session that only records has none

        return _replay(inner, plan, plan.serve, request, kwargs)
    call = plan.call()
    response: requests.Response | None
    if plan.again is None:
        response = recorded(call, send, request, **kwargs)
    else:
        body, request.body = request.body, plan.again
        try:
            response = recorded(call, send, request, **kwargs)
        finally:
            request.body = body
    try:
        if response is not None:
            call.explain(response.raw)
        stored = plan.stands_in(call, response.status_code if response is not None else None)
        if stored is not None or response is None:
            if response is not None:
                response.content  # noqa: B018 - read to its end, so that the connection is reused
                call.returned()
            assert stored is not None
            from .replay import _replay

            return _replay(inner, plan, stored, request, kwargs)
        if not call.attempts:
            _tap_body(response, call)
        call.returned()
        return response
    finally:
        # A retry's error keeps this frame, and the response its history: a cycle otherwise.
        del response
