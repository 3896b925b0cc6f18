"""What a request sent, without what stands under secret names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from ..http.content import content_headers, opened
from ..http.heads import parse_head
from .finding import holds
from .needles import Needle
from .rules import Redaction

# Longer bodies are not remembered.
_LONGEST = 64 << 10


class Sent:
    """What a request sent, without what stands under secret names."""

    def __init__(self, rules: Redaction, url: str, head: bytes, body: bytes) -> None:
        self._rules = rules
        self._url = url
        # The first line has the URL again.
        self._head = head[head.find(b"\r\n") :]
        self._body = body
        self._type = ""
        if body:
            self._type, coding = content_headers(parse_head(head)[2])
            found = opened(body, self._type, coding)
            self._body = found.content if found is not None else b""

    def shortened(self) -> Sent:
        """Return this, to be remembered."""
        if len(self._body) > _LONGEST:
            self._body = b""
        return self

    def holds(self, needles: Iterable[Needle]) -> bool:
        """Say whether a value is in it, by its needles."""
        whole = (self._url.encode("utf-8", "surrogatepass"), self._head, self._body)
        # What redaction costs is for what is there at all.
        return any(holds(text, needles) for text in whole) and any(
            holds(text, needles) for text in self._clear
        )

    @cached_property
    def _clear(self) -> tuple[bytes, ...]:
        rules = self._rules
        url = rules.url(self._url).encode("utf-8", "surrogatepass")
        return url, rules.head(self._head), rules.body(self._body, self._type)


# Returns what a request sent, where it is asked for.
Clear = Callable[[], Sent]
