"""Every value of JSON (RFC 8259) asked for by the name that it stands under, at any depth.

Of an element of an array that is the name of the array. What :mod:`.json_values` passes over, since
few names are of secrets, is read here token by token: one value or many, or the beginning of one.
"""

from __future__ import annotations

import json
import re

from ..patterns import regex
from . import json_values
from .named_values import Kind, Replace

# The tokens of JSON in whatever order, the last of them perhaps cut off.
_SOUND = regex(
    r'(?:[\s{}\[\],:\ufeff]++|"(?:[^"\\]++|\\.)*+"'
    r"|-?[0-9][0-9.eE+-]*+|true|false|null|NaN|-?Infinity)*+"
    r'(?:"(?:[^"\\]++|\\.)*+\\?|[a-zA-Z-]++)?\Z',
    re.DOTALL,
)
_TOKEN = regex(
    r'"(?P<text>(?:[^"\\]++|\\.)*+)(?:"(?P<colon>\s*+:)?|\\?\Z)'
    r"|(?P<open>[{\[])|(?P<close>[}\]])|(?P<literal>[^\s\"{}\[\],:]++)",
    re.DOTALL,
)
_NUMBER = regex(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = frozenset(["true", "false", "null"])


def is_sound(text: str) -> bool:
    """Say whether a text consists of the tokens of JSON, whatever of its end is missing."""
    return _SOUND.match(text) is not None


def replace_all(text: str, replace: Replace) -> str:
    """Return JSON, or what is like it, with some of its values replaced.

    A number takes a number's place, a word of JSON a word's; all else is written as a text.

    Args:
        replace: asked for each text and literal.
    """
    if is_sound(text):
        return scan(text, replace)
    lines = text.splitlines(keepends=True)
    if len(lines) > 1 and all(line.lstrip()[:1] in ("{", "[", "") for line in lines):
        # One of them is no JSON, or is cut off: the others are.
        return "".join([replace_all(line, replace) for line in lines])
    return json_values.replace_text(text, replace)


def scan(text: str, replace: Replace) -> str:
    """Return a text with the values of its JSON replaced, whatever else is in it."""
    pieces: list[str] = []
    at = 0
    above: list[str] = []
    name = ""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            above.append(name)
        elif kind == "close":
            name = above.pop() if above else ""
        elif kind == "colon":
            name = json_values.unquoted(f'"{match["text"]}"')
        else:
            written = match[0]
            if kind == "text":
                value = json_values.unquoted(f'"{match["text"]}"')
                after = replace(name, value, Kind.TEXT)
                if after is not None and after != value:
                    after = json.dumps(after, ensure_ascii=written.isascii())
                    pieces += [text[at : match.start()], after]
                    at = match.end()
            elif (_NUMBER.fullmatch(written) or written in _WORDS) and (
                above or written == text.strip()
            ):
                after = replace(name, written, Kind.LITERAL)
                if after is not None and after != written:
                    pieces += [text[at : match.start()], _literal(written, after)]
                    at = match.end()
    return "".join([*pieces, text[at:]]) if pieces else text


def mended(text: str) -> str:
    """Return JSON in which a text that took a number's place is written as a text."""

    def one(match: re.Match[str]) -> str:
        written = match[0]
        odd = match["literal"] and not (_NUMBER.fullmatch(written) or written in _WORDS)
        return json.dumps(written) if odd else written

    return _TOKEN.sub(one, text)


def _literal(before: str, after: str) -> str:
    if _NUMBER.fullmatch(before):
        return after if _NUMBER.fullmatch(after) else json.dumps(after)
    return after if after in _WORDS else json.dumps(after)
