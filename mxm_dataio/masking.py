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
a void one, which the program can still read; see :mod:`mxm_dataio.tokens`.

**What is known.** Passwords, keys and tokens of eight characters and more, unless they are a word,
a date or a number below twelve digits: masked everywhere, such a value would take data along. A
cookie counts as one by its name (``csrftoken``, ``PHPSESSID``) or if it looks drawn by lot, and
so does a user's name. What the program itself had sent in the clear before a server made a cookie
of it is the program's own and stays. Signatures, which each call has anew, are known for a while.

**Answers.** A payload is evidence, and its exact bytes are kept, with two exceptions, since a
leaked key costs more than a changed byte: the tokens of an OAuth token answer, and a text (by
its media type) that holds what is known. These are stored masked, marked by the checksum of what
came, and framed by their new length, so that replay can parse them; gzip and deflate are
undone and made again. Bytes that are no text are never touched, nor is what is above
:data:`LARGEST`.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from mmap import mmap
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote

from . import tokens
from .errors import RuleError
from .heads import parse_head
from .ids import new_id
from .models import Failure, Headers
from .redaction import PASSING_NAMES, TOKEN_MARK, Found, Redaction
from .secret_names import SHORTEST as _SHORTEST
from .secret_names import is_plain, looks_drawn
from .tokens import PLACEHOLDER, collapsed
from .utils import canonical_json, media_type, utf8

# Bodies above this are not looked into.
LARGEST = 16 << 20
# Token answers are below this by far; other JSON is not to pay for being like them.
_TOKEN_ANSWER = 16 << 10
# Input taken at a time as a body is inflated, and how many members of gzip it may have.
_STEP, _MEMBERS = 1 << 14, 1024
# What one may inflate to: 16 KiB can hold 16 MiB, which parsed would take twenty times as much.
_TOKEN_PLAIN = 4 * _TOKEN_ANSWER
_LASTING, _PASSING = 256, 32
_LONGEST = 8192
# Characters of a value that are written in more than one way, up to which all are looked for.
_ODDEST = 64
# Needles above this number are not looked for one by one.
_MANY = 80
_RUN = re.compile(rb"[A-Za-z0-9._~+/-]{8,}")

