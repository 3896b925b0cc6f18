"""What goes past a session that was to capture it: noted, or refused in replay."""

from __future__ import annotations

from ..errors import ConfigError
from ..models import Mode
from ..replay.misses import goes_past
from .capture import Capture


def blind(capture: Capture, why: str) -> None:
    """Note that calls can't be captured here.

    Raises:
        ConfigError: in replay, where such calls would reach the network, or when ``strict``.
    """
    if capture.mode is Mode.REPLAY:
        raise ConfigError(why)
    if capture.mode is not Mode.OFF and why not in capture.problems.problems:
        capture.problem(ConfigError(why))


def outside(
    capture: Capture,
    method: str,
    url: str,
    *,
    past: str = "urllib3's pools",
    instead: str = "make it through a pool or requests, and leave urlopen in place",
) -> None:
    """Note a request that went past what is captured, and what to do instead.

    Raises:
        ReplayMissError: in replay, where it would reach the network.
        StoreError: when ``strict``.
    """
    if capture.mode is Mode.OFF:
        return
    shown = capture.secrets_for(url).url(url)
    if capture.mode is Mode.REPLAY:
        error = goes_past(method, shown, past, instead)
        capture.missed(error)
        raise error
    capture.problems.passed_by(f"coverage: {method} {shown} was not recorded: it went past {past}")
