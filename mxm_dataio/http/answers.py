"""What a stored answer holds: its bytes, their content, text or JSON."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import ConfigError, IntegrityError, StoreError
from ..models import Response
from .charsets import START, charset_of
from .codings import Pieces, State, missing


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
        if not (response.complete or response.closed_by_peer) and response.checksum is not None:
            raise StoreError(
                f"{_named(response)}: the program read {response.size} bytes of this body, and not "
                "to its end: response.raw has them",
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
