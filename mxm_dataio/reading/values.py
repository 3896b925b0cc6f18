"""What was recorded, and what a check of it finds, as JSON values."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from ..integrity.findings import Finding
from ..models import Exchange, Failure, Response
from ..storage.root_store import RootStore
from .bodies import Body, Kind, answered, sent


def call(store: RootStore, exchange: Exchange, *, bodies: bool = False) -> dict[str, Any]:
    """Return a call.

    Args:
        bodies: those too, decoded: as text, or in Base64 if they are binary.

    Raises:
        IntegrityError: a body can't be read.
    """
    request = exchange.request
    return {
        "id": request.id, "session_id": request.session_id, "source": request.source,
        "kind": request.kind, "as_of": request.as_of, "method": request.method,
        "url": request.url, "endpoint": request.endpoint, "params": dict(request.params),
        "params_hash": request.params_hash, "headers": request.headers,
        "body": _body(sent(store, request), request.body_checksum, bodies=bodies),
        "started_at": request.started_at, "duration": request.duration,
        "status": request.status, "failure": _failure(request.failure),
        "served_from": request.served_from, "forgotten_at": store.forgotten(request),
        "attempts": [_attempt(store, one, bodies=bodies) for one in exchange.responses],
    }  # fmt: skip


def _attempt(store: RootStore, response: Response, *, bodies: bool) -> dict[str, Any]:
    return {
        "id": response.id, "method": response.method, "url": response.url,
        "status_code": response.status_code, "reason": response.reason,
        "http_version": response.http_version, "headers": response.headers,
        "body": _body(answered(store, response), response.checksum, bodies=bodies),
        "path": str(response.bytes_path) if response.bytes_path else None,
        "complete": response.complete, "truncated": response.truncated,
        "original_checksum": response.original_checksum, "started_at": response.started_at,
        "timings": asdict(response.timings), "peer": response.peer._asdict(),
        "failure": _failure(response.failure),
    }  # fmt: skip


def _failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"class": failure.error_class, "message": failure.message}


def _body(body: Body, checksum: str | None, *, bodies: bool) -> dict[str, Any] | None:
    if checksum is None:
        return None
    found: dict[str, Any] = {
        "bytes": body.size, "checksum": checksum, "media_type": body.media,
        "codings": body.codings,
    }  # fmt: skip
    if bodies:
        if body.kind is Kind.BINARY:
            found["base64"] = base64.b64encode(body.content()).decode("ascii")
        else:
            found["text"] = "".join(body.text())
        found["problem"] = body.problem
    return found


def finding(one: Finding) -> dict[str, Any]:
    """Return a finding."""
    return {**asdict(one), "path": str(one.path) if one.path else None}
