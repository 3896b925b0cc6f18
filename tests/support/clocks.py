"""Sets the clock of the package, which takes its own as it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest


def set_clock(
    monkeypatch: pytest.MonkeyPatch,
    seconds: Callable[[], float],
    nanoseconds: Callable[[], int] | None = None,
) -> None:
    """Have every module of the package that tells the time tell another."""
    clocks: dict[str, Callable[[], float]] = {"wall_time": seconds}
    if nanoseconds is not None:
        clocks["wall_time_ns"] = nanoseconds
    for name, module in list(sys.modules.items()):
        for clock, told in clocks.items() if name.startswith("mxm_dataio") else ():
            if clock in vars(module):
                monkeypatch.setattr(module, clock, told)
