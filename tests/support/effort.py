"""How much is tried: by default each kind in a few ways, all of it by ``make test-long``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import settings

MANY = bool(os.environ.get("MXM_TEST_ROUNDS"))


def rounds(few: Any, many: Any) -> Any:
    """Return how often to do something again, or with what."""
    return many if MANY else few


def examples(many: int) -> settings:
    """Return the settings of a property that is to be tried so often, and less by default."""
    return settings(max_examples=rounds(max(many // 5, 10), many), deadline=None)


def some(values: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """Return parameters, those that are not quick for the long run.

    One that is a tuple stands for as many parameters.
    """
    return [_param(one, (), one not in quick) for one in values]


def crossed(first: Iterable[Any], second: Iterable[Any], every: int = 3) -> list[Any]:
    """Return all pairs, those for the long run that are not on each so-manieth diagonal.

    Each of either is in a pair of the default run, if the other has at least `every`. One of the
    first that is a tuple stands for as many parameters.
    """
    others = list(second)
    return [
        _param(one, (other,), (row + column) % every != 0)
        for row, one in enumerate(first)
        for column, other in enumerate(others)
    ]


def sampled(values: Iterable[Any], every: int = 3, first: int = 0) -> list[Any]:
    """Return parameters, those for the long run that are not each so-manieth, from the first on.

    One that is a tuple stands for as many parameters.
    """
    return [_param(one, (), number % every != first) for number, one in enumerate(values)]


def _param(one: Any, others: tuple[Any, ...], long: bool) -> Any:
    values = one if isinstance(one, tuple) else (one,)
    return pytest.param(*values, *others, marks=pytest.mark.long if long else ())
