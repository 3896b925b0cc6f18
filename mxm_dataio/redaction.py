"""What never reaches disk: the names that carry secrets, and how their values are replaced.

Pure. Redaction happens before anything is written, hashed or logged. What is redacted does not
count in ``params_hash`` either, so a recording made with one key replays with another. Whatever
is found here is handed on, so that :mod:`mxm_dataio.masking` knows it wherever else it turns up.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus, unquote, unquote_plus

from . import tokens
from .models import Headers
from .tokens import stand_in
from .utils import is_json, media_type

PLACEHOLDER = tokens.PLACEHOLDER

SECRET_HEADERS = frozenset(
    """
    authorization proxy-authorization cookie set-cookie set-cookie2 x-api-key api-key apikey
    x-auth-token x-access-token x-csrf-token x-xsrf-token x-amz-security-token x-goog-api-key
    x-apikey x-token private-token x-vault-token ocp-apim-subscription-key
    x-shopify-access-token
    """.split()  # noqa: SIM905 - a table reads better than a list
)
SECRET_NAMES = frozenset(
    """
    access_token accesstoken api_key api-key apikey api_secret apisecret api_token apitoken
    auth_token authtoken authorization client_secret clientsecret crumb id_token jwt oauth_token
    oauth_signature oauth_nonce oauth_timestamp passphrase passwd password private_key pwd
    refresh_token secret secret_key secretkey session_token sessionid sig signature
    subscription-key token userpass awsaccesskeyid x-amz-credential x-amz-date
    x-amz-security-token x-amz-signature x-goog-credential x-goog-date x-goog-signature
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# The values of these are made anew for each call, and worth nothing behind it.
PASSING_NAMES = frozenset(
    """
    oauth_nonce oauth_signature oauth_timestamp sig signature x-amz-credential x-amz-date
    x-amz-signature x-goog-credential x-goog-date x-goog-signature
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# A JSON object with a text under one of these is an OAuth token answer (RFC 6749 §5.1, OpenID
# Connect Core §3.1.3.3).
_TOKENS = frozenset({"access_token", "refresh_token", "id_token"})
# What all of these end in, in JSON.
TOKEN_MARK = b'_token"'
# The values of these are redacted as URLs are.
_HOLDS_URL = frozenset({"location", "referer", "content-location"})


# Asked with place, name and value; see :attr:`Redaction.rules`.
Rule = Callable[[str, str, str], str | None]


class Found(NamedTuple):
    """A secret value where it stood.

    Attributes:
        place: ``header``, ``cookie``, ``userinfo``, ``query``, ``form``, ``part``, ``json`` or
            ``answer``.
        name: of the header, cookie or field, in lower case.
        value: decoded as its place has it.
    """

    place: str
    name: str
    value: str


# Takes what was found.
Sink = Callable[[Found], object]


def _nowhere(_found: Found) -> None:
    """Take nothing."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which names are secret, in lower case; data, to be replaced or extended.

    Attributes:
        headers: of requests and responses. Of ``Set-Cookie`` only the cookie's value goes.
        names: of query parameters, form fields and JSON members at any depth, of requests.
        userinfo: ``user:password@`` goes from URLs.
        values: what was found to be secret is masked wherever else it turns up in the session.
        tokens: the tokens of OAuth token answers go.
        rules: asked before the lists, one after the other, with place (``header``, ``query``,
            ``form``, ``part``, ``json``), lower-case name and decoded value of each header,
            parameter, field, multipart field and JSON text of requests, and of each header of
            answers. What one returns takes the value's place (the value itself: it stays, listed
            or not); ``None`` leaves it to the next.
    """

    headers: frozenset[str] = SECRET_HEADERS
    names: frozenset[str] = SECRET_NAMES
    userinfo: bool = True
    values: bool = True
    tokens: bool = True
    rules: tuple[Rule, ...] = ()

    def adding(
        self, *rules: Rule, headers: Iterable[str] = (), names: Iterable[str] = ()
    ) -> Redaction:
        """Return this with more names, in any case, and more rules."""
        return replace(
            self,
            headers=self.headers | {name.lower() for name in headers},
            names=self.names | {name.lower() for name in names},
            rules=(*self.rules, *rules),
        )

    def without(self, *, headers: Iterable[str] = (), names: Iterable[str] = ()) -> Redaction:
        """Return this without some of its names."""
        return replace(
            self,
            headers=self.headers - {name.lower() for name in headers},
            names=self.names - {name.lower() for name in names},
        )

    def _ruled(self, place: str, name: str, value: str, into: Sink) -> str | None:
        for rule in self.rules:
            after = rule(place, name, value)
            if after is not None:
                if after != value:
                    into(Found(place, name, value))
                return after
        return None

    def header_pairs(self, pairs: Iterable[tuple[str, str]], into: Sink = _nowhere) -> Headers:
        """Return header pairs without secret values."""
        return tuple([(name, self._header(name.lower(), value, into)) for name, value in pairs])

    def _header(self, name: str, value: str, into: Sink) -> str:
        if self.rules:
            after = self._ruled("header", name, value, into)
            if after is not None:
                return after.replace("\r", " ").replace("\n", " ")
        if name in _HOLDS_URL:
            return self.url(value, into)
        if name not in self.headers:
            return value
        for found in _of_header(name, value, self.names):
            into(found)
        if name == "set-cookie":
            cookie, semicolon, rest = value.partition(";")
            # Without a name the whole is the value (RFC 6265bis §5.6).
            name, equals, text = cookie.partition("=")
            after = stand_in((text if equals else cookie).strip())
            return f"{name if equals else ''}{equals}{after}{semicolon}{rest}"
        scheme, space, credentials = value.strip().partition(" ")
        if space and name.endswith("authorization"):
            return f"{scheme} {stand_in(credentials.strip())}"
        return stand_in(value.strip())

    def head(self, head: bytes, into: Sink = _nowhere) -> bytes:
        """Return the bytes of a status line and headers without secret values.

        Lines without a secret stay as they are, to the byte; so does the line end.
        """
        ruled = bool(self.rules)
        lines_of = _lines_of(frozenset(self.headers))
        if not ruled and not lines_of.search(head.decode("latin-1").lower()):
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
            if not colon or not (ruled or key in self.headers or key in _HOLDS_URL):
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
        if "=" not in url and "@" not in url:
            return url
        start, hash_mark, fragment = url.partition("#")
        base, mark, query = start.partition("?")
        scheme, slashes, rest = base.partition("//")
        if slashes and self.userinfo:
            authority, slash, path = rest.partition("/")
            userinfo, at, host = authority.rpartition("@")
            if at:
                for found in _of_userinfo(*map(unquote, userinfo.partition(":")[::2])):
                    into(found)
            base = f"{scheme}//{host}{slash}{path}"
        query, fragment = self._fields("query", query, into), self._fields("query", fragment, into)
        return f"{base}{mark}{query}{hash_mark}{fragment}"

    def _fields(self, place: str, text: str, into: Sink) -> str:
        if "=" not in text:
            return text
        return "&".join([self._field(place, field, into) for field in text.split("&")])

    def _field(self, place: str, field: str, into: Sink) -> str:
        name, equals, value = field.partition("=")
        if not equals:
            return field
        plain = (unquote_plus(name) if "%" in name or "+" in name else name).lower()
        if self.rules:
            before = unquote_plus(value)
            after = self._ruled(place, plain, before, into)
            if after is not None:
                return field if after == before else f"{name}={quote_plus(after)}"
        if plain not in self.names:
            return field
        into(Found(place, plain, unquote_plus(value)))
        return f"{name}={stand_in(value)}"

    def body(self, body: bytes, content_type: str, into: Sink = _nowhere) -> bytes:
        """Return a request body without the values of secret form fields and JSON members."""
        media = media_type(content_type)
        if media == "application/x-www-form-urlencoded":
            text = body.decode("latin-1")
            return self._fields("form", text, into).encode("latin-1")
        if _json_like(media):
            plain = not self.rules and self._names_nothing(body)
            return body if plain else self._json(body, into)
        if media == "multipart/form-data":
            # Without an end to come, each part would be looked for it through all that is left.
            end = body.rfind(b"\r\n--") + 4
            parts = _PART.sub(lambda match: self._part(match, into), body[:end])
            return parts + body[end:]
        return body

    def _part(self, match: re.Match[bytes], into: Sink) -> bytes:
        """Return a part's head and a placeholder for its content, if its name is secret."""
        name = match["name"].decode("utf-8", "replace").lower()
        value = match["content"].decode("utf-8", "surrogateescape")
        after = self._ruled("part", name, value, into) if self.rules else None
        if after is not None:
            return match["head"] + after.encode("utf-8", "surrogateescape")
        if name not in self.names:
            return match.group()
        into(Found("part", name, value))
        return match["head"] + PLACEHOLDER.encode()

    def _names_nothing(self, body: bytes) -> bool:
        """Say whether a JSON text clearly holds no secret name, without parsing it.

        In UTF-8 without an escape, each of its strings is what stands between two quotes.
        """
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return False
        # UTF-16 and UTF-32, which JSON may come in too, have NULs around the quotes.
        plain = "\\" not in text and "\0" not in text
        return plain and self.names.isdisjoint(text.lower().split('"'))

    def _json(self, body: bytes, into: Sink = _nowhere) -> bytes:
        hits = 0

        def member(pairs: list[tuple[str, object]]) -> dict[str, object]:
            nonlocal hits
            out: dict[str, object] = {}
            taken: set[str] = set()
            for name, value in pairs:
                after = self._member(name.lower(), value, into)
                if after is not value:
                    hits += 1
                    taken.add(name)
                elif name in taken:
                    # The key stands twice: what was taken from its first is not to come back.
                    continue
                out[name] = after
            return out

        try:
            value = json.loads(body, object_pairs_hook=member)
        except (ValueError, RecursionError):
            return body
        if not hits:
            return body
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    def _member(self, name: str, value: object, into: Sink) -> object:
        if self.rules and isinstance(value, str):
            after = self._ruled("json", name, value, into)
            if after is not None:
                return value if after == value else after
        if name not in self.names or value in (None, "", False):
            return value
        for text in _texts(value):
            into(Found("json", name, text))
        return PLACEHOLDER

    def token_answer(self, content: bytes, into: Sink = _nowhere, *, cut: bool = False) -> bytes:
        """Return a JSON answer without its tokens, if it is an OAuth token answer.

        Nothing else of it changes.

        Args:
            cut: it is the beginning of one, and need not parse.
        """
        if not self.tokens or TOKEN_MARK not in content:
            return content
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return self._token_beginning(content, into) if cut else content
        if not isinstance(value, dict) or not any(
            value.get(name) and isinstance(value[name], str) for name in _TOKENS
        ):
            return content
        for name, token in value.items():
            if name.lower() in _TOKENS or name.lower() in self.names:
                for text in _texts(token):
                    into(Found("answer", name.lower(), text))

        def member(match: re.Match[bytes]) -> bytes:
            name = match["name"].decode("utf-8", "replace").lower()
            if name not in _TOKENS and name not in self.names:
                return match.group()
            after = stand_in(match["text"].decode("utf-8", "replace"))
            return match["head"] + b'"' + after.encode("ascii") + b'"'

        return _MEMBER.sub(member, content)

    def _token_beginning(self, content: bytes, into: Sink) -> bytes:
        """Return the beginning of what may be a token answer without texts that may be tokens."""

        def member(match: re.Match[bytes]) -> bytes:
            name = match["name"].decode("utf-8", "replace").lower()
            if name not in _TOKENS and name not in self.names:
                return match.group()
            if match["end"] == b'"':
                into(Found("answer", name, match["text"].decode("utf-8", "replace")))
            return match["head"] + b'"' + PLACEHOLDER.encode() + match["end"]

        return _BEGUN.sub(member, content)

    def text(self, text: str, into: Sink = _nowhere) -> str:
        """Return a message with the URLs in it redacted."""
        return _URL.sub(lambda match: self.url(match.group(), into), text)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _of_header(name: str, value: str, names: frozenset[str]) -> Iterator[Found]:
    """Yield the secrets of a header that holds some, as far as they can be used elsewhere."""
    if name in ("cookie", "set-cookie", "set-cookie2"):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        for pair in pairs:
            key, _, text = pair.rpartition("=") if "=" not in pair else pair.partition("=")
            yield Found("cookie", key.strip().lower(), text.strip().strip('"'))
        return
    if not name.endswith("authorization"):
        yield Found("header", name, value)
        return
    scheme, space, rest = value.partition(" ")
    credentials = rest.strip() if space else scheme
    if scheme.lower() == "basic" and space:
        try:
            data = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        try:
            plain = data.decode("utf-8")
        except UnicodeDecodeError:
            plain = data.decode("latin-1")
        yield from _of_userinfo(*plain.partition(":")[::2])
        yield Found("header", name, credentials)
    elif _PARAMETERS.search(credentials):
        # ``OAuth oauth_token="…", …``: the parts by their names; the whole is never sent twice.
        for match in _PARAMETERS.finditer(credentials):
            if match["name"].lower() in names:
                yield Found("header", match["name"].lower(), unquote(match["value"]))
    else:
        yield Found("header", name, credentials)


