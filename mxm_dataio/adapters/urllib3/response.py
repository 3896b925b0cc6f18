"""A stored attempt as a real ``urllib3.HTTPResponse``, or as the exception it was.

The stored head and payload are framed again as they were and read through the same parsers as
a live answer, over a raw stream that ends as the connection did. So everything a live response
does works here, and everything that went wrong goes wrong alike.
"""

from __future__ import annotations

import functools
import http.client
import inspect
import io
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.util.retry import Retry

from ...errors import IntegrityError, ReplayMissError
from ...models import Exchange, Failure, Request, Response
from ...replay.misses import ended_early
from ...storage.backend import Backend
from .. import failures
from ..reframed import RecordedRaw, is_bare, opened
from .classes import Connection
from .plain_head import is_plain, read_plainly

Missed = Callable[[ReplayMissError], None]

_DECODE_ERROR = "urllib3.exceptions.DecodeError"


class _Socket:
    """As much of a socket as ``http.client`` asks of one."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def makefile(self, *_args: object, **_kwargs: object) -> io.BufferedReader:
        return io.BufferedReader(self._raw)

    def sendall(self, _data: object) -> None:
        """Nothing leaves."""

    def settimeout(self, _timeout: object) -> None:
        """Nothing waits."""

    def shutdown(self, _how: int) -> None:
        """Nothing to shut."""

    def close(self) -> None:
        """The stream is closed by its reader."""


class _Connection(Connection):  # type: ignore[misc]
    """urllib3's own connection over recorded bytes: the response is built by urllib3 itself."""

    recorded: io.RawIOBase
    _dataio_replays = True

    def connect(self) -> None:
        self.sock = _Socket(self.recorded)


# What every request of http.client would add; given so that it adds nothing of cost.
_HEADERS = {"Host": "", "Accept-Encoding": "", "User-Agent": "", "Content-Length": "0"}


def respond(
    store: Backend,
    response: Response,
    pool: Any,
    method: str,
    url: str,
    response_kw: dict[str, Any],
    missed: Missed | None = None,
) -> urllib3.HTTPResponse:
    """Return a stored attempt as urllib3 returns a live one.

    Args:
        pool: what the response calls its pool, in messages.
        url: the request target as urllib3 had it.
        response_kw: ``preload_content``, ``decode_content``, ``enforce_content_length``.
        missed: told of the error of a reading that goes past what was recorded.

    Raises:
        IntegrityError: the payload is missing or damaged.
        urllib3.exceptions.HTTPError, OSError: as the body read at once did, with
            ``preload_content``.
    """

    @functools.cache
    def beyond() -> BaseException:
        error = ended_early(method, response)
        if missed is not None:
            missed(error)
        return error

    payload = opened(store, response)
    if is_plain(response):
        body: Any = payload
        if not (isinstance(payload, io.BytesIO) and is_bare(response)):
            body = RecordedRaw(response, payload, beyond, head=False)
        read = read_plainly(response, method, _Socket(body))
        return _wrapped(read, pool, method, url, response_kw)
    connection = _Connection("replay")
    connection.recorded = RecordedRaw(response, payload, beyond)
    # Nothing is asked: what a program has printed of its requests is not to have this among it.
    connection.debuglevel = 0
    if _OLD:
        connection.request(method, "/", headers=_HEADERS)
        connection.debuglevel = Connection.debuglevel
        return _old_wrapped(connection.getresponse(), pool, method, response_kw)
    connection.request(method, url, headers=_HEADERS, **_new_kw(response_kw))
    connection.debuglevel = Connection.debuglevel
    made: urllib3.HTTPResponse = connection.getresponse()
    made._pool = pool
    return made


# urllib3 1.26 makes its response of http.client's in the pool, 2.x in the connection.
_OLD = hasattr(urllib3.HTTPResponse, "from_httplib")


def _shutdown(_how: int) -> None:
    """Nothing to shut."""


# What a response is told of its connection; it asks for more with minor versions of 2.x.
_MORE: dict[str, Any] = {
    name: value
    for name, value in {"version_string": "HTTP/1.1", "sock_shutdown": _shutdown}.items()
    if name in inspect.signature(urllib3.HTTPResponse).parameters
}


