"""Ratios of times taken in turns, and their spread.

On a machine that others use too, a time says little and the ratio of two times taken one after
the other says more. So contestants take turns, the first of a round is another each time, each
time is divided by the baseline's of the same round, and the median of the rounds counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some values, and where the middle half of them lies."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values.

        Raises:
            ValueError: there are none.
        """
        if not values:
            raise ValueError("no values, no spread")
        ordered = sorted(values)
        low, median, high = (_quantile(ordered, part) for part in (0.25, 0.5, 0.75))
        return cls(median, low, high, len(ordered))


def _quantile(ordered: Sequence[float], part: float) -> float:
    """Return a quantile, between two values in proportion (Hyndman and Fan's type 7)."""
    at = part * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


@dataclass(slots=True)
class Rounds:
    """What each contestant took in each round, and why some take no part any more."""

    taken: dict[str, dict[int, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def note(self, key: str, number: int, value: float) -> None:
        """Note what a contestant took in a round."""
        self.taken.setdefault(key, {})[number] = value

    def over(self, key: str, baseline: str) -> tuple[float, ...]:
        """Return a contestant's values over the baseline's, of the rounds that both have."""
        base = self.taken.get(baseline, {})
        return tuple(
            value / base[number]
            for number, value in sorted(self.taken.get(key, {}).items())
            if number in base
        )

    def above(self, key: str, baseline: str) -> tuple[float, ...]:
        """Return how much more than the baseline a contestant took, round by round."""
        base = self.taken.get(baseline, {})
        return tuple(
            value - base[number]
            for number, value in sorted(self.taken.get(key, {}).items())
            if number in base
        )


def turns(keys: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield each round's number with each contestant; the next round begins with the next."""
    for number in range(rounds):
        start = number % len(keys) if keys else 0
        for key in (*keys[start:], *keys[:start]):
            yield number, key
