"""Values of JSON (RFC 8259) replaced in place: every other byte stays.

Reads what has a name in any text that is like JSON: one value or many (JSON lines), with commas
too many, single quotes, bare names or comments, cut off, nested however deep. Linear in its size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from .named_values import Kind, Replace, replace_in

_STRING = r'"(?:[^"\\]++|\\.)*+"'
# What consists of JSON's tokens, in whatever order: its strings are where they seem to be.
_SOUND = re.compile(
    rf"(?:[\s{{}}\[\],:\ufeff]++|{_STRING}|-?[0-9][0-9.eE+-]*+|true|false|null|NaN|-?Infinity)*+\Z",
    re.DOTALL,
)
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})(?P<colon>\s*+:)?|(?P<open>[{{\[])|(?P<close>[}}\]])"
    r"|(?P<literal>[^\s\"{}\[\],:]++)",
    re.DOTALL,
)
_NAMES = re.compile(rf"({_STRING})\s*+:", re.DOTALL)
# A name and the beginning of its value, in a text whose quotes need not pair up.
_MEMBER = re.compile(
    r"""(?:(?<!\\)(?P<quote>\\{0,7}["'])(?P<name>(?:[^"'\\\n]|\\[^"'\n]){1,200})(?P=quote)"""
    r"""|(?<![\w.$-])(?P<bare>[A-Za-z_$][\w.$-]{0,199}+))\s*+:\s*+"""
    r"""(?P<value>"(?P<double>(?:[^"\\]++|\\.)*+)(?:"|\\?\Z)"""
    r"""|'(?P<single>(?:[^'\\]++|\\.)*+)(?:'|\\?\Z)"""
    r"""|\\{1,7}["'](?P<inner>[^"'\\]*+)"""
    r"""|(?P<open>[{\[])|(?P<literal>[^\s,}\]"'{\[]++))""",
    re.DOTALL,
)
_LITERALS = re.compile(
    r"-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity|undefined|None|True|False"
)
_BRACKETS = re.compile(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]++|\\.)*+(?:'|\\?\Z))(?P<colon>\s*+:)?"""
    r"""|(?P<open>[{\[])|(?P<close>[}\]])""",
    re.DOTALL,
)


def replace_json(body: bytes, replace: Replace) -> bytes:
    """Return JSON, in any of its encodings, with some of its values replaced.

    Args:
        replace: asked for each value that has a name, and for each text.

    Returns:
        The same object, if nothing was replaced.
    """
    return replace_in(body, lambda text: replace_text(text, replace))


def replace_text(text: str, replace: Replace) -> str:
    """Return a text of JSON, or of what is like it, with some of its values replaced."""
    if _SOUND.match(text):
        return _replaced(text, replace)
    return _replaced_leniently(text, replace)


def names_nothing(text: str, secret: Callable[[str], bool]) -> bool:
    """Say whether a text of JSON clearly has no name that is secret, and no JSON in its strings."""
    if '\\"' in text or "\\u" in text or not _SOUND.match(text):
        return False
    return not any(map(secret, {name[1:-1].lower() for name in _NAMES.findall(text)}))


def _replaced(text: str, replace: Replace) -> str:
    pieces: list[str] = []
    at = depth = 0
    name: str | None = None
    # Of the group that is being replaced: its name and what takes its place.
    group, instead, start = "", "", 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "colon":
            if not depth:
                name = unquoted(match["string"])
            continue
        if depth:
            if kind == "open":
                depth += 1
            elif kind == "close":
                depth -= 1
                if not depth:
                    pieces += [text[at:start], instead]
                    at = match.end()
            elif kind == "string":
                replace(group, unquoted(match["string"]), Kind.TEXT)
            continue
        after = None
        if kind == "string":
            value = unquoted(match["string"])
            if name is None:
                after = replace("", value, Kind.ELEMENT)
            else:
                after = replace(name, value, Kind.TEXT)
            after = None if after == value else after
        elif name is not None and kind == "literal":
            after = replace(name, match["literal"], Kind.LITERAL)
        elif name is not None and kind == "open":
            after = replace(name, "", Kind.GROUP)
            if after is not None:
                group, instead, start, depth = name, json.dumps(after), match.start(), 1
                name = None
                continue
        name = None
        if after is not None:
            pieces += [text[at : match.start()], json.dumps(after)]
            at = match.end()
    if depth:
        # It has no end.
        pieces += [text[at:start], instead]
        at = len(text)
    return "".join([*pieces, text[at:]]) if pieces else text


def _replaced_leniently(text: str, replace: Replace) -> str:
    pieces: list[str] = []
    at = position = 0
    while (match := _MEMBER.search(text, position)) is not None:
        # What looks like a value may be another member: its quote was none.
        position = match.start("value")
        name = match["bare"] or unquoted(f'"{match["name"]}"')
        start, end = match.span("value")
        if match["open"]:
            after = replace(name, "", Kind.GROUP)
            if after is not None:
                end = _end_of_group(text, start, name, replace)
        elif match["literal"]:
            kind = Kind.LITERAL if _LITERALS.fullmatch(match["literal"]) else Kind.TEXT
            after = replace(name, match["literal"], kind)
            after = None if after == match["literal"] else after
        elif match["inner"] is not None:
            # Of JSON in a string of a text that is none.
            start, end = match.span("inner")
            after = replace(name, match["inner"], Kind.TEXT)
            after = None if after == match["inner"] else after
        else:
            value = unquoted('"' + (match["double"] or match["single"] or "") + '"')
            after = replace(name, value, Kind.TEXT)
            after = None if after == value else after
        if after is not None:
            quoted = json.dumps(after)
            pieces += [text[at:start], quoted if match["inner"] is None else quoted[1:-1]]
            at = position = end
    return "".join([*pieces, text[at:]]) if pieces else text


def _end_of_group(text: str, start: int, name: str, replace: Replace) -> int:
    depth = 0
    for match in _BRACKETS.finditer(text, start):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
            if not depth:
                return match.end()
        elif not match["colon"]:
            replace(name, unquoted(f'"{match["string"][1:-1]}"'), Kind.TEXT)
    return len(text)


def unquoted(string: str) -> str:
    """Return the text that a string of JSON stands for, as far as it stands for one."""
    if "\\" not in string:
        return string[1:-1]
    try:
        value = json.loads(string, strict=False)
    except ValueError:
        return string[1:-1]
    return value if isinstance(value, str) else string[1:-1]
