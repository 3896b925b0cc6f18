"""By what a large payload is checked piece by piece: the SHA-256 of each of its beginnings.

A payload's name is the digest of the whole, which says nothing until the last byte. Hashing all
of a large file before its first byte is served would keep the program waiting, and remembering
that a file was sound once (by its inode, size and times) would miss a block that went bad on the
disk since, which changes none of these. So beside a large payload lies ``<checksum>.prefixes``:
the SHA-256 of its first block, of its first two blocks, and so on. The hash of the whole passes
through these states anyway, so they cost no second hash, neither when recording nor on replay,
and each is as strong as the name itself, where a short check sum would let one damage in four
thousand million through.

Each digest covers everything before it, and the last block is checked against the payload's name.
So no byte is served that accident has changed, in the payload or in this file: its own digest
stands at its end, and one that is damaged counts as missing (the payload is then hashed whole
before its first byte is served). Who forges payload and prefixes alike gets all but the last block
served before the name gives the forgery away; he could as well have written to the database.
"""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO, NamedTuple, Self

from ...patterns import regex

_TITLE = b"mxm-dataio prefixes 1"
_DIGEST = 32
_BLOCKS = range(1 << 16, (1 << 24) + 1)
_NUMBER = regex(rb"[1-9][0-9]{4,7}")
_HEADER = 64


class Prefixes(NamedTuple):
    """The digests of a payload's beginnings.

    Attributes:
        block: bytes of a block.
        size: bytes of the payload.
        digests: of the first block, the first two, and so on; whole blocks only.
    """

    block: int
    size: int
    digests: bytes

    @classmethod
    def of(cls, file: BinaryIO, block: int) -> tuple[Self, str]:
        """Read a file to its end and return its prefixes and its checksum."""
        digest, digests, size = hashlib.sha256(), bytearray(), 0
        view = memoryview(bytearray(block))
        while count := fill(file, view):
            digest.update(view[:count])
            size += count
            if count == block:
                digests += digest.digest()
        return cls(block, size, bytes(digests)), digest.hexdigest()

    @classmethod
    def decode(cls, data: bytes, size: int) -> Self | None:
        """Return the prefixes of a payload of a size from their file, ``None`` if it is damaged."""
        held, own = data[:-_DIGEST], data[-_DIGEST:]
        header, _, digests = held.partition(b"\n")
        title, _, numbers = header.rpartition(b" block=")
        block, _, stated = numbers.partition(b" size=")
        if (
            title != _TITLE
            or stated != b"%d" % size
            or not re.fullmatch(rb"[1-9][0-9]{4,7}", block)
        ):
            return None
        made = cls(int(block), size, digests)
        if made.block not in _BLOCKS or len(digests) != size // made.block * _DIGEST:
            return None
        return made if hashlib.sha256(held).digest() == own else None

    def encode(self) -> bytes:
        """Return what is kept in the file."""
        held = b"%s block=%d size=%d\n%s" % (_TITLE, self.block, self.size, self.digests)
        return held + hashlib.sha256(held).digest()

    def at(self, end: int) -> bytes:
        """Return the digest of everything up to the end of a block."""
        last = end // self.block * _DIGEST
        return self.digests[last - _DIGEST : last]


def room(size: int) -> int:
    """Return the most that the file for a payload of a size can hold."""
    return _HEADER + (size // _BLOCKS.start + 1) * _DIGEST


def fill(file: BinaryIO, view: memoryview) -> int:
    """Read until a buffer is full or the file ends, and return how much came."""
    count = 0
    while count < len(view) and (came := file.readinto(view[count:])):  # type: ignore[attr-defined]
        count += came
    return count
