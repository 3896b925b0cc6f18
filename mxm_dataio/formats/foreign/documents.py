"""A recording of another tool as a document, JSON or YAML, and what is at which place in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from ...errors import IntegrityError
from . import safe_yaml

LARGEST = 128 << 20
_JSON_SUFFIX = ".json"
_YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(slots=True)
class Node:
    """A value of a document, and where it stands: ``interactions[3].request.uri``.

    Attributes:
        value: text, bytes, a number, ``None``, a list or a mapping.
        place: the path to it from the document's root, which has none.
        file: where the document was read from.
    """

    value: Any
    file: Path
    place: str = ""

    def fail(self, what: str) -> NoReturn:
        """Raise an :class:`IntegrityError` that names file and place."""
        place = f"{self.place}: " if self.place else ""
        raise IntegrityError(f"{self.file}: {place}{what}", path=self.file)

    def get(self, name: str) -> Node | None:
        """Return a member that is there and not null."""
        value = self.value.get(name) if isinstance(self.value, dict) else None
        if value is None:
            return None
        return Node(value, self.file, f"{self.place}.{name}" if self.place else name)

    def member(self, name: str) -> Node:
        """Return a member that has to be there."""
        found = self.get(name)
        if found is None:
            if not isinstance(self.value, dict):
                self.fail(f"{self._noun()} where a mapping is to be")
            self.fail(f"{name} is missing")
        return found

    def members(self) -> Iterator[tuple[str, Node]]:
        """Yield the members of a mapping, in their order."""
        if not isinstance(self.value, dict):
            self.fail(f"{self._noun()} where a mapping is to be")
        for name, value in self.value.items():
            yield name, Node(value, self.file, f"{self.place}.{name}" if self.place else name)

    def elements(self) -> list[Node]:
        """Return the elements of a list."""
        if not isinstance(self.value, list):
            self.fail(f"{self._noun()} where a list is to be")
        return [
            Node(value, self.file, f"{self.place}[{index}]")
            for index, value in enumerate(self.value)
        ]

    def text(self) -> str:
        """Return a text; a number is the text it was written as, bytes are Latin-1."""
        value = self.value
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self.fail(f"{self._noun()} where a text is to be")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            self.fail("half of a surrogate pair, which no coding has")
        return value

    def content(self, coding: str = "utf-8") -> bytes:
        """Return bytes, or those of a text."""
        if isinstance(self.value, bytes):
            return self.value
        if not isinstance(self.value, str):
            self.fail(f"{self._noun()} where a text is to be")
        try:
            return self.value.encode(coding, "surrogateescape")
        except UnicodeError as exc:
            self.fail(f"the text is not in {coding}: {exc}")
        except (LookupError, ValueError):
            self.fail(f"no coding is named {coding!r}")

    def integer(self) -> int:
        """Return a whole number, also where it is written as a text."""
        text = str(self.value).strip()
        if isinstance(self.value, bool) or not text.isascii() or not text.isdecimal():
            self.fail(f"{self._noun()} where a number is to be")
        if len(text) > _DIGITS:
            self.fail("a number out of all bounds")
        return int(text)

    def _noun(self) -> str:
        value = self.value
        if isinstance(value, str):
            return f"the text {value[:40]!r}"
        if isinstance(value, (bool, int, float)):
            return f"{value!r}"[:40]
        nouns = ("a list", list), ("a mapping", dict), ("bytes", bytes)
        return next((noun for noun, kind in nouns if isinstance(value, kind)), "nothing")


_DIGITS = 12


def read_document(fp: IO[bytes]) -> Node:
    """Return the document of a file.

    Raises:
        ConfigError: it is YAML, and PyYAML is not installed.
        IntegrityError: it is neither JSON nor YAML, or beyond the bounds.
    """
    name = getattr(fp, "name", "")
    file = Path(name if isinstance(name, str) and name else "<stream>")
    return parse_document(fp.read(LARGEST + 1), file)


def parse_document(content: bytes, file: Path) -> Node:
    """Return the document of a file's content; see :func:`read_document`.

    Args:
        file: its path, by whose ending JSON is told from YAML; for messages.
    """
    if len(content) > LARGEST:
        raise IntegrityError(f"{file} is larger than {LARGEST >> 20} MiB", path=file)
    if not content.strip():
        raise IntegrityError(f"{file} is empty: nothing was recorded", path=file)
    if _is_json(content, file):
        return Node(_json(content, file), file)
    return Node(safe_yaml.load(content, file), file)


def _is_json(content: bytes, file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in _YAML_SUFFIXES:
        return False
    if suffix == _JSON_SUFFIX:
        return True
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start not in (b"{", b"["):
        return False
    # YAML may begin so as well.
    try:
        _json(content, file)
    except IntegrityError:
        return False
    return True


def _json(content: bytes, file: Path) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise IntegrityError(f"{file}: {place}: {exc.msg}", path=file) from None
    except UnicodeDecodeError as exc:
        raise IntegrityError(f"{file}: byte {exc.start}: no UTF-8", path=file) from None
    except RecursionError:
        raise IntegrityError(f"{file}: nested too deep", path=file) from None
    except ValueError as exc:
        # A number of more digits than Python converts.
        raise IntegrityError(f"{file}: no JSON: {exc}", path=file) from None
