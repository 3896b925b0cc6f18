"""What stays of sessions whose calls were pruned, and says so to who verifies the store.

Pruning deletes a session's calls and keeps its row: its seal, the count of its calls and the hash
of the last, so that it stays the leaf of the store's tree that it is, and what was proved of it
stays proved. That the calls are gone is marked in the row (``pruned_at``), which anyone could do
who can write to the database. So a prune is written down as a session of its own, without a source,
whose warnings name the sessions that were pruned, each with the count and the hash of its calls. It
is sealed, and the next leaf of the tree.

What that is worth, against one who deletes calls and would have it taken for a prune:

- calls that are gone without a mark, or with a mark that no such leaf bears out, are found;
- a mark on a session of which some calls are there is found: nothing is pruned by halves;
- the mark says how many calls are gone, and cannot say fewer: the count is under the seal;
- every verification tells every pruned session, so it does not pass unseen;
- the leaf comes behind all that ended before, and a head that was published since stands for it. So
  it can't be dated back behind a head, nor be taken back once a head covers it.

That somebody who can write to the store may delete from it can't be prevented, only told.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..models import Mode, Session, Status
from ..utils import new_id, utc_now

SOURCE = ""
KIND = "prune"
# What :func:`read` takes: of the prunes of this store, and of another's that were taken in.
_ROWS = (
    "SELECT s.id, coalesce(o.leaf, s.leaf) AS leaf, s.started_at, s.warnings FROM sessions s "
    f"LEFT JOIN origins o ON o.session = s.number WHERE (s.source, s.kind) = ('{SOURCE}', '{KIND}')"
)
OWN = f"{_ROWS} AND o.session IS NULL AND s.leaf NOT NULL ORDER BY s.leaf"
OF_STORE = f"{_ROWS} AND o.store = CAST(? AS TEXT) ORDER BY o.leaf"
_LINE = re.compile(r"(\S+) ([0-9]{1,18}) ([0-9a-f]{64})")


class Gone(NamedTuple):
    """A session whose calls were pruned: how many they were, and the hash of the last."""

    session: str
    records: int
    head: bytes


class Tombstone(NamedTuple):
    """What a prune says of one session.

    Attributes:
        by: id of the session that stands for the prune.
        at: when it was pruned.
        leaf: of the prune, in the store's tree.
    """

    gone: Gone
    by: str
    at: str
    leaf: int

    def may_have_held(self, request_id: str) -> bool:
        """Say whether a call may have been the session's: it began in its time, as ids tell."""
        return self.gone.session < request_id < self.by


def raised(gone: Iterable[Gone]) -> Session:
    """Return the session that stands for a prune."""
    id, now = new_id(), utc_now()
    return Session(
        id, SOURCE, Mode.OFF, now[:10], Status.COMPLETE, now, now, KIND, root_id=id,
        pid=os.getpid(), program="mxm-dataio prune",
        warnings=tuple(f"{one.session} {one.records} {one.head.hex()}" for one in gone),
    )  # fmt: skip


def is_prune(session: Session) -> bool:
    """Say whether a session stands for a prune."""
    return (session.source, session.kind) == (SOURCE, KIND)


def told(warnings: Iterable[str]) -> list[Gone]:
    """Return what the warnings of such a session say; what is none of ours is passed over."""
    found = map(_LINE.fullmatch, warnings)
    return [Gone(m[1], int(m[2]), bytes.fromhex(m[3])) for m in found if m]


def read(rows: Iterable[Sequence[Any]]) -> list[Tombstone]:
    """Return the tombstones of the sessions that stand for prunes.

    Args:
        rows: id, leaf, ``started_at`` and warnings of each, as they are kept.
    """
    found: list[Tombstone] = []
    for id, leaf, at, warnings in rows:
        try:
            texts = [text for text in json.loads(warnings) if isinstance(text, str)]
            leaf = int(leaf)
        except (ValueError, TypeError):
            # Its seal or its place will not fit either.
            continue
        found += [Tombstone(gone, id, at, leaf) for gone in told(texts)]
    return found
