"""The beginning of a body, for people to read: as text where it is one, else as hex."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ...http.codings import State, codings_of, undone
from ...models import Headers

# Charsets that are only that: Python's codecs hold others, such as zip and punycode.
_CHARSET = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|(us-)?ascii|latin-?1|iso-8859-\d+|(windows-|cp)\d+|"
    r"shift[-_]jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5|koi8-[ru]"
)
_CHARSET_PARAMETER = re.compile(r";\s*charset\s*=\s*\"?([\w.-]+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# Header and trailer of a coded beginning that yields as many bytes as it has.
_OVERHEAD = 1024
_HEX_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a body.

    Attributes:
        form: ``text`` or ``hex``.
        content: the text, or two hex digits a byte.
        whole: all of the body is shown.
        note: what was done to it, or could not be; may be empty.
    """

    form: str
    content: str
    whole: bool
    note: str = ""


def needed(limit: int) -> int:
    """Return how many bytes of a payload a preview of so many asks for."""
    return limit + _OVERHEAD


def preview(beginning: bytes, size: int, headers: Headers, limit: int) -> Preview:
    """Return what is to be shown of a body.

    Args:
        beginning: its first bytes, as many as :func:`needed` says, or all.
        size: bytes of the whole body.
        headers: of its message: content coding and charset.
        limit: bytes to show at most.
    """
    named = {name.lower(): value for name, value in headers}
    coding = ", ".join(codings_of(named.get("content-encoding", "")))
    note = ""
    content, whole = beginning[:limit], size <= limit
    if coding:
        found = undone(coding, beginning, limit)
        # What came before damage is shown.
        if found.state is not State.LARGE and not (found.content or found.state is State.WHOLE):
            return _hex(content, whole, f"{coding[:60]}: not decoded")
        content = found.content
        whole = found.state is State.WHOLE and len(beginning) >= size
        note = f"{coding} undone"
    text = _text(content, named.get("content-type", ""), whole)
    return _hex(content, whole, note) if text is None else Preview("text", text, whole, note)


def _text(content: bytes, content_type: str, whole: bool) -> str | None:
    """Return content as text, or ``None`` if it is none."""
    given = _CHARSET_PARAMETER.search(content_type)
    charset = given[1].lower() if given else "utf-8"
    if not _CHARSET.fullmatch(charset):
        charset = "utf-8"
    try:
        # What the limit cut within a character is left out.
        text = codecs.getincrementaldecoder(charset)().decode(content, whole)
    except (LookupError, UnicodeError):
        return None
    return None if _CONTROL.search(text) else text


def _hex(content: bytes, whole: bool, note: str) -> Preview:
    shown = content[:_HEX_LIMIT]
    return Preview("hex", shown.hex(), whole and len(shown) == len(content), note)
