"""Reads the cassettes of betamax.

``{http_interactions: [{request, response, recorded_at}, …], recorded_with}``, in JSON, or in YAML
by betamax-serializers. Before 0.3 a header was one text and the status had no phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ...models import Headers
from ...utils import instant
from . import fields, reconcile
from .conversion import Interaction, Reader
from .documents import Node

_BEGIN = re.compile(rb'^http_interactions[ ]*:|^\s*\{(?=.*?"http_interactions"\s*:)', re.M | re.S)


def knows(content: bytes) -> bool:
    """Say whether a file is of this format, given how it begins."""
    return _BEGIN.search(content) is not None


def interactions(document: Node) -> Iterator[Interaction]:
    """Yield what a cassette holds, in its order.

    Raises:
        IntegrityError: it is no cassette; the place in it is named.
    """
    for one in document.member("http_interactions").elements():
        yield _interaction(one)


def _interaction(node: Node) -> Interaction:
    request, response = node.member("request"), node.member("response")
    code, reason = _status(response)
    headers = fields.headers(response.get("headers"))
    body = response.get("body")
    lost, doubts = _damage(body, headers)
    return Interaction(
        node.place,
        fields.method(request.member("method")),
        fields.url(request.member("uri")),
        fields.headers(request.get("headers")),
        fields.content(request.get("body")),
        code,
        reason,
        headers,
        b"" if lost else fields.content(body),
        _recorded_at(node.get("recorded_at")),
        lost,
        doubts,
    )


def _status(response: Node) -> tuple[int, str | None]:
    status = response.get("status")
    if status is None:
        return fields.status(response.member("status_code")), None
    return fields.status(status.member("code")), fields.reason(status.get("message"))


def _damage(body: Node | None, headers: Headers) -> tuple[str, tuple[str, ...]]:
    """Return why a body is lost, if it is, and what may be wrong with it.

    What is not compressed by gzip is kept as text, unless all is in Base64
    (``preserve_exact_body_bytes``).
    """
    text = body.get("string") if body is not None else None
    if text is None or not isinstance(text.value, str) or fields.REPLACED not in text.value:
        return "", ()
    if reconcile.codings(headers):
        return "its compressed body was kept as text, and can't be read any more", ()
    return "", (fields.LOST_BYTES,)


def _recorded_at(node: Node | None) -> str:
    if node is None:
        return ""
    text = node.text().removesuffix("Z")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        node.fail(f"{text[:40]!r} is no instant")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return instant(moment.timestamp())
    except (OverflowError, OSError, ValueError):
        node.fail(f"{text[:40]!r} is out of all bounds")


_reader = Reader(interactions)
convert = _reader.convert
read = _reader.read
