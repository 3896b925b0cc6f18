"""Re-deriving the chain of each session, and its seal."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from ..errors import StoreError
from ..models import Status
from ..storage.catalog import rows
from ..storage.catalog.chain import START, predecessor, record_hash, seal
from ..storage.root_store import RootStore
from ..utils import canonical_json, counted
from .findings import MOST, Findings, Progress
from .ledger import Call, Held, Ledger
from .proofs import Head
from .tombstones import Tombstone

# Headers that count in any call's identity; one that the answer varies on is then in both hashes.
_ALWAYS = ("accept", "range")
_EXPLAINED = 100


class _Broken(NamedTuple):
    """A call whose hash does not follow from the one before it, and its place in the chain."""

    place: int
    call: Call
    derived: bytes


@dataclass(slots=True)
class _Chain:
    """The records of a session that are there: their hashes, row numbers, and which do not fit."""

    held: Held
    hashes: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[_Broken] = field(default_factory=list)


class Chains:
    """Checks the chains of sessions.

    Attributes:
        sessions, calls: how many were read.
        pruned: of the sessions, those whose calls were pruned.
    """

    def __init__(
        self, store: RootStore, against: Sequence[Head], findings: Findings, progress: Progress
    ) -> None:
        self.sessions = self.calls = self.pruned = 0
        self._store = store
        self._against = against
        self._findings, self._progress = findings, progress
        self._found, self._note = findings.found, findings.note

    def check_sessions(self, ledger: Ledger) -> None:
        """Check the chain of every session, and what its row says of it."""
        total = ledger.count()
        unsealed = []
        tombstones = ledger.tombstones()
        elsewhere = ledger.foreign_tombstones()
        for held in ledger.sessions():
            self.sessions += 1
            chain = self._chain(ledger, held, total)
            self._explain(ledger, chain)
            tombstone = tombstones.get(held.id)
            here = tombstone is not None
            if held.origin is not None and not here:
                there = elsewhere.get((held.origin.store, held.id))
                if held.pruned_at is not None:
                    tombstone = there
                elif there is not None and chain.hashes:
                    self._note(f"session {held.id}: its calls are here, and were pruned elsewhere")
            if not chain.hashes and (held.pruned_at is not None or tombstone is not None):
                self._pruned(held, tombstone, here=here)
            else:
                if held.pruned_at is not None:
                    self._found("it is marked as pruned, and its calls are there", held.id)
                elif tombstone is not None:
                    self._found("it was pruned, and calls are there", held.id)
                self._end(ledger, chain)
            if held.seal is None:
                unsealed.append(held)
            elif held.leaf is None and held.origin is None:
                self._found("it is sealed, and has no place in a store's tree", held.id)
        self._progress("calls", total, total)
        self._unsealed(unsealed)

    def _chain(self, ledger: Ledger, held: Held, total: int) -> _Chain:
        """Re-derive each call's hash from the one before it."""
        before = START
        chain = _Chain(held)
        broken = chain.broken
        for place, call in enumerate(ledger.calls(held.number)):
            derived = record_hash(before, call.columns, call.attempts)
            within = list(details(call.columns, call.attempts))
            if derived != call.hash:
                last = broken[-1] if broken and broken[-1].place == place - 1 else None
                if last and call.hash == record_hash(last.derived, call.columns, call.attempts):
                    # That one's content is what this was chained to: its hash alone is another.
                    del broken[-1]
                    self._found("its hash was changed", held.id, last.call.exact)
                elif len(broken) < MOST:
                    broken.append(_Broken(place, call, derived))
                else:
                    self._findings.more += 1
            if within:
                self._found("; ".join(within), held.id, call.exact)
            before = call.hash
            chain.hashes.append(call.hash)
            chain.numbers.append(call.number)
            self.calls += 1
            if not self.calls % 256:
                self._progress("calls", self.calls, total)
        return chain

    def _explain(self, ledger: Ledger, chain: _Chain) -> None:
        held, hashes, numbers = chain.held, chain.hashes, chain.numbers
        for count, (place, call, derived) in enumerate(chain.broken):
            among = [START, *hashes] if count < _EXPLAINED else []
            behind = predecessor(call.hash, call.columns, call.attempts, among)
            if behind is not None:
                what = (
                    f"it was recorded {_behind(ledger, numbers, behind)} and stands "
                    f"{_behind(ledger, numbers, place)}: records were re-ordered or put in"
                )
            elif place == len(hashes) - 1 and derived == held.head:
                what = "its hash was changed"
            elif _more(held.records, len(hashes)):
                what = (
                    f"it was not recorded {_behind(ledger, numbers, place)}: what was before it "
                    "was removed, or it or one of its attempts was changed"
                )
            else:
                what = "it or one of its attempts was changed: its hash is not that of its content"
            self._found(what, held.id, call.exact)

    def _end(self, ledger: Ledger, chain: _Chain) -> None:
        """Compare where the chain ends with what the session's row says, and with its seal."""
        held, numbers = chain.held, chain.numbers
        head, count = START if held.head is None else held.head, held.records
        there = len(chain.hashes)
        ends = [START, *chain.hashes]
        last = ledger.exact(numbers[-1]) if numbers else None
        if held.seal is not None and held.seal != seal(head, count, held.columns):
            places = range(there, -1, -1)
            sealed = next((n for n in places if seal(ends[n], n, held.columns) == held.seal), None)
            if sealed is None:
                self._found(
                    f"its seal is not that of its row and of the {there} records that are there: a "
                    "column of the session was changed, or records were, or removed from its end",
                    held.id,
                    last,
                )
            elif sealed == there:
                self._found("the head or count in its row was changed", held.id)
            else:
                self._added(ledger, held, numbers[sealed:], "was added after the session's seal")
            return
        if held.records == there:
            if head != ends[-1] and not chain.broken:
                why = "the last was changed, or the row"
                what = f"the chain of its records does not end where its row says: {why}"
                self._found(what, held.id, last)
        elif _more(count, there):
            where = "its records" if last is None else "those behind this one"
            if chain.broken:
                where, last = "some", None
            what = f"it counts {count} records and {there} are there: {where} are missing"
            self._found(what, held.id, last)
        elif isinstance(count, int) and count >= 0 and head == ends[count]:
            why = "was added after the session's seal" if held.seal else "was added past the chain"
            self._added(ledger, held, numbers[count:], why)
        else:
            self._found(f"it counts {count} records and {there} are there", held.id, last)

    def _pruned(self, held: Held, tombstone: Tombstone | None, *, here: bool) -> None:
        """Check what stays of a session whose calls are gone."""
        self.pruned += 1
        head, count = START if held.head is None else held.head, held.records
        if held.seal is not None and held.seal != seal(head, count, held.columns):
            self._found("its calls were pruned, and its seal is not that of its row", held.id)
        if tombstone is None:
            self._found(
                "its calls are gone and it is marked as pruned, but no prune in the store's tree "
                "names it: they were removed by another hand",
                held.id,
            )
            return
        if (tombstone.gone.records, tombstone.gone.head) != (count, head):
            there = tombstone.gone.records
            what = f"its row says that it had {count} records, and its prune {there}, or others"
            self._found(what, held.id)
        if held.pruned_at != tombstone.at:
            self._found("the mark in its row that it was pruned was changed", held.id)
        calls = counted(tombstone.gone.records, "call")
        verb = "is" if tombstone.gone.records == 1 else "are"
        stays = "seal is" if held.seal is not None else "row is"
        since = [given.size for given in self._against if here and given.size <= tombstone.leaf]
        self._note(
            f"session {held.id}: pruned on {tombstone.at}, its {calls} {verb} gone; its {stays} "
            "kept" + (f" (pruned since the head of {max(since)} ended sessions)" if since else "")
        )

    def _added(self, ledger: Ledger, held: Held, numbers: Iterable[int], why: str) -> None:
        for number in numbers:
            self._found(f"it {why}", held.id, ledger.exact(number))

    def _unsealed(self, sessions: Iterable[Held]) -> None:
        for held in sessions:
            if held.leaf is not None or held.origin is not None:
                self._found("its seal was removed: it has a place in a store's tree", held.id)
                continue
            with contextlib.suppress(StoreError):
                status = self._status(held)
                if status == Status.RUNNING:
                    self._note(f"session {held.id} has not ended: chained, not sealed yet")
                elif status in (Status.INTERRUPTED, Status.INCOMPLETE):
                    self._note(
                        f"session {held.id} is {status}: its calls are chained, but not sealed"
                    )
                else:
                    self._found(f"its seal was removed: it has ended ({status})", held.id)

    def _status(self, held: Held) -> str:
        """Return a session's status as its row had it, ``interrupted`` if its process is gone."""
        then = str(held.columns[7])
        if then == Status.RUNNING:
            session = self._store.session(held.id)
            if session is not None and session.status is Status.INTERRUPTED:
                return Status.INTERRUPTED
        return then


