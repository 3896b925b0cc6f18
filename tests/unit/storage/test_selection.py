"""What is asked for on the command line, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mxm_dataio.errors import ConfigError
from mxm_dataio.models import Session, Status
from mxm_dataio.reading.filters import in_trees
from mxm_dataio.storage.catalog.selection import (
    Outcome,
    host_of,
    host_pattern,
    instant_of,
    outcome_of,
    seconds,
)
from mxm_dataio.storage.families import family
from mxm_dataio.utils import new_id
from tests.trust.small import session


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5 H", 5400), ("30d", 2_592_000), ("4w", 2419200)],
)
def test_spans(text: str, wanted: float) -> None:
    assert seconds(text) == wanted
    assert instant_of(text, 1e9) == 1e9 - wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2025-10-07", 1759795200),
        ("2025-10-07T14:30", 1759847400),
        ("2025-10-07T14:30:00+02:00", 1759840200),
        ("2025-10-07T14:30:00Z", 1759847400),
    ],
)
def test_instants(text: str, wanted: float) -> None:
    assert instant_of(text, 0) == wanted


@pytest.mark.parametrize("text", ["", "2", "h", "yesterday", "2025-13-01", "-2h", "9" * 400 + "w"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ConfigError):
        instant_of(text, 0)
    with pytest.raises(ConfigError):
        seconds(text)


def test_outcomes() -> None:
    assert outcome_of("404") == Outcome((404, 404))
    assert outcome_of("5XX") == Outcome((500, 599))
    assert outcome_of("partial") == Outcome(status=Status.PARTIAL)
    for text in ("", "4", "xx", "0xx", "99", "1000", "running", "5x4"):
        with pytest.raises(ConfigError, match="no outcome"):
            outcome_of(text)


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://data.example/a/b", "data.example"),
        ("https://data.example:8443", "data.example:8443"),
        ("http://user@data.example/x", "data.example"),
        ("http+unix://%2Fvar%2Frun/x", "%2Fvar%2Frun"),
        ("https://[::1]:80/x", "[::1]:80"),
        ("closes", ""),
        ("", ""),
        (".", ""),
    ],
)
def test_hosts(endpoint: str, host: str) -> None:
    assert host_of(endpoint) == host


@pytest.mark.parametrize(
    ("pattern", "host", "wanted"),
    [
        ("data.example", "data.example", True),
        ("DATA.example", "data.example", True),
        ("data.example", "data.example:8443", True),
        ("data.example:8443", "data.example:8443", True),
        ("data.example:8443", "data.example", False),
        ("data.example", "x.data.example", False),
        ("*.example", "x.data.example:1", True),
        ("*.example", "example", False),
        ("127.0.0.*", "127.0.0.1:4", True),
        ("*", "", True),
        ("a.b", "axb", False),
    ],
)
def test_host_patterns(pattern: str, host: str, wanted: bool) -> None:
    assert (host_pattern(pattern).match(host) is not None) is wanted


def test_families_and_trees() -> None:
    first, second = session(), session()
    child, other = session(first), session(second)
    grandchild = replace(session(first), parent_id=child.id)
    late = session(first)
    held = [first, second, child, other, grandchild, late]

    def names(found: list[Session]) -> list[int]:
        return [held.index(one) for one in found]

    assert names(family(held[::-1], first.id)) == [0, 2, 4, 5]
    assert names(family(held, child.id)) == [2, 4]
    assert family(held, "none") == []
    # Its parent has no session, made no call; and one began before its parent, by the clock.
    orphan = replace(session(first), parent_id=new_id())
    before = replace(session(child), id=f"0{child.id[1:]}")
    assert set(family([*held, orphan, before], first.id)) >= {orphan, before}
    assert before in family([*held, before], child.id)
    assert orphan not in family([*held, orphan], child.id)
    trees = in_trees(held)
    assert [(depth, held.index(one)) for depth, one in trees] == [
        (0, 0), (1, 2), (2, 4), (1, 5), (0, 1), (1, 3),
    ]  # fmt: skip
    # A child without its parent stands for itself.
    assert in_trees([child, grandchild]) == [(0, child), (1, grandchild)]
