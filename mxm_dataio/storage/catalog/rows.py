"""Rows of the catalog: columns, and how a value becomes a row and back."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any

from ...http.heads import parse_head
from ...http.params import mapping
from ...models import (
    Exchange,
    Failure,
    Framing,
    Headers,
    Mode,
    Peer,
    Request,
    Response,
    Session,
    Status,
    Timings,
    Unseen,
)
from ...patterns import regex
from ...utils import instant, json_writer
from ..entries import Entry, check_checksum, failure_of, framing_of
from ..unseen import Found, parted, together

SESSION = (
    "id, root_id, parent_id, source, kind, mode, as_of, status, started_at, ended_at, pid, host, "
    "warnings, program, exit_status, coverage"
)
# What is read of a session: besides, what comes after its end, which its seal can't cover.
READ_SESSION = f"{SESSION}, pruned_at"
# What a session's seal covers: its number too, by which of several of one as-of the newest is told.
SEALED = f"{SESSION}, number"
# A session's columns, where others' are at hand as well.
SESSION_OF = ", ".join(f"s.{name}" for name in SESSION.split(", "))


def hex_of(column: str) -> str:
    """Return, in SQL, what :func:`packed` was given of a column; what is neither, told from it."""
    return (
        f"CASE typeof({column}) || length({column}) WHEN 'blob32' THEN lower(hex({column})) "
        f"WHEN 'text64' THEN quote({column}) ELSE {column} END"
    )


def _read(columns: str) -> str:
    """Return columns, in SQL, as they are read: hashes in hex."""
    return _HASHES.sub(lambda match: hex_of(match[0]), columns)


_HASHES = re.compile(r"[pq]\.(params_hash|base_hash|body_checksum|checksum|original)")
# What is read of a request, and from where.
REQUEST = _read(
    "q.number, q.id, s.id, r.id, q.source, q.as_of, q.kind, q.method, q.endpoint, q.identity, "
    "q.url, q.params_hash, q.base_hash, coalesce(h.content, q.head), q.body_checksum, "
    "q.body_size, q.started, q.duration, q.status, q.failure, q.served_from"
)
REQUESTS = (
    "requests q JOIN sessions s ON s.number = q.session JOIN sessions r ON r.number = q.root "
    "LEFT JOIN heads h ON h.number = q.head"
)
RESPONSE = (
    "sequence, method, url, status_code, head, checksum, size, complete, closed_by_peer, framing, "
    "failure, started, connect, tls, first_byte, total, peer, tls_version, tls_cipher, "
    "tls_certificate, original, truncated"
)
# A call as its hash covers it: by ids, not by the numbers that stand for them here.
CHAINED = (
    "q.id, s.id, r.id, q.source, q.as_of, q.kind, q.method, q.endpoint, q.identity, q.url, "
    "q.params_hash, q.base_hash, q.vary, coalesce(h.content, q.head), q.body_checksum, "
    "q.body_size, q.started, q.duration, q.status, q.failure, q.served_from"
)
CHAINED_OF = _read(CHAINED)
# What is read of an attempt, and from where.
RESPONSE_OF = _read(
    ", ".join(
        "coalesce(g.content, p.head)" if name == "head" else f"p.{name}"
        for name in RESPONSE.split(", ")
    )
)
RESPONSES = "responses p LEFT JOIN heads g ON g.number = p.head"
# Where, among an attempt's columns, what is hashed as true or false is kept as 1 or 0.
_BOOLEANS = slice(7, 9)
# A call and an attempt as they are kept.
_KEPT_REQUEST = (
    "id, session, root, source, as_of, kind, method, endpoint, identity, url, params_hash, "
    "base_hash, vary, head, body_checksum, body_size, started, duration, status, failure, "
    "served_from, hash"
)
_KEPT_RESPONSE = f"request, {RESPONSE}"

Row = tuple[Any, ...]


def packed(text: str | None) -> str | bytes | None:
    """Return a hash in hex as it is kept; what is none as it is."""
    try:
        content = bytes.fromhex(text or "")
    except ValueError:
        return text
    return content if len(content) == 32 and content.hex() == text else text


def session_row(session: Session) -> Row:
    """Return a session's row."""
    return _sound(
        session.id, session.root_id, session.parent_id, session.source, session.kind,
        session.mode, session.as_of, session.status, session.started_at, session.ended_at,
        session.pid, os.uname().nodename, _dump(session.warnings), session.program,
        session.exit_status, coverage_text(together(session.coverage, session.left_out)),
    )  # fmt: skip


