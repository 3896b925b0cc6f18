"""What a check of a store finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .ledger import Exact
from .proofs import Head

Progress = Callable[[str, int, int], None]
"""Is told what is counted (``calls``, ``bytes``), how far that is, and how many there are."""

MOST = 1000
"""Beyond these findings are counted, not kept."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded.

    Attributes:
        what: in words.
        session: its id.
        request, method, url: of the exchange.
        path: the file.
    """

    what: str
    session: str | None = None
    request: str | None = None
    method: str | None = None
    url: str | None = None
    path: Path | None = None

    def __str__(self) -> str:
        where = []
        if self.session is not None:
            where.append(f"session {self.session}")
        if self.request is not None:
            where.append(f"{self.method} {self.url} [{self.request}]")
        return ": ".join([", ".join(where), self.what]) if where else self.what


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read, and what was found.

    Attributes:
        sessions, calls, payloads, size: how many were read; the payloads' bytes.
        pruned: of the sessions, those whose calls were pruned.
        head: of the store's tree; ``None`` where it could not be read.
        findings: what is wrong.
        more: how many findings there are besides these.
        notes: what is to be known and not wrong.
    """

    sessions: int = 0
    calls: int = 0
    payloads: int = 0
    size: int = 0
    head: Head | None = None
    findings: tuple[Finding, ...] = ()
    more: int = 0
    notes: tuple[str, ...] = ()
    pruned: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.findings


class Findings:
    """Gathers what is found, and what is to be known besides.

    Attributes:
        kept: what is wrong.
        more: how many findings there are besides these.
        notes: what is to be known and not wrong.
    """

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.more = 0
        self.notes: list[str] = []

    def found(
        self,
        what: str,
        session: str | None = None,
        exact: Exact | None = None,
        path: Path | None = None,
    ) -> None:
        """Take something that is wrong.

        Args:
            what: in words.
            session: its id.
            exact: the exchange.
            path: the file.
        """
        if len(self.kept) >= MOST:
            self.more += 1
            return
        id, method, url = exact or Exact(None, None, None)
        self.kept.append(Finding(what, session, id, method, url, path))

    def note(self, what: str) -> None:
        """Take something that is to be known and not wrong."""
        self.notes.append(what)
