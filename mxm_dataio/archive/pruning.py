"""Deleting from an archive, while others push to it.

Of a session that is pruned its own object stays, with its seal, and a tombstone says that its calls
are gone: it is created before anything is deleted, so that a prune which was broken off is taken up
by the next. Then goes what no session names any more, and what none has named yet, once it is older
than the grace:

- what is there is listed before the sessions are, and those are read: what one names stays;
- who pushes a session writes what it names anew if that is older than half the grace, and looks
  for it again once the session has its name. So what is deleted here at that very moment is put
  back.

So a push must not take longer than half the grace from its first object to its session's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ..integrity.findings import Progress
from ..process import wall_time
from ..utils import parse_instant, utc_now
from . import listing, names, tombstone
from .choosing import Choice, is_prune
from .names import ExchangesName
from .object_store import Listed, ObjectStore
from .session_object import ArchivedSession

GRACE = timedelta(days=7)
# A store may tell of an object to the second, and in a listing to the millisecond.
_PRECISION = timedelta(seconds=1)
# Objects that are removed with one request.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PrunedArchive:
    """What was pruned from an archive, or would be.

    Attributes:
        sessions, calls: of those sessions.
        objects, size: that were removed, and their bytes.
        young: objects that no session names, and which are left to a later prune.
        done: it was done, not only looked at.
        problems: what is damaged, or none of an archive's.
    """

    sessions: int = 0
    calls: int = 0
    objects: int = 0
    size: int = 0
    young: int = 0
    done: bool = False
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is damaged."""
        return not self.problems


class Prune:
    """Prunes an archive.

    Args:
        before: the instant before which a session began, in seconds since the epoch; those of its
            child processes go with it.
        choice: which of them.
        remove: do it; else only say what would go.
        grace: what no session names is kept for so long.
        jobs: how many objects are read or removed at once.
        progress: is told of sessions.
    """

    def __init__(
        self,
        objects: ObjectStore,
        before: float,
        choice: Choice,
        *,
        remove: bool,
        grace: timedelta,
        jobs: int,
        progress: Progress | None,
    ) -> None:
        self._objects = objects
        self._before = before
        self._choice = choice
        self._remove = remove
        self._grace = grace
        self._jobs = jobs
        self._progress = progress or (lambda *_: None)
        self._problems: list[str] = []
        self._found = PrunedArchive(done=remove)
        # Ids of sessions that are there; and of those that are, or will be, pruned.
        self._committed: set[str] = set()
        self._pruned: set[str] = set()
        self._named: set[str] = set()

    def run(self) -> PrunedArchive:
        """Do it.

        Raises:
            StoreError: the object store could not be reached, or refused.
        """
        # Before the sessions: what comes meanwhile is young.
        bodies = list(self._objects.list(names.PAYLOADS))
        exchanges = list(self._objects.list(names.EXCHANGES))
        self._pruned = listing.pruned(self._objects)
        self._look()
        if damaged := bool(self._problems):
            self._problems.append("no body was removed: what is damaged may name it")
        self._delete(self._gone(exchanges))
        if not damaged:
            self._delete(one for one in bodies if one.name not in self._named and self._is_old(one))
        return replace(self._found, problems=tuple(self._problems))

    # -- sessions --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read all sessions, and write the tombstones of those that are to go."""
        found = listing.committed(self._objects)
        every = found.names() + [name for _, name in found.forked]
        self._committed = {name.session for name in every}
        at = utc_now()
        # Roots before what is of their processes, as ids tell.
        left = sorted(
            (name for name in every if name.session not in self._pruned),
            key=lambda name: name.session,
        )
        for done, (archived, _) in enumerate(
            listing.archived(
                self._objects, left, self._jobs, lambda _, exc: self._problems.append(str(exc))
            ),
            1,
        ):
            if self._is_doomed(archived):
                self._condemn(archived, at)
            else:
                self._named.update(names.payload(one.checksum) for one in archived.payloads)
            self._progress("sessions", done, len(left))

    def _is_doomed(self, archived: ArchivedSession) -> bool:
        session = archived.session
        if session.root_id != session.id and session.root_id in self._committed:
            # It goes with the session of the process that started its own.
            return session.root_id in self._pruned
        if is_prune(session) or not self._choice.admits(archived):
            return False
        try:
            # A row that was made of its calls, as its process could not write it, says nothing.
            return bool(session.columns[8]) and parse_instant(session.columns[8]) < self._before
        except ValueError:
            return False

    def _condemn(self, archived: ArchivedSession, at: str) -> None:
        session = archived.session
        if self._remove:
            self._objects.create(names.tombstone(session.id), tombstone.write(session, at))
        self._pruned.add(session.id)
        self._found = replace(
            self._found,
            sessions=self._found.sessions + 1,
            calls=self._found.calls + (session.count if archived.objects else 0),
        )

    # -- objects ---------------------------------------------------------------------------------

    def _gone(self, exchanges: Iterable[Listed]) -> Iterator[Listed]:
        """Yield the objects with calls that are of no session any more, or of none yet."""
        for one in exchanges:
            name = ExchangesName.parse(one.name)
            if name is None:
                self._problems.append(f"{self._objects.url}/{one.name} is no object of an archive")
            elif name.session in self._pruned or (
                name.session not in self._committed and self._is_old(one)
            ):
                yield one

    def _is_old(self, one: Listed) -> bool:
        old = datetime.now(UTC) - one.modified > self._grace
        if not old:
            self._found = replace(self._found, young=self._found.young + 1)
        return old

    def _delete(self, gone: Iterable[Listed]) -> None:
        """Remove objects; of those that no session has named, the ones that are still as old."""
        with ThreadPoolExecutor(self._jobs, "mxm-dataio-prune") as pool:
            batch: list[Listed] = []
            for one in gone:
                batch.append(one)
                if len(batch) >= _AT_ONCE:
                    self._delete_now(pool, batch)
                    batch = []
            self._delete_now(pool, batch)

    def _delete_now(self, pool: ThreadPoolExecutor, batch: list[Listed]) -> None:
        if self._remove:
            now = list(pool.map(lambda one: self._objects.head(one.name), batch))
            batch = [
                one
                for one, is_now in zip(batch, now, strict=True)
                if is_now is not None and is_now.modified - one.modified < _PRECISION
            ]
            if batch:
                self._objects.delete([one.name for one in batch])
        self._found = replace(
            self._found,
            objects=self._found.objects + len(batch),
            size=self._found.size + sum(one.size for one in batch),
        )


def prune(
    objects: ObjectStore,
    older_than: float,
    choice: Choice,
    *,
    remove: bool,
    grace: timedelta,
    jobs: int,
    progress: Progress | None,
) -> PrunedArchive:
    """Prune an archive; see ``Archive.prune``.

    Args:
        older_than: seconds.

    Raises:
        StoreError: the object store could not be reached, or refused.
    """
    work = Prune(
        objects, wall_time() - older_than, choice, remove=remove, grace=grace, jobs=jobs,
        progress=progress,
    )  # fmt: skip
    return work.run()
