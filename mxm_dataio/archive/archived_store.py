"""An archive as a store: what it is asked for comes first to where this machine keeps it.

Answers are those that a root would give which has all of the archive: of several sessions that hold
a call, the newest is found, since none answers before all that are newer have come. What is told of
other calls, as what resembles one that is not found, is of what has come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, repeat
from typing import BinaryIO

from ..config.archive_urls import ArchiveRoot
from ..errors import StoreError
from ..http.answers import StoredPayload
from ..models import Exchange
from ..storage.catalog import rows
from ..storage.catalog.catalog import SQLiteCatalog
from ..storage.catalog.lookups import NEWEST
from ..storage.catalog.reading import LAST, CatalogReader
from ..storage.layout import RESPONSES, RUNNING
from ..storage.payloads.folder import PayloadFolder
from ..storage.root_store import RootStore
from .cache import ArchiveCache

# Units that come at once where many are looked through.
_MOST = 32
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ArchivedStore(RootStore):
    """Reads an archive.

    Args:
        root: the folder where what it is asked for is kept.

    Attributes:
        cache: what is kept.

    Raises:
        ConfigError, StoreError: see :class:`.cache.ArchiveCache`; that the archive is not to be
            reached is told once it is asked.
    """

    def __init__(self, root: ArchiveRoot) -> None:
        self.cache = ArchiveCache(root)
        self._sources: set[str] = set()
        try:
            super().__init__(root, readonly=True, patient=True)
        except BaseException:
            self.cache.close()
            raise
        self.root = root
        self.payloads = _Payloads(self.cache)
        self._reads = StoredPayload(self.payloads.open)
        self._catalog = _Catalog(self._catalog, self.cache, self._sources)

    def close(self) -> None:
        """Close what is kept."""
        super().close()
        self.cache.close()

    def session_id(self, text: str, source: str | None = None) -> str:
        """Return the id of a session of the archive, which comes with those of its processes."""
        return self.cache.pull_session(text, source)

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id, of a session that has not come, too."""
        found = super().exchange(request_id)
        if found is None and self.cache.pull_call(request_id, self._sources):
            found = super().exchange(request_id)
        return found


class _Catalog(SQLiteCatalog):
    """The rows of what has come; what they say of the newest is so of all of the archive.

    Args:
        catalog: of what is kept.
        sources: gets those of which it was asked.
    """

    def __init__(self, catalog: SQLiteCatalog, cache: ArchiveCache, sources: set[str]) -> None:
        CatalogReader.__init__(self, catalog.database)
        self._cache = cache
        self._asked = sources

    def ids(self, text: str, *, calls: bool = False) -> list[str]:
        """Return the ids of sessions, or of calls, that begin or end so; three at most.

        Of calls, those that have come; another is found by the whole of its id.
        """
        if not calls:
            every = self._cache.sessions.names
            found = [id for id in every if id.startswith(text) or id.endswith(text)]
            return [text] if text in every else found[:3] if text else []
        found = super().ids(text, calls=True)
        if not found and _ID.fullmatch(text) and self._cache.pull_call(text):
            found = super().ids(text, calls=True)
        return found

    def newest(
        self, source: str, params_hash: str, bound: str, but: str = ""
    ) -> tuple[str, str] | None:
        """Return ``(as_of, root_id)`` of the newest session of the archive that holds the call."""
        self._asked.add(source)
        # What was pruned there goes here first.
        self._cache.sessions  # noqa: B018
        # The further back it is, the more come at once: each waits for the network.
        for most in chain((1, 1, 2, 4, 8, 16), repeat(_MOST)):
            found = self._all(NEWEST, rows.packed(params_hash), source, bound, LAST, but)
            than = ("", "")
            if found:
                as_of, root_id, _, failed = found[0]
                # Of the same as-of, an older one that has not failed goes before.
                than = (as_of, "" if failed else root_id)
            if not self._cache.pull_newer(source, bound, than, most):
                break
        return super().newest(source, params_hash, bound, but)

    def identities(
        self, source: str, bound: str, root_id: str | None
    ) -> Iterator[tuple[str, str, str]]:
        """Yield hash, the id of a call and identity of all calls of a source."""
        while root_id is None and self._cache.pull_newer(source, bound, most=_MOST):
            pass
        return super().identities(source, bound, root_id)


class _Payloads(PayloadFolder):
    """Payloads, of which the large ones come as they are opened."""

    def __init__(self, cache: ArchiveCache) -> None:
        super().__init__(cache.root / RESPONSES, temporary=cache.root / RUNNING)
        self._cache = cache

    def open(self, checksum: str, size: int) -> BinaryIO:
        """Return a payload, to be read once, from its start. No byte comes that is not checked."""
        self._cache.fetch(self, checksum, size)
        return super().open(checksum, size)

    def read(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""
        try:
            return super().read(checksum, size)
        except StoreError:
            return None

    def verify(self, checksum: str, size: int, *, beside: bool = False) -> None:
        """Read the whole payload and check it."""
        self._cache.fetch(self, checksum, size)
        super().verify(checksum, size, beside=beside)
