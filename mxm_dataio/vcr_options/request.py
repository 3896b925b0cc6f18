"""A request as vcrpy's functions take it, made of ours, and their edits of it taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from ..errors import ConfigError
from ..http.urls import DEFAULT_PORTS
from ..identity.view import Call


class Headers(MutableMapping[str, str]):
    """Headers by name, in any case.

    Attributes:
        gone: names, in lower case, that were taken away, whether they were there or not: what does
            not count anyway is not there.
    """

    def __init__(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.gone: set[str] = set()
        self._pairs: dict[str, tuple[str, str]] = {}
        self.update(pairs)

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()][1]

    def __setitem__(self, name: str, value: Any) -> None:
        one = value[0] if isinstance(value, (list, tuple)) else value
        text = one.decode("latin-1") if isinstance(one, bytes) else str(one)
        self._pairs[name.lower()] = (self._pairs.get(name.lower(), (name,))[0], text)

    def __delitem__(self, name: str) -> None:
        self.gone.add(name.lower())
        self._pairs.pop(name.lower(), None)

    def pop(self, name: str, *default: Any) -> Any:
        """Take a header away, and return its value."""
        value = self.get(name, default[0] if default else "")
        del self[name]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs.values()])

    def __len__(self) -> int:
        return len(self._pairs)

    def copy(self) -> Headers:
        """Return the same headers."""
        made = Headers(self)
        made.gone = set(self.gone)
        return made


class Request:
    """A request with the attributes of ``vcr.request.Request``.

    Attributes:
        method, uri: what they say.
        body: bytes or ``None``; text that is set becomes bytes.
    """

    def __init__(self, method: str, uri: str, body: bytes | str | None, headers: Any) -> None:
        self.method = method
        self.uri = uri
        self.body = body
        self.headers = headers

    @property
    def body(self) -> Any:
        """Bytes, or ``None``."""
        return self._body

    @body.setter
    def body(self, value: Any) -> None:
        self._body = value.encode("utf-8") if isinstance(value, str) else value

    @property
    def headers(self) -> Headers:
        """By name, in any case."""
        return self._headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._headers = value if isinstance(value, Headers) else Headers(value or ())

    @property
    def parsed_uri(self) -> SplitResult:
        """The URI's parts."""
        return urlsplit(self.uri)

    @property
    def url(self) -> str:
        """The URI."""
        return self.uri

    @property
    def scheme(self) -> str:
        """In lower case."""
        return self.parsed_uri.scheme

    protocol = scheme

    @property
    def host(self) -> str | None:
        """In lower case, without a port."""
        return self.parsed_uri.hostname

    @property
    def port(self) -> int | None:
        """The scheme's own, if the URI has none."""
        return self.parsed_uri.port or DEFAULT_PORTS.get(self.scheme)

    @property
    def path(self) -> str:
        """Percent-encoded."""
        return self.parsed_uri.path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded, sorted."""
        return sorted(parse_qsl(self.parsed_uri.query))

    def __repr__(self) -> str:
        return f"<Request ({self.method}) {self.uri}>"


# What ``before_record_request`` is; ``None`` leaves out.
Edit = Callable[[Any], Any]


def request_of(call: Call) -> Request:
    """Return a call as vcrpy's functions take it, without what is secret."""
    query = urlencode([(name, _text(value)) for name, value in call.params])
    uri = f"{call.url}?{query}" if query else call.url
    return Request(call.method, uri, call.content, Headers({**call.all_headers, **call.headers}))


def edited(call: Call, edits: Iterable[Edit]) -> Call | None:
    """Return a call as vcrpy's functions would have it; ``None``, it is left out."""
    request = request_of(call)
    was = request_of(call)
    found: Any = request
    for edit in edits:
        found = edit(found)
        if not found:
            return None
        if not hasattr(found, "uri"):
            raise TypeError(f"{name_of(edit)} returned {type(found).__name__}, not the request")
    return taken_back(call, was, found)


def taken_back(call: Call, was: Request, now: Any) -> Call:
    """Return a call with what differs between two requests."""
    if now.method != was.method:
        call = call.replace(method=now.method)
    if now.uri != was.uri:
        address, _, query = now.uri.partition("#")[0].partition("?")
        call = call.replace(url=address, params=parse_qsl(query, keep_blank_values=True))
    if now.body != was.body:
        call = _with_body(call, now.body)
    headers = Headers(now.headers)
    gone: set[str] = getattr(now.headers, "gone", set())
    kept = {name: headers[name] for name in call.headers if name in headers}
    if kept != dict(call.headers):
        call = call.replace(headers=kept)
    return call.without(*(f"header:{name}" for name in gone)) if gone else call


def _with_body(call: Call, body: Any) -> Call:
    if not body:
        return call.replace(text=None)
    if isinstance(body, dict):
        return call.replace(json=body)
    if not isinstance(body, (bytes, bytearray)):
        raise ConfigError(f"a body of {type(body).__name__} can't be compared: set bytes or text")
    return call.replace(content=bytes(body))


def _text(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def name_of(function: Any) -> str:
    """Return what a function is called."""
    return str(getattr(function, "__qualname__", repr(function)))
