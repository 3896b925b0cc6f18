"""Heads and proofs, as texts: what is published, and what is handed to one who has no store.

The leaves of a store's tree are the seals of its ended sessions, in the order in which they ended.
Its *head*, one line, stands for all of them. A proof is a JSON text that comes from anyone: it is
taken apart with care, and worth only what the head is worth to which it leads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from ..errors import IntegrityError, StoreError
from ..storage.catalog import rows
from ..storage.catalog.chain import seal
from ..storage.root_store import RootStore
from ..utils import counted
from . import merkle

_HEAD = re.compile(r"mxm-dataio-head 1 (0|[1-9][0-9]{0,17}) ([0-9a-f]{64})")
_HASH = re.compile(r"[0-9a-f]{64}")
_COLUMNS = rows.SEALED.split(", ")
# Two more than the longest path in a tree of 2^63 leaves.
_LONGEST = 65


_Proof = TypeVar("_Proof", "Inclusion", "Consistency")


@dataclass(frozen=True, slots=True)
class Head:
    """The size and root of a store's tree; ``str()`` gives the line to publish."""

    size: int
    root: bytes

    def __str__(self) -> str:
        return f"mxm-dataio-head 1 {self.size} {self.root.hex()}"

    @classmethod
    def of(cls, seals: Sequence[bytes]) -> Self:
        """Return the head of a list of seals."""
        return cls(len(seals), merkle.root(seals))

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the head of a line.

        Raises:
            ValueError: it is none.
        """
        match = _HEAD.fullmatch(line.strip())
        if match is None:
            raise ValueError(
                f"{line.strip()[:120]!r} is no head: mxm-dataio head prints one, "
                "'mxm-dataio-head 1 <sessions> <hash>'"
            )
        return cls(int(match[1]), bytes.fromhex(match[2]))


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That a session, as its row and the head of its chain say it, is a leaf below a head.

    Attributes:
        chain: the hash of its last record.
        count: of its records.
        columns: the session's own, as its seal covers them.
    """

    head: Head
    leaf: int
    chain: bytes
    count: int
    columns: tuple[Any, ...]
    path: tuple[bytes, ...]

    @property
    def session(self) -> dict[str, Any]:
        """The session's columns by their names."""
        return dict(zip(_COLUMNS, self.columns, strict=True))

    def holds(self) -> bool:
        """Say whether it is so."""
        sealed = seal(self.chain, self.count, self.columns)
        return merkle.includes(sealed, self.leaf, self.head.size, self.path, self.head.root)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "proof": "mxm-dataio inclusion 1",
                "head": str(self.head),
                "leaf": self.leaf,
                "session": self.session,
                "count": self.count,
                "chain": self.chain.hex(),
                "path": [one.hex() for one in self.path],
            },
            indent=2,
        )


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the store of a head is the one of an earlier head, with sessions added at its end."""

    earlier: Head
    head: Head
    path: tuple[bytes, ...]

    def holds(self) -> bool:
        """Say whether it is so."""
        return merkle.consistent(
            self.earlier.size, self.earlier.root, self.head.size, self.head.root, self.path
        )

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "proof": "mxm-dataio consistency 1",
                "from": str(self.earlier),
                "head": str(self.head),
                "path": [one.hex() for one in self.path],
            },
            indent=2,
        )


def head_of(store: RootStore) -> Head:
    """Return the head of a store.

    Raises:
        IntegrityError: a leaf is missing.
    """
    return Head.of(sealed_here(store))


def include(store: RootStore, session_id: str) -> Inclusion:
    """Return the proof that a session is below the store's head.

    Of one from elsewhere, below a head of the store that recorded it: the proof that it came with.

    Raises:
        StoreError: it is not there, or has not ended.
        IntegrityError: the store's tree is damaged.
    """
    found = store.catalog.sealed(session_id)
    if found is None:
        raise StoreError(
            f"session {session_id} is not sealed: only one that has ended can be proved",
            path=store.root,
        )
    origin = store.catalog.proof_of(session_id)
    if origin is not None:
        foreign = parse(origin)
        if not isinstance(foreign, Inclusion) or (
            (foreign.chain, foreign.count, foreign.columns) != (*found[:2], tuple(found[2]))
        ):
            raise IntegrityError(
                f"the proof of session {session_id} was changed: mxm-dataio verify tells more",
                path=store.root,
            )
        return _holding(foreign, store)
    seals = sealed_here(store)
    head, count, columns = found
    leaf = next(leaf for leaf, id, _ in store.catalog.leaves() if id == session_id)
    path = tuple(merkle.inclusion_proof(leaf, seals))
    proof = Inclusion(Head.of(seals), leaf, head, count, tuple(columns), path)
    return _holding(proof, store)


def go_on(store: RootStore, earlier: Head) -> Consistency:
    """Return the proof that a store continues the one that an earlier head stands for.

    Raises:
        IntegrityError: it does not.
    """
    seals = sealed_here(store)
    if earlier.size > len(seals):
        raise IntegrityError(
            f"the store has {counted(len(seals), 'ended session')}, fewer than the head given: "
            "some were removed, or it is another store's",
            path=store.root,
        )
    path = tuple(merkle.consistency_proof(earlier.size, seals))
    return _holding(Consistency(earlier, Head.of(seals), path), store)


def _holding(proof: _Proof, store: RootStore) -> _Proof:
    if not proof.holds():
        raise IntegrityError(
            f"the store {store.root} is not as it was sealed, or not the one of the head given: "
            "mxm-dataio verify tells what is wrong",
            path=store.root,
        )
    return proof


def sealed_here(store: RootStore) -> list[bytes]:
    """Return the leaves of a store's tree: the seals of its own sessions.

    Raises:
        IntegrityError: one is missing.
    """
    leaves = store.catalog.leaves()
    whole = [leaf for leaf, _, _ in leaves] == list(range(len(leaves)))
    if not whole or not all(isinstance(sealed, bytes) for _, _, sealed in leaves):
        raise IntegrityError(
            f"the tree of the store {store.root} has gaps: mxm-dataio verify tells what is wrong",
            path=store.root,
        )
    return [sealed for _, _, sealed in leaves]


def parse(text: str) -> Inclusion | Consistency:
    """Return the proof of a text.

    Raises:
        IntegrityError: it is none of this release.
    """
    try:
        data = json.loads(text)
        path = tuple(_hash(one) for one in data["path"])
        if len(path) > _LONGEST:
            raise ValueError("its path is longer than any tree is high")
        head = Head.parse(data["head"])
        match data["proof"]:
            case "mxm-dataio inclusion 1":
                return Inclusion(
                    head, _number(data["leaf"]), _hash(data["chain"]), _number(data["count"]),
                    _columns(data["session"]), path,
                )  # fmt: skip
            case "mxm-dataio consistency 1":
                return Consistency(Head.parse(data["from"]), head, path)
            case other:
                raise ValueError(f"{str(other)[:60]!r} is unknown to this release")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        what = f"{exc} is missing" if isinstance(exc, KeyError) else exc
        raise IntegrityError(f"this is no proof that mxm-dataio prove made: {what}") from exc


def _hash(value: Any) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} is no hash")
    return bytes.fromhex(value)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{str(value)[:80]!r} is no number of sessions or records")
    return value


def _columns(value: Mapping[str, Any]) -> tuple[Any, ...]:
    columns = tuple(value[name] for name in _COLUMNS)
    if len(value) != len(columns) or not all(
        one is None or type(one) in (str, int) for one in columns
    ):
        raise ValueError("the session's columns are not those of a session")
    return columns
