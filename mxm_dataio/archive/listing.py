"""Which sessions an archive has: by the names of their objects alone."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import IntegrityError
from . import names
from .names import SessionName
from .object_store import ObjectStore


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


def fork(url: str, one: SessionName, other: SessionName) -> IntegrityError:
    """Return the error that says that two sessions claim one place."""
    return IntegrityError(
        f"sessions {one.session} and {other.session} are both ended session {one.leaf + 1} of the "
        f"store {one.store}: a copied root went on by itself ({url}/{one} and {url}/{other})"
    )
