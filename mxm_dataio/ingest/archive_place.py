"""An archive as the place that a session is replayed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..archive.archived_store import ArchivedStore
from ..config import settings as config
from ..config.archive_urls import ArchiveRoot
from ..config.faces import Face
from ..models import Mode, Request
from ..replay.freshness import Freshness
from ..replay.growing import GrowingLookup
from ..replay.lookup import Lookup
from ..storage.backend import Backend
from ..storage.root_store import RootStore
from ..utils import as_of_bound, counted
from .place import RootPlace

if TYPE_CHECKING:
    from .capture import Capture


class ArchivePlace(RootPlace):
    """An archive; sessions of it come to a folder of this machine as they are asked for."""

    _root: ArchiveRoot

    def __init__(self, root: ArchiveRoot, session_id: str | None, freshness: Freshness) -> None:
        super().__init__(root, session_id, freshness)
        self._bound = as_of_bound(None)
        self._store: ArchivedStore | None = None
        self._lookups: dict[str, GrowingLookup] = {}

    def open(self, capture: Capture) -> Backend | None:
        """Open what is kept of it; the archive is asked with the first call."""
        if capture.mode is Mode.OFF:
            return None
        if capture.settings.mode == config.ONCE:
            # Nothing is recorded to an archive.
            capture.mode = Mode.REPLAY
        self._bound = as_of_bound(capture.as_of)
        self._store = ArchivedStore(self._root)
        return self._checked(self._store, capture.source)

    def lookup(self, capture: Capture, store: Backend, source: str) -> Lookup:
        """Return what finds answers in the newest session that has them, or the one given."""
        assert isinstance(store, ArchivedStore)
        lookup = GrowingLookup(
            store,
            source,
            as_of=capture.as_of,
            root_id=self._session_id,
            rekeyed=self._rekeyed(capture, store, source),
            exhausted=capture.exhausted,
        )
        lookup.grown = lambda: store.cache.grown
        self._lookups[source] = lookup
        return lookup

    def where(self, source: str) -> str:
        """Return, in words, where replay looks for a source's calls, and how far it has."""
        where = f"source {source!r} in the archive {self._root.url}"
        if self._session_id:
            where = f"session {self._session_id} ({where})"
        lookup = self._lookups.get(source)
        if lookup is None or self._store is None:
            return where
        if lookup.unreachable:
            return f"{where}, which could not be asked for all of it ({lookup.unreachable})"
        if self._session_id:
            return where
        looked, later = self._store.cache.counts(source, self._bound)
        bounded = f"; {counted(later, 'session')} of a later as-of left out" if later else ""
        have = "has" if looked == 1 else "have"
        return f"{where}, in {counted(looked, 'session')} that {have} calls of it{bounded}"

    def recording(self, face: Face) -> str:
        """Say that it is recorded to a folder, and pushed."""
        root = face.says("root", "DIR")
        return (
            f"record to a folder ({face.says('mode', 'record')}, {root}) and push what has ended: "
            f"mxm-dataio push {self._root.url} --root DIR"
        )

    def origin(self, capture: Capture, store: Backend, request: Request) -> str:
        """Name the session."""
        return f"session {request.session_id}"

    def _reading(self, capture: Capture, *, newest: bool) -> RootStore:
        store = ArchivedStore(self._root)
        try:
            if newest:
                store.cache.pull_newer(capture.source, self._bound)
        except BaseException:
            store.close()
            raise
        return store
