"""What a cassette's calls are found by: the identity that a request has to who reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from typing import Any, NamedTuple

from ...identity import Identity, base_of, identify, vary_names, without_headers
from ...models import Headers
from ...redaction.rules import DEFAULT
from ...utils import canonical_json
from ..recordings import checksum_of, params_of
from .nodes import Refusal


class Identified(NamedTuple):
    """What a call is found by.

    Attributes:
        document: the canonical document of its identity.
        params_hash: the document's.
        base_hash: without the headers that the answer varies on.
        vary: those.
    """

    document: str
    params_hash: str
    base_hash: str
    vary: tuple[str, ...] = ()


class Deriving(NamedTuple):
    """How a request's identity is derived.

    Attributes:
        identify: takes method, URL, headers and body.
        ignored: holds the headers that never count.
        uncounted: headers that do not, though an answer varies on them.
        again: takes a recorded identity, headers and body, and returns it as it is compared now.
    """

    identify: Callable[[str, str, Headers, bytes | None], Identity]
    ignored: Container[str] = DEFAULT.uncounted_headers
    uncounted: Collection[str] = ()
    again: Callable[[str, Headers, bytes | None], str] = lambda document, *_: document

    def __call__(
        self, method: str, url: str, headers: Headers, body: bytes | None, vary: str | None
    ) -> Identified:
        """Return a request's identity, given the ``Vary`` of its answer."""
        identity = self.identify(method, url, headers, body)
        varying = set(vary_names(vary, self.ignored)).difference(self.uncounted)
        names = identity.counting(varying)
        base = identity.document()
        base_hash = checksum_of(base)
        if not names:
            return Identified(base.decode("utf-8"), base_hash, base_hash)
        document = identity.document(names)
        params_hash = checksum_of(document)
        return Identified(document.decode("utf-8"), params_hash, base_hash, names)


def _identify(method: str, url: str, headers: Headers, body: bytes | None) -> Identity:
    return identify(
        method,
        url,
        headers=headers,
        body=body,
        ignore=DEFAULT.uncounted(),
        ignore_headers=DEFAULT.uncounted_headers,
    )


# By the default rules of redaction.
DERIVING = Deriving(_identify)


def explicit(
    given: Any, headers: Headers, body: bytes | None, deriving: Deriving = DERIVING
) -> Identified:
    """Return the identity that a call's node says.

    Args:
        given: the document, as JSON or as its text.

    Raises:
        Refusal: it is none.
    """
    try:
        document = given if isinstance(given, str) else canonical_json(given).decode("utf-8")
        params_of(document)
        if deriving.uncounted:
            document = without_headers(document, deriving.uncounted)
        document = deriving.again(document, headers, body)
        base, vary = base_of(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Refusal(f"is no identity: {exc!r}", "identity") from None
    hashes = checksum_of(document.encode("utf-8")), checksum_of(base.encode("utf-8"))
    return Identified(document, *hashes, vary)
