"""A cassette as the place of a session's calls: read as it opens, written as it ends.

See :mod:`mxm_dataio.formats.cassette.document` for what is in the file,
:mod:`mxm_dataio.formats.cassette.merge` for what a recording changes in it.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ..config.choices import CassetteMode
from ..config.faces import Face
from ..config.settings import nearest
from ..errors import ConfigError
from ..formats.cassette import document as cassette
from ..formats.cassette import writing
from ..formats.cassette.derived import DERIVING, Deriving
from ..formats.cassette.document import Document
from ..formats.cassette.files import load, locked, marks, remove, save
from ..formats.cassette.loaded import LoadedCassette
from ..formats.cassette.memory import MemoryStore, RecordedCall
from ..formats.cassette.merge import New, Old, splice
from ..formats.cassette.reading import asked_of
from ..formats.cassette.runs import Call, Run, State, Used
from ..formats.recordings import Recording, exchange_of
from ..formats.volatile import Volatile
from ..ingest.capture import Capture
from ..interception import runs
from ..models import Exchange, Mode, Request, Status
from ..replay.freshness import Freshness
from ..replay.lookup import Lookup
from ..replay.policy import Decision, Serve
from ..storage.backend import Backend
from ..utils import utc_now

# What each word means for a cassette: the session's mode where the file is there, and where not.
_MODES: Mapping[CassetteMode, tuple[Mode, Mode]] = {
    "once": (Mode.REPLAY, Mode.RECORD),
    "none": (Mode.REPLAY, Mode.REPLAY),
    "replay": (Mode.REPLAY, Mode.REPLAY),
    "new_episodes": (Mode.AUTO, Mode.AUTO),
    "auto": (Mode.AUTO, Mode.AUTO),
    "all": (Mode.RECORD, Mode.RECORD),
    "record": (Mode.RECORD, Mode.RECORD),
    "rewrite": (Mode.RECORD, Mode.RECORD),
    "off": (Mode.OFF, Mode.OFF),
}
# What these say comes with the libraries that are installed, and a cassette goes from machine to
# machine. The recorded answer is in a coding that its reader undoes.
_UNCOUNTED = frozenset({"accept-encoding", "user-agent"})


class CassettePlace:
    """A cassette, with others that are shared.

    Args:
        path: of the cassette.
        mode: the word for what is done, as :class:`mxm_dataio.use_cassette` takes it.
        source: the source's name, if it was given.
        shared: further cassettes that are replayed, never written.
        keep_failed, redate, keep_chunks, volatile: as of :class:`mxm_dataio.use_cassette`.

    Attributes:
        word: the word for what is done; without one, what the run of tests has it be.
        keep: what was recorded is written at the end.
        meta: what other parts keep in the file.
        written: the end has changed the file.
        run: the run of tests that is on and keeps account of the file.
        only: node id of the one test whose name the file has.
        marked: a test's marker or fixture opened it.
        reason: why nothing is recorded, in words, where nobody has said so.

    Raises:
        ConfigError: an unknown mode, a path that is none of a cassette.
    """

    in_root = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode | CassetteMode | None,
        *,
        source: str | None,
        shared: Iterable[str | os.PathLike[str]],
        keep_failed: bool,
        redate: bool,
        keep_chunks: bool,
        volatile: Volatile | None,
    ) -> None:
        self.path = _cassette_path(path)
        self.run = _run_with(self.path)
        self.reason = ""
        if mode is None:
            mode = "once"
            if self.run is not None and self.run.offline:
                mode, self.reason = "none", self.run.reason
        self.word = _mode_of(mode)
        self.keep = True
        self.written = False
        self.meta: dict[str, Any] = {}
        self.only = ""
        self.marked = False
        self._source = source
        self._ran = 0
        self._keep_failed = keep_failed
        self._redate = redate
        self._chunks = keep_chunks
        self._volatile = volatile or Volatile()
        self._shared = [_cassette_path(one) for one in shared]
        self._own: LoadedCassette | None = None
        self._others: list[LoadedCassette] = []
        self._was = b""
        self._memory: MemoryStore | None = None

    @property
    def mode(self) -> Mode:
        """The mode that the word stands for now, with the file there or not."""
        there, absent = _MODES[self.word]
        chosen = there if os.path.lexists(self.path) else absent
        # What the shared ones have is not recorded once more.
        return Mode.AUTO if self._shared and chosen is Mode.RECORD else chosen

    def open(self, capture: Capture) -> Backend | None:
        """Read it, and return what keeps the calls in memory."""
        if capture.mode is Mode.OFF:
            return None
        settings = capture.settings
        self._freshness = Freshness(settings.ttl, stale_if_error=settings.stale_if_error)
        self._deriving = Deriving(
            lambda method, url, headers, body: capture.identify(method, url, headers, body),
            capture.sources.own.redaction.uncounted_headers,
            _UNCOUNTED,
            capture.sources.own.seen_again,
        )
        # What counts by its rules is said by these, and not in the file.
        self._matches = bool(capture.sources.own.matcher)
        self._was, self._own = self._load(capture.source)
        self.meta = copy.deepcopy(self._own.document.meta)
        tapes = [] if self._anew(capture.mode) else [self._own]
        shared = self._others
        for path in self._shared:
            _, document = load(path, needed=True)
            if document is not None:
                shared.append(LoadedCassette(path, document, self._deriving))
        if self.run is not None:
            # The test that runs is the first of those that have it.
            self._ran = len(self.run.progress.ran) - bool(self.run.test)
        self._memory = MemoryStore(
            self.path, capture.source, [*tapes, *shared], readonly=capture.mode is Mode.REPLAY,
            repeats=shared if capture.exhausted == "repeat" else (), run=self.run,
        )  # fmt: skip
        return self._memory

    def _anew(self, mode: Mode) -> bool:
        """Say whether calls are recorded that the cassette has already."""
        return mode is not Mode.REPLAY and self.word not in ("auto", "new_episodes")

    def _load(self, source: str) -> tuple[bytes, LoadedCassette]:
        was, document = load(self.path)
        if document is None:
            document = Document(source, utc_now()[:10])
        return was, LoadedCassette(self.path, document, self._deriving)

    def lookup(self, capture: Capture, store: Backend, source: str) -> Lookup:
        """Return what finds answers in the cassettes."""
        # What is new is no answer: a call that was recorded once is fetched the second time.
        exhausted = "error" if capture.mode is Mode.AUTO else capture.exhausted
        return Lookup(store, source, exhausted=exhausted)

    def decide(
        self, capture: Capture, stored: Exchange | None, age: float, conditional: bool
    ) -> Decision:
        """Return what to do with a call; what is recorded counts, whatever it is."""
        freshness = self._freshness
        if capture.mode is Mode.AUTO and stored is not None and freshness.is_fresh(stored, age):
            # Failures too: what a test is about may be one.
            return Serve(stored)
        return freshness.decide(capture.mode, stored, age, conditional=conditional)

    def reuses(self, method: str, url: str) -> bool:
        """Say that all are: each recorded call answers once."""
        return True

    def where(self, source: str) -> str:
        """Return, in words, which cassettes replay looks in."""
        where = f"the cassette {self.path}"
        if self._shared:
            where += f", nor in {', '.join(map(str, self._shared))}"
        if self._own is not None and not self._was:
            where += ", which is not there"
        return where

    def recording(self, face: Face) -> str:
        """Say that another mode does it."""
        return ""

    def origin(self, capture: Capture, store: Backend, request: Request) -> str:
        """Name the cassette."""
        return f"the cassette {self.path}"

    # -- what was played -----------------------------------------------------------------------

    @property
    def recorded(self) -> str:
        """The day of the oldest call of the cassette, ``2025-10-07``; empty without any."""
        own = self._own
        return min((held.recorded for held in own.held), default="") if own is not None else ""

    def unplayed(self) -> list[tuple[int, str]]:
        """Return the calls of the cassette that have answered none: place and text of each."""
        own = self._own
        return [(held.index, str(held)) for held in (own.held if own else ()) if not held.played]

    def unused(self, capture: Capture) -> list[Request]:
        """Return those of the cassette, not of those shared."""
        if not capture.calls.lookups or self._own is None:
            return []
        found = (held for held in self._own.held if not held.played)
        requests = [held.request(capture.source) for held in found]
        return [request for request in requests if request.status is not Status.INTERRUPTED]

    def forget(self, test: str, phase: str) -> None:
        """Drop what a test of the run has recorded in a phase, which failed."""
        if self._memory is not None and not self._keep_failed:
            self._memory.forget(test, phase)

    # -- the end -------------------------------------------------------------------------------

    def ended(self, capture: Capture, raised: BaseException | None) -> None:
        """Write what was recorded, and tell the run of tests."""
        memory, own = self._memory, self._own
        if memory is None or own is None:
            if self.run is not None:
                # It is some test's, all the same.
                self.run.used.append(Used(os.path.realpath(self.path)))
            return
        if os.getpid() != memory.pid:
            return
        failed = raised is not None and not (isinstance(raised, SystemExit) and not raised.code)
        kept = self.keep and not (failed and not self._keep_failed)
        made: Iterable[str] = ()
        try:
            if kept and not memory.readonly:
                made = self._write(memory, own, capture)
        finally:
            if self.run is not None:
                self._tell(self.run, own, made, replayed=capture.mode is Mode.REPLAY, kept=kept)

    def _tell(
        self, run: Run, own: LoadedCassette, made: Iterable[str], *, replayed: bool, kept: bool
    ) -> None:
        """Tell the run of tests what was done with the cassette, and with those shared."""
        how = "replay" if replayed else self.word if kept else ""
        used = Used(
            "", tuple(run.progress.ran[self._ran :]), how, only=self.only, marked=self.marked
        )
        details = run.details or self.word == "rewrite"
        for tape in (own, *self._others):
            path, shared = os.path.realpath(tape.path), tape is not own
            told = zip(marks(tape.document.calls), tape.held, strict=True) if details else ()
            found = tuple(
                Call(mark, held.params_hash, held.played, str(held)) for mark, held in told
            )
            recorded = () if shared else tuple(made)
            run.used.append(
                used._replace(
                    path=path, calls=found, made=recorded, shared=shared,
                    written=self.written and not shared,
                )
            )  # fmt: skip

    def _write(self, memory: MemoryStore, own: LoadedCassette, capture: Capture) -> Iterable[str]:
        """Write what was recorded, and return the marks of all that the run has recorded."""
        beside: dict[str, bytes] = {}
        new = [
            self._new(memory, taken, beside, capture.source)
            for taken in memory.in_order()
            if taken.entry.call.status is not Status.INTERRUPTED
        ]
        rewrite = self.word == "rewrite"
        if not new and self.meta == own.document.meta and not (rewrite and self._was):
            return ()
        with locked(self.path), self._state() as state:
            was, now = self._load(capture.source)
            document = replace(
                now.document, meta=self.meta, source=self._source or now.document.source,
                as_of=capture.as_of or now.document.as_of,
            )  # fmt: skip
            told = marks(now.document.calls)
            old = [
                Old(held.params_hash, held.node, state.made.get(mark) if state else None)
                for held, mark in zip(now.held, told, strict=True)
            ]
            made, tests = splice(
                document, old, new, utc_now()[:10], anew=self._anew(capture.mode), drop=rewrite,
                redate=self._redate, test=self.run.test if self.run else None,
            )  # fmt: skip
            if made.calls or made.meta:
                self.written = save(self.path, made, beside, was)
            else:
                self.written = remove(self.path)
            if state is None:
                return ()
            by_mark = zip(marks(made.calls), tests, strict=True)
            state.made = {mark: test for mark, test in by_mark if test is not None}
            return list(state.made)

    def _state(self) -> contextlib.AbstractContextManager[State | None]:
        """Return what the run of tests has done to the cassette, if there is one."""
        return self.run.state(self.path) if self.run else contextlib.nullcontext()

    def _new(
        self, memory: MemoryStore, taken: RecordedCall, beside: dict[str, bytes], source: str
    ) -> New:
        exchange = exchange_of(taken.entry)
        if exchange.request.served_from is not None:
            params_hash = memory.params_hash(exchange.request.served_from)
            return New(params_hash, None, confirmed=exchange.is_from_source, test=taken.test)
        written = writing.to_node(
            Recording(exchange, memory.payloads), volatile=self._volatile, chunks=self._chunks,
            deriving=self._deriving if self._matches else DERIVING,
        )  # fmt: skip
        beside.update(written.beside)
        node = written.node
        found = asked_of(node, self._deriving, lambda checksum, _: beside[checksum])
        if exchange.request.source != source:
            node = {"source": exchange.request.source, **node}
        request = exchange.request
        order = f"{request.endpoint} {request.method} {request.identity}"
        return New(
            found.identified.params_hash, node, order if taken.elsewhere else None, test=taken.test
        )


def _run_with(path: Path) -> Run | None:
    """Return the run of tests that is on, if a cassette is one of its project's."""
    run = runs[-1]() if runs else None
    return run if run is not None and run.concerns(path) else None


def _mode_of(mode: str) -> CassetteMode:
    """Return what is done with a cassette.

    Raises:
        ConfigError: no mode is called that.
    """
    word: Any = str(mode).lower()
    if word not in _MODES:
        words = get_args(CassetteMode)
        raise ConfigError(
            f"unknown mode {mode!r} (there are {', '.join(words)}){nearest(word, words)}"
        )
    known: CassetteMode = word
    return known


def _cassette_path(path: str | os.PathLike[str]) -> Path:
    """Return where a cassette lies, whatever folder the program changes to from here on."""
    found = Path(path)
    if not found.suffix:
        return found.with_name(f"{found.name}{cassette.SUFFIX}").absolute()
    if found.suffix != cassette.SUFFIX:
        raise ConfigError(
            f"a cassette is a file named *.json, not {found.name}; what other tools recorded is "
            f"converted by: mxm-dataio import {found} -o {found.with_suffix(cassette.SUFFIX)}"
        )
    return found.absolute()
