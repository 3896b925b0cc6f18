"""What is to be told of a session: its facts and figures, its calls, and whether it verifies.

Gathered in one pass over the calls of the session and of its child processes' sessions. The calls
that are listed one by one are bounded, and so is what is shown of their bodies; the figures are of
all. A record that can't be read is named, and hides no other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from ...errors import DataIOError, IntegrityError
from ...integrity.findings import Progress, Verified
from ...integrity.proofs import Head
from ...integrity.verify import verify
from ...models import Exchange, Headers, Response, Session, Unseen
from ...storage.catalog.reading import ChainEnd
from ...storage.catalog.sound import sound, sound_session
from ...storage.root_store import RootStore
from ...storage.unseen import merged
from ...utils import parse_instant
from .previews import Preview, needed, preview
from .tally import Tally


class Limits(NamedTuple):
    """How much of a session is listed.

    Attributes:
        calls: the first so many; of the others those that went wrong, a quarter as many at most.
        body: bytes of each body that are shown at most.
        bodies: of all bodies together.
    """

    calls: int = 20_000
    body: int = 4096
    bodies: int = 5 << 19


@dataclass(frozen=True, slots=True)
class Part:
    """One of the sessions: the one asked for, or a child process's.

    Attributes:
        end: of its chain; ``None`` where that can't be read.
        calls, bad: how many there are, and how many of these went wrong.
    """

    session: Session
    end: ChainEnd | None
    calls: int
    bad: int


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        root: the store's folder.
        parts: the session that was asked for, and those of its children.
        verified: what checking them found, and with it ``against``: heads published earlier.
        coverage: what they saw go past, put together; ``None`` where none of them watched.
        left_out: where calls went that they were told to leave out.
        unwatched: how many of them did not.
        tally: the figures of all calls.
        began, ended: of what happened, in seconds since the epoch.
        listed: calls, in the order in which they were made.
        forgotten: request's id → since when it answers none, of all in the store.
        wrong: request's id → how it went wrong, of those that are listed.
        bodies: checksum → what is shown of it.
        body_limit: bytes to which each was cut.
        damaged: what could not be read.
    """

    root: str
    parts: tuple[Part, ...]
    verified: Verified
    against: tuple[Head, ...]
    coverage: tuple[Unseen, ...] | None
    left_out: tuple[Unseen, ...]
    unwatched: int
    tally: Tally
    began: float
    ended: float
    listed: tuple[Exchange, ...]
    forgotten: dict[str, str]
    wrong: dict[str, str]
    bodies: dict[str, Preview]
    body_limit: int
    damaged: tuple[str, ...]

    @property
    def session(self) -> Session:
        """The session that was asked for."""
        return self.parts[0].session

    @property
    def ok(self) -> bool:
        """What is stored is what was recorded."""
        return self.verified.ok and not self.damaged


def gather(
    store: RootStore,
    session_id: str,
    *,
    limits: Limits | None = None,
    against: Sequence[Head] = (),
    progress: Progress | None = None,
) -> Report:
    """Return the report of a session and of its child processes' sessions.

    Args:
        session_id: the whole of it.
        against: heads that were published earlier.
        progress: is told how far it is: what :func:`mxm_dataio.integrity.verify.verify` says, then
            ``reading`` and ``bodies``.

    Raises:
        StoreError: there is no such session.
        IntegrityError: the sessions' own rows can't be read.
    """
    # The one that was asked for first, whatever the clock said when its children began.
    family = sorted(store.family(session_id), key=lambda one: one.id != session_id)
    sessions = [sound_session(session) for session in family]
    ids = [session.id for session in sessions]
    verified = verify(store, ids, against=against, progress=progress)
    work = _Work(store, limits or Limits(), progress or (lambda *_: None))
    work.read(sessions)
    bodies, body_limit = work.bodies()
    tally = work.tally
    moments = [moment for one in sessions for moment in _moments(one)]
    if tally.totals.calls:
        moments += [tally.began, tally.ended]
    watched = [session.coverage for session in sessions if session.coverage is not None]
    return Report(
        root=str(store.root),
        parts=tuple(
            Part(session, end, *tally.calls(place))
            for place, (session, end) in enumerate(zip(sessions, work.ends, strict=True))
        ),
        verified=verified,
        against=tuple(against),
        coverage=_together(watched) if watched else None,
        left_out=_together(session.left_out for session in sessions),
        unwatched=len(sessions) - len(watched),
        tally=tally,
        began=min(moments, default=0.0),
        ended=max(moments, default=0.0),
        listed=tuple(work.listed),
        forgotten=store.catalog.forgotten(),
        wrong=work.wrong,
        bodies=bodies,
        body_limit=body_limit,
        damaged=tuple(work.damaged),
    )


