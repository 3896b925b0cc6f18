"""Figures over many values: percentiles and logarithmic histograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least a share of all do not exceed (nearest rank).

    Args:
        ordered: the values, ascending.
        share: above 0, up to 1.
    """
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


class Bin(NamedTuple):
    """Values from ``low`` to below ``high``: how many, and how many of these were marked."""

    low: float
    high: float
    values: int
    marked: int


def histogram(values: Iterable[tuple[float, bool]], base: float, least: float) -> list[Bin]:
    """Return adjoining bins whose edges are powers of a base, from the first filled to the last.

    Args:
        values: each with its mark.
        base: ratio of a bin's edges.
        least: lower edge of the first such bin, above 0; what is below has a bin of its own,
            from 0.
    """
    small = [0, 0]
    counts: dict[int, list[int]] = {}
    for value, marked in values:
        # The nudge keeps a value at an edge from the bin below it.
        place = math.floor(math.log(value / least, base) + 1e-9) if value >= least else None
        count = small if place is None else counts.setdefault(place, [0, 0])
        count[0] += 1
        count[1] += marked
    bins = [Bin(0.0, least, *small)] if small[0] else []
    if counts:
        first = 0 if bins else min(counts)
        for place in range(first, max(counts) + 1):
            low, high = least * base**place, least * base ** (place + 1)
            bins.append(Bin(low, high, *counts.get(place, (0, 0))))
    return bins
