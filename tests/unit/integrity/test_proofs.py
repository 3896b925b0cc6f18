"""Heads and proofs: what is proved holds, and nothing that was changed does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity.proofs import Consistency, Head, Inclusion, go_on, head_of, include, parse
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import end, fill, record, session


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    fill(root)
    return root


def test_a_head_is_a_line() -> None:
    head = Head.of([b"a", b"b"])
    assert str(head) == f"mxm-dataio-head 1 2 {head.root.hex()}"
    assert Head.parse(f"{head}\n") == head
    for line in (
        "",
        "mxm-dataio-head 2 2 " + "0" * 64,
        f"{head}0",
        str(head).replace(" 2 ", " 02 "),
    ):
        with pytest.raises(ValueError, match="is no head"):
            Head.parse(line)


def test_every_session_is_proved_and_no_other(root: Path) -> None:
    with RootStore(root, readonly=True) as store:
        proofs = [include(store, one.id) for one in store.sessions()]
        head = head_of(store)
    assert sorted(proof.leaf for proof in proofs) == [0, 1, 2]
    for proof in proofs:
        assert proof.head == head
        again = parse(proof.text())
        assert again == proof
        assert again.holds()
        assert not replace(proof, leaf=(proof.leaf + 1) % 3).holds()
        assert not replace(proof, count=proof.count + 1).holds()
        assert not replace(proof, chain=bytes(32)).holds()
        for place in range(len(proof.columns)):
            columns = list(proof.columns)
            columns[place] = "changed"
            assert not replace(proof, columns=tuple(columns)).holds(), place


def test_a_store_that_goes_on_is_proved_to(tmp_path: Path) -> None:
    heads = []
    with RecordingStore(tmp_path) as store:
        for number in range(5):
            held = session()
            store.begin(held)
            record(store, held, "a", b"%d" % number)
            end(store, held)
            heads.append(head_of(store))
        for size, head in enumerate(heads, 1):
            assert head.size == size
            proof = go_on(store, head)
            assert parse(proof.text()) == proof
            assert proof.holds()
            assert (proof.earlier, proof.head) == (head, heads[-1])
        with pytest.raises(IntegrityError, match="not the one of the head given"):
            go_on(store, Head(3, bytes(32)))
        with pytest.raises(IntegrityError, match="has 5 ended sessions, fewer"):
            go_on(store, Head(6, bytes(32)))
        store.begin(held := session())
        with pytest.raises(StoreError, match="only one that has ended"):
            include(store, held.id)


VALID = {
    "proof": "mxm-dataio consistency 1",
    "from": "mxm-dataio-head 1 1 " + "0" * 64,
    "head": "mxm-dataio-head 1 2 " + "1" * 64,
    "path": ["2" * 64],
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@pytest.mark.parametrize(
    "changed",
    [
        {"path": ["2" * 63]},
        {"path": [7]},
        {"path": ["2" * 64] * 66},
        {"path": None},
        {"head": "x"},
        {"head": None},
        {"proof": "other"},
        {"proof": "mxm-dataio inclusion 1"},
        {"proof": "mxm-dataio inclusion 1", "leaf": True, "chain": "0" * 64},
        {"proof": "mxm-dataio inclusion 1", "leaf": 1 << 63, "chain": "0" * 64},
        {
            "proof": "mxm-dataio inclusion 1",
            "leaf": 0,
            "chain": "0" * 64,
            "count": 1,
            "session": {},
        },
    ],
)
def test_what_is_no_proof_is_refused(changed: dict[str, Any]) -> None:
    assert isinstance(parse(json.dumps(VALID)), Consistency)
    with pytest.raises(IntegrityError, match="this is no proof"):
        parse(json.dumps(VALID | changed))


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", "[" * 100_000, '{"path": ' + "9" * 9999 + "}"]
)
def test_texts_that_are_no_proof(text: str) -> None:
    with pytest.raises(IntegrityError, match="this is no proof"):
        parse(text)


@given(st.dictionaries(st.sampled_from([*VALID, "leaf", "chain", "count", "session"]), json_values))
def test_any_text_is_a_proof_or_refused(changed: dict[str, Any]) -> None:
    try:
        proof = parse(json.dumps(VALID | changed))
    except IntegrityError:
        return
    assert isinstance(proof, Consistency | Inclusion)
    assert not proof.holds()
