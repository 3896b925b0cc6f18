"""Which sessions an archive has: by the names of their objects, and as those say."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import IntegrityError
from ..integrity.proofs import Inclusion
from ..storage.catalog.sealed import SealedSession
from . import names, session_object, tombstone
from .names import SessionName
from .object_store import ObjectStore
from .session_object import ArchivedSession

_T = TypeVar("_T")
_R = TypeVar("_R")


class Committed:
    """The sessions of an archive, or of one store in it.

    Attributes:
        by_store: store's id → leaf → the session's name.
        foreign: names below ``sessions/`` that are none of a session's.
        forked: pairs of sessions that claim the same leaf of one store.
    """

    def __init__(self, found: Iterable[str]) -> None:
        self.by_store: dict[str, dict[int, SessionName]] = {}
        self.foreign: list[str] = []
        self.forked: list[tuple[SessionName, SessionName]] = []
        for text in found:
            name = SessionName.parse(text)
            if name is None:
                self.foreign.append(text)
                continue
            leaves = self.by_store.setdefault(name.store, {})
            other = leaves.setdefault(name.leaf, name)
            if other != name:
                self.forked.append((other, name))

    def seals(self, store: str) -> dict[int, bytes]:
        """Return the seals of a store's sessions, by their leaves, in order."""
        return {leaf: name.seal for leaf, name in sorted(self.by_store.get(store, {}).items())}

    def names(self) -> list[SessionName]:
        """Return the names of all, store by store, in the order of their leaves."""
        return sorted(name for leaves in self.by_store.values() for name in leaves.values())


def committed(objects: ObjectStore, store: str = "") -> Committed:
    """Return what sessions an archive has.

    Args:
        store: id of the store whose sessions are looked for; of all, if not given.
    """
    prefix = names.of_store(store) if store else names.SESSIONS
    return Committed(one.name for one in objects.list(prefix))


def pruned(objects: ObjectStore) -> set[str]:
    """Return the ids of the sessions that were pruned from an archive."""
    prefix, suffix = f"{names.TOMBSTONES}/", ".json"
    found = [one.name for one in objects.list(names.TOMBSTONES)]
    return {name.removeprefix(prefix).removesuffix(suffix) for name in found}


def pruned_at(objects: ObjectStore, session: SealedSession) -> str:
    """Return when a session was pruned from an archive.

    Raises:
        IntegrityError: what says so is missing, damaged, or another session's.
        StoreError: the object store could not be reached, or refused.
    """
    name = names.tombstone(session.id)
    found = objects.get(name, tombstone.LARGEST)
    where = f"{objects.url}/{name}"
    return tombstone.read(found.content if found else b"", session, where)


def fork(url: str, one: SessionName, other: SessionName) -> IntegrityError:
    """Return the error that says that two sessions claim one place."""
    return IntegrityError(
        f"sessions {one.session} and {other.session} are both ended session {one.leaf + 1} of the "
        f"store {one.store}: a copied root went on by itself ({url}/{one} and {url}/{other})"
    )


def archived(
    objects: ObjectStore,
    found: Iterable[SessionName],
    jobs: int,
    damaged: Callable[[SessionName, IntegrityError], None] | None = None,
) -> Iterator[tuple[ArchivedSession, Inclusion]]:
    """Yield sessions, as their objects say them, and the proof of each.

    Args:
        found: their names.
        jobs: how many are fetched at once.
        damaged: is told of each that is, and the others go on; else that raises.

    Raises:
        IntegrityError: one is damaged, or missing.
        StoreError: the object store could not be reached, or refused.
    """

    def fetch(name: SessionName) -> tuple[ArchivedSession, Inclusion] | IntegrityError:
        where = f"{objects.url}/{name}"
        try:
            fetched = objects.get(str(name), session_object.LARGEST)
            if fetched is None:
                return IntegrityError(f"{where} is missing")
            return session_object.read(fetched.content, name, where)
        except IntegrityError as exc:
            return exc

    with ThreadPoolExecutor(jobs, "mxm-dataio-read") as pool:
        for name, one in _ahead(pool, fetch, found, 4 * jobs):
            if not isinstance(one, IntegrityError):
                yield one
            elif damaged is None:
                raise one
            else:
                damaged(name, one)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[_T], _R], found: Iterable[_T], most: int
) -> Iterator[tuple[_T, _R]]:
    """Yield what and its work's result, in order; so many at most are under way."""
    under_way: deque[tuple[_T, Future[_R]]] = deque()
    try:
        for one in found:
            under_way.append((one, pool.submit(work, one)))
            if len(under_way) >= most:
                first, future = under_way.popleft()
                yield first, future.result()
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result()
    finally:
        for _, future in under_way:
            future.cancel()
