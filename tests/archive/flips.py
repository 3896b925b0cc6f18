"""Flip bytes of an archive's objects, one at a time, and see whether ``verify`` finds it.

What it does not find must have no meaning: what the object says is the same as before.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mxm_dataio.archive import Archive, session_object
from mxm_dataio.archive.names import SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.storage.recording_store import RecordingStore
from tests.trust.small import end, record, session

from .archives import objects


def make(root: Path) -> None:
    """Record what has objects of each kind: of two sources, a large body, a session of no calls."""
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        record(store, held, "a", b"small", b"x" * 70_000, upload=b"a=1")
        record(store, replace(held, source="other"), "b", b"other")
        end(store, held)
        ended = session()
        store.begin(ended)
        end(store, ended)


def places(content: bytes, most: int | None, draw: random.Random) -> Iterable[int]:
    """Return offsets in an object: all, or so many."""
    every = range(len(content))
    return every if most is None or most >= len(every) else sorted(draw.sample(every, most))


def flip(url: str, most: int | None, seed: int) -> tuple[int, int, list[tuple[str, int, int]]]:
    """Flip a bit of each byte of an archive in turn.

    Args:
        most: bytes of each object; all, if not given.

    Returns:
        How many were flipped, how many of them were found, and those that were neither found nor
        without meaning, as name, offset and bit.
    """
    known = Archive(url).verify()
    assert known.ok
    whole = objects(url)
    store, draw = ObjectStore(url), random.Random(seed)
    flips, found, missed = 0, 0, []
    for name, content in whole.items():
        said = _meaning(name, content)
        for place in places(content, most, draw):
            bit = draw.randrange(8)
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            store.put(name, bytes(flipped))
            flips += 1
            if not Archive(url).verify().ok:
                found += 1
            elif _meaning(name, bytes(flipped)) != said:
                missed.append((name, place, bit))
        store.put(name, content)
    assert Archive(url).verify() == known
    return flips, found, missed


def _meaning(name: str, content: bytes) -> object:
    parsed = SessionName.parse(name)
    return (
        session_object.read(content, parsed, name)
        if parsed
        else hashlib.sha256(content).hexdigest()
    )
