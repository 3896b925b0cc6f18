"""The last step of a recorded call: payloads into their files, then rows into the catalog."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from pathlib import Path

from ..concurrency.reentry import Suppress
from .backend import Amend
from .catalog.catalog import SQLiteCatalog
from .entries import AnyEntry, SessionEntry
from .payloads.folder import PayloadFolder
from .running import RunningSessions


class Placement:
    """Puts entries to their place, changed as their session would record them by now.

    Attributes:
        amend: changes calls, if set; see :mod:`mxm_dataio.ingest.late`.
        bare: payloads from before a change, which could not be removed.
        catalog, payloads: where the places are.
        durable: what was put survives a power cut.
    """

    def __init__(self, catalog: SQLiteCatalog, payloads: PayloadFolder, *, durable: bool) -> None:
        self.amend: Amend | None = None
        self.bare: list[Path] = []
        self.catalog = catalog
        self.payloads = payloads
        self.durable = durable
        # Payload files whose calls were changed on their way, with their sizes.
        self._outdated: dict[str, int] = {}

    def put(
        self,
        entries: Sequence[AnyEntry],
        *,
        wait: bool = True,
        catalog: SQLiteCatalog | None = None,
    ) -> None:
        """Put entries to their place, all or none.

        Args:
            wait: for another process that writes to the database.
            catalog: in place of the store's own, where that is read alone.

        Raises:
            StoreError, OSError: disk or database refused.
        """
        if not entries:
            return
        catalog = catalog or self.catalog
        catalog.database.probe()
        for entry in entries:
            self.keep_payloads(entry)
        if self.durable:
            self.payloads.sync()
        catalog.put(entries, wait=wait, durable=self.durable)

    def keep_payloads(self, entry: AnyEntry) -> None:
        """Put an entry's payloads into their files.

        Raises:
            OSError: the disk refused.
        """
        for checksum, content in entry.payloads.items():
            self.payloads.keep(checksum, content)

    def amended(self, entry: AnyEntry) -> AnyEntry:
        """Return an entry, a call as its session would record it now."""
        if self.amend is None or isinstance(entry, SessionEntry):
            return entry
        made = entry
        # It is recorded, come what may.
        with Suppress(Exception):
            made = self.amend(entry, self.payloads.read)
        if made is not entry:
            kept = made.named().keys()
            for checksum, size in entry.named().items():
                if checksum not in kept and checksum not in entry.payloads:
                    self._outdated[checksum] = size
        return made

    def changed(self, entries: Sequence[AnyEntry]) -> list[AnyEntry] | None:
        """Return entries as :meth:`amended`, ``None`` if they are as they were."""
        made = list(map(self.amended, entries))
        return None if all(map(operator.is_, made, entries)) else made

    def remove_outdated(self, running: RunningSessions) -> None:
        """Remove the payloads that no call names any more, now that theirs were changed.

        As long as others record, one that they have met may be about to be named: it stays.
        """
        outdated, self._outdated = self._outdated, {}
        for checksum, size in outdated.items():
            content = self.payloads.read(checksum, size)
            if content is None:
                continue
            path = self.payloads.path(checksum)
            wanted = running.others() or self.catalog.names(checksum)
            gone = not wanted and self.payloads.remove(path, math.inf) is not None
            if gone and running.others():
                self.payloads.keep(checksum, content)
                self.payloads.sync()
                gone = False
            if not gone:
                self.bare.append(path)
