"""What the tests look up in an archive, past the package's own reading."""

from __future__ import annotations

from pathlib import Path

from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.integrity.proofs import Head, head_of
from mxm_dataio.storage.root_store import RootStore


def objects(url: str) -> dict[str, bytes]:
    """Return all objects of an archive."""
    store = ObjectStore(url)
    found = {one.name: store.get(one.name, 1 << 30) for one in store.list("")}
    return {name: fetched.content for name, fetched in found.items() if fetched is not None}


def names(url: str, prefix: str = "") -> list[str]:
    """Return the names of the objects below a prefix."""
    return sorted(one.name for one in ObjectStore(url).list(prefix))


def head(root: Path) -> Head:
    """Return the head of a root."""
    with RootStore(root, readonly=True) as store:
        return head_of(store)
