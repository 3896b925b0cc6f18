"""``use_cassette``: record and replay with one text file, for git, in place of a root."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar, Unpack

from ..api import IngestSession, checked
from ..config.choices import CassetteMode
from ..config.faces import CASSETTE
from ..config.settings import Settings
from ..errors import ConfigError, DataIOWarning
from ..formats.cassette import document as cassette
from ..formats.volatile import Volatile
from ..ingest.active import current_task
from ..ingest.place import Place
from ..models import Mode
from . import classes
from .options import CassetteOptions, SessionOptions
from .place import CassettePlace

_Target = TypeVar("_Target", bound=Callable[..., Any])

_REFUSED = ("root", "session", "durability", "compression")


class CassetteSession(IngestSession):
    """An :class:`IngestSession` whose calls are kept in a cassette; see :func:`use_cassette`.

    Attributes:
        cassette: the file, as the place of the session's calls.
    """

    _defaults = MappingProxyType({"stdlib": True})
    _face = CASSETTE

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode | CassetteMode | None = None,
        *,
        source: str | None = None,
        shared: Iterable[str | os.PathLike[str]] = (),
        keep_failed: bool = False,
        redate: bool = False,
        keep_chunks: bool = False,
        volatile: Volatile | None = None,
        as_of: str | date | datetime | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        self.cassette = CassettePlace(
            path, mode, source=source, shared=shared, keep_failed=keep_failed, redate=redate,
            keep_chunks=keep_chunks, volatile=volatile,
        )  # fmt: skip
        for name in _REFUSED:
            if name in options:
                raise ConfigError(f"use_cassette takes no {name}: it keeps calls in one file")
        path = self.cassette.path
        self._face = self._face._replace(reason=self.cassette.reason)
        super().__init__(
            source or path.stem, root=path.parent, mode=self.cassette.mode, as_of=as_of,
            **options,
        )  # fmt: skip

    def _place(self, settings: Settings, session: str | None) -> Place:
        return self.cassette

    def _where(self) -> str:
        return f"path={str(self.path)!r}"

    @property
    def path(self) -> Path:
        """Where the cassette lies."""
        return self.cassette.path

    @property
    def keep(self) -> bool:
        """What was recorded is written at the end; set it to ``False`` to leave the file as it is.

        (A test that failed.)
        """
        return self.cassette.keep

    @keep.setter
    def keep(self, value: bool) -> None:
        self.cassette.keep = value

    @property
    def meta(self) -> dict[str, Any]:
        """What other parts keep in the file, by their names; written if it was changed."""
        return self.cassette.meta


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

    _opens = CassetteSession

    @checked
    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode | CassetteMode | None = None,
        **options: Unpack[CassetteOptions],
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
                DataIOWarning,
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
