"""Which source a call belongs to, by rules on its host; a session may record several at once.

A rule is a host pattern and a source's name. The most specific rule that matches decides, in
whatever order they were given: an exact host before a pattern, a longer pattern before a shorter.
A pattern's ``*`` stands for any characters, ``?`` for one; with ``:8080`` behind it, it holds for
that port alone, and goes before the same without. ``*.example.com`` does not match
``example.com``. A call of no rule's, and one whose endpoint is no URL, is the session's own.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import NamedTuple

from .identity import split_url

_PORTS = {"http": "80", "https": "443"}
_REMEMBERED = 4096
_PORT = re.compile(r"(.*):(\d+)")


class _Rule(NamedTuple):
    host: str
    port: str
    source: str

    @property
    def rank(self) -> tuple[bool, int, bool, str]:
        """What sorts the most specific rule first."""
        wild = "*" in self.host or "?" in self.host
        literal = len(self.host) - self.host.count("*") - self.host.count("?")
        return wild, -literal, not self.port, self.host

    def matches(self, host: str, port: str) -> bool:
        if self.port and self.port != port:
            return False
        if "*" in self.host or "?" in self.host:
            # A bracket is that of an IPv6 address, not of a set of characters.
            return fnmatch.fnmatchcase(host, self.host.replace("[", "[[]"))
        return host == self.host


class Rules:
    """A session's rules.

    Args:
        rules: host pattern, in lower case → source.
        default: the session's own source.
    """

    def __init__(self, rules: Mapping[str, str], default: str) -> None:
        self._rules = sorted((_rule(*one) for one in rules.items()), key=lambda rule: rule.rank)
        self._default = default
        self._known: dict[tuple[str, str], str] = {}

    @property
    def sources(self) -> frozenset[str]:
        """Every source that a call may belong to."""
        return frozenset({self._default, *(rule.source for rule in self._rules)})

    def of(self, url: str) -> str:
        """Return the source of a call."""
        scheme, mark, rest = url.partition("://")
        if not mark:
            return self._default
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        key = scheme, authority
        source = self._known.get(key)
        if source is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            source = self._known[key] = self._find(f"{scheme}://{authority}/")
        return source

    def _find(self, url: str) -> str:
        scheme, _, rest = split_url(url)[0].partition("://")
        host, port = _split(rest.removesuffix("/"))
        port = port or _PORTS.get(scheme, "")
        return next((r.source for r in self._rules if r.matches(host, port)), self._default)


def _rule(pattern: str, source: str) -> _Rule:
    host, port = _split(pattern)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return _Rule(host, port, source)


def _split(authority: str) -> tuple[str, str]:
    """Return host and port; the colons of a bare IPv6 address are none before a port."""
    found = _PORT.fullmatch(authority)
    if found is None or (":" in found[1] and not found[1].endswith("]")):
        return authority, ""
    return found[1], found[2]
