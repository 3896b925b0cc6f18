"""YAML as plain values: no object is made but text, bytes, lists and mappings.

PyYAML's safe loader, which makes a value of each node as soon as that is whole, within bounds, so
that neither a tag nor a thousand brackets nor an alias of aliases does anything. Of Python's tags
those are read that old recorders wrote round harmless values (:data:`_APPLIED`); every other is an
error.

Numbers, booleans and dates stay the text that stands in the file: whoever reads a header wants
``0123`` as it is.
"""

from __future__ import annotations

import base64
import binascii
import functools
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
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "recordings in YAML need PyYAML: pip install 'mxm-dataio[yaml]'"
        ) from None
    try:
        loader = _loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader))(content)
        loader.file, loader.anchors = file, {}
        try:
            value = loader.get_node() if loader.check_node() else None
            if loader.check_node():
                loader.fail(loader.peek_event(), "a second document")
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        raise IntegrityError(f"{file}: {_problem(exc)}", path=file) from exc
    except (ValueError, OverflowError, RecursionError) as exc:
        # An escape that is no character, in PyYAML's own scanner.
        raise IntegrityError(f"{file}: no YAML: {exc}", path=file) from exc
    return value


def _problem(exc: Any) -> str:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    if mark is not None:
        said = exc.problem or exc.context or "no YAML"
        return f"line {mark.line + 1}, column {mark.column + 1}: {said}"
    if hasattr(exc, "position"):
        return f"byte {exc.position}: {exc.reason}"
    return str(exc)


@functools.cache
def _loader(parser: Any) -> Any:
    """Return one of PyYAML's loaders, restricted."""
    from yaml.composer import Composer

    # Of libyaml's, the events are taken: what it composes of them can't be restricted.
    bases = (parser,) if issubclass(parser, Composer) else (Composer, parser)
    return type("_PlainLoader", (_Plain, *bases), {"__init__": parser.__init__})


class _Plain:
    """What goes over a loader: in the place of a node it has the value."""

    file: Path
    # Name → value and what that counts; a node, as long as it is not whole.
    anchors: dict[str, Any]
    _depth = 0
    # What all values so far count, and those that aliases stand for.
    _weight = 0
    _expanded = 0

    def compose_node(self: Any, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if not hasattr(event, "tag"):
            return self._alias(self.get_event())
        scalar = hasattr(event, "value")
        if not scalar and self._depth >= DEEPEST:
            self.fail(event, f"nested more than {DEEPEST} deep")
        if scalar and event.tag == "!":
            event.tag = f"{_YAML}str"
        before = self._weight
        self._weight += _EACH + (len(event.value) if scalar else 0)
        self._depth += 1
        # A name may stand for another from here on.
        self.anchors.pop(event.anchor, None)
        node = super().compose_node(parent, index)  # type: ignore[misc]
        self._depth -= 1
        tag = node.tag.removeprefix(_YAML)
        value = self._scalar(node, tag) if scalar else self._collection(node, tag)
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self._weight - before
        return value

    def resolve(self: Any, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of what has none."""
        if value in _NULL and implicit[0]:
            return f"{_YAML}null"
        return super().resolve(kind, value, (False, False))  # type: ignore[misc]

    def _alias(self, event: Any) -> Any:
        found = self.anchors.get(event.anchor)
        if not isinstance(found, tuple):
            self.fail(event, f"the alias *{event.anchor} stands for nothing before it")
        value, weight = found
        self._weight += weight
        self._expanded += weight
        if self._expanded > _EXPANDED:
            self.fail(event, "the aliases stand for more than is read")
        return value

    def _scalar(self, node: Any, tag: str) -> Any:
        if tag in _TEXTS:
            return node.value
        if tag in _NULLS:
            return None
        if tag not in _BYTES:
            self._refuse(node, tag)
        try:
            return base64.b64decode("".join(node.value.split()).encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error) as exc:
            self.fail(node, f"no Base64: {exc}")

    def _collection(self, node: Any, tag: str) -> Any:
        values = node.value
        if node.id == "mapping":
            values = {self._key(key, node): value for key, value in node.value}
            if tag in _MAPPINGS:
                return values
        elif tag in _LISTS:
            return values
        match = _APPLY.fullmatch(tag)
        make = _APPLIED.get(match[1]) if match else None
        if make is None:
            self._refuse(node, tag)
        try:
            return make(values)
        except (IndexError, KeyError, TypeError, ValueError):
            self.fail(node, f"not what !!{tag} holds")

    def _key(self, key: Any, node: Any) -> str:
        if isinstance(key, bytes):
            return key.decode("latin-1")
        if not isinstance(key, str):
            self.fail(node, f"a {_noun(key)} as a key")
        return key

    def _refuse(self, node: Any, tag: str) -> NoReturn:
        shown = tag if tag.startswith("!") else f"!!{tag}"
        self.fail(node, f"the tag {shown} is not read: it would make an object of the file's own")

    def fail(self, at: Any, what: str) -> NoReturn:
        """Raise an error that names the place of an event or a node."""
        mark = at.start_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        raise IntegrityError(f"{self.file}: {place}: {what}", path=self.file)


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
