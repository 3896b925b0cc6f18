"""URLs and hosts in their normal form (RFC 3986 §6, RFC 9110 §4.2.3)."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

from ..patterns import regex
from ..utils import utf8

DEFAULT_PORTS = {"http": 80, "https": 443}
# UTS 46 maps these to nothing: soft hyphen, zero-width characters, variation selectors.
_IGNORED = frozenset("\u00ad\u200b\u2060\ufeff") | {chr(c) for c in range(0xFE00, 0xFE10)}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = _UNRESERVED | frozenset(b"/!$&'()*+,;=:@")
_ESCAPE = regex(rb"%([0-9A-Fa-f]{2})|([^A-Za-z0-9._~-])")
# A URL that is its own normal form, up to its query: no upper case, userinfo or default port
# before the path, nothing in it that is or wants to be encoded, ASCII without "#" behind it.
_NORMAL = regex(
    r"(https?://[a-z0-9._-]+"
    r"(?::(?!(?:80|443)/)[1-9][0-9]*)?"
    r"/[A-Za-z0-9._~/!$&'()*+,;=:@-]*)"
    r"(?:\?([\x21\x22\x24-\x7e]*))?"
)


def split_url(url: str) -> tuple[str, bytes]:
    """Return the normalised endpoint of a URL and its raw query."""
    normal = _NORMAL.fullmatch(url)
    if normal is not None:
        endpoint, query = normal.groups("")
        return endpoint, query.encode("ascii")
    return _split_general(url)


def _split_general(url: str) -> tuple[str, bytes]:
    if "://" not in url:
        # No URL: a name that means something to the source's fetcher, and only to it.
        return url, b""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # No client can use it, and which says so and how is not ours to decide.
        return _split_unusable(url)
    scheme = parts.scheme.lower()
    if scheme.endswith("+unix"):
        # The path of a socket, in which upper and lower case are two.
        host = normal_escapes(parts.netloc, _UNRESERVED)
    else:
        host = normal_host(parts.hostname or "")
        if port is not None and port != DEFAULT_PORTS.get(scheme):
            host = f"{host}:{port}"
    query = utf8(parts.query)
    path = normal_escapes(parts.path, _PATH_SAFE) or "/"
    return f"{scheme}://{host}{path}", query


def _split_unusable(url: str) -> tuple[str, bytes]:
    """Return a URL without userinfo and fragment, as it is, and its raw query."""
    start, _, query = url.partition("#")[0].partition("?")
    scheme, _, rest = start.partition("://")
    authority, slash, path = rest.partition("/")
    endpoint = f"{scheme.lower()}://{authority.rpartition('@')[2]}{slash}{path}"
    return endpoint, utf8(query)


def normal_host(host: str) -> str:
    """Return a host as it identifies: lower-case A-labels, or an IP address, compressed.

    Labels are mapped as UTS 46 does without transitional processing (as requests does, through
    the idna package), so that ``ß`` stays itself.
    """
    if ":" in host:
        address, percent, zone = host.partition("%")
        try:
            return f"[{ipaddress.IPv6Address(address).compressed}{percent}{zone}]"
        except ValueError:
            return f"[{host.lower()}]"
    if not host.isascii():
        host = "".join(c.lower() for c in unicodedata.normalize("NFKC", host) if c not in _IGNORED)
        host = unicodedata.normalize("NFC", host).replace("。", ".")
        host = ".".join(
            label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
            for label in host.split(".")
        )
    return host.lower()


def normal_escapes(text: str, safe: frozenset[int]) -> str:
    """Return text with its percent-encoding normalised (RFC 3986 §6.2.2.1 and §6.2.2.2)."""

    def one(match: re.Match[bytes]) -> bytes:
        escaped, bare = match.groups()
        byte = int(escaped, 16) if escaped else bare[0]
        if byte in (_UNRESERVED if escaped else safe):
            return bytes((byte,))
        return b"%%%02X" % byte

    return _ESCAPE.sub(one, utf8(text)).decode("ascii")
