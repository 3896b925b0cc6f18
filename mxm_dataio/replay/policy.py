"""What to do with a call: a pure decision from mode, stored answer and its age.

The decision is data; the adapters act on it and end in ``assert_never``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..models import Exchange, Mode, Status

# A stored answer that only says "not now" must not stand in for a fetch (RFC 9111 §3 leaves
# caching of these to the origin; RFC 9110 §15.6, §15.5.9, RFC 6585 §4).
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Pass:
    """Let the call through and record nothing."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Let the call through and record it."""


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Fetch with conditional headers; a 304 serves the stored answer (RFC 9111 §4.3)."""

    stored: Exchange
    conditions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer from the store."""

    stored: Exchange


@dataclass(frozen=True, slots=True)
class Miss:
    """Replay holds no answer."""


Decision = Pass | Fetch | Revalidate | Serve | Miss


def decide(
    mode: Mode,
    stored: Exchange | None,
    *,
    age: float = 0.0,
    ttl: float | None = None,
    conditional: bool = True,
) -> Decision:
    """Return what to do with a call.

    Args:
        stored: the answer that would be served, if there is one.
        age: seconds since its source gave or confirmed it.
        ttl: seconds for which ``auto`` takes a stored answer as fresh; ``None`` is for ever.
        conditional: the call may be made conditional (a GET or HEAD without conditions of the
            program's own).
    """
    match mode:
        case Mode.OFF:
            return Pass()
        case Mode.RECORD:
            return Fetch()
        case Mode.REPLAY:
            return Miss() if stored is None else Serve(stored)
        case Mode.AUTO:
            if stored is None or not reusable(stored):
                return Fetch()
            if ttl is None or age < ttl:
                return Serve(stored)
            conditions = validators(stored) if conditional else ()
            return Revalidate(stored, conditions) if conditions else Fetch()


def reusable(stored: Exchange) -> bool:
    """Say whether ``auto`` may serve an answer: whole, and no failure that may have passed."""
    answer = stored.answer
    if stored.request.status is not Status.COMPLETE or answer is None or not answer.complete:
        return False
    if answer.redacted:
        # With a placeholder for its token the program could not go on to the source.
        return False
    code = answer.status_code
    return code is None or (code < 500 and code not in _TRANSIENT)


def validators(stored: Exchange) -> tuple[tuple[str, str], ...]:
    """Return the conditional headers that a stored 200 allows (RFC 9110 §13.1)."""
    answer = stored.answer
    if answer is None or answer.status_code != 200:
        return ()
    etag, modified = answer.header("ETag"), answer.header("Last-Modified")
    conditions = []
    if etag:
        conditions.append(("If-None-Match", etag))
    if modified:
        conditions.append(("If-Modified-Since", modified))
    return tuple(conditions)
