"""vcrpy's functions of what is about to be stored, as edits of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..http.content import content_headers, opened
from ..models import Headers as Pairs
from ..redaction.interaction import Interaction
from .request import Headers, Request


@dataclass(frozen=True)
class Hooks:
    """What vcrpy would ask before it stores a call; an edit of ours.

    Attributes:
        requests: ``before_record_request``.
        answers: ``before_record_response``.
        interactions: ``before_save_interaction``.
        decode: answers are given without their content coding, and stored so.
    """

    requests: tuple[Callable[[Any], Any], ...] = ()
    answers: tuple[Callable[[Any], Any], ...] = ()
    interactions: tuple[Callable[..., Any], ...] = ()
    decode: bool = False

    def __bool__(self) -> bool:
        return bool(self.requests or self.answers or self.interactions)

    @property
    def __name__(self) -> str:
        return "before_record"

    def __call__(self, given: Interaction) -> Interaction | None:
        """Return what is to be stored; ``None``: nothing."""
        request: Any = Request(given.method, given.url, given.body or None, Headers(given.headers))
        for edit in self.requests:
            request = edit(request)
            if not request:
                return None
        if given.status_code is not None:
            answer: Any = _answer_of(given, decode=self.decode)
            was = _answer_of(given, decode=self.decode)
            for edit in self.answers:
                answer = edit(answer)
                if answer is None:
                    return None
            for hook in self.interactions:
                found = hook(request, answer)
                if found is None:
                    return None
                request, answer = found
            given = _with_answer(given, was, answer)
        return replace(
            given,
            method=request.method,
            url=request.uri,
            headers=_pairs(given.headers, request.headers),
            body=_bytes(request.body),
        )


def _answer_of(given: Interaction, *, decode: bool) -> dict[str, Any]:
    """Return an answer as vcrpy has it."""
    pairs, body = given.answer_headers, given.answer
    content_type, coding = content_headers(pairs)
    if decode and coding:
        found = opened(body, content_type, coding)
        if found is not None and found.whole and found.coding:
            body = found.content
            pairs = tuple(pair for pair in pairs if pair[0].lower() != "content-encoding")
    headers: dict[str, list[str]] = {}
    for name, value in pairs:
        headers.setdefault(name, []).append(value)
    status = {"code": given.status_code, "message": given.reason}
    return {"status": status, "headers": headers, "body": {"string": body}}


def _with_answer(given: Interaction, was: Mapping[str, Any], now: Mapping[str, Any]) -> Interaction:
    if was == now:
        return given
    status = now["status"]
    return replace(
        given,
        status_code=int(status["code"]),
        reason=str(status.get("message") or ""),
        answer_headers=_pairs(given.answer_headers, now["headers"]),
        answer=_bytes(now["body"]["string"]),
    )


def _pairs(before: Pairs, headers: Mapping[str, Any]) -> Pairs:
    """Return header pairs with those that are others now, in their places."""
    left = {name.lower(): (name, _values(value)) for name, value in headers.items()}
    made: list[tuple[str, str]] = []
    for key in dict.fromkeys(name.lower() for name, _ in before):
        was = [pair for pair in before if pair[0].lower() == key]
        name, now = left.pop(key, ("", []))
        same = now == [value for _, value in was] or now == [was[-1][1]]
        made += was if same else [(name, value) for value in now]
    return (*made, *((name, value) for name, values in left.values() for value in values))


def _values(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in values]


def _bytes(body: Any) -> bytes:
    return body.encode("utf-8") if isinstance(body, str) else bytes(body or b"")
