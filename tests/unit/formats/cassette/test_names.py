"""Names of cassettes: as people would write them, and never two tests with the same."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.formats.cassette.names import cassette_name


@pytest.mark.parametrize(
    ("test", "cls", "name"),
    [
        ("test_a", "", "test_a"),
        ("test_a[x-1]", "", "test_a[x-1]"),
        ("test_a", "TestQuotes", "TestQuotes.test_a"),
        ("test_Upper", "", "test_Upper"),
    ],
)
def test_plain_names_stay(test: str, cls: str, name: str) -> None:
    assert cassette_name(test, cls) == name


@pytest.mark.parametrize(
    "names",
    [
        ("test[a/b]", "test[a?b]", "test[a-b]", "test[a--b]"),
        ("test[a]", "test[A]"),
        ("test[" + "x" * 300 + "1]", "test[" + "x" * 300 + "2]"),
        ("test[ß]", "test[ẞ]", "test[ss]"),
    ],
)
def test_names_that_could_be_taken_for_each_other_are_told_apart(names: tuple[str, ...]) -> None:
    made = {cassette_name(name).lower() for name in names}
    assert len(made) == len(names)


@given(st.text(st.characters(), min_size=1), st.sampled_from(["", "TestX"]))
def test_every_name_is_one_part_of_a_path(test: str, cls: str) -> None:
    name = cassette_name(test, cls)
    assert os.path.basename(name) == name  # noqa: PTH119 - as the system sees it
    assert name.isascii()
    assert not name.startswith((".", "-"))
    assert len(name) < 140


@given(st.lists(st.text("aA/?-[]x", min_size=1, max_size=6), min_size=2, max_size=8, unique=True))
def test_no_two_tests_share_a_cassette(tests: list[str]) -> None:
    made = [cassette_name(f"test[{test}]").lower() for test in tests]
    assert len(set(made)) == len(made)
