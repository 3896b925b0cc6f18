"""An archive: what is done with one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import MALFORMED, ConfigError, IntegrityError, StoreError
from ..integrity.findings import Finding, Progress
from ..integrity.proofs import Head
from ..models import Session
from ..storage.catalog import rows
from ..storage.catalog.sealed import SealedSession
from ..storage.catalog.selection import seconds
from ..storage.layout import DATABASE
from ..storage.recording_store import RecordingStore
from ..storage.root_store import RootStore
from ..utils import as_of_text
from . import finding, names
from .choosing import Choice
from .finding import IndexUpdate
from .index import Indexed
from .listing import archived, committed
from .names import ExchangesName
from .object_store import ObjectStore
from .pruning import GRACE, PrunedArchive, prune
from .pulling import Pulled, pull
from .pushing import Push, Pushed, lacking
from .session_object import ArchivedSession
from .verification import Verification, VerifiedArchive

VERSION = 1
_MARK = "mxm-dataio archive"
_LARGEST_MARK = 4096
JOBS = 8

# Archives of which this process knows that they refuse a second creation.
_known: set[str] = set()
_asking = threading.RLock()


class Archive:
    """Sealed sessions of many roots, below a prefix of an object store.

    Args:
        url: ``s3://bucket/prefix``, ``gs://``, ``az://`` or ``file:///folder``. Credentials and
            endpoint come from the environment, as obstore reads them.

    Attributes:
        url: as it is told.

    Raises:
        ConfigError: the URL is none, something secret is in it, or a library is not installed.
        StoreError: what the environment says of the store does not do.
    """

    def __init__(self, url: str) -> None:
        self._objects = ObjectStore(url)
        self._is_there = False
        self.url = self._objects.url

    def __repr__(self) -> str:
        """Say where it is."""
        return f"<{type(self).__name__} {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""

    def push(
        self,
        root: str | os.PathLike[str],
        source: str | None = None,
        jobs: int = JOBS,
        progress: Progress | None = None,
    ) -> Pushed:
        """Push the sealed sessions of a root that are not here; first, seal what was left.

        Killed anywhere, it is run again. Any number of pushes may run at once.

        Args:
            root: the folder.
            source: of the sessions; all, if not given.
            jobs: how many objects are written at once.
            progress: is told of sessions.

        Raises:
            IntegrityError: the root's database is damaged; or this is an archive of a newer
                release, or none; or it has another session in the place of one of the root's.
            StoreError: nothing is recorded there; or the object store could not be reached,
                refused, or does not refuse a second creation, without which pushes would
                overwrite each other.
        """
        folder = Path(root)
        if not (folder / DATABASE).exists():
            # Which says what is wrong with it, and makes nothing.
            RootStore(folder, readonly=True, patient=True).close()
        with RecordingStore(folder, patient=True) as store:
            store.seal_left()
            own = store.catalog.store_id()
            # One from elsewhere whose calls were pruned here is its origin's to push.
            sessions = [
                one for one in store.catalog.sealed_sessions(source)
                if one.store == own or one.pruned_at is None
            ]  # fmt: skip
            self._checked()
            missing = lacking(self._objects, sessions)
            there = len(sessions) - len(missing)
            if not missing:
                return Pushed(there=there)
            self._made()
            return Push(self._objects, store, jobs, progress).run(missing, there)

    def pull(
        self,
        root: str | os.PathLike[str],
        source: str | None = None,
        as_of: str | date | datetime | None = None,
        session: str | None = None,
        payloads: bool = True,
        jobs: int = JOBS,
        progress: Progress | None = None,
    ) -> Pulled:
        """Take sessions that a root lacks into it, once all of each is checked.

        Broken off anywhere, it is run again; what is here already is not fetched once more.

        Args:
            root: the folder; made, if it is not there.
            source: of calls that the sessions have.
            as_of: the latest that counts.
            session: the one that is meant, with those of its processes: its id, or its beginning
                or end; ``latest`` is the newest (of the source), ``latest~1`` the one before it.
            payloads: off, bodies are left out; a later pull completes them.
            jobs: how many objects are fetched at once.
            progress: is told of sessions.

        Returns:
            What was done. What is damaged, or no object of an archive, is among its ``problems``.

        Raises:
            ConfigError: the as-of is none.
            IntegrityError: this is an archive of a newer release, or none; or the root's database
                is damaged.
            StoreError: there is no archive, or no such session; or the object store could not be
                reached, or refused, or the root did.
        """
        try:
            choice = Choice(source, None if as_of is None else as_of_text(as_of))
        except ValueError as exc:
            raise ConfigError(str(exc)) from None
        self._refuse_absent()
        with RootStore(root, readonly=False, patient=True) as store:
            return pull(
                self._objects, store, choice, session, jobs, payloads=payloads, progress=progress
            )

    def prune(
        self,
        older_than: str | timedelta | float,
        source: str | None = None,
        *,
        remove: bool = True,
        grace: timedelta = GRACE,
        progress: Progress | None = None,
    ) -> PrunedArchive:
        """Delete the calls of old sessions, and what no session names; their rows and seals stay.

        Others may push meanwhile. Broken off anywhere, it is run again.

        Args:
            older_than: sessions go that began so long ago (``2y``, ``30d``, seconds), each with
                those of its child processes.
            source: of calls that they have; of all, if not given.
            remove: off, only say what would go.
            grace: what no session names is kept for so long: it may be of a push under way.
            progress: is told of sessions.

        Raises:
            ConfigError: the span is none.
            IntegrityError: this is an archive of a newer release, or none.
            StoreError: there is no archive, or the object store could not be reached, or refused.
        """
        span = seconds(older_than) if isinstance(older_than, str) else older_than
        span = span.total_seconds() if isinstance(span, timedelta) else span
        return prune(
            self.opened(), span, Choice(source), remove=remove, grace=grace, jobs=JOBS,
            progress=progress,
        )  # fmt: skip

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return the sessions, oldest first.

        Args:
            source: whose; of all, if not given.

        Raises:
            IntegrityError: one is damaged; it is named.
            StoreError: there is no archive, or the object store could not be reached, or refused.
        """
        found = [one.session for one in self._archived(source)]
        return sorted(map(to_session, found), key=lambda session: session.id)

    def objects(self, source: str | None = None) -> list[str]:
        """Return the URLs of the objects with calls, of all sessions that were pushed to the end.

        For engines that read Parquet: what a listing has besides is of pushes under way.

        Args:
            source: whose calls; of all, if not given.

        Raises:
            IntegrityError, StoreError: as :meth:`sessions`.
        """
        pruned = {one.name for one in self._objects.list(names.TOMBSTONES)}
        found = []
        for one in self._archived():
            if names.tombstone(one.session.id) not in pruned:
                found += [part.name for part in one.objects]
        return [
            f"{self.url}/{name}"
            for name in sorted(found)
            if source is None or getattr(ExchangesName.parse(name), "source", None) == source
        ]

    def verify(
        self, against: Sequence[Head] = (), progress: Progress | None = None
    ) -> VerifiedArchive:
        """Check that what is here is what was recorded, from the objects alone.

        Args:
            against: heads that were published earlier; each has to be one of a store's here.
            progress: is told how far it is.

        Raises:
            StoreError: there is no archive, or the object store could not be reached, or refused.
        """
        try:
            self._refuse_absent()
        except IntegrityError as exc:
            return VerifiedArchive(findings=(Finding(str(exc)),))
        return Verification(self._objects, tuple(against), JOBS, progress).run()

    def find(self, params_hash: str, source: str | None = None) -> list[Indexed]:
        """Return the calls that have a hash, the newest last.

        Whoever has an index (:meth:`index`) waits less: without one, or where it is damaged, all
        sessions are read, and with one those that it lacks. What is told of was read, and checked.

        Args:
            source: of the calls; of all, if not given.

        Raises:
            IntegrityError: a session that may have such calls is damaged.
            StoreError: as :meth:`sessions`.
        """
        self._refuse_absent()
        return finding.find(self._objects, params_hash, source, JOBS)

    def index(self, again: bool = False, progress: Progress | None = None) -> IndexUpdate:
        """Bring the index of calls by ``params_hash`` up to what is here: a Delta table, derived.

        It is for one process at a time.

        Args:
            again: make it anew, whatever is there.
            progress: is told of sessions.

        Raises:
            IntegrityError: the index is damaged, or of a newer release.
            ConfigError: deltalake is not installed.
            StoreError: as :meth:`sessions`.
        """
        self._refuse_absent()
        return finding.update(self._objects, JOBS, again, progress)

    def _archived(self, source: str | None = None) -> Iterator[ArchivedSession]:
        self._refuse_absent()
        for one, _ in archived(self._objects, committed(self._objects).names(), JOBS):
            if source is None or one.session.source == source:
                yield one

    # -- what it is ----------------------------------------------------------------------------

    def opened(self) -> ObjectStore:
        """Return its objects, for the other modules of this package, once it is known to be one.

        Raises:
            IntegrityError: it is of a newer release, or none.
            StoreError: there is no archive, or the object store could not be reached, or refused.
        """
        if not self._is_there:
            self._refuse_absent()
            self._is_there = True
        return self._objects

    def _checked(self) -> bool:
        """Say whether it is there.

        Raises:
            IntegrityError: it is of a newer release, or none.
        """
        found = self._objects.get(names.MARK, _LARGEST_MARK)
        if found is None:
            return False
        where = f"{self.url}/{names.MARK}"
        try:
            version = json.loads(found.content)[_MARK]
        except (ValueError, TypeError, LookupError, RecursionError):
            raise IntegrityError(f"{where} is damaged, or none of mxm-dataio's") from None
        if type(version) is not int or version < 1:
            raise IntegrityError(f"{where} is damaged: it names no version")
        if version > VERSION:
            raise IntegrityError(
                f"the archive {self.url} is of version {version}, this release knows up to "
                f"{VERSION}: upgrade mxm-dataio"
            )
        return True

    def _refuse_absent(self) -> None:
        if self._checked():
            return
        if any(True for _ in self._objects.list("")):
            raise IntegrityError(f"{self.url}/{names.MARK} is missing, and other objects are there")
        raise StoreError(f"nothing is archived under {self.url}: push first, or give another URL")

    def _made(self) -> None:
        """Make it, and find out whether a second creation is refused.

        Raises:
            StoreError: it is not.
        """
        with _asking:
            if self.url in _known:
                return
            mark = json.dumps({_MARK: VERSION}).encode()
            if self._objects.create(names.MARK, mark) and self._objects.create(names.MARK, mark):
                raise StoreError(
                    f"the object store of {self.url} takes no conditional writes (If-None-Match: "
                    "*): two pushes at once could overwrite each other. Nothing was pushed: take "
                    "a store that does (S3, GCS, Azure, MinIO, SeaweedFS), or a newer release of it"
                )
            _known.add(self.url)


def to_session(sealed: SealedSession) -> Session:
    """Return a session of an archive as a store gives it.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        return rows.to_session((*sealed.columns[:-1], sealed.pruned_at))
    except MALFORMED as exc:
        raise IntegrityError(f"session {sealed.id} of the archive is damaged: {exc}") from exc
