"""What calls and sessions came to: whether they went wrong, and how, for Python and for SQLite.

A call went wrong if it failed, was broken off, or was at last answered with 4xx or 5xx.
"""

from __future__ import annotations

import signal
from http import HTTPStatus

from ..models import Exchange, Failure, Session, Status

PRUNED, ENDED_BY_PARENT = "pruned", "ended by parent"

# With these, whatever was answered does not count.
BROKEN = frozenset({Status.FAILED, Status.INTERRUPTED})
_ERROR = 400

# In SQL, ``q`` is the row of a call, ``p`` that of an attempt of it.
IS_BROKEN = f"q.status IN ({', '.join(repr(one.value) for one in sorted(BROKEN))})"
IS_ERROR = f"p.status_code >= {_ERROR}"
LAST_CODE = (
    "(SELECT p.status_code FROM responses p WHERE p.request = q.number "
    "ORDER BY p.sequence DESC LIMIT 1)"
)
IS_WRONG = f"({IS_BROKEN} OR {LAST_CODE} >= {_ERROR})"


def is_wrong(status: Status, code: int | None) -> bool:
    """Say whether a call went wrong, of a status and with a last answer's code."""
    return status in BROKEN or (code or 0) >= _ERROR


def wrong(call: Exchange) -> str | None:
    """Return in a word or two how a call went wrong; ``None`` if it did not."""
    status, code = call.request.status, code_of(call)
    if not is_wrong(status, code):
        return None
    if status is Status.INTERRUPTED:
        return "interrupted"
    if status is Status.FAILED:
        failure = failure_of(call)
        return failure.error_class.rpartition(".")[2][:100] if failure else "no answer"
    try:
        return f"{code} {HTTPStatus(code or 0).phrase}"
    except ValueError:
        return str(code)


def failure_of(call: Exchange) -> Failure | None:
    """Return what ended a call, or its last attempt."""
    return call.request.failure or (call.answer.failure if call.answer else None)


def code_of(call: Exchange) -> int | None:
    """Return the status code of a call's last attempt."""
    return call.answer.status_code if call.answer else None


def ended(session: Session) -> str:
    """Return in a word or three how a session ended, or that it was pruned since."""
    if session.pruned_at:
        return PRUNED
    return ENDED_BY_PARENT if session.ended_by_parent else str(session.status)


def exit_word(exit_status: int | None) -> str | None:
    """Return how a program ended, as far as that is known: ``0``, ``3``, ``SIGTERM``."""
    if exit_status is None or exit_status >= 0:
        return None if exit_status is None else str(exit_status)
    try:
        return signal.Signals(-exit_status).name
    except ValueError:
        return f"signal {-exit_status}"
