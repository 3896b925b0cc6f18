"""Which calls and sessions are meant: what is asked for on the command line, as values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import translate
from typing import NamedTuple

from ..errors import ConfigError
from ..models import Session, Status

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WORDS = (Status.COMPLETE, Status.PARTIAL, Status.FAILED, Status.INTERRUPTED)
_LONGEST = 1e12
_AUTHORITY = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/?#]*@)?((?:\[[^/?#\[\]]*\])?[^/?#\[\]]*)(?:[/?#]|\Z)"
)


class Outcome(NamedTuple):
    """How a call ended: one of its attempts was answered so, or it has this status.

    Attributes:
        codes: the first and the last status code.
    """

    codes: tuple[int, int] | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Calls to which all of this applies.

    Attributes:
        sessions: ids; ``None``: of any.
        host: a pattern, see :func:`host_pattern`.
        outcomes: any of them; none: whatever the outcome.
        since: seconds since the epoch.
        failed: it failed, was broken off, or its last attempt was answered with 4xx or 5xx.
    """

    sessions: tuple[str, ...] | None = None
    host: str | None = None
    method: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    since: float | None = None
    source: str | None = None
    failed: bool = False


def seconds(text: str) -> float:
    """Return the seconds of a span: ``90s``, ``15m``, ``2h``, ``30d``, ``4w``.

    Raises:
        ConfigError: it is none.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or (span := float(match[1]) * _SECONDS[match[2]]) > _LONGEST:
        raise ConfigError(f"{text!r} is no span of time: write 90s, 15m, 2h, 30d or 4w")
    return span


def instant_of(text: str, now: float) -> float:
    """Return an instant: a span before now, or a date or an instant in ISO 8601 (UTC by default).

    Raises:
        ConfigError: it is none of these.
    """
    if _SPAN.fullmatch(text.strip().lower()):
        return now - seconds(text)
    try:
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"{text!r} is neither a span (2h, 30d) nor a date or an instant (2025-10-07, "
            "2025-10-07T14:30)"
        ) from None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def outcome_of(text: str) -> Outcome:
    """Return the outcome that a word means: ``404``, ``5xx``, ``failed``, ``partial``, ….

    Raises:
        ConfigError: it means none.
    """
    word = text.strip().lower()
    if re.fullmatch(r"[1-9]\d\d", word):
        return Outcome((int(word), int(word)))
    if re.fullmatch(r"[1-9]xx", word):
        return Outcome((int(word[0]) * 100, int(word[0]) * 100 + 99))
    if word in _WORDS:
        return Outcome(status=Status(word))
    raise ConfigError(f"{text!r} is no outcome: write 404, 5xx, or {', '.join(_WORDS)}")


def host_of(endpoint: str) -> str:
    """Return host and port of an endpoint as it is stored; empty where it is no URL."""
    # (A stranger's row may have anything there.)
    match = _AUTHORITY.match(str(endpoint))
    return match[1] if match else ""


def called_host(endpoint: str, source: str) -> str:
    """Return the host that a call is counted under, its source where it has none."""
    return host_of(endpoint) or f"({source})"


def host_pattern(pattern: str) -> re.Pattern[str]:
    """Return what matches hosts with their ports: the pattern has ``*``, and any port by default.

    ``example.com`` does not stand for its subdomains, ``*.example.com`` does.
    """
    wanted = pattern.strip().lower()
    port = r"(?::\d+)?" if not re.search(r":\d+$|:\*$", wanted) else ""
    return re.compile(translate(wanted).removesuffix(r"\Z").removesuffix(r"\z") + port + r"\Z")


def in_trees(sessions: Sequence[Session]) -> list[tuple[int, Session]]:
    """Return sessions in their order, each followed by its children, with how deep they stand."""
    ids = {session.id for session in sessions}
    children: dict[str | None, list[Session]] = {}
    for session in sessions:
        parent = session.parent_id if session.parent_id in ids else None
        children.setdefault(parent, []).append(session)
    found: list[tuple[int, Session]] = []
    waiting = [(0, session) for session in reversed(children.get(None, []))]
    while waiting:
        depth, session = waiting.pop()
        found.append((depth, session))
        waiting += [(depth + 1, child) for child in reversed(children.get(session.id, []))]
    return found
