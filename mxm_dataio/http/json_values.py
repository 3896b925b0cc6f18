"""Values of JSON (RFC 8259) replaced in place: every other byte stays.

Reads what has a name in any text that is like JSON: one value or many (JSON lines), with commas
too many, single quotes, bare names or comments, cut off, nested however deep. Linear in its size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

from ..patterns import regex
from .named_values import Kind, Replace, replace_in, text_of

_STRING = r'"(?:[^"\\]++|\\.)*+"'
# What consists of JSON's tokens, in whatever order: its strings are where they seem to be.
_SOUND = regex(
    rf"(?:[\s{{}}\[\],:\ufeff]++|{_STRING}|-?[0-9][0-9.eE+-]*+|true|false|null|NaN|-?Infinity)*+\Z",
    re.DOTALL,
)
_TEXT = regex(r'"(?P<text>(?:[^"\\]++|\\.)*+)"(?P<colon>\s*+:\s*+)?', re.DOTALL)
# Members of an object that is a name and a value.
_PAIRS = frozenset(["name", "key", "value"])
_NEAR = 300
# Names that are looked for by themselves.
_FEW = 16
_SIMPLE = regex(r"[\w.-]+")
_MAY_BE_QUERY = regex(r'"\s*+(?:[\[{<]|(?:query|mutation|subscription)\b[^"{}]*+\{)')
_VALUE = regex(rf"{_STRING}|[^\s,}}\]]++", re.DOTALL)
_LITERAL = regex(r"[^\s\"{}\[\],:]*+")
# What JSON, XML and GraphQL in a text may begin with.
_BEGINNINGS = frozenset("{[<qms \\")
# A name and the beginning of its value, in a text whose quotes need not pair up.
_MEMBER = regex(
    r"""(?:(?<!\\)(?P<quote>\\{0,7}["'])(?P<name>(?:[^"'\\\n]|\\[^"'\n]){1,200})(?P=quote)"""
    r"""|(?<![\w.$-])(?P<bare>[A-Za-z_$][\w.$-]{0,199}+))\s*+:\s*+"""
    r"""(?P<value>"(?P<double>(?:[^"\\]++|\\.)*+)(?:"|\\?\Z)"""
    r"""|'(?P<single>(?:[^'\\]++|\\.)*+)(?:'|\\?\Z)"""
    r"""|\\{1,7}["'](?P<inner>[^"'\\]*+)"""
    r"""|(?P<open>[{\[])|(?P<literal>[^\s,}\]"'{\[]++))""",
    re.DOTALL,
)
_LONGEST_LITERAL = 1024
_LITERALS = regex(r"-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity|undefined|None|True|False")
_BRACKETS = regex(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]++|\\.)*+(?:'|\\?\Z))(?P<colon>\s*+:)?"""
    r"""|(?P<open>[{\[])|(?P<close>[}\]])""",
    re.DOTALL,
)


def replace_json(body: bytes, replace: Replace, asks: Callable[[str], bool] | None = None) -> bytes:
    """Return JSON, in any of its encodings, with some of its values replaced.

    Args:
        replace: asked for each value that has a name, and for each text.
        asks: says of which names; texts that may be JSON themselves are asked for all the same.

    Returns:
        The same object, if nothing was replaced.
    """
    return replace_in(body, lambda text: replace_text(text, replace, asks))


def replace_text(text: str, replace: Replace, asks: Callable[[str], bool] | None = None) -> str:
    """Return a text of JSON, or of what is like it, with some of its values replaced."""
    if _SOUND.match(text):
        return _replaced(text, replace, asks)
    return _replaced_leniently(text, replace)


def plain_names(text: str) -> set[str] | None:
    """Return all names of JSON, or lines of it, whose texts hold none; ``None`` of other texts."""
    if any(map(text.__contains__, ("=", "://", '"value"', '"Value"'))) or may_nest(text):
        return None
    names: set[str] = set()
    text = text.strip("\ufeff \t\r\n")
    for form in (text, f"[{text}]") if "\n" in text else (text,):
        try:
            json.loads(form if form is text else form.replace("\n", ","), object_hook=names.update)
        except (ValueError, RecursionError):
            continue
        return names
    return None


