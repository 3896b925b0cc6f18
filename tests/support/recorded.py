"""Sessions put into a store call by call, with any content and at any time, without a network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mxm_dataio.identity import identify
from mxm_dataio.models import Failure, Mode, Peer, Session, Status, Unseen
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import instant, new_id

# 2025-10-07 06:00 UTC, when sessions begin.
DAWN = 1759816800.0
_REASONS = {200: "OK", 302: "Found", 304: "Not Modified", 404: "Not Found", 503: "Unavailable"}


@dataclass(frozen=True)
class Try:
    """An attempt; times in seconds, ``start`` since the call's."""

    status: int | None = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)
    start: float = 0.0
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = 0.02
    total: float | None = 0.03
    failure: Failure | None = None
    complete: bool = True
    original: str | None = None
    truncated: int = 0
    url: str | None = None


@dataclass
class Recorder:
    """A session under way."""

    store: RecordingStore
    session: Session
    calls: list[str] = field(default_factory=list)

    @classmethod
    def begin(
        cls, store: RecordingStore, parent: Session | None = None, at: float = 0.0, **facts: Any
    ) -> Recorder:
        """Begin a session so many seconds after dawn."""
        id = new_id()
        session = Session(
            id=id, source="market", mode=Mode.RECORD, as_of="2025-10-07", status=Status.RUNNING,
            started_at=instant(DAWN + at), parent_id=parent.id if parent else None,
            root_id=parent.root_id if parent else id, pid=os.getpid(),
        )  # fmt: skip
        session = replace(session, **facts)
        store.begin(session)
        return cls(store, session)

    def call(
        self,
        url: str,
        *tries: Try,
        at: float = 0.0,
        method: str = "GET",
        duration: float | None = None,
        status: Status = Status.COMPLETE,
        failure: Failure | None = None,
        headers: Sequence[tuple[str, str]] = (("User-Agent", "scraper/1"), ("Accept", "*/*")),
        upload: bytes = b"",
        served_from: str | None = None,
    ) -> str:
        """Record a call so many seconds after dawn; return its id."""
        held: dict[str, bytes] = {}
        started = DAWN + at
        attempts = tuple(self._attempt(method, url, one, started, held) for one in tries)
        if duration is None and tries:
            duration = tries[-1].start + (tries[-1].first_byte or tries[-1].total or 0.0)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "replace")
        call = CapturedCall(new_id(), method, url, started, status, duration, failure, head)
        session = self.session
        self.store.append(
            Entry(
                call, InSession(session.id, session.root_id, session.source, session.as_of), "",
                identify(method, url, body=upload or None).document(()).decode(), (), None,
                self._take(upload, held) if upload else None, len(upload), served_from, attempts,
                held,
            )
        )  # fmt: skip
        self.calls.append(call.id)
        return call.id

    def _attempt(
        self, method: str, url: str, one: Try, started: float, held: dict[str, bytes]
    ) -> CapturedAttempt:
        answered = one.status is not None
        secure = one.tls is not None
        lines = "".join(f"{name}: {value}\r\n" for name, value in one.headers)
        line = f"HTTP/1.1 {one.status} {_REASONS.get(one.status or 0, '')}\r\n"
        address = f"192.0.2.{1 + sum(url.split('/')[2].encode()) % 250}" if "//" in url else None
        peer = Peer(
            f"{address}:443" if answered and address else None,
            "TLSv1.3" if secure else None,
            "TLS_AES_256_GCM_SHA384" if secure else None,
            hashlib.sha256(url.split("/")[2].encode()).hexdigest() if secure else None,
        )
        return CapturedAttempt(
            method, one.url or url, started + one.start, one.status,
            self._take(one.body, held) if answered else None, len(one.body), one.complete, False,
            None, one.failure, one.connect, one.tls, one.first_byte if answered else None,
            one.total, peer, one.original, one.truncated,
            f"{line}{lines}\r\n".encode("utf-8", "replace") if answered else b"",
        )  # fmt: skip

    def _take(self, content: bytes, held: dict[str, bytes]) -> str:
        spool = self.store.spool(1 << 20)
        spool.write(content)
        checksum = spool.checksum
        self.store.take(spool, checksum, held)
        return checksum

    def end(
        self,
        at: float,
        status: Status = Status.COMPLETE,
        *,
        warnings: Sequence[str] = (),
        coverage: Sequence[Unseen] | None = None,
        left_out: Sequence[Unseen] = (),
        exit_status: int | None = None,
    ) -> None:
        """End and seal it so many seconds after dawn."""
        self.store.settle()
        self.session = replace(
            self.session, status=status, ended_at=instant(DAWN + at), warnings=tuple(warnings),
            coverage=None if coverage is None else tuple(coverage), left_out=tuple(left_out),
            exit_status=exit_status,
        )  # fmt: skip
        self.store.end(self.session)
