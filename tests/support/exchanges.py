"""Any exchange that a store may hold: bodies, heads, attempts, failures, framing of all kinds."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mxm_dataio.formats.recordings import Recording, checksum_of
from mxm_dataio.http.heads import fetched_head, parse_head
from mxm_dataio.http.params import mapping
from mxm_dataio.identity import identify, vary_names
from mxm_dataio.models import (
    Exchange,
    Failure,
    Framing,
    Headers,
    Peer,
    Request,
    Response,
    Status,
    Timings,
)
from mxm_dataio.redaction import DEFAULT

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(
    ["application/json", "text/html; charset=utf-8", "text/plain; charset=latin-1", "image/png",
     "application/x-www-form-urlencoded", "multipart/form-data; boundary=xyz", ""]
)  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=120),
    st.just(b""),
    st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace")),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.just(b"a=1&b=2&token=abc"),
    st.just(b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xyz--\r\n'),
    # Large enough to go beside.
    st.integers(65, 68).map(lambda times: bytes(range(256)) * times),
)
_TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
_VALUES = _TEXT.map(str.strip)
_NAMES = st.sampled_from(
    ["X-A", "x-a", "Server", "ETag", "Set-Cookie", "Content-Length", "Vary", "Location", "X ", "é"]
)
_INSTANTS = st.integers(0, 2_000_000_000).map(lambda s: f"2025-01-01T00:{s % 60:02}:00.000000Z")
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "PURGE"])
URLS = st.sampled_from(
    ["http://a.test/", "https://b.test:8443/x%20y?b=2&a=1&a=0", "http://a.test/?q=%ff",
     "http://a.test/?token=REDACTED", "http://[::1]/"]
)  # fmt: skip


def coded(content: bytes, coding: str) -> bytes:
    """Return content in a coding; under an unknown one, as it is."""
    if coding == "gzip":
        return gzip.compress(content, mtime=0)
    return zlib.compress(content) if coding == "deflate" else content


@st.composite
def failures(draw: st.DrawFn) -> Failure:
    data = draw(st.dictionaries(st.text(max_size=8), VALUES, max_size=3))
    return Failure("urllib3.exceptions.ReadTimeoutError", draw(st.text(max_size=40)), data)


@st.composite
def framings(draw: st.DrawFn, size: int) -> Framing:
    """Return how a body was cut: in any places, with extensions, trailers, an end or none."""
    chunks: list[tuple[int, int]] = []
    left = size
    while left:
        length = draw(st.integers(1, left))
        chunks.append((length, 1))
        left -= length
    odd = draw(st.sampled_from([{}, {}, {0: b"0%x;ext=\xff\r\n" % max(size, 1)}]))
    start = b"\r\n0\r\n" if chunks else b"0\r\n"
    tail = draw(
        st.sampled_from(
            [
                start + b"\r\n",
                start + b"X-T: 1\r\nX-U: \xe9\r\n\r\n",
                start + b"a: b\n\n",
                b"",
                b"zz",
            ]
        )
    )
    return Framing(tuple(chunks), odd if chunks else {}, tail)


@st.composite
def responses(
    draw: st.DrawFn, request: Request, sequence: int, payloads: dict[str, bytes]
) -> Response:
    kind = draw(st.sampled_from(["answer", "answer", "answer", "odd", "none", "fetched", "bare"]))
    failure = draw(st.none() | failures()) if kind != "none" else draw(failures())
    method, url = request.method, request.url
    if draw(st.booleans()):
        method, url = "GET", "http://a.test/redirected"
    made = Response(
        request_id=request.id, sequence=sequence, method=method, url=url, failure=failure,
        started_at=draw(_INSTANTS), timings=Timings(0.1, None, 0.25, 1.5),
        peer=Peer("127.0.0.1:8000", "TLSv1.3", "X", "ab" * 32),
    )  # fmt: skip
    if kind == "none":
        return made
    coding = draw(st.sampled_from(["", "", "gzip", "deflate", "br"]))
    content = coded(draw(CONTENTS), coding)
    checksum = checksum_of(content)
    payloads[checksum] = content
    pairs: Headers = (("Content-Type", draw(TYPES)),)
    pairs += tuple(draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4)))
    if coding:
        pairs += (("Content-Encoding", coding),)
    if draw(st.booleans()):
        pairs += (("Content-Length", str(len(content))),)
    status: int | None = draw(st.sampled_from([200, 204, 304, 404, 503, 999]))
    if kind == "fetched":
        status = draw(st.sampled_from([None, 200]))
        head = fetched_head(status, "ok €", (*pairs, ("X", "€")))
    elif kind == "bare":
        head, status = b"", None
    elif kind == "odd":
        head = draw(
            st.sampled_from(
                [b"HTTP/1.1 200 OK\nA: b\n\n",
                 b"HTTP/1.1 200 OK\r\nA: b\r\n  more\r\nC: \xff\r\n\r\n",
                 b"HTTP/1.0 200\r\n\r\n", b"HTTP/1.1 nonsense\r\n\r\n", b"garbage\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"]
            )
        )  # fmt: skip
        status = None if b"nonsense" in head or head.startswith(b"garbage") else 200
    else:
        lines = [f"HTTP/1.1 {status} Sure", *(f"{name}: {value}" for name, value in pairs)]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    version, reason, headers = parse_head(head)
    return replace(
        made, status_code=status, reason=reason, http_version=version, headers=headers, head=head,
        checksum=checksum, size=len(content), complete=draw(st.booleans()),
        closed_by_peer=draw(st.booleans()), framing=draw(st.none() | framings(len(content))),
        original_checksum=draw(st.none() | st.just("cd" * 32)),
        truncated=draw(st.sampled_from([0, 0, 17])),
    )  # fmt: skip


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Return a call as a store gives it, with its payloads."""
    payloads: dict[str, bytes] = {}
    content_type = draw(TYPES)
    body = draw(st.none() | CONTENTS.filter(bool))
    headers: Headers = (("Host", "a.test"), ("Content-Type", content_type), ("Accept", "*/*"))
    if body is not None:
        headers += (("Content-Length", str(len(body))),)
        payloads[checksum_of(body)] = body
    headers += tuple(draw(st.lists(st.tuples(_NAMES.filter(str.isalnum), _VALUES), max_size=2)))
    made = Request(
        id="01", session_id="s", root_id="s", source="any", endpoint="", as_of="2025-01-01",
        method=draw(METHODS), url=draw(URLS), kind=draw(st.sampled_from(["", "daily"])),
        headers=headers, body_checksum=checksum_of(body) if body else None,
        body_size=len(body or b""), started_at=draw(_INSTANTS), duration=0.25,
        status=draw(st.sampled_from([Status.COMPLETE, Status.PARTIAL, Status.FAILED])),
        failure=draw(st.none() | failures()),
    )  # fmt: skip
    count = draw(st.integers(0, 3))
    answers = tuple(draw(responses(made, number + 1, payloads)) for number in range(count))
    return Recording(Exchange(_identified(draw, made, body, answers), answers), payloads)


