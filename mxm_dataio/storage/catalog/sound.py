"""Records that no release of ours wrote, made such that they can be shown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ...models import Exchange, Failure, Peer, Response, Session, Timings, Unseen

# Seconds, some thirty thousand years: nothing that was measured lasted so long.
_LONGEST = 1e12


def sound(exchange: Exchange) -> Exchange:
    """Return a call whose values are of the types that they say, without what is not told of."""
    request = exchange.request
    return Exchange(
        replace(
            request,
            id=text_of(request.id), source=text_of(request.source), kind=text_of(request.kind),
            as_of=text_of(request.as_of), endpoint=text_of(request.endpoint),
            method=text_of(request.method), url=text_of(request.url), identity="", params={},
            body_checksum=_text_or_none(request.body_checksum), body_size=_count(request.body_size),
            duration=_number(request.duration), failure=_failure(request.failure),
            served_from=_text_or_none(request.served_from),
        ),
        tuple(map(_response, exchange.responses)),
    )  # fmt: skip


def _response(one: Response) -> Response:
    timings, peer = one.timings, one.peer
    return replace(
        one,
        sequence=_count(one.sequence), method=text_of(one.method), url=text_of(one.url),
        status_code=_integer(one.status_code), head=b"", framing=None,
        checksum=_text_or_none(one.checksum), size=_count(one.size), bytes_path=None,
        failure=_failure(one.failure),
        timings=Timings(
            _number(timings.connect), _number(timings.tls), _number(timings.first_byte),
            _number(timings.total),
        ),
        peer=Peer(*map(_text_or_none, peer)),
        original_checksum=_text_or_none(one.original_checksum), truncated=_count(one.truncated),
    )  # fmt: skip


def sound_session(session: Session) -> Session:
    """Return a session whose values are of the types that they say."""
    return replace(
        session,
        id=text_of(session.id), source=text_of(session.source), kind=text_of(session.kind),
        as_of=text_of(session.as_of), started_at=text_of(session.started_at),
        ended_at=_text_or_none(session.ended_at), parent_id=_text_or_none(session.parent_id),
        root_id=text_of(session.root_id), pid=_count(session.pid),
        warnings=tuple(map(text_of, session.warnings)), program=text_of(session.program),
        exit_status=_integer(session.exit_status),
        coverage=None if session.coverage is None else tuple(map(_unseen, session.coverage)),
        left_out=tuple(map(_unseen, session.left_out)),
    )  # fmt: skip


def _unseen(one: Unseen) -> Unseen:
    return Unseen(text_of(one.kind), text_of(one.name), _count(one.times), text_of(one.caller))


def _failure(failure: Failure | None) -> Failure | None:
    if failure is None:
        return None
    return Failure(text_of(failure.error_class), text_of(failure.message))


def text_of(value: Any) -> str:
    """Return a value as text, whatever it is; nothing as none."""
    if isinstance(value, str):
        # An enumeration's member counts as its value.
        return str(value)
    return "" if value is None else repr(value)


def _text_or_none(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None


def _count(value: Any) -> int:
    return max(_integer(value) or 0, 0)


def _number(value: Any) -> float | None:
    sound = type(value) in (int, float) and math.isfinite(value) and abs(value) < _LONGEST
    return float(value) if sound else None
