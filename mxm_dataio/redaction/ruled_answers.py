"""An answer's body as the rules of users have it.

Told by how it begins, as in :mod:`.answers`, else by its media type. JSON, also lines of it, events
and what keeps it from being a script, is asked of value by value, and so is XML; any other text is
one value: HTML, scripts, tables, a bare token. What is within is read too: the parts of an answer
to a batch, JSON and XML in a text of either.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..http import json_walk, xml_values
from ..http.charsets import START, charset_of
from ..http.multipart import header, headers_of, parts_of
from ..http.named_values import Kind, replace_in
from ..patterns import regex
from ..utils import is_json, media_type
from .answers import BEFORE, BLANK, HTML

# Asked with place, name and value.
Ask = Callable[[str, str, str], str | None]
# The data of one event (WHATWG HTML §9.2.6), which may be many lines.
_EVENT = regex(r"(?m)(?:^data:[^\r\n]*(?:\r\n?|\n|\Z))+")
_STARTS_JSON = regex(r"data:\s*[{\[\"]")
# The head of an answer within an answer (``application/http``).
_HEAD = regex(rb"HTTP/[^\n]*\n(?P<fields>(?:[^\r\n]+\r?\n)*)\r?\n")
# Content within content is read to this depth.
_DEEPEST = 8


def replaced(content: bytes, content_type: str, ask: Ask, depth: int = 0) -> bytes:
    """Return a body with values replaced; the same object, if none was."""
    media = media_type(content_type)
    if media.startswith("multipart/") and depth < _DEEPEST:
        return _parts(content, content_type, ask, depth)
    if media == "application/http" and (head := _HEAD.match(content)) is not None:
        inner = header(headers_of(head["fields"]), "content-type")
        rest = content[head.end() :]
        after = replaced(rest, inner, ask, depth + 1)
        return content if after is rest else head[0] + after
    # JSON has no charset (RFC 8259 §11).
    charset = "" if is_json(media) else charset_of(content[:START], content_type)
    return replace_in(content, _Ruled(media, ask).text, charset)


def _parts(content: bytes, content_type: str, ask: Ask, depth: int) -> bytes:
    found = parts_of(content, content_type)
    pieces: list[bytes] = []
    at = 0
    for part in found.parts if found is not None else ():
        before = content[part.start : part.end]
        inner = header(headers_of(content[part.head : part.start]), "content-type")
        after = replaced(before, inner, ask, depth + 1)
        if after is not before:
            pieces += [content[at : part.start], after]
            at = part.end
    return b"".join([*pieces, content[at:]]) if pieces else content


class _Ruled:
    def __init__(self, media: str, ask: Ask) -> None:
        self._media = media
        self._ask = ask
        self._depth = 0

    def text(self, text: str) -> str:
        start = BLANK.match(text)
        begins = text[start.end() : start.end() + 512] if start else ""
        if begins.startswith("<") and self._media != "text/html" and not HTML.search(begins):
            return xml_values.replace_text(text, self._in_xml, everything=True)
        if self._media == "text/event-stream":
            return self._whole(_EVENT.sub(self._event, text))
        before = BEFORE.match(text)
        if not (begins[:1] in ("{", "[") or before or is_json(self._media)):
            return self._whole(text)
        head = text[: before.end()] if before else ""
        rest = text[len(head) :]
        after = json_walk.replace_all(rest, self._in_json)
        sound = json_walk.is_sound(rest.rstrip(" \t\r\n;)"))
        # What only begins like JSON (a script, a sheet of styles) is a text.
        return head + after if sound or is_json(self._media) else self._whole(head + after)

    def _whole(self, text: str) -> str:
        after = self._ask("answer_text", "", text)
        return text if after is None else after

    def _event(self, match: re.Match[str]) -> str:
        if not _STARTS_JSON.match(match[0]):
            return match[0]
        return json_walk.scan(match[0], self._in_json)

    def _in_json(self, name: str, value: str, kind: Kind) -> str | None:
        return self._value("answer_json", name, value, kind)

    def _in_xml(self, name: str, value: str, kind: Kind) -> str | None:
        return self._value("answer_xml", name, value, kind)

    def _value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        if kind is Kind.GROUP:
            return None
        after = self._ask(place, name.lower(), value)
        if after is None and value[:1] in ("{", "[", "<") and self._depth < _DEEPEST:
            self._depth += 1
            if value[0] != "<":
                after = json_walk.replace_all(value, self._in_json)
            elif not HTML.search(value[:512]):
                after = xml_values.replace_text(value, self._in_xml, everything=True)
            self._depth -= 1
        return after
