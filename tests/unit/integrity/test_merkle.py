"""The tree: certificate transparency's test vectors, and the definitions of the RFC."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.integrity.merkle import (
    consistency_proof,
    consistent,
    includes,
    inclusion_proof,
    root,
)
from tests.support.effort import sampled

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {
    (0, 1): [],
    (0, 8): [A, B, C],
    (5, 8): [D, E, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], B, D],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [A, B, C],
    (6, 8): [F, E, ROOTS[4]],
    (2, 5): [B, D],
}


@pytest.mark.parametrize("size", ROOTS)
def test_roots(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("index_size", INCLUSION)
def test_inclusion(index_size: tuple[int, int]) -> None:
    index, size = index_size
    path = inclusion_proof(index, LEAVES[:size])
    assert [one.hex() for one in path] == INCLUSION[index_size]
    assert includes(LEAVES[index], index, size, path, root(LEAVES[:size]))


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency(sizes: tuple[int, int]) -> None:
    size, later = sizes
    path = consistency_proof(size, LEAVES[:later])
    assert [one.hex() for one in path] == CONSISTENCY[sizes]
    assert consistent(size, root(LEAVES[:size]), later, root(LEAVES[:later]), path)


def test_what_is_not_there_has_no_proof() -> None:
    for index in (-1, 8):
        with pytest.raises(IndexError):
            inclusion_proof(index, LEAVES)
    for size in (-1, 9):
        with pytest.raises(IndexError):
            consistency_proof(size, LEAVES)


# -- the definitions of RFC 9162 §2.1, word for word, as another implementation ----------------


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha(b"")
    if len(d) == 1:
        return sha(b"\0" + d[0])
    k = power(len(d))
    return sha(b"\1" + mth(d[:k]) + mth(d[k:]))


def power(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path_(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = power(len(d))
    if m < k:
        return [*path_(m, d[:k]), mth(d[k:])]
    return [*path_(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = power(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(2, "big") for number in range(count)]


@pytest.mark.parametrize("count", sampled(range(1, 34)))
def test_every_proof_of_small_trees(count: int) -> None:
    leaves = numbered(count)
    assert root(leaves) == mth(leaves)
    for index in range(count):
        path = inclusion_proof(index, leaves)
        assert path == path_(index, leaves)
        for at in range(count):
            assert includes(leaves[index], at, count, path, mth(leaves)) == (at == index)
    for size in range(count + 1):
        path = consistency_proof(size, leaves)
        if size:
            assert path == subproof(size, leaves, True)
        for other in range(count + 1):
            fits = consistent(other, mth(leaves[:other]), count, mth(leaves), path)
            # The proof for none is as empty as that for all.
            assert fits == (other == size or {size, other} == {0, count})


@given(st.data())
def test_a_proof_of_another_thing_is_refused(data: st.DataObject) -> None:
    leaves = data.draw(st.lists(st.binary(max_size=4), min_size=2, max_size=70))
    index = data.draw(st.integers(0, len(leaves) - 1))
    size = data.draw(st.integers(1, len(leaves) - 1))
    whole, part = mth(leaves), mth(leaves[:size])
    inclusion, consistency = inclusion_proof(index, leaves), consistency_proof(size, leaves)
    assert includes(leaves[index], index, len(leaves), inclusion, whole)
    assert consistent(size, part, len(leaves), whole, consistency)
    assert not includes(leaves[index] + b"x", index, len(leaves), inclusion, whole)
    assert not includes(leaves[index], len(leaves), len(leaves), inclusion, whole)
    for changed in mutated(data, inclusion):
        assert not includes(leaves[index], index, len(leaves), changed, whole)
    for changed in mutated(data, consistency):
        assert not consistent(size, part, len(leaves), whole, changed)
    assert not consistent(size, whole, len(leaves), whole, consistency)
    assert not consistent(size, part, len(leaves), part, consistency)


def mutated(data: st.DataObject, path: list[bytes]) -> list[list[bytes]]:
    """Return paths like this one: with a bit flipped, one hash less, one more."""
    at = data.draw(st.integers(0, len(path) - 1))
    flipped = bytes([path[at][0] ^ 1]) + path[at][1:]
    return [
        [*path[:at], flipped, *path[at + 1 :]],
        [*path[:at], *path[at + 1 :]],
        [*path, bytes(32)],
    ]
