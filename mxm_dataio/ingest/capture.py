"""What an adapter asks of a session: which call is this, what is to become of it, take it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..concurrency import mutex
from ..concurrency.reentry import is_interrupt
from ..concurrency.undisturbed import Undisturbed
from ..config import settings as config
from ..config.settings import Settings
from ..coverage import libraries
from ..errors import (
    BusyError,
    ConfigError,
    DataIOError,
    ReplayMissError,
    RuleError,
    StoreError,
    ViewError,
)
from ..fetcher import HTTPFetcher
from ..identity import Identity
from ..identity.view import Call
from ..interception import http_fetchers
from ..models import Exchange, Mode, Session, Status, Unseen
from ..process import wall_time
from ..redaction.rules import Redaction
from ..redaction.secrets import Secrets
from ..storage.backend import Backend, recording
from ..storage.entries import CapturedAttempt, CapturedCall
from ..storage.payloads.spool import Nowhere, Spool
from ..storage.unseen import Sightings
from ..utils import as_of_text, new_id, parse_instant, utc_now
from . import answering, misses
from .answering import Answer
from .calls import Calls
from .late import Late
from .opener import Opener
from .place import Place
from .problems import Problems
from .recorder import Recorder
from .request import Collector
from .sources import Sources, SourceState, matching_of

if TYPE_CHECKING:
    from ..coverage.watch import CoverageWatch
    from ..replay.policy import Decision
    from ..replay.turns import SharedTurns

# Words for modes in which nothing that was recorded is handed out.
_RECORDS = frozenset({"record", "all", "off"})


class Pending(Protocol):
    """A call whose body the program may still be reading."""

    def settle(self) -> None:
        """Record what there is."""

    def forget(self) -> None:
        """Leave the call to the parent, in a forked child."""


class Capture:
    """A session as adapters see it; opened and closed by :class:`.lifecycle.Lifecycle`.

    Args:
        source: the session's.
        settings: in force.
        place: where its calls are kept.
        opener: who opens it.
        redaction: for all sources, or by source; ``None`` switches it off.
        as_of: what the recorded data stand for; the newest that counts in replay.
        kind: label of its calls.
        hook: see calls of the whole process.
        answer: what a call is given in the place of a recorded answer.

    Attributes:
        sees_calls: by the hook, by what is mounted on it, or since it is asked itself.
        session: its row, once it is open.
        left_out: the calls that are neither recorded nor replayed.
        said_ended: it was said that it takes no calls any more.
        calls: what happened.
        end: ends it with its process, in a forked child; set by the life cycle.
    """

    def __init__(
        self,
        source: str,
        settings: Settings,
        place: Place,
        opener: Opener,
        *,
        redaction: Redaction | Mapping[str, Redaction | None] | None,
        as_of: str | date | datetime | None = None,
        kind: str = "",
        hook: bool = True,
        answer: Answer | None = None,
    ) -> None:
        if answer is not None and not callable(answer):
            raise ConfigError(
                f"answer={answer!r}: it is a function of the recorded exchange and the call that "
                "asks, which returns the exchange: answer=lambda exchange, call: exchange"
            )
        try:
            self.as_of = None if as_of is None else as_of_text(as_of)
        except ValueError as exc:
            raise ConfigError(str(exc)) from None
        self.source = source
        self.settings = settings
        self.place = place
        self.opener = opener
        self.kind = kind
        self.answer = answer
        self.hook = self.sees_calls = hook
        self.mode = config.mode_of(settings.mode)
        self.exhausted = settings.exhausted
        self.sources = Sources(
            source,
            settings.sources,
            redaction,
            matching=matching_of(settings, opener.face),
            replays=settings.mode not in _RECORDS,
        )
        self.is_open = self.suspended = False
        self.store: Backend | None = None
        self.session: Session | None = None
        self.watch: CoverageWatch | None = None
        self.left_out = Sightings(self.note_unseen)
        self.pid = os.getpid()
        self.pending: set[Pending] = set()
        self.problems = Problems(
            source,
            strict=settings.strict,
            clean=self.sources.own.secrets.text,
            warn=opener.warn,
            changed=opener.noted,
        )
        self.calls = Calls(lambda source: self.sources.named(source).secrets)
        self.late = Late(lambda source: self.sources.named(source).secrets)
        self.turns: SharedTurns | None = None
        self.end: Callable[[], None] = lambda: None
        self.said_ended = False

    @property
    def is_off(self) -> bool:
        """Say whether it lets all calls pass."""
        return self.mode is Mode.OFF

    @property
    def id(self) -> str:
        """The session's id, once it is open."""
        if self.session is None:
            raise ConfigError("the session has no id before it is open")
        return self.session.id

    # -- its row, in each process -------------------------------------------------------------

    def begin(self, parent: Session | None) -> None:
        """Begin the session of this process, in its store if it has one."""
        self.pid = os.getpid()
        session_id = new_id()
        row = Session(
            id=session_id,
            root_id=parent.root_id if parent else session_id,
            parent_id=parent.id if parent else None,
            source=self.source,
            kind=self.kind,
            mode=self.mode,
            as_of=parent.as_of if parent else (self.as_of or utc_now()[:10]),
            status=Status.RUNNING,
            started_at=utc_now(),
            pid=self.pid,
            warnings=self.warnings(),
        )
        self.session = self.opener.row(row, parent)
        self.sources.equip(self._equip)
        store = recording(self.store)
        if store is None:
            return
        store.amend = self.late
        try:
            if self.opener.keeps_row:
                store.begin(self.session)
        except StoreError as exc:
            self.problem(exc)

    def _equip(self, part: SourceState) -> None:
        """Give a source's part its look-up and its recorder, as the mode needs them."""
        store, session = self.store, self.session
        if store is None or session is None:
            return
        if part.lookup is None and self.mode in (Mode.REPLAY, Mode.AUTO):
            part.lookup = self.place.lookup(self, store, part.source)
            self.calls.lookups.append(part.lookup)
            if self.turns is not None:
                part.lookup.share(self.turns)
        part.users = part.users_of(str(store.root), session)
        taking = recording(store)
        if taking is not None:
            part.recorder = Recorder(
                taking, session, part.secrets, self.settings.spool_limit, source=part.source
            )

    def close_store(self) -> None:
        """Let go of the store."""
        store, self.store = self.store, None
        if store is not None:
            store.close()

    # -- other processes ----------------------------------------------------------------------

    def own(self) -> bool:
        """Say whether the session was begun by this process, not by one that forked it."""
        return os.getpid() == self.pid

    def adopt(self) -> None:
        """Begin a session of this process's own, in a forked child that has none yet."""
        if self.own():
            return
        with Undisturbed(), mutex.lock:
            if self.own():
                return
            # What went wrong before the fork did so in the parent.
            self.problems.begin_anew()
            self.begin(self.session)
            if self.watch is not None:
                self.watch.begun()
        self.opener.adopted(self.end)

    def share_turns(self, path: Path | None = None) -> None:
        """Have other processes of this replay, forked children at least, serve calls in turns.

        Raises:
            OSError, StoreError: what is shared can't be made or read.
        """
        if self.mode is not Mode.REPLAY or self.turns is not None:
            return
        from ..replay.turns import SharedTurns  # where several processes replay

        self.turns = SharedTurns(path)
        for part in self.sources:
            if part.lookup is not None:
                part.lookup.share(self.turns)

    def before_fork(self) -> None:
        """Have forked children of this replay serve calls in turns with it."""
        try:
            self.share_turns()
        except (OSError, StoreError) as exc:
            self.incomplete(f"each process was served answers from the first on: {exc}")

    def after_fork(self) -> None:
        """In the child, make fresh locks, and leave the calls under way to the parent."""
        self.sources.renew()
        self.calls.begin_anew()
        if self.turns is not None:
            self.turns.renew()
        self.left_out.renew()
        if self.watch is not None:
            self.watch.forked()
        for call in self.pending:
            call.forget()
        self.pending.clear()

    # -- deciding -----------------------------------------------------------------------------

    def identify(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | mmap | None = None,
        params: Iterable[tuple[str, str]] = (),
    ) -> Identity:
        """Return a call's identity under its source's redaction, view and ``ignore_params``.

        Raises:
            ViewError: the view raised, in a test or when ``strict``.
        """
        part = self.sources.of(url)
        try:
            return part.identify(method, url, headers, body, params)
        except ViewError as exc:
            self.problems.problem(exc, stacklevel=4, raises=not self.place.in_root)
            return part.identify(method, url, headers, body, params, plainly=True)

    def secrets_for(self, url: str) -> Secrets:
        """Return what is known to be secret, as it goes for the source of a call."""
        return self.sources.of(url).secrets

    def holds(self, method: str, url: str) -> bool:
        """Say whether a call with a body may be answered, by where it goes alone."""
        part = self.sources.of(url)
        if part.lookup is None or not self.place.reuses(method, url):
            return False
        try:
            return part.lookup.knows(self.identify(method, url).endpoint)
        except StoreError:
            return False

    def decide(self, identity: Identity, *, conditional: bool = False) -> Decision:
        """Return what to do with a call; see :func:`mxm_dataio.replay.policy.decide`.

        Raises:
            LeftOutError: replay may not reach the host of a call that is left out.
        """
        if identity.left_out:
            return misses.pass_by(self, identity)
        stored = confirmed = None
        lookup = self.sources.named(identity.source).lookup
        try:
            if lookup is not None:
                stored, confirmed = lookup.find(identity)
        except StoreError as exc:
            # What can't be looked up now is fetched.
            if self.is_open and not (self.mode is Mode.AUTO and isinstance(exc, BusyError)):
                raise
        if not self.is_open:
            return self.opener.ended(self.mode)
        age = 0.0
        if self.mode is Mode.AUTO and confirmed is not None:
            # Elsewhere nothing grows stale.
            age = wall_time() - parse_instant(confirmed.request.started_at)
        return self.place.decide(self, stored, age, conditional)

    # -- recording ----------------------------------------------------------------------------

    def track(self, call: Pending) -> bool:
        """Hold a call until it is settled; say whether the session still takes it."""
        self.pending.add(call)
        if self.is_open:
            return True
        self.pending.discard(call)
        return False

    def untrack(self, call: Pending) -> None:
        """Let go of a call."""
        self.pending.discard(call)

    def spool(self) -> Spool:
        """Return a spool for a body; without a store, one that keeps nothing."""
        if self.store is None:
            return Nowhere()
        return self.store.spool(self.settings.spool_limit)

    def record(
        self,
        call: CapturedCall,
        identity: Identity,
        attempts: Sequence[tuple[CapturedAttempt, Spool | None]],
        *,
        body: bytes | Spool | None = None,
        into: Collector | None = None,
        stored: Exchange | None = None,
    ) -> None:
        """Redact and store a call. A failure warns and marks the session, unless ``strict``.

        Args:
            call: as the adapter saw it.
            identity: of the call, before redaction took anything away.
            attempts: in their order, each with its body's spool.
            body: the request's body as it was sent.
            into: the collector to be told.
            stored: the exchange that answered in the source's place.

        Raises:
            StoreError: when ``strict``.
        """
        if identity.left_out:
            misses.leave_out(self, identity)
            return
        if os.getpid() != self.pid:
            self.adopt()
        recorder = self.sources.named(identity.source).recorder
        if recorder is None:
            # A session that is over has taken what it takes.
            if self.is_open:
                self.calls.recorded(call, identity.source, attempts, stored, None)
                self._lost(call, "the store could not be opened")
            return
        document = None
        try:
            unread, document = recorder.record(
                call,
                identity,
                attempts,
                body=body,
                kind=into.kind if into else "",
                stored=stored,
            )
            if into is not None:
                store = self.store
                into.last = (
                    into.given or stored or (store.exchange(call.id) if store is not None else None)
                )
        except Exception as exc:
            if is_interrupt(exc):
                raise
            if isinstance(exc, DataIOError) and not isinstance(exc, RuleError):
                self.problem(exc)
            else:
                self._lost(call, exc if isinstance(exc, RuleError) else repr(exc))
        else:
            if unread is not None:
                self.problem(StoreError(unread))
        finally:
            if document == "":
                misses.leave_out(self, identity)
            else:
                self.calls.recorded(call, identity.source, attempts, stored, document)

    def served(
        self,
        stored: Exchange,
        url: str,
        call: Callable[[], CapturedCall],
        identity: Identity,
        into: Collector | None,
        asked: Callable[[], Call],
    ) -> Exchange:
        """Note that a call was answered from the store; return what it is given.

        A session that records notes it as a call of its own, so that it replays whole.

        Args:
            url: as it was asked.
            call: makes what is to be noted.
            asked: makes what is asked for.

        Raises:
            Exception: as ``answer`` raised.
        """
        if self.mode is Mode.AUTO:
            self.record(call(), identity, (), stored=stored)
        else:
            self.calls.played(identity.source, identity.method, url, stored)
        given = self.given(stored, asked)
        if into is not None:
            store = self.store
            into.last = store.placed(stored) if store is not None and given is stored else given
        return given

    def given(self, stored: Exchange, asked: Callable[[], Call]) -> Exchange:
        """Return what a call is given that a recorded one answers; see :mod:`.answering`."""
        return answering.given(self, stored, asked)

    def _lost(self, call: CapturedCall, why: object) -> None:
        self.lost(f"{call.method} {self.secrets_for(call.url).shown(call.url)}", why)

    def lost(self, shown: str, why: object) -> None:
        """Mark the session incomplete by a call: warn, or raise when ``strict``.

        Args:
            shown: the call in words.
            why: it was not recorded; a rule that raised, which fails a test.
        """
        raises = isinstance(why, RuleError) and not self.place.in_root
        error = StoreError(f"{shown} was not recorded: {why}")
        self.problems.problem(error, stacklevel=3, raises=raises)

    def http_fetcher(self) -> HTTPFetcher:
        """Return a new fetcher whose calls this session captures."""
        return http_fetchers[-1](self)

    # -- what went wrong ----------------------------------------------------------------------

    def problem(self, exc: BaseException) -> None:
        """Mark the session incomplete and warn, or raise when ``strict``."""
        self.problems.problem(exc, stacklevel=3)

    def incomplete(self, text: str) -> bool:
        """Mark the session incomplete, without a word now; say whether this is the first reason."""
        return self.problems.add(text)

    def missed(self, error: ReplayMissError) -> None:
        """Note a miss, so that it can't be swallowed."""
        self.opener.missing()
        self.problems.missed(error)

    def warnings(self, unseen: tuple[Unseen, ...] = (), exposed: str = "") -> tuple[str, ...]:
        """Return what was not recorded, and what could not have been.

        Args:
            unseen: what its watch has found.
            exposed: what was stored before it was known to be secret, in words.
        """
        said = ""
        if self.watch is not None:
            said = libraries.unseen_warning(unseen)
        elif self.hook and self.mode is not Mode.OFF:
            # Without the hook a session claims nothing but what is mounted.
            said = libraries.warning(stdlib=self.settings.stdlib)
        return (*self.problems.problems, *(text for text in (said, exposed) if text))

    def note_unseen(self, line: bytes) -> None:
        """Keep a line of coverage, even if the process is killed."""
        store = recording(self.store)
        if store is not None:
            store.note_unseen(self.id, line)
