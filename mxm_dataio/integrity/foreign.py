"""Taking in a session that another store recorded: all of it is checked before any of it is kept.

What comes may be a stranger's, or damaged on its way. Its seal is derived anew from its columns and
from the chain of its calls, and its place in the tree of the store that recorded it from the proof
that comes with it: what is taken in is what was sealed there, or it is refused. Whether that store
is to be believed, and whether its head is one that was published, is another question
(:mod:`.verify`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from ..errors import MALFORMED, IntegrityError
from ..storage.catalog.catalog import SQLiteCatalog
from ..storage.catalog.chain import START, record_hash, seal
from ..storage.catalog.links import put_sealed
from ..storage.catalog.origins import number_of, put_session
from ..storage.catalog.sealed import SealedCall, SealedSession, check_call, check_session
from . import tombstones
from .chains import details
from .proofs import Inclusion, parse


def put_foreign(
    catalog: SQLiteCatalog, session: SealedSession, proof: str, calls: Iterable[SealedCall]
) -> bool:
    """Take a session in, with its calls, in one transaction.

    Of one that was pruned nothing but its row is taken in, and only where the session that stands
    for that prune (its source is empty) was taken in before.

    Args:
        proof: that it is the leaf that it says, as :meth:`~.proofs.Inclusion.text` gives it.
        calls: all that it has, in the order of its chain; they are taken one by one.

    Returns:
        Whether it was not there yet.

    Raises:
        IntegrityError: it is not as it was sealed, its root session is not there, or another is
            there under its id or in its place; nothing was changed.
        StoreError: the database refused; nothing was changed.
    """
    proved = checked_proof(session, proof)
    if catalog.holds(session):
        return False
    each = iter(calls)
    first = next(each, None)
    if first is None and session.count and session.pruned_at is not None:
        if not _was_pruned(catalog, session):
            raise refusal(session, "its calls are missing, and no prune that is here names it")
    else:
        session = session._replace(pruned_at=None)
        each = checked_calls(session, () if first is None else chain((first,), each))
    return catalog.put_checked(session, proved.text(), each)


def put_pruned(
    catalog: SQLiteCatalog, sessions: Iterable[tuple[SealedSession, str]], at: str
) -> int:
    """Take in the rows of sessions that were pruned where they come from, and no call of them.

    A leaf of this store's own tree says that they were, as it would if they had been pruned here.

    Args:
        sessions: each with its proof, roots before their children.
        at: when they were pruned.

    Returns:
        How many were not there yet.

    Raises:
        IntegrityError, StoreError: as :func:`put_foreign` does; nothing was changed.
    """
    proved = [(one._replace(pruned_at=at), checked_proof(one, proof)) for one, proof in sessions]
    path, own_store = catalog.database.path, catalog.store_id()
    with catalog.pruning() as db:
        gone = [
            tombstones.Gone(session.id, session.count, session.head)
            for session, proof in proved
            if put_session(db, path, own_store, session, proof.text()) is not None
        ]
        if gone:
            put_sealed(db, replace(tombstones.raised(gone), started_at=at, ended_at=at))
    return len(gone)


def _was_pruned(catalog: SQLiteCatalog, session: SealedSession) -> bool:
    gone = tombstones.Gone(session.id, session.count, session.head)
    there = catalog.database.all(tombstones.OF_STORE, session.store)
    return any((one.gone, one.at) == (gone, session.pruned_at) for one in tombstones.read(there))


def refusal(session: SealedSession, why: str) -> IntegrityError:
    """Return the error for a session that is not as it was sealed."""
    return IntegrityError(f"session {session.id[:80]} is not as it was sealed: {why}")


def checked_proof(session: SealedSession, proof: str) -> Inclusion:
    """Return the proof that a session is the leaf that it says.

    Raises:
        IntegrityError: it is no such proof, or the session's row is not as it was sealed.
    """
    try:
        check_session(session)
        number_of(session.id)
    except MALFORMED as exc:
        raise refusal(session, str(exc)) from exc
    if seal(session.head, session.count, session.columns) != session.seal:
        raise refusal(session, "its seal is not that of its row and of the end of its chain")
    try:
        found = parse(proof)
    except IntegrityError as exc:
        raise refusal(session, f"of its proof: {exc}") from exc
    said = (session.leaf, session.head, session.count, session.columns)
    if not isinstance(found, Inclusion) or said != (
        found.leaf, found.chain, found.count, found.columns
    ):  # fmt: skip
        raise refusal(session, "its proof is another session's")
    if not found.holds():
        raise refusal(session, "its proof does not hold")
    return found


def checked_calls(session: SealedSession, calls: Iterable[SealedCall]) -> Iterator[SealedCall]:
    """Yield the calls of a session, each once it was found to follow from the one before it.

    Raises:
        IntegrityError: one does not, or behind the last: that is not the session's last.
    """
    before, count = START, 0
    for call in calls:
        if count == session.count:
            raise refusal(session, f"more than its {count} calls came")
        id = str(call.columns[:1])[:80]
        try:
            check_call(call)
            wrong = [*details(call.columns, call.attempts)]
        except MALFORMED as exc:
            raise refusal(session, f"its call {id}: {exc}") from exc
        if call.columns[1:3] != session.columns[:2]:
            wrong.append("it is another session's")
        before, count = record_hash(before, call.columns, call.attempts), count + 1
        if before != call.hash:
            wrong.append("its hash does not follow from what it holds and from the call before it")
        if wrong:
            raise refusal(session, f"its call {id}: {'; '.join(wrong)}")
        yield call
    if (before, count) != (session.head, session.count):
        raise refusal(session, f"it has {session.count} calls, and {count} came, or others")
