"""Values that are looked for in texts, in whatever form they stand there.

A value is found as it is, within Base64, and behind escapes: percent-encoding, JSON's (and the
like of JavaScript and Python), HTML's. Whoever writes a value may leave some of its characters bare
and escape others, so the escapes of a text are undone (twice: URLs stand in parameters, JSON in
JSON) and the value is looked for in what comes out, rather than all that may be written for it in
the text. What a server chooses, text and value, is so looked through in time linear in both.

**Many values** are not looked for one by one. Each needle has an anchor, which all writings of it
have bare. Of an anchor's last seven bytes four stand together at a multiple of four in any text
that has it: so every fourth place of a text is looked up in one table for all of them.
"""

from __future__ import annotations

import contextlib
import sys
from binascii import b2a_base64

from ..patterns import regex
from ..utils import utf8
from .values import SHORTEST

# Bytes looked up at a time, and of an anchor as many as have that many at a multiple of it.
GRAM = 4
_INDEXED = 2 * GRAM - 1
_LONG_RUN = regex(rb"[A-Za-z0-9]{7,}")
_UNRESERVED = regex(rb"[A-Za-z0-9._-]+")
_NOT_SAFE = regex(rb"[+/]")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Needle:
    """What is looked for.

    Attributes:
        value: the secret.
        forms: it in bytes, one or the other.
        anchor: what is in all of them, whatever of them is escaped.
        coded: it is a part of Base64; the run of letters around it goes too, since what is
            beside the value decides about its first and last ones.
        odd: its writings may differ from its forms.
        mask: what stands for it, if that is not the placeholder.
        grams: one of them stands at a multiple of four in a text that has the anchor; none, if
            that is too short.
    """

    __slots__ = ("anchor", "coded", "forms", "grams", "mask", "odd", "value")

    def __init__(
        self, value: str, forms: tuple[bytes, ...], *, coded: bool = False, mask: str = ""
    ) -> None:
        self.value = value
        self.mask = mask
        self.forms = forms
        self.coded = coded
        self.anchor = anchor = _anchor(forms[0])
        # Padding may be escaped though no letter of Base64 is.
        self.odd = coded or len(forms) > 1 or forms[0] != anchor
        self.grams: tuple[int, ...] = ()
        if len(anchor) >= _INDEXED:
            # Of its end, since keys and tokens of one kind begin alike.
            end = int.from_bytes(anchor[-_INDEXED:], sys.byteorder)
            self.grams = (
                end & 0xFFFFFFFF,
                end >> 8 & 0xFFFFFFFF,
                end >> 16 & 0xFFFFFFFF,
                end >> 24,
            )


def needles_of(value: str, mask: str = "") -> tuple[Needle, ...]:
    """Return what a value is looked for by: as it is, and in Base64.

    Args:
        mask: what stands for it, if that is not the placeholder.
    """
    forms = _encodings(value)
    if " " in value:
        # As forms have it.
        forms += [form.replace(b" ", b"+") for form in forms]
    return (Needle(value, tuple(forms), mask=mask), *coded(value))


def _anchor(form: bytes) -> bytes:
    """Return a part of a value that no writer escapes, or one that hardly any does."""
    # The last, as it is of the ends that what is looked up is.
    run = _LONG_RUN.search(form[::-1])
    if run is not None:
        return run[0][::-1]
    return max(_UNRESERVED.findall(form), key=len, default=b"")


def coded(value: str) -> tuple[Needle, ...]:
    """Return what is the same of a value in Base64, whatever stands before and behind it."""
    found = []
    for data in _encodings(value):
        for before in range(3):
            text = b2a_base64(bytes(before) + data, newline=False)
            form = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
            if len(form) >= SHORTEST:
                both = (form, form.translate(_URL_SAFE)) if _NOT_SAFE.search(form) else (form,)
                found.append(Needle(value, both, coded=True))
    return tuple(found)


def _encodings(value: str) -> list[bytes]:
    """Return a text as UTF-8, and as Latin-1, which credentials come in too."""
    found = [utf8(value)]
    if not value.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            found.append(value.encode("latin-1"))
    return found


# -- escapes ---------------------------------------------------------------------------------


# -- finding ---------------------------------------------------------------------------------


# -- many ------------------------------------------------------------------------------------
