"""Values that are looked for in texts, in whatever form they stand there.

A value is found as it is, within Base64, and behind escapes: percent-encoding, JSON's (and the
like of JavaScript and Python), HTML's. Whoever writes a value may leave some of its characters bare
and escape others, so the escapes of a text are undone (twice: URLs stand in parameters, JSON in
JSON) and the value is looked for in what comes out, rather than all that may be written for it in
the text. What a server chooses, text and value, is so looked through in time linear in both.

**Many values** are not looked for one by one. Each needle has an anchor, which all writings of it
have bare. Of an anchor's last seven bytes four stand together at a multiple of four in any text
that has it: so every fourth place of a text is looked up in one table for all of them.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import sys
from binascii import b2a_base64
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

from ..concurrency import mutex
from ..process import new_id
from ..utils import utf8
from .names import SHORTEST

# So many needles are looked for one by one.
_FEW = 16
# Bytes looked up at a time, and of an anchor as many as have that many at a multiple of it.
_GRAM = 4
_INDEXED = 2 * _GRAM - 1
# Places of a text whose findings are in memory at once.
_STRIDE = 1 << 18
# Escapes within escapes that are undone.
_DEPTH = 2
# Beginnings of a form that are compared with the end of a text.
_TRIES = 64
# Bytes that one of a value is escaped in, at most, and that an escape has.
_GROWTH, _LONGEST_ESCAPE = 12, 40

_LONG_RUN = re.compile(rb"[A-Za-z0-9]{7,}")
_UNRESERVED = re.compile(rb"[A-Za-z0-9._-]+")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_"
_REST_OF_BASE64 = re.compile(rb"[A-Za-z0-9+_-]*={0,2}")
_NOT_SAFE = re.compile(rb"[+/]")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

# Start and end in a text.
Span = tuple[int, int]


class Needle:
    """What is looked for.

    Attributes:
        value: the secret.
        forms: it in bytes, one or the other.
        anchor: what is in all of them, whatever of them is escaped.
        coded: it is a part of Base64; the run of letters around it goes too, since what is
            beside the value decides about its first and last ones.
        odd: its writings may differ from its forms.
        grams: one of them stands at a multiple of four in a text that has the anchor; none, if
            that is too short.
    """

    __slots__ = ("anchor", "coded", "forms", "grams", "odd", "value")

    def __init__(self, value: str, forms: tuple[bytes, ...], *, coded: bool = False) -> None:
        self.value = value
        self.forms = forms
        self.coded = coded
        self.anchor = anchor = _anchor(forms[0])
        # Padding may be escaped though no letter of Base64 is.
        self.odd = coded or len(forms) > 1 or forms[0] != anchor
        self.grams: tuple[int, ...] = ()
        if len(anchor) >= _INDEXED:
            # Of its end, since keys and tokens of one kind begin alike.
            end = int.from_bytes(anchor[-_INDEXED:], sys.byteorder)
            self.grams = (
                end & 0xFFFFFFFF,
                end >> 8 & 0xFFFFFFFF,
                end >> 16 & 0xFFFFFFFF,
                end >> 24,
            )


def needles_of(value: str) -> tuple[Needle, ...]:
    """Return what a value is looked for by: as it is, and in Base64."""
    forms = _encodings(value)
    if " " in value:
        # As forms have it.
        forms += [form.replace(b" ", b"+") for form in forms]
    return (Needle(value, tuple(forms)), *coded(value))


def _anchor(form: bytes) -> bytes:
    """Return a part of a value that no writer escapes, or one that hardly any does."""
    # The last, as it is of the ends that what is looked up is.
    run = _LONG_RUN.search(form[::-1])
    if run is not None:
        return run[0][::-1]
    return max(_UNRESERVED.findall(form), key=len, default=b"")


def coded(value: str) -> tuple[Needle, ...]:
    """Return what is the same of a value in Base64, whatever stands before and behind it."""
    found = []
    for data in _encodings(value):
        for before in range(3):
            text = b2a_base64(bytes(before) + data, newline=False)
            form = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
            if len(form) >= SHORTEST:
                both = (form, form.translate(_URL_SAFE)) if _NOT_SAFE.search(form) else (form,)
                found.append(Needle(value, both, coded=True))
    return tuple(found)


def _encodings(value: str) -> list[bytes]:
    """Return a text as UTF-8, and as Latin-1, which credentials come in too."""
    found = [utf8(value)]
    if not value.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            found.append(value.encode("latin-1"))
    return found


# -- escapes ---------------------------------------------------------------------------------


class _Escape(NamedTuple):
    """A way to escape characters.

    Attributes:
        mark: what each escape begins with.
        pattern: of one.
        plain: returns what one stands for.
        begun: the beginning of one, at the end of a text.
    """

    mark: bytes
    pattern: re.Pattern[bytes]
    plain: Callable[[bytes], bytes]
    begun: re.Pattern[bytes]


def _percent(escape: bytes) -> bytes:
    return bytes.fromhex(escape[1:].decode("ascii"))


_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@lru_cache(maxsize=4096)
def _backslash(escape: bytes) -> bytes:
    kind, digits = escape[1:2], escape[2:]
    if kind == b"u":
        units = bytes.fromhex(digits.decode("ascii").replace("\\u", ""))
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    # A byte in Python's bytes, and in JavaScript a character of Latin-1.
    return bytes.fromhex(digits.decode("ascii")) if digits else _LETTERS.get(kind, kind)


@lru_cache(maxsize=4096)
def _entity(escape: bytes) -> bytes:
    return html.unescape(escape.decode("ascii")).encode("utf-8", "surrogatepass")


_ESCAPES = (
    _Escape(
        b"%",
        re.compile(rb"%[0-9A-Fa-f]{2}"),
        lru_cache(maxsize=1024)(_percent),
        re.compile(rb"%[0-9A-Fa-f]?\Z"),
    ),
    _Escape(
        b"\\",
        re.compile(
            rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"
            rb"|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[^ux]",
            re.DOTALL,
        ),
        _backslash,
        re.compile(
            rb"(?:\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?"
            rb"|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?)\Z"
        ),
    ),
    _Escape(
        b"&",
        re.compile(rb"&(?:#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});"),
        _entity,
        re.compile(rb"&[#A-Za-z0-9]{0,32}\Z"),
    ),
)


class _View:
    """A text with its escapes undone.

    Attributes:
        text: it.
    """

    def __init__(self, text: bytes, under: _View | None = None, escape: _Escape | None = None):
        self.text = text
        self._under = under
        self._escape = escape
        # Where escapes end in this text, and how much later in the one under it.
        self._places: tuple[list[int], list[int]] | None = None

    def start(self, at: int) -> int:
        """Return where what stands at a place of it begins in the text as it came."""
        if self._under is None or self._escape is None:
            return at
        if self._places is None:
            ends, later = [0], [0]
            for match in self._escape.pattern.finditer(self._under.text):
                size = len(self._escape.plain(match[0]))
                ends.append(match.start() - later[-1] + size)
                later.append(match.end() - ends[-1])
            self._places = ends, later
        ends, later = self._places
        return self._under.start(at + later[bisect_right(ends, at) - 1])

    def span(self, start: int, end: int) -> Span:
        """Return where a part of it stands there."""
        return self.start(start), self.start(end)


def _views(text: bytes, *, cut: bool = False) -> Iterator[_View]:
    """Yield a text with its escapes undone, in each way.

    Args:
        cut: it may end within an escape, which is to go.
    """
    level = [_View(text)]
    seen = {text}
    for _ in range(_DEPTH):
        below, level = level, []
        for view in below:
            for escape in _ESCAPES:
                if escape.mark in view.text:
                    plain = _undone(view.text, escape, cut=cut)
                    if plain not in seen:
                        seen.add(plain)
                        level.append(_View(plain, view, escape))
        yield from level


def _undone(text: bytes, escape: _Escape, *, cut: bool) -> bytes:
    begun = escape.begun.search(text, max(0, len(text) - _LONGEST_ESCAPE)) if cut else None
    text = text[: begun.start()] if begun else text
    return escape.pattern.sub(lambda match: escape.plain(match[0]), text)


# -- finding ---------------------------------------------------------------------------------


def holds(data: bytes, needles: Iterable[Needle]) -> bool:
    """Say whether a text has a value, by its needles."""
    return any(needle.anchor in data and masked(data, [needle], b"") != data for needle in needles)


def masked(data: bytes, needles: Iterable[Needle], mask: bytes) -> bytes:
    """Return a text with a mask for each value in it; the same object, where there is none.

    Args:
        needles: those whose anchors it has.
    """
    # The longest first: one value may be a part of another.
    needles = sorted(needles, key=lambda needle: len(needle.forms[0]), reverse=True)
    for needle in needles:
        if not needle.coded:
            for form in needle.forms:
                data = data.replace(form, mask)
    odd = [needle for needle in needles if needle.odd]
    if not odd:
        return data
    spans = list(_found(data, [needle for needle in odd if needle.coded]))
    for view in _views(data):
        spans += [view.span(start, end) for start, end in _found(view.text, odd)]
    pieces = []
    at = 0
    for start, end in _joined(spans):
        pieces += [data[at:start], mask]
        at = end
    return b"".join([*pieces, data[at:]]) if pieces else data


def _found(text: bytes, needles: Iterable[Needle]) -> Iterator[Span]:
    within: list[Span] = []
    left = text
    for needle in needles:
        for form in needle.forms:
            at = left.find(form)
            while at >= 0:
                end = at + len(form)
                if needle.coded:
                    within.append((at, end))
                else:
                    yield at, end
                at = left.find(form, end)
            # What is found is not found again, as parts of it that are known as well.
            left = left.replace(form, bytes(len(form)))
    at = 0
    for start, end in sorted(within):
        if start >= at:
            first = at + len(text[at:start].rstrip(_BASE64))
            rest = _REST_OF_BASE64.match(text, end)
            at = rest.end() if rest else end
            yield first, at


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Yield spans in their order, as one those that overlap."""
    start = end = 0
    for first, last in sorted(spans):
        if first < end:
            end = max(end, last)
        else:
            if end:
                yield start, end
            start, end = first, last
    if end:
        yield start, end