def coverage_text(coverage: Found | None) -> str | None:
    """Return what went past a session, and what it left out, as it is kept."""
    return None if coverage is None else _dump(coverage)


def request_row(entry: Entry) -> Row:
    """Return the columns of a call that its hash covers."""
    call = entry.call
    params_hash = hashlib.sha256(entry.identity.encode("utf-8")).hexdigest()
    endpoint, identity = _parts(entry.identity)
    return _sound(
        call.id, entry.session.id, entry.session.root_id, entry.session.source,
        entry.session.as_of, entry.kind, call.method, endpoint, identity,
        call.url if call.url != endpoint else None, params_hash, entry.base_hash,
        ",".join(entry.vary) or None, call.head or None, entry.body_checksum, entry.body_size,
        call.started, call.duration, call.status, _dump_failure(call.failure), entry.served_from,
    )  # fmt: skip


def put_request(
    db: sqlite3.Connection,
    row: Row,
    session: int,
    root: int,
    head: bytes | int | None,
    link: bytes,
) -> int | None:
    """Write a call, and return its number; ``None`` if it is there.

    Args:
        session, root: numbers of the sessions' rows.
        head: the request's, or the number under which it is kept for many.
        link: its hash.
    """
    status = str.__str__(row[18]) if type(row[18]) is Status else row[18]
    done = _insert(
        db, "requests", _KEPT_REQUEST,
        (
            row[0], session, root, *row[3:10], packed(row[10]), packed(row[11]), row[12], head,
            packed(row[14]), *row[15:18], status, *row[19:], link,
        ),
        " ON CONFLICT (id) DO NOTHING",
    )  # fmt: skip
    return done.lastrowid if done.rowcount else None


def put_response(
    db: sqlite3.Connection, row: Row, request: int | None, head: bytes | int | None
) -> None:
    """Write an attempt of the call of a number."""
    _insert(
        db, "responses", _KEPT_RESPONSE,
        (
            request, *row[:4], head, packed(row[5]), row[6],
            *[int(value) if type(value) is bool else value for value in row[_BOOLEANS]],
            *row[9:20], packed(row[20]), *row[21:],
        ),
    )  # fmt: skip


def _insert(
    db: sqlite3.Connection, table: str, columns: str, row: Row, unless: str = ""
) -> sqlite3.Cursor:
    """Add a row.

    sqlite3 looks for an adapter of each value that is no plain number, text or bytearray, ``None``
    and bytes too, which takes a microsecond: so what is ``NULL`` is left out, and bytes are copied.
    """
    given = tuple(map(operator.is_not, row, itertools.repeat(None)))
    values = [
        bytearray(value) if type(value) is bytes else value
        for value in itertools.compress(row, given)
    ]
    return db.execute(_insertion(table, columns, given) + unless, values)


@functools.lru_cache(maxsize=64)
def _insertion(table: str, columns: str, given: tuple[bool, ...]) -> str:
    names = list(itertools.compress(columns.split(", "), given))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def to_request(row: Row) -> Request:
    """Return the request of a row; raises as malformed content does."""
    fits(tuple(map(type, row)), _REQUEST_KINDS)
    check_checksum(row[14])
    if row[15] < 0:
        raise ValueError("its body's size is negative")
    identity, params = whole(row[8], row[9])
    return Request(
        id=row[1], session_id=row[2], root_id=row[3], source=row[4], as_of=row[5], kind=row[6],
        method=row[7], endpoint=row[8], params=mapping(json.loads(params)),
        url=row[8] if row[10] is None else row[10],
        params_hash=row[11], base_hash=row[12] or row[11], identity=identity,
        headers=_head(row[13] or b"")[2], body_checksum=row[14], body_size=row[15],
        started_at=instant(row[16]), duration=row[17], status=Status(row[18]),
        failure=_load_failure(row[19]), served_from=row[20],
    )  # fmt: skip


def _head(head: bytes) -> tuple[str, str | None, Headers]:
    """Return version, reason and headers of a head: most calls of a program have the same."""
    return _short_head(head) if len(head) <= _SHORT_HEAD else parse_head(head)


