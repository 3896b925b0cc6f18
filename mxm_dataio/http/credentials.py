"""What ``Authorization`` says: its scheme, and the credentials behind it (RFC 9110 §11.4)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from ..patterns import regex

# A scheme is a token; those in use are a word or a few, with the name of a hash at most. What is
# longer or has more in it is a key that stands without a scheme.
_SCHEME = regex(
    r"[A-Za-z]{2,16}(?:-[A-Za-z]{2,12}){0,2}"
    r"|(?:AWS|OSS|TC)[0-9]-[A-Za-z0-9-]{4,24}|SCRAM-SHA-[0-9]{1,3}|HMAC-SHA-?[0-9]{1,3}",
    re.IGNORECASE,
)
_BREAKS = regex(r"\s+")
_PARAMETER = regex(r"""(?:^|[\s,])(?P<name>[\w-]+)=(?P<quote>["']?)(?P<value>[^"',\s=][^"',\s]*)""")


class Credentials(NamedTuple):
    """A value of ``Authorization``.

    Attributes:
        scheme: as it stands; empty where what stands there is a part of the secret.
        rest: all behind it.
    """

    scheme: str
    rest: str

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Names and values, where that is what the credentials are (``Digest``, ``OAuth``)."""
        return [(match["name"], match["value"]) for match in _PARAMETER.finditer(self.rest)]

    @property
    def user_and_password(self) -> tuple[str, str] | None:
        """Those that ``Basic`` holds; ``None`` for other schemes (RFC 7617 §2)."""
        if self.scheme.lower() != "basic":
            return None
        try:
            data = base64.b64decode(_BREAKS.sub("", self.rest), validate=True)
        except (binascii.Error, ValueError):
            return "", ""
        try:
            plain = data.decode("utf-8")
        except UnicodeDecodeError:
            plain = data.decode("latin-1")
        user, _, password = plain.partition(":")
        return user, password


def parsed(value: str) -> Credentials:
    """Return scheme and credentials of a header's value."""
    pieces = value.split(None, 1)
    if len(pieces) == 2 and _SCHEME.fullmatch(pieces[0]):
        return Credentials(pieces[0], pieces[1].strip())
    return Credentials("", value.strip())
