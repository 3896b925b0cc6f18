"""Re-deriving everything that is stored: is it what was recorded?

What a session's seal covers can't be changed unnoticed by one who does not write all of its hashes
anew; who does that changes the session's leaf, and is found out by any head of the store
(:mod:`mxm_dataio.integrity.proofs`) that was published before. A session that never ended has its
calls chained, but neither seal nor leaf: its own row, and the calls at its end, are not protected.
Of a session whose calls were pruned, the seal is checked, and that a leaf of the tree says so
(:mod:`mxm_dataio.integrity.tombstones`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import IntegrityError, StoreError
from ..storage.catalog.refusals import DAMAGED
from ..storage.layout import DATABASE, RESPONSES
from ..storage.payloads.reading import PayloadReader
from ..storage.root_store import RootStore
from ..utils import counted
from .chains import Chains
from .files import Files
from .findings import Finding, Findings, Progress, Verified
from .ledger import Ledger
from .proofs import Head
from .trees import Trees


def verify(
    store: RootStore,
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
    verification = Verification(store, sessions, against, progress or (lambda *_: None))
    try:
        with store.catalog.snapshot() as db:
            verification.run(Ledger(db, sessions))
    except StoreError as exc:
        verification.findings.found(str(exc), path=exc.path)
    return verification.verified()


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
        payloads = any(PayloadReader(root / RESPONSES).files())
        if payloads:
            what = f"the database {root / DATABASE} is missing; payloads are there"
            return Verified(findings=(Finding(what, path=root / DATABASE),))
        raise StoreError(f"nothing is recorded under {root}: give --root", path=root)
    try:
        store = RootStore(root, readonly=True, patient=True)
    except StoreError as exc:
        return Verified(findings=(Finding(str(exc), path=exc.path),))
    with store:
        try:
            ids = [store.session_id(prefix) for prefix in sessions]
        except IntegrityError as exc:
            return Verified(findings=(Finding(str(exc), path=exc.path),))
        return verify(store, ids, against=against, progress=progress)


class Verification:
    """Goes through a store: its tables, chains, tree and files.

    Args:
        chosen: ids of sessions; what belongs to none of them is passed over, if any is given.
        against: heads that were published earlier.
        progress: is told how far it is.

    Attributes:
        findings: what was found up to now.
    """

    def __init__(
        self,
        store: RootStore,
        chosen: Sequence[str],
        against: Sequence[Head],
        progress: Progress,
    ) -> None:
        self.findings = Findings()
        self._root = store.root
        self._found = self.findings.found
        self._chosen = tuple(chosen)
        self._chains = Chains(store, tuple(against), self.findings, progress)
        self._trees = Trees(tuple(against), self._chosen, self.findings)
        self._files = Files(store, self.findings, progress)

    def run(self, ledger: Ledger) -> None:
        """Check what a ledger reads, and what lies beside it."""
        steps = [
            self._check_tables, self._chains.check_sessions, self._check_loose,
            self._trees.check, self._files.check_payloads,
        ]  # fmt: skip
        if not self._chosen:
            steps += [self._files.note_orphans, self._files.check_journals]
        for step in steps:
            try:
                step(ledger)
            except DAMAGED as exc:
                # What one step could not read need not keep the others from theirs.
                what = f"the database can't be read: {exc}"
                self._found(what, path=self._root / DATABASE)

    def verified(self) -> Verified:
        """Return what was read and found."""
        chains, files, findings = self._chains, self._files, self.findings
        return Verified(
            chains.sessions, chains.calls, files.payloads, files.size, self._trees.head,
            tuple(findings.kept), findings.more, tuple(findings.notes), chains.pruned,
        )  # fmt: skip

    def _check_tables(self, ledger: Ledger) -> None:
        for problem in ledger.problems():
            self._found(f"the database: {problem}", path=self._root / DATABASE)

    def _check_loose(self, ledger: Ledger) -> None:
        """Check what belongs to no session, and what is derived of calls."""
        tombstones = ledger.tombstones()
        pruned = elsewhere = 0
        for number, served_from, foreign in ledger.unserved():
            if foreign:
                elsewhere += 1
                continue
            if any(one.may_have_held(str(served_from)) for one in tombstones.values()):
                # It answered while it was pruned; that of an unpruned session its chain tells.
                pruned += 1
                continue
            self._found(
                f"it was answered from the call {served_from}, which is not there",
                ledger.session_of(number),
                ledger.exact(number),
            )
        if pruned:
            self.findings.note(
                f"{counted(pruned, 'call')} answered from calls that are not there: sessions of "
                "their time were pruned"
            )
        if elsewhere:
            self.findings.note(
                f"{counted(elsewhere, 'call')} of other stores answered from calls that are not "
                "there: their sessions were not taken in"
            )
        if self._chosen:
            return
        for missing_id in sorted(tombstones.keys() - ledger.ids()):
            self._found("it was pruned, and the row that should be kept is missing", missing_id)
        for exact in ledger.strays():
            self._found("its session is missing", None, exact)
        for place, method, url in ledger.stray_attempts():
            self._found(f"an attempt of no call is there ({place}: {method} {url})")
        missing, added = ledger.variants()
        for _, source, vary in missing:
            self._found(f"that answers of {source} vary on {vary} was removed from the variants")
        for _, source, vary in added:
            self._found(f"that answers of {source} vary on {vary} is said by no call")