def _moments(session: Session) -> Iterator[float]:
    """Yield when a session began and ended, as far as that can be read."""
    for text in (session.started_at, session.ended_at):
        try:
            if text:
                yield parse_instant(text)
        except (ValueError, OverflowError):
            continue


@dataclass
class _Work:
    store: RootStore
    limits: Limits
    progress: Progress
    tally: Tally = field(default_factory=lambda: Tally(0))
    ends: list[ChainEnd | None] = field(default_factory=list)
    listed: list[Exchange] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def read(self, sessions: Sequence[Session]) -> None:
        """Read all calls."""
        self.tally = Tally(len(sessions))
        self.ends = [self._end(session) for session in sessions]
        total = sum(end.records for end in self.ends if end and isinstance(end.records, int))
        places = {session.id: place for place, session in enumerate(sessions)}
        # Ids ascend with time, and each session's calls come in their order.
        calls = heapq.merge(*map(self._calls, sessions), key=lambda call: call.request.id)
        spare = self.limits.calls // 4
        for number, call in enumerate(calls, 1):
            what = self.tally.take(call, places[call.request.session_id])
            room = len(self.listed) < self.limits.calls
            if room or (what is not None and spare):
                spare -= not room
                self.listed.append(call)
                if what is not None:
                    self.wrong[call.request.id] = what
            if not number % 256:
                self.progress("reading", number, max(total, number))
        self.progress("reading", total, total)

    def _end(self, session: Session) -> ChainEnd | None:
        try:
            return self.store.catalog.chain_end(session.id)
        except IntegrityError as exc:
            self._damage(exc)
            return None

    def _calls(self, session: Session) -> Iterator[Exchange]:
        try:
            for exchange in self.store.exchanges(session.id, self._damage):
                yield sound(exchange)
        except IntegrityError as exc:
            self._damage(exc)

    def _damage(self, exc: IntegrityError) -> None:
        self.damaged.append(str(exc))

    def bodies(self) -> tuple[dict[str, Preview], int]:
        """Return what is shown of the bodies of the calls that are listed, and how much of each."""
        asked: dict[str, tuple[Response, Headers]] = {}
        for call in self.listed:
            sent, size = call.request.body_checksum, call.request.body_size
            if sent and size:
                one = Response(call.request.id, checksum=sent, size=size)
                asked.setdefault(sent, (one, call.request.headers))
            for one in call.responses:
                if one.checksum and one.size:
                    asked.setdefault(one.checksum, (one, one.headers))
        sizes = [one.size for one, _ in asked.values()]
        limit = fitting(sizes, self.limits.body, self.limits.bodies)
        shown: dict[str, Preview] = {}
        if limit <= 0:
            return shown, 0
        for number, (checksum, (one, headers)) in enumerate(asked.items(), 1):
            shown[checksum] = self._body(one, headers, limit)
            if not number % 64:
                self.progress("bodies", number, len(asked))
        self.progress("bodies", len(asked), len(asked))
        return shown, limit

    def _body(self, one: Response, headers: Headers, limit: int) -> Preview:
        try:
            with self.store.open(one) as file:
                beginning = _beginning(file.read, min(needed(limit), one.size))
        except (DataIOError, OSError) as exc:
            return Preview("text", "", False, f"can't be shown: {exc}")
        return preview(beginning, one.size, headers, limit)


def fitting(sizes: Iterable[int], most: int, budget: int) -> int:
    """Return to how many bytes each body is cut for all together to fit the budget.

    Short ones leave to long ones what they don't need.

    Args:
        most: bytes of one at most.
    """
    ordered = sorted(min(size, most) for size in sizes)
    for place, size in enumerate(ordered):
        others = len(ordered) - place
        if size * others > budget:
            return budget // others
        budget -= size
    return most


def _beginning(read: Callable[[int], bytes], size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _together(watched: Iterable[Iterable[Unseen]]) -> tuple[Unseen, ...]:
    """Return what several sessions saw go past them, the same once."""
    found = merged(chain.from_iterable(watched))
    return tuple(sorted(found, key=lambda one: (one.kind, one.name, one.caller)))
