"""``IngestSession``: what is recorded and replayed while it is open, and which one is active."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Token
from dataclasses import replace
from datetime import date, datetime, timedelta
from mmap import mmap
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from . import config
from .concurrency import mutex
from .concurrency.reentry import is_interrupt
from .concurrency.undisturbed import Undisturbed
from .coverage import audit, libraries
from .errors import (
    BusyError,
    ConfigError,
    DataIOError,
    DataIOWarning,
    IntegrityError,
    NearMiss,
    ReplayMissError,
    RuleError,
    StoreError,
)
from .fetcher import HTTPFetcher
from .http.params import plain
from .identity import Identity
from .ingest.active import Stack
from .ingest.late import Late
from .ingest.problems import Problems
from .ingest.recorder import Recorder
from .ingest.request import Collector, Requester
from .ingest.sources import Sources, SourceState
from .interception import STDLIB, http_fetchers, interceptors, modules
from .models import (
    Compression,
    Durability,
    Exchange,
    Exhausted,
    Mode,
    Request,
    Response,
    Session,
    Status,
    Unseen,
)
from .redaction import rules as redacting
from .redaction.rules import Redaction
from .redaction.secrets import Secrets
from .replay.lookup import Lookup
from .replay.misses import doubtful, miss_error
from .replay.policy import Decision, Pass, decide
from .replay.turns import SharedTurns
from .storage import unseen as unseen_
from .storage.backend import Backend
from .storage.entries import CapturedAttempt, CapturedCall
from .storage.payloads.spool import Nowhere, Spool
from .store import Store
from .utils import as_of_text, new_id, utc_now

if TYPE_CHECKING:
    from .coverage.watch import CoverageWatch
    from .interception import Interceptor


class Pending(Protocol):
    """A call whose body the program may still be reading."""

    def settle(self) -> None:
        """Record what there is."""

    def forget(self) -> None:
        """Leave the call to the parent, in a forked child."""


_SHARED_SECONDS = 1.0
# Calls looked through at the end for what was known too late, and how many are named.
_LOOKED_BACK, _NAMED = 500, 10
# Words for modes in which nothing that was recorded is handed out.
_RECORDS = frozenset({"record", "all", "off"})


def _undecided(open_ones: Sequence[IngestSession]) -> ConfigError:
    """Return the error of a call that can't be told to be one session's, and note it in each."""
    names = ", ".join(sorted({repr(one.source) for one in open_ones}))
    error = ConfigError(
        "sessions are, or were, open in several threads or tasks at once, and a call was refused "
        f"that may belong to any of them (open: {names}): its thread does not say which. Have the "
        "thread run in a copy of the context in which its session was opened: "
        "pool.submit(contextvars.copy_context().run, function); or mount(session, ingest)"
    )
    for one in open_ones:
        one.undecided(error)
    return error


sessions: Stack[IngestSession] = Stack("mxm_dataio_session", _undecided)
active = sessions.active


class IngestSession:
    """Records or replays every call made while it is open.

    Use as a context manager. Calls of ``requests`` and ``urllib3`` in any thread are seen
    through the hook, those of a mounted ``requests.Session`` through its adapter, and
    :meth:`request` works for every source with a fetcher.

    Args:
        source: name of the data source; recordings of one source replay that source.
        root: folder of the store; made when recording.
        mode: ``record``, ``replay``, ``auto``, ``off``, or VCR's ``all``, ``none``,
            ``new_episodes``, ``once``.
        as_of: date or instant the data stand for: text, ``date`` or ``datetime``. Recording:
            today (UTC) if not given. Replay and auto: only sessions not after it count.
        session: id of the one recorded session to replay.
        ttl: seconds (or a ``timedelta``) for which ``auto`` takes an answer as fresh.
        exhausted: ``repeat`` (the last answer again) or ``error``, when replay is asked more
            often than was recorded.
        redaction: what never reaches disk, or a mapping that has it by source (the default for
            those it does not name); ``None`` switches it off, with a warning.
        strict: a failure to store raises :class:`StoreError` instead of a warning.
        ignore_params: names of query, form and JSON fields (at any depth) that do not count.
        spool_limit: bytes of a body held in memory before a temporary file takes it.
        compression: ``none`` or ``zstd``, for payloads that get smaller by it.
        durability: ``process``, a call survives the process once its body has been read, or
            ``power``, it survives a power cut too (threads share a sync). A session that has
            ended survives one in either case.
        max_body: bytes of an answer's body that are kept; the program gets all of it.
        stdlib: capture ``http.client`` and ``urllib.request`` too.
        watch: list connections and processes that no captured call accounts for, and refuse such
            connections in replay.
        allowed_hosts: hosts to which replay lets such connections pass (``loopback``, ``unix``).
        sources: host pattern → source of the calls to such hosts, this session's for all others.
        kind: label for the session's calls.
        hook: see calls of the whole process; off, only mounted sessions and :meth:`request`.

    Raises:
        ConfigError: an unknown mode or setting, on construction.
    """

    # It leaves calls to any other session, even one on another root.
    _steps_back = False
    # Calls are kept in the root, and those of all sessions with the hook in one.
    in_root = True
    # Settings that hold where nothing else is said.
    _defaults: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        source: str,
        root: str | os.PathLike[str] | None = None,
        mode: str | None = None,
        as_of: str | date | datetime | None = None,
        *,
        session: str | None = None,
        ttl: float | timedelta | None = None,
        exhausted: str | None = None,
        redaction: Redaction | Mapping[str, Redaction | None] | None = redacting.DEFAULT,
        strict: bool | None = None,
        ignore_params: Iterable[str] | None = None,
        spool_limit: int | None = None,
        compression: str | None = None,
        durability: str | None = None,
        max_body: int | None = None,
        stdlib: bool | None = None,
        watch: bool | None = None,
        allowed_hosts: Iterable[str] | None = None,
        sources: Mapping[str, str] | None = None,
        kind: str = "",
        hook: bool = True,
    ) -> None:
        if not isinstance(source, str) or not source:
            raise ConfigError("source is a name: IngestSession(source='yahoo', …)")
        self.settings = config.load(
            {
                "root": root,
                "mode": mode,
                "ttl": ttl,
                "exhausted": exhausted,
                "strict": strict,
                "ignore_params": ignore_params,
                "spool_limit": spool_limit,
                "compression": compression,
                "durability": durability,
                "max_body": max_body,
                "stdlib": stdlib,
                "watch": watch,
                "allowed_hosts": allowed_hosts,
                "sources": sources,
            },
            defaults=self._defaults,
        )
        self.source = source
        self.kind = str(kind)
        try:
            self._as_of = None if as_of is None else as_of_text(as_of)
        except ValueError as exc:
            raise ConfigError(str(exc)) from None
        # As the program's author wrote it, for messages.
        self._named_root = self.settings.root
        self.mode = config.mode_of(self.settings.mode)
        self._sources = Sources(
            source,
            self.settings.sources,
            redaction,
            ignore=self.settings.ignore_params,
            replays=self.settings.mode not in _RECORDS,
        )
        self.redaction = self._sources.own.redaction
        self.secrets = self._sources.own.secrets
        for name in self._sources.bare:
            warnings.warn(
                f"redaction is off for source {name!r}: credentials will be stored as they are",
                DataIOWarning,
                stacklevel=2,
            )
        self.strict = self.settings.strict
        self.exhausted = Exhausted(self.settings.exhausted)
        self.is_open = False
        self.suspended = False
        # By the hook, by what is mounted on it, or since it is asked itself.
        self.sees_calls = hook
        self._tried = self._told = False
        self.store: Backend | None = None
        self.session: Session | None = None
        self._session_id = session
        self._parent: Session | None = None
        self._hook = hook
        self._pid = os.getpid()
        self._pending: set[Pending] = set()
        self._watch: CoverageWatch | None = None
        self._problems = Problems(
            source,
            strict=self.strict,
            clean=self.secrets.text,
            warn=self._warn,
            changed=self._problem_noted,
        )
        self._installed: list[Interceptor] = []
        self._served: SharedTurns | None = None
        self._token: Token[IngestSession | None] | None = None
        self._requester = Requester(self)
        self._late = Late(lambda source: self._sources.named(source).secrets)
        self._exposed = ""

    # -- life --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(exc)

    def open(self) -> Self:
        """Open the store, write the session's row, and become active.

        Raises:
            ConfigError: open already, or another root is being recorded in this process, or
                payloads are to be compressed and the library for that is not installed.
            StoreError: the store can't be used (a root that is not writable only warns, unless
                ``strict``).
        """
        self._tried = True
        if self.session is not None:
            raise ConfigError("a session is opened once; make a new IngestSession")
        # The program may change its folder later.
        self.settings = replace(self.settings, root=self.settings.root.absolute())
        with mutex.lock:
            self._refuse_second_root()
            self._open_store()
            made = self._interceptors()
            self._watch = self._watching()
            self._pid = os.getpid()
            self._begin(self._parent)
            self.is_open = True
            sessions.opened(self)
            self._take_place()
        self._install(made)
        if self._watch is not None:
            self._watch.start()
        return self

    def suspend(self) -> None:
        """Capture nothing until :meth:`resume`, and let all calls pass; the session stays open."""
        if self.suspended or not self.is_open:
            return
        self.suspended = True
        self._leave_place()

    def resume(self) -> None:
        """Capture again, after :meth:`suspend`, in this context and where no other session does."""
        if not self.suspended or not self.is_open:
            return
        with mutex.lock:
            self._refuse_second_root()
            self.suspended = False
            self._take_place()
        for interceptor in self._installed:
            interceptor.install()
        if self._watch is not None:
            self._watch.start()

    def _leave_place(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        sessions.remove(self)
        for interceptor in self._installed:
            interceptor.uninstall()
        token, self._token = self._token, None
        sessions.restore(self, token)

    @property
    def is_off(self) -> bool:
        """Say whether it lets all calls pass."""
        return self.mode is Mode.OFF

    def undecided(self, error: ConfigError) -> None:
        """Note that a call was refused that may have been one of this session's."""
        if self.mode is Mode.REPLAY:
            self.missed(ReplayMissError(str(error)))
        elif self.mode is not Mode.OFF:
            self._problems.problem(error, stacklevel=4)

    def _take_place(self) -> None:
        """Be the one that captures, here and where nothing else does."""
        if self._hook:
            self._token = sessions.push(self)

    def _install(self, made: Iterable[Interceptor]) -> None:
        for interceptor in made:
            interceptor.install()
            self._installed.append(interceptor)

    def _makers(self) -> Iterable[Callable[[], Interceptor | None]]:
        """Return what makes the interceptors that this session needs."""
        wanted = interceptors if self._hook else ()
        return [make for make in wanted if modules[make] != STDLIB or self.settings.stdlib]

    def _make_lookup(self, store: Backend, source: str) -> Lookup:
        """Return what finds the answers of a source's calls."""
        return Lookup(
            store,
            source,
            as_of=self._as_of,
            root_id=self._session_id,
            exhausted=self.exhausted,
            latest=self.mode is Mode.AUTO,
        )

    def _interceptors(self) -> list[Interceptor]:
        """Return what sees the process's calls, as far as it can see them."""
        made = []
        for make in self._makers():
            try:
                interceptor = make()
            except ConfigError as exc:
                self._begin_blind(exc)
            else:
                if interceptor is not None:
                    made.append(interceptor)
        return made

    def _watching(self) -> CoverageWatch | None:
        """Return what sees connections that go past, if it is asked for and there is a way."""
        if not self.settings.watch or self.mode is Mode.OFF:
            return None
        try:
            audit.prepare()
        except ConfigError as exc:
            self._begin_blind(exc)
            return None
        from .coverage.watch import CoverageWatch  # few sessions watch

        return CoverageWatch(self, self.settings.allowed_hosts, refuse=self.mode is Mode.REPLAY)

    def _begin_blind(self, exc: ConfigError) -> None:
        """Note as the session opens that something can't be seen, or don't open it."""
        try:
            self.blind(str(exc))
        except DataIOError:
            self._close_store()
            raise

    def blind(self, why: str) -> None:
        """Note that calls can't be captured here.

        Raises:
            ConfigError: in replay, where such calls would reach the network, or when ``strict``.
        """
        if self.mode is Mode.REPLAY:
            raise ConfigError(why)
        if self.mode is not Mode.OFF and why not in self._problems.problems:
            self.problem(ConfigError(why))

    def _refuse_second_root(self) -> None:
        root = self.settings.root
        for other in sessions if self._hook and self.in_root else ():
            elsewhere = other.in_root and other.settings.root != root
            if elsewhere and not other._steps_back:
                raise ConfigError(
                    f"a session on {other.settings.root} is active in this process; the hook "
                    f"can't record to {self.settings.root} as well: close that one, use one "
                    "root, or pass hook=False and mount() what this session is to capture"
                )

    def _open_store(self) -> None:
        root = self.settings.root
        if self.mode is Mode.OFF:
            return
        if self.settings.mode == config.ONCE:
            self.mode = config.mode_of(config.ONCE, recorded=_has_recording(root, self.source))
        if self.mode is Mode.REPLAY:
            self.store = Store(root, readonly=True)
            self._check_session()
            return
        try:
            # Others that share this root as a cache are to find what is new in it.
            self.store = Store(
                root,
                delay=_SHARED_SECONDS if self.mode is Mode.AUTO else None,
                compression=Compression(self.settings.compression),
                durability=Durability(self.settings.durability),
            )
        except IntegrityError:
            raise
        except StoreError as exc:
            self.problem(exc)
        self._check_session()

    def _check_session(self) -> None:
        if self._session_id is None or self.store is None:
            return
        stored = self.store.session(self._session_id)
        if stored is None:
            self._close_store()
            raise ConfigError(f"no session {self._session_id} under {self.settings.root}")
        if stored.pruned_at is not None:
            self._close_store()
            raise ConfigError(f"session {stored.id} was pruned on {stored.pruned_at}")
        if stored.source != self.source:
            self._close_store()
            raise ConfigError(
                f"session {stored.id} recorded the source {stored.source!r}, not {self.source!r}"
            )
        self._session_id = stored.root_id

    def _close_store(self) -> None:
        store, self.store = self.store, None
        if store is not None:
            store.close()

    def _begin(self, parent: Session | None) -> None:
        self.session = self._new_session(parent)
        self._sources.equip(self._equip)
        if self.store is not None and not self.store.readonly:
            self.store.amend = self._late
            try:
                self._begin_row(self.store, self.session)
            except StoreError as exc:
                self.problem(exc)

    def _new_session(self, parent: Session | None) -> Session:
        """Return the session that begins in this process."""
        session_id = new_id()
        today = utc_now()[:10]
        return Session(
            id=session_id,
            root_id=parent.root_id if parent else session_id,
            parent_id=parent.id if parent else None,
            source=self.source,
            kind=self.kind,
            mode=self.mode,
            as_of=parent.as_of if parent else (self._as_of or today),
            status=Status.RUNNING,
            started_at=utc_now(),
            pid=os.getpid(),
            warnings=self._warnings(),
        )

    def _begin_row(self, store: Backend, session: Session) -> None:
        store.begin(session)

    def _end_row(self, store: Backend, session: Session, settled: bool) -> None:
        store.end(session, settled=settled)

    def _equip(self, part: SourceState) -> None:
        """Give a source's part its look-up and its recorder, as the mode needs them."""
        store, session = self.store, self.session
        if store is None or session is None:
            return
        if part.lookup is None and self.mode in (Mode.REPLAY, Mode.AUTO):
            part.lookup = self._make_lookup(store, part.source)
            if self._served is not None:
                part.lookup.share(self._served)
        if not store.readonly:
            part.recorder = Recorder(
                store, session, part.secrets, self.settings.spool_limit, source=part.source
            )

    @property
    def id(self) -> str:
        """The session's id, once it is open."""
        if self.session is None:
            raise ConfigError("the session has no id before it is open")
        return self.session.id

    def close(self, exc: BaseException | None = None) -> None:
        """End the session: record what is half-read, sync, and report swallowed misses.

        Args:
            exc: the exception that is ending the ``with`` block, if any.

        Raises:
            ReplayMissError: a miss was met and the program caught it.
        """
        if not self.is_open:
            return
        if os.getpid() != self._pid:
            self._adopt()
        if self._watch is not None:
            self._watch.stop()
        sessions.remove(self)
        # From here on nothing pends any more.
        self.is_open = False
        for call in list(self._pending):
            call.settle()
        for interceptor in () if self.suspended else self._installed:
            interceptor.uninstall()
        self._installed.clear()
        token, self._token = self._token, None
        sessions.restore(self, token)
        self._requester.close()
        self._end(exc)
        shared, self._served = self._served, None
        if shared is not None:
            shared.close()
        self._raise_misses(exc)
        if exc is None:
            self._say_unseeing()
            self._problems.say(stacklevel=3)

    def _say_unseeing(self) -> None:
        """Say that the session could see no call, or raise in replay, where they were live."""
        if self.sees_calls or self.mode is Mode.OFF:
            return
        text = (
            f"session {self.source!r} has hook=False, and nothing is mounted on it: no call was "
            "seen; write mount(session, ingest) for each requests.Session, or leave out hook=False"
        )
        if self.mode is Mode.REPLAY:
            raise ConfigError(text)
        self._warn(DataIOWarning(text), 4)

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # The default is there when the modules are gone.
        if not getattr(self, "_tried", True):
            _warn(
                f"a session of {self.source!r} was never opened, and saw no call: write "
                "with IngestSession(…) as ingest: …",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def not_open(self, method: str, url: str) -> None:
        """Take a call of what is mounted on the session, which is not open.

        Raises:
            ConfigError: it never was.
            ReplayMissError: it has ended, and replayed: the call would reach the network.
        """
        url = self.secrets_for(url).url(url)
        mounted = f"{method} {url}: the session {self.source!r} that this is mounted on"
        if self.session is None:
            raise ConfigError(
                f"{mounted} was never opened; call within with IngestSession(…) as ingest: …"
            )
        advice = "call before its end, or undo the mount: with mount(session, ingest): …"
        if self.mode is Mode.REPLAY:
            raise ReplayMissError(
                f"{mounted} has ended, and what it replays is offline; {advice}",
                method=method,
                url=url,
            )
        if self.mode is not Mode.OFF and not self._told:
            self._told = True
            # Where warnings are errors too, the program's call is to go through.
            with contextlib.suppress(DataIOWarning):
                text = f"{mounted} has ended, so that no call is recorded from here on; {advice}"
                self._warn(DataIOWarning(text), 4)

    def _end(self, raised: BaseException | None) -> None:
        if self.session is None:
            return
        store = self.store if self._sources.own.recorder is not None else None
        if raised is None:
            self._doubt()
        self._sources.strip()
        sessions.ended(self)
        settled = False
        try:
            if store is not None:
                try:
                    store.settle()
                    self._exposed = self._left_bare(store)
                finally:
                    for text in store.lost():
                        self.problem(StoreError(text))
            settled = True
        except BusyError:
            # All that waits has its place behind it in the journal; the end will say so.
            settled = True
        except (StoreError, OSError) as exc:
            self.problem(exc)
        finally:
            unseen = self._unseen()
            self.session = replace(
                self.session,
                status=self._ended(raised),
                ended_at=utc_now(),
                warnings=self._warnings(unseen),
                coverage=unseen,
            )
            if self.mode is Mode.REPLAY:
                self._problems.unsaid = (
                    libraries.replay_warning(unseen or ()) or self._problems.unsaid
                )
            self._end_store(store, settled)

    def _doubt(self) -> None:
        """Count as misses the calls whose value for a secret has not turned out as one."""
        for part in self._sources:
            if part.lookup is not None:
                for request in part.lookup.unproved(part.secrets.knows):
                    self.missed(doubtful(request))

    def _left_bare(self, store: Backend) -> str:
        """Return what to say of calls that hold what was known too late to be masked in them."""
        early = self._late.early(max(part.secrets.learned for part in self._sources))
        calls = store.first(self.id, min(early, _LOOKED_BACK))
        found = [self._late.exposed(call, store.payload) for call in calls]
        held = [one for one in found if one] + [path.name for path in store.bare]
        if not held:
            return ""
        text = (
            "what became known as a secret later stands in what was stored before: "
            f"{', '.join(held[:_NAMED])}{', …' if len(held) > _NAMED else ''}; to be rid of it: "
            f"mxm-dataio prune --session {self.id}"
        )
        self._problems.unsaid = self._problems.unsaid or DataIOWarning(text)
        return text

    def _ended(self, raised: BaseException | None) -> Status:
        if self._problems.problems:
            return Status.INCOMPLETE
        if self.misses or (raised is not None and not isinstance(raised, SystemExit)):
            return Status.FAILED
        return Status.COMPLETE

    def _end_store(self, store: Backend | None, settled: bool) -> None:
        try:
            if store is not None and self.session is not None:
                self._end_row(store, self.session, settled)
        except (StoreError, OSError) as exc:
            if self.session is not None:
                self.session = replace(
                    self.session,
                    status=Status.INCOMPLETE,
                    warnings=(*self.session.warnings, str(exc)),
                )
            self.problem(exc)
        finally:
            # What could not be moved has been told of, and waits.
            with contextlib.suppress(StoreError):
                self._close_store()

    def _warnings(self, unseen: tuple[Unseen, ...] | None = None) -> tuple[str, ...]:
        """Return what was not recorded, and what could not have been."""
        said = ""
        if self._watch is not None:
            said = libraries.unseen_warning(unseen or ())
        elif self._hook and self.mode is not Mode.OFF:
            # Without the hook a session claims nothing but what is mounted.
            said = libraries.warning(stdlib=self.settings.stdlib)
        return (*self._problems.problems, *(text for text in (said, self._exposed) if text))

    def _unseen(self) -> tuple[Unseen, ...] | None:
        """Return what went past the session, ``None`` if nobody watched."""
        if self._watch is None:
            return None
        noted_unseen: tuple[Unseen, ...] | None = None
        if self.store is not None and not self.store.readonly:
            # By children that were forked to become another program.
            noted_unseen = self.store.noted_unseen(self.id, but=os.getpid())
        return unseen_.merged([*self._watch.found(), *(noted_unseen or ())])

    def outside(
        self,
        method: str,
        url: str,
        *,
        past: str = "urllib3's pools",
        instead: str = "make it through a pool or requests, and leave urlopen in place",
    ) -> None:
        """Note a request that went past what is captured: on a connection without a pool.

        Args:
            past: what it went past.
            instead: what to do.

        Raises:
            ReplayMissError: in replay, where it would reach the network.
            StoreError: when ``strict``.
        """
        if self.mode is Mode.OFF:
            return
        shown = self.secrets_for(url).url(url)
        if self.mode is Mode.REPLAY:
            error = ReplayMissError(
                f"{method} {shown} goes past {past}, where calls are neither recorded nor "
                f"replayed: {instead}",
                method=method,
                url=shown,
            )
            self.missed(error)
            raise error
        self._problems.passed_by(
            f"coverage: {method} {shown} was not recorded: it went past {past}"
        )

    def _raise_misses(self, exc: BaseException | None) -> None:
        self._problems.raise_misses(exc)

    # -- what its watch tells ----------------------------------------------------------------

    def own(self) -> bool:
        """Say whether the session was begun by this process, not by one that forked it."""
        return os.getpid() == self._pid

    def adopt(self) -> None:
        """Begin a session of this process's own, in a forked child that has none yet."""
        if not self.own():
            self._adopt()

    def note_unseen(self, line: bytes) -> None:
        """Keep a line of coverage, even if the process is killed."""
        if self.store is not None and not self.store.readonly:
            self.store.note_unseen(self.id, line)

    def missed(self, error: ReplayMissError) -> None:
        """Note a miss, so that it can't be swallowed."""
        self._problems.missed(error)

    # -- other processes ---------------------------------------------------------------------

    def _share_served(self, path: Path | None = None) -> None:
        """Have other processes of this replay, forked children at least, serve calls in turns.

        Raises:
            OSError, StoreError: what is shared can't be made or read.
        """
        if self.mode is not Mode.REPLAY or self._served is not None:
            return
        self._served = SharedTurns(path)
        for part in self._sources:
            if part.lookup is not None:
                part.lookup.share(self._served)

    def _adopt(self) -> None:
        """Begin a session of this process's own, with the parent's as its parent."""
        with Undisturbed(), mutex.lock:
            if os.getpid() == self._pid:
                return
            parent = self.session
            self._pid = os.getpid()
            # What went wrong before the fork did so in the parent.
            self._problems.begin_anew()
            self._begin(parent)
            if self._watch is not None:
                self._watch.begun()
        self._end_with_process()

    def _end_with_process(self) -> None:
        """See to it that the session ends as this process does."""
        # A process of multiprocessing skips atexit and runs its own finalizers.
        if "multiprocessing.util" in sys.modules:
            sys.modules["multiprocessing.util"].Finalize(None, self.close, exitpriority=0)
        atexit.register(self.close)

    def before_fork(self) -> None:
        """Have forked children of this replay serve calls in turns with it."""
        try:
            self._share_served()
        except (OSError, StoreError) as exc:
            self.incomplete(f"each process was served answers from the first on: {exc}")

    def after_fork(self) -> None:
        """In the child, make fresh locks, and leave the calls under way to the parent."""
        self._sources.renew()
        if self._served is not None:
            self._served.renew()
        if self._watch is not None:
            self._watch.forked()
        for call in self._pending:
            call.forget()
        self._pending.clear()

    # -- deciding ----------------------------------------------------------------------------

    def identify(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | mmap | None = None,
        params: Iterable[tuple[str, str]] = (),
    ) -> Identity:
        """Return a call's identity under its source's redaction and ``ignore_params``."""
        return self._sources.of(url).identify(method, url, headers, body, params)

    def secrets_for(self, url: str) -> Secrets:
        """Return what is known to be secret, as it goes for the source of a call."""
        return self._sources.of(url).secrets

    def decide(self, identity: Identity, *, conditional: bool = False) -> Decision:
        """Return what to do with a call; see :func:`mxm_dataio.replay.policy.decide`."""
        stored, confirmed = None, 0.0
        lookup = self._sources.named(identity.source).lookup
        try:
            if lookup is not None:
                stored, confirmed = lookup.find(identity)
        except StoreError as exc:
            # What can't be looked up now is fetched.
            if self.is_open and not (self.mode is Mode.AUTO and isinstance(exc, BusyError)):
                raise
        if not self.is_open:
            # It ended a moment ago, in another thread.
            return Pass()
        return self._decided(stored, time.time() - confirmed, conditional)

    def _decided(self, stored: Exchange | None, age: float, conditional: bool) -> Decision:
        return decide(self.mode, stored, age=age, ttl=self.settings.ttl, conditional=conditional)

    def miss(self, identity: Identity, url: str) -> ReplayMissError:
        """Note a miss and return its error: what was asked, what is nearest, what to do."""
        part = self._sources.named(identity.source)
        near: tuple[NearMiss, ...] = ()
        lookup = part.lookup
        try:
            near = lookup.nearest(identity) if lookup is not None else ()
        except StoreError:
            if self.is_open:
                raise
        error = miss_error(
            identity.method,
            part.secrets.url(url),
            identity.params_hash(),
            self._where(part.source),
            near,
        )
        self.missed(error)
        return error

    def _where(self, source: str) -> str:
        """Return, in words, where replay looks for a source's calls."""
        where = f"source {source!r} under {self._named_root}"
        return f"session {self._session_id} ({where})" if self._session_id else where

    # -- recording ---------------------------------------------------------------------------

    def track(self, call: Pending) -> bool:
        """Hold a call until it is settled; say whether the session still takes it."""
        self._pending.add(call)
        if self.is_open:
            return True
        self._pending.discard(call)
        return False

    def untrack(self, call: Pending) -> None:
        """Let go of a call."""
        self._pending.discard(call)

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
        if os.getpid() != self._pid:
            self._adopt()
        recorder = self._sources.named(identity.source).recorder
        if recorder is None:
            # A session that is over has taken what it takes.
            if self.is_open:
                self._lost(call, "the store could not be opened")
            return
        try:
            unread = recorder.record(
                call,
                identity,
                attempts,
                body=body,
                kind=into.kind if into else "",
                stored=stored,
            )
            if into is not None:
                into.last = stored or self._stored(call.id)
        except Exception as exc:
            if is_interrupt(exc):
                raise
            if isinstance(exc, DataIOError) and not isinstance(exc, RuleError):
                self.problem(exc)
            else:
                self._lost(call, str(exc) if isinstance(exc, RuleError) else repr(exc))
        else:
            if unread is not None:
                self.problem(StoreError(unread))

    def _stored(self, request_id: str) -> Exchange | None:
        store = self.store
        return store.exchange(request_id) if store is not None else None

    def served(
        self,
        stored: Exchange,
        call: Callable[[], CapturedCall],
        identity: Identity,
        into: Collector | None,
    ) -> None:
        """Note that a call was answered from the store.

        A session that records notes it as a call of its own, so that it replays whole.

        Args:
            call: makes what is to be noted.
        """
        if into is not None:
            store = self.store
            into.last = store.placed(stored) if store is not None else stored
        if self.mode is Mode.AUTO:
            self.record(call(), identity, (), stored=stored)

    def _lost(self, call: CapturedCall, why: str) -> None:
        shown = f"{call.method} {self.secrets_for(call.url).shown(call.url)}"
        self.problem(StoreError(f"{shown} was not recorded: {why}"))

    def problem(self, exc: BaseException) -> None:
        """Mark the session incomplete and warn, or raise when ``strict``."""
        self._problems.problem(exc, stacklevel=3)

    def incomplete(self, text: str) -> bool:
        """Mark the session incomplete, without a word now; say whether this is the first reason."""
        return self._problems.add(text)

    @property
    def misses(self) -> list[ReplayMissError]:
        """The calls that replay did not find."""
        return self._problems.misses

    def _problem_noted(self) -> None:
        """Know that there is a problem or a miss more."""

    def _warn(self, warning: DataIOWarning, stacklevel: int) -> None:
        warnings.warn(warning, stacklevel=stacklevel)

    # -- request -----------------------------------------------------------------------------

    def request(
        self,
        endpoint: str,
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        *,
        kind: str = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        json: Any = None,
        timeout: float | tuple[float, float] | None = None,
    ) -> Response:
        """Make a call of this source, or replay it, and return its stored answer.

        Goes to the fetcher registered for the source, else over HTTP, where redirects are
        followed and the last answer is returned, whatever its status.

        Args:
            endpoint: the URL, or what the source's fetcher takes for one.
            params: parameters; a list stands for repeats, ``None`` leaves one out.
            kind: label of the call, ``daily_bars``.
            method, headers, data, json, timeout: for HTTP, as ``requests`` takes them.

        Raises:
            FetchError: the source failed, now or when it was recorded.
            ReplayMissError: replay holds no such call.
            ConfigError: the session is not open.
        """
        if not self.is_open:
            raise ConfigError("the session is not open: with IngestSession(…) as ingest: …")
        self.sees_calls = True
        asked = Request(
            id=new_id(),
            session_id="",
            source=self._sources.of(endpoint).source,
            endpoint=endpoint,
            method=method.upper(),
            params=plain(params),
            kind=str(kind or self.kind),
            as_of=self.session.as_of if self.session else "",
        )
        return self._requester.request(asked, data, json, headers, timeout)

    def content(self, response: Response) -> bytes:
        """Return the bytes of an answer of :meth:`request`, its content coding undone.

        Raises:
            IntegrityError: the stored payload is missing or damaged.
            StoreError: the body is not stored (``mode="off"``), or longer than ``max_body``, and
                not at hand any more: of such answers the last 64 are, up to 64 MiB.
        """
        return self._requester.content(response)

    def http_fetcher(self) -> HTTPFetcher:
        """Return a new fetcher whose calls this session captures."""
        return http_fetchers[-1](self)


# -- helpers ---------------------------------------------------------------------------------


def _has_recording(root: Path, source: str) -> bool:
    try:
        with Store(root, readonly=True) as store:
            return any(one.pruned_at is None for one in store.sessions(source))
    except IntegrityError:
        raise
    except StoreError:
        return False
