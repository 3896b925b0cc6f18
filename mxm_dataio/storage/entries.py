"""A call on its way from the adapter that captured it to the catalog and the payloads.

Tuples, since they are made at every call and written as they are: what a row needs besides is
worked out when calls move to the catalog, many at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..models import Failure, Framing, Peer, Status
from ..patterns import regex
from ..utils import json_writer


class CapturedCall(NamedTuple):
    """What a program asked for, and how that ended.

    Attributes:
        started: seconds since the epoch.
        duration: seconds until the program had its answer (the head, or the exception).
        head: the request's head as it went out; see :func:`mxm_dataio.http.heads.parse_head`.
    """

    id: str
    method: str
    url: str
    started: float
    status: Status = Status.COMPLETE
    duration: float | None = None
    failure: Failure | None = None
    head: bytes = b""


class CapturedAttempt(NamedTuple):
    """One try on the wire; see :class:`mxm_dataio.models.Response` for what is not said here.

    Attributes:
        started: seconds since the epoch.
        connect, tls, first_byte, total: seconds since then.
    """

    method: str
    url: str
    started: float
    status_code: int | None = None
    checksum: str | None = None
    size: int = 0
    complete: bool = False
    closed_by_peer: bool = False
    framing: Framing | None = None
    failure: Failure | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    peer: Peer = Peer()
    original_checksum: str | None = None
    truncated: int = 0
    head: bytes = b""

    def holding(self, checksum: str, size: int) -> CapturedAttempt:
        """Return this with another body, which is framed by its own length."""
        missing = self.size - size
        return self._replace(
            head=_LENGTH.sub(lambda match: match[1] + b"%d" % (int(match[2]) - missing), self.head),
            checksum=checksum,
            size=size,
            original_checksum=self.original_checksum or self.checksum,
            framing=_recut(self.framing, self.size, size),
        )

    def withheld(self, checksum: str) -> CapturedAttempt:
        """Return this without its body, of which no more is kept than that it came.

        Args:
            checksum: of no bytes.
        """
        return self._replace(
            checksum=checksum,
            size=0,
            complete=False,
            closed_by_peer=False,
            framing=self.framing and Framing((), tail=self.framing.tail),
            original_checksum=self.original_checksum or self.checksum,
            truncated=self.truncated + self.size,
        )


class InSession(NamedTuple):
    """What a call has of its session."""

    id: str
    root_id: str
    source: str
    as_of: str


class Entry(NamedTuple):
    """A call as it is written: redacted, identified, in its session's name.

    Attributes:
        identity: the canonical document.
        vary: names of the headers that the answer varies on.
        base_hash: the hash without those, where there are any.
        payloads: checksum → content of those that have no file yet.
    """

    call: CapturedCall
    session: InSession
    kind: str
    identity: str
    vary: tuple[str, ...]
    base_hash: str | None
    body_checksum: str | None
    body_size: int
    served_from: str | None
    attempts: tuple[CapturedAttempt, ...]
    payloads: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of its heads and payloads."""
        heads = len(self.call.head) + sum(len(attempt.head) for attempt in self.attempts)
        return heads + sum(map(len, self.payloads.values()))

    def named(self) -> dict[str, int]:
        """Return the checksums of the payloads that it names, with their sizes."""
        found = {one.checksum: one.size for one in self.attempts if one.checksum is not None}
        if self.body_checksum is not None:
            found[self.body_checksum] = self.body_size
        return found

    def encode(self) -> tuple[bytes, bytes]:
        """Return a document, JSON in ASCII, and the bytes that it tells the lengths of."""
        call, attempts, payloads = self.call, self.attempts, self.payloads
        document = _encode(
            [
                call[:-1],
                len(call.head),
                self[1:-2],
                [attempt[:-1] for attempt in attempts],
                [len(attempt.head) for attempt in attempts],
                list(payloads),
                [len(content) for content in payloads.values()],
            ]
        ).encode("ascii")
        heads = [attempt.head for attempt in attempts]
        return document, b"".join([call.head, *heads, *payloads.values()])

    @classmethod
    def decode(cls, document: bytes, content: bytes) -> Entry:
        """Return the entry of a document and its bytes.

        They may be anyone's: an entry is returned only if it is one that could have been written.

        Raises:
            ValueError, TypeError, LookupError, AttributeError, RecursionError: it is none.
        """
        call, length, rest, found, lengths, checksums, sizes = json.loads(document)
        pieces = []
        at = 0
        for size in (length, *lengths, *sizes):
            if type(size) is not int or not 0 <= size <= len(content) - at:
                raise ValueError("its bytes are not those that it tells of")
            pieces.append(content[at : at + size])
            at += size
        heads, contents = pieces[1 : 1 + len(lengths)], pieces[1 + len(lengths) :]
        session, kind, identity, vary, base_hash, body_checksum, body_size, served_from = rest
        if at != len(content) or not len(found) == len(heads) <= _MOST_ATTEMPTS:
            raise ValueError("it has more or less of bytes or attempts than it tells of")
        for checksum, one in zip(checksums, contents, strict=True):
            # It is to be the name of a file.
            if checksum != hashlib.sha256(one).hexdigest():
                raise ValueError("a payload is not that of its checksum")
        _fit(
            [*session, kind, identity, *vary, base_hash, body_checksum, served_from],
            [*(_TEXT,) * 6, *(_TEXT,) * len(vary), *(_TEXT_OR_NONE,) * 3],
        )
        _fit([body_size], [_NUMBER])
        check_checksum(body_checksum)
        if not isinstance(json.loads(identity)["endpoint"], str):
            raise ValueError("its identity has no endpoint")
        return cls(
            _call(call, pieces[0]), InSession(*session), kind, identity, tuple(vary), base_hash,
            body_checksum, body_size, served_from, tuple(map(_attempt, found, heads)),
            dict(zip(checksums, contents, strict=True)),
        )  # fmt: skip


