"""An archive: what is done with one."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import IntegrityError, StoreError
from ..ingest.recording_store import RecordingStore
from ..integrity.findings import Progress
from ..storage.layout import DATABASE
from ..storage.root_store import RootStore
from . import names
from .object_store import ObjectStore
from .pushing import Push, Pushed, lacking

VERSION = 1
_MARK = "mxm-dataio archive"
_LARGEST_MARK = 4096
JOBS = 8

# Archives of which this process knows that they refuse a second creation.
_known: set[str] = set()
_asking = threading.Lock()


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
            sessions = store.catalog.sealed_sessions(source)
            self._checked()
            missing = lacking(self._objects, sessions)
            there = len(sessions) - len(missing)
            if not missing:
                return Pushed(there=there)
            self._made()
            return Push(self._objects, store, jobs, progress).run(missing, there)

    # -- what it is ----------------------------------------------------------------------------

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
