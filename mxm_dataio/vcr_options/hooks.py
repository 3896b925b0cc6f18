"""vcrpy's functions of what is about to be stored, as edits of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigError
from ..http.content import content_headers, opened
from ..identity.view import Call
from ..models import Exchange
from ..models import Headers as Pairs
from ..redaction.interaction import Interaction
from .request import Headers, Request, name_of


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
        return bool(self.requests) or self.reads_answers

    @property
    def reads_answers(self) -> bool:
        """It asks for the bodies of answers."""
        return bool(self.answers or self.interactions)

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


@dataclass(frozen=True)
class Playback:
    """What vcrpy does to recorded answers as it loads them; an ``answer`` of ours.

    Attributes:
        restored: placeholders, and the values that they stand for.
        interactions: ``after_load_interaction``.
    """

    restored: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    interactions: tuple[Callable[..., Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.restored or self.interactions)

    def __call__(self, exchange: Exchange, call: Call) -> Exchange:
        """Return what the program gets."""
        recorded = exchange.answer
        if recorded is None or recorded.status_code is None:
            return exchange
        given = Interaction(
            exchange.request.method,
            exchange.request.url,
            exchange.request.headers,
            status_code=recorded.status_code,
            reason=recorded.reason or "",
            answer_headers=recorded.headers,
            answer=recorded.content,
        )
        was, now = _answer_of(given, decode=False), _answer_of(given, decode=False)
        for placeholder, value in self.restored:
            now = _restored(now, placeholder, value)
        for hook in self.interactions:
            found = hook(Request(given.method, given.url, None, Headers(given.headers)), now)
            if found is None:
                raise ConfigError(
                    f"{name_of(hook)} dropped a recorded call: here the call that asks is left "
                    "out by view=, or the recorded one deleted"
                )
            now = found[1]
        return _changed(exchange, was, now)


def _restored(value: Any, placeholder: str, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(placeholder, text)
    if isinstance(value, bytes):
        return value.replace(placeholder.encode(), text.encode())
    if isinstance(value, dict):
        return {name: _restored(one, placeholder, text) for name, one in value.items()}
    return [_restored(one, placeholder, text) for one in value] if type(value) is list else value


def _changed(exchange: Exchange, was: Mapping[str, Any], now: Mapping[str, Any]) -> Exchange:
    if now["status"]["code"] != was["status"]["code"]:
        exchange = exchange.with_status(int(now["status"]["code"]))
    body = _bytes(now["body"]["string"])
    if body != was["body"]["string"]:
        exchange = exchange.with_content(body)
    before = {name.lower(): _values(value) for name, value in was["headers"].items()}
    after = {name.lower(): _values(value) for name, value in now["headers"].items()}
    for name in {*before, *after} - _FRAMING:
        if before.get(name) != after.get(name):
            exchange = exchange.with_header(name, ", ".join(after[name]) if name in after else None)
    return exchange


# Made to fit the body in any case.
_FRAMING = frozenset({"content-length", "content-encoding", "transfer-encoding"})


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
