"""Sessions on their way out of an archive, into a root.

Of each all is checked before it is taken in; one that is damaged is named, and the others go on. A
session comes behind the root session of its processes, and one that was pruned at its origin behind
the session that stands for that prune. Large bodies come before the calls that name them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import IntegrityError
from ..integrity.findings import Progress
from ..integrity.foreign import put_foreign, put_pruned
from ..storage.catalog.rows import hex_of
from ..storage.catalog.sealed import SealedCall, SealedSession
from ..storage.root_store import RootStore
from . import bodies, exchanges, listing, names, parquet
from .choosing import Choice, Chooser
from .exchanges import INLINE, ArchivedCall
from .listing import Committed, committed, fork
from .object_store import Fetched, ObjectStore
from .session_calls import calls, unchecked
from .session_object import ArchivedSession, Payload

_NAMED = (
    f"SELECT s.id, {hex_of('p.checksum')} FROM origins o JOIN sessions s ON s.number = o.session "
    "JOIN requests q ON q.session = s.number JOIN responses p ON p.request = q.number "
    "WHERE p.checksum NOT NULL UNION "
    f"SELECT s.id, {hex_of('q.body_checksum')} FROM origins o "
    "JOIN sessions s ON s.number = o.session "
    "JOIN requests q ON q.session = s.number WHERE q.body_checksum NOT NULL"
)
# Bytes of objects that are fetched before it is their turn.
_ROOM = 32 << 20


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did.

    Attributes:
        sessions, calls: that were taken in.
        completed: sessions that were there without all of their bodies, and have them now.
        there: sessions that were there before.
        waiting: sessions of child processes whose root session is not in the archive yet.
        problems: what is damaged, or none of an archive's; all else was taken in.
    """

    sessions: int = 0
    calls: int = 0
    completed: int = 0
    there: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is damaged."""
        return not self.problems


@dataclass(slots=True)
class _Coming:
    """A session whose objects are being fetched."""

    archived: ArchivedSession
    large: list[Future[None]] = field(default_factory=list)


def pull(
    objects: ObjectStore,
    store: RootStore,
    choice: Choice,
    session: str | None,
    jobs: int,
    *,
    payloads: bool,
    progress: Progress | None,
) -> Pulled:
    """Take the sessions that are meant into a root, which lacks them; see ``Archive.pull``."""
    found = committed(objects)
    problems = [f"{objects.url}/{name} is none of a session's objects" for name in found.foreign]
    problems += [str(fork(objects.url, *pair)) for pair in found.forked]
    chooser = Chooser(objects, found, jobs, lambda name, exc: problems.append(str(exc)))
    if session is not None:
        choice = Choice(session=chooser.root_of(session, choice.source)[1])
    pruned = listing.pruned(objects)
    there = set(_sealed(store, found))
    taking = Pull(
        objects, store, pruned, jobs, payloads=payloads, small=payloads, progress=progress
    )
    taking.run(chooser.chosen(choice, there), len(chooser.names) - len(there))
    if payloads:
        lacking = _lacking(store, there & chooser.names.keys())
        wanted = (chooser.names[id] for id in sorted(lacking))
        every = set[str]().union(*lacking.values())
        taking.complete((one for one in chooser.read(wanted) if _is_meant(one, choice)), every)
    problems += taking.problems
    problems += _told(store, found)
    return Pulled(
        taking.sessions, taking.calls, taking.completed, len(there), taking.waiting,
        tuple(problems),
    )  # fmt: skip


def _sealed(store: RootStore, found: Committed) -> Iterator[str]:
    """Yield the ids of the sessions of an archive that a root has."""
    there = dict(store.catalog.database.all("SELECT id, seal FROM sessions WHERE seal NOT NULL"))
    for name in found.names():
        if there.get(name.session) == name.seal:
            yield name.session


def _is_meant(archived: ArchivedSession, choice: Choice) -> bool:
    if choice.session is not None:
        return archived.session.root_id == choice.session
    return choice.admits(archived)


def _lacking(store: RootStore, sessions: Collection[str]) -> dict[str, set[str]]:
    """Return the bodies that a root lacks of sessions from elsewhere, by the sessions' ids."""
    found = dict[str, set[str]]()
    known = dict[str, bool]()
    for id, checksum in store.catalog.database.all(_NAMED):
        if id in sessions and isinstance(checksum, str) and names.is_checksum(checksum):
            if checksum not in known:
                known[checksum] = bodies.is_there(store.payloads, checksum)
            if not known[checksum]:
                found.setdefault(id, set()).add(checksum)
    return found


