"""Objects with calls: one row a call of one source in one session, sorted by ``params_hash``.

A call's columns, and those of its attempts, are those that its hash covers, as they are. Its bodies
up to :data:`INLINE` bytes stand beside it, so that most look-ups are one request. ``host`` and
``status_code`` are there for who reads the archive with another tool; nothing here believes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import IntegrityError
from ..storage.catalog import rows
from ..storage.catalog.sealed import SealedCall
from . import parquet
from .names import is_checksum
from .parquet import Column

# Larger bodies are objects of their own.
INLINE = 64 << 10
# So much of content an object has before the session's next calls go to another: what is written,
# or read, is in memory.
PART = 8 << 20
# What a row takes besides what is counted.
_ROW = 400

_CALL = parquet.columns_of(
    text="id session root source as_of kind method endpoint identity url params_hash base_hash "
    "vary",
    bytes="head",
) + parquet.columns_of(
    text="body_checksum", integer="body_size", real="started duration"
) + parquet.columns_of(text="status failure served_from")  # fmt: skip
_ATTEMPT = (
    parquet.columns_of(integer="sequence", text="method url")
    + parquet.columns_of(integer="status_code", bytes="head", text="checksum")
    + parquet.columns_of(integer="size", boolean="complete closed_by_peer", text="framing failure")
    + parquet.columns_of(real="started connect tls first_byte total")
    + parquet.columns_of(text="peer tls_version tls_cipher tls_certificate original")
    + parquet.columns_of(integer="truncated")
)
_CONTENT = parquet.columns_of(text="checksum", bytes="bytes")
COLUMNS = (
    *_CALL, *parquet.columns_of(integer="position", bytes="hash"),
    Column("attempts", "", _ATTEMPT), Column("contents", "", _CONTENT),
    *parquet.columns_of(text="host", integer="status_code"),
)  # fmt: skip
# Distinct in nearly every row: a dictionary of them would be as long as they are.
_PLAIN = (
    "id", "hash", "position", "started", "duration", "contents.list.element.bytes",
    "contents.list.element.checksum", "attempts.list.element.checksum",
    "attempts.list.element.started", "attempts.list.element.first_byte",
    "attempts.list.element.total",
)  # fmt: skip
# Rows that are read together where one is looked up.
_GROUP = 8192

_SORTED = [one.name for one in COLUMNS].index("params_hash")

Contents = Mapping[str, bytes]


class ArchivedCall(NamedTuple):
    """A call as an archive has it.

    Attributes:
        position: in its session's chain, from 0.
        call: what its hash covers; not yet compared with that.
        contents: checksum → bytes of its small bodies; compared.
        object: name of the object that has it, where that is known.
    """

    position: int
    call: SealedCall
    contents: Contents
    object: str = ""


class ExchangesWriter:
    """Gathers the calls of one source until they are an object."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[rows.Row] = []

    def add(self, position: int, call: SealedCall, contents: Contents) -> None:
        """Take a call."""
        columns, attempts = call.columns, call.attempts
        status = attempts[-1][3] if attempts else None
        row = (
            *columns, position, call.hash, attempts, tuple(contents.items()),
            _host(columns[7]), status,
        )  # fmt: skip
        self._rows.append(row)
        self.size += _ROW + len(columns[7]) + len(columns[8]) + sum(map(len, contents.values()))
        self.size += sum([len(attempt[4]) + 200 for attempt in attempts])

    def finish(self) -> memoryview:
        """Return the object; one call at least was taken.

        Raises:
            IntegrityError: a value is none of its column's kind.
        """
        # (Arrow's own sorting takes longer to load than this.)
        self._rows.sort(key=itemgetter(_SORTED))
        batch = parquet.batch(COLUMNS, self._rows)
        self._rows = []
        return parquet.write(batch, sorted_by="params_hash", plain=_PLAIN, group=_GROUP)


def read(content: bytes | memoryview, name: str) -> list[ArchivedCall]:
    """Return the calls of an object, in the order of their chain.

    Raises:
        IntegrityError: it is damaged or none of ours; or a body beside a call is not the one that
            its checksum names.
    """
    found = parquet.read(content, COLUMNS, name)
    calls = []
    width = len(_CALL)
    for row in found:
        position, link, attempts, contents = row[width : width + 4]
        call = SealedCall(link, row[:width], attempts)
        calls.append(ArchivedCall(position, call, _checked(contents, name)))
    try:
        return sorted(calls, key=lambda one: one.position)
    except TypeError:
        raise IntegrityError(f"{name} is damaged: calls of it have no position") from None


def _checked(contents: Sequence[rows.Row], name: str) -> Contents:
    found: dict[str, bytes] = {}
    for checksum, content in contents:
        if not isinstance(content, bytes) or checksum != hashlib.sha256(content).hexdigest():
            raise IntegrityError(f"{name} is damaged: it has another body in place of {checksum}")
        found[checksum] = content
    return found


def bodies(call: SealedCall) -> Iterator[tuple[str, int]]:
    """Yield checksum and size of each body that a call names, of each once.

    Raises:
        IntegrityError: what is named is no body.
    """
    columns, seen = call.columns, set[str]()
    named = [(columns[14], columns[15]), *((one[5], one[6]) for one in call.attempts)]
    for checksum, size in named:
        if checksum is None or checksum in seen:
            continue
        if not is_checksum(checksum) or not isinstance(size, int) or size < 0:
            raise IntegrityError(f"call {columns[0]} names {str(checksum)[:80]!r} as a body")
        seen.add(checksum)
        yield checksum, size


def _host(endpoint: str) -> str | None:
    try:
        return urlsplit(endpoint).netloc or None
    except ValueError:
        return None
