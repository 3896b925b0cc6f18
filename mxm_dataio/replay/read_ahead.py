"""Reads a recorded session ahead, as a replay follows it.

A program mostly makes its calls in the order in which they were recorded. What is read ahead
holds as long as nothing is written to the store, and answers only where the look-up itself would
give just this: see :class:`mxm_dataio.storage.catalog.lookups.Following`.
"""

from __future__ import annotations

from ..errors import StoreError
from ..identity import Identity
from ..storage.backend import Backend
from ..storage.catalog.lookups import Following

# Calls read at once; the first time, and once it has proved worth it.
_FIRST, _MORE = 8, 64
_LONGEST_PAUSE = 4096


class ReadAhead:
    """The calls that come next in a recorded session.

    Args:
        store: where they are.
        source: whose.
        bound: the latest as-of that counts.
        pinned: one session is replayed, whether it is the newest or not.
    """

    def __init__(self, store: Backend, source: str, bound: str, *, pinned: bool) -> None:
        self._store = store
        self._source = source
        self._bound = bound
        self._pinned = pinned
        self._version: object = None
        # By their hash and the call before them that has the same.
        self._calls: dict[tuple[str, str], Following] = {}
        # Base hash → names that its one answer varies on.
        self._vary: dict[str, tuple[str, ...]] = {}
        self._last = ""
        self._hits = 0
        self._pause = self._pauses = 0

    def find(self, identity: Identity, base: str, served: dict[str, str]) -> Following | None:
        """Return the call that answers, if it was read ahead and still is what does.

        Args:
            base: the identity's hash.
            served: hash → id of the call that answered it last.
        """
        vary = self._vary.get(base)
        if vary is None or self._version != self._store.catalog.version():
            return None
        names = identity.counting(vary)
        params_hash = identity.params_hash(names) if names else base
        found = self._calls.get((params_hash, served.get(params_hash, "")))
        if found is not None:
            self._hits += 1
        return found

    def answered(self, request_id: str, *, ahead: bool) -> None:
        """Read on, if it seems worth it.

        Args:
            request_id: the call that has answered.
            ahead: it had been read ahead.
        """
        if ahead:
            wanted = request_id == self._last
        else:
            wanted = not self._pause
            self._pause = max(0, self._pause - 1)
        if wanted:
            try:
                self._read(request_id)
            except StoreError:
                # This call has its answer; the look-up for the next will say what is wrong.
                self._calls, self._vary = {}, {}

    def _read(self, request_id: str) -> None:
        """Read the calls after one; less often, the less the last ones were asked for."""
        count = len(self._calls)
        useful = count > 0 and self._hits * 2 >= count
        if useful:
            self._pauses = 0
        else:
            self._pauses = min(self._pauses * 4 + 1, _LONGEST_PAUSE)
        self._pause = self._pauses
        catalog = self._store.catalog
        # Asked first: what is written meanwhile counts as written after.
        self._version = catalog.version()
        limit = _MORE if useful else _FIRST
        found = catalog.following(self._source, request_id, self._bound, limit)
        self._hits = 0
        self._last = found[-1].request[1] if found else ""
        self._calls, self._vary = {}, {}
        for one in found:
            if self._surely(one):
                self._calls[one.params_hash, one.after] = one
                self._vary[one.base_hash] = tuple(one.vary[0].split(",")) if one.vary else ()

    def _surely(self, one: Following) -> bool:
        """Say whether no other session and no other variant could answer in its place."""
        if one.params_hash == one.base_hash:
            alone = not one.vary
        else:
            alone = len(one.vary) == 1 and not one.plainly
        return alone and (one.newest or self._pinned)
