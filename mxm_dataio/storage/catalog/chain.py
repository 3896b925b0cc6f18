"""The hash chain of a session: what was recorded can't be changed without a trace.

Each record's hash is the SHA-256 of the hash before it and of the record's canonical form: the JSON
text of its columns, bytes in hex, in the order in which :mod:`mxm_dataio.storage.catalog.rows`
names them. The first follows :data:`START`. A call's form holds its attempts' and with them the
checksums of all payloads. The session's *head* is the hash of its last record; its *seal* covers
the head, the count of records and the session's own columns, and stands for the whole of it in the
store's tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from ...utils import json_writer

# What the first record of a session follows.
START = bytes(32)


def record_hash(before: bytes, columns: Sequence[Any], attempts: Iterable[Sequence[Any]]) -> bytes:
    """Return the hash of a call.

    Args:
        before: the hash of the record before it in its session.
        columns: the call's.
        attempts: the columns of each of its attempts, in their order.
    """
    return _hash(b"call", before, [columns, *attempts])


def predecessor(
    link: bytes, columns: Sequence[Any], attempts: Iterable[Sequence[Any]], among: Iterable[bytes]
) -> int | None:
    """Return which of some hashes a call was recorded behind, given its own; ``None``: no one."""
    form = _form([columns, *attempts])
    for place, before in enumerate(among):
        if hashlib.sha256(b"call" + before + form).digest() == link:
            return place
    return None


def seal(head: bytes, count: int, columns: Sequence[Any]) -> bytes:
    """Return the hash of an ended session.

    Args:
        head: the hash of its last record.
        count: of its records.
        columns: the session's own.
    """
    return _hash(b"session", head, [count, columns])


def _hash(kind: bytes, before: bytes, value: Any) -> bytes:
    # The kind keeps one sort of record from being taken for another (RFC 9162 §2.1 does so too).
    return hashlib.sha256(kind + before + _form(value)).digest()


def _form(value: Any) -> bytes:
    return _canonical(value).encode("ascii")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no column holds {type(value).__name__}")


_canonical = json_writer(_plain)
