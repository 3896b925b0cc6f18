"""A call as it is written, on its way from the recorder to the catalog and the payloads."""

from __future__ import annotations

import json
from typing import NamedTuple

from .models import Exchange
from .rows import HEAD, Row, request_row, response_row

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


class Entry(NamedTuple):
    """A call as it is written: its rows, and the payloads that have no file yet.

    Attributes:
        request, responses: rows of the catalog.
        vary: names of the headers that the answer varies on.
        base_hash, source: what those names are noted for.
        payloads: checksum → content.
    """

    request: Row
    responses: tuple[Row, ...]
    vary: tuple[str, ...]
    base_hash: str
    source: str
    payloads: dict[str, bytes]

    @classmethod
    def of(cls, exchange: Exchange, vary: tuple[str, ...], payloads: dict[str, bytes]) -> Entry:
        """Return the entry of a call."""
        request = exchange.request
        return cls(
            request_row(request),
            tuple(map(response_row, exchange.responses)),
            vary,
            request.base_hash,
            request.source,
            payloads,
        )

    def encode(self) -> tuple[bytes, bytes]:
        """Return a document, JSON in UTF-8, and the bytes that it tells the lengths of.

        Raises:
            UnicodeEncodeError: a text that no file can hold, with half a surrogate pair.
        """
        heads = [row[HEAD] for row in self.responses]
        document = _encode(
            [
                self.request,
                [(*row[:HEAD], len(row[HEAD]), *row[HEAD + 1 :]) for row in self.responses],
                self.vary,
                self.base_hash,
                self.source,
                {checksum: len(content) for checksum, content in self.payloads.items()},
            ]
        ).encode("utf-8")
        content = b"".join([*heads, *self.payloads.values()])
        return document, content

    @classmethod
    def decode(cls, document: bytes, content: bytes) -> Entry:
        """Return the entry of a document and its bytes; raises as malformed content does."""
        request, found, vary, base_hash, source, lengths = json.loads(document)
        at = 0
        responses = []
        for row in found:
            end = at + row[HEAD]
            responses.append((*row[:HEAD], content[at:end], *row[HEAD + 1 :]))
            at = end
        payloads = {}
        for checksum, length in lengths.items():
            payloads[checksum] = content[at : at + length]
            at += length
        return cls(tuple(request), tuple(responses), tuple(vary), base_hash, source, payloads)