def _of_userinfo(user: str, password: str) -> Iterator[Found]:
    yield Found("userinfo", "user", user)
    yield Found("userinfo", "password", password)


_PARAMETERS = re.compile(
    r"""(?:^|[\s,])(?P<name>[\w-]+)=(?P<quote>["']?)(?P<value>[^"',\s=][^"',\s]*)"""
)
_MEMBER = re.compile(rb'(?P<head>"(?P<name>[^"\\]*)"\s*:\s*)"(?P<text>(?:[^"\\]|\\.)+)"')
# The same, or the beginning of one.
_BEGUN = re.compile(
    rb'(?P<head>"(?P<name>[^"\\]*)"\s*:\s*)"(?P<text>(?:[^"\\]|\\.)+)(?P<end>"|\\?\Z)'
)

# A URL in a message, or the query of one. (A scheme is short, or a long word would be looked
# through again from each of its letters.)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s'\"<>)]+|\?[^\s'\"<>)]+", re.IGNORECASE)

# A part of multipart/form-data: its head with the field's name, its content up to the boundary.
# (A head has few lines, or each that looks like its first would be looked behind to the end.)
_PART = re.compile(
    rb"""(?P<head>^content-disposition:[^\r\n]{0,2048};\s*name="?(?P<name>[^"\r\n;]*)"?"""
    rb"""[^\r\n]{0,2048}\r\n"""
    rb"""(?:[^\r\n]+\r\n){0,32}\r\n)(?P<content>.*?)(?=\r\n--)""",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


def has_fields(content_type: str) -> bool:
    """Say whether bodies of this media type have named fields to redact."""
    media = media_type(content_type)
    named = ("application/x-www-form-urlencoded", "multipart/form-data")
    return media in named or _json_like(media)


def _json_like(media: str) -> bool:
    """Say whether a media type is JSON, also under a name of its owner's (``x-amz-json-1.1``)."""
    return is_json(media) or "json" in media.partition("/")[2]


@lru_cache(maxsize=16)
def _lines_of(headers: frozenset[str]) -> re.Pattern[str]:
    """Return what finds, in the lower-case text of a head, a line that redaction may touch."""
    names = "|".join(re.escape(name) for name in sorted(headers | _HOLDS_URL))
    return re.compile(rf"\n[^\S\n]*(?:{names})[^\S\n]*:")


DEFAULT = Redaction()
NOTHING = Redaction(
    headers=frozenset(), names=frozenset(), userinfo=False, values=False, tokens=False
)
