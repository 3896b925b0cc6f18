"""Where a session's calls are kept, and which stored answer a call gets there.

A root here; a cassette in :mod:`mxm_dataio.cassettes.place`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..config import settings as config
from ..config.archive_urls import ArchiveRoot
from ..config.faces import PYTHON, Face
from ..config.settings import Settings
from ..errors import ConfigError, IntegrityError, StoreError
from ..http.content import LARGEST
from ..identity.matching import RequestBody
from ..models import Exchange, Mode, Request
from ..replay.freshness import Freshness
from ..storage.backend import Backend
from ..storage.layout import DATABASE
from ..storage.recording_store import RecordingStore
from ..storage.root_store import RootStore
from ..utils import as_of_bound
from .calls import unused

if TYPE_CHECKING:
    from ..replay.lookup import Lookup
    from ..replay.policy import Decision
    from ..replay.rekeyed import Rekeyed
    from .capture import Capture

_SHARED_SECONDS = 1.0


class Place(Protocol):
    """Where the calls of one session are kept.

    Attributes:
        in_root: it is a root, and the calls of all sessions with the hook are kept in one.
    """

    in_root: bool

    def open(self, capture: Capture) -> Backend | None:
        """Open it, settle the session's mode, and return what keeps the calls.

        Returns:
            ``None`` in the mode ``off``, and where it can't be used and the session goes on.

        Raises:
            ConfigError: the session to replay is not there.
            StoreError: it can't be used.
        """

    def lookup(self, capture: Capture, store: Backend, source: str) -> Lookup:
        """Return what finds the answers of a source's calls."""

    def decide(
        self, capture: Capture, stored: Exchange | None, age: float, conditional: bool
    ) -> Decision:
        """Return what to do with a call; see :func:`mxm_dataio.replay.policy.decide`."""

    def reuses(self, method: str, url: str) -> bool:
        """Say whether answers to a call are served where calls are recorded too."""

    def where(self, source: str) -> str:
        """Return, in words, where replay looks for a source's calls."""

    def recording(self, face: Face) -> str:
        """Return, in words, how to record a call that is missing; empty: by another mode."""

    def origin(self, capture: Capture, store: Backend, request: Request) -> str:
        """Return, in words, what a recorded call is from, and how to replay another."""

    def unused(self, capture: Capture) -> list[Request]:
        """Return the recorded calls that have answered none, of those that may have."""

    def ended(self, capture: Capture, raised: BaseException | None) -> None:
        """Write what is written at the end: the session is over, and its store closed."""


class RootPlace:
    """A root, with a store in it.

    Args:
        root: as the program's author wrote it.
        session_id: of the one session to replay.
        freshness: which answers ``auto`` serves.
    """

    in_root = True

    def __init__(self, root: Path, session_id: str | None, freshness: Freshness) -> None:
        self._root = root
        self._session_id = session_id
        self._freshness = freshness

    def open(self, capture: Capture) -> Backend | None:
        """Open the store; a root that is not writable only warns, unless ``strict``."""
        settings = capture.settings
        if capture.mode is Mode.OFF:
            return None
        if settings.mode == config.ONCE:
            recorded = _has_recording(settings.root, capture.source)
            capture.mode = config.mode_of(config.ONCE, recorded=recorded)
        if capture.mode is Mode.REPLAY:
            store = to_read(settings.root, capture.opener.face)
            return self._checked(store, capture.source)
        try:
            # Others that share this root as a cache are to find what is new in it.
            store = RecordingStore(
                settings.root,
                delay=_SHARED_SECONDS if capture.mode is Mode.AUTO else None,
                compression=settings.compression,
                durability=settings.durability,
            )
        except IntegrityError:
            raise
        except StoreError as exc:
            capture.problem(exc)
            return None
        return self._checked(store, capture.source)

    def _checked(self, store: RootStore, source: str) -> RootStore:
        """Return the store, if the session to replay is in it."""
        if self._session_id is None:
            return store
        try:
            stored = store.session(_found(store, self._session_id, source))
            if stored is None:
                raise ConfigError(f"no session {self._session_id} under {store.root}")
            if stored.pruned_at is not None:
                raise ConfigError(f"session {stored.id} was pruned on {stored.pruned_at}")
            if stored.source != source:
                raise ConfigError(
                    f"session {stored.id} recorded the source {stored.source!r}, not {source!r}"
                )
        except BaseException:
            store.close()
            raise
        self._session_id = stored.root_id
        return store

    def lookup(self, capture: Capture, store: Backend, source: str) -> Lookup:
        """Return what finds answers in the newest session that has them, or the one given."""
        from ..replay.lookup import Lookup  # a session that only records has none

        fetches = capture.mode is Mode.AUTO
        return Lookup(
            store,
            source,
            as_of=capture.as_of,
            root_id=self._session_id,
            rekeyed=self._rekeyed(capture, store, source),
            exhausted="error" if fetches else capture.exhausted,
            but=capture.session.root_id if fetches and capture.session else "",
        )

    def _rekeyed(self, capture: Capture, store: Backend, source: str) -> Rekeyed | None:
        """Return what finds calls that were recorded by other rules than are in force."""
        part = capture.sources.named(source)
        if not part.matcher or not isinstance(store, RootStore):
            return None
        from ..replay.rekeyed import Rekeyed

        def content(request: Request) -> RequestBody | None:
            checksum, size = request.body_checksum, request.body_size
            body = store.payload(checksum, size) if checksum and size <= LARGEST else None
            return part.stored_content(request, body)

        return Rekeyed(
            store, source, as_of_bound(capture.as_of), self._session_id, part.matcher, content,
            capture.problem,
        )  # fmt: skip

    def decide(
        self, capture: Capture, stored: Exchange | None, age: float, conditional: bool
    ) -> Decision:
        """Return what to do with a call; see :func:`mxm_dataio.replay.policy.decide`."""
        return self._freshness.decide(capture.mode, stored, age, conditional=conditional)

    def reuses(self, method: str, url: str) -> bool:
        """Say whether answers to a call are served in ``auto``."""
        return self._freshness.reuses(method, url)

    def where(self, source: str) -> str:
        """Return, in words, where replay looks for a source's calls."""
        where = f"source {source!r} under {self._root}"
        return f"session {self._session_id} ({where})" if self._session_id else where

    def recording(self, face: Face) -> str:
        """Say that another mode does it."""
        return ""

    def origin(self, capture: Capture, store: Backend, request: Request) -> str:
        """Name the session, and the one that would answer in its place."""
        text = f"session {request.session_id}"
        other = store.catalog.newest(request.source, request.params_hash, "~", request.root_id)
        if other is not None:
            says = capture.opener.face.says("session", other[1])
            text += f"; session {other[1]} has recorded the call too: {says}"
        return text

    def unused(self, capture: Capture) -> list[Request]:
        """Return those of the sessions that answered; where none has, of the source's newest."""
        if not capture.calls.lookups:
            return []
        roots = {root for lookup in capture.calls.lookups for root in lookup.roots}
        with self._reading(capture, newest=not roots) as store:
            if not roots:
                own = capture.session.root_id if capture.session else ""
                bound = as_of_bound(capture.as_of)
                found = [
                    (one.as_of, one.root_id)
                    for one in store.sessions(capture.source)
                    if one.pruned_at is None and one.root_id != own and one.as_of <= bound
                ]
                roots = {max(found)[1]} if found else set()
            return unused(store, roots, capture.calls)

    def _reading(self, capture: Capture, *, newest: bool) -> RootStore:
        """Return the store, to look up what is unused.

        Args:
            newest: what the source's newest session has is looked up.
        """
        return RootStore(capture.settings.root)

    def ended(self, capture: Capture, raised: BaseException | None) -> None:
        """Write nothing: the store has it all."""


