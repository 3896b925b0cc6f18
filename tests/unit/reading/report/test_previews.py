"""What is shown of a body."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.http.zstd import _zstd
from mxm_dataio.reading.report.previews import Preview, needed, preview

JSON = (("Content-Type", "application/json"),)


def shown(body: bytes, headers: tuple[tuple[str, str], ...] = (), limit: int = 100) -> Preview:
    return preview(body[: needed(limit)], len(body), headers, limit)


def test_text_as_text() -> None:
    assert shown(b'{"a": 1}', JSON) == Preview("text", '{"a": 1}', True)
    assert shown("grün".encode()) == Preview("text", "grün", True)
    assert shown(b"") == Preview("text", "", True)


def test_no_more_than_the_limit() -> None:
    assert shown(b"x" * 101) == Preview("text", "x" * 100, False)
    assert shown(b"x" * 100) == Preview("text", "x" * 100, True)


def test_a_character_that_the_limit_cuts_is_left_out() -> None:
    assert shown("é".encode() * 60, limit=101) == Preview("text", "é" * 50, False)


def test_by_the_charset_that_is_named() -> None:
    headers = (("content-type", 'text/csv; charset="ISO-8859-1"'),)
    assert shown("grün".encode("latin-1"), headers) == Preview("text", "grün", True)
    assert shown("grün".encode("utf-16"), (("Content-Type", "text/csv;charset=utf-16"),)) == (
        Preview("text", "grün", True)
    )


@pytest.mark.parametrize("charset", ["zip", "punycode", "unicode_escape", "no-such", "utf-99"])
def test_what_is_no_charset_counts_as_none(charset: str) -> None:
    assert shown(b"\\u0041", (("Content-Type", f"text/plain; charset={charset}"),)) == (
        Preview("text", "\\u0041", True)
    )


@pytest.mark.parametrize("body", [b"\x89PNG\r\n", b"a\0b", b"\x1b[2J", b"\xff\xfe"])
def test_bytes_as_hex(body: bytes) -> None:
    assert shown(body) == Preview("hex", body.hex(), True)


def test_of_bytes_a_few_are_enough() -> None:
    body = bytes(range(256)) * 4
    assert shown(body, limit=4096) == Preview("hex", bytes(range(256)).hex(), False)


@pytest.mark.parametrize(
    ("coding", "code"),
    [
        ("gzip", gzip.compress),
        ("X-Gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("gzip, deflate", lambda body: zlib.compress(gzip.compress(body))),
        ("br", brotli.compress),
        ("zstd", lambda body: _zstd().compress(body)),
    ],
)
def test_content_codings_are_undone(coding: str, code: object) -> None:
    assert callable(code)
    headers = (*JSON, ("Content-Encoding", coding))
    note = f"{coding.lower()} undone"
    assert shown(code(b'{"a": 1}'), headers) == Preview("text", '{"a": 1}', True, note)
    assert shown(code(b"x" * 1_000_000), headers) == Preview("text", "x" * 100, False, note)


def test_a_coded_body_that_ends_half_way_is_shown_so_far() -> None:
    body = gzip.compress(bytes(range(32, 127)) * 50)[:70]
    found = shown(body, (("Content-Encoding", "gzip"),), limit=4096)
    assert (found.form, found.whole, found.content[:3]) == ("text", False, ' !"')


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "x" * 500, "gzip", "gzip, x"])
def test_what_is_not_undone_is_said(coding: str) -> None:
    found = shown(b"\xff\xff\xff no coding", (("Content-Encoding", coding),))
    assert (found.form, found.note) == ("hex", f"{coding[:60]}: not decoded")


@given(
    st.binary(max_size=400),
    st.sampled_from(["", "gzip", "deflate", "br", "zstd"]),
    st.integers(1, 500),
)
def test_anything_can_be_shown(body: bytes, coding: str, limit: int) -> None:
    found = shown(body, (("Content-Encoding", coding),), limit)
    assert len(found.content) <= 2 * limit