_LENGTH = regex(rb"^(content-length[ \t]*:[ \t]*)(\d{1,18})(?=[ \t]*\r?$)", re.I | re.M)


def _recut(framing: Framing | None, size: int, stored: int) -> Framing | None:
    """Return a body's framing as one chunk, of which as much is missing as was of all."""
    if framing is None:
        return None
    announced = sum(length * count for length, count in framing.chunks)
    return Framing(((stored + announced - size, 1),), tail=framing.tail)


class SessionEntry(NamedTuple):
    """The row of a session, as it is written where the database can't be.

    Attributes:
        row: see :data:`mxm_dataio.storage.catalog.rows.SESSION`.
        calls: how many of the session's calls stand before it; it is sealed behind them. ``None``
            while it goes on.
    """

    row: tuple[Any, ...]
    calls: int | None

    @property
    def size(self) -> int:
        """Bytes of its heads and payloads: it has none."""
        return 0

    @property
    def payloads(self) -> dict[str, bytes]:
        """Its payloads: it has none."""
        return {}

    def encode(self) -> tuple[bytes, bytes]:
        """Return a document, JSON in ASCII, and no bytes."""
        return _encode({"session": self.row, "calls": self.calls}).encode("ascii"), b""

    @classmethod
    def decode(cls, document: dict[str, Any], content: bytes) -> SessionEntry:
        """Return the entry of a document; raises as malformed content does.

        What the row's columns hold is for who writes them to check.
        """
        row, calls = document["session"], document["calls"]
        _fit([calls], [_NUMBER_OR_NONE])
        if type(row) is not list or content or len(document) != 2 or calls is True:
            raise ValueError("it is no session's")
        return cls(tuple(row), calls)


# What is written to a journal.
AnyEntry = Entry | SessionEntry


def decoded(document: bytes, content: bytes) -> AnyEntry:
    """Return the entry of a document and its bytes; raises as :meth:`Entry.decode` does."""
    if document.startswith(b"{"):
        return SessionEntry.decode(json.loads(document), content)
    return Entry.decode(document, content)


