"""A session's own object: one row, which says all that its seal covers. That it is there is the
commit.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import IntegrityError
from ..integrity.foreign import checked_proof
from ..integrity.proofs import Inclusion
from ..storage.catalog import rows
from ..storage.catalog.sealed import SealedSession
from . import parquet
from .names import ExchangesName, SessionName, is_checksum
from .parquet import Column

# Larger ones no push makes: 100,000 bodies of it are named in less.
LARGEST = 32 << 20
_NUMBERS = ("pid", "exit_status", "number")
_OBJECT = parquet.columns_of(text="name", integer="size") + parquet.columns_of(text="sha256")
_PAYLOAD = parquet.columns_of(text="checksum", integer="size")
_SESSION = tuple(
    Column(name, parquet.INTEGER if name in _NUMBERS else parquet.TEXT)
    for name in rows.SEALED.split(", ")
)
_COLUMNS = (
    *_SESSION, *parquet.columns_of(bytes="head", integer="count"),
    *parquet.columns_of(bytes="seal", text="store", integer="leaf"),
    *parquet.columns_of(text="pruned_at proof"),
    Column("objects", "", _OBJECT), Column("payloads", "", _PAYLOAD),
)  # fmt: skip


class Part(NamedTuple):
    """An object with calls of a session.

    Attributes:
        size: its bytes.
        sha256: of them, in hex.
    """

    name: str
    size: int
    sha256: str


class Payload(NamedTuple):
    """A body that is an object of its own."""

    checksum: str
    size: int


class ArchivedSession(NamedTuple):
    """A session as an archive has it.

    Attributes:
        session: what its seal covers.
        proof: that it is a leaf of its store's tree, as that was when it was pushed; a text.
        objects: what has its calls.
        payloads: its large bodies.
    """

    session: SealedSession
    proof: str
    objects: tuple[Part, ...]
    payloads: tuple[Payload, ...]

    @property
    def name(self) -> SessionName:
        """The name of its object."""
        session = self.session
        return SessionName(session.store, session.leaf, session.id, session.seal)


def write(archived: ArchivedSession) -> memoryview:
    """Return the object of a session.

    Raises:
        IntegrityError: a value of it is none of its column's kind.
    """
    one = archived.session
    row = (
        *one.columns, one.head, one.count, one.seal, one.store, one.leaf, one.pruned_at,
        archived.proof, archived.objects, archived.payloads,
    )  # fmt: skip
    return parquet.write(parquet.batch(_COLUMNS, [row]))


def read(content: bytes, name: SessionName, where: str) -> tuple[ArchivedSession, Inclusion]:
    """Return the session of an object, and the proof that it is a leaf of its store's tree.

    Args:
        where: what it is, for an error.

    Raises:
        IntegrityError: it is damaged; or it is not the session that its name says; or its seal
            does not cover it, or its proof does not hold.
    """
    found = parquet.read(content, _COLUMNS, where)
    if len(found) != 1:
        raise IntegrityError(f"{where} is damaged: it has {len(found)} sessions in place of one")
    (row,) = found
    width = len(_SESSION)
    session = SealedSession(row[:width], *row[width : width + 6])
    proof, objects, payloads = row[width + 6 :]
    archived = ArchivedSession(
        session, proof, tuple(Part(*one) for one in objects),
        tuple(Payload(*one) for one in payloads),
    )  # fmt: skip
    for wrong, what in (
        (archived.name != name, "it is not the session that its name says"),
        (not _fits(archived), "what it names are no objects of its own"),
        (not isinstance(proof, str), "it has no proof"),
    ):
        if wrong:
            raise IntegrityError(f"{where} is damaged: {what}")
    try:
        return archived, checked_proof(session, proof)
    except IntegrityError as exc:
        raise IntegrityError(f"{where} is damaged: {exc}") from exc


def _fits(archived: ArchivedSession) -> bool:
    """Say whether what a session's object names may be what it is made of."""
    session = archived.session
    names = [ExchangesName.parse(str(part.name)) for part in archived.objects]
    return (
        len(set(names)) == len(names)
        and all(one is not None and one.session == session.id for one in names)
        and all(is_checksum(part.sha256) and _is_size(part.size) for part in archived.objects)
        and all(is_checksum(one.checksum) and _is_size(one.size) for one in archived.payloads)
    )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and value >= 0
