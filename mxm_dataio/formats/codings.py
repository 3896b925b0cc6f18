"""The content of a compressed body, by whatever library there is; to be shown, not to be served."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from . import deflated
from .deflated import LARGEST

_STEP = 4096


def decoded(coding: str, data: bytes) -> bytes | None:
    """Return the content of a body.

    Args:
        coding: of ``Content-Encoding``: one, or several in the order in which they were applied.

    Returns:
        ``None`` if the body is not sound, holds too much, or nothing that is installed undoes it.
    """
    names = [name.strip().lower() for name in coding.split(",")]
    content: bytes | None = data
    for name in reversed([name for name in names if name not in ("", "identity")]):
        if content is None:
            break
        if name == "br":
            content = _brotli(content)
        elif name == "zstd":
            content = _zstd(content)
        else:
            content = deflated.decompressed(name, content)
    return content


def _library(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _brotli(data: bytes) -> bytes | None:
    library = _library("brotli", "brotlicffi")
    if library is None:
        return None
    made = library.Decompressor()
    out = bytearray()
    try:
        for at in range(0, len(data), _STEP):
            out += made.process(data[at : at + _STEP])
            if len(out) > LARGEST:
                return None
        return bytes(out) if made.is_finished() else None
    except library.error:
        return None


def _zstd(data: bytes) -> bytes | None:
    library = _library("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    if library is None:
        return None
    parts, size, rest = [], 0, data
    try:
        while rest:
            made = library.ZstdDecompressor()
            parts.append(made.decompress(rest, LARGEST - size + 1))
            size += len(parts[-1])
            if not made.eof or size > LARGEST:
                return None
            rest = made.unused_data
    except library.ZstdError:
        return None
    return b"".join(parts)
