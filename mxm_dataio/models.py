"""What is stored, as values: a session holds requests, a request holds responses.

A :class:`Request` is one *call*, what the program made. Each :class:`Response` is one
*attempt*, a try on the wire: a retry or a redirect that urllib3 follows is an attempt of the
same call. Nothing here touches disk or network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, Self

from .errors import ConfigError, StoreError

Headers = tuple[tuple[str, str], ...]
# Bytes of a body that are taken into memory where nothing else is asked.
LARGEST_READ = 256 << 20


class Mode(StrEnum):
    """What a session does with a call. VCR's words are accepted where they mean the same."""

    RECORD = "record"
    REPLAY = "replay"
    AUTO = "auto"
    OFF = "off"


class Status(StrEnum):
    """How a session or a request ended."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    """A request whose body was not read to its end, or not kept to its end (``max_body``)."""
    INCOMPLETE = "incomplete"
    """A session in which something could not be stored."""
    FAILED = "failed"
    """A request that raised; a session that met a replay miss."""
    INTERRUPTED = "interrupted"
    """A session whose process died, a request that was broken off (``KeyboardInterrupt``)."""


class Unseen(NamedTuple):
    """Something that a session saw happen, but could not capture.

    Attributes:
        kind: ``connection``, ``process`` or ``library``.
        name: ``host:port`` (or a unix socket's path), the executable, or the library's name.
        times: how often.
        caller: module that did it, as far as it is known.
    """

    kind: str
    name: str
    times: int = 1
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of recording.

    Attributes:
        root_id: the session's own id, or that of the outermost parent for a child process.
        program: what ran under :mod:`mxm_dataio.run`: the script, module or command, without its
            arguments, which may be secret.
        exit_status: of that program; negative for the signal that ended it. Of a child process
            nobody sees it, unless its parent sent that signal.
        coverage: what was seen to go past the session; ``None`` where nobody watched.
        left_out: where calls went that it was told to leave out, and how often.
        pruned_at: when its calls were deleted; its row and its seal stay.
    """

    id: str
    source: str
    mode: Mode
    as_of: str
    status: Status
    started_at: str
    ended_at: str | None = None
    kind: str = ""
    parent_id: str | None = None
    root_id: str = ""
    pid: int = 0
    warnings: tuple[str, ...] = ()
    program: str = ""
    exit_status: int | None = None
    coverage: tuple[Unseen, ...] | None = None
    left_out: tuple[Unseen, ...] = ()
    pruned_at: str | None = None

    @property
    def ended_by_parent(self) -> bool:
        """It was a child process's, whose parent ended that (``Pool.terminate``)."""
        is_child, stopped = self.parent_id is not None, self.exit_status is not None
        return self.status is Status.INTERRUPTED and is_child and stopped


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as data: enough to raise its like again.

    ``data`` is the JSON form that the adapter which saw the exception wrote; the store does
    not look into it.
    """

    error_class: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Deferred:
    """A value whose fields may be read from where it is stored once one of them is asked for."""

    __slots__ = ("_whole",)

    @classmethod
    def deferred(cls, whole: Callable[[], Self], known: Mapping[str, Any]) -> Self:
        """Return a value of which some fields are known.

        Args:
            whole: returns it with all of them; what it raises asking for another raises.
            known: by their names.
        """
        value = object.__new__(cls)
        _set_field(value, "_whole", whole)
        for name, field_value in known.items():
            _set_field(value, name, field_value)
        return value

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Python asks here for a slot that is not set.
            fields = type(self).__slots__
            if name not in fields:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
                )
            whole = self._whole()
            for one in fields:
                _set_field(self, one, getattr(whole, one))
            return getattr(whole, name)


# Fields are set no other way once a value is made.
_set_field = object.__setattr__


@dataclass(frozen=True, slots=True)
class Request(Deferred):
    """One call.

    Attributes:
        params: decoded query parameters, name → value, or → list of values in their order.
        url: the whole URL as it was called, redacted.
        headers: as the program gave them to the transport, redacted.
        identity: the canonical document whose SHA-256 is ``params_hash``.
        base_hash: ``params_hash`` before headers that the answer's ``Vary`` names.
        body_checksum: SHA-256 of the body as sent, after redaction.
        duration: seconds until the program had its answer (the head, or the exception).
        served_from: the request whose stored answer was given instead of a fetched one.
    """

    id: str
    session_id: str
    source: str
    endpoint: str
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    params_hash: str = ""
    kind: str = ""
    as_of: str = ""
    url: str = ""
    headers: Headers = ()
    identity: str = ""
    base_hash: str = ""
    body_checksum: str | None = None
    body_size: int = 0
    started_at: str = ""
    duration: float | None = None
    status: Status = Status.RUNNING
    failure: Failure | None = None
    served_from: str | None = None
    root_id: str = ""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where an attempt's time went, in seconds; ``None`` where it did not happen.

    Attributes:
        connect: how long it took to reach the peer; ``None`` over a connection that was open.
        tls: how long TLS took from there.
        first_byte: from the attempt's beginning to the answer's first byte.
        total: from its beginning to its end.
    """

    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None


class Peer(NamedTuple):
    """The other end, as the socket knew it; a certificate by the SHA-256 of its DER form."""

    address: str | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None
    tls_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Framing:
    """How a chunked body was cut, so that replay can cut it alike.

    Attributes:
        chunks: run-length coded sizes: ``(size, how many)``.
        odd: index of a chunk → the bytes between the data before and its own, where they are
            not the plain line end and hex size (extensions, leading zeros, capitals).
        tail: the bytes behind the last data: last chunk, trailers, or where it went wrong.
    """

    chunks: tuple[tuple[int, int], ...] = ()
    odd: Mapping[int, bytes] = field(default_factory=dict)
    tail: bytes = b""


class Payload(Protocol):
    """Reads what a store, or a cassette, holds of an answer."""

    def open(self, response: Response) -> BinaryIO:
        """Return the stored bytes as a file."""

    def raw(self, response: Response, limit: int | None) -> bytes:
        """Return the stored bytes."""

    def content(self, response: Response, limit: int | None) -> bytes:
        """Return them with their content coding undone."""

    def text(self, response: Response, content: bytes) -> str:
        """Return content as text."""

    def json(self, response: Response, content: bytes) -> Any:
        """Return the value of content that is JSON."""

    def with_content(self, response: Response, content: bytes, content_type: str) -> Response:
        """Return an answer with another body; see :meth:`Exchange.with_content`."""

    def with_status(self, response: Response, code: int) -> Response:
        """Return an answer with another status."""

    def with_header(self, response: Response, name: str, value: str | None) -> Response:
        """Return an answer with another header."""


@dataclass(frozen=True, slots=True, repr=False)
class Response(Deferred):
    """One attempt.

    Attributes:
        sequence: 1 for the first attempt of its request.
        http_version: as in the status line, ``HTTP/1.1``; empty where nothing came.
        headers: ordered pairs as on the wire, bytes beyond ASCII as Latin-1.
        head: status line and headers as bytes, redacted.
        checksum: lowercase hex SHA-256 of the payload, after transfer and before content
            decoding; ``None`` when no answer came.
        bytes_path: the file that holds the payload.
        original_checksum: of the bytes that came, where a secret was taken from them; checksum,
            size, ``Content-Length`` and framing are then those of what is stored.
        complete: the body was taken off the wire to its end, and all of it is kept.
        closed_by_peer: the connection ended behind the last byte kept.
        truncated: bytes of the body that went to the program beyond ``max_body``, and were not
            kept; the payload is what came before them.
        payload: what its bytes are read by; no part of its value.
    """

    request_id: str
    sequence: int = 1
    method: str = ""
    url: str = ""
    status_code: int | None = None
    reason: str | None = None
    http_version: str = ""
    headers: Headers = ()
    head: bytes = b""
    checksum: str | None = None
    size: int = 0
    bytes_path: Path | None = None
    complete: bool = False
    closed_by_peer: bool = False
    framing: Framing | None = None
    failure: Failure | None = None
    started_at: str = ""
    timings: Timings = Timings()
    peer: Peer = Peer()  # noqa: RUF009 - a tuple, as immutable as a dataclass that is frozen
    original_checksum: str | None = None
    truncated: int = 0
    payload: Payload | None = field(default=None, compare=False, kw_only=True)

    def __repr__(self) -> str:
        """Say in a line what was asked, and what came."""
        state = "complete" if self.complete else self.error_class or "not complete"
        called = f"{self.method} {self.url}"
        return (
            f"<Response {called!r} status={self.status_code} bytes={self.size} {state} "
            f"id={self.id!r}>"
        )

    @property
    def redacted(self) -> bool:
        """A secret was taken from the payload."""
        return self.original_checksum is not None

    @property
    def id(self) -> str:
        """``<request>/<sequence>``."""
        return f"{self.request_id}/{self.sequence}"

    @property
    def error_class(self) -> str | None:
        """Dotted name of the exception that ended this attempt."""
        return self.failure.error_class if self.failure else None

    @property
    def error_message(self) -> str | None:
        """What that exception said."""
        return self.failure.message if self.failure else None

    def header(self, name: str) -> str | None:
        """Return the values of a header, joined as RFC 9110 §5.3 joins repeats, or ``None``."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def raw(self) -> bytes:
        """The stored bytes, checked: after transfer and before content decoding, redacted.

        Of a body that was not kept or read to its end, what there is.

        Raises:
            IntegrityError: they are missing or damaged; the file is named.
            StoreError: no answer came, it was not stored, or it is larger than 256 MiB.
            ConfigError: they are compressed, and the library for that is not installed.
        """
        return self.reader().raw(self, LARGEST_READ)

    def open(self) -> BinaryIO:
        """Return the stored bytes as a file; no byte comes out of it that was not checked.

        Raises:
            IntegrityError: they are missing or damaged; reading a large one raises this too.
            StoreError, ConfigError: as :attr:`raw`, at any size.
        """
        return self.reader().open(self)

    @property
    def content(self) -> bytes:
        """The whole body, its content coding undone; see :meth:`read`."""
        return self.read()

    def read(self, limit: int | None = LARGEST_READ) -> bytes:
        """Return the whole body, its content coding undone (one that is not known is left).

        What ``ingest.request(…)`` has just fetched is as the program is to have it, the stored
        bytes are redacted.

        Args:
            limit: bytes that it may be, before and after; ``None``: any number.

        Raises:
            IntegrityError: the stored bytes are missing or damaged; the file is named.
            StoreError: not all of it came, was read or is kept (``max_body``), its coding is
                damaged, no answer came, it was not stored, or it is larger than the limit.
            ConfigError: a library that undoes its coding is not installed.
        """
        return self.reader().content(self, limit)

    @property
    def text(self) -> str:
        """The :attr:`content` as text; bytes that are none become U+FFFD.

        In the charset that its byte order mark tells, or the header, or HTML of itself; else in
        UTF-8, or Latin-1 where it is not.
        """
        return self.reader().text(self, self.content)

    def json(self) -> Any:
        """Return the value of the :attr:`content`.

        Raises:
            StoreError: it is no JSON, or as :meth:`read`.
        """
        return self.reader().json(self, self.content)

    def reader(self) -> Payload:
        """Return what its bytes are read by.

        Raises:
            StoreError: it is of no store.
        """
        if self.payload is None:
            raise StoreError(
                f"{self.method} {self.url}: the bytes of this answer are not at hand: take it from "
                "a store (store.exchange(response.request_id).answer) or a session"
            )
        return self.payload


@dataclass(frozen=True, slots=True, repr=False)
class Exchange:
    """A stored call with all its attempts, in their order."""

    request: Request
    responses: tuple[Response, ...]

    def __repr__(self) -> str:
        """Say in a line what was asked, and what came."""
        request = self.request
        called = f"{request.method} {request.url or request.endpoint}"
        codes = "→".join(str(one.status_code) for one in self.responses)
        why = f" {request.failure.error_class}" if request.failure else ""
        return (
            f"<Exchange {called!r} source={request.source!r} status={codes or None} "
            f"attempts={len(self.responses)} {request.status}{why} "
            f"id={request.id!r}>"
        )

    @property
    def answer(self) -> Response | None:
        """The last attempt, which is what the program saw."""
        return self.responses[-1] if self.responses else None

    @property
    def is_from_source(self) -> bool:
        """Its source gave this answer, or confirmed the stored one that it is: by a 304."""
        if self.request.served_from is None:
            return bool(self.responses or self.request.failure)
        answer = self.answer
        return answer is not None and answer.status_code == 304

    def json(self) -> Any:
        """Return the value of the answer's content; see :meth:`Response.json`."""
        return self._answered().json()

    def with_json(self, value: Any) -> Exchange:
        """Return this exchange with JSON for a body; see :meth:`with_content`."""
        stated = self._answered().header("Content-Type") or ""
        media = stated.partition(";")[0].strip().lower()
        # As ASCII it is the same in nearly every charset that may be stated.
        keeps = media.endswith("json") and "utf-16" not in stated and "utf-32" not in stated
        content = json.dumps(value).encode("ascii")
        return self.with_content(content, "" if keeps else "application/json")

    def with_text(self, text: str) -> Exchange:
        """Return this exchange with a text for a body, in UTF-8; see :meth:`with_content`."""
        stated = self._answered().header("Content-Type") or "text/plain"
        media = stated.partition(";")[0].strip()
        return self.with_content(text.encode("utf-8"), f"{media}; charset=utf-8")

    def with_content(self, content: bytes, content_type: str = "") -> Exchange:
        """Return this exchange with another body, under no coding, whole.

        Its headers are made to fit. What was stored stays as it is.

        Args:
            content_type: takes the place of the header, if it is not empty.

        Raises:
            ConfigError: no answer came, which could have another body.
        """
        answer = self._answered()
        return self._with(answer.reader().with_content(answer, content, content_type), whole=True)

    def with_status(self, code: int) -> Exchange:
        """Return this exchange with another status, and the reason phrase that goes with it.

        Raises:
            ConfigError: no answer came, or it is no status.
        """
        answer = self._answered()
        return self._with(answer.reader().with_status(answer, code))

    def with_header(self, name: str, value: str | None) -> Exchange:
        """Return this exchange with a header in the place of all by this name; ``None``: without.

        Raises:
            ConfigError: no answer came, it is no header, or one that follows from the body
                (``Content-Length``, ``Content-Encoding``, ``Transfer-Encoding``).
        """
        answer = self._answered()
        return self._with(answer.reader().with_header(answer, name, value))

    def _answered(self) -> Response:
        answer = self.answer
        if answer is None or (answer.status_code is None and answer.checksum is None):
            raise ConfigError(
                f"{self.request.method} {self.request.url}: no answer was recorded, so there is "
                "none to look at or to change: return the exchange as it is"
            )
        return answer

    def _with(self, answer: Response, *, whole: bool = False) -> Exchange:
        request = self.request
        if whole:
            request = replace(request, status=Status.COMPLETE, failure=None)
        return Exchange(request, (*self.responses[:-1], answer))


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a :class:`~mxm_dataio.fetcher.Fetcher` may return when bytes alone do not say enough."""

    content: bytes
    status_code: int | None = None
    headers: Headers = ()
    reason: str | None = None
