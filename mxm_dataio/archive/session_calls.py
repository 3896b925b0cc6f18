"""The calls of an archived session, of which none is handed out that was not compared with its
hash.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from heapq import merge
from typing import Protocol

from ..errors import IntegrityError
from ..integrity.foreign import checked_calls
from ..storage.catalog.sealed import SealedCall
from . import exchanges, parquet
from .exchanges import INLINE, ArchivedCall
from .names import ExchangesName
from .object_store import Fetched
from .session_object import ArchivedSession, Part, Payload


class Objects(Protocol):
    """Gives objects; see :class:`.object_store.ObjectStore`."""

    @property
    def url(self) -> str:
        """Where, as it is told."""

    def get(self, name: str, limit: int) -> Fetched | None:
        """Return an object, if it is there."""


def calls(objects: Objects, archived: ArchivedSession) -> Iterator[ArchivedCall]:
    """Yield a session's calls in the order of their chain.

    In memory is one object of each source at a time.

    Raises:
        IntegrityError: an object is missing or damaged, or they are not those of the session; what
            is wrong is named.
        StoreError: the object store could not be reached, or refused.
    """
    read = deque[ArchivedCall]()

    def each() -> Iterator[SealedCall]:
        for one in unchecked(objects, archived):
            read.append(one)
            yield one.call

    try:
        for _ in checked_calls(archived.session, each()):
            yield read.popleft()
    except IntegrityError as exc:
        raise _other(objects, archived, str(exc)) from exc


def unchecked(objects: Objects, archived: ArchivedSession) -> Iterator[ArchivedCall]:
    """Yield the same, each with all of its bodies, for who compares them with their hashes.

    Raises:
        IntegrityError, StoreError: as :func:`calls`.
    """
    of_source: dict[str, list[tuple[int, Part]]] = {}
    for part in archived.objects:
        name = ExchangesName.parse(part.name)
        assert name is not None  # as the session's object was read
        of_source.setdefault(name.source, []).append((name.part, part))
    streams = [_of_source(objects, source, sorted(parts)) for source, parts in of_source.items()]
    large = set(archived.payloads)
    for position, one in enumerate(merge(*streams, key=lambda found: found.position)):
        if one.position != position:
            raise _other(objects, archived, f"call {position + 1} of its chain is missing")
        for checksum, size in exchanges.bodies(one.call):
            there = Payload(checksum, size) in large
            if size <= INLINE:
                there = len(one.contents.get(checksum, b"")) == size and checksum in one.contents
            if not there:
                what = f"body {checksum} of call {one.call.columns[0]} is missing"
                raise _other(objects, archived, what)
        yield one


def _of_source(
    objects: Objects, source: str, parts: list[tuple[int, Part]]
) -> Iterator[ArchivedCall]:
    for _, part in parts:
        for one in _read(objects, part):
            if one.call.columns[3] != source:
                raise IntegrityError(f"{objects.url}/{part.name} holds calls of another source")
            yield one._replace(object=part.name)


def _read(objects: Objects, part: Part) -> list[ArchivedCall]:
    where = f"{objects.url}/{part.name}"
    found = objects.get(part.name, min(part.size, parquet.LARGEST))
    if found is None:
        raise IntegrityError(f"{where} is missing")
    if hashlib.sha256(found.content).hexdigest() != part.sha256:
        raise IntegrityError(f"{where} is damaged: its session was pushed with other bytes")
    return exchanges.read(found.content, where)


def _other(objects: Objects, archived: ArchivedSession, what: str) -> IntegrityError:
    return IntegrityError(f"{objects.url}/{archived.name} is not what was pushed: {what}")
