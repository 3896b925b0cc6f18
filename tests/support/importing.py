"""What tests of imported recordings share: a file of another recorder, stored and replayed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mxm_dataio import IngestSession, formats
from mxm_dataio.formats.foreign.conversion import Converted
from mxm_dataio.formats.recordings import Recording, entry_of
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.redaction import DEFAULT, Redaction
from mxm_dataio.storage.entries import InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import new_id, utc_now
from tests.support import CHECKOUT, programs

FOREIGN = CHECKOUT / "tests" / "foreign"


def read(file: Path, redaction: Redaction | None = DEFAULT) -> Converted:
    """Return what a file of another recorder becomes."""
    with file.open("rb") as fp:
        format = formats.detect(fp.read(formats.LOOK))
        assert format is not None
        fp.seek(0)
        found: Converted = formats.module_of(format).convert(fp, redaction)
        return found


def put(root: Path, source: str, recordings: Collection[Recording]) -> None:
    """Put recordings into a store as one session."""
    session = Session(
        id=(session_id := new_id()), root_id=session_id, source=source, mode=Mode.RECORD,
        as_of="2024-01-01", status=Status.RUNNING, started_at=utc_now(),
    )  # fmt: skip
    within = InSession(session.id, session.root_id, source, session.as_of)
    with RecordingStore(root) as store:
        store.begin(session)
        for recording in recordings:
            store.append(entry_of(recording, within, new_id()))
        store.settle()
        store.end(replace(session, status=Status.COMPLETE, ended_at=utc_now()))


def replayed(
    root: Path, base: str, who: str, leave: Collection[str], redaction: Redaction | None = DEFAULT
) -> programs.Seen:
    """Return what the program sees when its calls are replayed from a store."""
    with IngestSession(source="foreign", root=root, mode="replay", redaction=redaction):
        return programs.run(steps(who, base), frozenset(leave))


def steps(who: str, base: str) -> programs.Steps:
    """Return the program's calls."""
    return programs.by_urllib3(base) if who == "urllib3" else programs.by_requests(base)
