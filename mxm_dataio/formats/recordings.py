"""A recorded call with its bytes, as it passes between a store and a file of any format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..http.content import content_headers
from ..http.heads import given_head, parse_head
from ..http.named_values import Uncounted
from ..http.params import mapping
from ..identity import base_of
from ..identity.matching import Matcher, RequestBody
from ..models import Exchange, Headers, Request, Response, Timings
from ..storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from ..utils import instant, parse_instant


class Recording(NamedTuple):
    """A call, its attempts, and every payload that they name.

    Attributes:
        exchange: the call; what a format does not know of it (ids, instants) is empty.
        payloads: checksum → bytes, the request's body included.
    """

    exchange: Exchange
    payloads: Mapping[str, bytes]


def checksums(exchange: Exchange) -> Iterator[str]:
    """Yield the checksums of the payloads that a call names, each once."""
    named = [exchange.request.body_checksum, *(one.checksum for one in exchange.responses)]
    yield from dict.fromkeys(checksum for checksum in named if checksum)


def checksum_of(content: bytes) -> str:
    """Return the checksum under which a payload is kept."""
    return hashlib.sha256(content).hexdigest()


def params_of(identity: str) -> tuple[str, dict[str, Any]]:
    """Return the endpoint and the parameters of an identity document."""
    document = json.loads(identity)
    return document["endpoint"], mapping(document["params"])


def seen_by(matcher: Matcher, recording: Recording, uncounted: Uncounted) -> Recording:
    """Return a recording with the identity by which it is compared under some rules.

    Args:
        uncounted: names that do not count by the rules of redaction.
    """
    request = recording.exchange.request

    def content() -> RequestBody | None:
        body = recording.payloads.get(request.body_checksum or "")
        return RequestBody(body, *content_headers(request.headers), uncounted) if body else None

    identity, names = matcher.seen_again(request.identity, content, request.source)
    document = identity.document(names).decode("utf-8")
    endpoint, params = params_of(document)
    seen = replace(
        request, method=identity.method, endpoint=endpoint, params=params, identity=document,
        params_hash=checksum_of(document.encode("utf-8")), base_hash=identity.params_hash(),
    )  # fmt: skip
    return recording._replace(exchange=replace(recording.exchange, request=seen))


def exchange_of(entry: Entry) -> Exchange:
    """Return a call as it is read, given it as it is written."""
    call, session = entry.call, entry.session
    endpoint, params = params_of(entry.identity)
    params_hash = checksum_of(entry.identity.encode("utf-8"))
    request = Request(
        id=call.id, session_id=session.id, root_id=session.root_id, source=session.source,
        as_of=session.as_of, kind=entry.kind, method=call.method, endpoint=endpoint,
        params=params, url=call.url, params_hash=params_hash,
        base_hash=entry.base_hash or params_hash, identity=entry.identity,
        headers=parse_head(call.head)[2], body_checksum=entry.body_checksum,
        body_size=entry.body_size, started_at=instant(call.started), duration=call.duration,
        status=call.status, failure=call.failure, served_from=entry.served_from,
    )  # fmt: skip
    responses = [
        _response(request, sequence, one) for sequence, one in enumerate(entry.attempts, 1)
    ]
    return Exchange(request, tuple(responses))


def _response(request: Request, sequence: int, one: CapturedAttempt) -> Response:
    version, reason, headers = parse_head(one.head)
    return Response(
        request_id=request.id, sequence=sequence, method=one.method, url=one.url,
        status_code=one.status_code, reason=reason, http_version=version, headers=headers,
        head=one.head, checksum=one.checksum, size=one.size, complete=one.complete,
        closed_by_peer=one.closed_by_peer, framing=one.framing, failure=one.failure,
        started_at=instant(one.started), peer=one.peer, original_checksum=one.original_checksum,
        truncated=one.truncated,
        timings=Timings(one.connect, one.tls, one.first_byte, one.total),
    )  # fmt: skip


def entry_of(recording: Recording, session: InSession, request_id: str) -> Entry:
    """Return a call as it is written to a store, in a session's name and under an id."""
    request, payloads = recording.exchange.request, recording.payloads
    started = parse_instant(request.started_at) if request.started_at else 0.0
    call = CapturedCall(
        request_id, request.method, request.url, started, request.status, request.duration,
        request.failure, head_of(request.headers),
    )  # fmt: skip
    attempts = tuple(_attempt(one, started) for one in recording.exchange.responses)
    base_hash = request.base_hash if request.base_hash != request.params_hash else None
    return Entry(
        call, session, request.kind, request.identity, base_of(request.identity)[1], base_hash,
        request.body_checksum, request.body_size, request.served_from, attempts, dict(payloads),
    )  # fmt: skip


def _attempt(one: Response, started: float) -> CapturedAttempt:
    timings = one.timings
    return CapturedAttempt(
        one.method, one.url, parse_instant(one.started_at) if one.started_at else started,
        one.status_code, one.checksum, one.size, one.complete, one.closed_by_peer, one.framing,
        one.failure, timings.connect, timings.tls, timings.first_byte, timings.total, one.peer,
        one.original_checksum, one.truncated, one.head,
    )  # fmt: skip


def head_of(headers: Headers) -> bytes:
    """Return a request's headers in the form in which a store has them."""
    if not headers:
        return b""
    lines = [f"{name}: {value}" for name, value in headers]
    try:
        head = "\r\n".join(["", *lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        return given_head(headers)
    return head if parse_head(head)[2] == headers else given_head(headers)
