"""What to do with a call: a pure decision from mode, stored answer and its age.

The decision is data; the adapters act on it and end in ``assert_never``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..models import Exchange, Mode, Status
from ..patterns import regex

# What a cache may keep where nothing is said of it (RFC 9110 §15.1), but for 501, which like every
# 5xx is asked again; and the redirects that are to be asked each time, whose answers are kept.
STATUSES = frozenset({200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414})
# RFC 9110 §9.2.1, RFC 4918 §9.1, RFC 3253 §3.6, RFC 5323 §2, and the one that is a query by name.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
# What a source has failed with, where a stale answer may serve (RFC 5861 §4).
FAILED = frozenset({500, 502, 503, 504})
_STATUS = regex("[1-5](?:[0-9][0-9]|xx)")
_METHOD = regex("[A-Za-z][A-Za-z-]*")


class Reuse:
    """Which stored answers ``auto`` may serve.

    Args:
        words: statuses, ``404`` or ``4xx``, in place of :data:`STATUSES`; and methods, ``POST``,
            besides those that are safe.

    Raises:
        ValueError: a word is neither.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        statuses: set[int] = set()
        methods = set(SAFE)
        for word in words:
            if _STATUS.fullmatch(word.lower()):
                first = int(word.lower().replace("xx", "00"))
                statuses.update(range(first, first + (100 if "x" in word.lower() else 1)))
            elif _METHOD.fullmatch(word):
                methods.add(word.upper())
            else:
                raise ValueError(f"{word!r} is no status (404, 4xx) and no method (POST)")
        self._statuses = frozenset(statuses) or STATUSES
        self._methods = frozenset(methods)

    def takes(self, method: str) -> bool:
        """Say whether answers to a method may be served."""
        return method.upper() in self._methods

    def admits(self, stored: Exchange) -> bool:
        """Say whether an answer may be served: whole, of a safe method, and no passing failure."""
        request, answer = stored.request, stored.answer
        if request.status is not Status.COMPLETE or answer is None or not answer.complete:
            return False
        if not self.takes(request.method):
            return False
        if answer.redacted:
            # With a placeholder for its token the program could not go on to the source.
            return False
        return answer.status_code is None or answer.status_code in self._statuses


@dataclass(slots=True)
class Pass:
    """Let the call through and record nothing."""


@dataclass(slots=True)
class Fetch:
    """Let the call through and record it.

    Attributes:
        spare: the stored answer that serves if the source fails.
    """

    spare: Exchange | None = None


@dataclass(slots=True)
class Revalidate:
    """Fetch with conditional headers; a 304 serves the stored answer (RFC 9111 §4.3).

    Attributes:
        spare: as of :class:`Fetch`.
    """

    stored: Exchange
    conditions: tuple[tuple[str, str], ...]
    spare: Exchange | None = None


@dataclass(slots=True)
class Serve:
    """Answer from the store."""

    stored: Exchange


@dataclass(slots=True)
class Miss:
    """Replay holds no answer."""


Decision = Pass | Fetch | Revalidate | Serve | Miss


_DEFAULT = Reuse()


def decide(
    mode: Mode,
    stored: Exchange | None,
    *,
    age: float = 0.0,
    ttl: float | None = None,
    conditional: bool = True,
    reuse: Reuse = _DEFAULT,
    stale_if_error: float = 0.0,
) -> Decision:
    """Return what to do with a call.

    Args:
        stored: the answer that would be served, if there is one.
        age: seconds since its source gave or confirmed it.
        ttl: seconds for which ``auto`` takes a stored answer as fresh; ``None`` is for ever.
        conditional: the call may be made conditional (a GET or HEAD without conditions of the
            program's own).
        reuse: which stored answers ``auto`` may serve.
        stale_if_error: seconds after that for which it serves if the source fails (RFC 5861 §4).
    """
    match mode:
        case Mode.OFF:
            return Pass()
        case Mode.RECORD:
            return Fetch()
        case Mode.REPLAY:
            return Miss() if stored is None else Serve(stored)
        case Mode.AUTO:
            if stored is None or not reuse.admits(stored):
                return Fetch()
            if ttl is None or age < ttl:
                return Serve(stored)
            spare = stored if age < ttl + stale_if_error else None
            conditions = validators(stored) if conditional else ()
            return Revalidate(stored, conditions, spare) if conditions else Fetch(spare)


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
