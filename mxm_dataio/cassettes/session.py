"""``use_cassette``: record and replay with one text file, for git, in place of a root.

See :mod:`mxm_dataio.formats.cassette.document` for what is in the file,
:mod:`mxm_dataio.formats.cassette.merge` for what a recording changes in it.
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar

from ..api import IngestSession
from ..config import nearest
from ..errors import ConfigError
from ..formats.cassette import document as cassette
from ..formats.cassette import writing
from ..formats.cassette.derived import Deriving
from ..formats.cassette.document import Document
from ..formats.cassette.files import load, locked, marks, remove, save
from ..formats.cassette.memory import LoadedCassette, MemoryStore, RecordedCall
from ..formats.cassette.merge import New, Old, splice_shared
from ..formats.cassette.reading import asked_of
from ..formats.cassette.runs import Call, Run, State, Used
from ..formats.recordings import Recording, exchange_of
from ..formats.volatile import Volatile
from ..identity import Identity
from ..ingest.active import current_task
from ..interception import runs
from ..models import Exchange, Exhausted, Headers, Mode, Status
from ..replay.lookup import Lookup
from ..replay.policy import Decision, Serve
from ..storage.backend import Backend
from ..utils import utc_now
from . import classes

_Target = TypeVar("_Target", bound=Callable[..., Any])

# What each word means for a cassette: the session's mode where the file is there, and where not.
_MODES = {
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
_REFUSED = ("root", "session", "durability", "compression")


class CassetteSession(IngestSession):
    """An :class:`IngestSession` whose calls are kept in a cassette; see :func:`use_cassette`.

    Attributes:
        path: of the cassette.
        keep: what was recorded is written at the end; set it to ``False`` to leave the file as it
            is (a test that failed).
        meta: what other parts keep in the file, by their names; written if it was changed.
        written: the end has changed the file.
        run: the run of tests that is on and keeps account of the file; ``None`` if none does.
        only: node id of the one test whose name the file has.
        marked: a test's marker or fixture opened it, not its own code.
    """

    in_root = False
    _defaults = MappingProxyType({"stdlib": True})

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: str | None = None,
        *,
        source: str | None = None,
        shared: Iterable[str | os.PathLike[str]] = (),
        keep_failed: bool = False,
        redate: bool = False,
        keep_chunks: bool = False,
        volatile: Volatile | None = None,
        as_of: Any = None,
        **options: Any,
    ) -> None:
        self.path = _cassette_path(path)
        self.run = _run_with(self.path)
        if mode is None:
            mode = "none" if self.run is not None and self.run.offline else "once"
        word = str(mode).lower()
        if word not in _MODES:
            raise ConfigError(
                f"unknown mode {mode!r} (there are {', '.join(_MODES)}){nearest(word, _MODES)}"
            )
        for name in _REFUSED:
            if name in options:
                raise ConfigError(f"use_cassette takes no {name}: it keeps calls in one file")
        self.word = word
        self.keep = True
        self.written = False
        self.meta: dict[str, Any] = {}
        self.only = ""
        self.marked = False
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
        there, absent = _MODES[word]
        chosen = there if os.path.lexists(self.path) else absent
        if self._shared and chosen is Mode.RECORD:
            # What the shared ones have is not recorded once more.
            chosen = Mode.AUTO
        super().__init__(
            source or self.path.stem, root=self.path.parent, mode=chosen.value, as_of=as_of,
            **options,
        )  # fmt: skip
        self._named = source

    # -- what a root has otherwise -------------------------------------------------------------

    def _open_store(self) -> None:
        if self.mode is Mode.OFF:
            return
        self._was, self._own = self._load()
        self.meta = copy.deepcopy(self._own.document.meta)
        tapes = [] if self._anew else [self._own]
        shared = self._others
        for path in self._shared:
            _, document = load(path, needed=True)
            if document is not None:
                shared.append(LoadedCassette(path, document, self._deriving()))
        if self.run is not None:
            # The test that runs is the first of those that have it.
            self._ran = len(self.run.progress.ran) - bool(self.run.test)
        self._memory = MemoryStore(
            self.path, self.source, [*tapes, *shared], readonly=self.mode is Mode.REPLAY,
            repeats=shared if self.exhausted is Exhausted.REPEAT else (), run=self.run,
        )  # fmt: skip
        self.store = self._memory

    @property
    def _anew(self) -> bool:
        """Calls are recorded whether the cassette has them or not."""
        return self.mode is not Mode.REPLAY and self.word not in ("auto", "new_episodes")

    def _load(self) -> tuple[bytes, LoadedCassette]:
        was, document = load(self.path)
        if document is None:
            document = Document(self.source, utc_now()[:10])
        return was, LoadedCassette(self.path, document, self._deriving())

    def _deriving(self) -> Deriving:
        return Deriving(self._identified, self.redaction.uncounted_headers, _UNCOUNTED)

    def _identified(self, method: str, url: str, headers: Headers, body: bytes | None) -> Identity:
        return self.identify(method, url, headers, body)

    # -- finding -------------------------------------------------------------------------------

    def _make_lookup(self, store: Backend, source: str) -> Lookup:
        # What is new is no answer: a call that was recorded once is fetched the second time.
        exhausted = Exhausted.ERROR if self.mode is Mode.AUTO else self.exhausted
        return Lookup(store, source, exhausted=exhausted)

    def _decided(self, stored: Exchange | None, age: float, conditional: bool) -> Decision:
        ttl = self.settings.ttl
        if self.mode is Mode.AUTO and stored is not None and (ttl is None or age < ttl):
            # Failures too: what a test is about may be one.
            return Serve(stored)
        return super()._decided(stored, age, conditional)

    def _where(self, source: str) -> str:
        where = f"the cassette {self.path}"
        if self._shared:
            where += f", nor in {', '.join(map(str, self._shared))}"
        if self._own is not None and not self._was:
            where += ", which is not there"
        return where

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

    def forget(self, test: str, phase: str) -> None:
        """Drop what a test of the run has recorded in a phase, which failed."""
        if self._memory is not None and not self._keep_failed:
            self._memory.forget(test, phase)

    # -- the end -------------------------------------------------------------------------------

    def _end(self, raised: BaseException | None) -> None:
        memory, own = self._memory, self._own
        super()._end(raised)
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
                made = self._write(memory, own)
        finally:
            if self.run is not None:
                self._tell(self.run, own, made, kept=kept)

    def _tell(self, run: Run, own: LoadedCassette, made: Iterable[str], *, kept: bool) -> None:
        """Tell the run of tests what was done with the cassette, and with those shared."""
        how = "replay" if self.mode is Mode.REPLAY else self.word if kept else ""
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
            run.used.append(used._replace(path=path, calls=found, made=recorded, shared=shared))

    def _write(self, memory: MemoryStore, own: LoadedCassette) -> Iterable[str]:
        """Write what was recorded, and return the marks of all that the run has recorded."""
        beside: dict[str, bytes] = {}
        new = [
            self._new(memory, taken, beside)
            for taken in memory.in_order()
            if taken.entry.call.status is not Status.INTERRUPTED
        ]
        rewrite = self.word == "rewrite"
        if not new and self.meta == own.document.meta and not (rewrite and self._was):
            return ()
        with locked(self.path), self._state() as state:
            was, now = self._load()
            document = replace(
                now.document, meta=self.meta, source=self._named or now.document.source,
                as_of=self._as_of or now.document.as_of,
            )  # fmt: skip
            told = marks(now.document.calls)
            old = [
                Old(held.params_hash, held.node, state.made.get(mark) if state else None)
                for held, mark in zip(now.held, told, strict=True)
            ]
            made, tests = splice_shared(
                document, old, new, utc_now()[:10], anew=self._anew, drop=rewrite,
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

    def _new(self, memory: MemoryStore, taken: RecordedCall, beside: dict[str, bytes]) -> New:
        exchange = exchange_of(taken.entry)
        if exchange.request.served_from is not None:
            params_hash = memory.params_hash(exchange.request.served_from)
            return New(params_hash, None, confirmed=bool(exchange.responses), test=taken.test)
        written = writing.to_node(
            Recording(exchange, memory.payloads), volatile=self._volatile, chunks=self._chunks
        )
        beside.update(written.beside)
        node = written.node
        found = asked_of(node, self._deriving(), lambda checksum, _: beside[checksum])
        if exchange.request.source != self.source:
            node = {"source": exchange.request.source, **node}
        request = exchange.request
        order = f"{request.endpoint} {request.method} {request.identity}"
        return New(
            found.identified.params_hash, node, order if taken.elsewhere else None, test=taken.test
        )


class use_cassette:  # noqa: N801 - reads like the function that it is to those who use it
    """Record the calls of a block, or of a function, to a cassette, or replay them from it.

    A context manager that yields the :class:`CassetteSession`, and a decorator of functions,
    coroutine functions, generators and classes of tests. A class gives a folder: each test, with
    what is set up and torn down for it, has a file of its own there, ``Class.test_it.json``, and
    what is done once for the class has ``Class.setUpClass.json`` (``Class.setup_class.json``).
    Inherited tests count, and so do subclasses, whose files have their own names (with their
    module's in front, where that is another).

    Args:
        path: of the file, ``….json``; of a folder for a class.
        mode: ``once`` (replay if the file is there, else record), ``none`` or ``replay``,
            ``new_episodes`` or ``auto`` (replay what is there, record what is not), ``all`` or
            ``record`` (record what is called anew, leave the rest), ``rewrite`` (record anew,
            drop the rest), ``off``. Not given, it is ``once``, or ``none`` in a run of pytest with
            that mode, as in CI.
        source: name of the source; the file's stem if not given. It counts for fetchers alone.
        shared: further cassettes that are replayed, never written.
        keep_failed: write also if the block raised.
        redate: give all that was recorded today's date, whether it has changed or not.
        keep_chunks: keep how chunked bodies were cut, however many pieces that is.
        volatile: the headers left out.
        as_of: what the recorded data stand for.
        options: of :class:`mxm_dataio.IngestSession`: ``redaction``, ``ignore_params``, ``ttl``,
            ``exhausted``, ``strict``, ``hook``, …. ``stdlib`` is on where nothing else is said.

    Raises:
        ConfigError: an unknown mode or option, a path that is none of a cassette.
        IntegrityError: on entry, the file is malformed, damaged or newer. It is left as it is.
        ReplayMissError: as in every session.
        StoreError: at the end, the file can't be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], mode: str | None = None, **options: Any
    ) -> None:
        self._path = Path(path)
        self._mode = mode
        self._options = options
        self._used = False
        # Several threads and tasks may have one open at once: each closes its own.
        self._open: list[tuple[int, Any, CassetteSession]] = []

    def _session(self) -> CassetteSession:
        self._used = True
        return CassetteSession(self._path, self._mode, **self._options)

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # The default is there when the modules are gone.
        if not getattr(self, "_used", True):
            _warn(
                f"use_cassette({str(self._path)!r}) was made and not used: write "
                "with use_cassette(…): …, or put @use_cassette(…) above a function",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __enter__(self) -> CassetteSession:
        session = self._session().open()
        self._open.append((threading.get_ident(), current_task(), session))
        return session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        here, task = threading.get_ident(), current_task()
        found = [one for one in self._open if one[0] == here and one[1] is task]
        last = (found or self._open)[-1]
        self._open.remove(last)
        last[2].close(exc)

    async def __aenter__(self) -> CassetteSession:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, target: _Target) -> _Target:
        """Return a function, or a class of tests, whose calls go to a cassette.

        Raises:
            ConfigError: a class, and a file in place of a folder.
        """
        self._used = True
        made: _Target
        if not isinstance(target, type):
            made = classes.around(target, lambda *_, **__: self._session())
            return made
        if self._path.suffix:
            raise ConfigError(
                f"a class of tests has a cassette for each: give a folder, not {self._path}"
            )
        classes.cover(target, self._named)
        return target

    def _named(self, name: str) -> CassetteSession:
        """Return the session of a test of a class."""
        path = self._path / f"{name}{cassette.SUFFIX}"
        return CassetteSession(path, self._mode, **self._options)


def _run_with(path: Path) -> Run | None:
    """Return the run of tests that is on, if a cassette is one of its project's."""
    run = runs[-1]() if runs else None
    return run if run is not None and run.concerns(path) else None


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
