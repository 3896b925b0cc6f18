"""Undoing content codings piece by piece, whatever their frames hold, and making them again.

gzip and deflate by the standard library; Brotli (RFC 7932) and Zstandard (RFC 8878) where their
libraries are installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from mmap import mmap
from typing import Any, NamedTuple

from ..errors import ConfigError
from .zstd import content_compressed, content_decoder

# Bytes that come out at a time.
STEP = 65_536
# Bytes put in at a time where a library can't be told how much may come out: some twelve are a
# meta-block of Brotli, which may stand for 16 MiB (RFC 7932 §9.2).
_SLICE = 16
# Bytes put in at a time where what follows a frame is copied for each, and so many frames at most.
_FED, _FRAMES = 1 << 14, 1024


class Decoder:
    """Undoes a coding, a bounded piece at a time, whatever it holds.

    Attributes:
        finished: what came so far is whole.
        frames: that have ended, where there may be several.
        error: raised where it is damaged.
    """

    finished = False
    frames = 0
    error: type[Exception] = zlib.error

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes hold."""
        raise NotImplementedError


class _Gzip(Decoder):
    """gzip, of one or several members (RFC 1952 §2.2)."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                if not data.startswith(b"\x1f"):
                    # What follows is no member: padding, which gzip passes over too.
                    return
                self._inner, self.finished = zlib.decompressobj(16 + zlib.MAX_WBITS), False
            yield from _inflated(self._inner, data)
            self.finished = self._inner.eof
            self.frames += self.finished
            data = self._inner.unused_data


class _Deflate(Decoder):
    """deflate: in zlib's format (RFC 9110 §8.4.1.2), or without it as some servers send it."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._first = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._first:
            self._first = False
            try:
                zlib.decompressobj().decompress(data, 1)
            except zlib.error:
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        if not self._inner.eof:
            yield from _inflated(self._inner, data)
            self.finished = self._inner.eof


def _inflated(inner: Any, data: bytes) -> Iterator[bytes]:
    while True:
        piece = inner.decompress(data, STEP)
        yield piece
        data = inner.unconsumed_tail
        # A piece that is full may not be all of what was taken in.
        if inner.eof or not (data or len(piece) == STEP):
            return


class _Brotli(Decoder):
    def __init__(self) -> None:
        library = _brotli()
        self._inner = library.Decompressor()
        self.error = library.error
        # From 1.2 on the library stops after so much; brotlicffi calls it decompress.
        self._bounded = hasattr(self._inner, "can_accept_more_data")
        self._process = getattr(self._inner, "process", None) or self._inner.decompress

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._bounded:
            for at in range(0, len(data), _SLICE):
                yield self._process(data[at : at + _SLICE])
        else:
            piece = self._process(data, output_buffer_limit=STEP)
            while piece or not (self._inner.can_accept_more_data() or self._inner.is_finished()):
                yield piece
                piece = self._process(b"", output_buffer_limit=STEP)
        self.finished = self._inner.is_finished()


class _Zstd(Decoder):
    """Zstandard, of one or several frames (RFC 8878 §3)."""

    def __init__(self) -> None:
        self._inner, self.error = content_decoder()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                self._inner, _ = content_decoder()
            yield self._inner.decompress(data, STEP)
            while not (self._inner.eof or self._inner.needs_input):
                yield self._inner.decompress(b"", STEP)
            self.finished = self._inner.eof
            self.frames += self.finished
            data = self._inner.unused_data


def decoded(content: bytes, coding: str, most: int) -> bytes | None:
    """Return what a body holds, or the beginning of one.

    Args:
        most: bytes that it may be.

    Returns:
        ``None`` if that is too much, or the coding can't be undone.
    """
    plain = bytearray()
    try:
        decoder = DECODERS[coding]()
    except (KeyError, ConfigError):
        return None
    for at in range(0, len(content), _FED):
        try:
            for piece in decoder.feed(content[at : at + _FED]):
                plain += piece
                if len(plain) > most or decoder.frames > _FRAMES:
                    return None
        except decoder.error:
            if not decoder.frames:
                return None
            # What follows a frame and is none is passed over, as urllib3 does.
            break
    return bytes(plain)


