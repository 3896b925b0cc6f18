"""What tests of the database and of what is in it share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mxm_dataio.storage.catalog.catalog import SQLiteCatalog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a database may be made."""
    return tmp_path / "dataio.sqlite"


@pytest.fixture
def catalog(path: Path) -> Iterator[SQLiteCatalog]:
    """Make a catalog there."""
    with closing(SQLiteCatalog(path)) as made:
        yield made
