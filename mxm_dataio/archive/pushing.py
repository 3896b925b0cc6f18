"""A root's sealed sessions on their way into an archive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ..errors import IntegrityError, StoreError
from ..integrity.findings import Progress
from ..integrity.foreign import checked_proof
from ..integrity.merkle import Tree
from ..integrity.proofs import Head, Inclusion, sealed_here
from ..storage.catalog.chain import START, record_hash
from ..storage.catalog.sealed import SealedCall, SealedSession
from ..storage.root_store import RootStore
from . import exchanges, session_object
from .exchanges import INLINE, PART, Contents, ExchangesWriter
from .listing import committed, fork
from .names import ExchangesName, SessionName
from .object_store import Listed, ObjectStore
from .session_object import ArchivedSession, Part, Payload
from .transfer import Transfers

# Calls of one session may be of many sources: so much of all together waits to be an object.
_WAITING = 2 * PART


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        sessions, calls: of the sessions that were pushed.
        objects, size: that were written, and their bytes.
        there: sessions that were there before.
        problems: why sessions were left out; the others were pushed.
    """

    sessions: int = 0
    calls: int = 0
    objects: int = 0
    size: int = 0
    there: int = 0
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No session was left out."""
        return not self.problems


@dataclass(slots=True)
class _OnItsWay:
    """A session whose objects are being written."""

    session: SealedSession
    proof: str
    parts: list[Future[Part]] = field(default_factory=list)
    payloads: dict[Payload, Future[Listed | None]] = field(default_factory=dict)


class Push:
    """Pushes a root's sessions.

    Args:
        objects: the archive's; it takes creations.
        store: the root's.
        jobs: how many objects are written at once.
        progress: is told of sessions.
    """

    def __init__(
        self, objects: ObjectStore, store: RootStore, jobs: int, progress: Progress | None
    ) -> None:
        self._objects = objects
        self._store = store
        self._jobs = jobs
        self._progress = progress or (lambda *_: None)
        self._transfers = Transfers(objects, store.payloads, jobs)
        self._proofs = _Proofs(store)
        self._problems: list[str] = []
        self._sessions = self._calls = self._there = self._done = 0

    def run(self, lacking: Sequence[SealedSession], there: int) -> Pushed:
        """Push sessions; what is wrong with one is no harm to the others.

        Args:
            lacking: those that the archive does not have.
            there: how many it has.

        Raises:
            StoreError: the archive could not be reached, or refused.
        """
        waiting: deque[_OnItsWay] = deque()
        commits: deque[tuple[_OnItsWay, Future[bool]]] = deque()
        total = len(lacking)
        whole = False
        try:
            for session in lacking:
                begun = self._begun(session)
                if begun is not None:
                    waiting.append(begun)
                while waiting and (len(waiting) > self._jobs or _is_done(waiting[0])):
                    self._commit(waiting.popleft(), commits)
                while commits and (len(commits) > self._jobs or commits[0][1].done()):
                    self._finish(*commits.popleft(), total)
            while waiting:
                self._commit(waiting.popleft(), commits)
            while commits:
                self._finish(*commits.popleft(), total)
            whole = True
        finally:
            self._transfers.close(wait=whole)
        sent = self._transfers.sent
        return Pushed(
            self._sessions, self._calls, sent.objects, sent.size, there + self._there,
            tuple(self._problems),
        )  # fmt: skip

    # -- what a session is made of -------------------------------------------------------------

    def _begun(self, session: SealedSession) -> _OnItsWay | None:
        """Have the objects of a session written, if it is sound."""
        try:
            way = _OnItsWay(session, self._proofs.of(session))
            # Its calls are gone, if they were pruned; its place in the tree is not.
            if session.pruned_at is None:
                self._write_calls(way)
        except StoreError as exc:
            self._problem(session, exc)
            return None
        return way

    def _write_calls(self, way: _OnItsWay) -> None:
        session = way.session
        writers: dict[str, ExchangesWriter] = {}
        parts: dict[str, int] = {}
        for position, call in enumerate(_sound_calls(self._store, session)):
            source = str(call.columns[3])
            writer = writers.setdefault(source, ExchangesWriter())
            writer.add(position, call, self._contents(way, call))
            if writer.size >= PART or sum(one.size for one in writers.values()) >= _WAITING:
                largest = max(writers, key=lambda one: writers[one].size)
                self._write_part(way, largest, parts, writers.pop(largest))
        for source, writer in writers.items():
            self._write_part(way, source, parts, writer)

    def _write_part(
        self, way: _OnItsWay, source: str, parts: dict[str, int], writer: ExchangesWriter
    ) -> None:
        part = parts.get(source, 0)
        parts[source] = part + 1
        name = ExchangesName(source, way.session.as_of[:7], way.session.id, part)
        way.parts.append(self._transfers.exchanges(str(name), writer.finish()))

    def _contents(self, way: _OnItsWay, call: SealedCall) -> Contents:
        """Return a call's small bodies; its large ones are on their way."""
        contents: dict[str, bytes] = {}
        for checksum, size in exchanges.bodies(call):
            if size > INLINE:
                payload = Payload(checksum, size)
                way.payloads[payload] = self._transfers.payload(payload)
            else:
                with self._store.payloads.open(checksum, size) as file:
                    contents[checksum] = file.read()
        return contents

    # -- its own object ------------------------------------------------------------------------

    def _commit(self, way: _OnItsWay, commits: deque[tuple[_OnItsWay, Future[bool]]]) -> None:
        """Write a session's own object, once all that it names is there."""
        session = way.session
        try:
            parts = tuple(part.result() for part in way.parts)
            for written in way.payloads.values():
                written.result()
            payloads = tuple(way.payloads)
            archived = ArchivedSession(session, way.proof, parts, payloads)
            content = session_object.write(archived)
        except IntegrityError as exc:
            self._problem(session, exc)
            return
        commits.append((way, self._transfers.session(str(archived.name), content)))

    def _finish(self, way: _OnItsWay, created: Future[bool], total: int) -> None:
        if created.result():
            self._sessions += 1
            self._calls += way.session.count if way.session.pruned_at is None else 0
        else:
            # Another's was first, or our own, of which no word came back.
            self._there += 1
        # What was there before may have been swept until it had a name.
        for part in way.parts:
            self._transfers.keep(part.result().name)
        found = [one for one, written in way.payloads.items() if written.result() is not None]
        looks = [(one, self._transfers.is_there(one)) for one in found]
        for one, there in looks:
            if not there.result():
                self._transfers.payload(one).result()
        self._done += 1
        self._progress("sessions", self._done, total)

    def _problem(self, session: SealedSession, exc: StoreError) -> None:
        self._done += 1
        self._problems.append(f"session {session.id} was not pushed: {exc}")