def _identified(
    draw: st.DrawFn, made: Request, body: bytes | None, answers: tuple[Response, ...]
) -> Request:
    """Return a request with its identity: by the default rules, or by some of a session's own."""
    ignore = DEFAULT.uncounted(draw(st.sampled_from([(), ("a",)])))
    identity = identify(
        made.method, made.url, headers=made.headers, body=body, ignore=ignore,
        ignore_headers=DEFAULT.uncounted_headers,
        params=draw(st.sampled_from([(), (("of a fetcher", "x"),)])),
    )  # fmt: skip
    if draw(st.sampled_from([False, False, True])):
        identity = identity.with_body({"unsent": True})
    vary = vary_names(answers[-1].header("Vary") if answers else None, DEFAULT.headers)
    names = identity.counting(draw(st.sampled_from([vary, vary, ()])))
    document = identity.document(names).decode("utf-8")
    return replace(
        made, identity=document, endpoint=identity.endpoint, params=mapping(identity.params),
        params_hash=checksum_of(document.encode("utf-8")), base_hash=identity.params_hash(),
    )  # fmt: skip


def comparable(recording: Recording) -> Any:
    """Return of a call what a cassette keeps."""
    request, answers = recording.exchange.request, recording.exchange.responses
    request = replace(
        request, id="", session_id="", root_id="", source="", as_of="", started_at="",
        duration=None, failure=_said(request.failure),
    )  # fmt: skip
    kept = [
        replace(
            one, request_id="", started_at="", timings=Timings(), peer=Peer(), bytes_path=None,
            original_checksum="" if one.redacted else None, framing=_cut(one),
            failure=_said(one.failure),
        )
        for one in answers
    ]  # fmt: skip
    named = {one.checksum for one in kept} | {request.body_checksum}
    return request, kept, {key: item for key, item in recording.payloads.items() if key in named}


def _said(failure: Failure | None) -> Failure | None:
    # As JSON: what was a tuple is a list, and all floats are alike.
    return failure and replace(failure, data=json.loads(json.dumps(failure.data)))


def _cut(one: Response) -> Framing | None:
    """Return a framing, of a whole and sound body in one piece, or in many, only the trailers."""
    framing = one.framing
    if framing is None or framing.odd or not one.complete:
        return framing
    start = b"\r\n0\r\n" if framing.chunks else b"0\r\n"
    if not framing.tail.startswith(start) or not framing.tail.endswith(b"\r\n"):
        return framing
    if b"\n\n" in framing.tail or 1 < len(framing.chunks) <= 32:
        return framing
    if framing.tail == start + b"\r\n":
        return None
    return Framing(((one.size, 1),) if framing.chunks else (), {}, framing.tail)
