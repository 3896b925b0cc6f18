"""Re-deriving everything that an archive holds, from its objects alone.

Each session's chain, its seal, its place in the tree of the store it is from, and each body. That
a session is missing shows where heads or proofs of its store tell of it; of one that no head and no
later session tells of, nothing does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import IntegrityError
from ..integrity import tombstones
from ..integrity.findings import Findings, Progress, Verified
from ..integrity.merkle import Tree
from ..integrity.proofs import Head
from ..storage.catalog.sealed import SealedSession
from ..utils import counted
from . import exchanges, listing, names, tombstone
from .listing import Committed, committed, fork
from .names import SessionName
from .object_store import ObjectStore
from .session_calls import calls
from .session_object import ArchivedSession, Payload


@dataclass(frozen=True, slots=True)
class VerifiedArchive(Verified):
    """What was read of an archive, and what was found.

    Attributes:
        heads: store's id → the head of its tree, of those of which no ended session is missing.
    """

    heads: Mapping[str, Head] = field(default_factory=dict)


class Verification:
    """Goes through an archive.

    Args:
        against: heads that were published earlier.
        jobs: how many objects are read at once.
        progress: is told how far it is.
    """

    def __init__(
        self, objects: ObjectStore, against: Sequence[Head], jobs: int, progress: Progress | None
    ) -> None:
        self._objects = objects
        self._against = against
        self._jobs = jobs
        self._progress = progress or (lambda *_: None)
        self._findings = Findings()
        self._heads: dict[str, Head] = {}
        # Store's id → the heads to which its sessions' proofs lead.
        self._proved: dict[str, set[Head]] = {}
        # Store's id → sessions that stand for prunes there, and those that are marked as pruned.
        self._prunes: dict[str, list[SealedSession]] = {}
        self._marked: dict[str, list[SealedSession]] = {}
        self._payloads: dict[Payload, str] = {}
        self._named: set[str] = set()
        self._sessions = self._calls = self._pruned = self._size = 0

    def run(self) -> VerifiedArchive:
        """Check it all.

        Raises:
            StoreError: the object store could not be reached, or refused.
        """
        found = committed(self._objects)
        for name in found.foreign:
            self._findings.found(f"{self._objects.url}/{name} is none of a session's objects")
        for pair in found.forked:
            self._findings.found(str(fork(self._objects.url, *pair)))
        pruned = {one.name for one in self._objects.list(names.TOMBSTONES)}
        every = found.names() + [name for _, name in found.forked]
        for archived in self._archived(every):
            self._check(archived, pruned)
            self._sessions += 1
            self._progress("sessions", self._sessions, len(every))
        self._check_payloads()
        for store in found.by_store:
            self._check_tree(store, found.seals(store))
            self._check_prunes(store)
        for head in self._against:
            self._check_against(head, found)
        self._note_loose()
        findings = self._findings
        return VerifiedArchive(
            self._sessions, self._calls, len(self._payloads), self._size,
            next(iter(self._heads.values())) if len(self._heads) == 1 else None,
            tuple(findings.kept), findings.more, tuple(findings.notes), self._pruned, self._heads,
        )  # fmt: skip

    def _archived(self, every: Sequence[SessionName]) -> Iterator[ArchivedSession]:
        def damaged(name: SessionName, exc: IntegrityError) -> None:
            self._findings.found(str(exc), name.session)

        for archived, proof in listing.archived(self._objects, every, self._jobs, damaged):
            self._proved.setdefault(archived.session.store, set()).add(proof.head)
            yield archived

    def _check(self, archived: ArchivedSession, pruned: set[str]) -> None:
        session = archived.session
        if (session.source, session.columns[4]) == (tombstones.SOURCE, tombstones.KIND):
            self._prunes.setdefault(session.store, []).append(session)
        self._named.update(part.name for part in archived.objects)
        name = names.tombstone(session.id)
        try:
            if name in pruned:
                fetched = self._objects.get(name, tombstone.LARGEST)
                where = f"{self._objects.url}/{name}"
                at = tombstone.read(fetched.content if fetched else b"", session, where)
                self._note_pruned(archived, f"pruned from the archive on {at}")
            elif session.pruned_at is not None and not archived.objects:
                self._note_pruned(archived, f"pruned at its origin on {session.pruned_at}")
                self._marked.setdefault(session.store, []).append(session)
            else:
                self._check_calls(archived)
        except IntegrityError as exc:
            self._findings.found(str(exc), session.id)

    def _check_calls(self, archived: ArchivedSession) -> None:
        large = set[Payload]()
        for one in calls(self._objects, archived):
            self._calls += 1
            large.update(
                Payload(*body) for body in exchanges.bodies(one.call) if body[1] > exchanges.INLINE
            )
        if large != set(archived.payloads):
            raise IntegrityError(
                f"{self._objects.url}/{archived.name} is damaged: it names bodies that no call has"
            )
        self._payloads |= dict.fromkeys(large, archived.session.id)

    def _note_pruned(self, archived: ArchivedSession, what: str) -> None:
        session = archived.session
        self._pruned += 1
        gone = counted(session.count, "call")
        verb = "is" if session.count == 1 else "are"
        self._findings.note(
            f"session {session.id}: {what}, its {gone} {verb} gone; its seal is kept"
        )

    # -- bodies --------------------------------------------------------------------------------

    def _check_payloads(self) -> None:
        self._named.update(names.payload(one.checksum) for one in self._payloads)
        with ThreadPoolExecutor(self._jobs, "mxm-dataio-verify") as pool:
            found = pool.map(self._payload_problem, self._payloads)
            for done, (payload, problem) in enumerate(zip(self._payloads, found, strict=True), 1):
                if problem is not None:
                    self._findings.found(problem, self._payloads[payload])
                else:
                    self._size += payload.size
                self._progress("payloads", done, len(self._payloads))

    def _payload_problem(self, payload: Payload) -> str | None:
        name = names.payload(payload.checksum)
        digest = hashlib.sha256()
        try:
            for chunk in self._objects.chunks(name, payload.size):
                digest.update(chunk)
        except IntegrityError as exc:
            return str(exc)
        if digest.hexdigest() != payload.checksum:
            return f"{self._objects.url}/{name} is damaged: it holds other bytes than its name says"
        return None

    # -- trees ---------------------------------------------------------------------------------

    def _check_tree(self, store: str, seals: Mapping[int, bytes]) -> None:
        """Check that a store's sessions are those of which their proofs tell."""
        whole = list(seals) == list(range(len(seals)))
        first_gap = len(seals) if whole else next(n for n in range(len(seals)) if n not in seals)
        tree = Tree(list(seals.values())[:first_gap])
        if whole:
            self._heads[store] = Head(len(seals), tree.root)
        else:
            missing = max(seals) + 1 - len(seals)
            self._findings.note(
                f"{counted(missing, 'ended session')} of the store {store} "
                f"{'is' if missing == 1 else 'are'} not here: not pushed, or removed"
            )
        for head in self._proved.get(store, ()):
            if head.size <= first_gap and tree.root_of(head.size) != head.root:
                self._findings.found(
                    f"the first {head.size} ended sessions of the store {store} are not those of "
                    f"which their proofs tell ({head})"
                )
            elif head.size > max(seals) + 1 and whole:
                self._findings.note(
                    f"{counted(head.size - len(seals), 'ended session')} of the store {store} "
                    "that were before its latest push are not here: not pushed, or removed"
                )

    def _check_prunes(self, store: str) -> None:
        """Check that a leaf of a store's tree bears out each mark that a session was pruned there.

        The mark itself is under no seal.
        """
        said = tombstones.read(
            (one.id, one.leaf, one.columns[8], one.columns[12])
            for one in self._prunes.get(store, ())
        )
        for session in self._marked.get(store, ()):
            gone = tombstones.Gone(session.id, session.count, session.head)
            if any((one.gone, one.at) == (gone, session.pruned_at) for one in said):
                continue
            if store not in self._heads:
                self._findings.note(f"session {session.id}: the prune that names it is not here")
            else:
                self._findings.found(
                    "it is marked as pruned at its origin, and no prune in that store's tree "
                    "says so: its calls were removed by another hand",
                    session.id,
                )

    def _check_against(self, head: Head, found: Committed) -> None:
        if any(head in proved for proved in self._proved.values()):
            return
        for store in found.by_store:
            seals = found.seals(store)
            known = [seals[leaf] for leaf in range(head.size) if leaf in seals]
            if len(known) == head.size and Head.of(known) == head:
                return
        self._findings.found(
            f"no store whose sessions are here has the head given: some were changed or removed, "
            f"or not pushed ({head})"
        )

    def _note_loose(self) -> None:
        """Note what no session names: left by a push that was broken off, or on its way."""
        loose = 0
        for prefix in (names.EXCHANGES, names.PAYLOADS):
            loose += sum(one.name not in self._named for one in self._objects.list(prefix))
        if loose:
            self._findings.note(
                f"{counted(loose, 'object')} that no session names: of pushes under way or broken "
                "off, or of sessions that were pruned"
            )
