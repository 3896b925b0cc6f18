"""The message parser: any bytes, cut anywhere, come out again as they came in."""

from __future__ import annotations

import http.client
import io
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mxm_dataio.http.chunked import ChunkParser, encode
from mxm_dataio.http.framing import MessageParser

CHUNKED = [
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;name=value\r\nhello\r\n00A ; x\r\n0123456789\r\n1\r\n!\r\n0;last\r\nX-Trailer: 1\r\n\r\n",
    b"3\r\nabc\r\n3\r\ndef\r\n3\r\nghi\r\n2\r\njk\r\n0\r\n\r\n",
    b"A\n0123456789\r\n0\n\n",
    b"1;%s\r\nx\r\n0;%s\r\nX-Trailer: %s\r\n\r\n" % (b"a" * 62, b"b" * 200, b"c" * 51),
    b"2\r\nokXX2\r\nok\r\n0\r\n\r\n",
    b"4\r\ngood\r\nzz\r\nbad\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n",
    b"4\r\ngood\r\n0\r\n",
    b"4\r\ngood\r\n",
    b"4\r\ngood\r",
    b"4\r\ngood",
    b"4\r\ngo",
    b"4\r",
    b"",
]


def fed(wire: bytes, cuts: list[int]) -> tuple[ChunkParser, bytes]:
    payload = bytearray()
    parser = ChunkParser(payload.extend)
    places = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    for start, end in itertools.pairwise(places):
        parser.feed(memoryview(wire[start:end]))
    return parser, bytes(payload)


def joined(parser: ChunkParser, payload: bytes) -> bytes:
    out, at = b"", 0
    for lead, size in encode(parser.framing(), len(payload)):
        out += lead + payload[at : at + size]
        at += size
    return out


@pytest.mark.parametrize("wire", CHUNKED)
@given(cuts=st.lists(st.integers(0, 60) | st.integers(0, 360), max_size=8))
def test_chunked_coding_round_trips_however_it_arrives(wire: bytes, cuts: list[int]) -> None:
    assert joined(*fed(wire, cuts)) == wire


@given(
    wire=st.lists(
        st.sampled_from([b"1\r\n", b"a", b"\r\n", b"0\r\n", b"\n", b";x", b"zz", b"3\r\nabc\r\n"]),
        max_size=12,
    ).map(b"".join),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_so_does_whatever_looks_like_it(wire: bytes, cuts: list[int]) -> None:
    parser, payload = fed(wire, cuts)
    back = joined(parser, payload)
    assert back == wire[: len(back)]
    assert parser.done or back == wire


@given(sizes=st.lists(st.integers(1, 9), max_size=30))
def test_runs_of_one_size_are_kept_short(sizes: list[int]) -> None:
    wire = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes) + b"0\r\n\r\n"
    parser, payload = fed(wire, [])
    framing = parser.framing()
    assert framing is not None
    assert sum(count for _, count in framing.chunks) == len(sizes)
    assert framing.odd == {}
    assert len(payload) == sum(sizes)
    assert all(left[0] != right[0] for left, right in itertools.pairwise(framing.chunks))


@pytest.mark.parametrize(
    ("method", "head", "body", "complete"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"abc", True),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"abc", False),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"abc", False),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"", True),
        ("GET", b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", b"", True),
        ("GET", b"HTTP/1.1 304 Not\r\n\r\n", b"", True),
        ("GET", b"HTTP/1.1 103 Early\r\n\r\n", b"", True),
        ("GET", b"HTTP/1.1 200 OK\nContent-Length: 3\n\n", b"abc", True),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\n", b"abc", False),
    ],
)
@given(step=st.integers(1, 70))
def test_messages_are_framed_as_http_client_frames_them(
    method: str, head: bytes, body: bytes, complete: bool, step: int
) -> None:
    payload = bytearray()
    parser = MessageParser(method, payload.extend)
    wire = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + head + body
    for start in range(0, len(wire), step):
        parser.feed(memoryview(wire[start : start + step]))
    assert bytes(parser.head) == head
    assert bytes(payload) == body
    assert parser.complete is complete
    parser.feed_eof()
    assert parser.complete is (complete or parser.length is None)


