"""One pass of redaction over a URL, a form or a body: the placeholder for what is secret in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from ..http.named_values import Kind
from ..http.replacing import nested
from ..http.tokens import PLACEHOLDER, stand_in
from ..patterns import regex
from .found import Found, Sink, of_userinfo
from .kinds import NameKind, field_kinds, kind_of, plain_field
from .places import REQUESTS, asked_of, ruled
from .values import is_key

if TYPE_CHECKING:
    from .rules import Redaction

# Where a service has its callers put the secret into the path: Telegram, Slack, Discord.
_IN_PATH = regex(
    r"(?P<head>/bot)(?P<secret>[0-9]{5,20}(?::|%3A)[A-Za-z0-9_-]{20,64})"
    r"|(?P<slack>/hooks\.slack\.com/[a-z]{1,16}/)(?P<hook>[A-Za-z0-9/]{20,128})"
    r"|(?P<discord>/api/webhooks/[0-9]{5,25}/)(?P<token>[A-Za-z0-9_-]{20,128})",
    re.IGNORECASE,
)
# RFC 3986 §3.3: ``/a;jsessionid=…/b``.
_PATH_FIELD = regex(r";([^/;=]+=[^/;]*)")
# What of a segment need not be encoded (RFC 3986 §3.3).
_SEGMENT = "!$&'()*+,=:@"
# Of the path before a segment so much is told.
_LONGEST_NAME = 1024
# Of a query whose fields end with ";", as HTML 4.01 §B.2.2 had it.
_OLD_FIELD = regex(r";([^;=&]+=[^;&]*)")
_DATA_ONLY = frozenset([NameKind.DATA])
# A port, or none.
_PORT = regex(r"\[[^\]]*\](?::[0-9]+)?|[^:]*(?::[0-9]+)?")
# A value may be, or hold, what is to be looked into: a URL, JSON, XML.
_MAY_HOLD = regex(r"(?::|%3[Aa])(?:/|%2[Ff])|%[57][Bb]|%3[CcFf]|[{\[<?]")
_IS_URL = regex(r"://|\A[^?\s]*\?[^=\s]+=")
# What is not worth a placeholder.
_NOTHINGS = {
    Kind.TEXT: ("",), Kind.SIGNATURE: ("",), Kind.LITERAL: ("null", "false", "None", "False"),
    Kind.GROUP: (), Kind.ELEMENT: (), Kind.PASSING: (),
}  # fmt: skip


class Masking:
    """Puts the placeholder in the place of secret values; a
    :class:`mxm_dataio.http.replacing.Visitor`.
    """

    def __init__(self, rules: Redaction, into: Sink) -> None:
        self._rules = rules
        self._asked = asked_of(rules.rules, REQUESTS)
        self._into = into

    def asks(self, name: str) -> bool:
        return bool(self._asked) or self._rules.may_be_secret(name)

    def may_change(self, body: bytes) -> bool:
        rules = self._rules
        if self._asked or rules.may_name(body):
            return True
        return rules.userinfo and b"@" in body and b"://" in body

    def value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        rules = self._rules
        if self._asked and kind is Kind.TEXT:
            after = ruled(self._asked, place, name.lower(), value, self._into)
            if after is not None:
                return after
        if kind is Kind.SIGNATURE:
            secret = bool(rules.names)
        else:
            said = value if kind is Kind.TEXT else None
            secret = kind not in (Kind.ELEMENT, Kind.PASSING) and rules.is_secret(name, said)
            if secret and kind is Kind.LITERAL and value.isdecimal():
                secret = not rules.keeps(name, value)
        if not secret or value in _NOTHINGS[kind]:
            return None
        if kind in (Kind.TEXT, Kind.SIGNATURE):
            self._into(Found(place, name.lower(), value))
        return PLACEHOLDER

    def fields(self, text: str) -> str:
        return self._form("form", text)

    def head(self, head: bytes) -> bytes:
        return self._rules.head(head, self._into)

    def goes_with(self, name: str, content: bytes, beside: Collection[str]) -> bool:
        return self._rules.goes_with(name, content.decode("latin-1"), beside)

    # -- URLs and forms ----------------------------------------------------------------------

    def url(self, url: str) -> str:
        """Return a URL without userinfo and without the values of secret parameters.

        Nothing else of it changes; a fragment of parameters (OAuth's) counts as a query.
        """
        held_in_path = "/bot" in url or "/hooks." in url or "/webhooks/" in url
        if "=" not in url and "@" not in url and not held_in_path and not self._asked:
            return url
        start, hash_mark, fragment = url.partition("#")
        base, mark, query = start.partition("?")
        scheme, slashes, rest = base.partition("//")
        authority = ""
        slash, path = "", base
        if slashes:
            authority, slash, path = rest.partition("/")
            userinfo, at, host = authority.rpartition("@")
            if not at and "@" in url and self._rules.userinfo and not _PORT.fullmatch(authority):
                # What should have been encoded, in a password: none can use it, but say it.
                userinfo, at, rest = url.partition("//")[2].rpartition("@")
                for found in of_userinfo(*userinfo.partition(":")[::2]):
                    self._into(found)
                return self.url(f"{scheme}//{rest}")
            if at and self._rules.userinfo:
                for found in of_userinfo(*map(unquote, userinfo.partition(":")[::2])):
                    self._into(found)
                base = f"{scheme}//{host}{slash}{path}"
            authority = host
        kept: list[str] = []
        if self._asked:
            end = len(base) - len(path)
            base = base[:end] + self._segments(path, slash, kept)
        if held_in_path:
            base = _IN_PATH.sub(lambda match: self._in_path(match, kept), base)
        if ";" in base:
            base = _PATH_FIELD.sub(lambda found: f";{self._field('query', found[1])}", base)
        query = self._form("query", query, authority)
        fragment = self._form("query", fragment)
        return f"{base}{mark}{query}{hash_mark}{fragment}"

    def _segments(self, path: str, before: str, kept: list[str]) -> str:
        """Return a path as rules have it.

        Args:
            before: what stands before it of the whole.
            kept: takes the segments that are to stay.
        """
        segments = path.split("/")
        for index, segment in enumerate(segments):
            # What parameters a segment has are asked of as those of a query.
            written = _PATH_FIELD.split(segment, maxsplit=1)[0]
            value = unquote(written)
            after = value and ruled(self._asked, "path", before, value, self._into)
            if after == value:
                kept.append(written)
            elif after is not None:
                segments[index] = quote(after, safe=_SEGMENT) + segment[len(written) :]
            before = f"{before}{value.lower()}/"[-_LONGEST_NAME:]
        return "/".join(segments)

    def _in_path(self, match: re.Match[str], kept: Collection[str]) -> str:
        if not self._rules.words or not set(match[0].split("/")).isdisjoint(kept):
            return match[0]
        head, secret = (one for one in match.groups() if one is not None)
        self._into(Found("path", "token", unquote(secret)))
        return f"{head}{PLACEHOLDER}"

    def params(self, url: str, params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return decoded parameters of a URL without secret values."""
        start, _, query = url.partition("#")[0].partition("?")
        authority = start.partition("//")[2].partition("/")[0].rpartition("@")[2]
        pairs = list(params)
        beside = [*_names_of(query), *(name for name, _ in pairs)]
        return [
            (name, self._value("query", name, value, beside, authority)) for name, value in pairs
        ]

    def _form(self, place: str, text: str, authority: str = "") -> str:
        if "=" not in text:
            return text
        if ";" in text:
            text = _OLD_FIELD.sub(lambda found: f";{self._field(place, found[1])}", text)
        fields = text.split("&")
        of_field = field_kinds(self._rules.names, self._rules.words, self._rules.exempt_names)
        kinds = {of_field[field.partition("=")[0]] for field in fields}
        if kinds == _DATA_ONLY and not self._asked and not _MAY_HOLD.search(text):
            return text
        # Of what stands beside one, few ask.
        beside = _names_of(text) if NameKind.COMPANY in kinds else ()
        return "&".join([self._field(place, field, beside, authority) for field in fields])

    def _field(
        self, place: str, field: str, beside: Collection[str] = (), authority: str = ""
    ) -> str:
        """Return an encoded field of a query, form or path without its value, if it is secret."""
        name, equals, value = field.partition("=")
        if not equals:
            return field
        before = plain_field(value)
        after = self._value(place, plain_field(name), before, beside, authority)
        return field if after == before else f"{name}={quote_plus(after)}"

    def _value(
        self,
        place: str,
        name: str,
        value: str,
        beside: Collection[str],
        authority: str,
    ) -> str:
        """Return what takes the place of a field's value: itself, where it is not secret.

        Args:
            beside: the names of all fields with it.
            authority: where the query is sent.
        """
        if self._asked:
            after = ruled(self._asked, place, name.lower(), value, self._into)
            if after is not None:
                return after
        kind = kind_of(name, self._rules.names, self._rules.words, self._rules.exempt_names)
        if self._rules.is_secret(name, value) or (
            kind is NameKind.KEY and is_key(value, authority.partition(":")[0])
        ):
            self._into(Found(place, name.lower(), value))
            return stand_in(value)
        if beside and self._rules.goes_with(name, value, beside):
            # Worth nothing by itself, and it may be anything: not to be looked for elsewhere.
            return PLACEHOLDER
        # The address of an answer to come, or of what is to be fetched.
        after = nested(value, self)
        return self.url(after) if after is value and _IS_URL.search(value) else after


def _names_of(query: str) -> list[str]:
    return [plain_field(field.partition("=")[0]) for field in query.split("&")]
