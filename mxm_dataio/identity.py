"""``params_hash``, version 1: when are two calls the same call?

The SHA-256 of the RFC 8785 canonical JSON of one document:

    {"v": 1, "method": …, "endpoint": …, "params": …, "body": …, "headers": …}

- **method**: upper case.
- **endpoint**: scheme and host lower-case, the host as A-labels, IPv6 compressed; default port,
  userinfo, query and fragment dropped; an empty path is ``/``; percent-encoding normalised
  (RFC 3986 §6.2.2: unreserved characters decoded, hex digits upper-case, what may not stand
  bare encoded). Dot segments stay: what goes on the wire differs. Text without ``://`` is a
  fetcher's own name for something and stays as it is.
- **params**: decoded ``[name, value]`` pairs, sorted by name, values of one name in their order.
  ``+`` is a space. A text that is not UTF-8 is ``{"hex": …}``.
- **body**: ``null`` when empty, else its content (codings of ``Content-Encoding`` undone; gzip that
  no header names too, if there is text in it) by what it is, whatever its type says:
  ``{"json": value}``, ``{"form": pairs}`` as params, ``{"multipart": [part, …]}`` of any subtype
  without the boundary, or ``{"sha256": hex}``. A part is its headers and its own ``sha256`` or
  ``multipart``. JSON lines and XML are ``sha256``, and so is what has no canonical form (a key
  twice, an integer beyond 2^53, another encoding than UTF-8), and forms or JSON above 1 MiB.
- **headers**: ``[name, value]`` pairs, sorted: ``accept`` (``*/*`` counts as absent, RFC 9110
  §12.5.1), ``range``, and those that a stored answer's ``Vary`` names. A header that names the
  operation of one URL (``SOAPAction``, ``X-Amz-Target``) counts as if the answer named it.

Ignored and redacted names leave the document, in JSON at any depth. Of what is a ``sha256``, a text
within JSON, a field or a part, their values count as ``REDACTED``, and so does in XML what
WS-Security and WS-Addressing have anew in each message. Test vectors:
``tests/vectors/params_hash.json``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from mmap import mmap
from operator import itemgetter
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from .http.codings import Pieces, State
from .http.content import GZIP, LARGEST
from .http.forms import Pair, form_pairs
from .http.json_values import may_nest
from .http.multipart import (
    Part,
    header,
    headers_of,
    is_multipart,
    let_go,
    parameter,
    part_name,
    parts_of,
)
from .http.named_values import Kind, Memo, Uncounted
from .http.replacing import names_beside, nested, part_replaced, replaced
from .http.shapes import BEGINNING, Shape, is_form, is_lines, shape_of
from .http.tokens import PLACEHOLDER
from .http.urls import split_url
from .models import Headers
from .redaction.names import goes_with
from .utils import (
    NotCanonicalError,
    canonical_json,
    media_type,
    utf8,
)

VERSION = 1
PARSED_BODY_LIMIT = 1 << 20
_STEP = 1 << 20
# Multipart within multipart is read to this depth.
_DEEPEST = 8
# What is under a content coding counts without it up to this size.
_MOST_CONTENT = 256 << 20
# The headers that always count.
_COUNTED = ("accept", "range")
# One URL serves many operations, told apart by these (SOAP 1.1 §6.1.1; AWS's JSON protocols).
_OPERATION = ("soapaction", "x-amz-target")
_FIRST = itemgetter(0)
_PAIRS = [("name", "value"), ("key", "value"), ("Name", "Value"), ("Key", "Value")]
_USERINFO = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Written:
    """A value by its canonical JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a call is recognised by: the members of the document.

    Attributes:
        headers: the headers that always count.
        all_headers: every header the call carries by lower-case name, for those ``Vary`` adds.
        source: the data source that the call belongs to; no member of the document.
    """

    method: str
    endpoint: str
    params: list[Any]
    body: Any
    headers: dict[str, str]
    all_headers: Mapping[str, str]
    source: str = ""

    def document(self, vary: Iterable[str] = ()) -> bytes:
        """Return the canonical document, with the headers that ``vary`` names.

        Raises:
            NotCanonicalError: parameters or body have no canonical form.
        """
        headers = dict(self.headers)
        for name in vary:
            headers[name] = self.all_headers.get(name, "")
        pairs = sorted(headers.items())
        try:
            return self._document(self.endpoint, pairs, self.method)
        except UnicodeEncodeError:
            # Half a surrogate pair, in what no client can send.
            pairs = [(_sound(name), _sound(value)) for name, value in pairs]
            try:
                return self._document(_sound(self.endpoint), pairs, _sound(self.method))
            except UnicodeEncodeError as exc:
                raise NotCanonicalError(str(exc)) from None

    def _document(self, endpoint: str, pairs: list[tuple[str, str]], method: str) -> bytes:
        rest = _ENCODE(
            {
                "endpoint": endpoint,
                "headers": pairs,
                "method": method,
                "params": self.params,
                "v": VERSION,
            }
        )
        json_value = self.body.get("json") if self.body else None
        if isinstance(json_value, Written):
            body = f'{{"json":{json_value.text}}}'
        else:
            body = canonical_json(self.body).decode()
        return f'{{"body":{body},{rest[1:]}'.encode()

    def params_hash(self, vary: Iterable[str] = ()) -> str:
        """Return the lowercase hex SHA-256 of :meth:`document`."""
        return hashlib.sha256(self.document(vary)).hexdigest()

    def counting(self, vary: Iterable[str]) -> tuple[str, ...]:
        """Return the sorted names of the headers that count where answers vary on ``vary``."""
        operation = [name for name in _OPERATION if name in self.all_headers]
        return tuple(sorted({*vary, *operation}))

    def with_body(self, body: Any) -> Identity:
        """Return this identity with another body member."""
        return replace(self, body=body)


def identify(
    method: str,
    url: str,
    *,
    params: Iterable[tuple[str, str]] = (),
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | mmap | None = None,
    ignore: Container[str] = (),
    ignore_headers: Container[str] = (),
    source: str = "",
    coding: str | None = None,
) -> Identity:
    """Return the identity of a call.

    Args:
        method: in any case.
        url: absolute; its query counts with ``params``.
        params: more parameters, decoded.
        headers: as sent; repeats are joined with ``", "``.
        body: the bytes as sent, before transfer coding.
        ignore: holds the names, asked as they stand, that do not count: of query parameters, and
            of fields, parts, members and elements of the body at any depth.
        ignore_headers: holds the lower-case names of headers that never count.
        source: which the call belongs to.
        coding: of the body; ``None``: as the headers say.
    """
    endpoint, query = split_url(url)
    pairs = form_pairs(query)
    pairs += [(utf8(n), utf8(v)) for n, v in params]
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in ignore_headers:
            text = value.strip()
            joined[key] = f"{joined[key]}, {text}" if key in joined else text
    if joined.get("accept") == "*/*":
        del joined["accept"]
    counted = {name: joined[name] for name in _COUNTED if joined.get(name)}
    return Identity(
        method=method.upper(),
        endpoint=endpoint,
        params=_sorted_pairs(pairs, _Ignoring(ignore)),
        body=body_member(
            body,
            joined.get("content-type", ""),
            ignore,
            ignore_headers,
            joined.get("content-encoding", "") if coding is None else coding,
        ),
        headers=counted,
        all_headers=joined,
        source=source,
    )


def vary_names(value: str | None, ignore_headers: Container[str] = ()) -> tuple[str, ...]:
    """Return the lower-case, sorted names of a ``Vary`` header; ``*`` names nothing usable."""
    if not value:
        return ()
    names = {name.strip().lower() for name in value.split(",")}
    return tuple(sorted(name for name in names - {"", "*"} if name not in ignore_headers))


def base_of(document: str) -> tuple[str, tuple[str, ...]]:
    """Return an identity document without the headers that the answer varies on, and their names.

    Of those that always count, one without a value is only there because the answer names it.
    """
    members = json.loads(document)
    headers = members["headers"]
    base = [pair for pair in headers if pair[0] in _COUNTED and pair[1]]
    if len(base) == len(headers):
        return document, ()
    vary = tuple(name for name, value in headers if name not in _COUNTED or not value)
    return canonical_json({**members, "headers": base}).decode("utf-8"), vary


def without_headers(document: str, names: Collection[str]) -> str:
    """Return an identity document without some of the headers that an answer varies on."""
    members = json.loads(document)
    kept = [pair for pair in members["headers"] if pair[0] not in names or pair[0] in _COUNTED]
    if len(kept) == len(members["headers"]):
        return document
    return canonical_json({**members, "headers": kept}).decode("utf-8")


# -- the endpoint ----------------------------------------------------------------------------


def _sound(text: str) -> str:
    """Return a text that has a form in UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# -- pairs -----------------------------------------------------------------------------------


