"""Is what lies beside the database what its records say: payloads, journals, temporary files?"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ..errors import IntegrityError
from ..storage.files import is_folder
from ..storage.journal import left
from ..storage.layout import JOURNAL, RESPONSES, RUNNING
from ..storage.locks import TEMPORARY
from ..storage.root_store import RootStore
from ..utils import counted
from .findings import Findings, Progress
from .ledger import Ledger, Payload

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_SHOWN = 3
# What a thread takes at once.
_BATCH = 64
_BATCH_SIZE = 8 << 20
_THREADS = 8
_ELSEWHERE = "it is not here, and only calls that came from elsewhere name it"


class Files:
    """Checks the files of a store.

    Attributes:
        payloads, size: how many were read, and their bytes.
    """

    def __init__(self, store: RootStore, findings: Findings, progress: Progress) -> None:
        self.payloads = 0
        self.size = 0
        # Payloads that may not have been taken in with the calls that name them.
        self._elsewhere = 0
        self._store = store
        self._findings = findings
        self._progress = progress

    def check_payloads(self, ledger: Ledger) -> None:
        """Hash every payload that a record names again."""
        waiting: deque[Future[tuple[list[Payload], list[tuple[Payload, str]]]]] = deque()
        threads = min(_THREADS, os.cpu_count() or 1)
        total = ledger.gather()
        with ThreadPoolExecutor(threads) as pool:
            for batch in _batches(ledger.payloads()):
                waiting.append(pool.submit(self._check, batch))
                if len(waiting) > 2 * threads:
                    self._take(ledger, waiting.popleft(), total)
            while waiting:
                self._take(ledger, waiting.popleft(), total)
        if self._elsewhere:
            self._findings.note(
                f"{counted(self._elsewhere, 'payload')} of sessions that came from elsewhere "
                f"{'is' if self._elsewhere == 1 else 'are'} not here"
            )

    def _take(
        self,
        ledger: Ledger,
        done: Future[tuple[list[Payload], list[tuple[Payload, str]]]],
        total: int,
    ) -> None:
        batch, wrong = done.result()
        self.payloads += len(batch)
        self.size += sum(_size(payload) for payload in batch)
        for payload, what in wrong:
            if what is _ELSEWHERE:
                self._elsewhere += 1
                continue
            others = f" (and {payload.uses - 1} more name it)" if payload.uses > 1 else ""
            self._findings.found(
                f"{what}{others}",
                ledger.session_of(payload.request),
                ledger.exact(payload.request),
                self._store.payloads.path(payload.checksum),
            )
        self._progress("bytes", self.size, total)

    def _check(self, batch: list[Payload]) -> tuple[list[Payload], list[tuple[Payload, str]]]:
        wrong = [(payload, what) for payload in batch if (what := self._wrong(payload))]
        return batch, wrong

    def _wrong(self, payload: Payload) -> str | None:
        """Return what is wrong with a payload."""
        checksum = payload.checksum
        if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
            return f"the checksum of its payload is none: {str(checksum)[:80]!r}"
        if payload.smallest != payload.largest:
            return f"the payload {checksum} has other sizes in other records"
        path = self._store.payloads.path(checksum)
        try:
            kept = path.lstat()
        except OSError as exc:
            if not payload.own and isinstance(exc, FileNotFoundError):
                return _ELSEWHERE
            return f"the payload {path.name} is missing ({exc.strerror})"
        if not stat.S_ISREG(kept.st_mode):
            return f"the payload {path.name} is no plain file"
        if path.suffix == ".bin" and kept.st_size != payload.largest:
            return (
                f"the payload {path.name} has {kept.st_size} bytes, and {payload.largest} were "
                "recorded"
            )
        try:
            self._store.payloads.verify(checksum, payload.largest, beside=True)
        except IntegrityError as exc:
            if exc.path is not None and exc.path != path:
                return f"{exc.path.name}, beside its payload, was changed; the payload is sound"
            return f"the payload {path.name} was changed: its bytes are not those of its name"
        return None

    def note_orphans(self, ledger: Ledger) -> None:
        """Note the files that no record names."""
        running = self._store.root / RUNNING
        temporary = len(list(running.glob(f"*{TEMPORARY}"))) if is_folder(running) else 0
        orphans: list[str] = []
        count = 0
        for checksum, path in self._store.payloads.files():
            if path.suffix == TEMPORARY:
                temporary += 1
            elif not ledger.names(checksum):
                count += 1
                if len(orphans) < _SHOWN:
                    orphans.append(path.name)
        if count:
            more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
            self._findings.note(
                f"no record names {', '.join(orphans)}{more} in {RESPONSES}: left by a process "
                "that was killed, or by a prune, or of a call that is being recorded"
            )
        if temporary:
            self._findings.note(
                f"{counted(temporary, 'temporary file')}: of a process that records now, or was "
                "killed, and then deleted as soon as the next records"
            )

    def check_journals(self, ledger: Ledger) -> None:
        """Read the journals, and note the calls that wait in them."""
        folder = self._store.root / JOURNAL
        for path in sorted(folder.glob("*.damaged")):
            self._findings.found(
                "a journal was damaged and put aside; of its calls those behind the damage are "
                f"missing: {path.name}",
                path=path,
            )
        with left(folder) as found:
            for journal in found:
                waiting = 0
                try:
                    waiting = sum(not ledger.has(entry.call.id) for entry in journal.calls())
                except IntegrityError as exc:
                    self._findings.found(str(exc), path=journal.path)
                if waiting:
                    self._findings.note(
                        f"{waiting} call{'s wait' if waiting > 1 else ' waits'} in the journal "
                        f"{journal.path.name}, chained when moved from there"
                    )


def _size(payload: Payload) -> int:
    return payload.largest if isinstance(payload.largest, int) else 0


def _batches(payloads: Iterable[Payload]) -> Iterator[list[Payload]]:
    batch: list[Payload] = []
    size = 0
    for payload in payloads:
        batch.append(payload)
        size += _size(payload)
        if len(batch) >= _BATCH or size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
