"""Content codings: whatever was encoded comes back, in bounded pieces, and damage is told."""

from __future__ import annotations

import gzip
import random
import sys
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import ConfigError
from mxm_dataio.http import codings
from mxm_dataio.http.codings import DECODERS, STEP, Decoder
from mxm_dataio.http.zstd import _zstd


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "padded": ("gzip", lambda data: gzip.compress(data) + bytes(7)),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", lambda data: _zstd().compress(data)),
    "frames": ("zstd", lambda data: _zstd().compress(data[:9]) + _zstd().compress(data[9:])),
}


def repeated(times: int, data: bytes) -> bytes:
    return data * times


def fed(decoder: Decoder, data: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, len(data), step):
        yield from decoder.feed(data[at : at + step])


@pytest.mark.parametrize("name", ENCODERS)
@given(
    data=st.binary(max_size=300) | st.builds(repeated, st.integers(0, 9000), st.binary(max_size=9)),
    step=st.integers(2, 400),
)
def test_what_was_encoded_comes_back(name: str, data: bytes, step: int) -> None:
    coding, encode = ENCODERS[name]
    decoder = DECODERS[coding]()
    assert b"".join(fed(decoder, encode(data), step)) == data
    assert decoder.finished


@pytest.mark.parametrize("name", ENCODERS)
def test_what_grows_a_thousandfold_comes_in_pieces(name: str) -> None:
    coding, encode = ENCODERS[name]
    data = bytes(8 << 20)
    decoder = DECODERS[coding]()
    sizes = [len(piece) for piece in fed(decoder, encode(data), STEP)]
    assert sum(sizes) == len(data)
    # Brotli's library goes a little beyond what it is asked for.
    assert max(sizes) <= 2 * STEP
    assert decoder.finished


@pytest.mark.parametrize("name", ENCODERS)
def test_what_was_cut_comes_as_far_as_it_goes(name: str) -> None:
    coding, encode = ENCODERS[name]
    data = random.Random(1).randbytes(50_000)
    encoded = encode(data)
    decoder = DECODERS[coding]()
    found = b"".join(fed(decoder, encoded[: len(encoded) // 2], STEP))
    assert data.startswith(found)
    assert len(found) > 1000 or name in ("br", "zstd", "frames")
    assert not decoder.finished


@pytest.mark.parametrize("coding", DECODERS)
def test_damage_is_told(coding: str) -> None:
    decoder = DECODERS[coding]()
    with pytest.raises(decoder.error):
        list(decoder.feed(b"\xff not encoded at all " * 9))


def test_without_its_library_a_coding_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match="pip install brotli"):
        DECODERS["br"]()


def test_a_brotli_library_without_bounds_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        error = brotli.error

        class Decompressor:
            def __init__(self) -> None:
                self._inner = brotli.Decompressor()

            def decompress(self, data: bytes) -> bytes:
                return bytes(self._inner.process(data))

            def is_finished(self) -> bool:
                return bool(self._inner.is_finished())

    monkeypatch.setattr(codings, "_brotli", lambda: Older)
    decoder = DECODERS["br"]()
    assert b"".join(decoder.feed(brotli.compress(b"older"))) == b"older"
    assert decoder.finished
    # Some dozens of bytes stand for all of it; what it takes at a time is a part.
    block = 16 << 20
    decoder = DECODERS["br"]()
    sizes = [len(piece) for piece in decoder.feed(brotli.compress(bytes(4 * block), quality=5))]
    assert sum(sizes) == 4 * block
    assert max(sizes) <= 2 * block
    assert decoder.finished
