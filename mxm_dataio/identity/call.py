"""What a call is recognised by, and its document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from mmap import mmap
from typing import Any

from ..http.forms import form_pairs
from ..http.named_values import asker
from ..http.tokens import PLACEHOLDER
from ..http.urls import split_url
from ..redaction.names import is_named_data
from ..redaction.sent import CleanBody
from ..redaction.users import User
from ..utils import (
    NotCanonicalError,
    canonical_json,
    utf8,
)
from .bodies import body_member
from .ignoring import Ignoring
from .json_form import ENCODE, Written
from .pairs import sorted_pairs

VERSION = 1
# What makes a call conditional (RFC 9110 §13.1).
CONDITIONS = frozenset(
    ["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"]
)
# The headers that always count.
_COUNTED = frozenset(["accept", "range"]) | CONDITIONS
# One URL serves many operations, told apart by these (SOAP 1.1 §6.1.1; AWS's JSON protocols).
_OPERATION = ("soapaction", "x-amz-target")
# Stands, by a name that no header has, for the redacted secrets with which a call is made.
USER = "(user)"


@dataclass(slots=True)
class Identity:
    """What a call is recognised by: the members of the document.

    Attributes:
        headers: the headers that always count.
        all_headers: every header the call carries by lower-case name, for those ``Vary`` adds.
        source: the data source that the call belongs to; no member of the document.
        user: who makes it; from the second of a recording on a header :data:`USER`.
        also: names of headers, in lower case, that count as if every answer varied on them.
        left_out: why the call is neither recorded nor replayed, in words; empty: it is.
        url: the call's, without what was known to be secret.
        version: of what was known; see :attr:`mxm_dataio.redaction.secrets.Secrets.version`.
        sent: its body without secrets, if that was looked into.
    """

    method: str
    endpoint: str
    params: list[Any]
    body: Any
    headers: dict[str, str]
    all_headers: Mapping[str, str] = field(compare=False)
    source: str = ""
    user: User | None = field(default=None, compare=False)
    left_out: str = field(default="", compare=False)
    also: tuple[str, ...] = field(default=(), compare=False)
    url: str = field(default="", compare=False)
    version: object = field(default=None, compare=False)
    sent: CleanBody | None = field(default=None, compare=False, repr=False)

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
        members: dict[str, Any] = {
            "endpoint": endpoint,
            "headers": pairs,
            "method": method,
            "params": self.params,
            "v": VERSION,
        }
        value = self.body.get("json") if self.body else None
        if value is None:
            return ENCODE({"body": self.body, **members}).encode()
        text = value.text if isinstance(value, Written) else canonical_json(value).decode()
        return f'{{"body":{{"json":{text}}},{ENCODE(members)[1:]}'.encode()

    def params_hash(self, vary: Iterable[str] = ()) -> str:
        """Return the lowercase hex SHA-256 of :meth:`document`."""
        return hashlib.sha256(self.document(vary)).hexdigest()

    def counting(self, vary: Iterable[str]) -> tuple[str, ...]:
        """Return the sorted names of the headers that count where answers vary on ``vary``."""
        operation = [name for name in (*_OPERATION, USER, *self.also) if name in self.all_headers]
        return tuple(sorted({*vary, *operation}))

    def by_anyone(self) -> Identity:
        """Return this identity as if who makes the call could not be told."""
        headers = {name: self.all_headers[name] for name in self.all_headers if name != USER}
        return replace(self, all_headers=headers, user=None)

    def without_data(self) -> Identity | None:
        """Return this identity without parameters that are data under the name of a secret.

        ``None``, if there are none.
        """
        kept = [pair for pair in self.params if not is_named_data(*pair)]
        return replace(self, params=kept) if len(kept) < len(self.params) else None

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions that the call makes, by the lower-case names of their headers."""
        return {name: self.headers[name] for name in self.headers.keys() & CONDITIONS}

    def unconditional(self) -> Identity:
        """Return this identity as if the call had made no conditions."""
        headers = {name: self.headers[name] for name in self.headers.keys() - CONDITIONS}
        return replace(self, headers=headers)

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
    user: User | None = None,
    also: tuple[str, ...] = (),
    version: object = None,
    sent: CleanBody | None = None,
) -> Identity:
    """Return the identity of a call.

    Args:
        method: in any case.
        url: absolute; its query counts with ``params``.
        params: more parameters, decoded.
        headers: as sent; repeats are joined with ``", "``.
        body: the bytes as sent, before transfer coding.
        ignore: holds the names, asked as they stand, that do not count: of query parameters, of
            conditions, and of fields, parts, members and elements of the body at any depth.
        ignore_headers: holds the lower-case names of headers that never count.
        source: which the call belongs to.
        coding: of the body; ``None``: as the headers say.
        user: who makes the call.
        also: as of :class:`Identity`.
        version: of what is known to be secret.
        sent: the body without secrets.
    """
    endpoint, query = split_url(url)
    pairs = form_pairs(query)
    pairs += [(utf8(n), utf8(v)) for n, v in params]
    ignored = asker(ignore_headers)
    joined = _joined((name.lower(), value) for name, value in headers if not ignored(name.lower()))
    if joined.get("accept") == "*/*":
        del joined["accept"]
    if user is not None and user.number > 1:
        joined[USER] = f"{PLACEHOLDER}#{user.number}"
    counted = {name: joined[name] for name in joined.keys() & _COUNTED if joined[name]}
    for name in counted.keys() & CONDITIONS:
        if name in ignore:
            del counted[name]
    return Identity(
        method=method.upper(),
        endpoint=endpoint,
        params=sorted_pairs(pairs, Ignoring(ignore)),
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
        user=user,
        also=also,
        url=url,
        version=version,
        sent=sent,
    )


def stored_identity(document: str, source: str) -> tuple[Identity, tuple[str, ...]]:
    """Return the identity that a canonical document says, and the headers its answer varies on."""
    members = json.loads(document)
    base, vary = _parted(members["headers"])
    identity = Identity(
        method=members["method"],
        endpoint=members["endpoint"],
        params=members["params"],
        body=members["body"],
        headers=dict(base),
        all_headers=dict(members["headers"]),
        source=source,
    )
    return identity, vary


def _parted(headers: list[list[str]]) -> tuple[list[list[str]], tuple[str, ...]]:
    """Return a document's headers that always count, and the names of those beside them.

    Of those that always count, one without a value is only there because the answer names it.
    """
    base = [pair for pair in headers if pair[0] in _COUNTED and pair[1]]
    return base, tuple(name for name, value in headers if name not in _COUNTED or not value)


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        text = value.strip()
        joined[name] = f"{joined[name]}, {text}" if name in joined else text
    return joined


def conditions_of(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the conditions that headers make, as :attr:`Identity.conditions` has them."""
    pairs = ((name.lower(), value) for name, value in headers)
    made = _joined(pair for pair in pairs if pair[0] in CONDITIONS)
    return {name: value for name, value in made.items() if value}


def vary_names(value: str | None, ignore_headers: Container[str] = ()) -> tuple[str, ...]:
    """Return the lower-case, sorted names of a ``Vary`` header; ``*`` names nothing usable."""
    if not value:
        return ()
    names = {name.strip().lower() for name in value.split(",")}
    return tuple(sorted(name for name in names - {"", "*"} if name not in ignore_headers))


def base_of(document: str) -> tuple[str, tuple[str, ...]]:
    """Return an identity document without the headers that its answer varies on, and these."""
    members = json.loads(document)
    base, vary = _parted(members["headers"])
    if not vary:
        return document, ()
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


# -- the body --------------------------------------------------------------------------------