def _sorted_pairs(pairs: Iterable[Pair], ignoring: _Ignoring) -> list[Any]:
    if ignoring.names:
        names = ignoring.names
        kept = [(n, _counted(v, ignoring)) for n, v in pairs if _name(n) not in names]
        pairs = kept
    return [[_text(name), _text(value)] for name, value in sorted(pairs, key=_FIRST)]


def _counted(value: bytes, ignoring: _Ignoring) -> bytes:
    """Return a field's value; if it is JSON or XML, without what does not count."""
    if value.lstrip()[:1] not in (b"{", b"[", b"<"):
        return value
    try:
        return nested(value.decode("utf-8"), ignoring).encode("utf-8")
    except UnicodeError:
        return value


def _name(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _text(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}


# -- the body --------------------------------------------------------------------------------


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
    ignoring = _Ignoring(ignore, ignore_headers)
    shape = shape_of(body, content_type)
    if shape is Shape.MULTIPART:
        parts = _multipart(body, content_type, ignoring)
        if parts is not None:
            return {"multipart": parts}
    if len(body) <= PARSED_BODY_LIMIT:
        content = bytes(body)
        if shape is Shape.JSON and not is_lines(content_type):
            written = _json(content, ignoring)
            if written is not None:
                return {"json": written}
        if shape in (Shape.JSON, Shape.FORM) and is_form(content, content_type):
            return {"form": _sorted_pairs(form_pairs(content), ignoring)}
    if isinstance(body, bytes) and len(body) <= LARGEST:
        body = replaced(body, content_type, ignoring)
    return {"sha256": _sha256(body, 0, len(body))}


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


class _Ignoring:
    """Puts one and the same in the place of what does not count.

    See :class:`mxm_dataio.http.replacing.Visitor`.

    Args:
        names: holds the names of fields, parts, members and elements.
        headers: holds the lower-case names of headers.
    """

    def __init__(self, names: Container[str], headers: Container[str] = ()) -> None:
        self.names = names
        self._headers = headers

    def asks(self, name: str) -> bool:
        return name in self.names

    def may_change(self, body: bytes) -> bool:
        names = self.names
        if not isinstance(names, Uncounted):
            return bool(names)
        return names.may_be_in(body) or (b"@" in body and b"://" in body)

    def value(self, place: str, name: str, value: str, kind: Kind) -> str | None:
        if kind in (Kind.SIGNATURE, Kind.PASSING):
            return PLACEHOLDER
        return PLACEHOLDER if kind is not Kind.ELEMENT and self.asks(name) else None

    def fields(self, text: str) -> str:
        return "&".join(map(self._field, text.split("&")))

    def _field(self, field: str) -> str:
        name, equals, value = field.partition("=")
        if not equals:
            return field
        if self.asks(unquote_plus(name)):
            return f"{name}={PLACEHOLDER}"
        before = unquote_plus(value)
        after = nested(before, self)
        return field if after == before else f"{name}={quote_plus(after)}"

    def goes_with(self, name: str, content: bytes, beside: Collection[str]) -> bool:
        value = content.decode("latin-1")
        return goes_with(name.lower(), value, beside) and self.asks("signature")

    def url(self, url: str) -> str:
        path, mark, query = url.partition("?")
        return f"{_USERINFO.sub(PLACEHOLDER, path, count=1)}{mark}{self.fields(query)}"

    def header(self, name: str, value: str) -> str:
        """Return what counts of a header's value."""
        return PLACEHOLDER if name in self._headers or self.asks(name) else value

    def head(self, head: bytes) -> bytes:
        lines = head.split(b"\n")
        for index, line in enumerate(lines[1:], 1):
            name, colon, _ = line.partition(b":")
            if colon and self.header(name.decode("latin-1").strip().lower(), "") == PLACEHOLDER:
                end = b"\r" if line.endswith(b"\r") else b""
                lines[index] = name + b": " + PLACEHOLDER.encode() + end
        return b"\n".join(lines)


def _json(content: bytes, ignoring: _Ignoring) -> Written | None:
    """Return the canonical form of JSON, ``None`` where it has none."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    ignores = ignoring.may_change(content)
    # Numbers that the standard encoder writes in another way, or should not write.
    odd: list[float] = []

    def real(text: str) -> float:
        value = float(text)
        if value.is_integer() and abs(value) < 1e21:
            # From there on it keeps its exponent, and so stays a double when read again.
            if abs(value) > 2**53:
                raise NotCanonicalError(f"{text} is no integer that a double holds exactly")
            return int(value)
        if -_PLAIN < value < _PLAIN:
            odd.append(value)
        return value

    def whole(text: str) -> int:
        value = int(text)
        if len(text) > _SHORT:
            odd.append(value)
        return value

    try:
        value = json.loads(
            text,
            object_pairs_hook=_kept_by(ignoring.names) if ignores else _object,
            parse_float=real,
            parse_int=whole,
        )
        held = ignores and ("=" in text or "@" in text)
        if held or ((ignores or "<" in text) and may_nest(text)):
            value = _without_nested(value, ignoring)
        if not odd and _is_plain(content):
            return Written(_ENCODE(value))
        return Written(canonical_json(value).decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotCanonicalError("a key stands twice")
    return value


def _kept_by(names: Container[str]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Return what makes an object of members without those whose names do not count."""
    said = names.said if isinstance(names, Uncounted) else Memo(names.__contains__)

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = _object([pair for pair in pairs if not said[pair[0]]])
        if "value" in value or "Value" in value:
            # ``{"name": "password", "value": …}``
            for label, of in _PAIRS:
                if of in value and isinstance(value.get(label), str) and said[value[label]]:
                    value[of] = PLACEHOLDER
        return value

    return kept


# The standard encoder writes as RFC 8785 has it, but for small numbers, and the order of names
# beyond the Basic Multilingual Plane. It would go deeper than what reads the document again.
_ENCODE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
# Numbers from here on have no exponent, or the same; integers of so many digits are exact.
_PLAIN, _SHORT = 1e-4, 15
_DEEPEST_PLAIN = 256
_BRACKETS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))
_BEYOND = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4", b"\\ud", b"\\uD")


