"""The content of a compressed body, as far as what undoes its coding is installed."""

from __future__ import annotations

from ..codings import DECODERS
from ..errors import ConfigError

# Content above this is not taken apart.
LARGEST = 4 << 20


def content_of(coding: str, data: bytes) -> bytes | None:
    """Return the content of a body.

    Args:
        coding: of ``Content-Encoding``: one, or several in the order in which they were applied.

    Returns:
        ``None`` if the body is not sound, holds too much, or nothing that is installed undoes it.
    """
    names = [name.strip().lower() for name in coding.split(",")]
    content: bytes | None = data
    for name in reversed([name for name in names if name not in ("", "identity")]):
        content = _undone(name, content) if content is not None else None
    return content


def _undone(name: str, data: bytes) -> bytes | None:
    if name not in DECODERS:
        return None
    try:
        decoder = DECODERS[name]()
    except ConfigError:
        return None
    out = bytearray()
    try:
        for piece in decoder.feed(data):
            out += piece
            if len(out) > LARGEST:
                return None
    except decoder.error:
        return None
    return bytes(out) if decoder.finished else None
