"""What happened in a session: which calls were made, and what answered each."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from ..concurrency import mutex
from ..models import Exchange, Request, Status
from ..redaction.secrets import Secrets
from ..storage.entries import CapturedAttempt, CapturedCall

if TYPE_CHECKING:
    from ..replay.lookup import Lookup
    from ..storage.root_store import RootStore

Answered = Literal["recorded", "replayed", "revalidated", "missed", "left out", "not recorded"]
# Calls that are held, the latest: some 400 bytes each.
_HELD = 100_000
# Of these in a repr.
_SHOWN = 20
_Noted = tuple[str, str, str, str, Answered, str, int, int | None]


@dataclass(frozen=True, slots=True)
class NotedCall:
    """A call that the program made while a session was open.

    Attributes:
        source: that it belongs to.
        method, url: as it was asked, redacted; of what was left out without the query.
        params_hash: by which it was recorded, or found; empty where it was left out or not stored.
        answered: ``recorded`` (fetched and stored), ``replayed`` (from what was recorded),
            ``revalidated`` (its source confirmed what was recorded), ``missed`` (replay had no
            answer), ``left out`` (it is not to be recorded), ``not recorded`` (it could not be).
        recorded: id of the recorded call that answered, or of the one that was recorded now.
        attempts: how many there were on the wire, or had been.
        status_code: of the last; ``None`` where no answer came.
    """

    source: str
    method: str
    url: str
    params_hash: str
    answered: Answered
    recorded: str
    attempts: int
    status_code: int | None

    def __str__(self) -> str:
        status = self.status_code or ("missed" if self.answered == "missed" else "no answer")
        return f"{self.method} {self.url} {status} ({self.answered})"


class Calls(Sequence[NotedCall]):
    """The calls of a session, in the order in which they ended; no bodies are held.

    A call is listed once its body was read to its end, or dropped. Of more than 100,000 calls the
    latest are held; :attr:`total` counts all. Calls of forked processes are theirs.

    Attributes:
        total: how many there were.
        lookups: what found the answers.

    Args:
        secrets: returns what is known to be secret for a source.
    """

    def __init__(self, secrets: Callable[[str], Secrets]) -> None:
        self._secrets = secrets
        self.lookups: list[Lookup] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget them, in a forked child: they are the parent's."""
        self._noted: deque[_Noted] = deque(maxlen=_HELD)
        self._plays: dict[str, int] = {}
        self._last = 0
        self._count = itertools.count(1)

    def note(
        self,
        source: str,
        method: str,
        url: str,
        answered: Answered,
        params_hash: str = "",
        recorded: str = "",
        attempts: int = 0,
        status_code: int | None = None,
    ) -> None:
        """Take note of a call.

        Args:
            url: as it was asked: it is redacted when it is looked at.
        """
        self._noted.append(
            (source, method, url, params_hash, answered, recorded, attempts, status_code)
        )
        self._last = next(self._count)

    def played(self, source: str, method: str, url: str, stored: Exchange) -> None:
        """Take note of a call that a recorded one has answered."""
        request, answer = stored.request, stored.answer
        self._play(request.id)
        self.note(
            source, method, url, "replayed", request.params_hash, request.id,
            len(stored.responses), answer.status_code if answer else None,
        )  # fmt: skip

    def recorded(
        self,
        call: CapturedCall,
        source: str,
        attempts: Sequence[tuple[CapturedAttempt, object]],
        stored: Exchange | None,
        document: str | None,
    ) -> None:
        """Take note of a call that was recorded.

        Args:
            stored: the exchange that answered in its source's place.
            document: of its identity; ``None``, it could not be stored.
        """
        answered: Answered = "not recorded"
        params_hash = held = ""
        if document is not None:
            confirmed = bool(attempts) and attempts[-1][0].status_code == 304
            answered = "recorded" if stored is None else "revalidated" if confirmed else "replayed"
            params_hash = hashlib.sha256(document.encode("utf-8")).hexdigest()
            held = call.id
        if stored is not None:
            held = stored.request.id
            self._play(held)
        last = stored.answer if stored else attempts[-1][0] if attempts else None
        tried = stored.responses if stored and not attempts else attempts
        self.note(
            source, call.method, call.url, answered, params_hash, held, len(tried),
            last.status_code if last else None,
        )  # fmt: skip

    def _play(self, recorded: str) -> None:
        """Count that a recorded call has answered once more."""
        with mutex.lock:
            self._plays[recorded] = self._plays.get(recorded, 0) + 1

    @property
    def total(self) -> int:
        """How many calls there were."""
        return self._last

    @property
    def plays(self) -> dict[str, int]:
        """Id of a recorded call → how often it has answered."""
        return dict(self._plays)

    def __len__(self) -> int:
        return len(self._noted)

    @overload
    def __getitem__(self, index: int) -> NotedCall: ...

    @overload
    def __getitem__(self, index: slice) -> list[NotedCall]: ...

    def __getitem__(self, index: int | slice) -> NotedCall | list[NotedCall]:
        if isinstance(index, slice):
            return [self._call(one) for one in list(self._noted)[index]]
        return self._call(self._noted[index])

    def __iter__(self) -> Iterator[NotedCall]:
        # Of a copy: other threads go on.
        return map(self._call, self._noted.copy())

    def __repr__(self) -> str:
        shown = [str(one) for one in self[-_SHOWN:]]
        left = self.total - len(shown)
        return "\n".join([f"<{self.total} calls>", *([f"… {left} before"] if left else []), *shown])

    def _call(self, noted: _Noted) -> NotedCall:
        source, method, url, *rest = noted
        values: list[Any] = rest
        return NotedCall(source, method, self._secrets(source).shown(url), *values)


def unused(store: RootStore, roots: Iterable[str], calls: Calls) -> list[Request]:
    """Return the calls of recorded sessions, and of their child processes, that answered none.

    Not those that another session answers in their place, and none that was forgotten.

    Args:
        roots: ids of the sessions.
        calls: what happened.
    """
    left = calls.plays
    finders = {lookup.source: lookup for lookup in calls.lookups}
    found: list[Request] = []
    sessions = [session for root in roots for session in store.family(root)]
    requests = [request for session in sessions for request in store.requests(session.id)]
    for request in sorted(requests, key=lambda one: one.id):
        holds = request.served_from or request.id
        if left.get(holds, 0):
            left[holds] -= 1
        elif request.status is not Status.INTERRUPTED and store.forgotten(request) is None:
            lookup = finders.get(request.source)
            if lookup is None or lookup.reaches(request, store.catalog):
                found.append(request)
    return found
