"""``answer=``: what a program is given in the place of a recorded answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..concurrency.reentry import is_interrupt
from ..errors import ConfigError
from ..http.content import LARGEST, content_headers
from ..http.named_values import Uncounted
from ..identity import identify
from ..identity.matching import RequestBody, call_of
from ..identity.view import Call
from ..models import Exchange, Headers, Mode

if TYPE_CHECKING:
    from .capture import Capture

Answer = Callable[[Exchange, Call], Exchange]


def given(capture: Capture, stored: Exchange, asked: Callable[[], Call]) -> Exchange:
    """Return what a call is given that a recorded one answers.

    Args:
        asked: makes what the program asks for.

    Raises:
        ConfigError: the function returned what is no exchange.
        Exception: as the function raised, in replay, in a test, or when ``strict``; a session on a
            root that records too serves what was recorded.
    """
    answer, store = capture.answer, capture.store
    if answer is None:
        return stored
    call = asked()
    try:
        made = answer(stored if store is None else store.placed(stored), call)
    except Exception as exc:
        if is_interrupt(exc):
            raise
        return _recorded(capture, stored, call, f"raised {type(exc).__name__}: {exc}", exc)
    if isinstance(made, Exchange):
        return made
    wrong = f"returned {type(made).__name__}: return the exchange, or exchange.with_json(…)"
    return _recorded(capture, stored, call, wrong)


def _recorded(
    capture: Capture, stored: Exchange, call: Call, what: str, exc: Exception | None = None
) -> Exchange:
    name = getattr(capture.answer, "__qualname__", repr(capture.answer))
    error = ConfigError(f"{name!r}, which answer= names, {what} ({call.method} {call.url})")
    in_test = capture.mode is Mode.REPLAY or not capture.place.in_root
    if in_test:
        capture.problems.problem(exc or error, stacklevel=4, raises=True)
    error.__cause__ = exc
    capture.problems.problem(error, stacklevel=4)
    return stored


def asking(
    source: str,
    method: str,
    url: str,
    headers: Headers = (),
    body: bytes | None = None,
    params: Iterable[tuple[str, str]] = (),
) -> Call:
    """Return what a program asks for, all of it, as the program itself has it."""
    identity = identify(method, url, params=params, headers=headers, body=body, source=source)
    content_type, coding = content_headers(headers)

    def content() -> RequestBody | None:
        if not body or len(body) > LARGEST:
            return None
        return RequestBody(body, content_type, coding, Uncounted(lambda _: False))

    return replace(call_of(identity, content), headers=identity.all_headers)
