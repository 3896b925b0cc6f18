"""In which charset a text came: stated, or told by its first bytes."""

from __future__ import annotations

import codecs
import re

from ..patterns import regex
from ..utils import media_type

# What is looked at to tell a charset.
START = 4096
_STATED = regex(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
_META = regex(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def charset_of(start: bytes, content_type: str) -> str:
    """Return the name under which Python knows a text's charset.

    A byte order mark comes before what is stated (WHATWG Encoding §6), the header before what HTML
    says of itself, and where nothing is stated it is UTF-8, or Latin-1, which any bytes are.

    Args:
        start: the text's first :data:`START` bytes.
        content_type: the header.
    """
    for bom, name in BOMS:
        if start.startswith(bom):
            return name
    match = _STATED.search(content_type)
    meta = _META.search(start) if "html" in media_type(content_type) else None
    for stated in (match and match[1], meta and meta[1].decode("ascii")):
        if stated and (known := _codec(stated)):
            return known
    return "utf-8" if decodes(start) else "latin-1"


def _codec(name: str) -> str | None:
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # Some of Python's codecs are no charsets: rot13, hex.
    return info.name if getattr(info, "_is_text_encoding", True) else None


def decodes(start: bytes) -> bool:
    """Say whether bytes are UTF-8, the last character of which may be cut where there are more."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, len(start) < START)
    except UnicodeDecodeError:
        return False
    return True
