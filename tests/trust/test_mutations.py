"""The mutations, sampled; the whole of them takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxm_dataio.integrity.findings import Verified
from tests.trust import mutations
from tests.trust.mutations import Outcome, dump, everything, flips, make, run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    make(root)
    return root


def sampled(root: Path, step: int) -> Outcome:
    chosen = list(flips(root, step))
    outcome = run(root, chosen, dump(root))
    assert outcome.flips == len(chosen)
    return outcome


def test_no_flip_that_means_something_is_missed(root: Path) -> None:
    outcome = sampled(root, 199)
    assert (outcome.missed, outcome.raised) == ([], [])
    assert outcome.detected["database"] > outcome.flips / 3


def test_every_byte_of_every_payload(root: Path) -> None:
    chosen = [flip for flip in flips(root, 1) if flip.path.startswith("responses/")]
    outcome = run(root, chosen, dump(root))
    assert outcome.detected == {"payloads": len(chosen)}
    assert len(chosen) == 42


def test_a_verify_that_finds_nothing_would_be_found_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutations, "verify_root", lambda _: Verified())
    outcome = sampled(root, 499)
    assert len(outcome.missed) > outcome.flips / 3
    assert "0 detected" in str(outcome)


def test_the_store_is_as_it_was_behind_every_flip(root: Path) -> None:
    before = dump(root)
    sampled(root, 1999)
    assert dump(root) == before
    assert isinstance(before, list)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_byte() -> None:
    outcome = everything(1)
    assert (outcome.missed, outcome.raised) == ([], [])
