"""A call as a node of a cassette's JSON.

A node says what can't be told from the rest: no ids, no timings, no peer; the identity only where
the request does not have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...http.heads import FETCHED, status_line
from ...identity import base_of
from ...models import Exchange, Failure, Framing, Headers, Request, Response, Status
from ...utils import canonical_json, parse_instant
from ..recordings import Recording, checksum_of
from ..volatile import Volatile
from .bodies import show
from .derived import DERIVING, Deriving
from .headers import filled, header, request_headers, sized
from .nodes import Node

EMPTY = checksum_of(b"")
# Where an object of Python's lies in memory is another place in each run.
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_NOWHERE = "0x0"
# A body in more pieces, runs of equal ones counted once, is replayed in one.
_MOST_CUTS = 32
_LAST_CHUNK = b"0\r\n"


class Written(NamedTuple):
    """A call to be written.

    Attributes:
        node: its JSON.
        beside: checksum → payload of those that go into files of their own.
        params_hash: of its identity.
    """

    node: Node
    beside: dict[str, bytes]
    params_hash: str


def to_node(
    recording: Recording,
    *,
    volatile: Volatile,
    chunks: bool = False,
    deriving: Deriving = DERIVING,
) -> Written:
    """Return a call as JSON.

    Args:
        volatile: the headers left out.
        chunks: keep how a chunked body was cut, however many pieces that is.
        deriving: how its identity is derived where it is read; what it derives is not written.
    """
    return _Writer(*recording, volatile, chunks, deriving).written()


@dataclass(slots=True)
class _Writer:
    """Writes a call; gathers what goes into files of its own."""

    exchange: Exchange
    payloads: Mapping[str, bytes]
    volatile: Volatile
    chunks: bool
    deriving: Deriving
    beside: dict[str, bytes] = field(default_factory=dict)

    def written(self) -> Written:
        request = self.exchange.request
        node: Node = {}
        if request.kind:
            node["kind"] = request.kind
        node["request"] = self._request(request)
        node.update(self._identity(request, node["request"]))
        if request.status is not Status.COMPLETE:
            node["status"] = request.status.value
        if request.failure is not None:
            node["failure"] = _failure(request.failure)
        if self.exchange.responses:
            node["responses"] = [self._response(one) for one in self.exchange.responses]
        return Written(node, self.beside, request.params_hash)

    def _request(self, request: Request) -> Node:
        node: Node = {"method": request.method, "url": request.url}
        headers = self.volatile.request(request.headers)
        if headers:
            node["headers"] = [header(name, value, request.body_size) for name, value in headers]
        if request.body_checksum is not None:
            node["body"] = self._body(request.body_checksum, request.headers)
        return node

    def _identity(self, request: Request, node: Node) -> Node:
        """Return the identity where it is not the one that the node's request has."""
        body = None if request.body_checksum is None else self.payloads[request.body_checksum]
        headers = request_headers(node, len(body or b""))
        responses = self.exchange.responses
        vary = responses[-1].header("Vary") if responses else None
        derived = self.deriving(request.method, request.url, headers, body, vary)
        said: Node = {}
        if request.identity not in ("", derived.document):
            derived = self.deriving(request.method, request.url, headers, body, None)
            said["vary"] = False
        base_hash = derived.base_hash
        if request.identity not in ("", derived.document):
            said = {"identity": _document_node(request.identity)}
            base_hash = checksum_of(base_of(request.identity)[0].encode("utf-8"))
        if request.base_hash not in ("", base_hash):
            said["base_hash"] = request.base_hash
        return said

    def _body(self, checksum: str, headers: Headers) -> Node:
        content = self.payloads[checksum]
        named = {name.lower(): value for name, value in headers}
        shown = show(
            content,
            named.get("content-type", ""),
            named.get("content-encoding", ""),
        )
        if shown.beside:
            self.beside[checksum] = content
        return shown.node

    def _response(self, one: Response) -> Node:
        request = self.exchange.request
        node: Node = {}
        if one.method != request.method:
            node["method"] = one.method
        if one.url != request.url:
            node["url"] = one.url
        node.update(self._head(one))
        if one.status_code != status_line(one.head)[1]:
            node["status_code"] = one.status_code
        if one.checksum not in (None, EMPTY):
            node["body"] = self._body(one.checksum or "", one.headers)
        elif one.checksum is None and one.head:
            node["body"] = None
        elif one.checksum == EMPTY and not one.head:
            node["body"] = {"text": [""]}
        node.update(self._framing(one, node.get("body")))
        if one.complete != (one.checksum is not None):
            node["complete"] = one.complete
        if one.closed_by_peer:
            node["closed_by_peer"] = True
        if one.truncated:
            node["truncated"] = one.truncated
        if one.redacted:
            node["redacted"] = True
        if one.failure is not None:
            node["failure"] = _failure(one.failure)
        return node

    def _head(self, one: Response) -> Node:
        if not one.head:
            return {}
        text = one.head.decode("utf-8" if one.head.startswith(FETCHED) else "latin-1")
        lines = text.split("\r\n")
        plain = lines[-2:] == ["", ""] and len(lines) > 2
        if not plain or any("\n" in line or filled(line, 0) != line for line in lines):
            return {"head": text.splitlines(keepends=True) if text.isascii() else [text]}
        now = parse_instant(one.started_at) if one.started_at else 0.0
        headers = self.volatile.answer(lines[1:-2], now)
        node: Node = {"status": lines[0]}
        if headers:
            node["headers"] = [sized(line, one.size) for line in headers]
        return node

    def _framing(self, one: Response, body: Node | None) -> Node:
        """Return how a body was cut; what is usual of it goes with the body's bytes."""
        framing = one.framing
        if framing is None:
            return {}
        start = b"\r\n" + _LAST_CHUNK if framing.chunks else _LAST_CHUNK
        tail = framing.tail.removeprefix(start)
        trailers = tail.decode("latin-1").split("\r\n")[:-1]
        if (
            not one.complete
            or framing.odd
            or tail == framing.tail
            or trailers[-1:] != [""]
            or any("\n" in line for line in trailers)
            or length_of(framing.chunks) != one.size
        ):
            return {"framing": _framing_node(framing)}
        # Where so many pieces differ in size, it was the moment that made them.
        usual = len(framing.chunks) <= _MOST_CUTS and framing.chunks != ((one.size, 1),)
        if body is not None and framing.chunks and (self.chunks or usual):
            body["bytes"]["chunks"] = [list(run) for run in framing.chunks]
        kept = self.volatile.answer(trailers[:-1], 0.0)
        return {"trailers": kept} if kept else {}


def length_of(chunks: Iterable[tuple[int, int]]) -> int:
    """Return how many bytes chunks have together."""
    return sum(length * count for length, count in chunks)


def _framing_node(framing: Framing) -> Node:
    node: Node = {"chunks": [list(run) for run in framing.chunks]}
    if framing.odd:
        node["odd"] = {str(index): line.decode("latin-1") for index, line in framing.odd.items()}
    return {**node, "tail": framing.tail.decode("latin-1")}


def _document_node(identity: str) -> Any:
    """Return an identity document as JSON, as text if that would not give the same text again."""
    try:
        document = json.loads(identity)
        if canonical_json(document).decode("utf-8") == identity:
            return document
    except (ValueError, RecursionError):
        pass
    return identity


def _failure(failure: Failure) -> Node:
    node: Node = {"class": failure.error_class, "message": _ADDRESS.sub(_NOWHERE, failure.message)}
    if failure.data:
        node["data"] = _without_addresses(failure.data)
    return node


def _without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub(_NOWHERE, value)
    if isinstance(value, Mapping):
        return {name: _without_addresses(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_addresses(item) for item in value]
    return value
