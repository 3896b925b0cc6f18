"""Signed JSON Web Tokens (RFC 7519): told from other texts, and voided.

A program may read what a token says, ``exp`` most of all, so one that replay hands out has to be
one. A *void* token has header and claims as they were and the placeholder, which is Base64url too,
for its signature: no server takes it. What is secret of a token is its signature alone.

A request in which a void token is sent is to be the same call whatever the token claims: there it
is :func:`collapsed` to the placeholder.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from typing import NamedTuple

from ..patterns import regex

PLACEHOLDER = "REDACTED"
# In a request, for what was found to be secret after it was sent.
LATE = f"{PLACEHOLDER}_LATE"
# What each void token has.
MARK = f".{PLACEHOLDER}"
# Header and claims are JSON objects, whose "{" makes an "e" (RFC 7515 §3.1); quotes or a scheme
# may stand around it. Encrypted ones have five parts, and say nothing to who has no key.
_PART = r"e[A-Za-z0-9_-]+"
_TOKEN = regex(
    r'(?P<before>"?(?:[A-Za-z]{1,15}(?: |%20|\+))?)'
    rf"(?P<kept>(?P<header>{_PART})\.(?P<claims>{_PART})\.)"
    r'(?P<signature>[A-Za-z0-9_-]+)(?P<after>"?)'
)
_MASK, _MARK = PLACEHOLDER.encode("ascii"), MARK.encode("ascii")
_VOID = regex(
    rf"(?<![A-Za-z0-9_-]){_PART}\.{_PART}\.{PLACEHOLDER}(?![A-Za-z0-9_-])".encode("ascii")
)


class Token(NamedTuple):
    """A token's parts.

    Attributes:
        void: the text in which it stands, the signature replaced.
        signature: as it was.
    """

    void: str
    signature: str


def parsed(text: str) -> Token | None:
    """Return the token that a text is; ``None`` if it is none."""
    if "." not in text:
        return None
    match = _TOKEN.fullmatch(text)
    if match is None or not (_is_object(match["header"]) and _is_object(match["claims"])):
        return None
    before, kept, after = match.group("before", "kept", "after")
    return Token(f"{before}{kept}{PLACEHOLDER}{after}", match["signature"])


def stand_in(text: str) -> str:
    """Return what takes the place of a secret: the token that it is, void, or the placeholder."""
    token = parsed(text)
    return PLACEHOLDER if token is None else token.void


def collapsed(data: bytes) -> bytes:
    """Return bytes with the placeholder for each void token."""
    return _VOID.sub(_MASK, data) if _MARK in data else data


def _is_object(part: str) -> bool:
    try:
        return isinstance(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))), dict)
    except (binascii.Error, ValueError, RecursionError):
        return False
