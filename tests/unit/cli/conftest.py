"""A store as a program leaves it, and stores to which tests add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mxm_dataio.cli.demo_scraper import Demonstrated, demonstrate
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.unit.cli.running import screen

__all__ = ["screen"]


@pytest.fixture(scope="package")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demonstrated]:
    """What the demo leaves: real calls, not to be changed."""
    root = tmp_path_factory.mktemp("demo") / "root"
    return root, demonstrate(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[RootStore]:
    with RecordingStore(root) as made:
        yield made
