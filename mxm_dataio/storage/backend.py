"""What a session asks of the place where its calls are kept: a root's store, or a cassette."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from ..models import Exchange, Request, Response, Session, Unseen
from .catalog.lookups import Following
from .entries import Entry
from .payloads.spool import Spool

# Takes a call, and what returns payloads that it does not have itself by checksum and size.
Amend = Callable[[Entry, Callable[[str, int], bytes | None]], Entry]


class Finder(Protocol):
    """Finds calls; what a look-up needs of a catalog."""

    def variants(self, source: str, base_hash: str) -> list[tuple[str, ...]]:
        """Return the header names that stored answers of this call vary on."""

    def newest(
        self, source: str, params_hash: str, bound: str, but: str = ""
    ) -> tuple[str, str] | None:
        """Return ``(as_of, root_id)`` of the newest session that holds the call, but for one."""

    def version(self) -> object:
        """Return what is equal to an earlier one only if nothing was written in between."""

    def following(self, source: str, after: str, bound: str, limit: int) -> list[Following]:
        """Return the calls of its session that came after the call ``after``."""

    def similar(self, source: str, endpoint: str, limit: int) -> list[Request]:
        """Return a source's latest calls, those of the endpoint first."""

    def takes_bodies(self, source: str, endpoint: str) -> bool:
        """Say whether calls to an endpoint are recorded that may have a body."""

    def with_hash(self, params_hash: str, limit: int) -> list[Request]:
        """Return calls of any source and date with this hash."""

    def forgotten(self) -> Collection[str]:
        """Return the ids of the calls that were forgotten: they answer none."""

    def with_text(self, source: str, text: str, bound: str, limit: int) -> list[Request]:
        """Return a source's calls whose identity has a text in it, the newest first."""


class Backend(Protocol):
    """Finds calls that were kept.

    Attributes:
        root: the folder, or the file; for messages.
        readonly: takes nothing; else it is a :class:`RecordingBackend`.
    """

    root: Path
    readonly: bool

    @property
    def catalog(self) -> Finder:
        """What finds calls."""

    def spool(self, limit: int) -> Spool:
        """Return an empty spool."""

    def close(self) -> None:
        """Let go of what is open."""

    def session(self, session_id: str) -> Session | None:
        """Return a session."""

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return all sessions, or those of a source, oldest first."""

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""

    def exchanges(self, session_id: str) -> Iterator[Exchange]:
        """Return the calls of a session in their order."""

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's next call with this hash behind the call ``after``."""

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""

    def decoded(self, found: Following) -> Exchange:
        """Return a call that was read ahead."""

    def placed(self, exchange: Exchange) -> Exchange:
        """Return a call with the paths of its payloads, where they have any."""

    def open(self, response: Response) -> BinaryIO:
        """Return the payload of an attempt, checked, to be read once, from its start."""

    def payload(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""

    def verify(self, response: Response, *, beside: bool = False) -> None:
        """Check the whole payload of an attempt."""


class RecordingBackend(Backend, Protocol):
    """Takes the calls of sessions too.

    Attributes:
        amend: changes calls on their way to their place, if set; see :mod:`mxm_dataio.ingest.late`.
    """

    amend: Amend | None

    @property
    def bare(self) -> list[Path]:
        """Payloads from before a change, which could not be removed."""

    def take(self, spool: Spool, checksum: str, held: dict[str, bytes]) -> None:
        """Take a call's payload, or put it into ``held``."""

    def append(self, entry: Entry) -> None:
        """Record a call whose payloads were taken."""

    def begin(self, session: Session) -> None:
        """Note a session that starts."""

    def settle(self) -> None:
        """Have all that was recorded in its place."""

    def first(self, session_id: str, limit: int) -> list[Exchange]:
        """Return the calls of a session that are in their place and came there first."""

    def end(self, session: Session, *, settled: bool = True) -> None:
        """Note a session that ended."""

    def note_unseen(self, session_id: str, line: bytes) -> None:
        """Keep a line of coverage with a session that is under way."""

    def noted_unseen(self, session_id: str, *, but: int = 0) -> tuple[Unseen, ...] | None:
        """Return what was noted with a session that is under way, but for one process's notes."""

    def lost(self) -> list[str]:
        """Return, in words, what others have deleted or moved of what is open."""


def recording(store: Backend | None) -> RecordingBackend | None:
    """Return what takes calls, if a session has it."""
    return None if store is None or store.readonly else cast(RecordingBackend, store)
