"""What is known of a request as it is put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession
from mxm_dataio.adapters.http_client.request import STREAM, OutgoingRequest
from mxm_dataio.api import capture_of


@pytest.fixture
def ingest(tmp_path: Path) -> Any:
    with IngestSession("test", tmp_path) as opened:
        yield opened


def asked(ingest: IngestSession, head: str, given: Any = None, **options: Any) -> OutgoingRequest:
    made = OutgoingRequest(capture_of(ingest), "POST", "http://a.test/", options.pop("own", ()))
    made.given = given
    made.coded = options.pop("coded", False)
    made.take_head(f"POST / HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
    return made


@pytest.mark.parametrize(
    ("head", "given", "coded", "body"),
    [
        ("", None, False, None),
        ("Content-Length: 0\r\n", None, False, None),
        ("Content-Length: 3\r\n", None, False, STREAM),
        ("Content-Length: 3\r\n", b"abc", False, b"abc"),
        ("Content-Length: 3\r\n", bytearray(b"abc"), False, b"abc"),
        ("Content-Length: 6\r\n", b"abc", False, STREAM),
        ("", b"abc", False, b"abc"),
        ("Transfer-Encoding: Chunked\r\n", None, False, STREAM),
        ("Transfer-Encoding: chunked\r\n", b"abc", True, b"abc"),
        # The program's own chunks.
        ("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", False, STREAM),
        ("Content-Length: 3\r\n", iter([b"abc"]), False, STREAM),
        ("Content-Length: 3\r\n", memoryview(b"abc"), False, STREAM),
        (f"Content-Length: {'9' * 5000}\r\n", b"abc", False, b"abc"),
        ("Content-Length: many\r\n", None, False, None),
    ],
)
def test_the_body_that_is_at_hand(
    head: str, given: Any, coded: bool, body: Any, ingest: IngestSession
) -> None:
    assert asked(ingest, head, given, coded=coded).body == body


def test_what_http_client_adds_is_not_asked(ingest: IngestSession) -> None:
    head = "Host: a\r\nAccept-Encoding: identity\r\nHost: b\r\nX-A: 1\r\n"
    both = asked(ingest, head, own=("host", "accept-encoding"))
    assert both.headers == (("Host", "b"), ("X-A", "1"))
    one = asked(ingest, head.partition("\r\n")[2], own=("accept-encoding",))
    assert one.headers == (("Host", "b"), ("X-A", "1"))
    assert len(asked(ingest, head).headers) == 4


def fed(ingest: IngestSession, *pieces: bytes) -> tuple[list[bool], bytes]:
    """Return when all was known, and what was taken of the body."""
    made = OutgoingRequest(capture_of(ingest), "POST", "http://a.test/")
    known = []
    for piece in pieces:
        made.feed(memoryview(piece))
        known.append(made.known)
    spool = made.upload()
    try:
        return known, spool.content()
    finally:
        spool.discard()


LENGTH = b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "known", "body"),
    [
        ((LENGTH, b"abc", b"", b"def"), [False, False, False, True], b"abcdef"),
        ((LENGTH + b"abc", b"def"), [False, True], b"abcdef"),
        ((CHUNKED, b"3\r\nab", b"c\r\n0\r\n", b"\r\n"), [False, False, False, True], b"abc"),
        ((b"GET / HTTP/1.1\r\n\r\n",), [True], b""),
    ],
)
def test_all_is_known_when_the_framing_says_so(
    pieces: tuple[bytes, ...], known: list[bool], body: bytes, ingest: IngestSession
) -> None:
    assert fed(ingest, *pieces) == (known, body)


def test_a_stream_without_framing_is_never_known_to_end(ingest: IngestSession) -> None:
    made = OutgoingRequest(capture_of(ingest), "POST", "http://a.test/")
    made.given = iter([b"abc"])
    made.feed(memoryview(b"POST / HTTP/1.1\r\n\r\n"))
    made.feed(memoryview(b"abc"))
    assert not made.known
    made.discard()