def _brotli() -> Any:
    try:
        import brotli
    except ImportError:
        try:
            import brotlicffi as brotli
        except ImportError:
            raise ConfigError("its library is missing: pip install brotli") from None
    return brotli


# Content coding → what undoes it, made for one body; raises ConfigError without its library.
DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate, "br": _Brotli, "zstd": _Zstd,
}  # fmt: skip


def _gzipped(data: bytes) -> bytes:
    import gzip  # few bodies are coded anew

    return gzip.compress(data, mtime=0)


# Content coding → what makes it.
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzipped,
    "x-gzip": _gzipped,
    "deflate": zlib.compress,
    "br": lambda data: bytes(_brotli().compress(data)),
    "zstd": content_compressed,
}


class State(Enum):
    """How far codings could be undone."""

    WHOLE = auto()
    # It ends early or is damaged.
    CUT = auto()
    # It holds more than was asked for.
    LARGE = auto()
    # The library of one is missing.
    MISSING = auto()
    # One is not known.
    UNKNOWN = auto()


class Undone(NamedTuple):
    """The content of a body, as far as its codings could be undone."""

    content: bytes
    state: State


def codings_of(header: str) -> list[str]:
    """Return the codings of a ``Content-Encoding``, in the order in which they were applied."""
    names = (name.strip().lower() for name in header.split(","))
    return [name for name in names if name not in ("", "identity")]


def undone(header: str, data: bytes | mmap, limit: int) -> Undone:
    """Return the content of a body.

    Args:
        header: its ``Content-Encoding``: one, or several in the order in which they were applied.
        limit: bytes of content to return at most.
    """
    content = bytearray()
    pieces = Pieces(header, data)
    for piece in pieces:
        content += piece
        if len(content) > limit:
            return Undone(bytes(content[:limit]), State.LARGE)
    return Undone(bytes(content), pieces.state)


def redone(header: str, content: bytes) -> bytes:
    """Return content under codings that were undone."""
    for name in codings_of(header):
        content = _ENCODERS[name](content)
    return content


def missing(header: str) -> str:
    """Return what is missing to undo codings, in words; empty if nothing is."""
    for name in codings_of(header):
        try:
            DECODERS.get(name, Decoder)()
        except ConfigError as exc:
            return str(exc)
    return ""


class Pieces:
    """The content of a body piece by piece.

    Attributes:
        state: how far it went, once all were taken.
    """

    def __init__(self, header: str, data: bytes | mmap) -> None:
        self.state = State.WHOLE
        self._data = data
        self._decoders: list[Decoder] = []
        for name in reversed(codings_of(header)):
            if name not in DECODERS:
                self.state = State.UNKNOWN
                return
            try:
                self._decoders.append(DECODERS[name]())
            except ConfigError:
                self.state = State.MISSING
                return

    def __iter__(self) -> Iterator[bytes]:
        if self.state is not State.WHOLE:
            return
        data = self._data
        pieces: Iterable[bytes] = (data[at : at + STEP] for at in range(0, len(data), STEP))
        for decoder in self._decoders:
            pieces = _fed(decoder, pieces)
        try:
            yield from pieces
        except tuple({decoder.error for decoder in self._decoders}):
            self.state = State.CUT
        if not all(decoder.finished for decoder in self._decoders):
            self.state = State.CUT


def _fed(decoder: Decoder, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.feed(piece)


# Content above this is not taken apart.
LARGEST = 4 << 20


def content_of(coding: str, data: bytes) -> bytes | None:
    """Return the content of a body.

    Args:
        coding: of ``Content-Encoding``: one, or several in the order in which they were applied.

    Returns:
        ``None`` if the body is not sound, holds too much, or nothing that is installed undoes it.
    """
    found = undone(coding, data, LARGEST)
    return found.content if found.state is State.WHOLE else None
