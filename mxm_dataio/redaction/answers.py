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
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from ..http.named_values import Kind, replace_in
from ..http.tokens import PLACEHOLDER, parsed, stand_in
from ..patterns import regex
from .answer_names import PERHAPS, SPACE, Asked, Names, squashed
from .values import looks_drawn

# Longer ones are looked into only where a log-in may be what is answered.
ORDINARY = 32 << 10
LARGEST = 1 << 20
_SIGNED = frozenset({"access", "bearer", "refresh", "token"})
BLANK = regex(r"[\ufeff\s]*")
_UNSURE = regex(r"[\"'](?:access|bearer|key|refresh|sid|token)\\?[\"']", re.IGNORECASE)
_ADDRESS = regex(r"0x[0-9a-fA-F]{6,}")
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
HTML = regex(r"<!doctype html|<html|<head|<body", re.IGNORECASE)
_FIELD_NAME, _FIELD_VALUE = r"[\w.%\[\]-]{1,100}", r"[^\s<>{}\"&]*+"
_FIELD = regex(f"(?P<name>{_FIELD_NAME})=(?P<value>{_FIELD_VALUE})", re.ASCII)
_ONE = f"{_FIELD_NAME}={_FIELD_VALUE}"
_FORM = regex(rf"{_ONE}(?:[&\r\n]++{_ONE})*+", re.ASCII)
# What keeps JSON from being run as a script (AngularJS, Google), or runs it (JSONP).
BEFORE = regex(
    r"\s*+(?:(?:\)\]\}'?,?|while\s*+\(1\);|for\s*+\(;;\);|[\w$.]{1,100}+\s*+\()\s*+)?+(?=[\[{])"
)
# Told of each value that was taken out: its name in lower case, and what it was.
Told = Callable[[str, str], object]


def cleaned(
    content: bytes,
    names: Names,
    asked: Asked,
    told: Told,
    kept: Container[tuple[str, str]] = (),
) -> bytes:
    """Return an answer's body without what is secret in it; the same object, if nothing is.

    Args:
        kept: names in lower case and their values that stay.
    """
    return replace_in(content, _Answer(names, asked, told, kept).clean)


class _Answer:
    def __init__(
        self, names: Names, asked: Asked, told: Told, kept: Container[tuple[str, str]]
    ) -> None:
        self._kept = kept
        self._names = names
        self._asked = asked
        self._told = told
        self._logins: frozenset[str] = frozenset()

    def clean(self, text: str) -> str:
        start = BLANK.match(text)
        begins = text[start.end() : start.end() + 512] if start else ""
        if begins.startswith("<"):
            if HTML.search(begins):
                return text
            from ..http import xml_values  # few answers need them, and so below

            return xml_values.replace_text(text, self._in_xml)
        if begins[:1] in ("{", "[") or BEFORE.match(text):
            self._logins = frozenset(self._beside(text))
            from ..http import json_values

            return json_values.replace_text(text, self._in_json)
        if len(text) <= ORDINARY and _FORM.fullmatch(text.strip()):
            return self._form(text)
        return text

    def _in_json(self, name: str, value: str, kind: Kind) -> str | None:
        if kind in (Kind.GROUP, Kind.LITERAL):
            return None
        if value[:1] in ("{", "[") and '"' in value:
            # JSON in a string of JSON: whoever reads it is to be able to.
            from ..http import json_values

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
        if (name.lower(), value) in self._kept:
            return value
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
            for name in PERHAPS & fields.keys():
                if isinstance(fields[name], str) and self._counts(name, fields):
                    found.append(fields[name])
            return fields

        before = BEFORE.match(text)
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
    return looks_drawn(value) and not (_ADDRESS.fullmatch(value) or SPACE.search(value))
