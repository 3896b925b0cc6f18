"""What identifies a request's body."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from mmap import mmap
from typing import Any

from ..http.codings import Pieces, State
from ..http.content import GZIP, LARGEST
from ..http.forms import form_pairs
from ..http.multipart import (
    Part,
    header,
    headers_of,
    is_multipart,
    let_go,
    parameter,
    part_name,
    parts_of,
    without_filename,
)
from ..http.replacing import names_beside, part_replaced, replaced
from ..http.shapes import BEGINNING, Shape, is_form, is_lines, shape_of
from ..models import Headers
from ..utils import media_type
from .ignoring import Ignoring
from .json_form import json_form
from .pairs import sorted_pairs

PARSED_BODY_LIMIT = 1 << 20
_STEP = 1 << 20
# Multipart within multipart is read to this depth.
_DEEPEST = 8
# What is under a content coding counts without it up to this size.
_MOST_CONTENT = 256 << 20


def body_member(
    body: bytes | mmap | None,
    content_type: str,
    ignore: Container[str],
    ignore_headers: Container[str] = (),
    coding: str = "",
) -> Any:
    """Return the ``body`` member of the document."""
    if body is None or len(body) == 0:
        return None
    if coding or body[: len(GZIP)] == GZIP:
        found = _content(body, coding)
        if isinstance(found, dict):
            return found
        if found is not None:
            body = found
    ignoring = Ignoring(ignore, ignore_headers)
    shape = shape_of(body, content_type)
    if shape is Shape.MULTIPART:
        parts = _multipart(body, content_type, ignoring)
        if parts is not None:
            return {"multipart": parts}
    if len(body) <= PARSED_BODY_LIMIT:
        content = bytes(body)
        if shape is Shape.JSON and not is_lines(content_type):
            written = json_form(content, ignoring)
            if written is not None:
                return {"json": written}
        if shape in (Shape.JSON, Shape.FORM) and is_form(content, content_type):
            return {"form": sorted_pairs(form_pairs(content), ignoring)}
    if isinstance(body, bytes) and len(body) <= LARGEST:
        body = replaced(body, content_type, ignoring)
    return {"sha256": _sha256(body, 0, len(body))}


def content_of(body: bytes, coding: str) -> bytes | None:
    """Return a body without its content coding; ``None`` if that can't be undone, or is much."""
    if not coding and body[: len(GZIP)] != GZIP:
        return body
    found = _content(body, coding)
    return found if isinstance(found, bytes) else None


def _content(body: bytes | mmap, coding: str) -> bytes | dict[str, str] | None:
    """Return a body without its coding; if that is much, its document.

    ``None``, if the body counts as it is: it can't be decoded, or is a file that is no text.
    """
    content = bytearray()
    digest = None
    size = 0
    pieces = Pieces(coding or "gzip", body)
    for piece in pieces:
        size += len(piece)
        if digest is None:
            content += piece
            if size > LARGEST:
                digest = hashlib.sha256(content)
                content.clear()
        else:
            digest.update(piece)
        if size > _MOST_CONTENT:
            break
    if pieces.state is not State.WHOLE or size > _MOST_CONTENT:
        return None
    if digest is not None:
        return {"sha256": digest.hexdigest()} if coding else None
    if not coding and shape_of(bytes(content[:BEGINNING]), "") is Shape.OTHER:
        return None
    return bytes(content)


def _multipart(
    body: bytes | mmap, content_type: str, ignoring: Ignoring, depth: int = 0
) -> list[Any] | None:
    """Return the parts of RFC 2046 §5.1.1 as documents, ``None`` if there are none.

    Text before and behind them, which no one reads, counts as well.
    """
    found = parts_of(body, content_type)
    if found is None:
        return None
    parts = [_outside(body, 0, found.preamble)]
    beside = names_beside(body, found.parts)
    for part in found.parts:
        headers = headers_of(bytes(body[part.head : part.start]))
        name = part_name(headers)
        if ignoring.goes_with(name, bytes(body[part.start : part.start + BEGINNING]), beside):
            continue
        if not ignoring.leaves_out(name, _short(body, part)):
            parts.append(_part(body, part, headers, ignoring, depth))
    parts.append(_outside(body, found.epilogue, len(body)))
    return [part for part in parts if part is not None]


def _short(body: bytes | mmap, part: Part) -> str:
    """Return the beginning of a part, by which it may be data."""
    return bytes(body[part.start : min(part.end, part.start + BEGINNING)]).decode("latin-1")


def _outside(body: bytes | mmap, start: int, end: int) -> dict[str, Any] | None:
    if end - start <= _STEP and not body[start:end].strip(b" \t\r\n"):
        return None
    return {"sha256": _sha256(body, start, end)}


def _part(
    body: bytes | mmap, part: Part, headers: Headers, ignoring: Ignoring, depth: int
) -> dict[str, Any]:
    content_type = header(headers, "content-type")
    kept = [[name, ignoring.header(name, value)] for name, value in headers]
    if "filename" in ignoring.names:
        kept = [[n, without_filename(v) if n == "content-disposition" else v] for n, v in kept]
    document: dict[str, Any] = {"headers": kept}
    small = part.end - part.start <= PARSED_BODY_LIMIT
    content = bytes(body[part.start : part.end]) if small else b""
    if small and depth < _DEEPEST and is_multipart(content_type):
        parts = _multipart(content, content_type, ignoring, depth + 1)
        if parts is not None:
            boundary = parameter(content_type, "boundary")
            document["headers"] = sorted(
                [
                    name,
                    value.replace(boundary, "") if boundary and name == "content-type" else value,
                ]
                for name, value in kept
            )
            return {**document, "multipart": parts}
    if media_type(content_type) == "application/http":
        # Which request of a batch an answer is to, drawn anew for each batch.
        kept = [pair for pair in kept if pair[0] != "content-id"]
    document["headers"] = sorted(kept)
    if small:
        content = part_replaced(content, headers, ignoring)
        return {**document, "sha256": _sha256(content, 0, len(content))}
    return {**document, "sha256": _sha256(body, part.start, part.end)}


def _sha256(body: bytes | mmap, start: int, end: int) -> str:
    digest = hashlib.sha256()
    for at in range(start, end, _STEP):
        with memoryview(body) as view:
            digest.update(view[at : min(at + _STEP, end)])
        let_go(body)
    return digest.hexdigest()
