"""What went wrong in a session: kept, warned of once, raised."""

from __future__ import annotations

import pytest

from mxm_dataio.errors import DataIOWarning, ReplayMissError, StoreError
from mxm_dataio.ingest.problems import Problems


class Session:
    """Has troubles, and hears of them."""

    def __init__(self, *, strict: bool = False, refuses: bool = False) -> None:
        self.said: list[tuple[str, int]] = []
        self.changes = 0
        self.refuses = refuses
        self.troubles = Problems(
            "shop",
            strict=strict,
            clean=lambda text: text.replace("s3cret", "***"),
            warn=self.warn,
            changed=self.changed,
        )

    def warn(self, warning: DataIOWarning, stacklevel: int) -> None:
        if self.refuses:
            raise warning
        self.said.append((str(warning), stacklevel))

    def changed(self) -> None:
        self.changes += 1


def test_the_first_problem_is_warned_of_and_all_are_kept_clean() -> None:
    session = Session()
    session.troubles.problem(StoreError("disk full at s3cret"), 3)
    session.troubles.problem(StoreError("disk full again"), 3)
    assert session.said == [
        ("disk full at ***; session 'shop' is incomplete from here on", 5),
    ]
    assert session.troubles.problems == ["disk full at ***", "disk full again"]
    assert session.changes == 2


def test_a_strict_one_raises_and_keeps() -> None:
    session = Session(strict=True)
    error = StoreError("disk full")
    with pytest.raises(StoreError) as caught:
        session.troubles.problem(error, 3)
    assert caught.value is error
    with pytest.raises(StoreError, match="went past"):
        session.troubles.passed_by("it went past")
    assert session.troubles.problems == ["disk full", "it went past"]
    assert session.said == []


def test_where_warnings_are_errors_the_program_goes_on_and_the_end_says_it() -> None:
    session = Session(refuses=True)
    session.troubles.problem(StoreError("disk full"), 3)
    with pytest.raises(DataIOWarning, match="disk full; session 'shop' is incomplete"):
        session.troubles.say(3)
    session.troubles.say(3)


def test_a_call_that_went_past_is_told_of_at_the_end_once() -> None:
    session = Session()
    session.troubles.passed_by("one went past")
    session.troubles.passed_by("two went past")
    assert session.said == []
    session.troubles.say(3)
    session.troubles.say(3)
    assert session.said == [("one went past; session 'shop' is incomplete from here on", 5)]
    assert session.troubles.problems == ["one went past", "two went past"]


def test_no_more_than_a_hundred_are_kept() -> None:
    session = Session()
    for number in range(150):
        session.troubles.add(f"problem {number}")
    assert len(session.troubles.problems) == 100
    assert session.troubles.problems[-1] == "problem 99"


def test_what_was_swallowed_is_raised() -> None:
    troubles = Session().troubles
    troubles.raise_misses(None)
    miss = ReplayMissError("not there", method="GET", url="http://a.test/")
    troubles.missed(miss)
    for ended in (None, SystemExit(0)):
        with pytest.raises(ReplayMissError, match="went on without") as caught:
            troubles.raise_misses(ended)
        assert caught.value.__cause__ is miss
    troubles.raise_misses(miss)
    other = ValueError("the program's own")
    troubles.raise_misses(other)
    assert "not there" in other.__notes__[0]


def test_a_forked_child_has_none_of_its_parent_s() -> None:
    troubles = Session().troubles
    troubles.add("before")
    troubles.missed(ReplayMissError("not there", method="GET", url="http://a.test/"))
    problems, misses = troubles.problems, troubles.misses
    troubles.begin_anew()
    assert troubles.add("after")
    assert (troubles.problems, troubles.misses) == (["after"], [])
    assert (len(problems), len(misses)) == (1, 1)
