"""What tests of imported recordings share: a file of another recorder into a store, and replayed."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from mxm_dataio import IngestSession, Store
from mxm_dataio.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.formats import betamax, documents, responses, vcr
from mxm_dataio.formats.interactions import Converted, converted
from mxm_dataio.heads import given_head
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.recordings import Recording
from mxm_dataio.redaction import DEFAULT, Redaction
from mxm_dataio.utils import new_id, utc_now
from tests import programs

FOREIGN = Path(__file__).parent / "foreign"


def read(file: Path, redaction: Redaction | None = DEFAULT) -> Converted:
    """Return what a file of another recorder becomes."""
    document = documents.read_document(file)
    for format in (vcr, betamax, responses):
        if format.recognises(document.value):
            return converted(format.interactions(document), redaction)
    raise AssertionError(f"{file} is of no known format")


def put(root: Path, source: str, recordings: Collection[Recording]) -> None:
    """Put recordings into a store as one session."""
    session = Session(
        id=(session_id := new_id()), root_id=session_id, source=source, mode=Mode.RECORD,
        as_of="2024-01-01", status=Status.RUNNING, started_at=utc_now(),
    )  # fmt: skip
    with Store(root) as store:
        store.begin(session)
        for recording in recordings:
            store.append(_entry(recording, session))
        store.settle()
        store.end(replace(session, status=Status.COMPLETE, ended_at=utc_now()))


def _entry(recording: Recording, session: Session) -> Entry:
    request, answers = recording.exchange.request, recording.exchange.responses
    now = time.time()
    return Entry(
        CapturedCall(new_id(), request.method, request.url, now, head=given_head(request.headers)),
        InSession(session.id, session.root_id, session.source, session.as_of),
        "", request.identity, (), None, request.body_checksum, request.body_size, None,
        tuple(
            CapturedAttempt(
                one.method, one.url, now, one.status_code, one.checksum, one.size, one.complete,
                head=one.head, original_checksum=one.original_checksum,
            )
            for one in answers
        ),
        dict(recording.payloads),
    )  # fmt: skip


def replayed(
    root: Path, base: str, who: str, leave: Collection[str], redaction: Redaction | None = DEFAULT
) -> programs.Seen:
    """Return what the program sees when its calls are replayed from a store."""
    with IngestSession(source="foreign", root=root, mode="replay", redaction=redaction):
        return programs.run(steps(who, base), frozenset(leave))


def steps(who: str, base: str) -> dict[str, Any]:
    """Return the program's calls."""
    return programs.by_urllib3(base) if who == "urllib3" else programs.by_requests(base)
