"""Who makes a call, told by the secrets that it is made with, of which nothing is kept.

Their values are redacted, and so do not count in an identity. Within a process they are told apart
by a digest under a key that is in memory alone; a recording numbers them as they appear, and so
does a replay. The first has no number in what is stored: what one user recorded is what it was.

What a call is signed with (``Digest``, OAuth 1, AWS), cookies and tokens against forgery are made
anew all the time, and tell nobody. The placeholder, which replay hands out for a token, is anyone.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from hashlib import blake2b
from typing import NamedTuple

from ..http import credentials
from ..http.tokens import PLACEHOLDER, collapsed
from ..models import Headers
from .kinds import plain_field
from .names import is_passing
from .rules import Redaction

_KEY = os.urandom(32)
# Users that are told apart in one place, and places whose users are known.
_MOST, _PLACES = 1024, 256
_ANEW = ("cookie", "csrf", "xsrf", "sign", "nonce", "timestamp", "-date")


class User(NamedTuple):
    """Who makes a call.

    Attributes:
        number: by first appearance; 0 where the secrets are placeholders.
        sessions: those recorded, by their ids, in which this number is this user's.
    """

    number: int
    sessions: Container[str]


class _Place(NamedTuple):
    """Whom this process has recorded in one place, under which numbers, and in which sessions."""

    numbers: dict[bytes, int]
    sessions: set[str]


_places: dict[tuple[str, str], _Place] = {}


class Users:
    """Numbers the users of one source in one session. Of any thread.

    Args:
        place: where it is recorded, and the source.
        records: its calls are recorded.
        anew: those that were recorded here before have no part in it.
        session_id: of the session.
    """

    def __init__(
        self, place: tuple[str, str], *, records: bool, anew: bool, session_id: str
    ) -> None:
        self._recorded = _Place({}, set()) if anew else _places.get(place, _Place({}, set()))
        self._numbers = self._recorded.numbers if records else {}
        if records:
            self._recorded.sessions.add(session_id)
            _places.pop(place, None)
            _places[place] = self._recorded
            if len(_places) > _PLACES:
                _places.pop(list(_places)[0], None)  # noqa: RUF015 - others put there, too

    def of(
        self, rules: Redaction, given: Headers, clean: Headers, url: str, clean_url: str
    ) -> User | None:
        """Return who makes a call, ``None`` if nothing of it tells.

        Args:
            rules: which names are secret.
            given, clean: its headers, and these without secrets.
            url, clean_url: likewise.
        """
        values = [*_of_headers(rules, given, clean), *_of_url(rules, url, clean_url)]
        if not values:
            return None
        text = collapsed("\0".join(sorted(values)).encode("utf-8", "surrogatepass"))
        if PLACEHOLDER.encode() in text:
            return User(0, ())
        digest = blake2b(text, key=_KEY, digest_size=16).digest()
        number = self._recorded.numbers.get(digest)
        if number is not None:
            return User(number, self._recorded.sessions)
        numbers = self._numbers
        if len(numbers) >= _MOST and digest not in numbers:
            return User(0, ())
        return User(numbers.setdefault(digest, len(numbers) + 1), ())


def _of_headers(rules: Redaction, given: Headers, clean: Headers) -> Iterable[str]:
    for (name, before), (_, after) in zip(given, clean, strict=True):
        if PLACEHOLDER not in after or not rules.is_secret_header(name):
            continue
        key = name.lower()
        signed = key.endswith("authorization") and credentials.parsed(before).parameters
        if not signed and not any(map(key.__contains__, _ANEW)):
            yield f"{key}:{before.strip()}"


def _of_url(rules: Redaction, url: str, clean: str) -> Iterable[str]:
    if PLACEHOLDER not in clean:
        return
    left = set(_fields(clean))
    for field in _fields(url):
        name = field.partition("=")[0]
        if f"{name}={PLACEHOLDER}" not in left or not rules.may_be_secret(plain_field(name)):
            continue
        key = name.lower()
        if not is_passing(key) and not any(map(key.__contains__, _ANEW)):
            yield f"?{field}"


def _fields(url: str) -> list[str]:
    return url.partition("#")[0].partition("?")[2].split("&")
