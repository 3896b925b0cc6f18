"""Rows of the catalog: columns, and how a value becomes a row and back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

from .entries import Entry
from .heads import parse_head
from .models import (
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
)
from .params import mapping
from .utils import instant

SESSION = (
    "id, root_id, parent_id, source, kind, mode, as_of, status, started_at, ended_at, pid, host, "
    "warnings"
)
REQUEST = (
    "id, session_id, root_id, source, as_of, kind, method, endpoint, params, url, params_hash, "
    "base_hash, identity, headers, body_checksum, body_size, started_at, duration, status, "
    "failure, served_from"
)
RESPONSE = (
    "request_id, sequence, method, url, status_code, head, checksum, size, complete, "
    "closed_by_peer, framing, failure, started_at, connect, tls, first_byte, total, peer, "
    "tls_version, tls_cipher, tls_certificate"
)


def session_row(session: Session) -> tuple[Any, ...]:
    """Return a session's row."""
    return (
        session.id, session.root_id, session.parent_id, session.source, session.kind,
        session.mode, session.as_of, session.status, session.started_at, session.ended_at,
        session.pid, os.uname().nodename, _dump(session.warnings),
    )  # fmt: skip


def request_row(entry: Entry) -> tuple[Any, ...]:
    """Return the row of a call."""
    call, session = entry.call, entry.session
    document = json.loads(entry.identity)
    params_hash = hashlib.sha256(entry.identity.encode("utf-8")).hexdigest()
    return _sound(
        call.id, session.id, session.root_id, session.source, session.as_of,
        entry.kind, call.method, document["endpoint"], _dump(mapping(document["params"])), call.url,
        params_hash, entry.base_hash, entry.identity, _dump(parse_head(call.head)[2]),
        entry.body_checksum, entry.body_size, instant(call.started), call.duration, call.status,
        _dump_failure(call.failure), entry.served_from,
    )  # fmt: skip


def to_request(row: tuple[Any, ...]) -> Request:
    """Return the request of a row; raises as malformed content does."""
    return Request(
        id=row[0], session_id=row[1], root_id=row[2], source=row[3], as_of=row[4], kind=row[5],
        method=row[6], endpoint=row[7], params=json.loads(row[8]), url=row[9],
        params_hash=row[10], base_hash=row[11] or row[10], identity=row[12],
        headers=_pairs(json.loads(row[13])), body_checksum=row[14], body_size=row[15],
        started_at=row[16], duration=row[17], status=Status(row[18]),
        failure=_load_failure(row[19]), served_from=row[20],
    )  # fmt: skip


def response_rows(entry: Entry) -> list[tuple[Any, ...]]:
    """Return the rows of a call's attempts."""
    return [
        _sound(
            entry.call.id, sequence, one.method, one.url, one.status_code, one.head, one.checksum,
            one.size, one.complete, one.closed_by_peer, _dump_framing(one.framing),
            _dump_failure(one.failure), instant(one.started), one.connect, one.tls,
            one.first_byte, one.total, *one.peer,
        )
        for sequence, one in enumerate(entry.attempts, 1)
    ]  # fmt: skip


def variant_row(entry: Entry) -> tuple[Any, ...]:
    """Return the row of what the answer varies on."""
    return entry.base_hash, entry.session.source, ",".join(entry.vary)


def to_response(row: tuple[Any, ...]) -> Response:
    """Return the attempt of a row; raises as malformed content does."""
    version, reason, headers = parse_head(row[5])
    return Response(
        request_id=row[0], sequence=row[1], method=row[2], url=row[3], status_code=row[4],
        head=row[5], checksum=row[6], size=row[7], complete=bool(row[8]),
        closed_by_peer=bool(row[9]), framing=_load_framing(row[10]),
        failure=_load_failure(row[11]), started_at=row[12],
        timings=Timings(row[13], row[14], row[15], row[16]),
        peer=Peer(row[17], row[18], row[19], row[20]),
        http_version=version, reason=reason, headers=headers,
    )  # fmt: skip


def to_session(row: tuple[Any, ...]) -> Session:
    """Return the session of a row; raises as malformed content does."""
    session = Session(
        id=row[0], root_id=row[1], parent_id=row[2], source=row[3], kind=row[4],
        mode=Mode(row[5]), as_of=row[6], status=Status(row[7]), started_at=row[8],
        ended_at=row[9], pid=row[10], warnings=tuple(json.loads(row[12])),
    )  # fmt: skip
    return session


def _sound(*row: Any) -> tuple[Any, ...]:
    """Return a row of which SQLite takes every text: half a surrogate pair has no UTF-8."""
    return tuple(
        [
            value.encode("utf-8", "backslashreplace").decode("utf-8")
            if type(value) is str and not value.isascii()
            else value
            for value in row
        ]
    )


def _pairs(value: Iterable[Iterable[str]]) -> Headers:
    return tuple((name, text) for name, text in value)


# Made once: json.dumps makes another at each call that asks for separators.
_dump = json.JSONEncoder(separators=(",", ":")).encode


def _dump_failure(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return _dump([failure.error_class, failure.message, failure.data])


def _load_failure(text: str | None) -> Failure | None:
    return Failure(*json.loads(text)) if text else None


def _dump_framing(framing: Framing | None) -> str | None:
    if framing is None:
        return None
    odd = {str(index): line.decode("latin-1") for index, line in framing.odd.items()}
    return _dump([framing.chunks, odd, framing.tail.decode("latin-1")])


def _load_framing(text: str | None) -> Framing | None:
    if not text:
        return None
    chunks, odd, tail = json.loads(text)
    return Framing(
        chunks=tuple((size, count) for size, count in chunks),
        odd={int(index): line.encode("latin-1") for index, line in odd.items()},
        tail=tail.encode("latin-1"),
    )