def masked_end(data: bytes, needles: Iterable[Needle], mask: bytes) -> bytes:
    """Return the beginning of a text without the part of a value that it may end with.

    Eight characters of one, or of what is written for it, are too many.
    """
    forms = [(form, needle.coded) for needle in needles for form in needle.forms]
    longest = max((len(form) for form, _ in forms), default=0)
    window = data[-longest * _GROWTH :] if longest else b""
    first = len(window)
    for view in (_View(window), *_views(window, cut=True)):
        text = view.text
        for form, within in forms:
            count = _begun(text, form)
            start = view.start(len(text) - count) if count else first
            # (Before what is known of it is a letter that is its own in part.)
            if within and len(window) - start >= SHORTEST - 1:
                start = view.start(len(text[: len(text) - count].rstrip(_BASE64)))
            first = min(first, start)
    cut = len(window) - first
    return data[: len(data) - cut] + mask if cut >= SHORTEST else data


def _begun(text: bytes, form: bytes) -> int:
    """Return how many of a form's first bytes a text ends with; where that takes long, or more."""
    last = text[-1:]
    count = form.rfind(last, 0, len(text)) + 1 if text else 0
    for _ in range(_TRIES):
        if not count or text.endswith(form[:count]):
            break
        count = form.rfind(last, 0, count - 1) + 1
    return count


