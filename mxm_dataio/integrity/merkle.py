"""Merkle trees as RFC 9162 §2.1 hashes them, and the two proofs that they give.

One hash, the root, stands for a list of leaves. That a leaf is in the list (inclusion), and that a
longer list begins with a shorter one (consistency), is shown by about log2 of the length in hashes,
to one who has the roots and nothing else of the lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the hash that stands for the leaves, in their order."""
    return _root(_hashed(leaves), 0, len(leaves))


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the path that leads from a leaf to the root of all.

    Raises:
        IndexError: there is no such leaf.
    """
    return Tree(leaves).inclusion_proof(index)


class Tree:
    """The tree of a list of leaves, for many proofs: each of its nodes is hashed once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._hashes = _hashed(leaves)
        self._nodes: dict[tuple[int, int], bytes] = {}

    @property
    def root(self) -> bytes:
        """The hash that stands for the leaves."""
        return self.root_of(len(self._hashes))

    def root_of(self, size: int) -> bytes:
        """Return the hash that stands for so many of the leaves, from the first on."""
        return self._node(0, size)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the path that leads from a leaf to the root; see :func:`inclusion_proof`."""
        low, high = 0, len(self._hashes)
        if not low <= index < high:
            raise IndexError(index)
        path: list[bytes] = []
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._node(middle, high))
                high = middle
            else:
                path.append(self._node(low, middle))
                low = middle
        return path[::-1]

    def _node(self, low: int, high: int) -> bytes:
        if high - low < 2:
            return _root(self._hashes, low, high)
        found = self._nodes.get((low, high))
        if found is None:
            middle = low + _split(high - low)
            found = _node(self._node(low, middle), self._node(middle, high))
            self._nodes[low, high] = found
        return found


def consistency_proof(size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return what shows that the root of the first ``size`` leaves and that of all agree.

    Raises:
        IndexError: there are fewer leaves.
    """
    if not 0 <= size <= len(leaves):
        raise IndexError(size)
    if size in (0, len(leaves)):
        return []
    hashes = _hashed(leaves)
    path: list[bytes] = []
    low, high = 0, len(hashes)
    while size != high:
        middle = low + _split(high - low)
        if size <= middle:
            path.append(_root(hashes, middle, high))
            high = middle
        else:
            path.append(_root(hashes, low, middle))
            low = middle
    if low:
        # Else it is the smaller tree itself, whose root the other side has.
        path.append(_root(hashes, low, high))
    return path[::-1]


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether a leaf is the one at an index of the list of that size and root.

    Args:
        path: as :func:`inclusion_proof` gives it (RFC 9162 §2.1.3.2).
    """
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, _leaf(leaf)
    for one in path:
        if not last:
            return False
        if at & 1 or at == last:
            found = _node(one, found)
            at, last = _up(at, last)
        else:
            found = _node(found, one)
        at, last = at >> 1, last >> 1
    return not last and found == root


def consistent(
    size: int, root: bytes, later_size: int, later_root: bytes, path: Sequence[bytes]
) -> bool:
    """Say whether a list begins with another, given the size and root of each.

    Args:
        path: as :func:`consistency_proof` gives it (RFC 9162 §2.1.4.2).
    """
    if not 0 <= size <= later_size:
        return False
    if size == later_size:
        return not path and root == later_root
    if not size:
        return not path and root == _root([], 0, 0)
    # A tree of 2^n leaves is a node of the later one, and left out of the path.
    steps = [root, *path] if size & (size - 1) == 0 else list(path)
    if not path:
        return False
    at, last = size - 1, later_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    earlier = later = steps[0]
    for one in steps[1:]:
        if not last:
            return False
        if at & 1 or at == last:
            earlier, later = _node(one, earlier), _node(one, later)
            at, last = _up(at, last)
        else:
            later = _node(later, one)
        at, last = at >> 1, last >> 1
    return not last and (earlier, later) == (root, later_root)


def _leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _hashed(leaves: Sequence[bytes]) -> list[bytes]:
    return [_leaf(leaf) for leaf in leaves]


def _root(hashes: Sequence[bytes], low: int, high: int) -> bytes:
    if high == low:
        return hashlib.sha256().digest()
    if high - low == 1:
        return hashes[low]
    middle = low + _split(high - low)
    return _node(_root(hashes, low, middle), _root(hashes, middle, high))


def _split(count: int) -> int:
    """Return the largest power of two below a count."""
    return 1 << (count - 1).bit_length() - 1


def _up(at: int, last: int) -> tuple[int, int]:
    """Return the place of the first node above that is a right one, or the leftmost."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last
