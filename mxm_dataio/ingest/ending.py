"""A session's end: what is moved to its place, what its row says, what is left to be said."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from ..coverage import libraries
from ..errors import BusyError, DataIOWarning, StoreError
from ..models import Mode, Status
from ..replay.misses import doubtful
from ..storage import unseen as unseen_
from ..storage.backend import RecordingBackend, recording
from ..utils import utc_now
from .active import sessions
from .capture import Capture

# Calls looked through at the end for what was known too late, and how many are named.
_LOOKED_BACK, _NAMED = 500, 10


def end(capture: Capture, raised: BaseException | None) -> None:
    """End the session of a capture that takes no more calls; its row says how.

    Args:
        raised: the exception that is ending the ``with`` block, if any.

    Raises:
        StoreError: something was lost, when ``strict``.
    """
    if capture.session is None:
        return
    store = recording(capture.store) if capture.sources.own.recorder is not None else None
    if raised is None:
        _doubt(capture)
    capture.sources.strip()
    sessions.ended(capture)
    settled, exposed = False, ""
    try:
        if store is not None:
            try:
                store.settle()
                exposed = _left_bare(capture, store)
            finally:
                for text in store.lost():
                    capture.problem(StoreError(text))
        settled = True
    except BusyError:
        # All that waits has its place behind it in the journal; the end will say so.
        settled = True
    except (StoreError, OSError) as exc:
        capture.problem(exc)
    finally:
        unseen, left_out = unseen_.parted(_seen(capture))
        capture.session = replace(
            capture.session,
            status=_status(capture, raised),
            ended_at=utc_now(),
            warnings=capture.warnings(unseen or (), exposed),
            coverage=unseen,
            left_out=left_out,
        )
        if capture.mode is Mode.REPLAY:
            problems = capture.problems
            problems.unsaid = libraries.replay_warning(unseen or ()) or problems.unsaid
        _end_row(capture, store, settled)


def _end_row(capture: Capture, store: RecordingBackend | None, settled: bool) -> None:
    try:
        if store is not None and capture.session is not None and capture.opener.keeps_row:
            store.end(capture.session, settled=settled)
    except (StoreError, OSError) as exc:
        if capture.session is not None:
            capture.session = replace(
                capture.session,
                status=Status.INCOMPLETE,
                warnings=(*capture.session.warnings, str(exc)),
            )
        capture.problem(exc)
    finally:
        # What could not be moved has been told of, and waits.
        with contextlib.suppress(StoreError):
            capture.close_store()


def _doubt(capture: Capture) -> None:
    """Count as misses the calls whose value for a secret has not turned out as one."""
    for part in capture.sources:
        if part.lookup is not None:
            for request in part.lookup.unproved(part.secrets.knows):
                capture.missed(doubtful(request))


def _left_bare(capture: Capture, store: RecordingBackend) -> str:
    """Return what to say of calls that hold what was known too late to be masked in them."""
    late = capture.late
    early = late.early(max(part.secrets.learned for part in capture.sources))
    calls = store.first(capture.id, min(early, _LOOKED_BACK)) if early else []
    found = [late.exposed(call, store.payload) for call in calls]
    held = [one for one in found if one] + [path.name for path in store.bare]
    if not held:
        return ""
    text = (
        "what became known as a secret later stands in what was stored before: "
        f"{', '.join(held[:_NAMED])}{', …' if len(held) > _NAMED else ''}; to be rid of it: "
        f"mxm-dataio prune --session {capture.id}"
    )
    capture.problems.unsaid = capture.problems.unsaid or DataIOWarning(text)
    return text


def _status(capture: Capture, raised: BaseException | None) -> Status:
    if capture.problems.problems:
        return Status.INCOMPLETE
    if capture.problems.misses or (raised is not None and not isinstance(raised, SystemExit)):
        return Status.FAILED
    return Status.COMPLETE


def _seen(capture: Capture) -> unseen_.Found | None:
    """Return what went past the session, and what it left out, in one."""
    left_out = capture.left_out.found()
    if capture.watch is None:
        return unseen_.together(None, unseen_.merged(left_out))
    noted: unseen_.Found | None = None
    store = recording(capture.store)
    if store is not None:
        # By children that were forked to become another program.
        noted = store.noted_unseen(capture.id, but=os.getpid())
    return unseen_.merged([*capture.watch.found(), *left_out, *(noted or ())])
