"""What a session knows to be secret, and how it is kept off the disk wherever it turns up.

Redaction goes by names. But a secret travels: a CSRF token comes as a cookie and goes back in a
form field of any name, a key stands in a path, an answer repeats what it was asked with. So what
was once found under a secret name is masked in every place from then on: URLs, headers, bodies,
messages. Values are held in memory alone, for as long as the session is open.

**The placeholder** is the same for every secret and says nothing about it: a hash of a password
can be guessed from, and a number would depend on the order in which secrets were met. It is also
what replay hands out in the secret's place, and what the program then sends back: a request that
holds it has the same identity as the recorded one, which was masked before it was identified. Two
secrets in one place are one call, as two keys under one name are. A signed token is replaced by
a void one, which the program can still read; see :mod:`mxm_dataio.http.tokens`.

**What is known.** Passwords, keys and tokens of eight characters and more, unless they are a word,
a date or a number below twelve digits: masked everywhere, such a value would take data along. A
cookie counts as one by its name (``csrftoken``, ``PHPSESSID``) or if it looks drawn by lot, and
so does a user's name. What the program itself had sent in the clear before a server made a cookie
of it, or a rule hid it in an answer, is the program's own and stays. Signatures, which each call
has anew, are known for a while.

**Answers.** A payload is evidence, and its exact bytes are kept, with three exceptions, since a
leaked key costs more than a changed byte: what stands under the names of
:mod:`mxm_dataio.redaction.answers`, what rules hide, and a text (by its media type) that holds what
is known. These are stored masked, marked by the checksum of what came, and framed by their new
length, so that replay can parse them; content codings are undone and made again. Other bytes that
are no text are never touched, nor is what is above :data:`LARGEST`.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from mmap import mmap
from typing import Any, TypeVar

from ..errors import RuleError
from ..http import tokens
from ..http.codings import redone
from ..http.content import LARGEST as LARGEST
from ..http.content import content_headers, opened
from ..http.shapes import Shape, shape_of
from ..http.tokens import PLACEHOLDER, collapsed
from ..models import Failure, Headers
from ..patterns import regex
from ..utils import canonical_json
from . import answer_bodies
from .answer_bodies import UNREAD
from .answer_names import Asked
from .found import Found, Sink, is_tellable, readings
from .known import Needles
from .names import is_passing
from .needles import coded, needles_of
from .places import REQUESTS, asked_of
from .rules import Redaction
from .sent import CleanBody, Clear, Sent, SentBefore

T = TypeVar("T")
_LASTING, _PASSING = 256, 32
# Headers of requests, lines and pairs that are remembered once they are clean.
_REMEMBERED = 512
_MASK = PLACEHOLDER.encode("ascii")
# A line of a head, of trailers or before a chunk: what it has to begin with, and the rest.
_LINE = regex(
    rb"(?:(?P<first>HTTP/[^ \n]* [^ \r\n]*|[0-9A-Fa-f]{1,7}[^\S\n]*;)"
    rb"|(?P<name>[^:\s][^:\n]*)(?=:)|)"
    rb"(?P<value>[^\n]*?)(?=\r?(?:\n|\Z))"
)
# Headers by which an answer is read, and in which no secret has a place.
_FRAMING = frozenset(
    {b"connection", b"content-encoding", b"content-length", b"content-type", b"transfer-encoding"}
)


class Secrets:
    """One session's rules and what they have found. Of any thread.

    Args:
        rules: the session's.
        replays: recorded answers are served, with the placeholder in a secret's place.
    """

    def __init__(self, rules: Redaction, *, replays: bool = False) -> None:
        self.rules = rules
        self._replays = replays
        # What programs make of the placeholder is masked as what they made of the secret was.
        self._needles = Needles(_LASTING, _PASSING, coded(PLACEHOLDER) if replays else ())
        # What the program sent in the clear before an answer made it a cookie, or had it hidden.
        self._own: dict[str, None] = {}
        # What it sent last, where rules may hide what of an answer it had sent before.
        self._sent = SentBefore()
        self._plain = False
        # Headers of requests, and their lines and pairs, without secrets: most calls have the same.
        self._headers: dict[Any, Any] = {}
        self._epoch: object = None

    def renew(self) -> None:
        """Begin anew in a forked child."""
        self._needles.renew()

    def under(self, rules: Redaction) -> Secrets:
        """Return what knows, and learns, the same secrets under other rules: another source's."""
        made = Secrets(rules, replays=self._replays)
        made._needles, made._own, made._sent = self._needles, self._own, self._sent
        return made

    def plainly(self) -> Secrets:
        """Return what knows the same, and has the placeholder stand for all of it."""
        made = self.under(self.rules)
        made._plain = True
        return made

    # -- learning ----------------------------------------------------------------------------

    def learn(self, found: Found, clear: Clear | None = None) -> None:
        """Remember a secret, if it can be told from data.

        Args:
            clear: returns what the program had sent where no secret is to stand.
        """
        if not self.rules.values:
            return
        passing = is_passing(found.name)
        for value in readings(found.value):
            token = tokens.parsed(value)
            if token is not None and token.signature == PLACEHOLDER:
                continue
            if token is not None and is_tellable(found, token.signature):
                # What it says stays; its signature alone may be sent too.
                value = token.signature
            if not self._needles.known(value, passing=passing) and is_tellable(found, value):
                self._learn(found, value, passing, clear)

    def _learn(self, found: Found, value: str, passing: bool, clear: Clear | None) -> None:
        told = found.place == "cookie" or found.place.startswith("answer_")
        if value == PLACEHOLDER or (told and value in self._own):
            return
        needles = needles_of(value, "" if found.mask == PLACEHOLDER else found.mask)
        if told and clear is not None and (clear().holds(needles) or self._sent.holds(needles)):
            self._own[value] = None
            if len(self._own) > _LASTING:
                self._own.pop(list(self._own)[0], None)  # noqa: RUF015 - others put there, too
            return
        self._needles.add(value, needles, passing=passing)

    # -- masking -----------------------------------------------------------------------------

    def mask(self, data: bytes) -> bytes:
        """Return bytes that a program sent or said without the values that are known."""
        return collapsed(self.masked(data))

    def masked(self, data: bytes) -> bytes:
        """Return bytes without the values that are known."""
        if not self.version:
            return data
        near = self._needles.near(data)
        if near:
            from .finding import masked  # what is known is in few texts

            data = masked(data, near, _MASK, plain=self._plain)
        if b"\0" in data:
            from .finding import masked_wide

            near = self._needles.near(data.replace(b"\0", b""))
            data = masked_wide(data, near, PLACEHOLDER, plain=self._plain)
        return data

    def mask_text(self, text: str) -> str:
        """Return text that a program sent or said without the values that are known."""
        if not self.version and tokens.MARK not in text:
            return text
        data = text.encode("utf-8", "surrogatepass")
        clean = self.mask(data)
        if clean is data:
            return text
        try:
            return clean.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            # A value in Latin-1 may end with what is the first byte of a character here.
            return clean.decode("utf-8", "replace")

    def url(self, url: str) -> str:
        """Return a URL without secrets, and remember them."""
        clean = self.mask_text(self.rules.url(url, self.learn))
        return url if clean == url else clean

    def text(self, text: str) -> str:
        """Return a message without secrets."""
        return self.mask_text(self.rules.text(text, self.learn))

    def shown(self, url: str) -> str:
        """Return a URL for a message, without secrets."""
        return self.mask_text(self.rules.shown(url, self.learn))

    def about(
        self, url: str, headers: Headers = (), body: bytes | None = None
    ) -> Callable[[str], str]:
        """Return what takes the secrets of a request from texts about it, and remember them.

        A failed request may have gone nowhere, and be none that could: its URL or a header is
        what the text is about.
        """
        clean = self.shown(url)
        forms = dict(zip(_quoted(url), _quoted(clean), strict=True)) if clean != url else {}
        with contextlib.suppress(RuleError):
            for (_, before), (_, after) in zip(headers, self.pairs(headers), strict=True):
                if after != before:
                    forms[repr(before)] = repr(after)
                    forms[repr(before.encode("latin-1", "replace"))] = repr(after.encode())
            if body and len(body) <= LARGEST:
                self.body(body, *content_headers(headers))
        longest = sorted(forms, key=len, reverse=True)

        def clean_text(text: str) -> str:
            for form in longest:
                text = text.replace(form, forms[form])
            return self.text(text)

        return clean_text

    def failure(self, failure: Failure | None) -> Failure | None:
        """Return a failure without the values that are known: some only since it was met."""
        if failure is None or not self.version:
            return failure
        message = self.mask_text(failure.message)
        return replace(failure, message=message, data=self._json(failure.data))

    def head(self, head: bytes) -> bytes:
        """Return a request's head without secrets, and remember them."""

        def masked(clean: bytes) -> bytes:
            return collapsed(self.lines(clean))

        return self._once((head,), lambda: self._ruled_head(head), masked)

    def _ruled_head(self, head: bytes) -> bytes:
        if b"\n " in head or b"\n\t" in head:
            # A line may go on in the next (RFC 9112 §5.2).
            return self.rules.head(head, self.learn)
        first, *lines = head.split(b"\n")
        clean = [self._once(line, partial(self._ruled_line, line)) for line in lines]
        return b"\n".join([first, *clean])

    def _ruled_line(self, line: bytes) -> bytes:
        return self.rules.head(b"\n" + line, self.learn)[1:]

    def _once(self, key: Any, work: Callable[[], T], mask: Callable[[T], T] | None = None) -> T:
        """Return headers, a line or a pair without secrets, which is worked out once.

        Again, as what these teach may have been forgotten.

        Args:
            mask: takes what is known from it.
        """
        epoch = self._needles.epoch
        if self._epoch is not epoch or len(self._headers) > _REMEMBERED:
            self._headers, self._epoch = {}, epoch
        headers, version = self._headers, self.version
        known: tuple[T, object] | None = headers.get(key)
        if known is None or (mask is not None and known[1] is not version):
            clean = work() if known is None else known[0]
            version = self.version
            known = headers[key] = (clean if mask is None else mask(clean)), version
        return known[0]

    def answer_head(self, head: bytes, clear: Clear) -> bytes:
        """Return an answer's head without secrets, and remember them.

        Args:
            clear: returns the request's texts, without what stands under secret names.
        """
        return self.lines(self.rules.head(head, self._learning(clear), "answer_header"))

    def _learning(self, clear: Clear | None) -> Sink:
        """Return what remembers the secrets that an answer tells.

        Args:
            clear: returns the request's texts, without what stands under secret names.
        """
        sent: list[Sent] = []

        def once() -> Sent:
            if not sent and clear is not None:
                sent.append(clear())
            return sent[0]

        return lambda found: self.learn(found, once if clear is not None else None)

    def lines(self, lines: bytes) -> bytes:
        """Return lines of HTTP without the values that are known, and as well formed as they were.

        A server can have anything taken for a secret, and other answers are to stay readable.
        """
        if self.masked(lines) is lines:
            return lines
        return _LINE.sub(self._line, lines)

    def _line(self, match: re.Match[bytes]) -> bytes:
        first, name, value = match["first"] or b"", match["name"] or b"", match["value"]
        if name.strip(b" \t").lower() in _FRAMING:
            return match.group()
        return first + self.masked(name) + self.masked(value)

    def document(self, document: bytes) -> str:
        """Return a JSON document without the values that are known."""
        clean = self.mask(document)
        if clean is document:
            return document.decode("utf-8")
        try:
            return canonical_json(self._json(json.loads(document))).decode("utf-8")
        except RecursionError:
            return clean.decode("utf-8", "replace")

    def _json(self, value: Any) -> Any:
        """Return a JSON value whose texts are without them."""
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, list):
            return [self._json(item) for item in value]
        if isinstance(value, dict):
            return {self.mask_text(name): self._json(item) for name, item in value.items()}
        return value

    def remember(self, clear: Clear) -> None:
        """Remember what a call sent, where rules are asked of answers.

        Args:
            clear: returns it, without what stands under secret names.
        """
        if self.rules.values and self.rules.asks_bodies:
            self._sent.add(clear())

    def clear(self, url: str, head: bytes, body: bytes) -> Sent:
        """Return what a request sent, without what stands under secret names."""
        return Sent(self.rules, url, head, body)

    @property
    def version(self) -> object:
        """What is another object once more is known; ``None`` as long as nothing is."""
        return self._needles.version if self.rules.values else None

    @property
    def learned(self) -> str:
        """An id that sorts behind those of calls that began before the last was found."""
        return self._needles.learned if self.rules.values else ""

    def pairs(self, pairs: Headers) -> Headers:
        """Return a request's headers without secrets, and remember them."""
        clean = self._once(pairs, lambda: self._ruled_pairs(pairs), self._masked_pairs)
        return pairs if clean == pairs else clean

    def _ruled_pairs(self, pairs: Headers) -> Headers:
        return tuple([self._once(pair, partial(self._ruled_pair, pair)) for pair in pairs])

    def _ruled_pair(self, pair: tuple[str, str]) -> tuple[str, str]:
        return self.rules.header_pairs([pair], self.learn)[0]

    def _masked_pairs(self, pairs: Headers) -> Headers:
        values = "\n".join([value for _, value in pairs])
        if self.mask_text(values) is values:
            return pairs
        return tuple([(name, self.mask_text(value)) for name, value in pairs])

    def params(self, url: str, params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return decoded parameters of a URL without secrets, and remember them."""
        pairs = self.rules.params(url, params, self.learn)
        return [(name, self.mask_text(value)) for name, value in pairs]

    def body(self, body: bytes, content_type: str, coding: str = "") -> CleanBody:
        """Return a request's body without secrets, and remember them.

        A body that can't be looked into is all secret.

        Args:
            coding: its content coding.
        """
        found = opened(body, content_type, coding)
        if found is None:
            asks = asked_of(self.rules.rules, REQUESTS)
            clean = UNREAD if self.rules.names or asks else body
            return CleanBody(clean, body, coding, self.version)
        ruled = self.rules.body(found.content, content_type, self.learn)
        version = self.version
        content = clean = self.mask(ruled)
        if found.coding:
            content = body if clean == found.content else redone(found.coding, clean)
        if not found.whole:
            return CleanBody(content, body, coding, version)
        asks = asked_of(self.rules.rules, REQUESTS)
        if (
            ruled is not found.content
            and not asks
            and shape_of(found.content, content_type) is not Shape.FORM
        ):
            # By names alone the document is that of the body as it was. (By rules values change,
            # and in forms by what stands beside them.)
            clean = self.mask(found.content)
        return CleanBody(content, clean, "" if found.coding else coding, version)

    def knows(self, value: str) -> bool:
        """Say whether a value is known, or is what replay hands out for one."""
        return value == PLACEHOLDER or self.mask_text(value) != value

    def holds(self, data: bytes | mmap) -> bool:
        """Say whether bytes or a mapped file may hold what is known."""
        if not self.version:
            return False
        return (isinstance(data, bytes) and b"\0" in data) or bool(self._needles.near(data))

    def looks_into(self, size: int, method: str, url: str) -> bool:
        """Say whether an answer's body may hold a secret, by what is known before it is read."""
        if self.version or self.rules.asks_bodies:
            return True
        return answer_bodies.may_name(self.rules, size, Asked(method, url))

    def answer_body(
        self,
        content: bytes,
        head: bytes,
        method: str,
        url: str,
        *,
        cut: bool = False,
        clear: Clear | None = None,
        again: bool = False,
    ) -> bytes:
        """Return an answer's body without secrets; see :func:`.answer_bodies.cleaned`.

        Args:
            clear: returns what the request sent where no secret is to stand.
        """
        asked, learn = Asked(method, url), self._learning(clear)
        return answer_bodies.cleaned(self, content, head, asked, learn, cut=cut, again=again)

    def masked_end(self, data: bytes) -> bytes:
        """Return the beginning of a text without the part of a value that it may end with."""
        from .finding import masked_end

        return masked_end(data, self._needles, _MASK)


# -- what is known ---------------------------------------------------------------------------


def _quoted(url: str) -> list[str]:
    """Return a URL as a message may have it: whole, from its path on, and escaped as by repr."""
    target = url[max(url.find("/", url.find("//") + 2), 0) :]
    return [url, repr(url)[1:-1], target, repr(target)[1:-1]]
