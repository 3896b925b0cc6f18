"""``IngestSession``: what is recorded and replayed while it is open."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, cast

from .config import settings as config
from .config.archive_urls import said
from .config.choices import Compression, Durability, Exhausted, ModeName
from .config.faces import PYTHON, Face
from .config.settings import Settings
from .errors import ConfigError, DataIOWarning, ReplayMissError
from .http.params import plain
from .identity.view import View
from .ingest.answering import Answer
from .ingest.calls import Calls
from .ingest.capture import Capture
from .ingest.lifecycle import Lifecycle
from .ingest.opener import Opener
from .ingest.place import Place, place_of
from .ingest.request import Requester
from .models import Mode, Request, Response, Session
from .redaction import rules as redacting
from .redaction.rules import Redaction
from .utils import new_id

Time = float | str | timedelta
_Init = TypeVar("_Init", bound=Callable[..., None])


def checked(init: _Init) -> _Init:
    """Have a class refuse the options that it does not have, and name the nearest that it has."""

    @functools.wraps(init)
    def made(self: object, *args: Any, **options: Any) -> None:
        known = options_of(type(self))  # type: ignore[arg-type] # a class is hashable
        for name in options:
            if name not in known:
                cls = type(self).__name__
                raise ConfigError(f"{cls} has no option {name!r}{config.nearest(name, known)}")
        init(self, *args, **options)

    return cast(_Init, made)


@functools.cache
def options_of(cls: type[object]) -> frozenset[str]:
    """Return the names of the options that a class of sessions takes, or one that opens such."""
    cls = getattr(cls, "_opens", cls)
    made = [one.__init__ for one in cls.__mro__ if one is not object]  # type: ignore[misc]
    names = [name for init in made for name in inspect.signature(init).parameters]
    return frozenset(names) - {"self", "options"}


class IngestSession:
    """Records or replays every call made while it is open.

    Use as a context manager. Calls of ``requests`` and ``urllib3`` in any thread are seen
    through the hook, those of a mounted ``requests.Session`` through its adapter, and
    :meth:`request` works for every source with a fetcher.

    Args:
        source: name of the data source; recordings of one source replay that source.
        root: folder of the store; made when recording. For replay also the URL of an archive
            (``s3://bucket/prefix``), of which sessions are fetched as calls ask for them.
        mode: ``record``, ``replay``, ``auto``, ``off``, or VCR's ``all``, ``none``,
            ``new_episodes``, ``once``.
        as_of: date or instant the data stand for: text, ``date`` or ``datetime``. Recording:
            today (UTC) if not given. Replay and auto: only sessions not after it count.
        session: id of the one recorded session to replay, or a part of it; ``latest`` is the
            source's newest, ``latest~1`` the one before it.
        ttl: seconds (or ``90s``, ``15m``, ``1h``, ``30d``, a ``timedelta``) for which ``auto``
            takes an answer as fresh; a mapping has it by patterns of URLs, the first that matches:
            ``{"*/live/*": 5, "*": "1h"}``.
        reuse: statuses of answers that ``auto`` may serve (``404``, ``"4xx"``), in place of those
            that caches keep and of redirects; and methods (``"POST"``) besides the safe ones. By
            patterns of URLs as ``ttl``.
        stale_if_error: in ``auto`` a stale answer serves, with a warning, where its source fails
            (500, 502, 503, 504, no answer); seconds: not if it is stale for longer.
        exhausted: ``repeat`` (the last answer again) or ``error``, when replay is asked more
            often than was recorded.
        redaction: what never reaches disk, or a mapping that has it by source (the default for
            those it does not name); ``None`` switches it off, with a warning.
        strict: a failure to store raises :class:`mxm_dataio.StoreError` instead of a warning.
        view: what calls are compared by: a function that is given each as a
            :class:`mxm_dataio.Call` and returns it, changed or not, or ``None`` to leave it out.
        ignore_params: what does not count: names of parameters, fields and members (``t``), places
            in JSON (``$.meta.ts``), ``header:X-Run``, ``xml:MessageID``, ``path:/receipts/*``.
        ignore_hosts: hosts whose calls are left out, neither recorded nor missed.
        match_host: off, host and port do not count.
        ignore_body_of: patterns of URLs of calls of which method and URL alone count.
        match_headers: names of headers that count besides ``Accept``, ``Range`` and those that
            answers vary on. What is secret never does.
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
        answer: what a call is given that a recorded one answers: a function of the recorded
            :class:`mxm_dataio.Exchange` and the :class:`mxm_dataio.Call` that asks, with all that
            it asks for; it returns the exchange, or a changed copy
            (``exchange.with_json(…)``). What was stored stays.

    Raises:
        ConfigError: an unknown mode, option or setting, on construction.
    """

    # Settings that hold where nothing else is said.
    _defaults: Mapping[str, Any] = MappingProxyType({})
    # In whose words messages say what to do.
    _face: Face = PYTHON

    @checked
    def __init__(
        self,
        source: str,
        root: str | os.PathLike[str] | None = None,
        mode: Mode | ModeName | None = None,
        as_of: str | date | datetime | None = None,
        *,
        session: str | None = None,
        ttl: Time | Mapping[str, Time | None] | None = None,
        reuse: Iterable[str | int] | Mapping[str, Iterable[str | int]] | None = None,
        stale_if_error: bool | Time | None = None,
        exhausted: Exhausted | None = None,
        redaction: Redaction | Mapping[str, Redaction | None] | None = redacting.DEFAULT,
        strict: bool | None = None,
        view: View | Mapping[str, View] | str | None = None,
        ignore_params: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        ignore_hosts: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        match_host: bool | Mapping[str, bool] | None = None,
        ignore_body_of: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        match_headers: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        spool_limit: int | None = None,
        compression: Compression | None = None,
        durability: Durability | None = None,
        max_body: int | None = None,
        stdlib: bool | None = None,
        watch: bool | None = None,
        allowed_hosts: Iterable[str] | None = None,
        sources: Mapping[str, str] | None = None,
        kind: str = "",
        hook: bool = True,
        answer: Answer | None = None,
    ) -> None:
        if not isinstance(source, str) or not source:
            raise ConfigError("source is a name: IngestSession(source='yahoo', …)")
        settings = config.load(
            {
                "root": root,
                "mode": mode,
                "ttl": ttl,
                "reuse": reuse,
                "stale_if_error": stale_if_error,
                "exhausted": exhausted,
                "strict": strict,
                "view": view,
                "ignore_params": ignore_params,
                "ignore_hosts": ignore_hosts,
                "match_host": match_host,
                "ignore_body_of": ignore_body_of,
                "match_headers": match_headers,
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
            face=self._face,
        )
        self._capture = Capture(
            source,
            settings,
            self._place(settings, session),
            Opener(self._face),
            redaction=redaction,
            as_of=as_of,
            kind=str(kind),
            hook=hook,
            answer=answer,
        )
        for name in self._capture.sources.bare:
            warnings.warn(
                f"redaction is off for source {name!r}: credentials will be stored as they are",
                DataIOWarning,
                stacklevel=3,
            )
        self._requester = Requester(self._capture)
        self._life = Lifecycle(self._capture, self._requester.close)

    def _place(self, settings: Settings, session: str | None) -> Place:
        """Return where the calls are kept."""
        return place_of(settings, session, self._face)

    # -- life --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._life.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._life.close(exc)

    def open(self) -> Self:
        """Open the store, write the session's row, and become active.

        Raises:
            ConfigError: open already, or another root is being recorded in this process, or
                payloads are to be compressed and the library for that is not installed.
            StoreError: the store can't be used (a root that is not writable only warns, unless
                ``strict``).
        """
        self._life.open()
        return self

    def close(self, exc: BaseException | None = None) -> None:
        """End the session: record what is half-read, sync, and report swallowed misses.

        Args:
            exc: the exception that is ending the ``with`` block, if any.

        Raises:
            ReplayMissError: a miss was met and the program caught it.
        """
        self._life.close(exc)

    def suspend(self) -> None:
        """Capture nothing until :meth:`resume`, and let all calls pass; the session stays open."""
        self._life.suspend()

    def resume(self) -> bool:
        """Capture again, in this context and where no other session does, if it is suspended."""
        return self._life.resume()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # The default is there when the modules are gone.
        life = getattr(self, "_life", None)
        if life is not None and not life.tried:
            _warn(
                f"a session of {self.source!r} was never opened, and saw no call: write "
                "with IngestSession(…) as ingest: …",
                DataIOWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        """Say in a line what it is, how far it is, and what became of its calls."""
        capture = self._capture
        state, mode = "not opened", capture.settings.mode
        if capture.session is not None:
            ended = "suspended" if capture.suspended else "open"
            state = ended if capture.is_open else capture.session.status.value
            mode = capture.mode.value
        return (
            f"<{type(self).__name__} source={self.source!r} mode={mode!r} {self._where()} "
            f"state={state!r} calls={self.calls.total} misses={len(self.misses)}>"
        )

    def _where(self) -> str:
        return f"root={said(self._capture.settings.root)!r}"

    # -- what it is --------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The name of its source."""
        return self._capture.source

    @property
    def mode(self) -> Mode:
        """What it does; of ``once`` and its like, what came of it."""
        return self._capture.mode

    @property
    def id(self) -> str:
        """The session's id, once it is open."""
        return self._capture.id

    @property
    def session(self) -> Session:
        """Its row, once it is open: how it began, and how it ended.

        Raises:
            ConfigError: it was not opened yet.
        """
        if self._capture.session is None:
            raise ConfigError("the session has no row before it is open")
        return self._capture.session

    @property
    def misses(self) -> list[ReplayMissError]:
        """The calls that replay did not find."""
        return self._capture.problems.misses

    @property
    def calls(self) -> Calls:
        """What the program asked for while it was open, in order, and what answered each."""
        return self._capture.calls

    @property
    def play_counts(self) -> dict[str, int]:
        """Id of a recorded call → how often it has answered, those that have."""
        return self._capture.calls.plays

    @property
    def play_count(self) -> int:
        """How often a recorded call has answered."""
        return sum(self.play_counts.values())

    @property
    def unused(self) -> list[Request]:
        """The recorded calls that have answered none, where recorded ones answer.

        Of a cassette its own, not the shared; of a root those of the sessions that answered, but
        for what a newer one of them has.

        Raises:
            StoreError: the store can't be read.
        """
        return self._capture.place.unused(self._capture)

    @property
    def all_played(self) -> bool:
        """Say whether each recorded call has answered."""
        return not self.unused

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
        if not self._capture.is_open:
            raise ConfigError("the session is not open: with IngestSession(…) as ingest: …")
        capture = self._capture
        capture.sees_calls = True
        asked = Request(
            id=new_id(),
            session_id="",
            source=capture.sources.of(endpoint).source,
            endpoint=endpoint,
            method=method.upper(),
            params=plain(params),
            kind=str(kind or capture.kind),
            as_of=capture.session.as_of if capture.session else "",
        )
        return self._requester.request(asked, data, json, headers, timeout)

    def content(self, response: Response) -> bytes:
        """Return the bytes of an answer, its content coding undone; see ``Response.read``.

        Raises:
            IntegrityError: the stored payload is missing or damaged.
            StoreError: the body is not stored (``mode="off"``), or longer than ``max_body``, and
                not at hand any more: of such answers the last 64 are, up to 64 MiB.
        """
        return response.read(limit=None)


def capture_of(ingest: IngestSession | Capture) -> Capture:
    """Return what an adapter asks of a session."""
    return ingest if isinstance(ingest, Capture) else ingest._capture
