"""Comparing what was recorded: two bodies, two calls, two sessions.

Bodies are compared decoded, and as what they are: JSON by its values, text by its lines, anything
else by its size and checksum. Payloads with the same checksum are not read. Of headers those are
left out that differ from answer to answer of the same thing (:data:`VOLATILE`).

The calls of two sessions belong together if they are the same call (``params_hash``), the first of
the one with the first of the other, and so on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from typing import NamedTuple

from ..http.heads import parse_head
from ..models import Exchange, Headers, Response
from ..storage.root_store import RootStore
from .bodies import Body, Kind, answered, sent
from .json_diff import Difference, NotComparableError, differences, parse
from .listing import Ending

# Differ with the time, the connection, the machine that answers, or how much is left of a limit;
# or say of the body what the body says itself.
VOLATILE = frozenset(
    {
        "age", "alt-svc", "cf-ray", "connection", "content-length", "date", "expires", "keep-alive",
        "nel", "ratelimit-remaining", "ratelimit-reset", "report-to", "server-timing",
        "traceparent", "transfer-encoding", "via", "x-amz-cf-id", "x-amz-cf-pop", "x-amz-id-2",
        "x-amz-request-id", "x-amzn-requestid", "x-amzn-trace-id", "x-cache", "x-cache-hits",
        "x-correlation-id", "x-github-request-id", "x-ratelimit-remaining", "x-ratelimit-reset",
        "x-ratelimit-used", "x-request-id", "x-runtime", "x-served-by", "x-timer", "x-trace-id",
    }
)  # fmt: skip
# Texts beyond these are not compared by line.
_LARGEST_TEXT = 4 << 20
_MOST_LINES = 20_000
_CONTEXT = 2


class How(StrEnum):
    """How two bodies were compared."""

    SAME = "same"
    """They have the same bytes, or are the same once decoded, or the same JSON."""
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing two bodies.

    Attributes:
        values: differences of JSON documents.
        lines: differences of texts, as a unified diff without its heading.
        note: what else is to be known.
    """

    how: How
    values: tuple[Difference, ...] = ()
    lines: tuple[str, ...] = ()
    note: str = ""

    @property
    def same(self) -> bool:
        """Nothing differs."""
        return self.how is How.SAME


_SAME = Compared(How.SAME)


def compare_bodies(old: Body, new: Body, *, same_bytes: bool = False) -> Compared:
    """Compare two bodies.

    Args:
        same_bytes: they are known to be the same as they are stored.

    Raises:
        IntegrityError: one can't be read.
    """
    if same_bytes and old.codings == new.codings:
        return _SAME
    if Kind.EMPTY in (old.kind, new.kind):
        return _SAME if old.kind is new.kind else _sizes(old, new)
    documents = old.document(), new.document()
    if documents[0] is not None and documents[1] is not None:
        try:
            found = tuple(differences(parse(documents[0]), parse(documents[1])))
            if found:
                return Compared(How.JSON, found)
            note = "" if documents[0] == documents[1] else "the same JSON, written in another way"
            return Compared(How.SAME, note=note)
        except (NotComparableError, RecursionError):
            pass
    if Kind.BINARY not in (old.kind, new.kind) and max(old.size, new.size) <= _LARGEST_TEXT:
        before, after = old.content(_LARGEST_TEXT), new.content(_LARGEST_TEXT)
        if before == after and old.problem is None and new.problem is None:
            return _SAME
        if max(len(before), len(after)) < _LARGEST_TEXT:
            lines = _lines_compared(list(old.lines()), list(new.lines()))
            if lines is not None:
                return Compared(How.TEXT, lines=lines)
    return _sizes(old, new)


def _lines_compared(old: list[str], new: list[str]) -> tuple[str, ...] | None:
    if len(old) + len(new) > _MOST_LINES:
        return None
    found = unified_diff(old, new, n=_CONTEXT, lineterm="")
    lines = tuple(found)[2:]
    return lines or ("  the lines are the same, their ends or their charset are not",)


def _sizes(old: Body, new: Body) -> Compared:
    sizes, digests = [], []
    for body in (old, new):
        digest, size = hashlib.sha256(), 0
        for chunk in body.chunks():
            digest.update(chunk)
            size += len(chunk)
        sizes.append(size)
        digests.append(digest.hexdigest())
    if digests[0] == digests[1] and old.problem is None and new.problem is None:
        return _SAME
    return Compared(
        How.BINARY,
        note=f"{sizes[0]:,} → {sizes[1]:,} bytes, sha256 {digests[0][:12]}… → {digests[1][:12]}…",
    )


# -- headers ---------------------------------------------------------------------------------------


class HeaderChange(NamedTuple):
    """A header of which the values differ; ``None`` where it is not there."""

    name: str
    old: str | None
    new: str | None


