"""Zstandard (RFC 8878), of whichever library is installed."""

from __future__ import annotations

import functools
import sys
from typing import Any

from ..errors import ConfigError

_HTTP_WINDOW = 23


@functools.cache
def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            import compression.zstd as zstd
        else:
            import backports.zstd as zstd
    except ImportError:
        raise ConfigError(
            "what is compressed with zstd needs its library, which is missing: "
            "pip install 'mxm-dataio[zstd]'"
        ) from None
    return zstd


def content_decoder() -> tuple[Any, type[Exception]]:
    """Return what decompresses a frame that a server sent, and the error that it raises.

    Its window is what RFC 9659 has every client take.

    Raises:
        ConfigError: the library is not installed.
    """
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: _HTTP_WINDOW}
    return zstd.ZstdDecompressor(options=options), zstd.ZstdError


def content_compressed(content: bytes) -> bytes:
    """Return a frame for a peer.

    Raises:
        ConfigError: the library is not installed.
    """
    return bytes(_zstd().compress(content))
