"""What waits in a store's journals, which a prune is to leave alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from ..errors import IntegrityError, StoreError
from ..storage.entries import Entry
from ..storage.journal import Left, left
from ..storage.layout import JOURNAL
from ..storage.root_store import RootStore

# Of a journal that its owner empties meanwhile.
_READINGS = 5


@dataclass
class Waiting:
    """What calls in journals name: their sessions, payloads, and the calls that answered them."""

    sessions: set[str] = field(default_factory=set)
    checksums: set[str] = field(default_factory=set)
    served_from: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, store: RootStore) -> Waiting:
        """Read the journals of a store.

        Raises:
            StoreError: one can't be read.
        """
        found = cls()
        try:
            with left(store.root / JOURNAL) as journals:
                for entry in (entry for journal in journals for entry in _entries(journal)):
                    found.sessions |= {entry.session.id, entry.session.root_id}
                    found.checksums.update(entry.payloads)
                    found.checksums.update(entry.named())
                    if entry.served_from:
                        found.served_from.add(entry.served_from)
        except OSError as exc:
            raise StoreError(
                f"the journals in {store.root / JOURNAL} can't be read ({exc.strerror}): what "
                "waits there may name what would be deleted",
                path=store.root / JOURNAL,
            ) from exc
        return found


def _entries(journal: Left) -> list[Entry]:
    """Return what is written in a journal so far.

    Its owner may empty it and write anew while it is read: then it is read once more.
    """
    for _ in range(_READINGS):
        with contextlib.suppress(IntegrityError):
            return list(journal.calls())
        if journal.gone:
            break
    return list(journal.calls())
