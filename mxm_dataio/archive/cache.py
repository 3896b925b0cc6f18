"""What a machine keeps of an archive, to be read and replayed: a root that grows as it is asked.

A session comes there once it is asked for, after all that are newer where what is asked for is what
the newest has. It can be deleted: then all of it comes anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from ..concurrency import mutex
from ..config.archive_urls import ArchiveRoot
from ..errors import IntegrityError, StoreError
from ..integrity.findings import Progress
from ..integrity.pruning import Choice as Doomed
from ..integrity.pruning import prune
from ..models import Session
from ..storage.payloads.folder import PayloadFolder
from ..storage.root_store import RootStore
from ..utils import cause, instant
from . import bodies, listing, names
from .archive import JOBS, Archive, to_session
from .choosing import Choice, Chooser, sources_of
from .names import ExchangesName
from .pulling import Pull
from .session_object import ArchivedSession, Payload

# Ids of sessions that have no calls: they need not be read again to know that.
_EMPTY = "sessions-without-calls"


class Unit(NamedTuple):
    """Sessions that answer together: those of the processes of one, of one as-of.

    Attributes:
        as_of, root_id: which is newer is told by these, in this order.
        sessions: what comes of them.
    """

    as_of: str
    root_id: str
    sessions: tuple[ArchivedSession, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """What it is sorted by."""
        return self.as_of, self.root_id


class ArchiveCache:
    """Keeps what an archive is asked for.

    Args:
        root: the folder, which is made for its owner alone.

    Attributes:
        url: the archive's.
        grown: how many times sessions came.
        unreachable: why the archive could not be asked, if it could not.

    Raises:
        ConfigError: a library is not installed.
        StoreError: what the environment says of the object store does not do, or the folder can't
            be made.
    """

    def __init__(self, root: ArchiveRoot) -> None:
        self.url = root.url
        self.root = root
        self.grown = 0
        self._archive = Archive(root.url)
        try:
            for folder in (root.parent.parent, root.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(
                f"what is fetched of {root.url} can't be kept in {root}: {cause(exc)}; give "
                "another folder, XDG_CACHE_HOME",
                path=root,
            ) from exc
        self.store = RootStore(root, readonly=False, patient=True)
        self._chooser: Chooser | None = None
        self._pruned: set[str] = set()
        self._forked: dict[str, IntegrityError] = {}
        self._there: dict[str, tuple[str, str]] = {}
        # By source: ids of the sessions with calls of it, by month, the latest first; and units
        # that have not come, the newest last.
        self._months: dict[str, list[tuple[str, list[str]]]] = {}
        self._units: dict[str, list[Unit]] = {}
        self._every: dict[str, dict[str, str]] | None = None

    def close(self) -> None:
        """Let go of it."""
        self.store.close()
        self._archive.close()

    # -- what is there ---------------------------------------------------------------------------

    @property
    def sessions(self) -> Chooser:
        """The archive's sessions, as they were when it was asked first.

        Raises:
            IntegrityError: it is of a newer release, or none; or two sessions claim one place.
            StoreError: there is no archive, or it could not be reached, or refused.
        """
        with mutex.lock:
            if self._chooser is None:
                self._chooser = self._listed()
            return self._chooser

    def _listed(self) -> Chooser:
        objects = self._archive.opened()
        # Before the archive is asked: what others fetch meanwhile may be newer than that.
        there = {
            id: (as_of, root_id)
            for id, as_of, root_id, pruned_at in self.store.catalog.database.all(
                "SELECT id, as_of, root_id, pruned_at FROM sessions "
                "WHERE number IN (SELECT session FROM origins)"
            )
            if pruned_at is None
        }
        found = listing.committed(objects)
        for pair in found.forked:
            self._forked |= dict.fromkeys(
                (one.session for one in pair), listing.fork(self.url, *pair)
            )
        self._pruned = listing.pruned(objects)
        known = {name.session for name in found.names()} | self._forked.keys()
        if gone := {id for id in there if id in self._pruned or id not in known}:
            prune(self.store, Doomed(sessions=tuple(gone)))
        self._there = {id: place for id, place in there.items() if id not in gone}
        return Chooser(objects, found, JOBS)

    def listed(self, problems: list[str]) -> Iterator[tuple[Session, int, set[str]]]:
        """Yield the sessions, as their own objects say, with number and sources of their calls.

        Args:
            problems: get what is wrong with others.
        """
        objects, wanted = self._archive.opened(), self.sessions.names.values()
        problems += [str(exc) for exc in dict.fromkeys(self._forked.values())]
        found = listing.archived(objects, wanted, JOBS, lambda _, exc: problems.append(str(exc)))
        for archived, _ in found:
            session = archived.session
            try:
                if session.id in self._pruned:
                    at = listing.pruned_at(objects, session)
                    session = session._replace(pruned_at=at)
                yield to_session(session), session.count, sources_of(archived)
            except IntegrityError as exc:
                problems.append(str(exc))

    # -- of which a look-up asks -----------------------------------------------------------------

    def pull_newer(
        self, source: str, bound: str, than: tuple[str, str] = ("", ""), most: int = 1
    ) -> bool:
        """Have the newest sessions come that have not, of those newer than what is here.

        Args:
            source: of calls that they have.
            bound: the latest as-of that counts.
            than: as-of and root id of what is here; of what is as new, nothing has to come.
            most: units that come at once.

        Returns:
            Whether some came; if not, all that are newer are here.

        Raises:
            IntegrityError: one is damaged; it is named.
            StoreError: the archive could not be reached, or refused.
        """
        with mutex.lock:
            units = self._next(source, bound, than, most)
            if not units:
                return False
            # Roots before what is of their processes; a unit that fails stays to come.
            self._pull(sorted((one for unit in units for one in unit.sessions), key=_age))
            for unit in units:
                self._units[source].remove(unit)
            return True

    def counts(self, source: str, bound: str) -> tuple[int, int]:
        """Return how many sessions have calls of a source up to an as-of, and how many later.

        Of those of its very month that have not come, each counts as later.
        """
        with mutex.lock:
            every = (self._every or {}).get(source, {}).keys()
            here = {id for id in every if id in self._there and self._there[id][0] <= bound}
            return len(here), len(every - here)

    def _next(self, source: str, bound: str, than: tuple[str, str], most: int) -> list[Unit]:
        """Return the newest units that have not come, of those that are newer."""
        months = self._months_of(source)
        while True:
            units = [unit for unit in self._units[source] if unit.as_of <= bound]
            if units or not months or months[0][0] < than[0][:7]:
                newer = [unit for unit in units if unit.place > than]
                return sorted(newer, key=lambda unit: unit.place)[: -most - 1 : -1]
            self._read_month(source, months.pop(0)[1])

    def _months_of(self, source: str) -> list[tuple[str, list[str]]]:
        if source not in self._months:
            every = self._by_source()
            for id, exc in self._forked.items():
                if id in every.get(source, {}):
                    raise exc
            found: dict[str, list[str]] = {}
            for id, month in every.get(source, {}).items():
                found.setdefault(month, []).append(id)
            self._months[source] = sorted(found.items(), reverse=True)
            self._units[source] = []
        return self._months[source]

    def _by_source(self) -> dict[str, dict[str, str]]:
        """Return ids and months of the sessions with calls of each source.

        By the names of objects with calls; of a session that has none of them there, by what its
        own says: they may have been removed.
        """
        if self._every is None:
            chooser = self.sessions
            every: dict[str, dict[str, str]] = {}
            bare = dict.fromkeys(chooser.names.keys() - self._pruned - self._there.keys())
            for one in self._archive.opened().list(names.EXCHANGES):
                name = ExchangesName.parse(one.name)
                if name is not None and name.session not in self._pruned:
                    bare.pop(name.session, None)
                    if name.session in chooser.names or name.session in self._forked:
                        every.setdefault(name.source, {})[name.session] = name.month
            for archived in self._with_none(bare):
                for source in sources_of(archived):
                    id, month = archived.session.id, archived.session.as_of[:7]
                    every.setdefault(source, {})[id] = month
            self._every = every
        return self._every

    def _with_none(self, ids: Iterable[str]) -> Iterator[ArchivedSession]:
        """Yield sessions without objects with calls; those that have no calls are remembered."""
        path = self.root / _EMPTY
        known = set(path.read_text().split()) if path.exists() else set[str]()
        chooser, empty = self.sessions, list[str]()
        for archived in chooser.read(chooser.names[id] for id in sorted({*ids} - known)):
            if archived.objects:
                yield archived
            else:
                empty.append(archived.session.id)
        if empty:
            with path.open("a") as file:
                file.write("".join(f"{id}\n" for id in empty))

    def _read_month(self, source: str, ids: Iterable[str]) -> None:
        chooser = self.sessions
        wanted = [chooser.names[id] for id in ids if id not in self._there]
        read = sorted(chooser.read(wanted), key=lambda one: (_place(one), one.session.id))
        for place, some in groupby(read, key=_place):
            self._units[source].append(Unit(*place, tuple(some)))

    # -- sessions by their ids -------------------------------------------------------------------

    def pull_session(self, text: str, source: str | None = None) -> str:
        """Have a session come, with those of its processes; return its id.

        Args:
            text: as of :meth:`.choosing.Chooser.root_of`.

        Raises:
            IntegrityError: it is damaged.
            StoreError: there is none, or more than one; or the archive could not be reached.
        """
        with mutex.lock:
            chooser = self.sessions
            id, root_id = chooser.root_of(text, source)
            # (Which those are of its processes is known once all are read.)
            self._pull(list(chooser.chosen(Choice(session=root_id), self._there.keys())))
            return id

    def pull_bodies(self, session_id: str) -> None:
        """Have all come by which a session that is here is checked, and those of its processes.

        Its bodies, and what the archive says of the tree of the store that it is from.

        Raises:
            IntegrityError: one is damaged, or missing.
            StoreError: the archive could not be reached, or refused.
        """
        chooser = self.sessions
        members = [one.id for one in self.store.family(session_id)]
        for archived in chooser.read(chooser.names[id] for id in members if id in chooser.names):
            for payload in archived.payloads:
                self.fetch(self.store.payloads, *payload)
            origin = archived.session.store
            self.store.catalog.put_origin_leaves(origin, chooser.seals(origin))

    def pull_all(self, source: str | None = None, progress: Progress | None = None) -> None:
        """Have all sessions come, or those with calls of a source.

        Raises:
            IntegrityError: one is damaged.
            StoreError: the archive could not be reached, or refused.
        """
        with mutex.lock:
            chooser = self.sessions
            total = len(chooser.names) - len(self._there)
            self._pull(chooser.chosen(Choice(source), self._there.keys()), progress, total)

    def pull_call(self, request_id: str, sources: Iterable[str] = ()) -> bool:
        """Have the session of a call come; say whether it is there.

        Args:
            sources: one of them is the call's; any, if none is given.

        Raises:
            IntegrityError: a session is damaged.
            StoreError: the archive could not be reached, or refused.
        """
        with mutex.lock:
            chooser, made = self.sessions, began(request_id)
            ids: Iterable[str] = chooser.names
            if sources:
                ids = [id for one in sources for id in self._by_source().get(one, ())]
            before = [id for id in ids if id <= request_id and id not in self._there]
            later = list[ArchivedSession]()
            for one in chooser.read(chooser.names[id] for id in sorted(before, reverse=True)):
                if (one.session.columns[9] or made) < made:
                    later += [one] if sources else []
                elif self._has_call(one, request_id):
                    return True
            # A clock may have been set back, and what these say may be needed.
            return any(self._has_call(one, request_id) for one in later)

    def _has_call(self, archived: ArchivedSession, request_id: str) -> bool:
        self._pull([archived])
        return bool(self.store.catalog.ids(request_id, calls=True))

    def _pull(
        self, found: Iterable[ArchivedSession], progress: Progress | None = None, total: int = 0
    ) -> None:
        """Have sessions come, each behind the root of its processes."""
        taking = Pull(
            self._archive.opened(), self.store, self._pruned, JOBS, payloads=False, small=True,
            progress=progress,
        )  # fmt: skip
        given: dict[str, tuple[str, str]] = {}
        taking.run(self._with_roots(found, given), total)
        for problem in taking.problems:
            raise IntegrityError(problem)
        self._there |= given
        self.grown += len(given)

    def _with_roots(
        self, found: Iterable[ArchivedSession], given: dict[str, tuple[str, str]]
    ) -> Iterator[ArchivedSession]:
        chooser = self.sessions
        for one in found:
            for id in dict.fromkeys((one.session.root_id, one.session.id)):
                if id in self._there or id in given:
                    continue
                own = id == one.session.id
                coming = [one] if own else chooser.read(filter(None, [chooser.names.get(id)]))
                for each in coming:
                    given[id] = _place(each)
                    yield each

    # -- bodies ----------------------------------------------------------------------------------

    def fetch(self, folder: PayloadFolder, checksum: str, size: int) -> None:
        """Have a large body come, if it is not there.

        Raises:
            IntegrityError: it is damaged.
            StoreError: the archive could not be reached, or refused.
        """
        if names.is_checksum(checksum) and not os.path.lexists(folder.path(checksum)):
            bodies.fetch(self._archive.opened(), folder, Payload(checksum, size))


def _age(archived: ArchivedSession) -> str:
    return archived.session.id


def _place(archived: ArchivedSession) -> tuple[str, str]:
    return archived.session.as_of, archived.session.root_id


def began(request_id: str) -> str:
    """Return when a call was made, as its id tells, in the form of a session's times."""
    try:
        return instant(int(request_id[:8] + request_id[9:13], 16) / 1000)
    except ValueError:
        return ""
