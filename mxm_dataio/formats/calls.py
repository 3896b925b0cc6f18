"""A call as a node of a cassette's JSON, and back.

A node says what can't be told from the rest: no ids, no timings, no peer; the identity only where
the request does not have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..heads import FETCHED, parse_head
from ..identity import Identity, base_of, identify, vary_names, without_headers
from ..models import Exchange, Failure, Framing, Headers, Request, Response, Status
from ..recordings import Recording, checksum_of, params_of
from ..redaction import DEFAULT
from ..utils import canonical_json, parse_instant
from .bodies import Node, Refused, Restored, restore, show
from .volatile import Volatile

# Stands for the body's size where a header has just that.
SIZE = "{size}"
_LENGTH = re.compile(r"(content-length[ \t]*:[ \t]*)(.*)", re.IGNORECASE | re.DOTALL)
# Where an object of Python's lies in memory is another place in each run.
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_NOWHERE = "0x0"
_EMPTY = checksum_of(b"")
# A body in more pieces, runs of equal ones counted once, is replayed in one.
_MOST_CUTS = 32
_LAST_CHUNK = b"0\r\n"

Beside = Callable[[str, int], bytes]


class Identified(NamedTuple):
    """What a call is found by.

    Attributes:
        document: the canonical document of its identity.
        params_hash: the document's.
        base_hash: without the headers that the answer varies on.
        vary: those.
    """

    document: str
    params_hash: str
    base_hash: str
    vary: tuple[str, ...] = ()


class Deriving(NamedTuple):
    """How a request's identity is derived.

    Attributes:
        identify: takes method, URL, headers and body.
        ignored: headers that never count.
        uncounted: headers that do not, though an answer varies on them.
    """

    identify: Callable[[str, str, Headers, bytes | None], Identity]
    ignored: Collection[str] = DEFAULT.headers
    uncounted: Collection[str] = ()

    def __call__(
        self, method: str, url: str, headers: Headers, body: bytes | None, vary: str | None
    ) -> Identified:
        """Return a request's identity, given the ``Vary`` of its answer."""
        identity = self.identify(method, url, headers, body)
        varying = set(vary_names(vary, self.ignored)).difference(self.uncounted)
        names = identity.counting(varying)
        base = identity.document()
        base_hash = checksum_of(base)
        if not names:
            return Identified(base.decode("utf-8"), base_hash, base_hash)
        document = identity.document(names)
        params_hash = checksum_of(document)
        return Identified(document.decode("utf-8"), params_hash, base_hash, names)


def _identify(method: str, url: str, headers: Headers, body: bytes | None) -> Identity:
    return identify(
        method,
        url,
        headers=headers,
        body=body,
        ignore=DEFAULT.names,
        ignore_headers=DEFAULT.headers,
    )


# By the default rules of redaction.
DERIVING = Deriving(_identify)


