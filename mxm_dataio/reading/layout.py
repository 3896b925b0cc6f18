"""How content is laid out in lines: JSON indented, bytes as a hex dump."""

from __future__ import annotations

import re
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def indented(document: str, width: int = 100, indent: int = 2) -> Iterator[str]:
    """Yield the lines of a JSON document, indented; what is short stays on one line.

    Numbers, escapes, repeated names and their order stay as they are written: only white space
    is changed.

    Args:
        document: has to be JSON.
        width: arrays and objects that hold no others are kept on one line of so many characters.
    """
    tokens = _Tokens(document)
    line, depth = "", 0
    while (token := tokens.next()) is not None:
        if token in "{[":
            short = tokens.rest_of(token, width - depth * indent - len(line))
            if short is not None:
                line += short
            else:
                yield " " * depth * indent + line + token
                line, depth = "", depth + 1
        elif token in "}]":
            if line:
                yield " " * depth * indent + line
            line, depth = token, depth - 1
        elif token == ",":
            yield " " * depth * indent + line + token
            line = ""
        else:
            line += ": " if token == ":" else token
    if line:
        yield " " * depth * indent + line


class _Tokens:
    """The tokens of a document, read no further than they are needed."""

    def __init__(self, document: str) -> None:
        self._coming = (match[0] for match in _TOKEN.finditer(document))
        self._read: deque[str] = deque()

    def next(self) -> str | None:
        """Return the next token."""
        return self._read.popleft() if self._read else next(self._coming, None)

    def rest_of(self, opening: str, room: int) -> str | None:
        """Return an array or object that was begun, on one line, if it fits and holds no other."""
        parts = [opening]
        for place in range(room):
            if place == len(self._read):
                self._read.extend(islice(self._coming, 1))
            if place == len(self._read) or self._read[place] in "{[":
                return None
            token = self._read[place]
            parts.append(f"{token} " if token in ",:" else token)
            room -= len(parts[-1])
            if room < 0:
                return None
            if token in "}]":
                for _ in range(place + 1):
                    self._read.popleft()
                return "".join(parts)
        return None


def hex_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield bytes as a hex dump, sixteen a line."""
    offset, held = 0, b""
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % 16
        for at in range(0, whole, 16):
            yield _hex_line(offset + at, held[at : at + 16])
        offset, held = offset + whole, held[whole:]
    if held:
        yield _hex_line(offset, held)


def _hex_line(offset: int, data: bytes) -> str:
    left, right = data[:8].hex(" "), data[8:].hex(" ")
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return f"{offset:08x}  {left:<23}  {right:<23}  {shown}"


def wrapped(text: str, columns: int, margin: str = "") -> str:
    """Return a text whose lines a terminal of so many columns need not break within a word.

    Args:
        margin: stands before lines that go on with another.
    """
    lines = textwrap.TextWrapper(
        columns, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(map(lines.fill, text.split("\n")))
