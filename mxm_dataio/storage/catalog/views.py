"""What SQL sees of a store: its views with their columns, which are a contract, and its functions.

The tables beneath may change with a release, these only by more (``docs/reference/sql.md`` tells of
each). A column costs nothing where a query does not name it: none comes by a join.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from ...config.settings import nearest
from ...errors import MALFORMED, ConfigError
from ...http.heads import parse_head
from ...http.params import mapping
from ...utils import instant
from . import rows
from .selection import host_of

TEXT, INTEGER, REAL, BOOLEAN, INSTANT, JSON = (
    "text", "integer", "real", "boolean", "instant", "json",
)  # fmt: skip


class Column(NamedTuple):
    """A column.

    Attributes:
        kind: a boolean is 1 or 0 in SQL, an instant text in ISO 8601, UTC, with microseconds.
        sql: what is in it.
    """

    name: str
    kind: str
    sql: str


def _last(column: str) -> str:
    """Return a value of a call's last attempt."""
    return (
        f"(SELECT {column} FROM main.responses p WHERE p.request = q.number "
        "ORDER BY p.sequence DESC LIMIT 1)"
    )


def _session(column: str) -> str:
    """Return a value of a call's session."""
    return f"(SELECT s.{column} FROM main.sessions s WHERE s.number = q.session)"


def _head_of(row: str) -> str:
    """Return a head: many have one that is kept once."""
    return f"coalesce((SELECT h.content FROM main.heads h WHERE h.number = {row}.head), {row}.head)"


_URL = "coalesce(q.url, q.endpoint)"
_KEPT = "CASE WHEN p.checksum IS NOT NULL THEN p.size END"
_HEADER = (
    Column("place", INTEGER, "j.key"),
    Column("name", TEXT, "json_extract(j.value, '$[0]') COLLATE NOCASE"),
    Column("value", TEXT, "json_extract(j.value, '$[1]')"),
)


def _failure(member: int) -> str:
    own, last = f"_failure(q.failure, {member})", _last(f"_failure(p.failure, {member})")
    return f"coalesce({own}, {last})"


VIEWS: dict[str, tuple[Column, ...]] = {
    "sessions": (
        Column("id", TEXT, "s.id"),
        Column("root_id", TEXT, "s.root_id"),
        Column("parent_id", TEXT, "s.parent_id"),
        Column("source", TEXT, "s.source"),
        Column("kind", TEXT, "s.kind"),
        Column("mode", TEXT, "s.mode"),
        Column("as_of", TEXT, "s.as_of"),
        Column("status", TEXT, "CASE s.status WHEN 'running' THEN _status(s.id) ELSE s.status END"),
        Column("started_at", INSTANT, "s.started_at"),
        Column("ended_at", INSTANT, "s.ended_at"),
        Column(
            "seconds", REAL,
            "round((julianday(s.ended_at) - julianday(s.started_at)) * 86400, 3)",
        ),
        Column("calls", INTEGER, "s.count"),
        Column("program", TEXT, "s.program"),
        Column("exit", INTEGER, "s.exit_status"),
        Column("machine", TEXT, "s.host"),
        Column("pid", INTEGER, "s.pid"),
        Column("warnings", JSON, "s.warnings"),
        Column("pruned_at", INSTANT, "s.pruned_at"),
    ),
    "calls": (
        Column("id", TEXT, "q.id"),
        Column("session_id", TEXT, _session("id")),
        Column("root_id", TEXT, "(SELECT s.id FROM main.sessions s WHERE s.number = q.root)"),
        Column("source", TEXT, "q.source"),
        Column("kind", TEXT, "q.kind"),
        Column("as_of", TEXT, "q.as_of"),
        Column("started_at", INSTANT, "_instant(q.started)"),
        Column("method", TEXT, "q.method"),
        Column("url", TEXT, _URL),
        Column("host", TEXT, "_host(q.endpoint)"),
        Column("path", TEXT, "_path(q.endpoint)"),
        Column("params", JSON, "_params(q.identity)"),
        Column("params_hash", TEXT, rows.hex_of("q.params_hash")),
        Column("status", TEXT, "q.status"),
        Column("status_code", INTEGER, _last("p.status_code")),
        Column("attempts", INTEGER,
               "(SELECT count(*) FROM main.responses p WHERE p.request = q.number)"),
        Column("seconds", REAL, "q.duration"),
        Column("bytes", INTEGER, _last(_KEPT)),
        Column("checksum", TEXT, _last(rows.hex_of("p.checksum"))),
        Column("sent_bytes", INTEGER, "q.body_size"),
        Column("sent_checksum", TEXT, rows.hex_of("q.body_checksum")),
        Column("error", TEXT, _failure(0)),
        Column("error_message", TEXT, _failure(1)),
        Column("served_from", TEXT, "q.served_from"),
        Column("forgotten_at", INSTANT,
               "(SELECT max(f.at) FROM forgotten f WHERE f.request IN (q.id, q.served_from))"),
        Column("exit", INTEGER, _session("exit_status")),
    ),
    "attempts": (
        Column("id", TEXT, "q.id || '/' || p.sequence"),
        Column("call_id", TEXT, "q.id"),
        Column("sequence", INTEGER, "p.sequence"),
        Column("started_at", INSTANT, "_instant(p.started)"),
        Column("method", TEXT, "coalesce(p.method, q.method)"),
        Column("url", TEXT, f"coalesce(p.url, {_URL})"),
        Column("status_code", INTEGER, "p.status_code"),
        Column("bytes", INTEGER, _KEPT),
        Column("checksum", TEXT, rows.hex_of("p.checksum")),
        Column("original_checksum", TEXT, rows.hex_of("p.original")),
        Column("complete", BOOLEAN, "p.complete"),
        Column("truncated", INTEGER, "p.truncated"),
        Column("connect", REAL, "p.connect"),
        Column("tls", REAL, "p.tls"),
        Column("first_byte", REAL, "p.first_byte"),
        Column("seconds", REAL, "p.total"),
        Column("error", TEXT, "_failure(p.failure, 0)"),
        Column("error_message", TEXT, "_failure(p.failure, 1)"),
        Column("address", TEXT, "p.peer"),
        Column("tls_version", TEXT, "p.tls_version"),
        Column("tls_cipher", TEXT, "p.tls_cipher"),
        Column("tls_certificate", TEXT, "p.tls_certificate"),
    ),
    "headers": (
        Column("call_id", TEXT, "q.id"),
        Column("sequence", INTEGER, "p.sequence"),
        *_HEADER,
    ),
}  # fmt: skip
_ATTEMPTS = "main.responses p JOIN main.requests q ON q.number = p.request"
_FROM = {
    "sessions": "main.sessions s",
    "calls": "main.requests q",
    "attempts": _ATTEMPTS,
    "headers": f"{_ATTEMPTS} JOIN json_each(_headers({_head_of('p')})) j",
}
# Those of requests come first, as of attempt 0.
_SENT = (Column("call_id", TEXT, "q.id"), Column("sequence", INTEGER, "0"), *_HEADER)
_SENT_FROM = f"main.requests q JOIN json_each(_headers({_head_of('q')})) j"


