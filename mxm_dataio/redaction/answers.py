"""What is secret in an answer's body, by the names in it, and how it is taken out.

Pure. A payload is evidence, so these names are far fewer than those of requests: tokens of a
log-in, keys, passwords, session ids; and each has to have a text that can be one. A name is
compared without regard to case and separators (``accessToken``, ``access-token``). All else of a
body stays, to the byte.

**By what it is.** JSON (lines of it too, and behind a prefix that keeps it from being a script),
XML but no HTML, and forms are told by how they begin; what a server says that it is does not count.

**By what stands beside it.** ``token`` and ``sid`` are a coin, a place in a list or a record's
number in most answers. They count where they are a signed token, or look drawn by lot and stand
beside what only comes with a log-in (``expires_in``, ``user: {…}``), or alone in what a log-in
answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from ..http import json_values, xml_values
from ..http.named_values import Kind, Memo, Sieve, letters, replace_in
from ..http.tokens import PLACEHOLDER, parsed, stand_in
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
# Longer ones are looked into only where a log-in may be what is answered.
ORDINARY = 32 << 10
LARGEST = 1 << 20
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
_BEGINS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:[\[{)]|<(?!!doctype html|html)|(?:while|for)\s*+\(|"
    rb"[\w.%\[\]$-]{1,100}+\s*+[=(])",
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\u00[2-7]")
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-.")
_LONGEST_NAME = 64
_SEPARATORS = re.compile(r"[^a-z0-9]")
# Of RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3: secret, whatever they look like.
_TOKENS = frozenset({"accesstoken", "refreshtoken", "idtoken"})
# A session's number, in some answers.
_DRAWN = frozenset({"sessionid", "csrf", "secret", "sessionkey", "crumb", "devicecode"})
# A text with white space is one of these, unless it speaks of one.
_PASSWORDS = ("password", "passphrase", "passwd")
_MESSAGE = re.compile(
    r"\b(?:are|cannot|characters?|choose|confirm|contain|(?:does|do|did)(?: not|n't)|enter|field"
    r"|forgot(?:ten)?|incorrect|invalid|is|least|mismatch|missing|must|passwords?|please|required"
    r"|reset|should|too|wrong|your)\b",
    re.IGNORECASE,
)
_PERHAPS = frozenset({"access", "bearer", "key", "refresh", "sid", "token"})
_SIGNED = frozenset({"access", "bearer", "refresh", "token"})
_NONE = frozenset({"", "none", "null", "string", "true", "false", PLACEHOLDER.lower()})
_SPACE = re.compile(r"\s")
_BLANK = re.compile(r"[\ufeff\s]*")
_UNSURE = re.compile(r"[\"'](?:access|bearer|key|refresh|sid|token)\\?[\"']", re.IGNORECASE)
_STARS = re.compile(r"[*•.xX]+")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
# Beside a token, these are of a log-in; those of the second list if they are objects.
_BESIDE = frozenset(
    """
    accesskeyid email expiration expirationtime expirein expires expiresat expiresin expireson
    expiry login password permissions refreshtoken roles scope scopes secretaccesskey synotoken
    tokentype ttl userid username validuntil
    """.split()  # noqa: SIM905
)
_OBJECTS = frozenset(["account", "member", "profile", "user"])
# Members that any answer has.
_AROUND = frozenset(
    ["code", "data", "error", "errors", "message", "msg", "ok", "result", "status", "success"]
)
_LOGIN = re.compile(
    r"token|oauth|openid|auth|log-?[io]n|sign-?in|session|credential", re.IGNORECASE
)
_HTML = re.compile(r"<!doctype html|<html|<head|<body", re.IGNORECASE)
_FIELD_NAME, _FIELD_VALUE = r"[\w.%\[\]-]{1,100}", r"[^\s<>{}\"&]*+"
_FIELD = re.compile(f"(?P<name>{_FIELD_NAME})=(?P<value>{_FIELD_VALUE})", re.ASCII)
_ONE = f"{_FIELD_NAME}={_FIELD_VALUE}"
_FORM = re.compile(rf"{_ONE}(?:[&\r\n]++{_ONE})*+", re.ASCII)
# What keeps JSON from being run as a script (AngularJS, Google), or runs it (JSONP).
_BEFORE = re.compile(
    r"\s*(?:\)\]\}'?,?|while\s*\(1\);|for\s*\(;;\);|[\w$.]{1,100}\s*\()?\s*(?=[\[{])"
)
# Told of each value that was taken out: its name in lower case, and what it was.
Told = Callable[[str, str], object]


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
        return short in self._names or short in _PERHAPS or self._ends_as(short) != ""

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
        if _SPACE.search(value):
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
        return short in _PERHAPS and short not in self._names and name.lower() not in self._exempt


names_of = lru_cache(maxsize=32)(Names)


def cleaned(content: bytes, names: Names, asked: Asked, told: Told) -> bytes:
    """Return an answer's body without what is secret in it; the same object, if nothing is."""
    return replace_in(content, _Answer(names, asked, told).clean)


