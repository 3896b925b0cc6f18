"""Bodies as people read them: content coding undone, JSON indented, text in its charset, hex.

A body is read piece by piece and no further than it is asked for. gzip and deflate are decoded by
the standard library, Brotli (RFC 7932) and Zstandard (RFC 8878) where their libraries are
installed; a body under any other coding is shown as it came, and says so.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

from ..errors import ConfigError
from ..http.charsets import BOMS, START, charset_of, decodes
from ..http.codings import DECODERS, STEP, Decoder, codings_of
from ..models import Headers, Request, Response
from ..storage.root_store import RootStore
from ..utils import is_json, media_type
from .layout import hex_lines

# Bodies up to this size are indented, and compared member by member.
LARGEST_JSON = 8 << 20
# What a pattern is found in that lies across two pieces.
_OVERLAP = 4096
_TEXTS = (
    "application/javascript", "application/x-javascript", "application/ecmascript",
    "application/xml", "application/x-www-form-urlencoded", "application/x-ndjson",
    "application/graphql", "application/yaml", "application/x-yaml", "application/toml",
    "application/sql", "image/svg+xml",
)  # fmt: skip


class Kind(StrEnum):
    """What a body is."""

    EMPTY = "empty"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"


@dataclass
class Body:
    """A stored body with the headers that tell what it is.

    Attributes:
        size: bytes as they are stored.
        problem: why it could not be decoded to its end, once it was read so far.

    Args:
        open: returns it from its start; the caller closes it.
    """

    open: Callable[[], BinaryIO]
    size: int
    headers: Headers = ()
    problem: str | None = None
    _start: bytes | None = field(default=None, repr=False)

    @property
    def codings(self) -> tuple[str, ...]:
        """Its content codings, in the order in which they were applied (RFC 9110 §8.4)."""
        names = (v for n, v in self.headers if n.lower() == "content-encoding")
        return tuple(codings_of(",".join(names)))

    @property
    def media(self) -> str:
        """Its media type, without parameters; empty if none is said."""
        return media_type(self._content_type)

    @property
    def _content_type(self) -> str:
        return next((v for n, v in self.headers if n.lower() == "content-type"), "")

    def raw(self) -> Iterator[bytes]:
        """Yield it as it is stored.

        Raises:
            IntegrityError: it is damaged on disk.
        """
        with self.open() as file:
            yield from iter(lambda: file.read(STEP), b"")

    def chunks(self) -> Iterator[bytes]:
        """Yield it decoded, as far as it can be; ``problem`` says if that is not all of it.

        Raises:
            IntegrityError: it is damaged on disk.
        """
        self.problem = None
        decoders = []
        for coding in reversed(self.codings):
            try:
                decoders.append(DECODERS[coding]())
            except KeyError:
                self.problem = f"its content coding {coding} is unknown: it is as it came"
            except ConfigError as exc:
                self.problem = f"its content coding {coding}: {exc}; it is as it came"
        if self.problem is not None:
            decoders = []
        pieces = self.raw()
        for coding, decoder in zip(reversed(self.codings), decoders, strict=False):
            pieces = self._decoded(decoder, coding, pieces)
        yield from pieces

    def _decoded(self, decoder: Decoder, coding: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for piece in pieces:
                yield from decoder.feed(piece)
            if self.size and not decoder.finished:
                self.problem = f"its {coding} coding ends before its end"
        except decoder.error as exc:
            self.problem = f"its {coding} coding is damaged behind what is shown ({exc})"

    def content(self, limit: int | None = None) -> bytes:
        """Return it decoded, up to a number of bytes."""
        found, size = [], 0
        for chunk in self.chunks():
            found.append(chunk)
            size += len(chunk)
            if limit is not None and size >= limit:
                break
        return b"".join(found)[:limit]

    @property
    def start(self) -> bytes:
        """Its first bytes, decoded."""
        if self._start is None:
            self._start = self.content(START)
        return self._start

    @property
    def kind(self) -> Kind:
        """What it is, by its media type and its first bytes."""
        if not self.size or not self.start:
            return Kind.EMPTY
        if is_json(self.media):
            return Kind.JSON
        text = self.media.startswith("text/") or self.media in _TEXTS or self.media.endswith("+xml")
        if not text and not _is_text(self.start):
            return Kind.BINARY
        if text and b"\0" in self.start and not self.charset.startswith(("utf-16", "utf-32")):
            return Kind.BINARY
        if not text and self.start.lstrip()[:1] in (b"{", b"["):
            return Kind.JSON
        return Kind.TEXT

    @property
    def charset(self) -> str:
        """The name under which Python knows its charset: stated, or guessed by its first bytes."""
        return charset_of(self.start, self._content_type)

    def text(self) -> Iterator[str]:
        """Yield it as text, piece by piece; bytes that are none become U+FFFD."""
        decoder = codecs.getincrementaldecoder(self.charset)(errors="replace")
        for chunk in self.chunks():
            yield decoder.decode(chunk)
        yield decoder.decode(b"", True)

    def lines(self) -> Iterator[str]:
        """Yield the lines of its text, without their ends; a very long one in pieces."""
        held = ""
        for piece in self.text():
            held += piece
            *whole, held = held.split("\n")
            for line in whole:
                yield line.removesuffix("\r")
            while len(held) > STEP:
                yield held[:STEP]
                held = held[STEP:]
        if held:
            yield held

    def document(self) -> str | None:
        """Return its text if it is JSON, small enough to be taken as a whole; else ``None``."""
        if self.kind is not Kind.JSON:
            return None
        content = self.content(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON or self.problem is not None:
            return None
        try:
            text = content.decode(json.detect_encoding(content))
            json.loads(text)
        except (ValueError, RecursionError):
            return None
        return text.removeprefix("\ufeff")

    def hex(self) -> Iterator[str]:
        """Yield it as a hex dump, sixteen bytes a line."""
        return hex_lines(self.chunks())


def sent(store: RootStore, request: Request) -> Body:
    """Return the body of a request."""
    checksum, size = request.body_checksum, request.body_size
    if checksum is None:
        return Body(io.BytesIO, 0, request.headers)
    return Body(lambda: store.payloads.open(checksum, size), size, request.headers)


def answered(store: RootStore, response: Response) -> Body:
    """Return the body of an attempt's answer."""
    if response.checksum is None:
        return Body(io.BytesIO, 0, response.headers)
    return Body(lambda: store.open(response), response.size, response.headers)


def occurs(pattern: re.Pattern[str], body: Body) -> bool:
    """Say whether a pattern is found in a body's text; what it matches has to be short."""
    held = ""
    for piece in body.text():
        held = held[-_OVERLAP:] + piece
        if pattern.search(held):
            return True
    return False


def _is_text(start: bytes) -> bool:
    if any(start.startswith(bom) for bom, _ in BOMS):
        return True
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", start) and decodes(start)