class Refusal(ValueError):  # noqa: N818 - never leaves the package
    """A call's node is not what it should be.

    Attributes:
        place: within it, as a path of JSON.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


# -- to a node ---------------------------------------------------------------------------------


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
    recording: Recording, *, volatile: Volatile, chunks: bool = False, beside: bool = True
) -> Written:
    """Return a call as JSON.

    Args:
        volatile: the headers left out.
        chunks: keep how a chunked body was cut, however many pieces that is.
        beside: large payloads may go into files of their own.
    """
    return _Writer(recording, volatile, chunks, beside).written()


class _Writer:
    def __init__(
        self, recording: Recording, volatile: Volatile, chunks: bool, beside: bool
    ) -> None:
        self._exchange, self._payloads = recording
        self._volatile = volatile
        self._chunks = chunks
        self._may_beside = beside
        self._beside: dict[str, bytes] = {}

    def written(self) -> Written:
        request = self._exchange.request
        node: Node = {}
        if request.kind:
            node["kind"] = request.kind
        node["request"] = self._request(request)
        node.update(self._identity(request, node["request"]))
        if request.status is not Status.COMPLETE:
            node["status"] = request.status.value
        if request.failure is not None:
            node["failure"] = _failure(request.failure)
        if self._exchange.responses:
            node["responses"] = [self._response(one) for one in self._exchange.responses]
        return Written(node, self._beside, request.params_hash)

    def _request(self, request: Request) -> Node:
        node: Node = {"method": request.method, "url": request.url}
        headers = self._volatile.request(request.headers)
        if headers:
            node["headers"] = [_header(name, value, request.body_size) for name, value in headers]
        if request.body_checksum is not None:
            node["body"] = self._body(request.body_checksum, request.headers)
        return node

    def _identity(self, request: Request, node: Node) -> Node:
        """Return the identity where it is not the one that the node's request has."""
        body = None if request.body_checksum is None else self._payloads[request.body_checksum]
        headers = _request_headers(node, len(body or b""))
        responses = self._exchange.responses
        vary = responses[-1].header("Vary") if responses else None
        derived = DERIVING(request.method, request.url, headers, body, vary)
        said: Node = {}
        if request.identity not in ("", derived.document):
            derived = DERIVING(request.method, request.url, headers, body, None)
            said["vary"] = False
        base_hash = derived.base_hash
        if request.identity not in ("", derived.document):
            said = {"identity": _document_node(request.identity)}
            base_hash = checksum_of(base_of(request.identity)[0].encode("utf-8"))
        if request.base_hash not in ("", base_hash):
            said["base_hash"] = request.base_hash
        return said

    def _body(self, checksum: str, headers: Headers) -> Node:
        content = self._payloads[checksum]
        named = {name.lower(): value for name, value in headers}
        shown = show(
            content,
            named.get("content-type", ""),
            named.get("content-encoding", ""),
            beside=self._may_beside,
        )
        if shown.beside:
            self._beside[checksum] = content
        return shown.node

    def _response(self, one: Response) -> Node:
        request = self._exchange.request
        node: Node = {}
        if one.method != request.method:
            node["method"] = one.method
        if one.url != request.url:
            node["url"] = one.url
        node.update(self._head(one))
        if one.status_code != _status_code(one.head):
            node["status_code"] = one.status_code
        if one.checksum not in (None, _EMPTY):
            node["body"] = self._body(one.checksum or "", one.headers)
        elif one.checksum is None and one.head:
            node["body"] = None
        elif one.checksum == _EMPTY and not one.head:
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
        if lines[-2:] != ["", ""] or len(lines) < 3 or any("\n" in line for line in lines):
            return {"head": text.splitlines(keepends=True) if text.isascii() else [text]}
        now = parse_instant(one.started_at) if one.started_at else 0.0
        headers = self._volatile.answer(lines[1:-2], now)
        node: Node = {"status": lines[0]}
        if headers:
            node["headers"] = [_sized(line, one.size) for line in headers]
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
            or _length(framing.chunks) != one.size
        ):
            return {"framing": _framing_node(framing)}
        # Where so many pieces differ in size, it was the moment that made them.
        usual = len(framing.chunks) <= _MOST_CUTS and framing.chunks != ((one.size, 1),)
        if body is not None and framing.chunks and (self._chunks or usual):
            body["bytes"]["chunks"] = [list(run) for run in framing.chunks]
        kept = self._volatile.answer(trailers[:-1], 0.0)
        return {"trailers": kept} if kept else {}


def _header(name: str, value: str, size: int) -> Any:
    line = f"{name}: {value}"
    if _pair(line) != (name, value) or line.isspace():
        return [name, value]
    return _sized(line, size)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


def _sized(line: str, size: int) -> str:
    match = _LENGTH.fullmatch(line)
    return match[1] + SIZE if match is not None and match[2] == str(size) else line


def _length(chunks: Iterable[tuple[int, int]]) -> int:
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


def _status_code(head: bytes) -> int | None:
    parts = head.partition(b"\n")[0].split(None, 2)
    if len(parts) < 2:
        return None
    try:
        status = int(parts[1])
    except ValueError:
        return None
    return status if 100 <= status <= 999 else None


# -- from a node -------------------------------------------------------------------------------

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


class Asked(NamedTuple):
    """The request of a node: what a call is found by, and what it needs to be told of.

    Attributes:
        body: its payload.
    """

    identified: Identified
    headers: Headers
    body: Restored | None


def asked(node: Node, deriving: Deriving = DERIVING, beside: Beside | None = None) -> Asked:
    """Return what a checked node's call is found by.

    Raises:
        Refusal: something in it is malformed.
    """
    request = node["request"]
    body = _restored(request, "request", beside) if "body" in request else None
    headers = _request_headers(request, len(body.content) if body else 0)
    if "identity" in node:
        found = _explicit(node["identity"], deriving.uncounted)
    else:
        responses = node.get("responses", []) if node.get("vary", True) else []
        place = f"responses[{len(responses) - 1}]"
        vary = _values(responses[-1], "vary", place) if responses else None
        content = body.content if body else None
        try:
            found = deriving(request["method"], request["url"], headers, content, vary)
        except ValueError as exc:
            raise Refusal(f"has no identity: {exc}", "request") from None
    if "base_hash" in node:
        found = found._replace(base_hash=node["base_hash"])
    return Asked(found, headers, body)


