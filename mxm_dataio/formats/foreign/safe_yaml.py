"""YAML as plain values, from events: no object is made but text, bytes, lists and mappings.

PyYAML's loaders build a tree by recursion, and one that follows Python's tags runs what a file
names. Here the parser's events are put together one by one, within bounds, so that neither a tag
nor a thousand brackets nor an alias of aliases does anything. Of Python's tags those are read
that old recorders wrote round harmless values (:data:`_APPLIED`); every other is an error.

Numbers, booleans and dates stay the text that stands in the file: whoever reads a header wants
``0123`` as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from ...errors import ConfigError, IntegrityError

DEEPEST = 100
# Bytes of what aliases stand for, all told.
_EXPANDED = 1 << 29
# What a value counts besides its text.
_EACH = 64

_YAML = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TEXTS = frozenset(
    """
    str int float bool timestamp value python/str python/unicode python/int python/long
    python/float python/bool python/complex
    """.split()  # noqa: SIM905 - a table reads better than a list
)
_NULLS = frozenset({"null", "python/none"})
_BYTES = frozenset({"binary", "python/bytes"})
_LISTS = frozenset({"seq", "set", "python/list", "python/tuple"})
_MAPPINGS = frozenset({"map", "python/dict", "python/object:vcr.request.Request"})
_APPLY = re.compile(
    r"python/object/(?:apply|new):(?:_io|io|builtins|__builtin__|collections)\.(\w+)"
)


def load(content: bytes, file: Path) -> Any:
    """Return the one document of a YAML text.

    Raises:
        ConfigError: PyYAML is not installed.
        IntegrityError: it is no YAML, has a tag that is not read, or is beyond the bounds.
    """
    yaml = _library()
    builder = _Builder(file)
    parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = parser(content)
        try:
            while loader.check_event():
                builder.take(loader.get_event())
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        raise IntegrityError(f"{file}: {_problem(exc)}", path=file) from exc
    except (ValueError, OverflowError) as exc:
        # An escape that is no character, in PyYAML's own scanner.
        raise IntegrityError(f"{file}: no YAML: {exc}", path=file) from exc
    return builder.document


def _library() -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "recordings in YAML need PyYAML: pip install 'mxm-dataio[yaml]'"
        ) from None
    return yaml


def _problem(exc: Any) -> str:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    if mark is not None:
        said = exc.problem or exc.context or "no YAML"
        return f"line {mark.line + 1}, column {mark.column + 1}: {said}"
    if hasattr(exc, "position"):
        return f"byte {exc.position}: {exc.reason}"
    return str(exc)


class _Frame:
    """A list or mapping that is being filled."""

    __slots__ = ("anchor", "key", "mapping", "tag", "values", "weight")

    def __init__(self, tag: str, anchor: str | None, *, mapping: bool) -> None:
        self.tag = tag
        self.anchor = anchor
        self.mapping = mapping
        self.values: list[Any] = []
        self.weight = _EACH


class _Builder:
    """Puts events together."""

    def __init__(self, file: Path) -> None:
        self.document: Any = None
        self._file = file
        self._stack: list[_Frame] = []
        self._known: dict[str, tuple[Any, int]] = {}
        self._expanded = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event."""
        kind = type(event).__name__
        if kind == "ScalarEvent":
            value = self._scalar(event)
            self._put(value, _EACH + len(event.value), event.anchor)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            if len(self._stack) >= DEEPEST:
                self._fail(event, f"nested more than {DEEPEST} deep")
            mapping = kind == "MappingStartEvent"
            tag = _short(event.tag) or ("map" if mapping else "seq")
            self._stack.append(_Frame(tag, event.anchor, mapping=mapping))
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            frame = self._stack.pop()
            self._put(self._made(frame, event), frame.weight, frame.anchor)
        elif kind == "AliasEvent":
            self._alias(event)
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._fail(event, "a second document")

    def _put(self, value: Any, weight: int, anchor: str | None) -> None:
        if anchor is not None:
            self._known[anchor] = value, weight
        if self._stack:
            self._stack[-1].values.append(value)
            self._stack[-1].weight += weight
        else:
            self.document = value

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._known:
            self._fail(event, f"the alias *{event.anchor} stands for nothing before it")
        value, weight = self._known[event.anchor]
        self._expanded += weight
        if self._expanded > _EXPANDED:
            self._fail(event, "the aliases stand for more than is read")
        self._put(value, weight, None)

    def _scalar(self, event: Any) -> Any:
        tag = _short(event.tag)
        text: str = event.value
        if tag is None:
            return None if event.implicit[0] and text in _NULL else text
        if tag in _TEXTS or tag == "!":
            return text
        if tag in _NULLS:
            return None
        if tag in _BYTES:
            try:
                return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
            except (UnicodeEncodeError, binascii.Error) as exc:
                self._fail(event, f"no Base64: {exc}")
        self._refuse(event, tag)

    def _made(self, frame: _Frame, event: Any) -> Any:
        values: Any = frame.values
        if frame.mapping:
            values = self._mapping(frame.values, event)
            if frame.tag in _MAPPINGS:
                return values
        elif frame.tag in _LISTS:
            return values
        match = _APPLY.fullmatch(frame.tag)
        make = _APPLIED.get(match[1]) if match else None
        if make is None:
            self._refuse(event, frame.tag)
        try:
            return make(values)
        except (IndexError, KeyError, TypeError, ValueError):
            self._fail(event, f"not what !!{frame.tag} holds")

    def _mapping(self, values: list[Any], event: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(key, bytes):
                key = key.decode("latin-1")
            if not isinstance(key, str):
                self._fail(event, f"a {_noun(key)} as a key")
            out[key] = value
        return out

    def _refuse(self, event: Any, tag: str) -> NoReturn:
        shown = tag if tag.startswith("!") else f"!!{tag}"
        self._fail(event, f"the tag {shown} is not read: it would make an object of the file's own")

    def _fail(self, event: Any, what: str) -> NoReturn:
        mark = event.start_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        raise IntegrityError(f"{self._file}: {place}: {what}", path=self._file)


def _short(tag: str | None) -> str | None:
    return tag.removeprefix(_YAML) if tag else None


def _noun(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "list" if isinstance(value, list) else "null"


# -- what Python's tags hold: the arguments of a call, as a list, or as a mapping with its state


def _arguments(values: Any) -> list[Any]:
    arguments = values["args"] if isinstance(values, dict) else values
    if not isinstance(arguments, list):
        raise TypeError
    return arguments


def _buffer(values: Any) -> bytes:
    """Return the content of a ``BytesIO``."""
    state = values.get("state") if isinstance(values, dict) else values
    return _bytes(state[0]) if state else b""


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise TypeError
    return value


def _array(values: Any) -> bytes:
    """Return the content of a ``bytearray``: its text, in Latin-1, and the name of that."""
    text = _arguments(values)[0] if _arguments(values) else b""
    return text.encode("latin-1") if isinstance(text, str) else _bytes(text)


def _members(values: Any) -> list[Any]:
    """Return the members of an iterator or a set."""
    arguments = _arguments(values)
    members = arguments[0] if arguments else []
    if not isinstance(members, list):
        raise TypeError
    return members


def _pairs(values: Any) -> dict[str, Any]:
    """Return an ordered mapping."""
    return dict(_each_pair(_members(values)))


def _each_pair(members: list[Any]) -> Iterator[tuple[str, Any]]:
    for name, value in members:
        if not isinstance(name, str):
            raise TypeError
        yield name, value


_APPLIED: dict[str, Callable[[Any], Any]] = {
    "BytesIO": _buffer,
    "bytearray": _array,
    "iter": _members,
    "frozenset": _members,
    "OrderedDict": _pairs,
}
