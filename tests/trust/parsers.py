"""The parsers of what servers send, of what is stored and of what is imported, and what they owe.

Each is given what was well-formed once. It may refuse that, with the error that is its own for it;
it may not raise anything else, hang, or take it for something that it is not.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import http.client
import io
import itertools
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests  # noqa: F401 - what it loads is not to be taken for what a failure does
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mxm_dataio.adapters import failures
from mxm_dataio.config import settings as config
from mxm_dataio.errors import MALFORMED, ConfigError, IntegrityError
from mxm_dataio.formats import FORMATS, detect, module_of
from mxm_dataio.http.chunked import encode
from mxm_dataio.http.framing import MessageParser
from mxm_dataio.http.heads import parse_head
from mxm_dataio.identity import identify
from mxm_dataio.integrity import proofs
from mxm_dataio.integrity.proofs import Consistency, Head, Inclusion
from mxm_dataio.models import Failure, Framing, Peer, Request, Status
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.found import Found
from mxm_dataio.redaction.secrets import Secrets
from mxm_dataio.replay.nearest import nearest
from mxm_dataio.storage import unseen
from mxm_dataio.storage.catalog import rows
from mxm_dataio.storage.catalog.chain import seal
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.journal import MAGIC, Left, framed
from mxm_dataio.storage.payloads import compression
from mxm_dataio.storage.payloads.prefixes import Prefixes
from mxm_dataio.utils import canonical_json
from tests.trust.inputs import altered, as_json, cut, damaged, json_values, scalars, texts


class Parser(NamedTuple):
    """A parser, what it is given, and what it owes: ``check`` raises if it does not keep to it."""

    name: str
    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]


PARSERS: dict[str, Parser] = {}


def parser(inputs: SearchStrategy[Any]) -> Callable[[Callable[[Any], None]], Any]:
    """Add a parser by its check."""

    def add(check: Callable[[Any], None]) -> Callable[[Any], None]:
        name = check.__name__
        PARSERS[name] = Parser(name, inputs, check)
        return check

    return add


# -- off the wire ------------------------------------------------------------------------------

STATUS_LINES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not",
    b"HTTP/1.1 101 Up", b"HTTP/1.1 100 Continue", b"HTTP/1.1 999", b"HTTP/1.1 20 x",
    b"HTTP/1.1  200  x", b"HTTP/1.1\t200\x0bOK", b"HTTP/1.1 +200 x", b"HTTP/1.1 2_0_0 x",
    b"HTTP/2 200 x", b"ICY 200", b"HTTP/ 200 OK", b"HTTP/1.1 \xb2\xb9\xb0 x", b"",
]  # fmt: skip
FIELDS = [
    b"Content-Length: 5", b"content-length:5", b"Content-Length: 05", b"Content-Length: 5, 5",
    b"Content-Length: -5", b"Content-Length: +5", b"Content-Length: 5_0", b"Content-Length: 5\xa0",
    b"Content-Length: \x855", b"Content-Length: \xb2", b"Content-Length:", b"Content-Length : 5",
    b" Content-Length: 5", b"Content-Length\xa0: 5", b"Content-Length: 5\r",
    b"Content-Length: \x1c5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: CHUNKED", b"transfer-encoding:chunked ",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\xa0",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked\x0c", b"Transfer-Encoding:",
    b"Transfer-Encoding: chunked;a=b", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding: chun",
    b"Connection: close", b"Connection: keep-alive", b"X: y", b" folded", b"\tfolded: 5", b": v",
    b"n",
    b"X: " + b"v" * 200, b"X\0: \0", b"Content-Type: multipart/mixed; boundary=x", b"-- x: y",
    b"From nobody", b"X: a\rContent-Length: 9", b"X: \x85Content-Length: 9",
]  # fmt: skip
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b" \r\n"]
CHUNKS = [
    b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", b"A\r\n0123456789\r\n", b"005\r\nhello\r\n", b"0\r\n",
    b"0\r\n\r\n", b"0;x\r\n", b"-5\r\n", b"-0\r\n\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n",
    b"5_\r\n", b"1_0\r\n0123456789abcdef\r\n", b"\r\n", b"zz\r\n", b" 5 \r\nhello\r\n",
    b"5\nhello\r\n", b"5\r\nhelloXX", b"X-Trailer: y\r\n", b"f" * 40 + b"\r\n", b"5", b"\n", b";\r\n",
    b"\x0b5\r\nhello\r\n",
]  # fmt: skip

heads = st.builds(
    lambda first, fields, ends, end: (
        first + ends[0] + b"".join(f + e for f, e in zip(fields, itertools.cycle(ends))) + end
    ),
    st.sampled_from(STATUS_LINES),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    st.lists(st.sampled_from(ENDS), min_size=1, max_size=3),
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b""]),
)
bodies = st.lists(st.sampled_from(CHUNKS), max_size=8).map(b"".join) | st.binary(max_size=40)
interim = st.sampled_from(
    [b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100\nA: b\n\n"]
)


@st.composite
def messages(draw: DrawFn) -> tuple[str, bytes, list[int]]:
    """A method, an answer to it, and where that is cut on its way."""
    method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "CONNECT"]))
    # Something random may be anything; but most of it begins as an answer does.
    plain = st.builds(lambda *parts: b"".join(parts), interim, heads, bodies)
    wire = draw(damaged(plain, 2) | plain)
    return method, wire, list(draw(cut(len(wire))))


class _Socket:
    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BytesIO:
        # http.client closes it at the body's end; what it read is still to be asked.
        self.file.close = lambda: None  # type: ignore[method-assign]
        return self.file


@parser(messages())
def answers_off_the_wire(given: tuple[str, bytes, list[int]]) -> None:
    """Against http.client: the same head, the same payload, the same end."""
    method, wire, places = given
    payload = bytearray()
    ours = MessageParser(method, payload.extend)
    for start, end in itertools.pairwise(places):
        ours.feed(memoryview(wire[start:end]))
    sock = _Socket(wire)
    theirs = http.client.HTTPResponse(sock, method=method)  # type: ignore[arg-type]
    try:
        theirs.begin()
    except (http.client.HTTPException, ValueError):
        ours.begin()
        ours.feed_eof()
        return
    at = sock.file.tell()
    ours.begin()
    ours.feed_eof()
    assert bytes(ours.head) == wire[at - len(ours.head) : at]
    assert ours.status == theirs.status
    assert (ours.chunks is not None) == bool(theirs.chunked and method != "HEAD")
    if ours.chunks is None:
        assert ours.length == theirs.length
    try:
        body = theirs.read()
    except (http.client.HTTPException, ValueError, OverflowError) as exc:
        assert not ours.complete
        partial = getattr(exc, "partial", b"")
        assert bytes(payload[: len(partial)]) == partial or ours.chunks is not None
    else:
        assert bytes(payload) == body
        assert ours.complete
    _comes_again(ours, bytes(payload), wire[at:])


def _comes_again(ours: MessageParser, payload: bytes, wire: bytes) -> None:
    """What replay sends is what came, for as far as it matters."""
    if ours.chunks is None:
        return
    framing = ours.chunks.framing()
    assert framing is not None
    sent = b""
    taken = 0
    for lead, size in encode(framing, len(payload)):
        sent += lead + payload[taken : taken + size]
        taken += size
    assert sent == wire[: len(sent)]
    assert ours.complete or sent == wire
    row = _kept(rows.response_rows(_entry_of(framing, len(payload)))[0])
    assert rows.to_response(row, rows.to_request(_REQUEST_ROW)).framing == framing


def _kept(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row as SQLite gives it back."""
    return tuple(int(value) if isinstance(value, bool) else value for value in row)