_MASK = PLACEHOLDER.encode("ascii")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
# Names of cookies that are secret, whatever they look like.
_SECRET_COOKIE = re.compile(
    r"auth|csrf|xsrf|jwt|key|login|nonce|passw|remember|secret|sess|\bsid\b|_sid|ticket|token"
)
_ESCAPED = re.compile(r"%[0-9A-F]{2}")
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_=")
_ENTITIES = {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;", "'": "&apos;"}
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_TEXTS = ("json", "xml", "javascript", "ecmascript", "x-www-form-urlencoded", "graphql", "csv")
_CODED = re.compile(rb"^content-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)
# A line of a head, of trailers or before a chunk: what it has to begin with, and the rest.
_LINE = re.compile(
    rb"(?:(?P<first>HTTP/[^ \n]* [^ \r\n]*|[0-9A-Fa-f]{1,7}[^\S\n]*;)"
    rb"|(?P<name>[^:\s][^:\n]*)(?=:)|)"
    rb"(?P<value>[^\n]*?)(?=\r?(?:\n|\Z))"
)
# Headers by which an answer is read, and in which no secret has a place.
_FRAMING = frozenset(
    {b"connection", b"content-encoding", b"content-length", b"content-type", b"transfer-encoding"}
)
_TOKENISH = re.compile(r"token|oauth|openid", re.IGNORECASE)


class Needle(NamedTuple):
    """A form in which a value is looked for.

    Attributes:
        value: as it is.
        anchor: what every writing of it has.
        pattern: all of its writings, if there is more than one.
        coded: it is a part of Base64; the run of letters around it goes too, since what is
            beside the value decides about its first and last ones.
    """

    value: str
    anchor: bytes
    pattern: re.Pattern[bytes] | None = None
    coded: bool = False


Known = dict[str, tuple[Needle, ...]]
# Finds runs that are long enough; the needles that they may not hold, and those that they may.
Runs = tuple[re.Pattern[bytes], tuple[Needle, ...], tuple[Needle, ...]]
Clear = Callable[[], Iterable[bytes]]


class Secrets:
    """One session's rules and what they have found. Of any thread.

    Attributes:
        learned: an id that sorts behind those of calls that began before the last was found.

    Args:
        rules: the session's.
        replays: recorded answers are served, with the placeholder in a secret's place.
    """

    def __init__(self, rules: Redaction, *, replays: bool = False) -> None:
        self.rules = rules
        self._lock = threading.Lock()
        self._lasting: Known = {}
        self._passing: Known = {}
        # What the program sent in the clear before it was made a cookie.
        self._own: Known = {}
        # What programs make of the placeholder is masked as what they made of the secret was.
        self._always = _coded(PLACEHOLDER) if replays and rules.values else ()
        self._runs: Runs | None = None
        # An id of when something was learned last.
        self.learned = ""
        # Replaced as a whole, never changed: readers take no lock.
        self._needles: tuple[Needle, ...] = self._always
        self._replays = replays
        # All that know the same secrets, this one among them if its rules mask by value.
        self._kin: list[Secrets] = [self] if rules.values else []
        self._last_url: tuple[str, str, object] = ("", "", None)
        self._last_pairs: tuple[Headers, Headers, object] = ((), (), None)
        self._last_body: tuple[bytes, str, bytes, object] = (b"", "", b"", None)

    def renew_lock(self) -> None:
        """Make a fresh lock, in a forked child."""
        self._lock = threading.Lock()
        for one in self._kin:
            one._lock = self._lock

    def under(self, rules: Redaction) -> Secrets:
        """Return what knows, and learns, the same secrets under other rules: another source's."""
        made = Secrets(rules, replays=self._replays)
        if rules.values:
            with self._lock:
                made._lock, made._kin = self._lock, self._kin
                made._lasting, made._passing, made._own = self._lasting, self._passing, self._own
                if self._kin:
                    made._runs, made._needles = self._kin[0]._runs, self._kin[0]._needles
                    made.learned = self.learned
                self._kin.append(made)
        return made

    # -- learning ----------------------------------------------------------------------------

    def learn(self, found: Found, clear: Clear | None = None) -> None:
        """Remember a secret, if it can be told from data.

        Args:
            clear: returns what the program had sent where no secret is to stand.
        """
        value = found.value
        if value in self._lasting or not self.rules.values:
            return
        for one in _readings(value):
            token = tokens.parsed(one)
            if token is not None and token.signature == PLACEHOLDER:
                continue
            if token is not None and _tellable(found, token.signature):
                # What it says stays; its signature alone may be sent too.
                one = token.signature
            if one != PLACEHOLDER and _tellable(found, one):
                self._learn(found, one, clear)

    def _learn(self, found: Found, value: str, clear: Clear | None) -> None:
        needles = _needles(value)
        cookie = found.place == "cookie"
        own = cookie and clear is not None and any(_holds(text, needles) for text in clear())
        passing = found.name in PASSING_NAMES
        kept, limit = (self._passing, _PASSING) if passing else (self._lasting, _LASTING)
        with self._lock:
            if value in kept or (cookie and value in self._own):
                return
            if own:
                _put(self._own, value, (), _LASTING)
                return
            _put(kept, value, needles, limit)
            every = [*self._lasting.values(), *self._passing.values(), self._always]
            # The longest first: one value may be a part of another.
            needles = tuple(
                sorted((n for one in every for n in one), key=lambda n: len(n.anchor), reverse=True)
            )
            runs = _runs(needles)
            learned = new_id()
            for one in self._kin:
                one._runs, one._needles, one.learned = runs, needles, learned

    # -- masking -----------------------------------------------------------------------------

    def mask(self, data: bytes) -> bytes:
        """Return bytes that a program sent or said without the values that are known."""
        return collapsed(self._mask(data))

    def _mask(self, data: bytes) -> bytes:
        """Return bytes without the values that are known."""
        if not self._needles:
            return data
        for needle in self._near(data):
            if needle.anchor in data:
                data = _masked(data, needle)
        if b"\0" in data:
            data = _mask_wide(data, self._needles)
        return data

    def mask_text(self, text: str) -> str:
        """Return text that a program sent or said without the values that are known."""
        if not self._needles and tokens.MARK not in text:
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
        last = self._last_url
        if last[0] == url and last[2] is self._needles:
            return last[1]
        clean = self.mask_text(self.rules.url(url, self.learn))
        self._last_url = (url, clean, self._needles)
        return clean

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
        rules = self.rules
        clean = self.shown(url)
        forms = dict(zip(_quoted(url), _quoted(clean), strict=True)) if clean != url else {}
        with contextlib.suppress(RuleError):
            for (_, before), (_, after) in zip(headers, self.pairs(headers), strict=True):
                if after != before:
                    forms[repr(before)] = repr(after)
                    forms[repr(before.encode("latin-1", "replace"))] = repr(after.encode())
            if body and len(body) <= LARGEST:
                fields = {name.lower(): value for name, value in headers}
                rules.body(body, fields.get("content-type", ""), self.learn)
        longest = sorted(forms, key=len, reverse=True)

        def clean_text(text: str) -> str:
            for form in longest:
                text = text.replace(form, forms[form])
            return self.text(text)

        return clean_text

    def failure(self, failure: Failure | None) -> Failure | None:
        """Return a failure without the values that are known: some only since it was met."""
        if failure is None or not self._needles:
            return failure
        message = self.mask_text(failure.message)
        return replace(failure, message=message, data=self._json(failure.data))

    def head(self, head: bytes) -> bytes:
        """Return a request's head without secrets, and remember them."""
        return collapsed(self.lines(self.rules.head(head, self.learn)))

    def answer_head(self, head: bytes, clear: Clear) -> bytes:
        """Return an answer's head without secrets, and remember them.

        Args:
            clear: returns the request's texts, without what stands under secret names.
        """
        return self.lines(self.rules.head(head, lambda found: self.learn(found, clear)))

    def lines(self, lines: bytes) -> bytes:
        """Return lines of HTTP without the values that are known, and as well formed as they were.

        A server can have anything taken for a secret, and other answers are to stay readable.
        """
        if self._mask(lines) is lines:
            return lines
        return _LINE.sub(self._line, lines)

    def _line(self, match: re.Match[bytes]) -> bytes:
        first, name, value = match["first"] or b"", match["name"] or b"", match["value"]
        if name.strip(b" \t").lower() in _FRAMING:
            return match.group()
        return first + self._mask(name) + self._mask(value)

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

    def clear(self, url: str, head: bytes, body: bytes) -> list[bytes]:
        """Return a request's texts, without what stands under secret names."""
        rules = self.rules
        fields = {name.lower(): value for name, value in parse_head(head)[2]}
        # The first line has the URL again.
        sent = rules.head(head[head.find(b"\r\n") :])
        return [
            rules.url(url).encode("utf-8", "surrogatepass"),
            sent,
            rules.body(body, fields.get("content-type", "")),
        ]

    @property
    def version(self) -> object:
        """What is another object once more is known."""
        return self._needles

    def pairs(self, pairs: Headers) -> Headers:
        """Return a request's headers without secrets, and remember them."""
        # Most calls of a program have the same.
        last = self._last_pairs
        if last[2] is self._needles and last[0] == pairs:
            return last[1]
        clean = self.rules.header_pairs(pairs, self.learn)
        clean = tuple([(name, self.mask_text(value)) for name, value in clean])
        if clean == pairs:
            clean = pairs
        self._last_pairs = (pairs, clean, self._needles)
        return clean

    def params(self, url: str, params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return decoded parameters of a URL without secrets, and remember them."""
        pairs = self.rules.params(url, params, self.learn)
        return [(name, self.mask_text(value)) for name, value in pairs]

    def body(self, body: bytes, content_type: str) -> bytes:
        """Return a request's body without secrets, and remember them."""
        last = self._last_body
        if last[0] is body and last[1] == content_type and last[3] is self._needles:
            return last[2]
        clean = self.mask(self.rules.body(body, content_type, self.learn))
        self._last_body = (body, content_type, clean, self._needles)
        return clean

    def knows(self, value: str) -> bool:
        """Say whether a value is known, or is what replay hands out for one."""
        return value == PLACEHOLDER or self.mask_text(value) != value

    def holds(self, data: bytes | mmap) -> bool:
        """Say whether bytes or a mapped file may hold what is known."""
        needles = self._needles
        if isinstance(data, bytes):
            if b"\0" in data:
                return bool(needles)
            return any(needle.anchor in data for needle in self._near(data))
        return any(data.find(needle.anchor) >= 0 for needle in needles)

    def _near(self, data: bytes) -> Iterable[Needle]:
        """Return the needles worth looking for: where there are many, by the long runs of text."""
        runs = self._runs
        if runs is None:
            return self._needles
        pattern, short, long = runs
        text = b" ".join(pattern.findall(data))
        found = [*short, *(needle for needle in long if needle.anchor in text)]
        found.sort(key=lambda needle: len(needle.anchor), reverse=True)
        return found

    def looks_into(self, head: bytes, size: int) -> bool:
        """Say whether an answer's body may hold a secret, by its head and size."""
        if self._needles:
            return True
        json_like = b"json" in head or b"JSON" in head
        return json_like and size <= _TOKEN_ANSWER and self.rules.tokens

    def answer_body(
        self, content: bytes, head: bytes, method: str, url: str, *, cut: bool = False
    ) -> bytes:
        """Return an answer's body without secrets, under its content coding.

        The same object, where there is none in it.

        Args:
            cut: it is the beginning of one, which may end within a secret.
        """
        needles = self._needles
        coded = (b"ncoding" in head or b"NCODING" in head) and _CODED.search(head) is not None
        if not (coded or cut or TOKEN_MARK in content or (needles and self.holds(content))):
            return content
        # A token is asked for by POST (RFC 6749 §3.2), or of a place that says so.
        if coded and not (needles or method == "POST" or _TOKENISH.search(url)):
            return content
        fields = {name.lower(): value for name, value in parse_head(head)[2]}
        media = media_type(fields.get("content-type", ""))
        if not is_text(media, content):
            return content
        coding = fields.get("content-encoding", "").strip().lower()
        plain: bytes | None = content
        if coding not in ("", "identity"):
            plain = _decoded(content, coding)
        if plain is None:
            return content
        clean = plain
        if "json" in media and len(content) <= _TOKEN_ANSWER and len(plain) <= _TOKEN_PLAIN:
            clean = self.rules.token_answer(plain, self.learn, cut=cut)
        clean = self._mask(clean)
        if cut:
            clean = _masked_end(clean, self._needles)
        if clean == plain:
            return content
        return clean if plain is content else _encoded(clean, coding)


def is_text(media: str, content: bytes) -> bool:
    """Say whether a body is text: by its media type, without one by its looks."""
    if not media:
        return b"\0" not in content[:1024]
    return media.startswith("text/") or any(kind in media for kind in _TEXTS)


# -- what is known ---------------------------------------------------------------------------


def _tellable(found: Found, value: str) -> bool:
    """Say whether a value is secret enough to be told from data."""
    if not _SHORTEST <= len(value) <= _LONGEST:
        return False
    if is_plain(value):
        return False
    if found.place == "cookie":
        # It may be the server's choice: words alone are data, lest it has a part of a protocol
        # masked (``application/json``) in whatever the session records from then on.
        named = _SECRET_COOKIE.search(found.name) is not None
        return looks_drawn(value, 1 if named else _SHORTEST)
    return found.name != "user" or found.place != "userinfo" or looks_drawn(value)


def _quoted(url: str) -> list[str]:
    """Return a URL as a message may have it: whole, from its path on, and escaped as by repr."""
    target = url[max(url.find("/", url.find("//") + 2), 0) :]
    return [url, repr(url)[1:-1], target, repr(target)[1:-1]]


def _readings(value: str) -> Iterator[str]:
    """Yield a value as it stands, and as it reads where it was percent-encoded for its place."""
    yield value
    for _ in range(2):
        plain = unquote(value)
        if plain == value:
            break
        value = plain
        yield value


def _put(known: Known, value: str, needles: tuple[Needle, ...], limit: int) -> None:
    known[value] = needles
    if len(known) > limit:
        # The oldest: one that is in use still is found again.
        del known[next(iter(known))]


# -- its writings ----------------------------------------------------------------------------


def _needles(value: str) -> tuple[Needle, ...]:
    """Return the forms of a value: as it is and escaped, and in Base64."""
    if _UNRESERVED.fullmatch(value):
        return (Needle(value, value.encode("ascii")), *_coded(value))
    anchor = max(_UNRESERVED.findall(value), key=len, default="").encode("ascii")
    if len(_UNRESERVED.sub("", value)) > _ODDEST:
        # All of its writings would take a second to put together, and who sends cookies has many.
        return (*_plainly(value), *_coded(value))
    pattern = re.compile(b"".join(map(_writings, value)))
    return (Needle(value, anchor, pattern), *_coded(value))


def _plainly(value: str) -> tuple[Needle, ...]:
    """Return the writings of a value in which all of its characters are escaped alike."""
    data, json_text = utf8(value), json.dumps(value)[1:-1]
    percent = quote(data, safe="")
    forms = {
        data,
        utf8(json.dumps(value, ensure_ascii=False)[1:-1]),
        json_text.encode("ascii"),
        json_text.replace("/", "\\/").encode("ascii"),
        percent.encode("ascii"),
        _ESCAPED.sub(lambda match: match[0].lower(), percent).encode("ascii"),
        quote_plus(data).encode("ascii"),
        utf8(html.escape(value)),
    }
    return tuple(Needle(value, form) for form in forms)


def _runs(needles: tuple[Needle, ...]) -> Runs | None:
    """Return how to tell fast that a text holds none of many needles."""
    if len(needles) <= _MANY:
        return None
    long = tuple(needle for needle in needles if _RUN.fullmatch(needle.anchor))
    short = tuple(needle for needle in needles if not _RUN.fullmatch(needle.anchor))
    least = min((len(needle.anchor) for needle in long), default=_SHORTEST)
    return re.compile(rb"[A-Za-z0-9._~+/-]{%d,}" % least), short, long


def _writings(character: str) -> bytes:
    """Return a pattern for a character: bare, percent-encoded, escaped in JSON and in HTML."""
    if _UNRESERVED.fullmatch(character):
        return re.escape(character).encode("ascii")
    data = utf8(character)
    units = character.encode("utf-16-be", "surrogatepass")
    forms: list[bytes] = [
        re.escape(data),
        b"".join(b"(?i:%%%02x)" % byte for byte in data),
        # Encoded twice, as in a parameter that is a URL.
        b"".join(b"(?i:%%25%02x)" % byte for byte in data),
        b"".join(
            b"(?i:\\\\u%02x%02x)" % pair for pair in zip(units[::2], units[1::2], strict=True)
        ),
        b"(?i:&#(?:0*%d|x0*%x);)" % (ord(character), ord(character)),
    ]
    if character in _ENTITIES:
        forms.append(re.escape(_ENTITIES[character]).encode("ascii"))
    if character == " ":
        forms.append(rb"\+")
    if character in '"\\/':
        forms.append(re.escape("\\" + character).encode("ascii"))
    if 0x7F < ord(character) < 0x100:
        forms.append(re.escape(character.encode("latin-1")))
    # The longest first: "\" is also the beginning of "\\".
    forms = sorted(set(forms), key=len, reverse=True)
    return b"(?:" + b"|".join(forms) + b")"


def _coded(value: str) -> tuple[Needle, ...]:
    """Return what is the same of a value in Base64, whatever stands before and behind it."""
    found = []
    for data in _encodings(value):
        for before in range(3):
            text = base64.b64encode(bytes(before) + data)
            form = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
            for one in {form, form.translate(_URL_SAFE)}:
                if len(one) >= _SHORTEST:
                    found.append(Needle(value, one, coded=True))
    return tuple(found)


def _encodings(value: str) -> set[bytes]:
    """Return a text as UTF-8, and as Latin-1, which credentials come in too."""
    found = {utf8(value)}
    with contextlib.suppress(UnicodeEncodeError):
        found.add(value.encode("latin-1"))
    return found


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _holds(data: bytes, needles: Iterable[Needle]) -> bool:
    return any(needle.anchor in data and _masked(data, needle) != data for needle in needles)


def _masked(data: bytes, needle: Needle) -> bytes:
    if needle.pattern is not None:
        return needle.pattern.sub(_MASK, data)
    if not needle.coded:
        return data.replace(needle.anchor, _MASK)
    pieces = []
    at = 0
    while (found := data.find(needle.anchor, at)) >= 0:
        start, end = found, found + len(needle.anchor)
        while start > at and data[start - 1] in _BASE64:
            start -= 1
        while end < len(data) and data[end] in _BASE64:
            end += 1
        pieces += [data[at:start], _MASK]
        at = end
    return b"".join([*pieces, data[at:]])


def _masked_end(data: bytes, needles: Iterable[Needle]) -> bytes:
    """Return the beginning of a text without the part of a secret that it may end with."""
    longest = 0
    for needle in needles:
        if needle.coded:
            continue
        whole = needle.value.encode("utf-8", "surrogatepass")
        end = data[-len(whole) :]
        at = end.find(whole[:_SHORTEST])
        while at >= 0 and not whole.startswith(end[at:]):
            at = end.find(whole[:_SHORTEST], at + 1)
        if at >= 0:
            longest = max(longest, len(end) - at)
    return data[: len(data) - longest] + _MASK if longest else data


def _mask_wide(data: bytes, needles: Iterable[Needle]) -> bytes:
    """Return bytes without what is known in UTF-16."""
    for needle in needles:
        if needle.coded:
            continue
        for coding in ("utf-16-le", "utf-16-be"):
            wide = needle.value.encode(coding, "surrogatepass")
            data = data.replace(wide, PLACEHOLDER.encode(coding))
    return data


# -- content codings -------------------------------------------------------------------------


def _decoded(content: bytes, coding: str) -> bytes | None:
    """Return a body without its content coding, if it can be undone and made again."""
    bits = _CODINGS.get(coding)
    if bits is None:
        return None
    for width in (bits, -15) if coding == "deflate" else (bits,):
        with contextlib.suppress(zlib.error):
            return _inflated(content, width)
    return None


def _inflated(content: bytes, width: int) -> bytes | None:
    """Return what a body inflates to, all members of gzip's; ``None`` if that is too much.

    Raises:
        zlib.error: it is not of this coding.
    """
    plain = bytearray()
    at = members = 0
    decoder = zlib.decompressobj(width)
    while at < len(content):
        # In steps, since what is behind a member is copied for each.
        step = content[at : at + _STEP]
        room = LARGEST + 1 - len(plain)
        try:
            plain += decoder.decompress(step, room)
        except zlib.error:
            if not members:
                raise
            # What follows a member and is none is passed over, as urllib3 does.
            break
        if len(plain) > LARGEST or members > _MEMBERS:
            return None
        at += len(step) - len(decoder.unused_data) - len(decoder.unconsumed_tail)
        if decoder.eof:
            if width != _CODINGS["gzip"]:
                break
            members += 1
            decoder = zlib.decompressobj(width)
    return bytes(plain)


def _encoded(plain: bytes, coding: str) -> bytes:
    return zlib.compress(plain) if coding == "deflate" else gzip.compress(plain, mtime=0)