def known(view: str) -> tuple[Column, ...]:
    """Return the columns of a view.

    Raises:
        ConfigError: there is none by this name.
    """
    if view not in VIEWS:
        raise ConfigError(
            f"there is no view {view!r}: there are {', '.join(VIEWS)}{nearest(view, VIEWS)}"
        )
    return VIEWS[view]


def create(db: sqlite3.Connection) -> None:
    """Give a connection the views, and the functions that they ask."""
    for name, columns in VIEWS.items():
        select = _select(columns, _FROM[name])
        if name == "headers":
            select = f"{_select(_SENT, _SENT_FROM)} UNION ALL {select}"
        db.execute(f"CREATE TEMP VIEW {name} AS {select}")
    for function in (_failure_part, _instant, _path, _params, _headers):
        name, count = function.__name__, function.__code__.co_argcount
        db.create_function(
            name.removesuffix("_part"), count, _or_null(function), deterministic=True
        )
    # What makes the table of a function is not to be asked of who watches queries.
    db.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").fetchall()
    # In C, if it is one met before.
    host = functools.lru_cache(8192)(lambda endpoint: host_of(endpoint) or None)
    db.create_function("_host", 1, host, deterministic=True)


def _select(columns: tuple[Column, ...], source: str) -> str:
    return f"SELECT {', '.join(f'{one.sql} AS {one.name}' for one in columns)} FROM {source}"


def _or_null(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that has nothing for what is malformed, in a record that others made."""

    def lenient(*values: Any) -> Any:
        try:
            return sound(function(*values))
        except MALFORMED:
            return None

    return lenient


def sound(value: Any) -> Any:
    """Return a value that SQLite takes: half a surrogate pair has no UTF-8."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def _failure_part(failure: str | None, member: int) -> str | None:
    return None if failure is None else str(json.loads(failure)[member])


def _instant(seconds: float) -> str:
    return instant(seconds)


def _path(endpoint: str) -> str | None:
    return f"/{endpoint.split('/', 3)[3]}" if host_of(endpoint) else None


def _params(identity: str) -> str:
    return json.dumps(mapping(json.loads(rows.whole("", identity)[1])), ensure_ascii=False)


def _headers(head: bytes | None) -> str:
    return json.dumps(parse_head(head)[2] if head else [])
