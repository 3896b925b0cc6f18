"""A secret value where it stood, and what of a header is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from ..http import credentials
from ..http.tokens import PLACEHOLDER
from ..patterns import regex
from .values import SHORTEST, is_plain, looks_drawn


class Found(NamedTuple):
    """A secret value where it stood.

    Attributes:
        place: ``cookie``, ``userinfo``, ``answer`` or one that rules are asked of; see
            :attr:`mxm_dataio.redaction.Redaction.rules`.
        name: of the header, cookie or field, in lower case.
        value: decoded as its place has it.
        mask: what stands for it wherever else it turns up.
    """

    place: str
    name: str
    value: str
    mask: str = PLACEHOLDER


# Takes what was found.
Sink = Callable[[Found], object]


def nowhere(_found: Found) -> None:
    """Take nothing."""


def of_header(name: str, value: str, secret: Callable[[str], bool]) -> Iterator[Found]:
    """Yield the secrets of a header that holds some, as far as they can be used elsewhere.

    Args:
        secret: says which parameters of credentials are.
    """
    if name in ("cookie", "set-cookie", "set-cookie2"):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        for pair in pairs:
            key, _, text = pair.rpartition("=") if "=" not in pair else pair.partition("=")
            yield Found("cookie", key.strip().lower(), text.strip().strip('"'))
        return
    if not name.endswith("authorization"):
        yield from _pieces(name, value)
        return
    given = credentials.parsed(value)
    parameters = given.parameters
    if given.user_and_password is not None:
        yield from of_userinfo(*given.user_and_password)
        yield Found("header", name, given.rest)
    elif parameters:
        # ``OAuth oauth_token="…", …``: the parts by their names; the whole is never sent twice.
        for key, text in parameters:
            if secret(key):
                yield Found("header", key.lower(), unquote(text))
    else:
        yield from _pieces(name, given.rest)


def _pieces(name: str, value: str) -> Iterator[Found]:
    """Yield a header's value; of one that can't be sent, and will be without its fault, its parts.

    A line break or a letter beyond Latin-1 has it go nowhere, but into the text of an error.
    """
    yield Found("header", name, value.strip())
    if not value.isascii() or not value.isprintable():
        for piece in _SENDABLE.findall(value):
            yield Found("header", name, piece)


def of_userinfo(user: str, password: str) -> Iterator[Found]:
    yield Found("userinfo", "user", user)
    yield Found("userinfo", "password", password)


_SENDABLE = regex(r"[!-~]+")
_LONGEST = 8192
# Names of cookies that are secret, whatever they look like.
_SECRET_COOKIE = regex(
    r"auth|csrf|xsrf|jwt|key|login|nonce|passw|remember|secret|sess|\bsid\b|_sid|ticket|token"
)


def is_tellable(found: Found, value: str) -> bool:
    """Say whether a value is secret enough to be told from data."""
    if not SHORTEST <= len(value) <= _LONGEST:
        return False
    if is_plain(value):
        return False
    if found.place == "cookie":
        # It may be the server's choice: words alone are data, lest it has a part of a protocol
        # masked (``application/json``) in whatever the session records from then on.
        named = _SECRET_COOKIE.search(found.name) is not None
        return looks_drawn(value, 1 if named else SHORTEST)
    return found.name != "user" or found.place != "userinfo" or looks_drawn(value)


def readings(value: str) -> Iterator[str]:
    """Yield a value as it stands, and as it reads where it was percent-encoded for its place."""
    yield value
    for _ in range(2):
        plain = unquote(value)
        if plain == value:
            break
        value = plain
        yield value
