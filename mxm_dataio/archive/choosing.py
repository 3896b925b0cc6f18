"""Which of an archive's sessions are meant: by source, as-of or id, reading as few as that takes.

The names of sessions' objects say neither source nor as-of; those of objects with calls do, to the
month. So only sessions are read of which they leave it open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from ..errors import IntegrityError, StoreError
from ..integrity import tombstones
from ..storage.catalog.sealed import SealedSession
from ..utils import as_of_bound
from . import listing, names
from .listing import Committed
from .names import ExchangesName, SessionName
from .object_store import ObjectStore
from .session_object import ArchivedSession

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")

Damaged = Callable[[SessionName, IntegrityError], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sessions are meant: those to which all of it applies.

    Attributes:
        source: of calls that they have; of those without calls, their own.
        as_of: the latest that counts.
        session: id of one in the tree of processes that is meant.
    """

    source: str | None = None
    as_of: str | None = None
    session: str | None = None

    def admits(self, archived: ArchivedSession) -> bool:
        """Say whether a session is meant, apart from its id."""
        session = archived.session
        if session.as_of > as_of_bound(self.as_of):
            return False
        if self.source is None:
            return True
        sources = sources_of(archived)
        return self.source in sources if sources else session.source == self.source


def sources_of(archived: ArchivedSession) -> set[str]:
    """Return the sources of a session's calls."""
    found = map(ExchangesName.parse, (part.name for part in archived.objects))
    return {one.source for one in found if one is not None}


def is_prune(session: SealedSession) -> bool:
    """Say whether a session stands for a prune in its store."""
    return (session.source, session.columns[4]) == (tombstones.SOURCE, tombstones.KIND)


class Chooser:
    """Chooses among the sessions of an archive.

    Args:
        found: what it has; of two that claim one place, neither is chosen.
        jobs: how many are read at once.
        damaged: is told of each that is, and the others go on.
    """

    def __init__(
        self, objects: ObjectStore, found: Committed, jobs: int, damaged: Damaged | None = None
    ) -> None:
        self._objects = objects
        self._jobs = jobs
        self._damaged = damaged
        forked = {name for pair in found.forked for name in pair}
        # By the session's id, oldest first: that is roots before their children.
        self.names = {
            name.session: name
            for name in sorted(found.names(), key=lambda name: name.session)
            if name not in forked
        }

    def chosen(self, choice: Choice, but: Collection[str] = ()) -> Iterator[ArchivedSession]:
        """Yield the sessions that are meant, each behind the root session of its processes.

        With sessions that were pruned at their origin come those that stand for prunes there.

        Args:
            but: ids of those that are known already.
        """
        pruned, given = set[str](), set[str](but)
        for archived in self.read(self._candidates(choice, but)):
            session = archived.session
            if is_prune(session):
                wanted = choice == Choice() or session.store in pruned
            elif choice.session is not None:
                wanted = session.root_id == choice.session
            else:
                wanted = choice.admits(archived)
            if not wanted or session.id in given:
                continue
            coming = [archived]
            absent = session.root_id not in given and session.root_id in self.names
            if absent and session.root_id != session.id:
                # Of another source, or as-of.
                coming = [*self.read([self.names[session.root_id]]), archived]
            for one in coming:
                given.add(one.session.id)
                if one.session.pruned_at is not None:
                    pruned.add(one.session.store)
                yield one

    def seals(self, store: str) -> dict[int, bytes]:
        """Return the seals of a store's sessions, by their leaves."""
        return {name.leaf: name.seal for name in self.names.values() if name.store == store}

    def read(self, found: Iterable[SessionName]) -> Iterator[ArchivedSession]:
        """Yield sessions as their objects say them."""
        for archived, _ in listing.archived(self._objects, found, self._jobs, self._damaged):
            yield archived

    def _candidates(self, choice: Choice, but: Collection[str]) -> Iterable[SessionName]:
        """Return the names of sessions that may be meant."""
        if choice.session is not None:
            store = self.names[choice.session].store
            return [
                name for id, name in self.names.items()
                if id >= choice.session and name.store == store and id not in but
            ]  # fmt: skip
        found = {id: name for id, name in self.names.items() if id not in but}
        if (choice.source is None and choice.as_of is None) or not found:
            return found.values()
        month = as_of_bound(choice.as_of)[:7]
        # Of sessions with calls: whether some object of theirs may have what is meant.
        open_ = dict[str, bool]()
        for one in self._objects.list(names.EXCHANGES):
            name = ExchangesName.parse(one.name)
            if name is not None:
                fits = choice.source in (None, name.source) and name.month <= month
                open_[name.session] = open_.get(name.session, False) or fits
        return [name for id, name in found.items() if open_.get(id, True)]

    # -- by id -----------------------------------------------------------------------------------

    def root_of(self, text: str, source: str | None = None) -> tuple[str, str]:
        """Return the ids of the session that a text names, and of the root of its processes.

        Args:
            text: beginning or end of its id; ``latest``, ``latest~1`` …
            source: whose sessions count for ``latest``.

        Raises:
            StoreError: there is none, or more than one.
            IntegrityError: it is damaged.
        """
        match = _LATEST.fullmatch(text)
        if match is not None:
            return self._latest(int(match[1] or 0), source, text)
        found = (
            [id for id in self.names if id.startswith(text) or id.endswith(text)] if text else []
        )
        found = [text] if text in self.names else found
        if not found:
            raise self._none(text)
        if len(found) > 1:
            raise StoreError(
                f"several sessions begin or end with {text}: {', '.join(found[:3])}: give more of "
                "the id"
            )
        for archived in self.read([self.names[found[0]]]):
            return archived.session.id, archived.session.root_id
        raise self._none(text)

    def _latest(self, before: int, source: str | None, text: str) -> tuple[str, str]:
        for archived in self.read(reversed(self.names.values())):
            session = archived.session
            if session.columns[2] is not None or session.source == tombstones.SOURCE:
                continue
            if source is not None and session.source != source:
                continue
            if not before:
                return session.id, session.root_id
            before -= 1
        raise self._none(text)

    def _none(self, text: str) -> StoreError:
        return StoreError(f"no session {text} is in the archive {self._objects.url}")