def compare_headers(old: Headers, new: Headers, *, volatile: bool = False) -> list[HeaderChange]:
    """Return the headers that differ, whatever the order of their names.

    Args:
        volatile: those of :data:`VOLATILE` too.
    """
    before, after = _by_name(old), _by_name(new)
    found = []
    for name in {**before, **after}:
        if before.get(name) != after.get(name) and (volatile or name not in VOLATILE):
            shown = next(n for n, _ in (*new, *old) if n.lower() == name)
            found.append(HeaderChange(shown, _joined(before.get(name)), _joined(after.get(name))))
    return found


def _by_name(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _joined(values: list[str] | None) -> str | None:
    return None if values is None else ", ".join(values)


# -- calls -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallsCompared:
    """What differs between two calls.

    Attributes:
        facts: name, old and new, of what is neither header nor body: the outcome, the URL.
        request_headers, headers: that differ, of the requests and of the last answers.
        request_body, body: how these compare.
    """

    facts: tuple[tuple[str, str, str], ...] = ()
    request_headers: tuple[HeaderChange, ...] = ()
    headers: tuple[HeaderChange, ...] = ()
    request_body: Compared = _SAME
    body: Compared = _SAME

    @property
    def same(self) -> bool:
        """Nothing differs."""
        return (
            not (self.facts or self.request_headers or self.headers)
            and self.request_body.same
            and self.body.same
        )


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares calls of a store.

    Args:
        headers: compare them.
        volatile: those too that differ from answer to answer.
        requests: compare what was asked, too.
    """

    store: RootStore
    headers: bool = True
    volatile: bool = False
    requests: bool = True

    def compare(self, old: Exchange, new: Exchange) -> CallsCompared:
        """Compare two calls: what was asked, and what the program got in the end.

        Raises:
            IntegrityError: a body can't be read.
        """
        before, after = self._answer(old), self._answer(new)
        one, other = old.request, new.request
        facts = [("outcome", _outcome(old, before), _outcome(new, after))]
        request_headers: list[HeaderChange] = []
        request_body = _SAME
        if self.requests:
            facts += [("method", one.method, other.method), ("url", one.url, other.url)]
            request_body = compare_bodies(
                sent(self.store, one),
                sent(self.store, other),
                same_bytes=one.body_checksum == other.body_checksum,
            )
            if self.headers:
                request_headers = self._headers(one.headers, other.headers)
        headers: list[HeaderChange] = []
        body = _SAME
        if before is not None and after is not None:
            facts.append(("bytes not kept", f"{before.truncated:,}", f"{after.truncated:,}"))
            body = compare_bodies(
                answered(self.store, before),
                answered(self.store, after),
                same_bytes=before.checksum == after.checksum,
            )
            if self.headers:
                headers = self._headers(before.headers, after.headers)
        return CallsCompared(
            tuple(fact for fact in facts if fact[1] != fact[2]),
            tuple(request_headers), tuple(headers), request_body, body,
        )  # fmt: skip

    def _headers(self, old: Headers, new: Headers) -> list[HeaderChange]:
        return compare_headers(old, new, volatile=self.volatile)

    def _answer(self, exchange: Exchange) -> Response | None:
        """Return what the program got: of a call answered from the store, that answer."""
        seen: set[str] = set()
        found: Exchange | None = exchange
        while found is not None and not found.responses and found.request.served_from:
            if found.request.id in seen:
                return None
            seen.add(found.request.id)
            found = self.store.exchange(found.request.served_from)
        return found.answer if found is not None else None


def _outcome(exchange: Exchange, answer: Response | None) -> str:
    request = exchange.request
    failure = request.failure
    ended = f"{request.status}" + (f" ({failure.error_class})" if failure else "")
    return (
        ended if answer is None or answer.status_code is None else f"{ended} {answer.status_code}"
    )


def plainly_same(old: Ending, new: Ending, *, headers: bool, volatile: bool) -> bool:
    """Say whether two calls surely ended the same, as their records tell without being decoded."""
    if old._replace(head=None) != new._replace(head=None) or old.checksum is None:
        return False
    if old.head == new.head:
        return True
    before, after = parse_head(old.head or b"")[2], parse_head(new.head or b"")[2]
    found = compare_headers(before, after, volatile=volatile)
    # How the bytes are to be decoded counts in any case.
    return not [one for one in found if headers or one.name.lower() == "content-encoding"]


# -- sessions --------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Ids of calls that belong together; ``None``: there is no other."""

    old: str | None
    new: str | None


def paired(old: Iterable[tuple[str, str]], new: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    """Yield which calls of two sessions belong together, in the order of the new; then the rest.

    Args:
        old, new: hash and id of the calls, in their order.
    """
    waiting: dict[str, deque[str]] = defaultdict(deque)
    rest: dict[str, None] = {}
    for params_hash, id in old:
        waiting[params_hash].append(id)
        rest[id] = None
    for params_hash, id in new:
        found = waiting.get(params_hash)
        before = found.popleft() if found else None
        if before is not None:
            del rest[before]
        yield Pair(before, id)
    for id in rest:
        yield Pair(id, None)
