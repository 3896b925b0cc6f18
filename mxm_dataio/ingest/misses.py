"""Calls that are not answered as asked: misses, old failures, what is left out, stale answers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..errors import DataIOWarning, LeftOutError, NearMiss, ReplayMissError, StoreError
from ..http.hosts import HostSet, Target
from ..identity import Identity
from ..identity.matching import target_of
from ..models import Exchange, Mode, Request
from ..replay.misses import miss_error
from ..replay.policy import Decision, Fetch
from ..storage.unseen import LEFT_OUT

if TYPE_CHECKING:
    from .capture import Capture


def miss(capture: Capture, identity: Identity, url: str) -> ReplayMissError:
    """Note a miss and return its error: what was asked, what is nearest, what to do."""
    part = capture.sources.named(identity.source)
    near: tuple[NearMiss, ...] = ()
    lookup = part.lookup
    try:
        near = lookup.nearest(identity) if lookup is not None else ()
    except StoreError:
        if capture.is_open:
            raise
    params_hash = identity.params_hash()
    capture.calls.note(part.source, identity.method, url, "missed", params_hash)
    error = miss_error(
        identity.method,
        part.secrets.url(url),
        params_hash,
        capture.place.where(part.source),
        near,
        capture.opener.face,
        recording=capture.place.recording(capture.opener.face),
    )
    capture.missed(error)
    return error


def replayed(capture: Capture, request: Request) -> str:
    """Return the note of a failure that was recorded, and does not happen now."""
    text = f"replayed, not live: recorded {request.started_at}"
    try:
        store = capture.store
        if store is None:
            return text
        return f"{text} in {capture.place.origin(capture, store, request)}"
    except StoreError:
        return text


def leave_out(capture: Capture, identity: Identity) -> None:
    """Note a call that is neither recorded nor replayed."""
    capture.adopt()
    capture.calls.note(identity.source, identity.method, identity.endpoint, "left out")
    target = _target(identity)
    capture.left_out.add(LEFT_OUT, str(target) if target.port else target.host)


def _target(identity: Identity) -> Target:
    """Return where a call connects to; a fetcher's has the name of its source for a host."""
    target = target_of(identity.endpoint)
    return target if target.host else Target(identity.source, 0)


def warn_of_spare(capture: Capture, method: str, url: str, spare: Exchange, why: str) -> None:
    """Warn that a stale answer serves, since its source has failed."""
    text = (
        f"{method} {capture.secrets_for(url).url(url)}: its source failed ({why}), and what it "
        f"gave {spare.request.started_at} has answered (stale_if_error)"
    )
    # Where warnings are errors the program gets its answer all the same.
    with contextlib.suppress(DataIOWarning):
        capture.opener.warn(DataIOWarning(text), 5)


def pass_by(capture: Capture, identity: Identity) -> Decision:
    """Return what to do with a call that is left out: it is made, and noted once it is.

    Raises:
        LeftOutError: replay may not reach its host.
    """
    target = _target(identity)
    if capture.mode is not Mode.REPLAY or HostSet(capture.settings.allowed_hosts).admits(target):
        return Fetch()
    leave_out(capture, identity)
    raise LeftOutError(
        f"{identity.method} {identity.endpoint} is left out, and was not recorded "
        f"({identity.left_out}): to let it reach its host in replay too, "
        f"{capture.opener.face.says('allowed_hosts', [target.allowing])}",
        method=identity.method,
        url=identity.endpoint,
    )
