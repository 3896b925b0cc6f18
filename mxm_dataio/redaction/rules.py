"""What never reaches disk: the names that carry secrets, and how their values are replaced.

Pure. Redaction happens before anything is written, hashed or logged. What is redacted does not
count in ``params_hash`` either, so a recording made with one key replays with another. Whatever is
found here is handed on, so that :mod:`mxm_dataio.redaction.secrets` knows it wherever else it turns
up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus, unquote, unquote_plus

from ..errors import RuleError
from ..http import credentials, tokens
from ..http.named_values import Kind, Memo, Sieve, Uncounted
from ..http.replacing import nested, replaced
from ..http.tokens import stand_in
from ..models import Headers
from . import texts
from .answers import ANSWER_NAMES, Asked, Names, cleaned, names_of, squashed
from .names import (
    COMPANY,
    PERHAPS_NAMES,
    SECRET_HEADERS,
    SECRET_NAMES,
    STEMS,
    goes_with,
    has_secret_header_word,
    has_secret_word,
    is_key,
    is_plain,
    looks_drawn,
    may_be_secret,
)

PLACEHOLDER = tokens.PLACEHOLDER

# The values of these are redacted as URLs are.
_HOLDS_URL = frozenset({"location", "referer", "content-location", "origin", "destination"})


# Asked with place, name and value; see :attr:`Redaction.rules`.
Rule = Callable[[str, str, str], str | None]


class Found(NamedTuple):
    """A secret value where it stood.

    Attributes:
        place: ``header``, ``cookie``, ``userinfo``, ``query``, ``form``, ``part``, ``json``,
            ``xml`` or ``answer``.
        name: of the header, cookie or field, in lower case.
        value: decoded as its place has it.
    """

    place: str
    name: str
    value: str


# Takes what was found.
Sink = Callable[[Found], object]


def _all(_place: str, _name: str, _value: str) -> str:
    """Take every value, as a rule."""
    return PLACEHOLDER


def _nowhere(_found: Found) -> None:
    """Take nothing."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which names are secret, in lower case; data, to be replaced or extended.

    Attributes:
        headers: of requests and responses. Of ``Set-Cookie`` only the cookie's value goes.
        names: of query parameters, and of what has a name in a request's body: form fields, parts,
            members of JSON, elements and attributes of XML, at any depth.
        words: so are headers and names that are by their words (``newPassword``), and what
            belongs to a signature; see :mod:`mxm_dataio.redaction.names`.
        exempt_headers: headers that are not, whatever their words.
        exempt_names: names that are not, whatever their words, value and company.
        userinfo: ``user:password@`` goes from URLs.
        values: what was found to be secret is masked wherever else it turns up in the session.
        tokens: what stands under ``answer_names`` in answers goes.
        answer_names: of JSON members, XML elements and attributes, and form fields of answers, in
            any case and style (``accessToken``). Names that :meth:`adding` adds count there too.
        rules: asked before the lists, one after the other, with place (``header``, ``query``,
            ``form``, ``part``, ``json``, ``xml``), lower-case name and decoded value of each
            header, parameter, field, part of a multipart and text of JSON or XML of requests, and
            of each header of answers. What one returns takes the value's place (the value itself:
            it stays, listed or not); ``None`` leaves it to the next.
    """

    headers: frozenset[str] = SECRET_HEADERS
    names: frozenset[str] = SECRET_NAMES
    words: bool = True
    exempt_headers: frozenset[str] = frozenset()
    exempt_names: frozenset[str] = frozenset()
    userinfo: bool = True
    values: bool = True
    tokens: bool = True
    answer_names: frozenset[str] = ANSWER_NAMES
    rules: tuple[Rule, ...] = ()

    def adding(
        self,
        *rules: Rule,
        headers: Iterable[str] = (),
        names: Iterable[str] = (),
        answer_names: Iterable[str] = (),
    ) -> Redaction:
        """Return this with more names, in any case, and more rules.

        Args:
            names: of requests and answers.
            answer_names: of answers alone.
        """
        names = list(names)
        more_headers, more_names = _lower(headers), _lower(names)
        return replace(
            self,
            headers=self.headers | more_headers,
            names=self.names | more_names,
            answer_names=self.answer_names.union(names, answer_names),
            exempt_headers=self.exempt_headers - more_headers,
            exempt_names=self.exempt_names - more_names,
            rules=(*self.rules, *rules),
        )

    def without(
        self,
        *,
        headers: Iterable[str] = (),
        names: Iterable[str] = (),
        answer_names: Iterable[str] = (),
    ) -> Redaction:
        """Return this without some names, in any case: what stands under them is kept.

        Args:
            names: of requests and answers.
            answer_names: of answers alone.
        """
        less_headers, less_names = _lower(headers), _lower(names)
        less = set(map(squashed, {*less_names, *answer_names}))
        return replace(
            self,
            headers=self.headers - less_headers,
            names=self.names - less_names,
            answer_names=frozenset(
                name for name in self.answer_names if squashed(name) not in less
            ),
            exempt_headers=self.exempt_headers | less_headers,
            exempt_names=self.exempt_names | less_names,
        )

    @property
    def redacts(self) -> bool:
        """Say whether any name is secret."""
        return bool(self.names or self.headers or self.words)

    def is_secret(self, name: str, value: str | None = None) -> bool:
        """Say whether what stands under a name is secret.

        Args:
            name: of a parameter, field, part, member or element, as it stands: its case tells
                its words.
            value: it decides where a name (``appid``) may be an identifier.
        """
        kind = _kind(name, self.names, self.words, self.exempt_names)
        if kind is not _Kind.PERHAPS:
            return kind is _Kind.SECRET
        return value is not None and looks_drawn(value) and not is_plain(value)

    def may_be_secret(self, name: str) -> bool:
        """Say whether :meth:`is_secret` says so of any value."""
        kind = _kind(name, self.names, self.words, self.exempt_names)
        return kind is _Kind.SECRET or kind is _Kind.PERHAPS

    def is_secret_header(self, name: str) -> bool:
        """Say whether a header, in any case, is secret."""
        return _is_secret_header(name, self.headers, self.words, self.exempt_headers)

    def goes_with(self, name: str, value: str, beside: Iterable[str]) -> bool:
        """Say whether a field belongs to a signature or log-in that stands beside it.

        It is not secret by itself (``Expires``, ``timestamp``), but made anew with it.

        Args:
            beside: the names of all fields of its query, form or object.
        """
        kind = _kind(name, self.names, self.words, self.exempt_names)
        return kind is _Kind.COMPANY and goes_with(name.lower(), value, _lower(beside))

    def may_name(self, data: bytes) -> bool:
        """Say, fast, whether a text may have a name in it of which :meth:`is_secret` says so.

        However the text is written, and whatever it is.
        """
        return _sieve_of(self.names, self.words).may_be_in(data)

    def uncounted(self, names: Iterable[str] = ()) -> Container[str]:
        """Return what holds all names, in any case, that do not count in an identity.

        Args:
            names: more of them.
        """
        return Uncounted(self.is_secret, self.may_name, _lower(names))

    @property
    def uncounted_headers(self) -> Container[str]:
        """What holds all headers, in any case, that do not count in an identity."""
        return _headers_not_counted(self.headers, self.words, self.exempt_headers)

    def _ruled(self, place: str, name: str, value: str, into: Sink) -> str | None:
        for rule in self.rules:
            try:
                after = rule(place, name, value)
            except Exception as exc:
                # Its text may be the value.
                raise RuleError(
                    f"the redaction rule {getattr(rule, '__name__', 'without a name')!r} raised "
                    f"{type(exc).__name__} for the {place} {name!r}: mend it, or return None there"
                ) from None
            if after is not None:
                if after != value:
                    into(Found(place, name, value))
                return after
        return None

    def header_pairs(self, pairs: Iterable[tuple[str, str]], into: Sink = _nowhere) -> Headers:
        """Return header pairs without secret values."""
        if self.rules:
            return tuple([(name, self._header(name.lower(), value, into)) for name, value in pairs])
        plain = _plain_headers(self.headers, self.words, self.exempt_headers)
        return tuple(
            [
                (name, value)
                if plain[name] and "=" not in value and "@" not in value
                else (name, self._header(name.lower(), value, into))
                for name, value in pairs
            ]
        )

    def _header(self, name: str, value: str, into: Sink) -> str:
        if self.rules:
            after = self._ruled("header", name, value, into)
            if after is not None:
                return after.replace("\r", " ").replace("\n", " ")
        if name in _HOLDS_URL:
            return self.url(value, into)
        if name == "host" and "@" in value:
            # ``http.client`` takes userinfo for a part of the host.
            return self.url(f"//{value}", into)[2:]
        if not self.is_secret_header(name):
            if "=" in value and ("?" in value or "://" in value):
                return texts.urls_redacted(value, lambda url: self.url(url, into))
            return value
        for found in _of_header(name, value, self.is_secret):
            into(found)
        if name == "set-cookie":
            cookie, semicolon, rest = value.partition(";")
            # Without a name the whole is the value (RFC 6265bis §5.6).
            name, equals, text = cookie.partition("=")
            after = stand_in((text if equals else cookie).strip())
            return f"{name if equals else ''}{equals}{after}{semicolon}{rest}"
        if name.endswith("authorization"):
            scheme, rest = credentials.parsed(value)
            return f"{scheme} {stand_in(rest)}" if scheme else stand_in(rest)
        return stand_in(value.strip())

    def head(self, head: bytes, into: Sink = _nowhere) -> bytes:
        """Return the bytes of a status line and headers without secret values.

        Lines without a secret stay as they are, to the byte; so does the line end.
        """
        ruled = bool(self.rules)
        if not ruled:
            text = head.decode("latin-1")
            plain = _plain_headers(self.headers, self.words, self.exempt_headers)
            held = text.find("=", text.find("\n")) >= 0 and ("://" in text or "?" in text)
            held = held or "@" in text
            if not held and all(map(plain.__getitem__, _LINE_NAMES.findall(text))):
                return head
        lines = head.split(b"\n")
        folded = False
        for index, line in enumerate(lines[1:], 1):
            if folded and line[:1] in (b" ", b"\t"):
                lines[index] = b" " + line[len(line.rstrip(b"\r")) :]
                continue
            name, colon, value = line.partition(b":")
            folded = False
            key = name.decode("latin-1").strip().lower()
            held = key in _HOLDS_URL or key == "host" or b"=" in value
            if not colon or not (ruled or held or self.is_secret_header(key)):
                continue
            before = value.decode("latin-1").rstrip("\r")
            after = self._header(key, before.strip(), into)
            if after != before.strip():
                folded = True
                end = b"\r" if line.endswith(b"\r") else b""
                lines[index] = name + b": " + after.encode("latin-1", "replace") + end
        return b"\n".join(lines)

    def url(self, url: str, into: Sink = _nowhere) -> str:
        """Return a URL without userinfo and without the values of secret parameters.

        Nothing else of it changes; a fragment of parameters (OAuth's) counts as a query.
        """
        held_in_path = "/bot" in url or "/hooks." in url or "/webhooks/" in url
        if "=" not in url and "@" not in url and not held_in_path:
            return url
        start, hash_mark, fragment = url.partition("#")
        base, mark, query = start.partition("?")
        scheme, slashes, rest = base.partition("//")
        authority = ""
        if slashes:
            authority, slash, path = rest.partition("/")
            userinfo, at, host = authority.rpartition("@")
            if not at and "@" in url and self.userinfo and not _PORT.fullmatch(authority):
                # What should have been encoded, in a password: none can use it, but say it.
                userinfo, at, rest = url.partition("//")[2].rpartition("@")
                for found in _of_userinfo(*userinfo.partition(":")[::2]):
                    into(found)
                return self.url(f"{scheme}//{rest}", into)
            if at and self.userinfo:
                for found in _of_userinfo(*map(unquote, userinfo.partition(":")[::2])):
                    into(found)
                base = f"{scheme}//{host}{slash}{path}"
            authority = host
        if held_in_path:
            base = _IN_PATH.sub(lambda found: self._in_path(found, into), base)
        if ";" in base:
            base = _PATH_FIELD.sub(lambda found: f";{self._field('query', found[1], into)}", base)
        query = self._fields("query", query, into, authority)
        fragment = self._fields("query", fragment, into)
        return f"{base}{mark}{query}{hash_mark}{fragment}"

    def _in_path(self, match: re.Match[str], into: Sink) -> str:
        if not self.words:
            return match[0]
        head, secret = (one for one in match.groups() if one is not None)
        into(Found("path", "token", unquote(secret)))
        return f"{head}{PLACEHOLDER}"

    def params(
        self, url: str, params: Iterable[tuple[str, str]], into: Sink = _nowhere
    ) -> list[tuple[str, str]]:
        """Return decoded parameters of a URL without secret values."""
        start, _, query = url.partition("#")[0].partition("?")
        authority = start.partition("//")[2].partition("/")[0].rpartition("@")[2]
        pairs = list(params)
        beside = [*_names_of(query), *(name for name, _ in pairs)]
        return [
            (name, self._value("query", name, value, into, beside, authority))
            for name, value in pairs
        ]

    def _fields(self, place: str, text: str, into: Sink, authority: str = "") -> str:
        if "=" not in text:
            return text
        if ";" in text:
            text = _OLD_FIELD.sub(lambda found: f";{self._field(place, found[1], into)}", text)
        fields = text.split("&")
        kind_of = _field_kinds(self.names, self.words, self.exempt_names)
        kinds = {kind_of[field.partition("=")[0]] for field in fields}
        if kinds == _DATA_ONLY and not self.rules and not _MAY_HOLD.search(text):
            return text
        # Of what stands beside one, few ask.
        beside = _names_of(text) if _Kind.COMPANY in kinds else ()
        return "&".join([self._field(place, field, into, beside, authority) for field in fields])

    def _field(
        self, place: str, field: str, into: Sink, beside: Collection[str] = (), authority: str = ""
    ) -> str:
        """Return an encoded field of a query, form or path without its value, if it is secret."""
        name, equals, value = field.partition("=")
        if not equals:
            return field
        before = _plain(value)
        after = self._value(place, _plain(name), before, into, beside, authority)
        return field if after == before else f"{name}={quote_plus(after)}"

    def _value(
        self,
        place: str,
        name: str,
        value: str,
        into: Sink,
        beside: Collection[str],
        authority: str,
    ) -> str:
        """Return what takes the place of a field's value: itself, where it is not secret.

        Args:
            beside: the names of all fields with it.
            authority: where the query is sent.
        """
        if self.rules:
            after = self._ruled(place, name.lower(), value, into)
            if after is not None:
                return after
        kind = _kind(name, self.names, self.words, self.exempt_names)
        if self.is_secret(name, value) or (
            kind is _Kind.KEY and is_key(value, authority.partition(":")[0])
        ):
            into(Found(place, name.lower(), value))
            return stand_in(value)
        if beside and self.goes_with(name, value, beside):
            # Worth nothing by itself, and it may be anything: not to be looked for elsewhere.
            return PLACEHOLDER
        # The address of an answer to come, or of what is to be fetched.
        after = nested(value, _Masking(self, into))
        return self.url(after, into) if after is value and _IS_URL.search(value) else after

    def body(self, body: bytes, content_type: str, into: Sink = _nowhere) -> bytes:
        """Return a request body, its content coding undone, without the values of secret names.

        Names of fields, parts, members, elements and headers, at any depth, whatever the body's
        header says it is; nothing else of it changes.
        """
        return replaced(body, content_type, _Masking(self, into))

    def looks_for(self, content: bytes, asked: Asked) -> bool:
        """Say, fast, whether an answer's body may have a secret under a name of its own."""
        return self._answer_names.may_be_in(content, asked)

    def answer(self, content: bytes, asked: Asked, into: Sink = _nowhere) -> bytes:
        """Return an answer's body without what stands under secret names; the same object if none.

        Nothing else of it changes. It may be the beginning of one.
        """
        if not self.looks_for(content, asked):
            return content
        names = self._answer_names
        return cleaned(content, names, asked, lambda *found: into(Found("answer", *found)))

    @property
    def _answer_names(self) -> Names:
        return names_of(self.answer_names, self.exempt_names)

    def text(self, text: str, into: Sink = _nowhere) -> str:
        """Return a message without what stands in it under secret names.

        A rule that fails takes all: what is said of it is a message, too.
        """
        try:
            return texts.redacted(
                text, lambda url: self.url(url, into), self.is_secret, self.is_secret_header
            )
        except RuleError:
            return replace(self, rules=(_all,)).text(text, into)

    def shown(self, url: str, into: Sink = _nowhere) -> str:
        """Return a URL for a message: as :meth:`url` has it, unless a rule fails."""
        try:
            return self.url(url, into)
        except RuleError:
            return replace(self, rules=(_all,)).url(url, into)


class _Kind(Enum):
    """What a name says of the value under it."""

    SECRET = auto()
    PERHAPS = auto()  # by the value
    KEY = auto()  # by the value, or where it is sent
    COMPANY = auto()  # by what stands beside it
    DATA = auto()


@lru_cache(maxsize=4096)
def _kind(name: str, names: frozenset[str], words: bool, exempt: frozenset[str]) -> _Kind:
    key = name.lower()
    if key in names:
        return _Kind.SECRET
    if not words or key in exempt:
        return _Kind.DATA
    if has_secret_word(name):
        return _Kind.SECRET
    if key == "key":
        return _Kind.KEY
    if key in COMPANY:
        return _Kind.COMPANY
    return _Kind.PERHAPS if may_be_secret(name) else _Kind.DATA


@lru_cache(maxsize=16)
def _field_kinds(names: frozenset[str], words: bool, exempt: frozenset[str]) -> Memo[_Kind]:
    """Return the kinds of encoded names."""
    return Memo(lambda name: _kind(_plain(name), names, words, exempt))


@lru_cache(maxsize=16)
def _sieve_of(names: frozenset[str], words: bool) -> Sieve:
    if not words:
        return Sieve(names)
    innocent = [word for word in _INNOCENT if word not in names and not has_secret_word(word)]
    parts = [*STEMS, *PERHAPS_NAMES]
    parts += [name for name in names if not any(map(name.__contains__, parts))]
    return Sieve(parts, innocent)


@lru_cache(maxsize=1024)
def _is_secret_header(
    name: str, headers: frozenset[str], words: bool, exempt: frozenset[str]
) -> bool:
    key = name.lower()
    if key in headers:
        return True
    return words and key not in exempt and has_secret_header_word(key)


@lru_cache(maxsize=16)
def _headers_not_counted(headers: frozenset[str], words: bool, exempt: frozenset[str]) -> Uncounted:
    return Uncounted(lambda name: _is_secret_header(name, headers, words, exempt))


@lru_cache(maxsize=16)
def _plain_headers(headers: frozenset[str], words: bool, exempt: frozenset[str]) -> Memo[bool]:
    """Return which headers redaction leaves alone, unless their values hold URLs or fields."""

    def is_plain(name: str) -> bool:
        key = name.strip().lower()
        return key not in _HOLDS_URL and not _is_secret_header(key, headers, words, exempt)

    return Memo(is_plain)


def _plain(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _names_of(query: str) -> list[str]:
    return [_plain(field.partition("=")[0]) for field in query.split("&")]


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset([name.lower() for name in names])


class _Masking:
    """Puts the placeholder in the place of secret values; a
    :class:`mxm_dataio.http.replacing.Visitor`.
    """

    def __init__(self, rules: Redaction, into: Sink) -> None:
        self._rules = rules
        self._into = into

    def asks(self, name: str) -> bool:
        return bool(self._rules.rules) or self._rules.may_be_secret(name)

    def may_change(self, body: bytes) -> bool:
        rules = self._rules
        if rules.rules or rules.may_name(body):
            return True
        return rules.userinfo and b"@" in body and b"://" in body

    def value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        rules = self._rules
        if rules.rules and kind is Kind.TEXT:
            after = rules._ruled(place, name.lower(), value, self._into)
            if after is not None:
                return after
        if kind is Kind.SIGNATURE:
            secret = bool(rules.names)
        else:
            said = value if kind is Kind.TEXT else None
            secret = kind not in (Kind.ELEMENT, Kind.PASSING) and rules.is_secret(name, said)
        if not secret or value in _NOTHINGS[kind]:
            return None
        if kind in (Kind.TEXT, Kind.SIGNATURE):
            self._into(Found(place, name.lower(), value))
        return PLACEHOLDER

    def fields(self, text: str) -> str:
        return self._rules._fields("form", text, self._into)

    def url(self, url: str) -> str:
        return self._rules.url(url, self._into)

    def head(self, head: bytes) -> bytes:
        return self._rules.head(head, self._into)

    def goes_with(self, name: str, content: bytes, beside: Collection[str]) -> bool:
        return self._rules.goes_with(name, content.decode("latin-1"), beside)


# What is not worth a placeholder.
_NOTHINGS = {
    Kind.TEXT: ("",), Kind.SIGNATURE: ("",), Kind.LITERAL: ("null", "false", "None", "False"),
    Kind.GROUP: (), Kind.ELEMENT: (), Kind.PASSING: (),
}  # fmt: skip


def _of_header(name: str, value: str, secret: Callable[[str], bool]) -> Iterator[Found]:
    """Yield the secrets of a header that holds some, as far as they can be used elsewhere.

    Args:
        secret: says which parameters of credentials are.
    """
    if name in ("cookie", "set-cookie", "set-cookie2"):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        for pair in pairs:
            key, _, text = pair.rpartition("=") if "=" not in pair else pair.partition("=")
            yield Found("cookie", key.strip().lower(), text.strip().strip('"'))
        return
    if not name.endswith("authorization"):
        yield from _pieces(name, value)
        return
    given = credentials.parsed(value)
    parameters = given.parameters
    if given.user_and_password is not None:
        yield from _of_userinfo(*given.user_and_password)
        yield Found("header", name, given.rest)
    elif parameters:
        # ``OAuth oauth_token="…", …``: the parts by their names; the whole is never sent twice.
        for key, text in parameters:
            if secret(key):
                yield Found("header", key.lower(), unquote(text))
    else:
        yield from _pieces(name, given.rest)


def _pieces(name: str, value: str) -> Iterator[Found]:
    """Yield a header's value; of one that can't be sent, and will be without its fault, its parts.

    A line break or a letter beyond Latin-1 has it go nowhere, but into the text of an error.
    """
    yield Found("header", name, value.strip())
    if not value.isascii() or not value.isprintable():
        for piece in _SENDABLE.findall(value):
            yield Found("header", name, piece)


def _of_userinfo(user: str, password: str) -> Iterator[Found]:
    yield Found("userinfo", "user", user)
    yield Found("userinfo", "password", password)


# Where a service has its callers put the secret into the path: Telegram, Slack, Discord.
_IN_PATH = re.compile(
    r"(?P<head>/bot)(?P<secret>[0-9]{5,20}(?::|%3A)[A-Za-z0-9_-]{20,64})"
    r"|(?P<slack>/hooks\.slack\.com/[a-z]{1,16}/)(?P<hook>[A-Za-z0-9/]{20,128})"
    r"|(?P<discord>/api/webhooks/[0-9]{5,25}/)(?P<token>[A-Za-z0-9_-]{20,128})",
    re.IGNORECASE,
)
# RFC 3986 §3.3: ``/a;jsessionid=…/b``.
_PATH_FIELD = re.compile(r";([^/;=]+=[^/;]*)")
# Of a query whose fields end with ";", as HTML 4.01 §B.2.2 had it.
_OLD_FIELD = re.compile(r";([^;=&]+=[^;&]*)")
_SENDABLE = re.compile(r"[!-~]+")
_DATA_ONLY = frozenset([_Kind.DATA])
# A port, or none.
_PORT = re.compile(r"\[[^\]]*\](?::[0-9]+)?|[^:]*(?::[0-9]+)?")
# A value may be, or hold, what is to be looked into: a URL, JSON, XML.
_MAY_HOLD = re.compile(r"(?::|%3[Aa])(?:/|%2[Ff])|%[57][Bb]|%3[CcFf]|[{\[<?]")
# Names in many bodies that have a part of a secret one in them.
_INNOCENT = frozenset(
    """
    assigned assignee author authors bypass design insider inside key keys keyword keywords monkey
    outside passed passenger passengers resident side sides signal signals
    """.split()  # noqa: SIM905
)
# Names of header lines, and what is no name of what goes on from the line before.
_LINE_NAMES = re.compile(r"\n([^:\n]*)")
_IS_URL = re.compile(r"://|\A[^?\s]*\?[^=\s]+=")


DEFAULT = Redaction()
NOTHING = Redaction(
    headers=frozenset(),
    names=frozenset(),
    words=False,
    userinfo=False,
    values=False,
    tokens=False,
)