def _entry_of(framing: Framing, size: int) -> Entry:
    attempt = CapturedAttempt("GET", "u", 0.0, 200, "0" * 64, size, framing=framing, head=b"x")
    return _entry(attempt)


@parser(damaged(heads | st.just(b"- 200 OK\r\nA: b\r\n\r\n")))
def heads_taken_apart(head: bytes) -> None:
    """Version, reason and headers of any bytes."""
    version, reason, fields = parse_head(head)
    assert isinstance(version, str)
    assert reason is None or isinstance(reason, str)
    assert all("\n" not in name + value for name, value in fields)


# -- what the program asks, and what is secret in it -------------------------------------------

URLS = [
    "http://h/", "HTTP://H:80/a%2fb?x=1&y=%ff", "https://u:p@h:443/?token=s", "http://[::1%25z]/",
    "http://\u00e9\u3002\u00df/\u00e9?\u00e9", "http://h:99999/", "http://h:x/", "http://[/", "x://",
    "name", "http://h/\ud800", "http://\ud800/", "http://h?\udcff=\udcff", "//h/", "http:///a?b#c",
]  # fmt: skip
TYPES = [
    "", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
    "multipart/form-data", "application/x-amz-json-1.1", "text/html; charset=x",
    "multipart/form-data; boundary*=utf-8''%ff", "application/ld+json", "multipart/form-data; boundary=\ud800",
]  # fmt: skip
BODIES = [
    b"", b"a=b&c=%zz&token=x", b'{"a":1,"password":["x",{"y":"zzzzzzzzz9"}]}', b'{"a":1,"a":2}',
    b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nabcdefgh9\r\n--b--\r\n',
    b"--b\r\n\r\n\r\n--b--", b"[" * 3_000, b'{"password":"\\ud800abcdefgh9"}',
    b"\xff\xfe[\x001\x00]\x00",
    b'{"n":1e400,"m":123456789012345678901}', b'"' + b"\\" * 99, b"NaN", b'{"access_token":"abc',
]  # fmt: skip
urls = st.builds(lambda a, b: a + b, st.sampled_from(URLS), st.just("") | texts)