def lacking(objects: ObjectStore, sessions: Sequence[SealedSession]) -> list[SealedSession]:
    """Return those of some sessions that an archive does not have.

    Raises:
        IntegrityError: it has another in a session's place; both are named.
        StoreError: it can't be reached.
    """
    stores = dict.fromkeys(session.store for session in sessions)
    there = {store: committed(objects, store).by_store.get(store, {}) for store in stores}
    found = []
    for session in sessions:
        name = SessionName(session.store, session.leaf, session.id, session.seal)
        other = there[session.store].get(session.leaf)
        if other is None:
            found.append(session)
        elif other != name:
            raise fork(objects.url, other, name)
    return found


class _Proofs:
    """The proofs that sessions are leaves of their stores' trees."""

    def __init__(self, store: RootStore) -> None:
        self._store = store
        seals = sealed_here(store)
        self._tree = Tree(seals)
        self._head = Head(len(seals), self._tree.root)

    def of(self, session: SealedSession) -> str:
        """Return the proof of a session, as a text.

        Raises:
            IntegrityError: it is none of its store's, or not as it was sealed.
        """
        if (proof_of_origin := self._store.catalog.proof_of(session.id)) is not None:
            return checked_proof(session, proof_of_origin).text()
        path = tuple(self._tree.inclusion_proof(session.leaf))
        proof = Inclusion(
            self._head, session.leaf, session.head, session.count, session.columns, path
        ).text()
        return checked_proof(session, proof).text()


def _sound_calls(store: RootStore, session: SealedSession) -> Iterator[SealedCall]:
    """Yield a session's calls, each once its hash was derived anew from the one before it.

    What they say is not looked at: it is as it was recorded here.
    """
    before, count = START, 0
    for call in store.catalog.sealed_calls(session.id):
        before, count = record_hash(before, call.columns, call.attempts), count + 1
        if before != call.hash:
            break
        yield call
    if (before, count) != (session.head, session.count):
        raise IntegrityError(
            f"call {count} of its {session.count} is not as it was sealed, or missing: mxm-dataio "
            "verify tells what is wrong"
        )


def _is_done(way: _OnItsWay) -> bool:
    futures: list[Future[Any]] = [*way.parts, *way.payloads.values()]
    return all(one.done() for one in futures)