_SHORT_HEAD = 4096
_short_head = functools.lru_cache(maxsize=256)(parse_head)


def _parts(document: str) -> tuple[str, str]:
    """Return the endpoint of an identity document, and the document without it.

    What stands before and behind the endpoint is kept on two lines: canonical JSON has no line
    break, and its last ``"endpoint"`` that headers follow is the document's own.
    """
    plain = _PLAIN.match(document)
    if plain is not None:
        return plain[1], f"{_NO_BODY}\n{document[plain.end() :]}"
    endpoint: str = json.loads(document)["endpoint"]
    before, middle, behind = document.rpartition(f',"endpoint":{_text(endpoint)},"headers":')
    return endpoint, f"{before}\n{behind}" if middle else document


_NO_BODY = '{"body":null'
# The usual document's beginning: no escape in the endpoint, which ends at its first quote.
_PLAIN = regex(re.escape(_NO_BODY) + r',"endpoint":"([^"\\\x00-\x1f]*)","headers":')


def whole(endpoint: str, parts: str) -> tuple[str, str]:
    """Return an identity document and its parameters, as JSON."""
    before, line, behind = parts.partition("\n")
    document = f'{before},"endpoint":{_text(endpoint)},"headers":{behind}' if line else parts
    # A text within the parameters would have its quotes escaped.
    params = document.rpartition(',"params":')[2].rpartition(',"v":')[0]
    return document, params


def response_rows(entry: Entry) -> list[Row]:
    """Return the columns of a call's attempts."""
    call = entry.call
    return [
        _sound(
            sequence, one.method if one.method != call.method else None,
            one.url if one.url != call.url else None, one.status_code, one.head, one.checksum,
            one.size, one.complete, one.closed_by_peer, _dump_framing(one.framing),
            _dump_failure(one.failure), one.started, one.connect, one.tls, one.first_byte,
            one.total, *one.peer, one.original_checksum, one.truncated,
        )
        for sequence, one in enumerate(entry.attempts, 1)
    ]  # fmt: skip


def exchange(entry: Entry) -> Exchange:
    """Return the call of an entry as it will be read once it has its rows."""
    row = tuple(map(_as_kept, request_row(entry)))
    request = to_request((0, *row[:12], *row[13:]))
    attempts = (tuple(map(_as_kept, one)) for one in response_rows(entry))
    return Exchange(request, tuple(to_response(one, request) for one in attempts))


def _as_kept(value: Any) -> Any:
    """Return a value as SQLite gives it back."""
    if isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, Status) else value


def chained_attempt(row: Row) -> Row:
    """Return an attempt's columns as its call's hash covers them, given those that are kept."""
    kept = [{0: False, 1: True}.get(value, value) for value in row[_BOOLEANS]]
    return (*row[: _BOOLEANS.start], *kept, *row[_BOOLEANS.stop :])


def kept_attempt(row: Row) -> Row:
    """Return an attempt's columns as they are kept, given those that its call's hash covers."""
    return (*row[: _BOOLEANS.start], *map(int, row[_BOOLEANS]), *row[_BOOLEANS.stop :])


def to_response(row: Row, request: Request) -> Response:
    """Return the attempt of a row; raises as malformed content does."""
    return Response(
        request_id=request.id, sequence=row[0], started_at=instant(row[11]),
        timings=Timings(row[12], row[13], row[14], row[15]),
        peer=Peer(row[16], row[17], row[18], row[19]), original_checksum=row[20],
        truncated=row[21], **_answered(row, request.method, request.url),
    )  # fmt: skip


def answer_of(row: Row, responses: Sequence[Row], whole: Callable[[], Exchange]) -> Exchange:
    """Return a call of which what answers are made of is read; raises as malformed content does.

    Args:
        whole: reads all of it, once anything else of it is asked for.
    """
    fits(tuple(map(type, row)), _REQUEST_KINDS)
    url = row[8] if row[10] is None else row[10]
    known = {
        "id": row[1], "session_id": row[2], "root_id": row[3], "source": row[4], "method": row[7],
        "url": url, "params_hash": row[11], "failure": _load_failure(row[19]),
        "served_from": row[20],
    }  # fmt: skip
    request = Request.deferred(lambda: whole().request, known)
    attempts = tuple(
        [
            Response.deferred(functools.partial(_attempt, whole, at), _answered(one, row[7], url))
            for at, one in enumerate(responses)
        ]
    )
    return Exchange(request, attempts)