@st.composite
def calls(draw: DrawFn) -> dict[str, Any]:
    """A call as a program may make it, or not."""
    fields = st.tuples(st.sampled_from(["Accept", "X-A", "Cookie", "Authorization"]) | texts, texts)
    return {
        "method": draw(st.sampled_from(["GET", "post", "P\u00dfT"]) | texts),
        "url": draw(urls),
        "headers": [
            ("Content-Type", draw(st.sampled_from(TYPES))),
            *draw(st.lists(fields, max_size=3)),
        ],
        "body": draw(st.none() | damaged(st.sampled_from(BODIES))),
        "params": draw(st.lists(st.tuples(texts, texts), max_size=3)),
        "vary": draw(st.lists(texts, max_size=2)),
        "ignore": draw(st.sampled_from([(), DEFAULT.uncounted()])),
    }


@parser(calls())
def identities(call: dict[str, Any]) -> None:
    """Of any call there is one, the same each time, and it is stored and read as it is."""
    vary = tuple(call.pop("vary"))
    method, url = call.pop("method"), call.pop("url")
    made = identify(method, url, **call)
    document = made.document(vary)
    assert document == identify(method, url, **call).document(vary)
    assert made.params_hash(vary) == hashlib.sha256(document).hexdigest()
    assert canonical_json(json.loads(document)) == document
    text = document.decode("utf-8")
    endpoint, parts = rows._parts(text)
    assert rows.whole(endpoint, parts)[0] == text
    other = Request(id="x", session_id="", source="s", endpoint=made.endpoint, identity=text)
    nearest(text, [other], source="s", bound=None)


SECRET = "zX9-kq27Lw_8vTr41"
HIDDEN = [
    SECRET, "S9+/=%&\"'<> \u00e9k3Y", "\ud8009abcdefg", "\r\nContent-Length: 9x7Kq",
    '","endpoint":"http', '"headers":[["accept"',
    "HTTP/1.1 200 9x7Kq", "%2541%00bcdefg9", "\u99ac\u00e99abcdefg",
]  # fmt: skip


@st.composite
def secrets(draw: DrawFn) -> dict[str, Any]:
    """What is known, and where it may turn up."""
    known = draw(st.lists(st.sampled_from(HIDDEN) | st.text(min_size=8, max_size=40), max_size=3))
    shown = [text.encode("utf-8", "surrogatepass") for text in known] or [b"x"]
    places = st.builds(
        lambda a, secret, b: a + secret + b,
        st.sampled_from([b"", b"X: ", b"HTTP/1.1 200 ", b"5;", b"Set-Cookie: csrf="]),
        st.sampled_from(shown),
        st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]),
    )
    return {
        "known": known,
        "call": draw(calls()),
        "head": draw(st.builds(lambda a, b: a + b, heads, places) | damaged(heads)),
        "body": draw(damaged(st.sampled_from(BODIES) | places)),
        "cut": draw(st.booleans()),
    }


