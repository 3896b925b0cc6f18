"""The files of other recorders become the cassettes that our plugin looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxm_dataio.formats.cassette.names import cassette_name
from mxm_dataio.formats.destinations import Case, Destinations, cases_of

COLLECTED = """\
tests/test_a.py::test_one
tests/test_a.py::test_two[x-1]
tests/test_a.py::test_two[a/b]
tests/test_a.py::test_two[ALFA::x]
tests/test_a.py::TestC::test_one
tests/test_a.py::TestC::TestD::test_deep
tests/deep/test_b.py::test_one

7 tests collected in 0.01s
"""


@pytest.fixture
def known() -> Destinations:
    return Destinations(cases_of(COLLECTED.splitlines(keepends=True), Path("/p")))


@pytest.mark.parametrize(
    ("file", "cassette"),
    [
        # pytest-recording
        ("tests/cassettes/test_a/test_one.yaml", "tests/cassettes/test_a/test_one.json"),
        ("tests/cassettes/test_a/test_two[x-1].yaml", "tests/cassettes/test_a/test_two[x-1].json"),
        ("tests/cassettes/test_a/test_two[a-b].yaml", cassette_name("test_two[a/b]")),
        ("tests/cassettes/test_a/test_two[ALFA--x].yaml", cassette_name("test_two[ALFA::x]")),
        (
            "tests/cassettes/test_a/TestC.test_one.yaml",
            "tests/cassettes/test_a/TestC.test_one.json",
        ),
        (
            "tests/cassettes/test_a/TestD.test_deep.yaml",
            "tests/cassettes/test_a/TestD.test_deep.json",
        ),
        # pytest-vcr
        ("tests/cassettes/TestC.test_one.yaml", "tests/cassettes/test_a/TestC.test_one.json"),
        ("tests/cassettes/test_two[a/b].yaml", cassette_name("test_two[a/b]")),
        ("tests/deep/cassettes/test_one.yml", "tests/deep/cassettes/test_b/test_one.json"),
        # betamax
        ("somewhere/test_a.test_one.json", "tests/cassettes/test_a/test_one.json"),
        ("x/tests.deep.test_b.test_one.json", "tests/deep/cassettes/test_b/test_one.json"),
        ("x/tests.test_a.TestC.test_one.json", "tests/cassettes/test_a/TestC.test_one.json"),
        ("x/test_a.test_two[a-b].json", cassette_name("test_two[a/b]")),
        # No test's own: it stays where it is.
        ("tests/cassettes/test_a/login.yaml", "tests/cassettes/test_a/login.json"),
        ("tests/fixtures/vcr/users", "tests/fixtures/vcr/users.json"),
    ],
)
def test_with_the_tests_each_file_finds_its_own(
    file: str, cassette: str, known: Destinations
) -> None:
    if not cassette.endswith(".json"):
        cassette = f"tests/cassettes/test_a/{cassette}.json"
    assert known.of(Path("/p") / file) == [Path("/p") / cassette]


def test_what_tests_of_two_modules_shared_is_each_ones() -> None:
    lines = ["tests/test_a.py::test_one", "tests/test_b.py::test_one"]
    known = Destinations(cases_of(lines, Path("/p")))
    assert known.of(Path("/p/tests/cassettes/test_one.yaml")) == [
        Path("/p/tests/cassettes/test_a/test_one.json"),
        Path("/p/tests/cassettes/test_b/test_one.json"),
    ]
    # So it is with betamax where parameters are left out of its names.
    lines = ["test_a.py::test_one[1]", "test_a.py::test_one[2]"]
    known = Destinations(cases_of(lines, Path("/p")))
    assert len(known.of(Path("/p/test_a.test_one.json"))) == 2


def test_relative_paths_are_the_working_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = Destinations(cases_of(["test_a.py::test_one[a/b]"], Path()))
    found = known.of(Path("cassettes/test_a/test_one[a-b].yaml"))
    assert found == [Path("cassettes/test_a") / f"{cassette_name('test_one[a/b]')}.json"]


@pytest.mark.parametrize(
    ("file", "cassette"),
    [
        ("c/cassettes/test_a/test_one.yaml", "c/cassettes/test_a/test_one.json"),
        ("c/TestC.test_one[b-1].yaml", "c/TestC.test_one[b-1].json"),
        ("c/test_one[ALFA].yaml", f"c/{cassette_name('test_one[ALFA]')}.json"),
        ("c/TestC.test_one[ALFA].yaml", f"c/{cassette_name('test_one[ALFA]', 'TestC')}.json"),
        ("c/Login (new).yaml", "c/Login (new).json"),
        ("c/users.v1", "c/users.v1.json"),
        ("c/users.json", "c/users.json"),
    ],
)
def test_without_them_the_name_says_what_it_can(file: str, cassette: str) -> None:
    assert Destinations().of(Path(file)) == [Path(cassette)]


def test_names_too_long_for_a_file() -> None:
    name = f"test_one[{'x' * 300}]"
    known = Destinations(cases_of([f"test_a.py::{name}"], Path("/p")))
    short = next(Case(Path("/p/test_a.py"), "", name).places()).name
    assert len(f"{short}.yaml") == 255
    assert known.of(Path(f"/p/cassettes/test_a/{short}.yaml")) == [
        Path(f"/p/cassettes/test_a/{cassette_name(name)}.json")
    ]
