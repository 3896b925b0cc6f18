"""Re-deriving everything that is stored: is it what was recorded?

What a session's seal covers can't be changed unnoticed by one who does not write all of its hashes
anew; who does that changes the session's leaf, and is found out by any head of the store
(:mod:`mxm_dataio.proofs`) that was published before. A session that never ended has its calls
chained, but neither seal nor leaf: its own row, and the calls at its end, are not protected. Of a
session whose calls were pruned, the seal is checked, and that a leaf of the tree says so
(:mod:`mxm_dataio.tombstones`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from . import rows
from .chain import START, predecessor, record_hash, seal
from .database import DAMAGED
from .errors import IntegrityError, StoreError
from .files import is_folder
from .journal import left
from .ledger import Call, Exact, Held, Ledger, Payload
from .locks import TEMPORARY
from .models import Status
from .payloads import PayloadFolder
from .proofs import Head
from .store import DATABASE, JOURNAL, RESPONSES, RUNNING, Store
from .tombstones import Tombstone
from .utils import canonical_json, counted

Progress = Callable[[str, int, int], None]
"""Is told what is counted (``calls``, ``bytes``), how far that is, and how many there are."""

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
# Headers that count in any call's identity; one that the answer varies on is then in both hashes.
_ALWAYS = ("accept", "range")
# Beyond these findings are counted, not kept.
_FINDINGS = 1000
_EXPLAINED = 100
_SHOWN = 3
# What a thread takes at once.
_BATCH = 64
_BATCH_SIZE = 8 << 20
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded.

    Attributes:
        what: in words.
        session: its id.
        request, method, url: of the exchange.
        path: the file.
    """

    what: str
    session: str | None = None
    request: str | None = None
    method: str | None = None
    url: str | None = None
    path: Path | None = None

    def __str__(self) -> str:
        where = []
        if self.session is not None:
            where.append(f"session {self.session}")
        if self.request is not None:
            where.append(f"{self.method} {self.url} [{self.request}]")
        return ": ".join([", ".join(where), self.what]) if where else self.what


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read, and what was found.

    Attributes:
        sessions, calls, payloads, size: how many were read; the payloads' bytes.
        pruned: of the sessions, those whose calls were pruned.
        head: of the store's tree; ``None`` where it could not be read.
        findings: what is wrong.
        more: how many findings there are besides these.
        notes: what is to be known and not wrong.
    """

    sessions: int = 0
    calls: int = 0
    payloads: int = 0
    size: int = 0
    head: Head | None = None
    findings: tuple[Finding, ...] = ()
    more: int = 0
    notes: tuple[str, ...] = ()
    pruned: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.findings


def verify(
    store: Store,
    sessions: Sequence[str] = (),
    *,
    against: Sequence[Head] = (),
    progress: Progress | None = None,
) -> Verified:
    """Check what is stored against its hashes.

    Args:
        sessions: ids; all if none is given. Tables, tree and heads are those of the whole store.
        against: heads that were published earlier.
        progress: is told how far it is.

    Raises:
        StoreError: there is no such session.
    """
    missing = [id for id in sessions if id not in store.catalog.ids(id)]
    if missing:
        raise StoreError(f"no session {missing[0]} is recorded in {store.root}", path=store.root)
    work = _Work(store, tuple(sessions), tuple(against), progress or (lambda *_: None))
    try:
        with store.catalog.snapshot() as db:
            work.run(Ledger(db, sessions))
    except StoreError as exc:
        work.found(str(exc), path=exc.path)
    return work.verified()


def verify_root(
    root: Path,
    sessions: Sequence[str] = (),
    *,
    against: Sequence[Head] = (),
    progress: Progress | None = None,
) -> Verified:
    """Check what is stored below a root, of which no more is expected than that it is one.

    Args:
        sessions: the beginnings of their ids.

    Raises:
        StoreError: nothing is recorded there, or no such session.
    """
    if not (root / DATABASE).exists():
        payloads = any(PayloadFolder(root / RESPONSES).files())
        if payloads:
            what = f"the database {root / DATABASE} is missing; payloads are there"
            return Verified(findings=(Finding(what, path=root / DATABASE),))
        raise StoreError(f"nothing is recorded under {root}: give --root", path=root)
    try:
        store = Store(root, readonly=True, patient=True)
    except StoreError as exc:
        return Verified(findings=(Finding(str(exc), path=exc.path),))
    with store:
        try:
            ids = [store.session_id(prefix) for prefix in sessions]
        except IntegrityError as exc:
            return Verified(findings=(Finding(str(exc), path=exc.path),))
        return verify(store, ids, against=against, progress=progress)


class _Broken(NamedTuple):
    """A call whose hash does not follow from the one before it, and its place in the chain."""

    place: int
    call: Call
    derived: bytes


@dataclass
class _Work:
    store: Store
    chosen: tuple[str, ...]
    against: tuple[Head, ...]
    progress: Progress
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)
    sessions: int = 0
    calls: int = 0
    payloads: int = 0
    size: int = 0
    pruned: int = 0
    head: Head | None = None

    def run(self, ledger: Ledger) -> None:
        for step in (
            self._tables, self._sessions, self._loose, self._tree, self._payloads, self._files,
            self._journals,
        ):  # fmt: skip
            try:
                step(ledger)
            except DAMAGED as exc:
                # What one step could not read need not keep the others from theirs.
                self.found(f"the database can't be read: {exc}", path=self.store.root / DATABASE)

    def verified(self) -> Verified:
        return Verified(
            self.sessions, self.calls, self.payloads, self.size, self.head,
            tuple(self.findings), self.more, tuple(self.notes), self.pruned,
        )  # fmt: skip

    def found(
        self,
        what: str,
        session: str | None = None,
        exact: Exact | None = None,
        path: Path | None = None,
    ) -> None:
        if len(self.findings) >= _FINDINGS:
            self.more += 1
            return
        id, method, url = exact or Exact(None, None, None)
        self.findings.append(Finding(what, session, id, method, url, path))

    def _tables(self, ledger: Ledger) -> None:
        for problem in ledger.problems():
            self.found(f"the database: {problem}", path=self.store.root / DATABASE)

    # -- the chain of a session --------------------------------------------------------------

    def _sessions(self, ledger: Ledger) -> None:
        total = ledger.count()
        unsealed = []
        tombstones = ledger.tombstones()
        for held in ledger.sessions():
            self.sessions += 1
            hashes: list[bytes] = []
            numbers: list[int] = []
            broken = self._chain(ledger, held, hashes, numbers, total)
            self._explain(ledger, held, hashes, numbers, broken)
            tombstone = tombstones.get(held.id)
            if not hashes and (held.pruned_at is not None or tombstone is not None):
                self._pruned(held, tombstone)
            else:
                if held.pruned_at is not None:
                    self.found("it is marked as pruned, and its calls are there", held.id)
                elif tombstone is not None:
                    self.found("it was pruned, and calls are there", held.id)
                self._end(ledger, held, hashes, numbers, bool(broken))
            if held.seal is None:
                unsealed.append(held)
        self.progress("calls", total, total)
        self._unsealed(unsealed)

    def _chain(
        self, ledger: Ledger, held: Held, hashes: list[bytes], numbers: list[int], total: int
    ) -> list[_Broken]:
        """Re-derive each call's hash from the one before it; return those which are others."""
        before = START
        broken: list[_Broken] = []
        for place, call in enumerate(ledger.calls(held.number)):
            derived = record_hash(before, call.columns, call.attempts)
            details = list(_details(call))
            if derived != call.hash:
                last = broken[-1] if broken and broken[-1].place == place - 1 else None
                if last and call.hash == record_hash(last.derived, call.columns, call.attempts):
                    # That one's content is what this was chained to: its hash alone is another.
                    del broken[-1]
                    self.found("its hash was changed", held.id, last.call.exact)
                elif len(broken) < _FINDINGS:
                    broken.append(_Broken(place, call, derived))
                else:
                    self.more += 1
            if details:
                self.found("; ".join(details), held.id, call.exact)
            before = call.hash
            hashes.append(call.hash)
            numbers.append(call.number)
            self.calls += 1
            if not self.calls % 256:
                self.progress("calls", self.calls, total)
        return broken

    def _explain(
        self,
        ledger: Ledger,
        held: Held,
        hashes: list[bytes],
        numbers: list[int],
        broken: list[_Broken],
    ) -> None:
        for count, (place, call, derived) in enumerate(broken):
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
            self.found(what, held.id, call.exact)

    def _end(
        self, ledger: Ledger, held: Held, hashes: list[bytes], numbers: list[int], broken: bool
    ) -> None:
        """Compare where the chain ends with what the session's row says, and with its seal."""
        head, count = START if held.head is None else held.head, held.records
        there = len(hashes)
        ends = [START, *hashes]
        last = ledger.exact(numbers[-1]) if numbers else None
        if held.seal is not None and held.seal != seal(head, count, held.columns):
            sealed = next(
                (
                    place
                    for place in range(there, -1, -1)
                    if seal(ends[place], place, held.columns) == held.seal
                ),
                None,
            )
            if sealed is None:
                self.found(
                    f"its seal is not that of its row and of the {there} records that are there: a "
                    "column of the session was changed, or records were, or removed from its end",
                    held.id,
                    last,
                )
            elif sealed == there:
                self.found("the head or count in its row was changed", held.id)
            else:
                self._added(ledger, held, numbers[sealed:], "was added after the session's seal")
            return
        if held.records == there:
            if head != ends[-1] and not broken:
                self.found(
                    "the chain of its records does not end where its row says: the last was "
                    "changed, or the row",
                    held.id,
                    last,
                )
        elif _more(count, there):
            where = "its records" if last is None else "those behind this one"
            self.found(
                f"it counts {count} records and {there} are there: "
                + ("some are missing" if broken else f"{where} are missing"),
                held.id,
                None if broken else last,
            )
        elif isinstance(count, int) and count >= 0 and head == ends[count]:
            why = "was added after the session's seal" if held.seal else "was added past the chain"
            self._added(ledger, held, numbers[count:], why)
        else:
            self.found(f"it counts {count} records and {there} are there", held.id, last)

    def _pruned(self, held: Held, tombstone: Tombstone | None) -> None:
        """Check what stays of a session whose calls are gone."""
        self.pruned += 1
        head, count = START if held.head is None else held.head, held.records
        if held.seal is not None and held.seal != seal(head, count, held.columns):
            self.found("its calls were pruned, and its seal is not that of its row", held.id)
        if tombstone is None:
            self.found(
                "its calls are gone and it is marked as pruned, but no prune in the store's tree "
                "names it: they were removed by another hand",
                held.id,
            )
            return
        if (tombstone.gone.records, tombstone.gone.head) != (count, head):
            self.found(
                f"its row says that it had {count} records, and its prune "
                f"{tombstone.gone.records}, or others",
                held.id,
            )
        if held.pruned_at != tombstone.at:
            self.found("the mark in its row that it was pruned was changed", held.id)
        calls = counted(tombstone.gone.records, "call")
        verb = "is" if tombstone.gone.records == 1 else "are"
        stays = "seal is" if held.seal is not None else "row is"
        since = [given.size for given in self.against if given.size <= tombstone.leaf]
        self.notes.append(
            f"session {held.id}: pruned on {tombstone.at}, its {calls} {verb} gone; its {stays} "
            "kept" + (f" (pruned since the head of {max(since)} ended sessions)" if since else "")
        )

    def _added(self, ledger: Ledger, held: Held, numbers: Iterable[int], why: str) -> None:
        for number in numbers:
            self.found(f"it {why}", held.id, ledger.exact(number))

    def _unsealed(self, sessions: Iterable[Held]) -> None:
        for held in sessions:
            if held.leaf is not None:
                self.found("its seal was removed: it has a place in the store's tree", held.id)
                continue
            with contextlib.suppress(StoreError):
                status = self._status(held)
                if status == Status.RUNNING:
                    self.notes.append(f"session {held.id} has not ended: chained, not sealed yet")
                elif status in (Status.INTERRUPTED, Status.INCOMPLETE):
                    self.notes.append(
                        f"session {held.id} is {status}: its calls are chained, but not sealed"
                    )
                else:
                    self.found(f"its seal was removed: it has ended ({status})", held.id)

    def _status(self, held: Held) -> str:
        """Return a session's status as its row had it, ``interrupted`` if its process is gone."""
        then = str(held.columns[7])
        if then == Status.RUNNING:
            session = self.store.session(held.id)
            if session is not None and session.status is Status.INTERRUPTED:
                return Status.INTERRUPTED
        return then

    # -- what belongs to no session, and what is derived of calls ------------------------------

    def _loose(self, ledger: Ledger) -> None:
        tombstones = ledger.tombstones()
        pruned = 0
        for number, served_from in ledger.unserved():
            if any(one.may_have_held(str(served_from)) for one in tombstones.values()):
                # It answered while it was pruned; that of an unpruned session its chain tells.
                pruned += 1
                continue
            self.found(
                f"it was answered from the call {served_from}, which is not there",
                ledger.session_of(number),
                ledger.exact(number),
            )
        if pruned:
            self.notes.append(
                f"{counted(pruned, 'call')} answered from calls that are not there: sessions of "
                "their time were pruned"
            )
        if self.chosen:
            return
        for missing_id in sorted(tombstones.keys() - ledger.ids()):
            self.found("it was pruned, and the row that should be kept is missing", missing_id)
        for exact in ledger.strays():
            self.found("its session is missing", None, exact)
        for place, method, url in ledger.stray_attempts():
            self.found(f"an attempt of no call is there ({place}: {method} {url})")
        missing, added = ledger.variants()
        for _, source, vary in missing:
            self.found(f"that answers of {source} vary on {vary} was removed from the variants")
        for _, source, vary in added:
            self.found(f"that answers of {source} vary on {vary} is said by no call")

    # -- the store's tree ----------------------------------------------------------------------

    def _tree(self, ledger: Ledger) -> None:
        leaves = ledger.leaves()
        expected = 0
        for leaf, id, _ in leaves:
            if leaf != expected:
                self.found(
                    f"it is leaf {leaf} of the store's tree where {expected} is due: the ended "
                    "session before it was removed, or its place changed",
                    id,
                )
            expected = leaf + 1 if isinstance(leaf, int) else expected + 1
        seals = [sealed for _, _, sealed in leaves]
        self.head = Head.of(seals)
        for head in self.against:
            if head.size > len(seals):
                self.found(
                    f"the head given is of {head.size} ended sessions and {len(seals)} are there: "
                    f"some were removed ({head})"
                )
            elif Head.of(seals[: head.size]) != head:
                self.found(
                    f"the first {head.size} ended sessions are not those of the head given: one "
                    f"was changed and its hashes written anew, or removed or re-ordered ({head})"
                )

    # -- files ---------------------------------------------------------------------------------

    def _payloads(self, ledger: Ledger) -> None:
        waiting: deque[Future[tuple[list[Payload], list[tuple[Payload, str]]]]] = deque()
        threads = min(_THREADS, os.cpu_count() or 1)
        total = ledger.gather()
        with ThreadPoolExecutor(threads) as pool:
            for batch in _batches(ledger.payloads()):
                waiting.append(pool.submit(self._check, batch))
                if len(waiting) > 2 * threads:
                    self._take(ledger, waiting.popleft(), total)
            while waiting:
                self._take(ledger, waiting.popleft(), total)

    def _take(
        self,
        ledger: Ledger,
        done: Future[tuple[list[Payload], list[tuple[Payload, str]]]],
        total: int,
    ) -> None:
        batch, wrong = done.result()
        self.payloads += len(batch)
        self.size += sum(_size(payload) for payload in batch)
        for payload, what in wrong:
            others = f" (and {payload.uses - 1} more name it)" if payload.uses > 1 else ""
            self.found(
                f"{what}{others}",
                ledger.session_of(payload.request),
                ledger.exact(payload.request),
                self.store.payloads.path(payload.checksum),
            )
        self.progress("bytes", self.size, total)

    def _check(self, batch: list[Payload]) -> tuple[list[Payload], list[tuple[Payload, str]]]:
        wrong = [(payload, what) for payload in batch if (what := self._wrong(payload))]
        return batch, wrong

    def _wrong(self, payload: Payload) -> str | None:
        """Return what is wrong with a payload."""
        checksum = payload.checksum
        if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
            return f"the checksum of its payload is none: {str(checksum)[:80]!r}"
        if payload.smallest != payload.largest:
            return f"the payload {checksum} has other sizes in other records"
        path = self.store.payloads.path(checksum)
        try:
            kept = path.lstat()
        except OSError as exc:
            return f"the payload {path.name} is missing ({exc.strerror})"
        if not stat.S_ISREG(kept.st_mode):
            return f"the payload {path.name} is no plain file"
        if path.suffix == ".bin" and kept.st_size != payload.largest:
            return (
                f"the payload {path.name} has {kept.st_size} bytes, and {payload.largest} were "
                "recorded"
            )
        try:
            self.store.payloads.verify(checksum, payload.largest, beside=True)
        except IntegrityError as exc:
            if exc.path is not None and exc.path != path:
                return f"{exc.path.name}, beside its payload, was changed; the payload is sound"
            return f"the payload {path.name} was changed: its bytes are not those of its name"
        return None

    def _files(self, ledger: Ledger) -> None:
        if self.chosen:
            return
        running = self.store.root / RUNNING
        temporary = len(list(running.glob(f"*{TEMPORARY}"))) if is_folder(running) else 0
        orphans: list[str] = []
        count = 0
        for checksum, path in self.store.payloads.files():
            if path.suffix == TEMPORARY:
                temporary += 1
            elif not ledger.names(checksum):
                count += 1
                if len(orphans) < _SHOWN:
                    orphans.append(path.name)
        if count:
            more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
            self.notes.append(
                f"no record names {', '.join(orphans)}{more} in {RESPONSES}: left by a process "
                "that was killed, or by a prune, or of a call that is being recorded"
            )
        if temporary:
            self.notes.append(
                f"{counted(temporary, 'temporary file')}: of a process that records now, or was "
                "killed, and then deleted as soon as the next records"
            )

    def _journals(self, ledger: Ledger) -> None:
        if self.chosen:
            return
        folder = self.store.root / JOURNAL
        for path in sorted(folder.glob("*.damaged")):
            self.found(
                "a journal was damaged and put aside; of its calls those behind the damage are "
                f"missing: {path.name}",
                path=path,
            )
        with left(folder) as found:
            for journal in found:
                waiting = 0
                try:
                    waiting = sum(not ledger.has(entry.call.id) for entry in journal.calls())
                except IntegrityError as exc:
                    self.found(str(exc), path=journal.path)
                if waiting:
                    self.notes.append(
                        f"{waiting} call{'s wait' if waiting > 1 else ' waits'} in the journal "
                        f"{journal.path.name}, chained when moved from there"
                    )


def _details(call: Call) -> Iterator[str]:
    """Yield what shows within a call, without its hash."""
    endpoint, parts, params_hash, base_hash, vary = (
        call.columns[7], call.columns[8], *call.columns[10:13],
    )  # fmt: skip
    try:
        document, _ = rows.whole(endpoint, parts)
        if hashlib.sha256(document.encode("utf-8")).hexdigest() != params_hash:
            yield "its params_hash is not that of its identity"
        elif vary is not None and base_hash not in _base_hashes(document, vary.split(",")):
            yield "its base_hash is not that of its identity without the headers it varies on"
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        yield f"its identity can't be read ({exc})"
    sequence = [attempt[0] for attempt in call.attempts]
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


def _size(payload: Payload) -> int:
    return payload.largest if isinstance(payload.largest, int) else 0


def _batches(payloads: Iterable[Payload]) -> Iterator[list[Payload]]:
    batch: list[Payload] = []
    size = 0
    for payload in payloads:
        batch.append(payload)
        size += _size(payload)
        if len(batch) >= _BATCH or size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
