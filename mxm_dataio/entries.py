"""A call on its way from the adapter that captured it to the catalog and the payloads.

Tuples, since they are made at every call and written as they are: what a row needs besides is
worked out when calls move to the catalog, many at a time.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .models import Failure, Framing, Peer, Status


class CapturedCall(NamedTuple):
    """What a program asked for, and how that ended.

    Attributes:
        started: seconds since the epoch.
        duration: seconds until the program had its answer (the head, or the exception).
        head: the request's head as it went out; see :func:`mxm_dataio.heads.parse_head`.
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
        """Return the entry of a document and its bytes; raises as malformed content does."""
        call, length, rest, found, lengths, checksums, sizes = json.loads(document)
        pieces = []
        at = 0
        for size in (length, *lengths, *sizes):
            pieces.append(content[at : at + size])
            at += size
        heads, contents = pieces[1 : 1 + len(lengths)], pieces[1 + len(lengths) :]
        session, kind, identity, vary, *others = rest
        return cls._make(
            [
                _call(call, pieces[0]),
                InSession(*session),
                kind,
                identity,
                tuple(vary),
                *others,
                tuple(map(_attempt, found, heads)),
                dict(zip(checksums, contents, strict=True)),
            ]
        )


def _call(fields: list[Any], head: bytes) -> CapturedCall:
    call = CapturedCall._make([*fields, head])
    return call._replace(status=Status(call.status), failure=_failure(call.failure))


def _attempt(fields: list[Any], head: bytes) -> CapturedAttempt:
    attempt = CapturedAttempt._make([*fields, head])
    return attempt._replace(
        framing=_framing(attempt.framing),
        failure=_failure(attempt.failure),
        peer=Peer(*attempt.peer),
    )


def _failure(fields: Any) -> Failure | None:
    return Failure(*fields) if fields else None


def _framing(fields: Any) -> Framing | None:
    if fields is None:
        return None
    chunks, odd, tail = fields
    return Framing(
        tuple((size, count) for size, count in chunks),
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


# Made once: json.dumps makes another at each call that asks for anything.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode
