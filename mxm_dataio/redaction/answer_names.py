"""The names under which answers have secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ..http.named_values import Memo, Sieve, letters
from ..http.tokens import PLACEHOLDER
from ..patterns import regex
from .names import has_secret_word
from .values import is_plain, looks_drawn

ANSWER_NAMES = frozenset(
    """
    access_key_secret access_token api_key api_secret api_token auth_key auth_token
    authentication_token authenticity_token authorization_token bearer_token client_secret
    client_token consumer_secret crumb csrf csrf_middleware_token csrf_token device_code
    id_token jwt jwt_token login_token oauth_token oauth_token_secret passphrase passwd password
    personal_access_token private_key private_token refresh_token registration_access_token
    request_verification_token secret secret_access_key secret_binary secret_key secret_string
    security_token session_id session_key session_secret session_token syno_token token_secret
    user_token x_csrf_token xsrf_token
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# One of these is in each of these names, without its separators, and in few others.
_STEMS = (
    "token", "secret", "passw", "passphr", "jwt", "sessionid", "sessionkey", "apikey",
    "privatekey", "authkey", "crumb", "csrf", "devicecode", "access", "bearer", "refresh",
)  # fmt: skip
# Of those that have words, the one by which they are found.
_WORD_OF = {
    b"sessionid": b"session", b"sessionkey": b"session", b"apikey": b"key",
    b"privatekey": b"key", b"authkey": b"key", b"devicecode": b"code",
}  # fmt: skip
# How ``key`` and ``sid`` look in an answer of little else.
_SMALL = 2048
_PARTS_ALONE = (b"key", b"sid")
_ALONE = [form % name for name in _PARTS_ALONE for form in (b'"%s"', b"<%s>", b"%s=")]
# How JSON, XML and forms begin: their first bytes.
_BEGINS = regex(
    rb"(?:\xef\xbb\xbf)?\s*+(?:[\[{)]|<(?!!doctype html|html)|(?:while|for)\s*+\(|"
    rb"[\w.%\[\]$-]{1,100}+\s*+[=(])",
    re.IGNORECASE,
)
_ESCAPED = regex(rb"\\u00[2-7]")
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-.")
_LONGEST_NAME = 64
_SEPARATORS = regex(r"[^a-z0-9]")
# Of RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3: secret, whatever they look like.
_TOKENS = frozenset({"accesstoken", "refreshtoken", "idtoken"})
# A session's number, in some answers.
_DRAWN = frozenset({"sessionid", "csrf", "secret", "sessionkey", "crumb", "devicecode"})
# A text with white space is one of these, unless it speaks of one.
_PASSWORDS = ("password", "passphrase", "passwd")
_MESSAGE = regex(
    r"\b(?:are|cannot|characters?|choose|confirm|contain|(?:does|do|did)(?: not|n't)|enter|field"
    r"|forgot(?:ten)?|incorrect|invalid|is|least|mismatch|missing|must|passwords?|please|required"
    r"|reset|should|too|wrong|your)\b",
    re.IGNORECASE,
)
PERHAPS = frozenset({"access", "bearer", "key", "refresh", "sid", "token"})
_NONE = frozenset({"", "none", "null", "string", "true", "false", PLACEHOLDER.lower()})
SPACE = regex(r"\s")
_STARS = regex(r"[*•.xX]+")
_LOGIN = regex(r"token|oauth|openid|auth|log-?[io]n|sign-?in|session|credential", re.IGNORECASE)


class Asked(NamedTuple):
    """The request that an answer is to."""

    method: str
    url: str

    @property
    def login(self) -> bool:
        """It may be a log-in: a token is asked for by POST, or of a place that says so."""
        return self.method == "POST" or self.by_place

    @property
    def by_place(self) -> bool:
        """Its URL says so."""
        return _LOGIN.search(self.url) is not None


@lru_cache(maxsize=1024)
def squashed(name: str) -> str:
    """Return a name without its separators, in lower case."""
    return _SEPARATORS.sub("", name.lower())


