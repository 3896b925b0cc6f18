"""What never reaches disk: the names that carry secrets, and how their values are replaced.

Pure. Redaction happens before anything is written, hashed or logged. What is redacted does not
count in ``params_hash`` either, so a recording made with one key replays with another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_plus

from .models import Headers
from .utils import is_json, media_type

PLACEHOLDER = "REDACTED"

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
# The values of these are redacted as URLs are.
_HOLDS_URL = frozenset({"location", "referer", "content-location"})


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which names are secret, in lower case; data, to be replaced or extended.

    Attributes:
        headers: of requests and responses. Of ``Set-Cookie`` only the cookie's value goes.
        names: of query parameters, form fields and JSON members at any depth, of requests.
        userinfo: ``user:password@`` goes from URLs.
    """

    headers: frozenset[str] = SECRET_HEADERS
    names: frozenset[str] = SECRET_NAMES
    userinfo: bool = True

    def header_pairs(self, pairs: Iterable[tuple[str, str]]) -> Headers:
        """Return header pairs without secret values."""
        return tuple([(name, self._header_value(name.lower(), value)) for name, value in pairs])

    def _header_value(self, name: str, value: str) -> str:
        if name in _HOLDS_URL:
            return self.url(value)
        if name not in self.headers:
            return value
        if name == "set-cookie":
            cookie, semicolon, rest = value.partition(";")
            # Without a name the whole is the value (RFC 6265bis §5.6).
            name, equals, _ = cookie.partition("=")
            return f"{name if equals else ''}{equals}{PLACEHOLDER}{semicolon}{rest}"
        scheme, space, _ = value.strip().partition(" ")
        if space and name.endswith("authorization"):
            return f"{scheme} {PLACEHOLDER}"
        return PLACEHOLDER

    def head(self, head: bytes) -> bytes:
        """Return the bytes of a status line and headers without secret values.

        Lines without a secret stay as they are, to the byte; so does the line end.
        """
        if not _lines_of(frozenset(self.headers)).search(head.decode("latin-1").lower()):
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
            if not colon or (key not in self.headers and key not in _HOLDS_URL):
                continue
            before = value.decode("latin-1").rstrip("\r")
            after = self._header_value(key, before.strip())
            if after != before.strip():
                folded = True
                end = b"\r" if line.endswith(b"\r") else b""
                lines[index] = name + b": " + after.encode("latin-1", "replace") + end
        return b"\n".join(lines)

    def url(self, url: str) -> str:
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
            base = f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}"
        return f"{base}{mark}{self._fields(query)}{hash_mark}{self._fields(fragment)}"

    def _fields(self, text: str) -> str:
        return "&".join(map(self._field, text.split("&"))) if "=" in text else text

    def _field(self, field: str) -> str:
        name, equals, _ = field.partition("=")
        plain = unquote_plus(name) if "%" in name or "+" in name else name
        secret = equals and plain.lower() in self.names
        return f"{name}={PLACEHOLDER}" if secret else field

    def body(self, body: bytes, content_type: str) -> bytes:
        """Return a request body without the values of secret form fields and JSON members."""
        media = media_type(content_type)
        if media == "application/x-www-form-urlencoded":
            text = body.decode("latin-1")
            return "&".join(self._field(field) for field in text.split("&")).encode("latin-1")
        if _json_like(media):
            return body if self._names_nothing(body) else self._json(body)
        if media == "multipart/form-data":
            return _PART.sub(self._part, body)
        return body

    def _part(self, match: re.Match[bytes]) -> bytes:
        """Return a part's head and a placeholder for its content, if its name is secret."""
        name = match["name"].decode("utf-8", "replace").lower()
        secret = name in self.names
        return match["head"] + PLACEHOLDER.encode() if secret else match.group()

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

    def _json(self, body: bytes) -> bytes:
        hits = 0

        def member(pairs: list[tuple[str, object]]) -> dict[str, object]:
            nonlocal hits
            out: dict[str, object] = {}
            for name, value in pairs:
                if name.lower() in self.names and value not in (None, "", False):
                    hits += 1
                    value = PLACEHOLDER
                if out.get(name) != PLACEHOLDER:
                    out[name] = value
            return out

        try:
            value = json.loads(body, object_pairs_hook=member)
        except (ValueError, RecursionError):
            return body
        if not hits:
            return body
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    def text(self, text: str) -> str:
        """Return a message with the URLs in it redacted."""
        return _URL.sub(lambda match: self.url(match.group()), text)


_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>)]+|/[^\s'\"<>)]*\?[^\s'\"<>)]+", re.IGNORECASE)

# A part of multipart/form-data: its head with the field's name, its content up to the boundary.
_PART = re.compile(
    rb"""(?P<head>content-disposition:[^\r\n]*;\s*name="?(?P<name>[^"\r\n;]*)"?[^\r\n]*\r\n"""
    rb"""(?:[^\r\n]+\r\n)*\r\n)(?P<content>.*?)(?=\r\n--)""",
    re.IGNORECASE | re.DOTALL,
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
NOTHING = Redaction(headers=frozenset(), names=frozenset(), userinfo=False)
