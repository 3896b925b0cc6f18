"""What a stored answer holds, its bytes, their content, text or JSON, and how it is changed."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, BinaryIO

from ..errors import ConfigError, IntegrityError, StoreError
from ..models import Response
from ..patterns import regex
from .charsets import START, charset_of
from .codings import Pieces, State, missing
from .heads import fetched_head, is_bodiless


class StoredPayload:
    """Reads the payloads of answers; see :class:`mxm_dataio.models.Payload`.

    Args:
        open: returns a payload, checked, given its checksum and size.
    """

    __slots__ = ("_open",)

    def __init__(self, open: Callable[[str, int], BinaryIO]) -> None:
        self._open = open

    def open(self, response: Response) -> BinaryIO:
        """Return the stored bytes as a file."""
        if response.checksum is None:
            why = f" ({response.error_class}: {response.error_message})" if response.failure else ""
            raise StoreError(f"{_named(response)}: no answer came{why}, so it has no body")
        try:
            return self._open(response.checksum, response.size)
        except IntegrityError as exc:
            raise IntegrityError(f"{_named(response)}: {exc}", path=exc.path) from None

    def raw(self, response: Response, limit: int | None) -> bytes:
        """Return the stored bytes."""
        if limit is not None and response.size > limit:
            raise _too_large(response, "stored bytes", limit)
        try:
            with self.open(response) as file:
                return file.read()
        except IntegrityError as exc:
            if str(exc).startswith(_named(response)):
                raise
            raise IntegrityError(f"{_named(response)}: {exc}", path=exc.path) from None

    def content(self, response: Response, limit: int | None) -> bytes:
        """Return the stored bytes with their content coding undone."""
        if response.truncated:
            raise StoreError(
                f"{_named(response)}: {response.size} bytes of this body are kept (max_body), "
                f"{response.truncated} more came: ask for the content as soon as the answer is "
                "there, or for response.raw, which is what is kept",
                path=response.bytes_path,
            )
        if not response.complete and response.checksum is not None:
            how = "came" if response.closed_by_peer else "were read"
            raise StoreError(
                f"{_named(response)}: {response.size} bytes of this body {how}, and not all: "
                "response.raw has them",
                path=response.bytes_path,
            )
        return self.undone(response, self.raw(response, limit), limit)

    def undone(self, response: Response, data: bytes, limit: int | None) -> bytes:
        """Return the content of what came under an answer's ``Content-Encoding``."""
        coding = response.header("Content-Encoding") or ""
        if not coding or not data:
            return data
        pieces = Pieces(coding, data)
        plain = bytearray()
        for piece in pieces:
            plain += piece
            if limit is not None and len(plain) > limit:
                raise _too_large(response, f"bytes under Content-Encoding {coding}", limit)
        if pieces.state is State.UNKNOWN:
            # As every client leaves it to its program.
            return data
        if pieces.state is State.MISSING:
            raise ConfigError(f"{_named(response)}: Content-Encoding {coding}: {missing(coding)}")
        if pieces.state is State.CUT:
            raise StoreError(
                f"{_named(response)}: what came under Content-Encoding {coding} is damaged or ends "
                f"early, {len(plain)} bytes into its content: response.raw has it as it came",
                path=response.bytes_path,
            )
        return bytes(plain)

    def text(self, response: Response, content: bytes) -> str:
        """Return content as text."""
        charset = charset_of(content[:START], response.header("Content-Type") or "")
        return content.decode(charset, "replace")

    def json(self, response: Response, content: bytes) -> Any:
        """Return the value of content that is JSON."""
        try:
            try:
                return json.loads(content)
            except UnicodeDecodeError:
                return json.loads(self.text(response, content))
        except (ValueError, RecursionError) as exc:
            media = response.header("Content-Type") or "without Content-Type"
            raise StoreError(
                f"{_named(response)}: the answer ({response.status_code}, {media}, {len(content)} "
                f"bytes) is no JSON: {exc}; response.text has it",
                path=response.bytes_path,
            ) from None

    def with_content(self, response: Response, content: bytes, content_type: str) -> Response:
        """Return an answer with another body, and headers that fit."""
        headers = [pair for pair in response.headers if not _of_body(pair[0])]
        if content_type:
            headers = _replaced(headers, "Content-Type", content_type)
        if _on_wire(response) and not is_bodiless(response.status_code):
            headers.append(("Content-Length", str(len(content))))
        made = replace(
            response, checksum=hashlib.sha256(content).hexdigest(), size=len(content),
            bytes_path=None, complete=True, closed_by_peer=False, framing=None, failure=None,
            original_checksum=None, truncated=0, payload=in_memory(content),
        )  # fmt: skip
        return _headed(made, headers)

    def with_status(self, response: Response, code: int) -> Response:
        """Return an answer with another status."""
        if (type(code) is not int and not isinstance(code, HTTPStatus)) or not 100 <= code <= 999:
            raise ConfigError(f"{_named(response)}: {code!r} is no status")
        known = code in HTTPStatus.__members__.values()
        made = replace(
            response, status_code=int(code), reason=HTTPStatus(code).phrase if known else ""
        )
        headers = list(response.headers)
        if is_bodiless(code):
            # http.client would read the chunks of any status.
            headers = [pair for pair in headers if pair[0].lower() not in _FRAMING]
            made = replace(made, framing=None)
        elif is_bodiless(response.status_code) and _on_wire(response):
            headers = _replaced(headers, "Content-Length", str(response.size))
        return _headed(made, headers)

    def with_header(self, response: Response, name: str, value: str | None) -> Response:
        """Return an answer with another header."""
        if name.lower() in (*_FRAMING, "content-encoding"):
            raise ConfigError(
                f"{_named(response)}: {name} follows from the body: give that by with_content(…)"
            )
        if not _NAME.fullmatch(name) or (value is not None and _CONTROL.search(value)):
            raise ConfigError(f"{_named(response)}: {name!r} with {value!r} is no header")
        return _headed(response, _replaced(list(response.headers), name, value))


