"""A recorded call with its bytes, as it passes between a store and a file of any format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .models import Exchange


class Recording(NamedTuple):
    """A call, its attempts, and every payload that they name.

    Attributes:
        exchange: the call; what a format does not know of it (ids, instants) is empty.
        payloads: checksum → bytes, the request's body included.
    """

    exchange: Exchange
    payloads: Mapping[str, bytes]


def checksums(exchange: Exchange) -> Iterator[str]:
    """Yield the checksums of the payloads that a call names, each once."""
    named = [exchange.request.body_checksum, *(one.checksum for one in exchange.responses)]
    yield from dict.fromkeys(checksum for checksum in named if checksum)


def checksum_of(content: bytes) -> str:
    """Return the checksum under which a payload is kept."""
    return hashlib.sha256(content).hexdigest()