class Names:
    """The names under which answers have secrets.

    Args:
        given: in any case and style.
        exempt: names in lower case that are none.
    """

    def __init__(self, given: frozenset[str], exempt: frozenset[str]) -> None:
        self._names = frozenset(map(squashed, given))
        self._exempt = exempt
        self._ends = [name for name in (*_PASSWORDS, "secret") if name in self._names]
        # What someone has named is secret whatever it looks like.
        self._given = frozenset(map(squashed, given - ANSWER_NAMES))
        self._stems = frozenset([stem.encode("ascii") for stem in _STEMS])
        self._words = frozenset([letters(name.encode("utf-8")) for name in self._given])
        self._always = not all(word and word.isascii() for word in self._words)
        self._sieve = Sieve([*_STEMS, "key", "sid", *self._given])
        self._listed = Memo(self.is_listed)

    def may_be_in(self, content: bytes, asked: Asked) -> bool:
        """Say, fast, whether a body may have one of the names in it."""
        wide = b"\0" in content[:4]
        if wide or (b"\\" in content and _ESCAPED.search(content)):
            return True
        if not _BEGINS.match(content):
            return False
        found = self._sieve.parts_in(content)
        if not found:
            return False
        if self._always or not found.isdisjoint(self._words):
            return True
        stems = found & self._stems
        if stems and self._is_in(content.lower(), stems):
            return True
        if len(content) > _SMALL or found.isdisjoint(_PARTS_ALONE) or not asked.login:
            return False
        return any(map(content.lower().__contains__, _ALONE))

    def _is_in(self, lower: bytes, stems: Iterable[bytes]) -> bool:
        """Say whether a text in lower case has one of the names with these parts."""
        seen: set[bytes] = set()
        for stem in stems:
            # The last word of it: there may be separators before.
            word = _WORD_OF.get(stem, stem)
            at = lower.find(word)
            while at >= 0:
                start, end = at, at + len(word)
                least, most = max(start - _LONGEST_NAME, 0), min(end + _LONGEST_NAME, len(lower))
                while start > least and lower[start - 1] in _NAME:
                    start -= 1
                while end < most and lower[end] in _NAME:
                    end += 1
                seen.add(lower[start:end])
                at = lower.find(word, end)
        return any(self._listed[one.decode("ascii")] for one in seen)

    def is_listed(self, name: str) -> bool:
        """Say whether a name is that of a secret, or may be."""
        short = squashed(name)
        return short in self._names or short in PERHAPS or self._ends_as(short) != ""

    def is_secret(self, name: str, value: str) -> bool:
        """Say whether what stands under a name is secret."""
        short = squashed(name)
        if name.lower() in self._exempt:
            return False
        if short not in self._names:
            # ``new_password``, ``webhookSecret``.
            short = self._ends_as(short)
            if not short or not has_secret_word(name):
                return False
        if value.lower() in _NONE:
            return False
        if short in self._given:
            return True
        if short in _TOKENS:
            return not _STARS.fullmatch(value)
        if SPACE.search(value):
            if short in _PASSWORDS:
                return _MESSAGE.search(value) is None
            return "PRIVATE KEY-----" in value
        if short in _DRAWN:
            return looks_drawn(value)
        return not (is_plain(value) or _STARS.fullmatch(value))

    def _ends_as(self, short: str) -> str:
        """Return the name of a password or secret with which a name ends; empty: with none."""
        return next((one for one in self._ends if short.endswith(one)), "")

    def may_be_above(self, name: str) -> bool:
        """Say whether all that is beneath a name may be secret."""
        return squashed(name) in self._names and name.lower() not in self._exempt

    def may_be_secret(self, name: str) -> bool:
        """Say whether what stands beside a name decides about it."""
        short = squashed(name)
        return short in PERHAPS and short not in self._names and name.lower() not in self._exempt


names_of = lru_cache(maxsize=32)(Names)
