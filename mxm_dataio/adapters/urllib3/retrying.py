"""The program's own retries in replay, of calls that were recorded one attempt each.

A program that looped by itself, and every recorder that sees single requests, recorded an answer
of 503 and the 200 behind it as two calls. Under urllib3's ``Retry`` the first is no answer: live
the program never sees it. What was recorded with its retries has them as attempts of one call, and
needs none of this.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

from urllib3.exceptions import (
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,
)
from urllib3.util.retry import Retry

from ...models import Exchange
from .. import failures
from ..plan import Plan
from .response import without_body

# What ``urlopen`` tries again, in every version: a full pool, say, is not among them.
_RETRIED = (
    HTTPException, NewConnectionError, OSError, ProtocolError, ProxyError, SSLError, TimeoutError,
)  # fmt: skip


def settle(
    plan: Plan, stored: Exchange, retry: Retry, method: str, url: str, pool: Any
) -> tuple[Exchange, Retry]:
    """Return the recorded call at which the program's retries end, and what they are by then.

    Nothing is slept.

    Args:
        stored: the one that answers.
        retry: the program's.
        url: the request target as urllib3 had it.
        pool: what the error calls its pool.

    Raises:
        MaxRetryError: the program would go on retrying, and no other answer is recorded.
    """
    while len(stored.responses) <= 1:
        counted = _counted(stored, retry, method, url, pool)
        if counted is None:
            break
        following = plan.following(stored)
        if following is None:
            if stored.request.failure is None and retry.raise_on_status:
                # As where the same answer comes until there are no tries left.
                retry.new(total=0).increment(
                    method, url, response=without_body(stored.responses[-1]), _pool=pool
                )
            break
        stored, retry = following, counted
    return stored, retry


def _counted(stored: Exchange, retry: Retry, method: str, url: str, pool: Any) -> Retry | None:
    """Return the retries with an attempt counted; ``None`` if they end there.

    Raises:
        MaxRetryError: it was the last, and its status is to be an error.
    """
    final = stored.responses[-1] if stored.responses else None
    failure = stored.request.failure
    if failure is not None:
        if final is not None and final.status_code is not None:
            # It came after the answer's head, when there is nothing to be tried again.
            return None
        error = failures.beneath(failures.load(failure, pool))
        reason = getattr(error, "reason", None)
        error = reason if isinstance(reason, Exception) else error
        if not isinstance(error, _RETRIED):
            return None
        try:
            return retry.increment(method, url, error=error, _pool=pool)
        except Exception:
            return None
    if final is None or final.status_code is None:
        return None
    code = final.status_code
    after = code in retry.RETRY_AFTER_STATUS_CODES and bool(final.header("Retry-After"))
    if not retry.is_retry(method, code, after):
        return None
    try:
        return retry.increment(method, url, response=without_body(final), _pool=pool)
    except MaxRetryError:
        if retry.raise_on_status:
            raise
        return None