_NONE = type(None)
_TEXT, _TEXT_OR_NONE = (str,), (str, _NONE)
_NUMBER, _NUMBER_OR_NONE = (int,), (int, bool, _NONE)
_SECONDS, _SECONDS_OR_NONE = (float, int), (float, int, _NONE)
_MOST_ATTEMPTS = 1 << 16
_LARGEST_NUMBER = (1 << 63) - 1
_CHECKSUM = regex(r"[0-9a-f]{64}")
_CALL = (_TEXT, _TEXT, _TEXT, _SECONDS, _TEXT, _SECONDS_OR_NONE)
_ATTEMPT = (
    _TEXT, _TEXT, _SECONDS, _NUMBER_OR_NONE, _TEXT_OR_NONE, _NUMBER, (bool,), (bool,),
)  # fmt: skip
_TIMES = (_SECONDS_OR_NONE,) * 4


def _fit(values: Sequence[Any], kinds: Sequence[tuple[type, ...]]) -> None:
    """Raise ``ValueError`` if values are not of their kinds, or numbers that no row takes."""
    for value, allowed in zip(values, kinds, strict=True):
        if type(value) not in allowed:
            raise ValueError(f"{str(value)[:40]!r} has no place in it")
        least = 0 if allowed is _NUMBER else -_LARGEST_NUMBER
        if type(value) is int and not least <= value <= _LARGEST_NUMBER:
            raise ValueError("a number is out of range")
        if type(value) is float and not math.isfinite(value):
            raise ValueError("a number is none")


def check_checksum(checksum: str | None) -> None:
    """Raise ``ValueError`` if a checksum is none: it is to be a part of a file's name."""
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise ValueError(f"{checksum[:80]!r} is no checksum")


def _call(fields: list[Any], head: bytes) -> CapturedCall:
    *plain, failure = fields
    _fit(plain, _CALL)
    id, method, url, started, status, duration = plain
    return CapturedCall(
        id, method, url, started, Status(status), duration, failure_of(failure), head
    )


def _attempt(fields: list[Any], head: bytes) -> CapturedAttempt:
    plain, times, others = fields[:8], fields[10:14], fields[14:]
    framing, failure = fields[8:10]
    peer, original, truncated = others
    _fit(plain, _ATTEMPT)
    _fit(times, _TIMES)
    _fit([*peer, original, truncated], [*(_TEXT_OR_NONE,) * 5, _NUMBER])
    check_checksum(plain[4])
    return CapturedAttempt._make(
        [
            *plain, framing_of(framing, plain[5]), failure_of(failure), *times, Peer(*peer),
            original, truncated, head,
        ]
    )  # fmt: skip


def failure_of(fields: Any) -> Failure | None:
    """Return the failure of a JSON value; raises as malformed content does."""
    if fields is None:
        return None
    error_class, message, data = fields
    _fit([error_class, message, data], [_TEXT, _TEXT, (dict,)])
    return Failure(error_class, message, data)


def framing_of(fields: Any, size: int) -> Framing | None:
    """Return the framing of a JSON value; raises as malformed content does.

    Args:
        size: bytes of the body that it is to cut.
    """
    if fields is None:
        return None
    chunks, odd, tail = fields
    runs = []
    announced = 0
    for length, count in chunks:
        _fit([length, count], [_NUMBER, _NUMBER])
        if not length or not count:
            raise ValueError("a chunk is empty")
        announced += length * count
        runs.append((length, count))
    if announced < size:
        raise ValueError("its chunks are of fewer bytes than its body")
    return Framing(
        tuple(runs),
        {int(index): line.encode("latin-1") for index, line in odd.items()},
        tail.encode("latin-1"),
    )


def _plain(value: Any) -> Any:
    """Return what JSON has no form for."""
    if isinstance(value, Failure):
        return [value.error_class, value.message, value.data]
    if isinstance(value, Framing):
        odd = {str(index): line.decode("latin-1") for index, line in value.odd.items()}
        return [value.chunks, odd, value.tail.decode("latin-1")]
    raise TypeError(f"no {type(value).__name__} is written")


_encode = json_writer(_plain)
