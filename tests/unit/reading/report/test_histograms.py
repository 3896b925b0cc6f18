"""Percentiles and histograms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.reading.report.histograms import Bin, histogram, percentile

values = st.floats(min_value=0, max_value=1e9)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.05, 15), (0.3, 20), (0.4, 20), (0.5, 35), (1.0, 50)]
)
def test_percentiles_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile([15, 20, 35, 40, 50], share) == expected


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None


@given(st.lists(values, min_size=1), st.floats(min_value=0.001, max_value=1))
def test_at_least_a_share_does_not_exceed_its_percentile(found: list[float], share: float) -> None:
    found.sort()
    value = percentile(found, share)
    assert value in found
    assert sum(one <= value for one in found) >= share * len(found) - 1e-6
    assert sum(one < value for one in found) < share * len(found)


def test_bins_adjoin_and_begin_with_what_is_too_small() -> None:
    assert histogram([(0, True), (1, False), (3.9, False), (64, True)], 4, 1) == [
        Bin(0, 1, 1, 1), Bin(1, 4, 2, 0), Bin(4, 16, 0, 0), Bin(16, 64, 0, 0), Bin(64, 256, 1, 1),
    ]  # fmt: skip
    assert histogram([(20, False)], 4, 1) == [Bin(16, 64, 1, 0)]
    assert histogram([], 4, 1) == []


@given(st.lists(st.tuples(values, st.booleans())))
def test_each_value_is_in_its_bin(found: list[tuple[float, bool]]) -> None:
    bins = histogram(found, 10**0.1, 1e-4)
    assert sum(one.values for one in bins) == len(found)
    assert sum(one.marked for one in bins) == sum(marked for _, marked in found)
    for before, after in pairwise(bins):
        assert math.isclose(before.high, after.low)
    for value, _ in found:
        # An edge may be a last digit off.
        assert any(one.low * 0.999999 <= value <= one.high * 1.000001 for one in bins if one.values)
