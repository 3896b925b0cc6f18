"""Calls as tests want them recorded, without a server."""

from __future__ import annotations

from mxm_dataio.identity import identify
from mxm_dataio.models import Failure, Session, Status
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import new_id
from tests.trust.small import taking


def call(
    store: RecordingStore,
    held: Session,
    url: str,
    *codes: int | None,
    status: Status = Status.COMPLETE,
    method: str = "GET",
    started: float = 1e9,
    source: str = "market",
    body: bytes = b"12345",
    served_from: str | None = None,
    first_byte: float | None = 0.5,
    duration: float | None = 1.0,
    upload: bytes = b"",
    head: bytes = b"HTTP/1.1 200 OK\r\n\r\n",
) -> str:
    """Record a call with attempts that were answered so; ``None``: not at all."""
    waiting: dict[str, bytes] = {}

    take = taking(store, waiting)
    failed = Failure("requests.exceptions.ConnectionError", "refused")
    attempts = tuple(
        CapturedAttempt(
            method, url, started, code, take(body) if code else None, len(body) if code else 0,
            code is not None, failure=None if code else failed, first_byte=first_byte,
            head=head if code else b"",
        )
        for code in codes
    )  # fmt: skip
    document = identify(method, url, body=upload or None).document().decode()
    made = CapturedCall(new_id(), method, url, started, status, duration,
                        failed if status is Status.FAILED else None)  # fmt: skip
    store.append(
        Entry(
            made, InSession(held.id, held.root_id, source, held.as_of), "", document, (), None,
            take(upload) if upload else None, len(upload), served_from, attempts, waiting,
        )
    )  # fmt: skip
    return made.id
