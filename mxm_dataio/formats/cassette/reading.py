"""A call from a cassette's node, with its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...http.answers import in_memory
from ...http.heads import FETCHED, parse_head, status_line
from ...models import Exchange, Failure, Framing, Headers, Request, Response, Status
from ..recordings import Recording, params_of
from .bodies import Restored, restore
from .derived import DERIVING, Deriving, Identified, explicit
from .headers import filled, latin, lines_of, request_headers, values
from .nodes import Node, Refusal
from .writing import EMPTY, length_of

Beside = Callable[[str, int], bytes]


class Asked(NamedTuple):
    """The request of a node: what a call is found by, and what it needs to be told of.

    Attributes:
        body: its payload.
    """

    identified: Identified
    headers: Headers
    body: Restored | None


def asked_of(node: Node, deriving: Deriving = DERIVING, beside: Beside | None = None) -> Asked:
    """Return what a checked node's call is found by.

    Raises:
        Refusal: something in it is malformed.
    """
    request = node["request"]
    body = _restored(request, "request", beside) if "body" in request else None
    headers = request_headers(request, len(body.content) if body else 0)
    content = body.content if body else None
    if "identity" in node:
        found = explicit(node["identity"], headers, content, deriving)
    else:
        responses = node.get("responses", []) if node.get("vary", True) else []
        place = f"responses[{len(responses) - 1}]"
        vary = values(responses[-1], "vary", place) if responses else None
        try:
            found = deriving(request["method"], request["url"], headers, content, vary)
        except ValueError as exc:
            raise Refusal(f"has no identity: {exc}", "request") from None
    if "base_hash" in node:
        found = found._replace(base_hash=node["base_hash"])
    return Asked(found, headers, body)


def _restored(node: Node, place: str, beside: Beside | None) -> Restored:
    """Return the payload of a request's or an answer's node."""
    try:
        return restore(node["body"], values(node, "content-encoding", place) or "", beside)
    except Refusal as exc:
        member = f".{exc.place}" if exc.place else ""
        raise Refusal(str(exc), f"{place}.body{member}") from None


class Setting(NamedTuple):
    """What a call has of its cassette.

    Attributes:
        source: of a call that names none.
        root_id: stands for the session.
        beside: returns what a file beside holds, by its checksum and size.
    """

    source: str = ""
    as_of: str = ""
    started_at: str = ""
    root_id: str = ""
    beside: Beside | None = None


def to_request(node: Node, asked: Asked, request_id: str, setting: Setting) -> Request:
    """Return the request of a checked node.

    Args:
        asked: the same node's.
    """
    found, request, body = asked.identified, node["request"], asked.body
    endpoint, params = params_of(found.document)
    return Request(
        id=request_id, session_id=setting.root_id, root_id=setting.root_id,
        source=node.get("source", setting.source), as_of=setting.as_of,
        kind=node.get("kind", ""), method=request["method"], endpoint=endpoint, params=params,
        url=request["url"], params_hash=found.params_hash, base_hash=found.base_hash,
        identity=found.document, headers=asked.headers,
        body_checksum=body.checksum if body else None,
        body_size=len(body.content) if body else 0, started_at=setting.started_at,
        status=Status(node.get("status", Status.COMPLETE)), failure=_to_failure(node),
    )  # fmt: skip


def to_recording(node: Node, asked: Asked, request_id: str, setting: Setting) -> Recording:
    """Return the call of a checked node.

    Args:
        asked: the same node's.

    Raises:
        Refusal: something in it is malformed.
    """
    made = to_request(node, asked, request_id, setting)
    payloads: dict[str, bytes] = {}
    if asked.body is not None:
        payloads[asked.body.checksum] = asked.body.content
    responses = []
    for index, one in enumerate(node.get("responses", ())):
        reader = _Reader(one, f"responses[{index}]", made, index + 1, payloads, setting.beside)
        responses.append(reader.response())
    return Recording(Exchange(made, tuple(responses)), payloads)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads an answer's node; puts its payload among the others."""

    node: Node
    place: str
    request: Request
    sequence: int
    payloads: dict[str, bytes]
    beside: Beside | None

    def response(self) -> Response:
        node, request = self.node, self.request
        body = self._body()
        size = len(body.content) if body else 0
        if body is not None:
            self.payloads[body.checksum] = body.content
        head = self._head(size)
        version, reason, headers = parse_head(head)
        return Response(
            request_id=request.id, sequence=self.sequence,
            method=node.get("method", request.method), url=node.get("url", request.url),
            status_code=node["status_code"] if "status_code" in node else status_line(head)[1],
            reason=reason, http_version=version, headers=headers, head=head,
            checksum=body.checksum if body else None, size=size,
            complete=node.get("complete", body is not None),
            closed_by_peer=node.get("closed_by_peer", False), framing=self._framing(size),
            failure=_to_failure(node), started_at=request.started_at,
            original_checksum="" if node.get("redacted") else None,
            truncated=node.get("truncated", 0), payload=in_memory(body.content if body else b""),
        )  # fmt: skip

    def _body(self) -> Restored | None:
        node = self.node
        if "body" in node:
            if node["body"] is None:
                return None
            return _restored(node, self.place, self.beside)
        return Restored(b"", EMPTY) if "status" in node or "head" in node else None

    def _head(self, size: int) -> bytes:
        node = self.node
        if "head" in node:
            text = "".join(lines_of(node, "head", self.place))
        elif "status" in node:
            lines = [filled(line, size) for line in lines_of(node, "headers", self.place)]
            text = "\r\n".join([node["status"], *lines, "", ""])
        else:
            return b""
        try:
            return text.encode("utf-8" if text.startswith(FETCHED.decode()) else "latin-1")
        except UnicodeError as exc:
            raise Refusal(f"has no bytes: {exc}", f"{self.place}.headers") from None

    def _framing(self, size: int) -> Framing | None:
        node = self.node
        if "framing" in node:
            return self._odd_framing(node["framing"], f"{self.place}.framing", size)
        cut = ((node.get("body") or {}).get("bytes", {})).get("chunks")
        lines = lines_of(node, "trailers", self.place)
        if cut is None and not lines:
            return None
        chunks: tuple[tuple[int, int], ...] = ((size, 1),) if size else ()
        if cut is not None:
            found = _runs(cut, f"{self.place}.body.bytes.chunks", size)
            # Of a body that was edited since, and of one compressed anew, it is not.
            chunks = found if length_of(found) == size else chunks
        tail = ("\r\n0\r\n" if chunks else "0\r\n") + "\r\n".join([*lines, "", ""])
        return Framing(chunks, tail=latin(tail, self.place))

    def _odd_framing(self, given: Node, place: str, size: int) -> Framing:
        try:
            odd = {int(index): latin(text, place) for index, text in given.get("odd", {}).items()}
        except ValueError:
            raise Refusal("has no index", f"{place}.odd") from None
        return Framing(
            _runs(given["chunks"], f"{place}.chunks", size), odd, latin(given["tail"], place)
        )


def _runs(given: list[Any], place: str, size: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of chunk sizes of a body of so many bytes."""
    try:
        runs = tuple((length, count) for length, count in given)
    except (TypeError, ValueError):
        raise Refusal("is no list of sizes, each with its count", place) from None
    numbers = [number for run in runs for number in run]
    if not all(type(number) is int and 0 <= number < 1 << 50 for number in numbers):
        raise Refusal("has sizes that are none", place)
    # Each but the last has a byte of the body at least.
    if sum(count for _, count in runs) > size + 1:
        raise Refusal(f"has more chunks than its {size} bytes", place)
    return runs


def _to_failure(node: Node) -> Failure | None:
    if "failure" not in node:
        return None
    given = node["failure"]
    return Failure(given["class"], given["message"], given.get("data", {}))