def masked_wide(data: bytes, needles: Iterable[Needle], mask: str) -> bytes:
    """Return bytes without values in UTF-16, as they are and escaped in JSON and HTML."""
    for value in sorted({needle.value for needle in needles}, key=len, reverse=True):
        text = json.dumps(value)[1:-1]
        kept = json.dumps(value, ensure_ascii=False)[1:-1]
        for form in {value, text, text.replace("/", "\\/"), kept, html.escape(value)}:
            for coding in ("utf-16-le", "utf-16-be"):
                wide = form.encode(coding, "surrogatepass")
                data = data.replace(wide, mask.encode(coding))
    return data


# -- many ------------------------------------------------------------------------------------


class Needles:
    """Values that are known, the latest of each kind, and their needles. Of any thread.

    What reads takes no lock. What changes does, and may be called again within itself: by a
    handler of a signal, or as an object is collected.

    Args:
        lasting, passing: how many of each are known at once.
        always: what is looked for besides.
    """

    def __init__(self, lasting: int, passing: int, always: Iterable[Needle] = ()) -> None:
        self._limits = {False: lasting, True: passing}
        self._values: dict[bool, dict[str, tuple[Needle, ...]]] = {False: {}, True: {}}
        self._all: dict[Needle, None] = {}
        self._grams: dict[int, dict[Needle, None]] = {}
        # Those without an anchor that is long enough for that.
        self._short: dict[Needle, None] = {}
        self._changing = False
        self._added = 0
        # An id of when a value was added last.
        self.learned = ""
        self.version: object = None
        self.epoch: object = None
        for needle in always:
            self._put(needle)
            self.version = object()

    def renew(self) -> None:
        """Begin anew in a forked child: a thread of the parent may have been changing it."""
        self._changing = False

    def __iter__(self) -> Iterator[Needle]:
        return iter(list(self._all))

    def known(self, value: str, *, passing: bool = False) -> bool:
        """Say whether a value is known, which makes it the latest."""
        if value not in self._values[False] and not (passing and value in self._values[True]):
            return False
        with mutex.lock:
            for values in self._values.values():
                needles = values.pop(value, None)
                if needles is not None:
                    values[value] = needles
                    return True
        return False

    def add(self, value: str, needles: tuple[Needle, ...], *, passing: bool = False) -> None:
        """Know a value."""
        with mutex.lock:
            # (What is learned within is put here, but makes nothing be forgotten.)
            within, self._changing = self._changing, True
            try:
                if not passing:
                    needles = self._values[True].pop(value, needles)
                for needle in self._values[passing].setdefault(value, needles):
                    self._put(needle)
                self.learned = new_id()
                self.version = object()
                self._added += 1
                if not within:
                    self._forget(passing)
            finally:
                self._changing = within

    def _forget(self, passing: bool) -> None:
        """Forget the oldest: one that is in use still is found again."""
        values, limit = self._values[passing], self._limits[passing]
        while len(values) > limit:
            oldest = list(values)[0]  # noqa: RUF015 - iter() minds what comes meanwhile
            for needle in values.pop(oldest, ()):
                self._drop(needle)
        if self._added >= limit // 4:
            self._added = 0
            self.epoch = object()

    def _put(self, needle: Needle) -> None:
        self._all[needle] = None
        if not needle.grams:
            self._short[needle] = None
        for gram in needle.grams:
            self._grams.setdefault(gram, {})[needle] = None

    def _drop(self, needle: Needle) -> None:
        self._all.pop(needle, None)
        self._short.pop(needle, None)
        for gram in needle.grams:
            those = self._grams.get(gram)
            if those is not None:
                those.pop(needle, None)
                if not those:
                    # (What was put there meanwhile stays.)
                    for other in self._grams.pop(gram, ()):
                        self._put(other)

    def near(self, data: bytes | mmap) -> list[Needle]:
        """Return the needles whose anchors are in a text."""
        if len(self._all) <= _FEW:
            some = list(self._all)
        else:
            some = [*list(self._short), *self._looked_up(data)]
        if isinstance(data, bytes):
            return [needle for needle in some if needle.anchor in data]
        return [needle for needle in some if data.find(needle.anchor) >= 0]

    def _looked_up(self, data: bytes | mmap) -> Iterable[Needle]:
        grams = self._grams
        known = grams.keys()
        view = memoryview(data)[: len(data) // _GRAM * _GRAM].cast("I")
        if known.isdisjoint(view):
            return ()
        found: dict[Needle, None] = {}
        for at in range(0, len(view), _STRIDE):
            for gram in set(filter(grams.__contains__, view[at : at + _STRIDE])):
                found.update(dict(grams.get(gram, ())))
        return found
