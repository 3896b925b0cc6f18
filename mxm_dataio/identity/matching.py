"""What counts in a source's calls: which of them are the same, and which are left out."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from copy import copy
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from ..errors import ViewError
from ..http.hosts import HostSet, Target
from ..http.named_values import Uncounted, text_of
from ..http.shapes import Shape, shape_of
from ..http.url_patterns import forms_with, matches
from ..http.urls import DEFAULT_PORTS
from .bodies import PARSED_BODY_LIMIT, body_member, content_of
from .call import Identity, stored_identity
from .ignoring import Ignoring
from .json_form import Written, json_form
from .names import Names
from .view import ANY_HOST, Call, Contents, View, body_without, kept, parts_of

# Bodies from which all names that do not count can be told by the document alone.
_TOLD = ('{"body":null', '{"body":{"json"', '{"body":{"form"')


class RequestBody(NamedTuple):
    """The bytes of a request's body, and what of it does not count anyway.

    Attributes:
        coding: its content coding.
        ignore, ignore_headers: as of :func:`mxm_dataio.identity.identify`.
        clean: takes what is secret from it, given its type; of one that was stored it is gone.
    """

    body: bytes
    content_type: str
    coding: str
    ignore: Uncounted
    ignore_headers: Container[str] = ()
    clean: Callable[[bytes, str], bytes] | None = None

    @property
    def content(self) -> bytes | None:
        """The body, its coding undone, if it is not above 1 MiB."""
        content = content_of(self.body, self.coding)
        if content is None or len(content) > PARSED_BODY_LIMIT:
            return None
        return self.clean(content, self.content_type) if self.clean is not None else content

    @property
    def json(self) -> Written | None:
        """The body's JSON in its canonical form, whatever its size and encoding."""
        content = content_of(self.body, self.coding)
        if content is None or shape_of(content, self.content_type) is not Shape.JSON:
            return None
        text = text_of(content).removeprefix("\ufeff")
        return json_form(text.encode("utf-8", "replace"), Ignoring(self.ignore))

    def holding(self, content: bytes) -> RequestBody:
        """Return a body of the same type with another content."""
        return self._replace(body=content, coding="", clean=None)

    def without(self, names: Names) -> object:
        """Return the ``body`` member of the identity, without what some names say."""
        ignore = self.ignore.also(names.anywhere, names.xml)
        return body_member(self.body, self.content_type, ignore, self.ignore_headers, self.coding)