def _attempt(whole: Callable[[], Exchange], at: int) -> Response:
    return whole().responses[at]


def _answered(row: Row, method: str, url: str) -> dict[str, Any]:
    """Return the fields of an attempt's row that an answer is made of."""
    fits(tuple(map(type, row)), _RESPONSE_KINDS)
    check_checksum(row[5])
    if row[6] < 0 or row[21] < 0:
        raise ValueError("its size is negative")
    version, reason, headers = _head(row[4])
    return {
        "method": method if row[1] is None else row[1], "url": url if row[2] is None else row[2],
        "status_code": row[3], "head": row[4], "checksum": row[5], "size": row[6],
        "complete": bool(row[7]), "closed_by_peer": bool(row[8]),
        "framing": framing_of(json.loads(row[9]), row[6]) if row[9] else None,
        "failure": _load_failure(row[10]), "payload": None,
        "http_version": version, "reason": reason, "headers": headers,
    }  # fmt: skip


def to_session(row: Row) -> Session:
    """Return the session of a row; raises as malformed content does."""
    fits(tuple(map(type, row)), _SESSION_KINDS)
    kept = None if row[15] is None else tuple(Unseen(*one) for one in json.loads(row[15]))
    coverage, left_out = parted(kept)
    return Session(
        id=row[0], root_id=row[1], parent_id=row[2], source=row[3], kind=row[4],
        mode=Mode(row[5]), as_of=row[6], status=Status(row[7]), started_at=row[8],
        ended_at=row[9], pid=row[10], warnings=tuple(json.loads(row[12])), program=row[13],
        exit_status=row[14], coverage=coverage, left_out=left_out, pruned_at=row[16],
    )  # fmt: skip


# What SQLite may give for texts, numbers, seconds and bytes, and those that may be absent.
_NONE: type = type(None)
_T, _O, _N, _C = (str,), (str, _NONE), (int,), (int, _NONE)
_S, _P = (float, int), (float, int, _NONE)
_B, _M = (bytes,), (bytes, _NONE)
_REQUEST_KINDS = (
    _N, _T, _T, _T, _T, _T, _T, _T, _T, _T, _O, _T, _O, _M, _O, _N, _S, _P, _T,
    _O, _O,
)  # fmt: skip
_RESPONSE_KINDS = (
    _N, _O, _O, _C, _B, _O, _N, _N, _N, _O, _O, _S, _P, _P, _P, _P, _O, _O, _O,
    _O, _O, _N,
)  # fmt: skip
_SESSION_KINDS = (
    _T, _T, _O, _T, _T, _T, _T, _T, _T, _O, _N, _T, _T, _T, _C, _O, _O,
)  # fmt: skip


@functools.lru_cache(maxsize=256)
def fits(kinds: tuple[type, ...], allowed: tuple[tuple[type, ...], ...]) -> None:
    """Raise ``ValueError`` if a row has a value of a kind that its column never has.

    The kinds of columns are SQLite's to enforce, but only where it wrote them.
    """
    for place, (kind, some) in enumerate(zip(kinds, allowed, strict=True)):
        if kind not in some:
            raise ValueError(f"column {place} is of kind {kind.__name__}")


def _sound(*row: Any) -> Row:
    """Return a row of which SQLite takes every text: half a surrogate pair has no UTF-8."""
    for value in row:
        if type(value) is str and not value.isascii():
            break
    else:
        return row
    return tuple(
        value.encode("utf-8", "backslashreplace").decode("utf-8") if type(value) is str else value
        for value in row
    )


_dump = json_writer()
_text = encode_basestring


def _dump_failure(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return _dump([failure.error_class, failure.message, failure.data])


def _load_failure(text: str | None) -> Failure | None:
    return failure_of(json.loads(text)) if text else None


def _dump_framing(framing: Framing | None) -> str | None:
    if framing is None:
        return None
    odd = {str(index): line.decode("latin-1") for index, line in framing.odd.items()}
    return _dump([framing.chunks, odd, framing.tail.decode("latin-1")])
