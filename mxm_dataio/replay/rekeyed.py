"""Recorded calls by what they are compared by now, where they were recorded by other rules.

A root keeps what its calls were found by as they were recorded. A session with a view, or with
other names that do not count, looks through them once, and remembers those that it sees as others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..errors import ViewError
from ..identity import Identity
from ..identity.matching import Matcher
from ..identity.view import Content
from ..models import Request
from ..storage.root_store import RootStore


class Rekeyed:
    """Finds the calls of a source that are the same as one by the rules of who looks.

    Args:
        bound: the latest as-of that counts.
        root_id: the one recorded session to look in.
        matcher: the rules.
        content: returns what there is of a recorded request's body.
        failed: is told that a view raised; such a call is found as it was recorded.
    """

    def __init__(
        self,
        store: RootStore,
        source: str,
        bound: str,
        root_id: str | None,
        matcher: Matcher,
        content: Callable[[Request], Content | None],
        failed: Callable[[ViewError], None],
    ) -> None:
        self._store = store
        self._source = source
        self._bound = bound
        self._root_id = root_id
        self._matcher = matcher
        # What was recorded under this view is by it already, as what asks is, which sees it once.
        beneath = matcher.all_but_the_view()
        self._matchers = (matcher,) if beneath is None else (matcher, beneath)
        self._content = content
        self._failed = failed
        # Base hash → names that the answer varies on, hash as it is seen now, hash as recorded.
        self._calls: dict[str, list[tuple[tuple[str, ...], str, str]]] | None = None

    def of(self, identity: Identity, base: str) -> list[str]:
        """Return the recorded hashes of the calls that are this one.

        Args:
            base: the identity's hash.
        """
        if self._calls is None:
            self._calls = self._look()
        return [
            recorded
            for vary, seen, recorded in self._calls.get(base, ())
            if identity.params_hash(identity.counting(vary)) == seen
        ]

    def _look(self) -> dict[str, list[tuple[tuple[str, ...], str, str]]]:
        calls: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for recorded, request_id, document in self._store.catalog.identities(
            self._source, self._bound, self._root_id
        ):
            for matcher in self._matchers:
                if not matcher.may_change(document):
                    continue
                found = self._seen(matcher, document, request_id)
                if found is None or found[0].left_out:
                    continue
                identity, names = found
                seen = identity.params_hash(names)
                base = identity.params_hash() if names else seen
                # Both ways are the same for most views.
                if seen != recorded and calls.get(base, [])[-1:] != [(names, seen, recorded)]:
                    calls.setdefault(base, []).append((names, seen, recorded))
        return calls

    def seen(self, request: Request) -> Request:
        """Return a recorded call with the identity by which it is compared now."""
        found = self._seen(self._matcher, request.identity, request.id)
        if found is None:
            return request
        seen, names = found
        document = seen.document(names).decode("utf-8")
        return replace(request, identity=document, endpoint=seen.endpoint)

    def _seen(
        self, matcher: Matcher, document: str, request_id: str
    ) -> tuple[Identity, tuple[str, ...]] | None:
        contents = partial(self._content_of, request_id)
        try:
            return matcher.seen_again(document, contents, self._source)
        except ViewError as exc:
            self._failed(exc)
            return None

    def _content_of(self, request_id: str) -> Content | None:
        exchange = self._store.exchange(request_id)
        return self._content(exchange.request) if exchange is not None else None