class Matcher:
    """What counts in the calls of one source.

    Args:
        ignore_params: what does not count, as :meth:`~mxm_dataio.identity.view.Call.without`
            takes it.
        ignore_hosts: hosts whose calls are left out, as ``allowed_hosts`` has them.
        match_host: host and port count.
        ignore_body_of: patterns of URLs (``*/telemetry``, ``https://api.example.com/upload?*``)
            of calls of which method and URL alone count.
        match_headers: names of headers that count besides.
        view: what a call is seen as; ``None`` leaves it out.

    Attributes:
        names: what ``ignore_params`` says.
        also: what ``match_headers`` says, in lower case.
        sees: an identity that was made may be seen as another, or left out.

    Raises:
        ValueError: a name of ``ignore_params`` is none.
    """

    def __init__(
        self,
        ignore_params: Iterable[str] = (),
        ignore_hosts: Iterable[str] = (),
        *,
        match_host: bool = True,
        ignore_body_of: Iterable[str] = (),
        match_headers: Iterable[str] = (),
        view: View | None = None,
    ) -> None:
        self.names = Names.of(ignore_params)
        hosts = tuple(ignore_hosts)
        self._hosts = HostSet(hosts) if hosts else None
        self._match_host = match_host
        self.also = tuple(name.lower() for name in match_headers)
        self._bodiless = tuple(ignore_body_of)
        self._view = view
        # Names that hold anywhere leave an identity as it is made.
        self._placed = self.names.placed
        self._anywhere = Names(self.names.anywhere, xml=self.names.xml)
        self.sees = self._looks()

    def _looks(self) -> bool:
        data = self._placed or self._hosts is not None or self._bodiless
        return bool(data or self._view is not None) or not self._match_host

    def __bool__(self) -> bool:
        return self.sees or bool(self.names)

    def all_but_the_view(self) -> Matcher | None:
        """Return these rules without their view; ``None``: they have none, or nothing else."""
        if self._view is None:
            return None
        made = copy(self)
        made._view = None
        made.sees = made._looks()
        return made if made else None

    def seen(self, identity: Identity, content: Contents) -> Identity:
        """Return an identity as it is compared; its ``left_out`` says why it is not recorded.

        Raises:
            ViewError: the view raised, or returned what is no call.
        """
        call = call_of(identity, content)
        if self._hosts is not None and self._hosts.admits(target_of(identity.endpoint)):
            return replace(identity, left_out=f"ignore_hosts names {call.host}")
        if self._placed:
            call = call.without_names(self._placed)
        if self._bodiless and self._is_bodiless(call):
            call = call.replace(text=None, headers={})
        if not self._match_host and call.scheme:
            call = replace(call, host=ANY_HOST, port=None)
        if self._view is not None:
            found = self._viewed(call)
            if found is None:
                return replace(identity, left_out="the view returned None")
            call = found
        return _identity(identity, call)

    def _is_bodiless(self, call: Call) -> bool:
        forms = forms_with(call.url, call.params)
        return any(matches(forms, pattern) for pattern in self._bodiless)

    def _viewed(self, call: Call) -> Call | None:
        view = self._view
        assert view is not None
        name = getattr(view, "__qualname__", repr(view))
        try:
            found = view(call)
        except Exception as exc:
            raise ViewError(
                f"the view {name!r} raised {type(exc).__name__} for {call.method} {call.url}: {exc}"
            ) from exc
        if found is not None and not isinstance(found, Call):
            raise ViewError(
                f"the view {name!r} returned {type(found).__name__} for {call.method} {call.url}: "
                "return the call, call.without(…), call.replace(…), or None to leave it out"
            )
        return found

    def seen_again(
        self, document: str, content: Contents, source: str
    ) -> tuple[Identity, tuple[str, ...]]:
        """Return a recorded identity as it is compared now, and the headers that count besides.

        Args:
            document: canonical; of a call that was recorded by these rules or by others.
        """
        identity, vary = stored_identity(document, source)
        if self._anywhere:
            identity = replace(
                identity,
                params=list(kept(identity.params, self._anywhere.anywhere)),
                body=body_without(identity.body, content, self._anywhere),
            )
        if self.sees:
            identity = self.seen(identity, content)
        return identity, identity.counting(vary)

    def may_change(self, document: str) -> bool:
        """Say, fast, whether a recorded identity may be compared by another now."""
        if self.sees or not document.startswith(_TOLD):
            return True
        lower = document.lower()
        return any(name in lower for name in self.names.anywhere)


def call_of(identity: Identity, content: Contents) -> Call:
    """Return what a view is asked with."""
    return Call(
        method=identity.method,
        **parts_of(identity.endpoint),
        params=tuple((name, value) for name, value in identity.params),
        headers=identity.headers,
        source=identity.source,
        _body=identity.body,
        _content=content,
        all_headers=identity.all_headers,
    )


def _identity(identity: Identity, call: Call) -> Identity:
    headers = identity.all_headers
    if call.dropped:
        headers = {name: headers[name] for name in headers if name not in call.dropped}
    return replace(
        identity,
        method=call.method,
        endpoint=call.url,
        params=[[name, value] for name, value in call.params],
        body=call._body,
        headers=dict(call.headers),
        all_headers=headers,
    )


def target_of(endpoint: str) -> Target:
    """Return where the call of a normalised endpoint connects to."""
    parts = parts_of(endpoint)
    if parts["scheme"].endswith("+unix"):
        return Target(unquote(parts["host"]))
    host = parts["host"].removeprefix("[").removesuffix("]")
    return Target(host, parts["port"] or DEFAULT_PORTS.get(parts["scheme"], 0))