def _explicit(given: Any, uncounted: Collection[str]) -> Identified:
    try:
        document = given if isinstance(given, str) else canonical_json(given).decode("utf-8")
        params_of(document)
        if uncounted:
            document = without_headers(document, uncounted)
        base, vary = base_of(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Refusal(f"is no identity: {exc!r}", "identity") from None
    hashes = checksum_of(document.encode("utf-8")), checksum_of(base.encode("utf-8"))
    return Identified(document, *hashes, vary)


def _restored(node: Node, place: str, beside: Beside | None) -> Restored:
    """Return the payload of a request's or an answer's node."""
    try:
        return restore(node["body"], _values(node, "content-encoding", place) or "", beside)
    except Refused as exc:
        member = f".{exc.member}" if exc.member else ""
        raise Refusal(str(exc), f"{place}.body{member}") from None


def _request_headers(request: Node, size: int) -> Headers:
    pairs = []
    for index, line in enumerate(request.get("headers", ())):
        if isinstance(line, str) and ":" in line:
            pairs.append(_pair(_filled(line, size)))
        elif isinstance(line, list) and len(line) == 2 and all(isinstance(t, str) for t in line):
            pairs.append((line[0], line[1]))
        else:
            raise Refusal("is no header", f"request.headers[{index}]")
    return tuple(pairs)


def _filled(line: str, size: int) -> str:
    if SIZE in line:
        match = _LENGTH.fullmatch(line)
        if match is not None and match[2] == SIZE:
            return f"{match[1]}{size}"
    return line


def _lines(node: Node, name: str, place: str) -> list[str]:
    lines = node.get(name, [])
    if not all(isinstance(line, str) for line in lines):
        raise Refusal("is not a list of lines", f"{place}.{name}")
    found: list[str] = lines
    return found


def _values(node: Node, name: str, place: str) -> str | None:
    """Return the values of a header of a request's or an answer's node."""
    prefix = f"{name}:"
    lines = [line for line in node.get("headers", ()) if isinstance(line, str)]
    if "head" in node:
        lines = [line for text in _lines(node, "head", place) for line in text.splitlines()]
    values = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(prefix)]
    return ", ".join(values) if values else None


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


class _Reader:
    def __init__(
        self,
        node: Node,
        place: str,
        request: Request,
        sequence: int,
        payloads: dict[str, bytes],
        beside: Beside | None,
    ) -> None:
        self._node = node
        self._place = place
        self._request = request
        self._sequence = sequence
        self._payloads = payloads
        self._beside = beside

    def response(self) -> Response:
        node, request = self._node, self._request
        body = self._body()
        size = len(body.content) if body else 0
        if body is not None:
            self._payloads[body.checksum] = body.content
        head = self._head(size)
        version, reason, headers = parse_head(head)
        return Response(
            request_id=request.id, sequence=self._sequence,
            method=node.get("method", request.method), url=node.get("url", request.url),
            status_code=node["status_code"] if "status_code" in node else _status_code(head),
            reason=reason, http_version=version, headers=headers, head=head,
            checksum=body.checksum if body else None, size=size,
            complete=node.get("complete", body is not None),
            closed_by_peer=node.get("closed_by_peer", False), framing=self._framing(size),
            failure=_to_failure(node), started_at=request.started_at,
            original_checksum="" if node.get("redacted") else None,
            truncated=node.get("truncated", 0),
        )  # fmt: skip

    def _body(self) -> Restored | None:
        node = self._node
        if "body" in node:
            if node["body"] is None:
                return None
            return _restored(node, self._place, self._beside)
        return Restored(b"", _EMPTY) if "status" in node or "head" in node else None

    def _head(self, size: int) -> bytes:
        node = self._node
        if "head" in node:
            text = "".join(_lines(node, "head", self._place))
        elif "status" in node:
            lines = [_filled(line, size) for line in _lines(node, "headers", self._place)]
            text = "\r\n".join([node["status"], *lines, "", ""])
        else:
            return b""
        try:
            return text.encode("utf-8" if text.startswith(FETCHED.decode()) else "latin-1")
        except UnicodeError as exc:
            raise Refusal(f"has no bytes: {exc}", f"{self._place}.headers") from None

    def _framing(self, size: int) -> Framing | None:
        node = self._node
        if "framing" in node:
            return self._odd_framing(node["framing"], f"{self._place}.framing", size)
        cut = ((node.get("body") or {}).get("bytes", {})).get("chunks")
        lines = _lines(node, "trailers", self._place)
        if cut is None and not lines:
            return None
        chunks: tuple[tuple[int, int], ...] = ((size, 1),) if size else ()
        if cut is not None:
            found = _runs(cut, f"{self._place}.body.bytes.chunks", size)
            # Of a body that was edited since, and of one compressed anew, it is not.
            chunks = found if _length(found) == size else chunks
        tail = ("\r\n0\r\n" if chunks else "0\r\n") + "\r\n".join([*lines, "", ""])
        return Framing(chunks, tail=_latin(tail, self._place))

    def _odd_framing(self, given: Node, place: str, size: int) -> Framing:
        try:
            odd = {int(index): _latin(text, place) for index, text in given.get("odd", {}).items()}
        except ValueError:
            raise Refusal("has no index", f"{place}.odd") from None
        return Framing(
            _runs(given["chunks"], f"{place}.chunks", size), odd, _latin(given["tail"], place)
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


def _latin(text: Any, place: str) -> bytes:
    try:
        found: bytes = text.encode("latin-1")
    except (UnicodeError, AttributeError):
        raise Refusal("has no bytes", place) from None
    return found


def _to_failure(node: Node) -> Failure | None:
    if "failure" not in node:
        return None
    given = node["failure"]
    return Failure(given["class"], given["message"], given.get("data", {}))
