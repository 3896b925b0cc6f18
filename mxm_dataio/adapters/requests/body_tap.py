"""A body that no pool of urllib3 reads: captured as its reader reads it."""

from __future__ import annotations

import io
from typing import Any

import requests
import urllib3

from ..attempt import Attempt
from ..call import Call


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
    attempt.parser.head_done = True
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
