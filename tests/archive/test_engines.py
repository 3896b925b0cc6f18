"""Each program of the page on queries does what it says, against a real S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import engines
from .engines import HEAVY, HOSTS, MODULES, PROGRAMS


@pytest.fixture(params=["s3", pytest.param("weed", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an archive of some hosts and sources, with objects that do not count."""
    value: str = request.getfixturevalue(request.param)
    engines.archive(tmp_path / "root", value)
    return value


def said(heading: str, url: str, folder: Path) -> object:
    """Return what a program prints, if it has what it needs."""
    if not engines.is_installed(heading):
        pytest.skip(f"{MODULES[heading]} is not installed")
    return engines.said(heading, url, folder)


@pytest.mark.parametrize("heading", sorted(MODULES.keys() - {"Bodies", *HEAVY}))
def test_engines_that_count_calls(heading: str, url: str, tmp_path: Path) -> None:
    assert said(heading, url, tmp_path) == HOSTS


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("heading", HEAVY)
def test_engines_of_many_machines(heading: str, url: str, tmp_path: Path) -> None:
    assert said(heading, url, tmp_path) == HOSTS


def test_bodies(url: str, tmp_path: Path) -> None:
    found = said("Bodies", url, tmp_path)
    assert isinstance(found, dict)
    assert len(found) == sum(HOSTS.values())
    assert set(found.values()) == set(range(10, 16))


def test_no_program_is_left_out() -> None:
    assert PROGRAMS.keys() == MODULES.keys()