_NAME = regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = regex(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = ("content-length", "transfer-encoding")
# What else says how a body stands on the wire, or is a digest of it.
_CODED = frozenset([
    "content-encoding", "trailer", "content-md5", "digest", "content-digest", "repr-digest",
    "x-goog-hash", *_FRAMING,
])  # fmt: skip


def _of_body(name: str) -> bool:
    return name.lower() in _CODED or name.lower().startswith("x-amz-checksum-")


def _on_wire(response: Response) -> bool:
    """Say that an answer came over HTTP, not from a fetcher."""
    return response.http_version.startswith("HTTP/")


def _replaced(
    headers: list[tuple[str, str]], name: str, value: str | None
) -> list[tuple[str, str]]:
    """Return headers with one in the place of all by its name."""
    places = [at for at, pair in enumerate(headers) if pair[0].lower() == name.lower()]
    kept = [pair for at, pair in enumerate(headers) if at not in places]
    if value is not None:
        kept.insert(places[0] if places else len(kept), (name, value))
    return kept


def _headed(response: Response, pairs: list[tuple[str, str]]) -> Response:
    """Return an answer with other headers, in its head too."""
    # Bytes beyond Latin-1 are those of UTF-8, as programs send them.
    headers = tuple([(name, _latin(value)) for name, value in pairs]) if pairs else ()
    if not _on_wire(response):
        head = fetched_head(response.status_code, response.reason, tuple(pairs))
        return replace(response, headers=tuple(pairs), head=head)
    lines = [f"{response.http_version} {response.status_code} {response.reason or ''}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return replace(response, headers=headers, head=head)


def _latin(value: str) -> str:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8").decode("latin-1")
    return value


def in_memory(content: bytes) -> StoredPayload:
    """Return what reads an answer whose payload is in memory."""
    return StoredPayload(functools.partial(_opened, content))


def _opened(content: bytes, _checksum: str, _size: int) -> BinaryIO:
    return io.BytesIO(content)


def _named(response: Response) -> str:
    return f"{response.method} {response.url}"


def _too_large(response: Response, what: str, limit: int) -> StoreError:
    return StoreError(
        f"{_named(response)}: its body has more than {limit} {what}: take as many as you have room "
        "for, with response.read(limit=…), or piece by piece, from response.open()",
        path=response.bytes_path,
    )
