"""Secrets in messages: in URLs, and wherever a text has a name and a value.

An error's text quotes what it is about as it likes: a URL that no pattern knows the end of, a
header's line, the ``repr`` of a mapping. What was asked is better known to who asked it, see
:meth:`mxm_dataio.redaction.secrets.Secrets.about`; this is for all else.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..http.tokens import PLACEHOLDER
from ..patterns import regex

# A URL, or the query of one. (A scheme is short, or a long word would be looked through again
# from each of its letters.)
_URL = regex(r"[a-z][a-z0-9+.-]{0,30}://[^\s'\"<>)]+|\?[^\s'\"<>)]+", re.IGNORECASE)
# Userinfo before a host and its port, as in ``nonnumeric port: 'password@localhost:80'``.
_USERINFO = regex(r"(?<![^\s'\"])[^\s'\"<>/@]{1,1024}@(?=[A-Za-z0-9.\[\]:-]{1,255}:[0-9])")
# ``name=value``, of a query whose beginning was cut off among others.
_FIELD = regex(
    r"(?<![\w.%$\[\]-])(?P<head>(?P<name>[\w.%$\[\]-]{1,64})=b?['\"]?)(?P<value>[^\s&'\"<>(),;]+)"
)
# ``'name': 'value'``, ``"name": b"value"``.
_MEMBER = regex(
    r"""(?P<head>(?P<quote>['"])(?P<name>[^'"\n]{1,64})(?P=quote)\s{0,2}[:,]\s{0,2}b?"""
    r"""(?P<open>['"]))(?P<value>(?:(?!(?P=open))[^\\\n]|\\.)*)"""
)
# ``Name: value``, a header's line.
_LINE = regex(
    r"(?<![\w-])(?P<head>(?P<name>[A-Za-z][A-Za-z0-9_-]{2,63}):[ \t]{1,4})(?P<value>[^\r\n'\"]+)"
)
_LINES = frozenset(["authorization", "cookie"])


def redacted(
    text: str,
    url: Callable[[str], str],
    secret: Callable[[str], bool],
    secret_header: Callable[[str], bool],
) -> str:
    """Return a message without what stands in it under secret names.

    Args:
        url: returns a URL, or what begins with a query, without its secrets.
        secret: says so of the name of a field.
        secret_header: says so of a header's.
    """

    def field(match: re.Match[str]) -> str:
        return match["head"] + PLACEHOLDER if secret(match["name"]) else match[0]

    def member(match: re.Match[str]) -> str:
        named = secret(match["name"]) or secret_header(match["name"])
        return match["head"] + PLACEHOLDER if named else match[0]

    def line(match: re.Match[str]) -> str:
        # "token: …" is more often a sentence.
        name = match["name"].lower()
        named = ("-" in name or name in _LINES) and secret_header(name)
        return match["head"] + PLACEHOLDER if named else match[0]

    text = urls_redacted(text, url)
    if "@" in text:
        text = _USERINFO.sub(lambda match: url(f"//{match[0]}")[2:], text)
    if "=" in text:
        text = _FIELD.sub(field, text)
    if ":" in text or "," in text:
        text = _LINE.sub(line, _MEMBER.sub(member, text))
    return text


def urls_redacted(text: str, url: Callable[[str], str]) -> str:
    """Return a text with the URLs in it redacted."""
    return _URL.sub(lambda match: url(match[0]), text)