def details(columns: rows.Row, attempts: Sequence[rows.Row]) -> Iterator[str]:
    """Yield what is wrong of a call and shows without its hash.

    Args:
        columns: its own, as its hash covers them.
        attempts: those of its attempts.
    """
    endpoint, parts, params_hash, base_hash, vary = (
        columns[7], columns[8], *columns[10:13],
    )  # fmt: skip
    try:
        document, _ = rows.whole(endpoint, parts)
        if hashlib.sha256(document.encode("utf-8")).hexdigest() != params_hash:
            yield "its params_hash is not that of its identity"
        elif vary is not None and base_hash not in _base_hashes(document, vary.split(",")):
            yield "its base_hash is not that of its identity without the headers it varies on"
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        yield f"its identity can't be read ({exc})"
    sequence = [attempt[0] for attempt in attempts]
    if sequence != list(range(1, len(sequence) + 1)):
        yield f"its attempts are numbered {', '.join(map(str, sequence))}"


def _base_hashes(document: str, vary: Sequence[str]) -> Iterator[str]:
    """Yield what the hash before the headers named by ``vary`` may have been."""
    data = json.loads(document)
    others = [pair for pair in data["headers"] if pair[0] not in vary]
    always = [pair for pair in data["headers"] if pair[0] in vary and pair[0] in _ALWAYS]
    for count in range(len(always) + 1):
        for kept in combinations(always, count):
            data["headers"] = sorted([*others, *kept])
            yield hashlib.sha256(canonical_json(data)).hexdigest()


def _behind(ledger: Ledger, numbers: Sequence[int], place: int) -> str:
    """Return in words what a record at a place of the chain is behind."""
    if not place:
        return "as the first of its session"
    exact = ledger.exact(numbers[place - 1])
    return f"behind {exact.method} {exact.url} [{exact.id}]"


def _more(count: object, there: int) -> bool:
    return isinstance(count, int) and count > there
