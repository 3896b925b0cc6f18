"""A mounted session's calls answered from the store."""

from __future__ import annotations

from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from ...ingest.misses import replayed
from ...models import Exchange
from .. import failures
from ..plan import Plan
from ..support import sends_chunks
from ..urllib3.response import replay
from ..urllib3.retrying import settle


def _replay(
    inner: BaseAdapter,
    plan: Plan,
    stored: Exchange,
    request: requests.PreparedRequest,
    kwargs: dict[str, Any],
) -> requests.Response:
    adapter = inner if isinstance(inner, HTTPAdapter) else HTTPAdapter()
    pool = _Pool(plan, stored, str(request.url))
    in_chunks = _SENDS_CHUNKS and _in_chunks(request)
    url = request.path_url
    if not in_chunks:
        # What requests sends itself, on a bare connection, it does not try again.
        pool.settle(adapter.max_retries, str(request.method), url)
    failure = pool.stored.request.failure
    raw = None
    if failure is None and _waits(kwargs.get("timeout")):
        # All that requests does with an answer that comes; the rest of its work is for failures.
        proxies = kwargs.get("proxies")
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
    if in_chunks:
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
        if failure is not None:
            exc.add_note(pool.note())
        if exc.request is not None:
            exc.request = request
        raise


class _Pool:
    """What ``HTTPAdapter.send`` gets in place of a pool: it answers from the store."""

    __slots__ = ("_error", "_plan", "_retry", "_url", "stored")

    def __init__(self, plan: Plan, stored: Exchange, url: str) -> None:
        self._plan = plan
        self.stored = stored
        self._url = url
        self._retry: Retry | None = None
        self._error: MaxRetryError | None = None

    def note(self) -> str:
        """Return the note of the failure that is replayed."""
        return replayed(self._plan.ingest, self.stored.request)

    def settle(self, retries: Any, method: str, url: str) -> None:
        """Go as far as the program's retries go."""
        retry = Retry.from_int(retries, redirect=False)
        try:
            self.stored, self._retry = settle(self._plan, self.stored, retry, method, url, self)
        except MaxRetryError as exc:
            self._error = exc

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
        if self._error is not None:
            raise self._error
        response_kw = {"preload_content": preload_content, "decode_content": decode_content}
        retry = self._retry or Retry.from_int(retries, redirect=redirect)
        plan = self._plan
        return replay(
            plan.store, self.stored, self, method, url, retry, response_kw, plan.ingest.missed
        )


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


def _in_chunks(request: requests.PreparedRequest) -> bool:
    return not (request.body is None or "Content-Length" in request.headers)


# Whether this requests sends such a body itself; urllib3 then counts no retries for it.
_SENDS_CHUNKS = sends_chunks(requests.__version__)
