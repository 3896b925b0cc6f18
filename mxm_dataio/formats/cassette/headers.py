"""Heads as lines of a cassette: a header a line, its value as it was on the wire."""

from __future__ import annotations

import re
from typing import Any

from ...models import Headers
from .nodes import Node, Refusal

# Stands for the body's size where a header has just that.
SIZE = "{size}"
_LENGTH = re.compile(r"(content-length[ \t]*:[ \t]*)(.*)", re.IGNORECASE | re.DOTALL)


def header(name: str, value: str, size: int) -> Any:
    """Return a request's header as a line, or as a pair where a line would not give it again."""
    line = f"{name}: {value}"
    if _pair(line) != (name, value) or line.isspace() or filled(line, 0) != line:
        return [name, value]
    return sized(line, size)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


def sized(line: str, size: int) -> str:
    """Return a header with a mark in the place of its value, if that is the body's size."""
    match = _LENGTH.fullmatch(line)
    return match[1] + SIZE if match is not None and match[2] == str(size) else line


def filled(line: str, size: int) -> str:
    """Return a header with the body's size in the place of the mark."""
    if SIZE in line:
        match = _LENGTH.fullmatch(line)
        if match is not None and match[2] == SIZE:
            return f"{match[1]}{size}"
    return line


def request_headers(request: Node, size: int) -> Headers:
    """Return the headers of a request's node, whose body has so many bytes.

    Raises:
        Refusal: one is none.
    """
    pairs = []
    for index, line in enumerate(request.get("headers", ())):
        if isinstance(line, str) and ":" in line:
            pairs.append(_pair(filled(line, size)))
        elif isinstance(line, list) and len(line) == 2 and all(isinstance(t, str) for t in line):
            pairs.append((line[0], line[1]))
        else:
            raise Refusal("is no header", f"request.headers[{index}]")
    return tuple(pairs)


def lines_of(node: Node, name: str, place: str) -> list[str]:
    """Return a member that is a list of lines.

    Raises:
        Refusal: it is not.
    """
    lines = node.get(name, [])
    if not all(isinstance(line, str) for line in lines):
        raise Refusal("is not a list of lines", f"{place}.{name}")
    found: list[str] = lines
    return found


def values(node: Node, name: str, place: str) -> str | None:
    """Return the values of a header of a request's or an answer's node."""
    prefix = f"{name}:"
    lines = [line for line in node.get("headers", ()) if isinstance(line, str)]
    if "head" in node:
        lines = [line for text in lines_of(node, "head", place) for line in text.splitlines()]
    values = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(prefix)]
    return ", ".join(values) if values else None


def latin(text: Any, place: str) -> bytes:
    """Return the bytes of a text in Latin-1.

    Raises:
        Refusal: it has none.
    """
    try:
        found: bytes = text.encode("latin-1")
    except (UnicodeError, AttributeError):
        raise Refusal("has no bytes", place) from None
    return found
