"""Payloads compressed with Zstandard (RFC 8878), an extra; the one module that knows its library.

One payload is one frame in a file of its own, which ``zstd -d`` reads as well. The frame carries
no check sum: what comes out of it is checked against the payload's name. A reader takes no more
out of a frame than was recorded, and keeps a window of two MiB at most, so that a damaged or
hostile file fills neither memory nor disk.
"""

from __future__ import annotations

import errno
import io
from typing import Any, BinaryIO

from ...http.zstd import _zstd

# Smaller ones take up a block of the disk either way.
SMALLEST = 256
_LEVEL = 3
_WINDOW = 21
_STEP = 1 << 18
# What a byte of a frame can stand for at most: a block of 128 KiB is of four bytes (RFC 8878
# §3.1.1.2).
MOST = 1 << 15
# After so much of a large payload it has to have become smaller, or is left as it is.
_SURE = 4 << 20


def require() -> None:
    """Load the library.

    Raises:
        ConfigError: it is not installed.
    """
    _zstd()


def _compressor() -> Any:
    zstd = _zstd()
    names = zstd.CompressionParameter
    return zstd.ZstdCompressor(
        options={names.compression_level: _LEVEL, names.window_log: _WINDOW, names.checksum_flag: 0}
    )


def _decompressor() -> Any:
    zstd = _zstd()
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})


def _pays(size: int, compressed: int) -> bool:
    """Say whether it is worth keeping: what is compressed already yields a per cent at best."""
    return compressed < size - size // 16


def compress(content: bytes) -> bytes | None:
    """Return bytes compressed, ``None`` if that makes them little smaller.

    Raises:
        OSError: the library failed.
    """
    if len(content) < SMALLEST:
        return None
    zstd, made = _zstd(), _compressor()
    try:
        frame: bytes = made.compress(content, made.FLUSH_FRAME)
    except zstd.ZstdError as exc:
        raise OSError(errno.EIO, str(exc)) from exc
    return frame if _pays(len(content), len(frame)) else None


def compress_file(source: BinaryIO, target: BinaryIO) -> bool:
    """Compress one file into another, block by block.

    Args:
        source: read from its start.
        target: empty and unbuffered.

    Returns:
        Whether that makes it enough smaller; if not, the target is to be thrown away.

    Raises:
        OSError: the disk or the library failed.
    """
    zstd, made = _zstd(), _compressor()
    size = compressed = 0
    source.seek(0)
    try:
        while data := source.read(_STEP):
            size += len(data)
            compressed += _write(target, made.compress(data))
            if size >= _SURE and not _pays(size, compressed):
                return False
        compressed += _write(target, made.flush())
    except zstd.ZstdError as exc:
        raise OSError(errno.EIO, str(exc)) from exc
    return size >= SMALLEST and _pays(size, compressed)


def _write(target: BinaryIO, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[target.write(view) :]
    return len(data)


def decompress(frame: bytes, size: int) -> bytes:
    """Return what a frame holds, up to one byte more than a size; nothing if it is damaged.

    Raises:
        ConfigError: the library is not installed.
    """
    zstd, made = _zstd(), _decompressor()
    try:
        content: bytes = made.decompress(frame, size + 1)
    except zstd.ZstdError:
        return b""
    return content if made.eof and not made.unused_data else b""


class Decompressed(io.RawIOBase):
    """Reads a file that holds one frame, as the bytes that were compressed.

    Args:
        file: unbuffered; closed with this one.
        size: of what the frame holds; no more is taken out of it.

    Raises:
        ConfigError: the library is not installed.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._error = _zstd().ZstdError
        self._size = size
        self._frame = _decompressor()
        # None: an error or an interrupt came amid reading, and nobody knows.
        self._at: int | None = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it has a place; to go back, it reads from the start again."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place counted from the start.

        Raises:
            OSError: the frame is damaged before it, or the disk failed.
        """
        if whence != io.SEEK_SET:
            raise OSError(errno.EINVAL, "counted from the start alone")
        if self._at is None or self._at > offset:
            self._file.seek(0)
            self._frame, self._at = _decompressor(), 0
        while self._at < offset and self._next(min(offset - self._at, _STEP)):
            pass
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read some of the next bytes into a buffer.

        Raises:
            OSError: the frame is damaged there, or the disk failed.
        """
        into = memoryview(buffer).cast("B")
        data = self._next(len(into))
        into[: len(data)] = data
        return len(data)

    def _next(self, count: int) -> bytes:
        if self._at is None:
            raise _broken()
        at, self._at = self._at, None
        try:
            data = self._take(min(count, self._size - at))
            # Before the last of it is handed out: that there is no more.
            if at + len(data) == self._size and not self._is_over():
                raise _broken()
        except self._error as exc:
            raise _broken() from exc
        self._at = at + len(data)
        return data

    def _take(self, count: int) -> bytes:
        """Return some of the next bytes, none at the end or where the file was cut."""
        while count and not self._frame.eof:
            came = self._file.read(_STEP) if self._frame.needs_input else b""
            if self._frame.needs_input and not came:
                break
            data: bytes = self._frame.decompress(came, count)
            if data:
                return data
        return b""

    def _is_over(self) -> bool:
        more = self._take(1) or not self._frame.eof or self._frame.unused_data
        return not more and not self._file.read(1)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
            super().close()


def _broken() -> OSError:
    return OSError(errno.EIO, "no whole frame of the size recorded")
