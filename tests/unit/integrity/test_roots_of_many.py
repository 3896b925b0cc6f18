"""Whatever honest people do with roots that take sessions from each other, all stays as sealed."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError
from mxm_dataio.integrity.foreign import put_foreign
from mxm_dataio.integrity.proofs import Head, head_of, include
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import examples
from tests.trust import small

NAMES = ("one", "two", "three")


class Roots:
    """Some roots, and the heads that were published of each."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self._chance = folder, chance
        self.heads: dict[str, list[Head]] = {name: [] for name in NAMES}
        for name in NAMES:
            with RecordingStore(folder / name):
                pass

    def record(self, name: str) -> None:
        with RecordingStore(self.folder / name) as store:
            root = small.session()
            held = [root, small.session(root)] if self._chance.random() < 0.3 else [root]
            known = [id for (id,) in store.catalog.database.all("SELECT id FROM requests")]
            for one in held:
                store.begin(one)
                for number in range(self._chance.randrange(3)):
                    served = self._chance.choice(known) if known and number else None
                    small.record(store, one, f"n{number}", b"x", served_from=served)
            for one in held:
                if self._chance.random() < 0.8:
                    small.end(store, one)
        # Some were left, as by processes that died.
        with RecordingStore(self.folder / name) as store:
            store.seal_left()

    def prune(self, name: str) -> None:
        with RecordingStore(self.folder / name) as store:
            ids = [one.id for one in store.sessions() if one.source]
            if ids:
                prune(store, Choice(sessions=(self._chance.choice(ids),)))

    def take(self, name: str, other: str) -> None:
        """Take in some or all of what another root has, its prunes before the rest."""
        found = small.carried(self.folder / other)
        given = {one.session.id for one in found}
        some = self._chance.random() < 0.5
        with RecordingStore(self.folder / name) as store:
            for one in found:
                if some and self._chance.random() < 0.3 and one.session.source:
                    continue
                try:
                    put_foreign(store.catalog, *one)
                except IntegrityError as exc:
                    # What it is a child of was left out, or pruned where it is from.
                    left_out = some or one.session.root_id not in given
                    if not (left_out and "is to come first" in str(exc)):
                        raise
            told: dict[str, dict[int, bytes]] = {}
            for one in found:
                told.setdefault(one.session.store, {})[one.session.leaf] = one.session.seal
            for store_id, seals in told.items():
                store.catalog.put_origin_leaves(store_id, seals)

    def publish(self, name: str) -> None:
        with RootStore(self.folder / name) as store:
            self.heads[name].append(head_of(store))

    def check(self) -> None:
        for name in NAMES:
            found = verify_root(self.folder / name, against=self.heads[name])
            assert [str(one) for one in found.findings] == []
            with RootStore(self.folder / name) as store:
                assert all(
                    include(store, one.id).holds() for one in store.catalog.sealed_sessions()
                )


@given(st.integers(0, 1 << 32))
@examples(12)
def test_whatever_is_done_all_is_as_it_was_sealed(seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        roots = Roots(Path(folder), chance)
        for _ in range(14):
            name = chance.choice(NAMES)
            what = chance.choices(("record", "prune", "take", "publish"), (4, 2, 4, 1))[0]
            if what == "take":
                roots.take(name, chance.choice([one for one in NAMES if one != name]))
            else:
                getattr(roots, what)(name)
        roots.check()


@pytest.mark.parametrize("seed", range(3))
def test_who_has_all_of_a_root_has_its_heads(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    roots = Roots(tmp_path, chance)
    for _ in range(6):
        roots.record("one")
        roots.publish("one")
    with RecordingStore(tmp_path / "two") as store:
        assert all(put_foreign(store.catalog, *one) for one in small.carried(tmp_path / "one"))
    assert verify_root(tmp_path / "two", against=roots.heads["one"][-1:]).ok
    small.carry(tmp_path / "one", tmp_path / "three")
    assert verify_root(tmp_path / "three", against=roots.heads["one"]).ok