def replace_members(body: bytes, names: frozenset[str], replace: Replace) -> bytes | None:
    """Return JSON with what stands under some of its names replaced.

    Args:
        body: one of which :func:`plain_names` has told the names.
        replace: asked for each value under these names.

    Returns:
        ``None``, if a text may be GraphQL, or a name may be written in another way.
    """
    text = text_of(body)
    if len(names) > _FEW or not all(map(_SIMPLE.fullmatch, names)) or _MAY_BE_QUERY.search(text):
        return None
    return replace_in(body, lambda text: _members_replaced(text, names, replace))


def _members_replaced(text: str, names: frozenset[str], replace: Replace) -> str:
    pieces: list[str] = []
    at = 0
    for match in _members(names).finditer(text):
        start = match.end()
        if start < at:
            continue
        name, first = match["name"], text[start]
        after = None
        if first in "{[":
            after = replace(name, "", Kind.GROUP)
            end = start if after is None else _end_of_group(text, start, name, replace)
        else:
            written = _VALUE.match(text, start)[0]  # type: ignore[index]
            end = start + len(written)
            if first == '"':
                value = unquoted(written)
                after = replace(name, value, Kind.TEXT)
                after = None if after == value else after
            else:
                after = replace(name, written, Kind.LITERAL)
        if after is not None:
            pieces += [text[at:start], json.dumps(after)]
            at = end
    return "".join([*pieces, text[at:]]) if pieces else text


@lru_cache(maxsize=256)
def _members(names: frozenset[str]) -> re.Pattern[str]:
    # (A quote before such a name begins it: between two strings is always a mark.)
    return re.compile(rf'"(?P<name>{"|".join(map(re.escape, names))})"\s*+:\s*+')


def may_nest(text: str) -> bool:
    """Say whether a text of JSON may have texts that are JSON or XML, or escaped names."""
    if "\\" in text and ('\\"' in text or "\\u" in text):
        return True
    return '"{' in text or '"[' in text or ("<" in text and '"<' in text)


def _replaced(text: str, replace: Replace, asks: Callable[[str], bool] | None) -> str:
    pieces: list[str] = []
    known: dict[str, bool] = {}
    at = skipped = 0
    name: str | None = None
    asked = False
    # Of ``{"name": "password", "value": …}``: the name and where it ends; a value before its name.
    paired = '"value"' in text or '"Value"' in text
    label, held = ("", 0), ("", 0, 0)
    for match in _TEXT.finditer(text):
        start, end = match.span()
        if start < skipped:
            continue
        written = match["text"]
        after = None
        if match["colon"] is None:
            # The value of the name before it, or an element.
            within = written[:1] in _BEGINNINGS or "=" in written or "@" in written
            pair = name.lower() if paired and name is not None else ""
            if asked or name is None or within or pair in _PAIRS:
                value = unquoted(f'"{written}"')
                after = replace(name or "", value, Kind.TEXT if name is not None else Kind.ELEMENT)
                if after is None and pair == "value":
                    if _beside(text, label[1], start):
                        after = replace(label[0], value, Kind.TEXT)
                    held = (value, start, end)
                elif pair in _PAIRS:
                    label = (value, end)
                    if held[1] >= at and _beside(text, held[2], start):
                        before = replace(value, held[0], Kind.TEXT)
                        if before is not None and before != held[0]:
                            pieces += [text[at : held[1]], json.dumps(before)]
                            at = held[2]
                after = None if after == value else after
            name = None
        else:
            name = unquoted(f'"{written}"')
            asked = known.get(written, True)
            if asked and asks is not None:
                asked = known[written] = asks(name)
            first = text[end : end + 1]
            if first == '"':
                continue
            if asked and first:
                start = end
                if first in "{[":
                    after = replace(name, "", Kind.GROUP)
                    if after is not None:
                        end = _end_of_group(text, start, name, replace)
                else:
                    literal = _LITERAL.match(text, start)
                    end = literal.end() if literal else start
                    after = replace(name, text[start:end], Kind.LITERAL)
            name = None
        if after is not None:
            pieces += [text[at:start], json.dumps(after)]
            at = skipped = end
    return "".join([*pieces, text[at:]]) if pieces else text


def _beside(text: str, start: int, end: int) -> bool:
    """Say whether what ends at one place and begins at another are of one object."""
    if not 0 < start < end < start + _NEAR:
        return False
    return not any(map(text[start:end].__contains__, "{}[]"))


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
            if end - start > _LONGEST_LITERAL:
                # Or each member within would be looked behind to its end.
                position = end
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
