"""What members a cassette's calls have, and of which kind: no other is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models import Status
from .nodes import Node, Refusal

_CALL: dict[str, Any] = {
    "recorded": str, "source": str, "kind": str, "request": dict, "vary": bool,
    "identity": (dict, str), "base_hash": str, "status": str, "failure": dict, "responses": list,
}  # fmt: skip
_REQUEST: dict[str, Any] = {"method": str, "url": str, "headers": list, "body": dict}
_RESPONSE: dict[str, Any] = {
    "method": str, "url": str, "status": str, "headers": list, "head": list,
    "status_code": (int, type(None)), "body": (dict, type(None)), "trailers": list,
    "framing": dict, "complete": bool, "closed_by_peer": bool, "truncated": int,
    "redacted": bool, "failure": dict,
}  # fmt: skip
_BODY: dict[str, Any] = {
    "bytes": dict, "json": object, "text": list, "base64": list, "exact": list,
}  # fmt: skip
_BYTES: dict[str, Any] = {
    "sha256": str, "content": str, "compressed": list, "charset": str, "line_end": str,
    "style": (str, dict), "beside": int, "chunks": list,
}  # fmt: skip
_FAILURE: dict[str, Any] = {"class": str, "message": str, "data": dict}
_FRAMING: dict[str, Any] = {"chunks": list, "odd": dict, "tail": str}


def check(node: Any) -> None:
    """Check that a call's node has the members that it needs, and no other.

    Raises:
        Refusal: it has not; what bodies stand for is checked when they are restored.
    """
    _check(node, "", _CALL, ("request",))
    _check(node["request"], "request", _REQUEST, ("method", "url"))
    _check_body(node["request"], "request")
    _check_failure(node, "")
    if "status" in node and node["status"] not in set(Status):
        raise Refusal(f"is no status: {node['status']!r}", "status")
    for index, one in enumerate(node.get("responses", ())):
        place = f"responses[{index}]"
        _check(one, place, _RESPONSE, ())
        _check_body(one, place)
        _check_failure(one, place)
        if "framing" in one:
            _check(one["framing"], f"{place}.framing", _FRAMING, ("chunks", "tail"))


def _check(node: Any, place: str, members: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    if not isinstance(node, dict):
        raise Refusal("is no object", place)
    for name, item in node.items():
        if name not in members:
            raise Refusal(f"has an unknown member {name!r}", place)
        kind = members[name]
        if not isinstance(item, kind) or (kind is int and isinstance(item, bool)):
            raise Refusal(f"is of the wrong kind: {type(item).__name__}", _within(place, name))
    for name in needed:
        if name not in node:
            raise Refusal(f"has no {name!r}", place)


def _check_body(node: Node, place: str) -> None:
    if node.get("body") is not None:
        _check(node["body"], f"{place}.body", _BODY, ())
        _check(node["body"].get("bytes", {}), f"{place}.body.bytes", _BYTES, ())


def _check_failure(node: Node, place: str) -> None:
    if "failure" in node:
        _check(node["failure"], _within(place, "failure"), _FAILURE, ("class", "message"))


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
