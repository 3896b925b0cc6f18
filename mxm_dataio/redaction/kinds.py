"""What a name says of the value under it, under one set of lists."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from urllib.parse import unquote_plus

from ..http.named_values import Memo, Sieve, Uncounted
from .company import COMPANY
from .names import PERHAPS_NAMES, STEMS, has_secret_header_word, has_secret_word, may_be_secret

# The values of these are redacted as URLs are.
HOLDS_URL = frozenset({"location", "referer", "content-location", "origin", "destination"})


class NameKind(Enum):
    """What a name says of the value under it."""

    SECRET = auto()
    PERHAPS = auto()  # by the value
    KEY = auto()  # by the value, or where it is sent
    COMPANY = auto()  # by what stands beside it
    DATA = auto()


@lru_cache(maxsize=4096)
def kind_of(name: str, names: frozenset[str], words: bool, exempt: frozenset[str]) -> NameKind:
    """Return what a name says, in any case."""
    key = name.lower()
    if key in names:
        return NameKind.SECRET
    if not words or key in exempt:
        return NameKind.DATA
    if has_secret_word(name):
        return NameKind.SECRET
    if key == "key":
        return NameKind.KEY
    if key in COMPANY:
        return NameKind.COMPANY
    return NameKind.PERHAPS if may_be_secret(name) else NameKind.DATA


@lru_cache(maxsize=16)
def field_kinds(names: frozenset[str], words: bool, exempt: frozenset[str]) -> Memo[NameKind]:
    """Return the kinds of encoded names."""
    return Memo(lambda name: kind_of(plain_field(name), names, words, exempt))


@lru_cache(maxsize=16)
def sieve_of(names: frozenset[str], words: bool) -> Sieve:
    """Return what tells fast that a text has no secret name."""
    if not words:
        return Sieve(names)
    innocent = [word for word in _INNOCENT if word not in names and not has_secret_word(word)]
    parts = [*STEMS, *PERHAPS_NAMES]
    parts += [name for name in names if not any(map(name.__contains__, parts))]
    return Sieve(parts, innocent)


@lru_cache(maxsize=1024)
def is_secret_header(
    name: str, headers: frozenset[str], words: bool, exempt: frozenset[str]
) -> bool:
    """Say whether a header, in any case, is secret."""
    key = name.lower()
    if key in headers:
        return True
    return words and key not in exempt and has_secret_header_word(key)


@lru_cache(maxsize=16)
def headers_not_counted(headers: frozenset[str], words: bool, exempt: frozenset[str]) -> Uncounted:
    """Return the headers that do not count in an identity."""
    return Uncounted(lambda name: is_secret_header(name, headers, words, exempt))


@lru_cache(maxsize=16)
def plain_headers(headers: frozenset[str], words: bool, exempt: frozenset[str]) -> Memo[bool]:
    """Return which headers redaction leaves alone, unless their values hold URLs or fields."""

    def is_plain(name: str) -> bool:
        key = name.strip().lower()
        return key not in HOLDS_URL and not is_secret_header(key, headers, words, exempt)

    return Memo(is_plain)


def plain_field(text: str) -> str:
    """Return a name or value of a form as it reads."""
    return unquote_plus(text) if "%" in text or "+" in text else text


# Names in many bodies that have a part of a secret one in them.
_INNOCENT = frozenset(
    """
    assigned assignee author authors bypass design insider inside key keys keyword keywords monkey
    outside passed passenger passengers resident side sides signal signals
    """.split()  # noqa: SIM905
)