@parser(secrets())
def redaction(given: dict[str, Any]) -> None:
    """Nothing breaks it; what is known is gone, and a head is read as before."""
    known = Secrets(DEFAULT)
    for value in given["known"]:
        known.learn(Found("header", "x-api-key", value))
    call, head, body = given["call"], given["head"], given["body"]
    pairs = tuple(call["headers"])
    known.url(call["url"])
    known.text(call["url"] + str(body))
    known.pairs(pairs)
    for kind in TYPES:
        known.body(body, kind)
    clean = known.answer_head(head, lambda: known.clear(call["url"], head, body))
    assert clean.count(b"\n") == head.count(b"\n")
    assert parse_head(clean)[0] == parse_head(head)[0]
    for name in (b"content-length", b"transfer-encoding"):
        assert _values(clean, name) == _values(head, name)
    coded = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n\r\n"
    known.answer_body(body, head, "POST", call["url"], cut=given["cut"])
    known.answer_body(zlib.compress(body, wbits=31)[: len(body)], coded, "GET", "/", cut=True)
    document = identify(call["method"], call["url"], headers=pairs, body=body).document()
    masked = known.document(document)
    assert json.loads(masked).keys() == json.loads(document).keys()
    if SECRET in given["known"]:
        hidden = SECRET.encode()
        assert hidden not in known.mask(body + hidden)
        assert hidden not in clean
        assert SECRET not in masked


def _values(head: bytes, name: bytes) -> list[bytes]:
    lines = [line.partition(b":") for line in head.split(b"\n")[1:]]
    return [value.strip() for key, _, value in lines if key.strip().lower() == name]


# -- what is stored ----------------------------------------------------------------------------


def _entry(*attempts: CapturedAttempt, **payloads: bytes) -> Entry:
    call = CapturedCall("r1", "GET", "u", 0.5, Status.COMPLETE, 0.25, None, b"\r\nA: b\r\n\r\n")
    identity = identify("GET", "http://h/?a=b", headers=[("X-A", "y")]).document(("x-a",)).decode()
    contents = {hashlib.sha256(one).hexdigest(): one for one in payloads.values()}
    return Entry(
        call, InSession("s1", "s1", "s", "2025-01-01"), "k", identity, ("x-a",), "0" * 64, None, 0,
        None, attempts, contents,
    )  # fmt: skip


