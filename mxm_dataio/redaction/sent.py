"""What a request sent, without what stands under secret names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from ..http.content import content_headers, opened
from ..http.heads import parse_head
from .needles import Needle
from .rules import Redaction

# Requests that are remembered, and bytes that one may have for that.
_MOST = 128
_LONGEST = 8 << 10


class CleanBody(NamedTuple):
    """A request's body without secrets.

    Attributes:
        content: what is stored, under its content coding.
        counted: what identifies; what stands under secret names leaves the identity by these.
        coding: what this is under still.
        version: what was known; see :attr:`mxm_dataio.redaction.secrets.Secrets.version`.
    """

    content: bytes
    counted: bytes
    coding: str
    version: object


# Of a body that is to be looked into.
UNKNOWN = CleanBody(b"", b"", "", object())


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

    @property
    def texts(self) -> tuple[bytes, ...]:
        """What was sent, whatever it stands under."""
        return self._url.encode("utf-8", "surrogatepass"), self._head, self._body

    def holds(self, needles: Iterable[Needle]) -> bool:
        """Say whether a value is in it, by its needles."""
        from .finding import holds  # where something is found to be secret

        # What redaction costs is for what is there at all.
        return any(holds(text, needles) for text in self.texts) and any(
            holds(text, needles) for text in self._clear
        )

    @cached_property
    def _clear(self) -> tuple[bytes, ...]:
        rules = self._rules
        url = rules.url(self._url).encode("utf-8", "surrogatepass")
        return url, rules.head(self._head), rules.body(self._body, self._type)


class SentBefore:
    """What the last requests of a session sent. Of any thread."""

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque(maxlen=_MOST)
        self._joined: bytes | None = b""

    def add(self, sent: Sent) -> None:
        """Remember one."""
        if sum(map(len, sent.texts)) <= _LONGEST:
            self._sent.append(sent)
            self._joined = None

    def holds(self, needles: Iterable[Needle]) -> bool:
        """Say whether a value is in one of them, by its needles."""
        joined = self._joined
        if joined is None:
            joined = b"\0".join([text for one in list(self._sent) for text in one.texts])
            self._joined = joined
        near = [needle for needle in needles if needle.anchor in joined]
        return bool(near) and any(one.holds(near) for one in list(self._sent))


# Returns what a request sent, where it is asked for.
Clear = Callable[[], Sent]
