"""The body of an answer without secrets, its content coding undone, and made again.

What is secret under names is told by :mod:`.answers`, what rules hide by :mod:`.ruled_answers`, and
what is known from elsewhere by :class:`mxm_dataio.redaction.secrets.Secrets`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..http.codings import codings_of, decoded, redone
from ..http.content import LARGEST, content_headers
from ..http.heads import parse_head
from ..http.named_values import replace_in
from ..http.tokens import PLACEHOLDER
from ..patterns import regex
from ..utils import is_json, media_type
from . import answers
from .answer_names import Asked
from .found import Sink
from .rules import Redaction

if TYPE_CHECKING:
    from .secrets import Secrets

# Takes the place of a body that can't be looked into.
UNREAD = PLACEHOLDER.encode("ascii")
# Bodies up to this are freed of their coding for their names' sake alone.
_CODED_ORDINARY = 16 << 10
_FAST = frozenset({"gzip", "x-gzip", "deflate"})
_TEXTS = ("json", "xml", "javascript", "ecmascript", "x-www-form-urlencoded", "graphql", "csv")
_BINARY = regex(r"(?:image|audio|video|font)/|application/(?:pdf|zip|x-tar|wasm)")
_CODED = regex(rb"^content-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)


def may_name(rules: Redaction, size: int, asked: Asked) -> bool:
    """Say whether an answer's body is looked into for names of secrets."""
    if not rules.tokens or size > answers.LARGEST:
        return False
    if size <= answers.ORDINARY or asked.by_place:
        return True
    return asked.login and size <= 4 * answers.ORDINARY


def withheld(rules: Redaction, beginning: bytes, head: bytes) -> bool:
    """Say whether a body is not to be kept, too large for rules that may take something of it.

    Args:
        beginning: of the body.
    """
    if not rules.asks_bodies:
        return False
    given, coding = content_headers(parse_head(head)[2])
    return not is_binary(media_type(given), b"" if codings_of(coding) else beginning)


def cleaned(
    secrets: Secrets,
    content: bytes,
    head: bytes,
    asked: Asked,
    learn: Sink,
    *,
    cut: bool = False,
    again: bool = False,
) -> bytes:
    """Return an answer's body without secrets, under its content coding.

    The same object, where there is none in it; :data:`UNREAD`, where rules are asked of what can't
    be looked into.

    Args:
        secrets: what is known, and the rules.
        learn: takes what rules hide.
        cut: it is the beginning of one, which may end within a secret.
        again: names and rules were asked; more may be known since.
    """
    rules = secrets.rules
    ruled = not again and rules.asks_bodies
    named = not again and may_name(rules, len(content), asked)
    if (b"ncoding" in head or b"NCODING" in head) and _CODED.search(head) is not None:
        # Large ones are undone only where there is something to look for.
        named = named and (len(content) <= _CODED_ORDINARY or asked.login)
        if not (named or ruled or secrets.version):
            return content
    else:
        named = named and rules.looks_for(content, asked)
        if not (cut or named or ruled or secrets.holds(content)):
            return content
    given, coding = content_headers(parse_head(head)[2])
    media = media_type(given)
    coding = ",".join(codings_of(coding))
    if not (named or ruled or is_text(media, content)):
        return content
    plain: bytes | None = content
    if coding:
        # What takes long is for small ones.
        large = not ruled and coding not in _FAST and len(content) > answers.LARGEST
        plain = None if large else decoded(content, coding, LARGEST)
    if plain is None:
        return UNREAD if ruled and not is_binary(media, b"") else content
    clean, kept = plain, set[tuple[str, str]]()
    if ruled and not is_binary(media, plain):
        clean, kept = rules.ruled_answer(plain, given, learn)
    if named and len(plain) <= answers.LARGEST:
        clean = rules.answer(clean, asked, secrets.learn, kept)
    if is_text(media, plain):
        before = clean
        clean = secrets.masked(before)
        if clean is not before and ruled and is_json(media):
            from ..http import json_walk  # where rules are asked

            clean = replace_in(clean, json_walk.mended)
        if cut:
            clean = secrets.masked_end(clean)
    if clean == plain:
        return content
    return redone(coding, clean) if coding else clean


def is_binary(media: str, content: bytes) -> bool:
    """Say whether a body is no text, where a type that says nothing may be that of one.

    Args:
        content: of it, or its beginning.
    """
    if media and is_text(media, content):
        return False
    return _BINARY.match(media) is not None or b"\0" in content[:1024]


def is_text(media: str, content: bytes) -> bool:
    """Say whether a body is text: by its media type, without one by its looks."""
    if not media:
        return b"\0" not in content[:1024]
    return media.startswith("text/") or any(kind in media for kind in _TEXTS)
