"""Headers of an imported answer agree with its body; the body is never changed."""

from __future__ import annotations

import gzip
import zlib

import pytest

from mxm_dataio.formats import messages

TEXT = "Grüße, 世界 – €\n".encode() * 50
RAW_DEFLATE = zlib.compressobj(wbits=-15)
RAW = RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()
# "Hello" under Brotli, by its reference encoder.
BROTLI = bytes.fromhex("0b028048656c6c6f03")


def agreed(headers: dict[str, str], content: bytes, method: str = "GET", status: int = 200):  # type: ignore[no-untyped-def]
    found, body, changes = messages.agreed(method, status, tuple(headers.items()), content)
    return dict(found), body, changes


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("GZip", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-20]),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW),
        ("br", BROTLI),
        ("zstd", b"\x28\xb5\x2f\xfd\x04"),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT), mtime=0)),
        ("of-mine", TEXT),
        ("identity", TEXT),
    ],
)
def test_a_body_still_in_its_coding_stays(coding: str, content: bytes) -> None:
    headers = {"Content-Encoding": coding, "Content-Length": str(len(content))}
    assert agreed(headers, content) == (headers, content, [])


@pytest.mark.parametrize("coding", ["gzip", "X-GZIP", "deflate", "br", "zstd", "deflate, gzip"])
@pytest.mark.parametrize("content", [TEXT, b"{}", b'{"a": 1}\n', "\ufeff<html>".encode()])
def test_a_decoded_body_loses_the_name_of_its_coding(coding: str, content: bytes) -> None:
    headers = {"content-encoding": coding, "Content-Length": "3000", "X": "1"}
    found, body, changes = agreed(headers, content)
    assert found == {"Content-Length": str(len(content)), "X": "1"}
    assert body == content
    assert changes == [
        f"Content-Encoding: {coding.lower()} left out: the body is kept decoded",
        f"Content-Length: 3000 made {len(content)}",
    ]


def test_a_long_text_is_not_taken_for_brotli_where_the_look_at_it_ends() -> None:
    content = "€".encode() * (messages._LOOKED_AT // 3 + 1)
    assert agreed({"Content-Encoding": "br"}, content)[0] == {}


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_keeps_its_head(method: str, status: int) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Length": "300"}
    assert agreed(headers, b"", method, status) == (headers, b"", [])
    assert agreed(headers, b"xy", method, status) == (
        headers, b"", [f"a body of 2 bytes left out: a {status} to {method} has none"]
    )  # fmt: skip


def test_an_empty_body_keeps_its_coding() -> None:
    headers = {"Content-Encoding": "gzip", "Content-Length": "0"}
    assert agreed(headers, b"") == (headers, b"", [])


def test_a_chunked_body_has_no_length_to_be_mended() -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "7"}
    assert agreed(headers, TEXT) == (headers, TEXT, [])


def test_repeated_lengths_become_one() -> None:
    headers = (("Content-Length", "7"), ("X", "1"), ("content-length", "7"))
    found, _, changes = messages.agreed("GET", 200, headers, b"12")
    assert found == (("Content-Length", "2"), ("X", "1"))
    assert changes == ["Content-Length: 7, 7 made 2"]


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n", b"one,two"),
        (b"0\r\n\r\n", b""),
        (b"A;ext=1\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        # Not chunked, or not wholly: as it is.
        (b"4\r\none,\r\n", b"4\r\none,\r\n"),
        (b"4\r\none,\r\n0\r\n\r\nmore", b"4\r\none,\r\n0\r\n\r\nmore"),
        (b"ffffffff\r\nx", b"ffffffff\r\nx"),
        (b"one,two", b"one,two"),
        (b"", b""),
    ],
)
def test_an_upload_kept_in_chunks(body: bytes, plain: bytes) -> None:
    assert messages.dechunked((("transfer-encoding", "Chunked"),), body) == plain
    assert messages.dechunked((("X", "chunked"),), body) == body


def test_a_head_is_bytes_as_on_the_wire() -> None:
    assert messages.head(200, "OK", (("X", "é"),)) == b"HTTP/1.1 200 OK\r\nX: \xe9\r\n\r\n"
    assert messages.head(299, "", ()) == b"HTTP/1.1 299\r\n\r\n"
    assert (messages.phrase(404), messages.phrase(299)) == ("Not Found", "")
