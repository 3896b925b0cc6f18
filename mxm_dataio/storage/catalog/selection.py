"""Which calls are meant: what a person asks for, as values, and what SQLite finds by them."""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import translate
from typing import Any, NamedTuple

from ...errors import ConfigError
from ...http.url_patterns import forms_of, matches
from ...models import Status
from ...process import wall_time

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w|y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
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
        url: a pattern, see :mod:`mxm_dataio.http.url_patterns`.
    """

    sessions: tuple[str, ...] | None = None
    host: str | None = None
    method: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    since: float | None = None
    source: str | None = None
    failed: bool = False
    url: str | None = None


def seconds(text: str) -> float:
    """Return the seconds of a span: ``90s``, ``15m``, ``2h``, ``30d``, ``4w``, ``2y``.

    Raises:
        ConfigError: it is none.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or (span := float(match[1]) * _SECONDS[match[2]]) > _LONGEST:
        raise ConfigError(f"{text!r} is no span of time: write 90s, 15m, 2h, 30d, 4w or 2y")
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


Outcomes = str | int | Iterable[str | int]
Since = str | float | date | timedelta


def wanted_of(
    *,
    source: str | None = None,
    host: str | None = None,
    url: str | None = None,
    status: Outcomes | None = None,
    since: Since | None = None,
) -> Wanted:
    """Return what is meant, as it is given in Python; see :meth:`mxm_dataio.store.Store.calls`.

    Raises:
        ConfigError: a status or an instant is none.
    """
    words = (status,) if isinstance(status, (str, int)) else tuple(status or ())
    outcomes = tuple(outcome_of(str(word)) for word in words)
    return Wanted(None, host, None, outcomes, _since(since), source, url=url)


def _since(value: Since | None) -> float | None:
    now = wall_time()
    if isinstance(value, timedelta):
        return now - value.total_seconds()
    if isinstance(value, date):
        value = value.isoformat()
    return instant_of(value, now) if isinstance(value, str) else value


def terms_of(db: sqlite3.Connection, wanted: Wanted) -> tuple[list[str], list[Any]]:
    """Return what has to be true of a call (``q``) in SQL, and the values for it.

    But for ``sessions`` and ``failed``, which who asks knows better how to find.

    Args:
        db: is given the functions that the terms ask.
    """
    terms: list[str] = ["TRUE"]
    values: list[Any] = []
    for term, value in (
        ("q.source = ?", wanted.source),
        ("q.method = ?", wanted.method),
        ("q.started >= ?", wanted.since),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    if wanted.host is not None:
        db.create_function("host_is_wanted", 1, _host_is(wanted.host))
        terms.append("host_is_wanted(q.endpoint)")
    if wanted.url is not None:
        db.create_function("url_is_wanted", 1, _url_is(wanted.url))
        terms.append("url_is_wanted(coalesce(q.url, q.endpoint))")
    any_of = []
    for outcome in wanted.outcomes:
        if outcome.codes is not None:
            any_of.append(
                "EXISTS (SELECT 1 FROM responses p WHERE p.request = q.number "
                "AND p.status_code BETWEEN ? AND ?)"
            )
            values += outcome.codes
        else:
            any_of.append("q.status = ?")
            values.append(outcome.status)
    if any_of:
        terms.append(f"({' OR '.join(any_of)})")
    return terms, values


def _host_is(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether an endpoint's host matches."""
    compiled = host_pattern(pattern)

    @functools.lru_cache(4096)
    def is_wanted(endpoint: str) -> bool:
        return compiled.match(host_of(endpoint)) is not None

    return is_wanted


def _url_is(pattern: str) -> Callable[[str], bool]:
    @functools.lru_cache(4096)
    def is_wanted(url: str) -> bool:
        return url == pattern or matches(forms_of(str(url)), pattern)

    return is_wanted


def host_of(endpoint: str) -> str:
    """Return host and port of an endpoint as it is stored; empty where it is no URL."""
    # (A stranger's row may have anything there.)
    match = _AUTHORITY.match(str(endpoint))
    return match[1] if match else ""


def host_pattern(pattern: str) -> re.Pattern[str]:
    """Return what matches hosts with their ports: the pattern has ``*``, and any port by default.

    ``example.com`` does not stand for its subdomains, ``*.example.com`` does.
    """
    wanted = pattern.strip().lower()
    port = r"(?::\d+)?" if not re.search(r":\d+$|:\*$", wanted) else ""
    return re.compile(translate(wanted).removesuffix(r"\Z").removesuffix(r"\z") + port + r"\Z")
