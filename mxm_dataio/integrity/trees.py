"""Re-deriving the trees of seals: the store's own, and those of stores that sessions came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby

from ..errors import IntegrityError
from ..utils import counted
from . import merkle
from .findings import Findings
from .ledger import Held, Ledger
from .proofs import Head, Inclusion, parse

# By store: the heads below which sessions from there were proved, each with one of them.
_Proved = dict[str, dict[Head, str]]


class Trees:
    """Checks the places of seals in the trees, and the heads given.

    Args:
        chosen: ids of sessions of which it is noted where they are from.

    Attributes:
        head: of the store's own tree; ``None`` where it could not be read.
    """

    def __init__(
        self, against: Sequence[Head], chosen: Collection[str], findings: Findings
    ) -> None:
        self.head: Head | None = None
        self._against = against
        self._chosen = chosen
        self._found, self._note = findings.found, findings.note

    def check(self, ledger: Ledger) -> None:
        """Check them all."""
        seals = self._own(ledger)
        own = merkle.Tree(seals)
        self.head = Head(len(seals), own.root)
        known = self._foreign(ledger)
        for head in self._against:
            if head.size <= len(seals) and own.root_of(head.size) == head.root:
                continue
            if head in known:
                store, count = known[head]
                self._note(
                    f"the head given of {counted(head.size, 'ended session')} is of the store "
                    f"{store}: {count} that came from there {'is' if count == 1 else 'are'} here"
                )
                continue
            elsewhere = ", nor that of a store that sessions came from" if known else ""
            if head.size > len(seals):
                self._found(
                    f"the head given is of {head.size} ended sessions and {len(seals)} are there: "
                    f"some were removed{elsewhere} ({head})"
                )
            else:
                self._found(
                    f"the first {head.size} ended sessions are not those of the head given: one "
                    f"was changed and its hashes written anew, or removed or re-ordered{elsewhere} "
                    f"({head})"
                )

    def _own(self, ledger: Ledger) -> list[bytes]:
        """Check the order of the store's own seals, and return them."""
        leaves = ledger.leaves()
        expected = 0
        for leaf, id, _ in leaves:
            if leaf != expected:
                self._found(
                    f"it is leaf {leaf} of the store's tree where {expected} is due: the ended "
                    "session before it was removed, or its place changed",
                    id,
                )
            expected = leaf + 1 if isinstance(leaf, int) else expected + 1
        return [sealed for _, _, sealed in leaves]

    def _foreign(self, ledger: Ledger) -> dict[Head, tuple[str, int]]:
        """Check what is from elsewhere, and return the heads that are thereby known.

        Each with its store, and how many sessions are from there.
        """
        proved: _Proved = {}
        leaves: dict[tuple[str, int], tuple[str, bytes | None]] = {}
        for held in ledger.foreign():
            assert held.origin is not None
            leaves[held.origin[:2]] = held.id, held.seal
            if (head := self._proved(held)) is not None:
                proved.setdefault(held.origin.store, {}).setdefault(head, held.id)
        for store, leaf in ledger.lost_origins():
            self._found(f"the session that is leaf {leaf} of the store {store} was removed")
        counts = Counter(store for store, _ in leaves)
        heads = {store: set(some) for store, some in proved.items()}
        told = ledger.origin_leaves()
        for store, of_store in groupby(told, lambda one: str(one[0])):
            seals: list[bytes] = []
            for _, leaf, seal in of_store:
                id, held_seal = leaves.pop((store, leaf), ("", seal))
                if held_seal != seal:
                    self._found(f"an archive said that leaf {leaf} of {store} is another", id)
                if leaf == len(seals):
                    seals.append(seal)
            heads.setdefault(store, set()).update(self._told(store, seals, proved.get(store, {})))
        for (store, leaf), (id, _) in leaves.items():
            self._found(f"what an archive said of leaf {leaf} of {store} was removed", id)
        return {head: (store, counts[store]) for store, some in heads.items() for head in some}

    def _proved(self, held: Held) -> Head | None:
        """Return the head below which a session from elsewhere is, as its proof shows."""
        origin = held.origin
        assert origin is not None
        if held.leaf is not None:
            self._found("it is from elsewhere, and has a place in this store's tree", held.id)
        try:
            proof = parse(origin.proof)
        except IntegrityError as exc:
            self._found(f"the proof of its place at its origin was changed: {exc}", held.id)
            return None
        said = (origin.leaf, held.records, held.columns)
        if not isinstance(proof, Inclusion) or proof.text() != origin.proof:
            self._found("the proof of its place at its origin was changed", held.id)
        elif (proof.leaf, proof.count, proof.columns) != said or not proof.holds():
            self._found("the proof of its place at its origin is not that of its row", held.id)
        else:
            if held.id in self._chosen:
                self._note(
                    f"session {held.id} is leaf {origin.leaf} of the store {origin.store}, whose "
                    f"head was {proof.head}"
                )
            return proof.head
        return None

    def _told(self, store: str, seals: Sequence[bytes], proved: dict[Head, str]) -> set[Head]:
        """Return which heads are those of a tree that an archive told, from its first leaf on."""
        tree = merkle.Tree(seals)
        known = set[Head]()
        for head in (*proved, *self._against):
            if head.size > len(seals):
                continue
            if tree.root_of(head.size) == head.root:
                known.add(head)
            elif head in proved:
                self._found(
                    f"it was proved below a head of {counted(head.size, 'session')} that is not "
                    f"that of the tree of {store}, as an archive told it",
                    proved[head],
                )
        return known