def first_value(head: bytes, name: bytes) -> bytes | None:
    """Return a header's value as http.client has it; without a word on which it refuses."""
    try:
        message = http.client.parse_headers(io.BytesIO(head.partition(b"\n")[2]))
    except http.client.HTTPException:
        return None
    value = message.get(name.decode())
    return None if value is None else value.encode("latin-1")


field_lines = st.tuples(
    st.sampled_from([b"", b"", b" ", b"\t\r", b"\x0b\x0c", b"\x1c", b"X", b"\xa0"]),
    st.sampled_from([b"Content-Length", b"TRANSFER-ENCODING", b"content-lengt", b"X", b""]),
    st.sampled_from([b":", b":", b" :", b"\r\t:", b"", b"::"]),
    st.sampled_from([b"3", b" 3 ", b"03", b"+3", b"-3", b"1_0", b"", b"x", b"\xb2", b"3, 3"])
    | st.sampled_from([b"chunked", b" Chunked \t", b"gzip, chunked", b"identity"]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r\r\n", b" \r\n"]),
).map(b"".join)
field_lines = field_lines.filter(lambda line: line not in (b"\r\n", b"\n"))


@given(
    st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 304\n", b"HTTP/1.0 x\r\n", b"HTTP/\r\n"]),
    st.lists(field_lines, max_size=5),
    st.sampled_from([b"\r\n", b"\n"]),
    st.integers(1, 70),
)
@example(b"HTTP/1.1 200 OK\r\n", [b"Content-Length: 3\r\n", b"content-length: 4\n"], b"\n", 9)
def test_a_body_is_framed_by_the_first_header_of_its_name(
    start: bytes, lines: list[bytes], end: bytes, step: int
) -> None:
    head = start + b"".join(lines) + end
    payload = bytearray()
    parser = MessageParser("GET", payload.extend)
    wire = head + b"3\r\nabc\r\n0\r\n\r\n"
    for at in range(0, len(wire), step):
        parser.feed(memoryview(wire[at : at + step]))
    assert bytes(parser.head) == head
    chunked = (first_value(head, b"transfer-encoding") or b"").lower() == b"chunked"
    assert (parser.chunks is not None) == chunked
    try:
        length = int(first_value(head, b"content-length") or b"x")
    except ValueError:
        length = -1
    expected = None if chunked or length < 0 else length
    assert parser.length == (0 if parser.status == 304 else expected)
    whole = b"abc" if chunked else wire[len(head) :][: parser.length]
    assert bytes(payload) == whole


@given(step=st.integers(1, 70))
def test_a_status_line_read_elsewhere_is_told(step: int) -> None:
    payload = bytearray()
    parser = MessageParser("GET", payload.extend)
    wire = b"Content-Length: 3\r\n\r\nabc"
    for start in range(0, len(wire), step):
        parser.feed(memoryview(wire[start : start + step]))
    parser.feed_eof()
    assert parser.held
    assert not parser.head_done
    parser.begin(b"HTTP/1.1 403 Forbidden\r\n")
    assert (parser.status, parser.complete, parser.held) == (403, True, False)
    assert bytes(parser.head) == b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n"
    assert bytes(payload) == b"abc"


@pytest.mark.parametrize(
    "head",
    [
        b"no colon\r\nTransfer-Encoding: chunked\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked \r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: other\r\n",
        b"Content-Length: 3 \r\n",
        b"Content-Length:\r\n 3\r\n",
        b"X: 1\r\n Content-Length: 3\r\nContent-Length: 5\r\n",
    ],
)
def test_odd_heads_frame_a_body_as_http_client_has_it(head: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n5\r\nhello\r\n0\r\n\r\n"
    response = http.client.HTTPResponse(Source(raw), method="GET")  # type: ignore[arg-type]
    response.begin()
    taken = bytearray()
    parser = MessageParser("GET", taken.extend)
    parser.feed(memoryview(raw))
    parser.feed_eof()
    assert bytes(taken) == response.read()


class Source:
    """As much of a socket as http.client asks of one that it reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