class _Answer:
    def __init__(self, names: Names, asked: Asked, told: Told) -> None:
        self._names = names
        self._asked = asked
        self._told = told
        self._logins: frozenset[str] = frozenset()

    def clean(self, text: str) -> str:
        start = _BLANK.match(text)
        begins = text[start.end() : start.end() + 512] if start else ""
        if begins.startswith("<"):
            if _HTML.search(begins):
                return text
            return xml_values.replace_text(text, self._in_xml)
        if begins[:1] in ("{", "[") or _BEFORE.match(text):
            self._logins = frozenset(self._beside(text))
            return json_values.replace_text(text, self._in_json)
        if len(text) <= ORDINARY and _FORM.fullmatch(text.strip()):
            return self._form(text)
        return text

    def _in_json(self, name: str, value: str, kind: Kind) -> str | None:
        if kind in (Kind.GROUP, Kind.LITERAL):
            return None
        if value[:1] in ("{", "[") and '"' in value:
            # JSON in a string of JSON: whoever reads it is to be able to.
            own = squashed(name) == "secretstring" and self._names.is_listed(name)
            inside = json_values.replace_text(value, self._all if own else self._in_json)
            return inside if inside != value or own else None
        if self._names.is_secret(name, value):
            return self._taken(name, value)
        if value in self._logins and self._names.may_be_secret(name):
            return self._taken(name, value)
        return None

    def _all(self, name: str, value: str, kind: Kind) -> str | None:
        if kind in (Kind.GROUP, Kind.LITERAL):
            return None
        return self._taken(name, value) if looks_drawn(value) else PLACEHOLDER

    def _in_xml(self, name: str, value: str, kind: Kind) -> str | None:
        if kind is Kind.GROUP:
            return PLACEHOLDER if self._names.may_be_above(name) else None
        if self._names.is_secret(name, value):
            return self._taken(name, value)
        if self._names.may_be_secret(name):
            token = parsed(value) is not None
            if token or (self._asked.by_place and _is_drawn(value)):
                return self._taken(name, value)
        return None

    def _form(self, text: str) -> str:
        pairs = [one.partition("=") for one in re.split(r"[&\r\n]+", text.strip())]
        fields = {squashed(name): unquote_plus(value) for name, _, value in pairs}

        def field(match: re.Match[str]) -> str:
            name, value = unquote_plus(match["name"]), unquote_plus(match["value"])
            perhaps = self._names.may_be_secret(name) and self._counts(squashed(name), fields)
            if not perhaps and not self._names.is_secret(name, value):
                return match[0]
            return f"{match['name']}={self._taken(name, value)}"

        return _FIELD.sub(field, text)

    def _taken(self, name: str, value: str) -> str:
        self._told(name.lower(), value)
        return stand_in(value)

    # -- what stands beside a name -------------------------------------------------------------

    def _beside(self, text: str) -> Iterator[str]:
        """Yield the texts of a JSON document that are secret by what stands beside them."""
        if not _UNSURE.search(text):
            return
        found: list[str] = []

        def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            fields = {squashed(name): value for name, value in pairs}
            for name in _PERHAPS & fields.keys():
                if isinstance(fields[name], str) and self._counts(name, fields):
                    found.append(fields[name])
            return fields

        before = _BEFORE.match(text)
        whole = text[before.end() :].rstrip(" \t\r\n;)") if before else text
        for one in (whole, *text.splitlines()):
            try:
                json.loads(one.lstrip("\ufeff"), object_pairs_hook=members)
            except (ValueError, RecursionError):
                continue
            yield from found
            if one is whole:
                return

    def _counts(self, name: str, fields: Mapping[str, Any]) -> bool:
        value = fields[name]
        if name in _SIGNED and parsed(value) is not None:
            return True
        if name in ("access", "refresh") or not _is_drawn(value):
            return False
        others = fields.keys() - {name}
        if name != "key":
            objects = (fields.get(one) for one in _OBJECTS)
            if not _BESIDE.isdisjoint(others) or any(isinstance(one, dict) for one in objects):
                return True
        alone = others <= _AROUND and not any(
            isinstance(fields[one], (dict, list)) for one in others
        )
        return alone and (self._asked.by_place if name == "key" else self._asked.login)


def _is_drawn(value: str) -> bool:
    return looks_drawn(value) and not (_ADDRESS.fullmatch(value) or _SPACE.search(value))
