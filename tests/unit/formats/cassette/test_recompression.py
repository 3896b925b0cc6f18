"""Compressed bytes: what made them is found, or it is said that zlib did not."""

from __future__ import annotations

import gzip
import io
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.formats.cassette.recompression import Deflation, recognise
from mxm_dataio.http import codings
from mxm_dataio.http.codings import content_of

TEXT = json.dumps([{"n": i, "word": f"w{i * 7919 % 1000}"} for i in range(400)]).encode()


def _gzip_file(content: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("bars.json", "wb", 9, out, mtime=1_700_000_000) as file:
        file.write(content)
    return out.getvalue()


def _zlib(content: bytes, level: int, window: int, memory: int) -> bytes:
    made = zlib.compressobj(level, zlib.DEFLATED, window, memory)
    return made.compress(content) + made.flush()


# As Python's gzip, zlib itself, nginx (less window for a known length) and Apache (more memory) do.
MADE = {
    "gzip.compress": ("gzip", gzip.compress(TEXT)),
    "with a name": ("gzip", _gzip_file(TEXT)),
    "level 1": ("gzip", gzip.compress(TEXT, 1, mtime=0)),
    "nginx": ("gzip", _zlib(TEXT[:1500], 1, 16 + 12, 5)),
    "apache": ("gzip", _zlib(TEXT * 40, 6, 31, 9)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT, 6)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "bare deflate": ("deflate", _zlib(TEXT, 6, -15, 8)),
    "empty": ("gzip", gzip.compress(b"")),
}


@pytest.mark.parametrize("name", MADE)
def test_what_zlib_made_is_made_again(name: str) -> None:
    coding, data = MADE[name]
    content = content_of(coding, data)
    assert content is not None
    found = recognise(coding, data, content)
    assert found is not None
    kept = Deflation(*json.loads(json.dumps(found.node())))
    assert kept.compress(content) == data


def test_what_is_flushed_in_between_is_not() -> None:
    made = zlib.compressobj(6, zlib.DEFLATED, 31)
    data = made.compress(TEXT[:3000]) + made.flush(zlib.Z_SYNC_FLUSH)
    data += made.compress(TEXT[3000:]) + made.flush()
    assert content_of("gzip", data) == TEXT
    assert recognise("gzip", data, TEXT) is None


def test_several_members_are_content_and_not_made_again() -> None:
    data = gzip.compress(b"one") + gzip.compress(b"two")
    assert content_of("gzip", data) == b"onetwo"
    assert recognise("gzip", data, b"onetwo") is None


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)[:-20]),
        ("gzip", b"no gzip"),
        ("deflate", b"\xff\xff"),
        ("br", b"anything"),
        ("zstd", b"anything"),
        ("compress", b"anything"),
        ("gzip, br", gzip.compress(TEXT, mtime=0)),
    ],
    ids=range(7),
)
def test_what_is_not_sound_has_no_content(coding: str, data: bytes) -> None:
    assert content_of(coding, data) is None


def test_a_bomb_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "LARGEST", 1 << 20)
    assert content_of("gzip", gzip.compress(bytes(1 << 20))) == bytes(1 << 20)
    assert content_of("gzip", gzip.compress(bytes(1 << 24))) is None


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_stands_behind_is_not_made_again(coding: str) -> None:
    data = (gzip if coding == "gzip" else zlib).compress(TEXT) + b"behind"
    assert content_of(coding, data) == TEXT
    assert recognise(coding, data, TEXT) is None


@given(st.binary(max_size=40), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_taken(data: bytes, coding: str) -> None:
    for given_data in (data, gzip.compress(b"x")[:10] + data):
        content = content_of(coding, given_data)
        if content is not None:
            found = recognise(coding, given_data, content)
            assert found is None or found.compress(content) == given_data
