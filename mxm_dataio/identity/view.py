"""A call as it is recognised, to be seen as the same as another: ``view(call) -> call | None``.

A :class:`Call` is made of what counts in an identity, so it is the same for a call that the program
makes and for one that was recorded. A view is a pure function of it, run before the hash: it
changes what two calls are compared by, neither what is sent nor what of a call is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from ..http.forms import form_pairs
from ..http.shapes import Shape, shape_of
from ..http.urls import split_url
from ..utils import NotCanonicalError, canonical_json
from .ignoring import Ignoring
from .json_form import Written
from .names import Names
from .pairs import sorted_pairs

# Takes the place of a host that does not count.
ANY_HOST = "*"
Pairs = tuple[tuple[str, Any], ...]


class Content(Protocol):
    """The bytes of a request's body, where they are at hand."""

    @property
    def content(self) -> bytes | None:
        """The body, its coding undone and without what is secret, if it is not above 1 MiB."""

    @property
    def json(self) -> Written | None:
        """The body's JSON in its canonical form, whatever its size and encoding."""

    def holding(self, content: bytes) -> Content:
        """Return a body of the same type with another content."""

    def without(self, names: Names) -> Any:
        """Return the ``body`` member of the identity, without what some names say."""


# Returns that, as it is asked for.
Contents = Callable[[], Content | None]


def _nothing() -> None:
    """There is no body at hand."""


@dataclass(frozen=True)
class Call:
    """What a call asks for, without what is secret or ignored.

    Attributes:
        method: in upper case.
        scheme, host: in lower case; empty where the source is no URL's but a fetcher's.
        port: ``None``: the scheme's own.
        path: percent-encoded as RFC 3986 §6.2.2 has it; for a fetcher, what it was asked for.
        params: of the query, decoded, sorted by name; a value that is not UTF-8 is
            ``{"hex": …}``.
        headers: those that count for any call, by lower-case name: ``accept``, ``range`` and
            conditions.
        source: the name of the source.
        all_headers: those that the call carries and that are no secret, by lower-case name; of a
            recorded call of a root those that count alone.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    params: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    _body: Any = field(default=None, repr=False)
    _content: Contents = field(default=_nothing, repr=False, compare=False)
    # Headers that do not count though an answer varies on them.
    dropped: frozenset[str] = field(default=frozenset(), repr=False)
    all_headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    # What of the body was taken: it is taken anew with more, from the bytes.
    _taken: Names = field(default=Names(), repr=False, compare=False)

    @property
    def url(self) -> str:
        """The whole address, without the query."""
        if not self.scheme:
            return self.path
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @cached_property
    def json(self) -> Any:
        """The body's JSON, or ``None``. To change it: ``replace(json=…)``."""
        value = self._member("json")
        content = self._content() if value is None and self._member("sha256") else None
        value = content.json if content is not None else value
        return json.loads(value.text) if isinstance(value, Written) else value

    @property
    def form(self) -> Pairs | None:
        """The fields of the body's form, sorted by name, or ``None``."""
        fields = self._member("form")
        return None if fields is None else tuple((name, value) for name, value in fields)

    @property
    def content(self) -> bytes | None:
        """The body as bytes, its coding undone; ``None``: it has none, or is above 1 MiB."""
        content = self._content()
        return content.content if content is not None else None

    @property
    def text(self) -> str | None:
        """The body as text, or ``None``: it has none, or is no text, or above 1 MiB."""
        content = self.content
        try:
            return content.decode("utf-8") if content is not None else None
        except UnicodeDecodeError:
            return None

    @property
    def xml(self) -> str | None:
        """The body's XML as text, or ``None``."""
        text = self.text
        is_xml = text is not None and shape_of(text.encode("utf-8"), "") is Shape.XML
        return text if is_xml else None

    def without(self, *names: str) -> Call:
        """Return this call without what some names say, wherever it has it.

        Args:
            names: ``t``: parameters of the query, fields, parts, members of JSON at any depth and
                elements of XML by this name, in any case; ``$.meta.ts``, ``$.rows[*].id`` or
                ``/meta/ts`` (RFC 6901): a place in JSON; ``header:X-Run``; ``xml:MessageID``:
                elements and attributes, without their prefix; ``path:/receipts/*``: what the
                ``*`` of a pattern stands for in a path.

        Raises:
            ValueError: a name is none of these.
        """
        return self.without_names(Names.of(names))

    def without_names(self, names: Names) -> Call:
        """Return this call without what some names say."""
        taken = self._taken | names
        call = replace(self, _taken=taken)
        if names.anywhere or names.xml:
            call = replace(
                call,
                params=tuple(kept(call.params, names.anywhere)),
                _body=body_without(call._body, call._content, taken),
            )
        call = call._pointed()
        if names.headers:
            headers = {n: v for n, v in call.headers.items() if n not in names.headers}
            call = replace(call, headers=headers, dropped=call.dropped | names.headers)
        if names.paths:
            call = replace(call, path=names.path(call.path))
        return call

    def replace(self, **changes: Any) -> Call:
        """Return this call with other parts.

        Args:
            changes: ``method``, ``url`` (a query in it takes the place of ``params``), ``scheme``,
                ``host``, ``port``, ``path``, ``params`` and ``form`` (pairs, or a mapping),
                ``headers``, ``json`` (a value), ``text`` (letter by letter), ``xml`` and
                ``content`` (bytes), of which what does not count in such a body does not. A body
                that is ``None`` does not count.

        Raises:
            TypeError: a call has no such part.
        """
        call = self
        for name, value in changes.items():
            call = call._with(name, value)
        return call

    def _with(self, name: str, value: Any) -> Call:
        match name:
            case "method":
                return replace(self, method=str(value).upper())
            case "url":
                endpoint, query = split_url(str(value))
                call = replace(self, **parts_of(endpoint))
                return replace(call, params=_pairs(form_pairs(query))) if query else call
            case "scheme" | "host" | "port" | "path":
                changed = replace(self, **{name: value})
                if not changed.scheme:
                    return changed
                endpoint, _ = split_url(changed.url)
                return replace(self, **parts_of(endpoint))
            case "params":
                return replace(self, params=_pairs(_encoded(value)))
            case "headers":
                kept = {str(n).lower(): str(v) for n, v in dict(value or {}).items()}
                return replace(self, headers=kept)
            case "json" | "form" | "text" | "xml" | "content" if value is None:
                return replace(self, _body=None, _content=_nothing, _taken=Names())
            case "json":
                return replace(self, _body=_json(value), _content=_nothing, _taken=Names())
            case "form":
                pairs = [list(pair) for pair in _pairs(_encoded(value))]
                return replace(self, _body={"form": pairs}, _content=_nothing, _taken=Names())
            case "text":
                return self._holding(_Content(str(value).encode("utf-8", "replace")), Names())
            case "xml" | "content":
                raw = str(value).encode("utf-8", "replace") if name == "xml" else value
                was = self._content()
                return self._holding(was.holding(raw) if was else _Content(raw), self._taken)
        raise TypeError(f"a call has no {name!r} to replace")

    def _holding(self, content: Content, taken: Names) -> Call:
        body = content.without(taken)
        return replace(self, _body=body, _content=lambda: content, _taken=taken)._pointed()

    def _pointed(self) -> Call:
        """Return this call without what was taken by its place in JSON."""
        value = self.json if self._taken.pointers else None
        if value is None:
            return self
        with contextlib.suppress(NotCanonicalError):
            return replace(self, _body=_json(self._taken.pointed(value)))
        return self

    def _member(self, name: str) -> Any:
        return self._body.get(name) if isinstance(self._body, dict) else None