def _is_plain(content: bytes) -> bool:
    """Say whether JSON is not deep, and has only letters of the Basic Multilingual Plane."""
    if any(map(content.__contains__, _BEYOND)):
        return False
    brackets = content.translate(_BRACKETS, _NO_BRACKETS)
    if len(brackets) <= _DEEPEST_PLAIN:
        return True
    return max(accumulate(memoryview(brackets).cast("b"))) <= _DEEPEST_PLAIN


def _without_nested(value: Any, ignoring: _Ignoring) -> Any:
    """Return a JSON value in whose texts JSON and XML have no values that do not count."""
    if isinstance(value, str):
        return nested(value, ignoring)
    if isinstance(value, list):
        return [_without_nested(one, ignoring) for one in value]
    if isinstance(value, dict):
        return {name: _without_nested(one, ignoring) for name, one in value.items()}
    return value


def _multipart(
    body: bytes | mmap, content_type: str, ignoring: _Ignoring, depth: int = 0
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
        if name not in ignoring.names:
            parts.append(_part(body, part, headers, ignoring, depth))
    parts.append(_outside(body, found.epilogue, len(body)))
    return [part for part in parts if part is not None]


def _outside(body: bytes | mmap, start: int, end: int) -> dict[str, Any] | None:
    if end - start <= _STEP and not body[start:end].strip(b" \t\r\n"):
        return None
    return {"sha256": _sha256(body, start, end)}


def _part(
    body: bytes | mmap, part: Part, headers: Headers, ignoring: _Ignoring, depth: int
) -> dict[str, Any]:
    content_type = header(headers, "content-type")
    kept = [[name, ignoring.header(name, value)] for name, value in headers]
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