def freshness_of(settings: Settings) -> Freshness:
    """Return which answers ``auto`` serves.

    Raises:
        ConfigError: what ``reuse`` says is neither a status nor a method.
    """
    try:
        return Freshness(settings.ttl, settings.reuse, settings.stale_if_error)
    except ValueError as exc:
        raise ConfigError(f"setting reuse: {exc}") from None


def place_of(settings: Settings, session_id: str | None, face: Face = PYTHON) -> Place:
    """Return where a session's calls are kept, as its root says.

    Args:
        session_id: of the one session to replay.
        face: in whose words to say what to do.

    Raises:
        ConfigError: it is an archive, and the session is to record; or a setting is wrong.
    """
    freshness = freshness_of(settings)
    if not isinstance(settings.root, ArchiveRoot):
        return RootPlace(settings.root, session_id, freshness)
    if config.mode_of(settings.mode, recorded=True) in (Mode.RECORD, Mode.AUTO):
        url = settings.root.url
        raise ConfigError(
            f"nothing is recorded to an archive directly: record to a folder, "
            f"{face.says('root', 'DIR')}, and push what has ended (mxm-dataio push {url}); or "
            f"replay from it, {face.says('mode', 'replay')}"
        )
    from .archive_place import ArchivePlace  # which loads libraries that no other session needs

    return ArchivePlace(settings.root, session_id, freshness)


def to_read(root: Path, face: Face) -> RootStore:
    """Return the store of a root that is to be replayed.

    Args:
        face: in whose words to say what to do.

    Raises:
        StoreError: it can't be read; there is none.
    """
    if isinstance(root, ArchiveRoot):
        from ..archive.archived_store import ArchivedStore  # as above

        return ArchivedStore(root)
    if not root.is_file() and not os.path.lexists(root / DATABASE):
        raise StoreError(
            f"nothing is recorded under {root}: {DATABASE} is not there; record first, with "
            f"{face.says('mode', 'record')}, or give the root of the recording, "
            f"{face.says('root', 'DIR')}",
            path=root / DATABASE,
        )
    return RootStore(root, readonly=True)


def _found(store: RootStore, text: str, source: str) -> str:
    """Return the id of the session to replay.

    Raises:
        ConfigError: there is none, or more than one.
    """
    try:
        return store.session_id(text, source)
    except StoreError as exc:
        if type(exc) is StoreError:
            raise ConfigError(str(exc)) from None
        raise


def _has_recording(root: Path, source: str) -> bool:
    try:
        with RootStore(root, readonly=True) as store:
            return any(one.pruned_at is None for one in store.sessions(source))
    except IntegrityError:
        raise
    except StoreError:
        return False
