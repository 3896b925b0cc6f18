"""What users write to say that something of a call does not count: ``t``, ``$.meta.ts``, ….

See :meth:`mxm_dataio.identity.view.Call.without`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from ..patterns import regex

# A step of ``$.rows[*].id``.
_STEP = regex(r"\.([^.\[\]]+)|\[(\d+|\*)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_PLACES = ("header", "xml", "path")
# What stands in a path for what does not count.
ANYTHING = "*"


class Names(NamedTuple):
    """What does not count, by where it stands.

    Attributes:
        anywhere: names of parameters, fields, parts, members and elements, in lower case.
        pointers: places in JSON, as steps; ``*`` is any item or member.
        headers: names of headers, in lower case.
        xml: names of elements and attributes, without prefix, in lower case.
        paths: patterns of paths.
    """

    anywhere: frozenset[str] = frozenset()
    pointers: tuple[tuple[str, ...], ...] = ()
    headers: frozenset[str] = frozenset()
    xml: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    @staticmethod
    def of(words: Iterable[str]) -> Names:
        """Return what some words say.

        Raises:
            ValueError: one is no name.
        """
        return _names(tuple(words))

    @property
    def placed(self) -> Names:
        """Those that hold for one place, which no list of names can say."""
        return Names(pointers=self.pointers, headers=self.headers, paths=self.paths)

    def __bool__(self) -> bool:
        return self != _NOTHING

    def __or__(self, other: Names) -> Names:
        return Names(
            self.anywhere | other.anywhere,
            tuple(dict.fromkeys((*self.pointers, *other.pointers))),
            self.headers | other.headers,
            self.xml | other.xml,
            tuple(dict.fromkeys((*self.paths, *other.paths))),
        )

    def pointed(self, value: Any) -> Any:
        """Return a JSON value without what stands at the pointers."""
        for steps in self.pointers:
            value = _without(value, steps)
        return value

    def left_of(self, value: Any) -> Any:
        """Return a JSON value without members by a name, at any depth."""
        if isinstance(value, list):
            return [self.left_of(one) for one in value]
        if isinstance(value, dict):
            kept = (pair for pair in value.items() if pair[0].lower() not in self.anywhere)
            return {name: self.left_of(one) for name, one in kept}
        return value

    def path(self, path: str) -> str:
        """Return a path with :data:`ANYTHING` for what does not count."""
        for pattern in self.paths:
            compiled = _compiled(pattern)
            if pattern.startswith("/"):
                if compiled.fullmatch(path):
                    return pattern
            else:
                steps = path.split("/")
                path = "/".join(pattern if compiled.fullmatch(one) else one for one in steps)
        return path


_NOTHING = Names()


@lru_cache(maxsize=256)
def _names(words: tuple[str, ...]) -> Names:
    anywhere, pointers, headers, xml, paths = set(), [], set(), set(), []
    for word in words:
        place, colon, name = word.partition(":")
        if word.startswith("$"):
            pointers.append(_json_path(word))
        elif word.startswith("/"):
            pointers.append(_json_pointer(word))
        elif colon and place in _PLACES and not name:
            raise ValueError(f"{word!r} has no name behind {place}:")
        elif colon and place == "header":
            headers.add(name.strip().lower())
        elif colon and place == "xml":
            xml.add(name.rpartition(":")[2].lower())
        elif colon and place == "path":
            paths.append(name)
        elif word:
            anywhere.add(word.lower())
        else:
            raise ValueError("a name is empty")
    return Names(
        frozenset(anywhere), tuple(pointers), frozenset(headers), frozenset(xml), tuple(paths)
    )


def _json_path(text: str) -> tuple[str, ...]:
    """Return the steps of ``$.meta.ts`` or ``$['meta'].rows[*]`` (a part of RFC 9535)."""
    steps: list[str] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no place in JSON, as $.meta.ts and $.rows[*].id are")
        steps.append(next(group for group in match.groups() if group is not None))
        at = match.end()
    if not steps:
        raise ValueError("'$' is the whole of a body: ignore_body_of=[…] leaves out bodies")
    return tuple(steps)


def _json_pointer(text: str) -> tuple[str, ...]:
    """Return the steps of a JSON pointer (RFC 6901 §4)."""
    return tuple(one.replace("~1", "/").replace("~0", "~") for one in text[1:].split("/"))


def _without(value: Any, steps: tuple[str, ...]) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        hit = value.keys() if step == "*" and step not in value else {step} & value.keys()
        return {
            name: _without(one, rest) if name in hit else one
            for name, one in value.items()
            if rest or name not in hit
        }
    if isinstance(value, list):
        hit = {str(place) for place in range(len(value))}
        hit = hit if step == "*" else hit & {step}
        return [
            _without(one, rest) if str(place) in hit else one
            for place, one in enumerate(value)
            if rest or str(place) not in hit
        ]
    return value


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern: ``*`` is anything within a segment, ``?`` one letter."""
    pieces = re.split(r"([*?])", pattern)
    made = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(made.get(piece) or re.escape(piece) for piece in pieces))
