"""An answer's body as the rules of users have it.

Told by how it begins, as in :mod:`.answers`, else by its media type. JSON, also lines of it, events
and what keeps it from being a script, is asked of value by value, and so is XML; any other text is
one value: HTML, scripts, tables, a bare token.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..http import json_walk, xml_values
from ..http.named_values import Kind, replace_in
from ..utils import is_json, media_type
from .answers import BEFORE, BLANK, HTML

# Asked with place, name and value.
Ask = Callable[[str, str, str], str | None]
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
# The data of one event (WHATWG HTML §9.2.6), which may be many lines.
_EVENT = re.compile(r"(?m)(?:^data:[^\r\n]*(?:\r\n?|\n|\Z))+")
_STARTS_JSON = re.compile(r"data:\s*[{\[\"]")
# Texts of JSON within texts of JSON are read to this depth.
_DEEPEST = 8


def replaced(content: bytes, content_type: str, ask: Ask) -> bytes:
    """Return a body with values replaced; the same object, if none was."""
    charset = _CHARSET.search(content_type)
    ruled = _Ruled(media_type(content_type), ask)
    return replace_in(content, ruled.text, charset[1] if charset else "")


class _Ruled:
    def __init__(self, media: str, ask: Ask) -> None:
        self._media = media
        self._ask = ask

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

    def _in_json(self, name: str, value: str, kind: Kind, depth: int = 0) -> str | None:
        if kind is Kind.GROUP:
            return None
        after = self._ask("answer_json", name.lower(), value)
        if after is None and value[:1] in ("{", "[") and depth < _DEEPEST:
            # Whoever reads it is to be able to.
            return json_walk.replace_all(
                value, lambda name, value, kind: self._in_json(name, value, kind, depth + 1)
            )
        return after

    def _in_xml(self, name: str, value: str, kind: Kind) -> str | None:
        return None if kind is Kind.GROUP else self._ask("answer_xml", name.lower(), value)
