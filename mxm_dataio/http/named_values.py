"""What texts that hold named values have in common: kinds of values, and what replaces them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Container, Iterable
from enum import Enum, auto
from typing import Generic, TypeVar

from ..patterns import regex
from ..utils import utf8

T = TypeVar("T")
# Names that are remembered at a time.
_MOST = 4096
# Longer ones are not.
_LONGEST = 128
# Strings that are remembered of one text.
_MOST_NEW = 256
# Whole texts that are remembered at a time, and how long they are.
_MOST_TEXTS, _LONGEST_TEXT = 256, 2048
_LETTERS = bytes(range(ord("a"), ord("z") + 1))
_LOWER = bytes.maketrans(_LETTERS.upper(), _LETTERS)
# Beyond ASCII, letters whose lower case has one of ASCII in it: K (kelvin) and dotted I.
_LOWER_IS_ASCII = [(one.encode(), one.lower().encode()) for one in ("\u212a", "\u0130")]
_NONE: frozenset[bytes] = frozenset()
# Of texts. (Others, as idna, take long where a server says so.)
_CHARSET = regex(r"(?:ascii|big5|cp|euc|gb|hz|iso|koi8|latin|mac|shift|tis|utf|windows)[\w-]*")
_NO_LETTERS = bytes(set(range(128)) - set(_LETTERS) - set(_LETTERS.upper()) - {ord('"')})


class Kind(Enum):
    """What a named value is."""

    TEXT = auto()
    # A number, true, false or null.
    LITERAL = auto()
    # All that is beneath a name. If it is replaced, each text of it is asked for as well, so that
    # it may be learned; the replacements of these are of no meaning.
    GROUP = auto()
    # A text that has no name: an element of an array.
    ELEMENT = auto()
    # Secret by its place, whatever its name (WS-Security).
    SIGNATURE = auto()
    # Made anew for each call by its place, and no secret (WS-Addressing's MessageID).
    PASSING = auto()


# Asked with a value's name, as it is written, the value decoded (empty for a group), and its kind.
# What it returns takes the value's place; ``None`` leaves it.
Replace = Callable[[str, str, Kind], str | None]


class Memo(dict[str, T], Generic[T]):
    """What is to be said of each name, worked out once. Of any thread.

    Args:
        work: returns it.
    """

    def __init__(self, work: Callable[[str], T]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, name: str) -> T:
        if len(self) >= _MOST:
            self.clear()
        made = self._work(name)
        if len(name) <= _LONGEST:
            self[name] = made
        return made


class Sieve:
    """Tells fast that a text has none of some names in it, however it is written. Of any thread.

    Programs send and get the same names again and again: a string is looked through once, and so
    is a short text. Digits and separators do not count, so numbers do not either.

    Args:
        names: in lower case; a part stands for all names that have it.
        innocent: words that are none of them, though a part of one is in them.
    """

    def __init__(self, names: Iterable[str], innocent: Iterable[str] = ()) -> None:
        self._parts = [letters(utf8(name)) for name in names]
        self._always = not all(part and part.isascii() for part in self._parts)
        self._given = frozenset([word.encode("ascii") for word in innocent])
        self._innocent = {*self._given}
        self._texts: dict[bytes, frozenset[bytes]] = {}

    def may_be_in(self, data: bytes) -> bool:
        """Say whether bytes in any encoding may have one of the names in them."""
        if self._always or b"%" in data or b"\0" in data or (b"&" in data and b"&#" in data):
            return True
        if b"\\" in data and (b"\\u00" in data or b"\\x" in data):
            return True
        if not data.isascii():
            for letter, lower in _LOWER_IS_ASCII:
                data = data.replace(letter, lower)
        return bool(self.parts_in(data))

    def parts_in(self, data: bytes) -> frozenset[bytes]:
        """Return the parts of names that are in a text as letters of ASCII, in any case."""
        if not self._parts:
            return _NONE
        text = letters(data)
        found = self._texts.get(text)
        if found is None:
            found = self._parts_in(text)
            if len(text) <= _LONGEST_TEXT:
                if len(self._texts) >= _MOST_TEXTS:
                    self._texts.clear()
                self._texts[text] = found
        return found

    def _parts_in(self, text: bytes) -> frozenset[bytes]:
        # Where a string ends and the next begins there were but digits and separators.
        strings = text.split(b'""')
        innocent = self._innocent
        if innocent.issuperset(strings):
            return _NONE
        new = set(strings) - innocent
        new |= set(b'"'.join(new).split(b'"'))
        unknown = b'"'.join(new - innocent)
        found = frozenset([part for part in self._parts if part in unknown])
        if len(new) > _MOST_NEW:
            # Much that is large is said once.
            return found
        if len(innocent) >= _MOST:
            innocent.clear()
            innocent |= self._given
        for one in new:
            if len(one) <= _LONGEST and not (found and any(map(one.__contains__, found))):
                innocent.add(one)
        return found


def letters(data: bytes) -> bytes:
    """Return the letters and quotes of a text in lower case, and what is beyond ASCII."""
    return data.translate(_LOWER, _NO_LETTERS)


class Uncounted:
    """Names, in any case, that do not count in an identity.

    Args:
        secret: says so of a name.
        may_be_in: says, fast, whether a text may have a name of which it says so.
        names: more of them, in lower case.
        keeps: says of a name and a value that it counts, in spite of what is said of the name.
        xml: names that do not count in XML alone.
    """

    def __init__(
        self,
        secret: Callable[[str], bool],
        may_be_in: Callable[[bytes], bool] | None = None,
        names: frozenset[str] = frozenset(),
        keeps: Callable[[str, str], bool] | None = None,
        xml: frozenset[str] = frozenset(),
    ) -> None:
        self._names, self._keeps, self.xml = names, keeps, xml
        self._secret = secret
        self.said = Memo(lambda name: name.lower() in names or secret(name))
        self._may_be_in = may_be_in
        self._sieve = Sieve(names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.said[name]

    def also(self, names: frozenset[str], xml: frozenset[str]) -> Uncounted:
        """Return this with more names, and more in XML alone."""
        return Uncounted(
            self._secret, self._may_be_in, self._names | names, self._keeps, self.xml | xml
        )

    def keeps(self, name: str, value: str) -> bool:
        """Say whether a value counts, though its name does not."""
        return (
            self._keeps is not None and name.lower() not in self._names and self._keeps(name, value)
        )

    def may_be_in(self, data: bytes) -> bool:
        """Say, fast, whether a text may have one of the names, however it is written there."""
        if self._may_be_in is None or self._may_be_in(data):
            return True
        return self._sieve.may_be_in(data)


def asker(names: Container[str]) -> Callable[[str], bool]:
    """Return what says fast whether a name is among some."""
    return names.said.__getitem__ if isinstance(names, Uncounted) else names.__contains__


def replace_in(body: bytes, change: Callable[[str], str], charset: str = "") -> bytes:
    """Return bytes whose text was changed, in the same encoding; the same object, if it was not.

    JSON and XML come in UTF-8, UTF-16 and UTF-32 (RFC 8259 §8.1 once allowed them; XML 1.0 §F.1).
    Other encodings are supersets of ASCII, which is all that their structure is made of.

    Args:
        charset: that the body is said to be in.
    """
    text, encoding, end = _in_charset(body, charset) or _decoded(body)
    changed = change(text)
    if changed is text or changed == text:
        return body
    return _encoded(changed, encoding) + end


def text_of(body: bytes) -> str:
    """Return the text of JSON or XML, whatever its encoding."""
    return _decoded(body)[0]


def _in_charset(body: bytes, charset: str) -> tuple[str, str, bytes] | None:
    """Return a text and its encoding, if that is what it is said to be."""
    if not _CHARSET.fullmatch(charset):
        return None
    try:
        text = body.decode(charset)
        return (text, charset, b"") if text.encode(charset) == body else None
    except (LookupError, UnicodeError):
        return None


def _decoded(body: bytes) -> tuple[str, str, bytes]:
    """Return a text, its encoding, and the bytes at its end that are no whole character."""
    encoding = "utf-8"
    if body[:1] in b"\xef\xfe\xff\0" or body[1:2] == b"\0":
        encoding = json.detect_encoding(body)
    if encoding in ("utf-8", "utf-8-sig"):
        try:
            return body.decode("utf-8"), "utf-8", b""
        except UnicodeDecodeError:
            return body.decode("latin-1"), "latin-1", b""
    width = 4 if encoding.startswith("utf-32") else 2
    if encoding in ("utf-16", "utf-32"):
        # The mark stays in the text.
        little = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE))
        encoding += "-le" if little else "-be"
    whole = len(body) - len(body) % width
    try:
        text = body[:whole].decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("latin-1"), "latin-1", b""
    return text, encoding, body[whole:]


def _encoded(text: str, encoding: str) -> bytes:
    if encoding.startswith("utf-"):
        return text.encode(encoding, "surrogatepass")
    # What takes a value's place may have letters that its text has no bytes for.
    return text.encode(encoding, "xmlcharrefreplace")