def _told(store: RootStore, found: Committed) -> Iterator[str]:
    """Write what an archive says of the trees of stores that sessions here are from."""
    forked = {one.leaf: one.store for one, _ in found.forked}
    here = set(_sealed(store, found))
    for origin, leaves in found.by_store.items():
        if here.isdisjoint(name.session for name in leaves.values()):
            continue
        seals = {
            leaf: seal for leaf, seal in found.seals(origin).items() if forked.get(leaf) != origin
        }
        try:
            store.catalog.put_origin_leaves(origin, seals)
        except IntegrityError as exc:
            yield str(exc)


class Pull:
    """Takes sessions of an archive in.

    Args:
        store: of the root.
        pruned: ids of the sessions that were pruned from the archive; those are added that turn out
            to have been meanwhile.
        jobs: how many objects are fetched at once.
        payloads: of all sizes are fetched; else those alone that stand beside calls.
        small: those are kept.
        progress: is told of sessions.

    Attributes:
        problems: what was wrong, up to now.
        sessions, calls, completed, waiting: see :class:`Pulled`.
    """

    def __init__(
        self,
        objects: ObjectStore,
        store: RootStore,
        pruned: set[str],
        jobs: int,
        *,
        payloads: bool = True,
        small: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self.problems: list[str] = []
        self.sessions = self.calls = self.completed = self.waiting = 0
        self._objects = objects
        self._store = store
        self._pruned = pruned
        self._jobs = jobs
        self._payloads = payloads
        self._small = small
        self._progress = progress or (lambda *_: None)
        self._fetched: dict[str, Future[None]] = {}
        self._refused: set[str] = set()
        self._late: list[_Coming] = []
        self._gone: dict[str, list[ArchivedSession]] = {}

    def run(self, found: Iterable[ArchivedSession], total: int = 0) -> None:
        """Take sessions in, the older before the younger.

        Raises:
            StoreError: the object store could not be reached, or refused; or the root did.
        """
        coming: deque[_Coming] = deque()
        with ThreadPoolExecutor(self._jobs, "mxm-dataio-pull") as pool:
            ahead = _Ahead(self._objects, pool)
            try:
                for number, archived in enumerate(found, 1):
                    coming.append(self._begun(archived, ahead))
                    if len(coming) > self._jobs:
                        self._take(coming.popleft(), ahead)
                    self._progress("sessions", number, max(total, number))
                while coming:
                    self._take(coming.popleft(), ahead)
                self._take_pruned()
                late, self._late = self._late, []
                for one in late:
                    self._take(one, ahead, last=True)
                self._take_pruned()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def complete(self, found: Iterable[ArchivedSession], lacking: Collection[str]) -> None:
        """Fetch the bodies of sessions that are there without.

        Args:
            lacking: the checksums of those that are not.
        """
        with ThreadPoolExecutor(self._jobs, "mxm-dataio-pull") as pool:
            ahead = _Ahead(self._objects, pool)
            for archived in found:
                large = [
                    self._large(payload, ahead)
                    for payload in archived.payloads
                    if payload.checksum in lacking
                ]
                try:
                    for one in calls(ahead, archived):
                        self._keep(one, lacking)
                except IntegrityError as exc:
                    self._problem(archived.session, exc)
                    continue
                self._settle(archived.session, large)
                self.completed += 1

    # -- one session -----------------------------------------------------------------------------

    def _begun(self, archived: ArchivedSession, ahead: _Ahead) -> _Coming:
        """Have the objects of a session fetched."""
        coming = _Coming(archived)
        if archived.session.id in self._pruned:
            return coming
        if self._payloads:
            folder = self._store.payloads
            coming.large = [
                self._large(payload, ahead)
                for payload in archived.payloads
                if not bodies.is_there(folder, payload.checksum)
            ]
        ahead.begin(archived)
        return coming

    def _large(self, payload: Payload, ahead: _Ahead) -> Future[None]:
        known = self._fetched.get(payload.checksum)
        if known is None:
            known = ahead.pool.submit(bodies.fetch, self._objects, self._store.payloads, payload)
            self._fetched[payload.checksum] = known
        return known

    def _take(self, coming: _Coming, ahead: _Ahead, *, last: bool = False) -> None:
        archived = coming.archived
        session = archived.session
        pruned = session.id in self._pruned
        try:
            if session.root_id != session.id and not self._has(session.root_id):
                if not last:
                    self._late.append(coming)
                elif session.root_id in self._refused:
                    raise IntegrityError(f"its root session {session.root_id} was not pulled")
                else:
                    self.waiting += 1
                return
            if pruned:
                self._take_later(archived)
                return
            gone = session.pruned_at is not None and not archived.objects
            if gone and not last:
                self._late.append(coming)
                return
            self._settle(session, coming.large)
            each = iter(()) if gone else self._calls(archived, ahead)
            if put_foreign(self._store.catalog, session, archived.proof, each):
                self.sessions += 1
                self.calls += 0 if gone else session.count
        except IntegrityError as exc:
            self._fail(archived, exc, pruned=pruned)
        finally:
            ahead.drop(archived)

    def _has(self, session_id: str) -> bool:
        there = any(session_id == one.session.id for some in self._gone.values() for one in some)
        return there or self._store.catalog.session(session_id) is not None

    def _settle(self, session: SealedSession, large: Iterable[Future[None]]) -> None:
        """Wait for a session's large bodies; one that is damaged is no harm to the rest."""
        for one in large:
            try:
                one.result()
            except IntegrityError as exc:
                if self._was_pruned(session):
                    raise
                text = f"of session {session.id}: {exc}"
                if text not in self.problems:
                    self.problems.append(text)

    def _calls(self, archived: ArchivedSession, ahead: _Ahead) -> Iterator[SealedCall]:
        # What is yielded is compared with its hash by who takes it.
        for one in unchecked(ahead, archived):
            if self._small:
                self._keep(one)
            yield one.call

    def _keep(self, one: ArchivedCall, only: Collection[str] | None = None) -> None:
        """Keep the small bodies of a call."""
        for checksum, size in exchanges.bodies(one.call):
            if size <= INLINE and (only is None or checksum in only):
                bodies.keep(self._store.payloads, checksum, one.contents[checksum])

    def _problem(self, session: SealedSession, exc: IntegrityError) -> None:
        self._refused.add(session.id)
        self.problems.append(f"session {session.id} was not pulled: {exc}")

    # -- pruned from the archive ---------------------------------------------------------------

    def _was_pruned(self, session: SealedSession) -> bool:
        """Say whether a session is gone by now."""
        if self._objects.head(names.tombstone(session.id)) is not None:
            self._pruned.add(session.id)
        return session.id in self._pruned

    def _fail(self, archived: ArchivedSession, exc: IntegrityError, *, pruned: bool) -> None:
        """Name a session that is damaged; one that was pruned meanwhile is none.

        Args:
            pruned: it was before.
        """
        session = archived.session
        try:
            if pruned or not self._was_pruned(session):
                raise exc
            self._take_later(archived)
        except IntegrityError as exc:
            self._problem(session, exc)

    def _take_later(self, archived: ArchivedSession) -> None:
        at = listing.pruned_at(self._objects, archived.session)
        self._gone.setdefault(at, []).append(archived)

    def _take_pruned(self) -> None:
        """Take in the rows of what was pruned from the archive; this root's tree says that."""
        for at, gone in self._gone.items():
            pairs = [(one.session, one.proof) for one in gone]
            try:
                self.sessions += put_pruned(self._store.catalog, pairs, at)
            except IntegrityError:
                for pair in pairs:
                    try:
                        self.sessions += put_pruned(self._store.catalog, [pair], at)
                    except IntegrityError as exc:
                        self._problem(pair[0], exc)
        self._gone = {}


class _Ahead:
    """Objects with calls that are fetched before they are asked for, as far as there is room."""

    def __init__(self, objects: ObjectStore, pool: ThreadPoolExecutor) -> None:
        self.url = objects.url
        self.pool = pool
        self._objects = objects
        self._held = 0
        self._coming: dict[str, tuple[int, Future[Fetched | None]]] = {}

    def begin(self, archived: ArchivedSession) -> None:
        """Have the objects of a session fetched."""
        for part in archived.objects:
            size = min(part.size, parquet.LARGEST)
            if self._held + size <= _ROOM:
                self._held += size
                coming = self.pool.submit(self._objects.get, part.name, size)
                self._coming[part.name] = size, coming

    def get(self, name: str, limit: int) -> Fetched | None:
        """Return an object, as an :class:`ObjectStore` does."""
        size, coming = self._coming.pop(name, (0, None))
        self._held -= size
        return self._objects.get(name, limit) if coming is None else coming.result()

    def drop(self, archived: ArchivedSession) -> None:
        """Forget what was fetched of a session and not asked for."""
        for part in archived.objects:
            size, coming = self._coming.pop(part.name, (0, None))
            self._held -= size
            if coming is not None:
                coming.cancel()