def _wrapped(
    read: http.client.HTTPResponse,
    pool: Any,
    method: str,
    url: str,
    response_kw: dict[str, Any],
) -> urllib3.HTTPResponse:
    """Return urllib3's response over http.client's, made as urllib3 makes it."""
    if _OLD:
        return _old_wrapped(read, pool, method, response_kw)
    made = urllib3.HTTPResponse(
        body=read,
        # As items() gives them, where there is nothing to be mended.
        headers=urllib3.HTTPHeaderDict(read.msg.raw_items()),
        status=read.status,
        version=read.version,
        reason=read.reason,
        original_response=read,
        request_method=method,
        request_url=url,
        **_new_kw(response_kw),
        **_MORE,
    )
    # Set from outside by urllib3's own pool too; it is what error messages name.
    made._pool = pool
    return made


def _old_wrapped(
    read: http.client.HTTPResponse, pool: Any, method: str, response_kw: dict[str, Any]
) -> urllib3.HTTPResponse:
    cls: Any = urllib3.HTTPResponse
    made: urllib3.HTTPResponse = cls.from_httplib(
        read, pool=pool, connection=None, request_method=method, **response_kw
    )
    return made


def _new_kw(response_kw: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response_kw.items() if name != "request_url"}


def replay(
    store: Backend,
    stored: Exchange,
    pool: Any,
    method: str,
    url: str,
    retry: Retry,
    response_kw: dict[str, Any],
    missed: Missed | None = None,
    note: Callable[[Request], str] | None = None,
) -> urllib3.HTTPResponse:
    """Return what the program got from a recorded call, or raise what it met.

    The history of retries and redirects is the recorded one; nothing is slept.

    Args:
        retry: the program's, before the first of the recorded attempts.
        note: makes the note of a failure.

    Raises:
        IntegrityError: a payload is missing or damaged.
        Exception: as recorded.
    """
    request = stored.request
    final = stored.responses[-1] if stored.responses else None
    if request.failure is not None and (final is None or not _undecodable(request.failure, final)):
        failures.raise_again(request.failure, pool, note=note(request) if note else "")
    if final is None:
        raise IntegrityError(f"the recorded call {request.id} has neither answer nor failure")
    for attempt in stored.responses[:-1]:
        retry = _counted(retry, attempt, attempt.method or method, url, pool)
    made = respond(
        store, final, pool, final.method or method, _target(final, url), response_kw, missed
    )
    made.retries = retry
    return made


def _undecodable(failure: Failure, final: Response) -> bool:
    """Say that an answer came whole and only its content coding was at fault.

    It is read again: a decoder's own exceptions can't be made from a store, and a program that
    does not preload the body meets them later.
    """
    return final.complete and failure.error_class == _DECODE_ERROR


def _target(attempt: Response, url: str) -> str:
    """Return an attempt's URL in the form in which the program gave the first."""
    if not url.startswith("/"):
        return attempt.url
    path = attempt.url.partition("://")[2].partition("/")[2]
    return f"/{path}"


def without_body(attempt: Response) -> urllib3.HTTPResponse:
    """Return as much of an answer as retries are counted by."""
    return urllib3.HTTPResponse(
        headers=dict(attempt.headers), status=attempt.status_code or 0, preload_content=False
    )


def _counted(retry: Retry, attempt: Response, method: str, url: str, pool: Any) -> Retry:
    """Return the retries with a recorded attempt counted, as urllib3 counted it."""
    error = answer = None
    if attempt.failure is not None:
        error = failures.load(attempt.failure, pool)
    else:
        answer = without_body(attempt)
    if attempt.status_code == 303:
        # urllib3 changes the method before it counts (RFC 9110 §15.4.4).
        method = "GET"
    try:
        return retry.increment(
            method,
            _target(attempt, url),
            response=answer,
            error=error if isinstance(error, Exception) else None,
            _pool=pool,
        )
    except Exception:
        # This program allows fewer retries than the recorded one made; it saw the answer.
        return retry
