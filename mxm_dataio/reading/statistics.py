"""A store in figures: per host, how many calls, how they ended, how large and how fast.

Worked out by SQLite in temporary tables, so that a store may hold more calls than memory does.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .filters import called_host
from .outcomes import IS_BROKEN, LAST_CODE

Progress = Callable[[str, int, int], None]
PERCENTILES = (50, 90, 99)
FAILED = "failed"
_STEPS = 5
_TOLD = f"""
    CREATE TEMP TABLE told AS SELECT q.number AS number, called_host(q.endpoint, q.source) AS host,
        q.duration AS value, q.body_checksum AS checksum, q.body_size AS size,
        CASE WHEN {IS_BROKEN} THEN '{FAILED}'
            ELSE coalesce(({LAST_CODE} / 100) || 'xx',
                CASE WHEN q.served_from NOT NULL THEN 'stored' ELSE q.status END) END AS ending
    FROM requests q WHERE
"""
_TRIED = """
    CREATE TEMP TABLE tried AS SELECT t.host AS host, p.first_byte AS value,
        p.checksum AS checksum, p.size AS size
    FROM temp.told t JOIN responses p ON p.request = t.number
"""
_NAMED = (
    "SELECT host, checksum, size FROM temp.tried WHERE checksum NOT NULL "
    "UNION ALL SELECT host, checksum, size FROM temp.told WHERE checksum NOT NULL"
)


@dataclass
class Figures:
    """Of the calls to one host, or of all.

    Attributes:
        host: with its port; the source in parentheses where calls have none.
        calls, attempts: how many.
        ends: how calls ended, as ``2xx`` or ``failed`` → how many; those answered from the store
            as ``stored``.
        size: bytes of the payloads that are named, requests' and answers', as often as they are.
        kept: bytes of the same payloads, each counted once.
        durations: per cent → seconds within which so many calls had their answer.
        first_bytes: per cent → seconds within which so many attempts had their first byte.
    """

    host: str
    calls: int = 0
    attempts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    size: int = 0
    kept: int = 0
    durations: Mapping[int, float] = field(default_factory=dict)
    first_bytes: Mapping[int, float] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Calls that went wrong; see :mod:`.outcomes`."""
        return self.ends[FAILED] + self.ends["4xx"] + self.ends["5xx"]

    @property
    def saved(self) -> float | None:
        """The part of the bytes that need not be kept, since others are the same."""
        return 1 - self.kept / self.size if self.size else None


def figures(
    db: sqlite3.Connection,
    *,
    sessions: Iterable[str] | None = None,
    source: str | None = None,
    since: float | None = None,
    progress: Progress | None = None,
) -> tuple[list[Figures], Figures]:
    """Return the figures of each host, that with most calls first, and those of all together.

    Args:
        db: a snapshot of the catalog, of ``CatalogReader.snapshot``.
        sessions: ids; ``None``: all.
        source: the calls'.
        since: seconds since the epoch.
    """
    told = progress or (lambda *_: None)
    _gather(db, sessions, source, since)
    told("calls", 1, _STEPS)
    db.execute(_TRIED)
    told("calls", 2, _STEPS)
    found: dict[str, Figures] = {}
    total = Figures("")
    for host, ending, count in db.execute(
        "SELECT host, ending, count(*) FROM temp.told GROUP BY host, ending"
    ):
        for one in (found.setdefault(host, Figures(host)), total):
            one.calls += count
            one.ends[ending] += count
    for host, count in db.execute("SELECT host, count(*) FROM temp.tried GROUP BY host"):
        for one in (found[host], total):
            one.attempts += count
    told("calls", 3, _STEPS)
    for table in ("told", "tried"):
        db.execute(f"CREATE INDEX temp.{table}_by_host ON {table} (host, value)")
        db.execute(f"CREATE INDEX temp.{table}_by_value ON {table} (value)")
    for one in found.values():
        one.durations = _percentiles(db, "told", one.host)
        one.first_bytes = _percentiles(db, "tried", one.host)
    total.durations = _percentiles(db, "told")
    total.first_bytes = _percentiles(db, "tried")
    told("calls", 4, _STEPS)
    _add_sizes(db, found, total)
    told("calls", _STEPS, _STEPS)
    return sorted(found.values(), key=lambda one: (-one.calls, one.host)), total


def _gather(
    db: sqlite3.Connection,
    sessions: Iterable[str] | None,
    source: str | None,
    since: float | None,
) -> None:
    """Gather the calls that are meant."""
    db.create_function("called_host", 2, called_host, deterministic=True)
    terms, values = ["TRUE"], []
    if sessions is not None:
        db.execute("CREATE TEMP TABLE meant (number INTEGER PRIMARY KEY)")
        db.executemany(
            "INSERT OR IGNORE INTO meant SELECT number FROM main.sessions WHERE id = ?",
            [(id,) for id in sessions],
        )
        terms.append("q.session IN (SELECT number FROM temp.meant)")
    for term, value in (("q.source = ?", source), ("q.started >= ?", since)):
        if value is not None:
            terms.append(term)
            values.append(value)
    db.execute(f"{_TOLD} {' AND '.join(terms)}", values)


def _percentiles(db: sqlite3.Connection, table: str, host: str | None = None) -> dict[int, float]:
    where = "value NOT NULL" if host is None else "value NOT NULL AND host = ?"
    values = () if host is None else (host,)
    ((count,),) = db.execute(f"SELECT count(*) FROM temp.{table} WHERE {where}", values)
    found = {}
    for percent in PERCENTILES if count else ():
        # The least value that so many per cent do not exceed.
        place = max(math.ceil(count * percent / 100) - 1, 0)
        ((found[percent],),) = db.execute(
            f"SELECT value FROM temp.{table} WHERE {where} ORDER BY value LIMIT 1 OFFSET ?",
            (*values, place),
        )
    return found


def _add_sizes(db: sqlite3.Connection, found: Mapping[str, Figures], total: Figures) -> None:
    for host, size, kept in db.execute(
        "SELECT host, sum(size * uses), sum(size) FROM (SELECT host, count(*) AS uses, "
        f"max(size) AS size FROM ({_NAMED}) GROUP BY host, checksum) GROUP BY host"
    ):
        found[host].size, found[host].kept = size, kept
    total.size, total.kept = db.execute(
        "SELECT coalesce(sum(size * uses), 0), coalesce(sum(size), 0) FROM "
        f"(SELECT count(*) AS uses, max(size) AS size FROM ({_NAMED}) GROUP BY checksum)"
    ).fetchone()