class _Content(NamedTuple):
    """What a view has put in a body's place."""

    content: bytes

    @property
    def json(self) -> Written | None:
        """Nothing: what is put in a body's place as text is to be compared as text."""
        return None

    def holding(self, content: bytes) -> Content:
        return _Content(content)

    def without(self, names: Names) -> Any:
        return {"sha256": hashlib.sha256(self.content).hexdigest()}


View = Callable[[Call], Call | None]


def parts_of(endpoint: str) -> dict[str, Any]:
    """Return scheme, host, port and path of a normalised endpoint."""
    scheme, mark, rest = endpoint.partition("://")
    if not mark:
        return {"scheme": "", "host": "", "port": None, "path": endpoint}
    authority, slash, path = rest.partition("/")
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = authority, ""
    return {
        "scheme": scheme,
        "host": host,
        "port": int(port) if port else None,
        "path": f"{slash}{path}",
    }


def kept(pairs: Iterable[Any], names: frozenset[str]) -> Iterator[Any]:
    """Return pairs without those whose names are among some."""
    return (pair for pair in pairs if str(pair[0]).lower() not in names)


def body_without(body: Any, contents: Contents, names: Names) -> Any:
    """Return the ``body`` member of an identity without what some names say."""
    if not isinstance(body, dict):
        return body
    content = contents()
    if content is not None:
        return content.without(names)
    match body:
        case {"form": fields}:
            return {"form": [list(pair) for pair in kept(fields, names.anywhere)]}
        case {"json": value}:
            plain = json.loads(value.text) if isinstance(value, Written) else value
            return _json(names.left_of(plain))
    return body


def _json(value: Any) -> dict[str, Written]:
    return {"json": Written(canonical_json(value).decode("utf-8"))}


def _encoded(pairs: Any) -> list[tuple[bytes, bytes]]:
    given = pairs.items() if isinstance(pairs, Mapping) else pairs or ()
    made: list[tuple[bytes, bytes]] = []
    for name, value in given:
        for one in value if isinstance(value, (list, tuple)) else [value]:
            raw = bytes.fromhex(one["hex"]) if isinstance(one, dict) else str(one).encode("utf-8")
            made.append((str(name).encode("utf-8"), raw))
    return made


def _pairs(pairs: Iterable[tuple[bytes, bytes]]) -> Pairs:
    return tuple((name, value) for name, value in sorted_pairs(pairs, Ignoring(())))