_ATTEMPT = CapturedAttempt(
    "GET", "u", 0.0, 200, "0" * 64, 6, True, False, Framing(((3, 2),), {1: b";x"}, b"0\r\n\r\n"),
    Failure("a.B", "c", {"exception": ["builtins", "OSError"], "args": [], "state": {}}),
    0.1, None, 0.2, 0.3, Peer("h:1"), None, 5, b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip
_WHOLE = _entry(_ATTEMPT, CapturedAttempt("GET", "u", 1.0), one=b"one", two=b"")
_DOCUMENT, _CONTENT = _WHOLE.encode()
_REQUEST_ROW = (
    1, "r1", "s1", "s1", "s", "2025-01-01", "k", "GET", "http://h/",
    *rows._parts(_WHOLE.identity)[1:],
    None, "0" * 64, None, b"\r\nA: b\r\n\r\n", None, 0, 0.5, 0.25, "complete", None, None,
)  # fmt: skip


@parser(
    st.tuples(
        altered(st.just(json.loads(_DOCUMENT))), st.just(_CONTENT) | damaged(st.just(_CONTENT))
    )
)
def entries(given: tuple[Any, bytes]) -> None:
    """One that is taken for one is written and read again, and has rows that are."""
    document, content = given
    try:
        entry = Entry.decode(as_json(document), content)
    except MALFORMED:
        return
    assert Entry.decode(*entry.encode()) == entry
    for checksum, one in entry.payloads.items():
        assert hashlib.sha256(one).hexdigest() == checksum
    rows.request_row(entry)
    for one in entry.attempts:
        _is_bounded(one.framing, one.size)
    for row in rows.response_rows(entry):
        assert all(isinstance(value, (str, bytes, int, float, type(None))) for value in row)
        assert all(not isinstance(v, int) or -(1 << 63) <= v < 1 << 63 for v in row)


def _is_bounded(framing: Framing | None, size: int) -> None:
    """No framing makes more pieces than there are bytes."""
    if framing is not None:
        some = min(size, 1_000)
        assert len(list(itertools.islice(encode(framing, some), some + 9))) <= some + 2


_JOURNAL = MAGIC + framed(_WHOLE) + framed(_entry(one=b"one"))


def _checked(document: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(document))
    return MAGIC + struct.pack("<III", len(document), len(content), check) + document + content


_DECODED = json.loads(_DOCUMENT)


@parser(
    st.tuples(st.just(True), damaged(st.just(_JOURNAL)))
    | st.tuples(
        st.just(False),
        st.builds(_checked, altered(st.just(_DECODED)).map(as_json), st.just(_CONTENT))
        | st.builds(_checked, damaged(st.just(_DOCUMENT)), damaged(st.just(_CONTENT))),
    )
)
def journals(given: tuple[bool, bytes]) -> None:
    """What is read of one is whole; the rest is told of as damage, or ends the file."""
    by_accident, content = given
    path = _SCRATCH / "x.journal"
    path.write_bytes(content)
    found = []
    try:
        for entry in Left(path, gone=True).entries():
            found.append(entry)
            rows.request_row(entry)
    except IntegrityError as exc:
        assert exc.path == path
    whole = [_WHOLE, _entry(one=b"one")]
    if content.startswith(_JOURNAL):
        assert found[:2] == whole
    # Who wants to can make a check sum; no accident does.
    assert not by_accident or all(entry in whole for entry in found)


@parser(st.tuples(st.sampled_from(["request", "response", "session"]), st.data()))
def rows_of_the_catalog(given: tuple[str, Any]) -> None:
    """A row is read as what it is, or as none; in the form in which it is hashed too."""
    kind, data = given
    response = _kept(rows.response_rows(_WHOLE)[0])
    session = (
        "s1", "s1", None, "s", "", "record", "2025-01-01", "complete", "x", None, 5, "h", "[]", "",
        None, '[["library","x",1,""]]',
    )  # fmt: skip
    whole: dict[str, tuple[Any, ...]] = {
        "request": _REQUEST_ROW, "response": response, "session": session,
    }  # fmt: skip
    value = scalars | st.binary(max_size=9) | json_values.map(lambda v: as_json(v).decode())
    row = list(whole[kind])
    for _ in range(data.draw(st.integers(0, 2))):
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(value)
    try:
        if kind == "request":
            made = rows.to_request(tuple(row))
            assert made.body_size >= 0
            shown = (made.id, made.source, made.method, made.endpoint, made.url, made.as_of)
            assert all(isinstance(text, str) for text in shown)
            assert all(isinstance(text, str) for pair in made.headers for text in pair)
        elif kind == "response":
            one = rows.to_response(tuple(row), rows.to_request(_REQUEST_ROW))
            assert one.size >= 0
            assert (type(one.size), type(one.head), type(one.url)) == (int, bytes, str)
            assert one.checksum is None or len(one.checksum) == 64
            _is_bounded(one.framing, one.size)
        else:
            held = rows.to_session(tuple(row))
            assert all(type(text) is str for text in (held.id, held.source, held.as_of))
    except MALFORMED:
        pass


@parser(
    st.tuples(
        damaged(st.just(Prefixes.of(io.BytesIO(bytes(700_000)), 1 << 18)[0].encode())),
        st.just(700_000) | st.integers(-10, 1 << 50),
    )
)
def prefixes(given: tuple[bytes, int]) -> None:
    """Those of a payload are known by their own digest; all others are none."""
    content, size = given
    made = Prefixes.decode(content, size)
    if made is not None:
        assert made.encode() == content
        assert made.size == size
        assert all(len(made.at(end)) == 32 for end in range(made.block, size + 1, made.block))


_SESSION = dict.fromkeys(proofs._COLUMNS) | {"id": "s1", "pid": 5, "number": 1}
_SEAL = seal(bytes(32), 3, tuple(_SESSION.values()))
_INCLUSION = Inclusion(Head.of([_SEAL]), 0, bytes(32), 3, tuple(_SESSION.values()), ())
_CONTINUES = Consistency(Head.of([_SEAL]), Head.of([_SEAL] * 3), ())


@parser(
    st.sampled_from([_INCLUSION, _CONTINUES])
    .map(lambda p: json.loads(p.text()))
    .flatmap(lambda whole: altered(st.just(whole)).map(as_json) | damaged(st.just(as_json(whole))))
    | damaged(st.just(str(_INCLUSION.head).encode()))
)
def proofs_and_heads(content: bytes) -> None:
    """One is refused, or says whether it holds; none that was changed holds for the same head."""
    text = content.decode("utf-8", "replace")
    try:
        head = Head.parse(text)
        assert str(head) == text.strip()
    except ValueError:
        pass
    try:
        proof = proofs.parse(text)
    except IntegrityError:
        return
    holds = proof.holds()
    again = proofs.parse(proof.text())
    assert (again, again.holds()) == (proof, holds)
    if isinstance(proof, Inclusion) and holds and proof.head == _INCLUSION.head:
        assert proof == _INCLUSION


_PLAIN = random.Random(1).randbytes(400) * 9
_FRAME = compression.compress(_PLAIN) or b""


@parser(st.tuples(damaged(st.just(_FRAME)), st.just(len(_PLAIN)) | st.integers(0, 9_000)))
def compressed_payloads(given: tuple[bytes, int]) -> None:
    """No more comes out than was recorded, and what is damaged is said to be so."""
    frame, size = given
    content = compression.decompress(frame, size)
    assert len(content) <= size + 1
    if frame == _FRAME and size == len(_PLAIN):
        assert content == _PLAIN
    if len(frame) >= size:
        return
    came = b""
    try:
        with compression.Decompressed(io.BytesIO(frame), size) as file:  # type: ignore[arg-type]
            while piece := file.read(777):
                came += piece
                assert len(came) <= size
            file.seek(size // 2)
            assert file.read(9) == came[size // 2 : size // 2 + 9]
    except OSError:
        pass
    else:
        assert frame != _FRAME or came == _PLAIN[:size]


EXCEPTIONS = [
    {"exception": ["builtins", "OSError"], "args": [5, "x"], "state": {"a": 1}, "suppress": True},
    {
        "exception": ["requests.exceptions", "ConnectionError"],
        "args": [{"met": 0}],
        "state": {"request": {"repr": "x"}},
        "context": {
            "exception": ["urllib3.exceptions", "ProtocolError"],
            "args": ["x", {"exception": ["builtins", "ValueError"], "args": [], "state": {}}],
            "state": {"pool": {"is": "pool"}},
            "cause": {"met": 0},
        },
    },
    {
        "exception": ["http.client", "IncompleteRead"],
        "args": [{"bytes": "abc", "size": 70_000}],
        "state": {"partial": {"bytes": "\xff"}, "expected": 9},
    },
    {
        "exception": ["builtins", "UnicodeDecodeError"],
        "args": ["a", {"bytes": "b"}, 0, 1, "c"],
        "state": {},
    },
    {"exception": ["builtins", "SystemExit"], "args": [], "state": {}},
    {"exception": ["os", "system"], "args": ["true"], "state": {}},
    {"exception": ["mailbox", "Error"], "args": ["x"], "state": {}},
    {"exception": ["builtins", "ExceptionGroup"], "args": ["x", [1]], "state": {}},
]  # fmt: skip


@parser(altered(st.sampled_from(EXCEPTIONS), 4))
def failures_again(data: Any) -> None:
    """An exception of the modules that are known, or word that the record is damaged."""
    if not isinstance(data, dict):
        return
    before = set(sys.modules)
    try:
        made = failures.load(Failure("a.B", "c", data), "pool")
    except IntegrityError:
        made = None
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert new <= {"socks"}
    try:
        failures.raise_again(Failure("a.B", "c", data), "pool", wrapped=True)
    except Exception as exc:
        home = type(exc).__module__
        assert home in failures._MODULES | {"mxm_dataio.errors"}, home
    if made is not None:
        str(made), repr(made)
        known = Secrets(DEFAULT)
        again = failures.dump(made, known)
        # (Of an object within only its looks are left, by which not all can name themselves.)
        with contextlib.suppress(IntegrityError):
            failures.load(Failure("a.B", "c", json.loads(json.dumps(again.data))))


@parser(
    damaged(st.just(b'[1,"process","curl",2,"m"]\n[1,"","",1,""]\n[2,"connection","h:1",1,""]\n'))
    | st.lists(json_values, max_size=3).map(lambda some: b"\n".join(map(as_json, some)))
)
def notes_of_a_session(content: bytes) -> None:
    """What one jotted down of what went past it."""
    found = unseen.read_lines(content)
    for one in found or ():
        assert (type(one.kind), type(one.name), type(one.times)) == (str, str, int)


# -- what is given -----------------------------------------------------------------------------

TOML = b'[dataio]\nroot = "x"\nmode = "auto"\nttl = 5\nignore_params = ["a"]\n[dataio.sources]\na = "b"\n'
JSON = b'{"dataio": {"root": "x", "mode": "off", "ttl": 1.5, "max_body": 9, "sources": {"a": "b"}}}'
YAML = (
    b"dataio:\n  root: ${oc.env:HOME,x}\n  mode: off\n  allowed_hosts: [a, b]\n  sources: {a: b}\n"
)


@parser(
    st.tuples(st.just("toml"), damaged(st.just(TOML)))
    | st.tuples(st.just("json"), damaged(st.just(JSON)))
    | st.tuples(st.just("json"), altered(st.just(json.loads(JSON))).map(as_json))
    | st.tuples(st.just("yaml"), damaged(st.just(YAML)))
)
def files_of_settings(given: tuple[str, bytes]) -> None:
    """Settings, or word of which of them is wrong."""
    suffix, content = given
    path = _SCRATCH / f"x.{suffix}"
    path.write_bytes(content)
    environ = {"MXM_DATAIO_CONFIG": str(path), "HOME": "/x"}
    try:
        config.load({}, environ)
    except ConfigError as exc:
        str(exc)


NAMES = [*config.Settings.__dataclass_fields__, "rot", ""]


@parser(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=3))
def settings_in_a_call(arguments: dict[str, Any]) -> None:
    """The same of arguments and of the environment."""
    environ = {
        f"MXM_DATAIO_{name.upper()}": value
        for name, value in arguments.items()
        if isinstance(value, str) and "\0" not in value
    }
    for given, around in ((arguments, {}), ({}, environ)):
        try:
            config.load(given, {**around, "HOME": "/x"})
        except ConfigError as exc:
            str(exc)


# -- what is imported --------------------------------------------------------------------------

CASSETTE = json.loads(
    """{"mxm-dataio cassette": 1, "source": "s", "recorded": "2025-10-07", "calls": [
    {"request": {"method": "GET", "url": "http://h/"}, "responses": [{"status": "200 OK",
    "headers": [["A", "b"]], "body": {"text": "hello"}}]}]}"""
)
BETAMAX = json.loads(
    """{"http_interactions": [{"recorded_at": "2025-10-07T00:00:00", "request": {"body": {"encoding":
    "utf-8", "string": ""}, "headers": {"A": ["b"]}, "method": "GET", "uri": "http://h/"},
    "response": {"body": {"encoding": "utf-8", "string": "x", "base64_string": "eA=="}, "headers":
    {"A": ["b"]}, "status": {"code": 200, "message": "OK"}, "url": "http://h/"}}],
    "recorded_with": "betamax/0.9"}"""
)
VCR = b"""interactions:
- request:
    body: null
    headers: {A: [b]}
    method: GET
    uri: http://h/
  response:
    body: {string: !!binary eA==}
    headers: {A: [b], Content-Encoding: [gzip]}
    status: {code: 200, message: OK}
version: 1
"""
RESPONSES = b"""responses:
- response:
    auto_calculate_content_length: false
    body: x
    content_type: text/plain
    method: GET
    status: 200
    url: http://h/
"""


@parser(
    altered(st.sampled_from([CASSETTE, BETAMAX])).map(as_json)
    | damaged(st.sampled_from([as_json(CASSETTE), as_json(BETAMAX), VCR, RESPONSES]))
)
def recordings_of_others(content: bytes) -> None:
    """Calls, or word of what is wrong with the file, in each format that it may be of."""
    for name in {detect(content), *FORMATS} - {None}:
        fp = io.BytesIO(content)
        fp.name = os.fspath(_SCRATCH / "x")  # type: ignore[misc]
        try:
            for one in module_of(str(name)).read(fp):
                assert one.exchange.request.id is not None
        except (IntegrityError, ConfigError) as exc:
            str(exc)


_SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
