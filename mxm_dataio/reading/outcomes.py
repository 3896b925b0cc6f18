"""What a call came to: whether it went wrong, and how, for Python and for SQLite.

It went wrong if it failed, was broken off, or was at last answered with 4xx or 5xx.
"""

from __future__ import annotations

from http import HTTPStatus

from ..models import Exchange, Failure, Status

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
