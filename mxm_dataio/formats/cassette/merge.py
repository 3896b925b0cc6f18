"""What a cassette holds after a recording: what was, with what is new in its places.

Pure. Recording an unchanged source again changes nothing: a part of a call that says the same as
before is left as it was, though its bytes may differ in what says nothing (how they were
compressed, the boundary of a form, what the identity leaves out), and so is its day.

Calls stand as they were made, those of other threads than the session's behind them by what they
ask, since their order is another in each run. Calls that the cassette has keep their places.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ...redaction.rules import PLACEHOLDER
from .document import Document, printed
from .nodes import Node

# What the program's libraries made, not the program.
_MADE = re.compile(r"(?<=boundary=)[^;,\s\"]+|python-(?:requests|urllib3)/[\w.+-]+")


class Old(NamedTuple):
    """A call that the cassette has.

    Attributes:
        test: the test that made it in this very run, in which others have the cassette, too.
    """

    params_hash: str
    node: Node
    test: str | None = None


class New(NamedTuple):
    """A call made now.

    Attributes:
        node: as it was recorded; ``None``: what the cassette has was served.
        order: what it is sorted by, if it was made in another thread than the session's.
        confirmed: the source said that what was served still holds.
        test: the test that made it.
    """

    params_hash: str
    node: Node | None
    order: str | None = None
    confirmed: bool = False
    test: str = ""


class _Call(NamedTuple):
    node: Node
    day: str
    kept: bool
    test: str | None = None


def splice(
    document: Document,
    old: Sequence[Old],
    new: Sequence[New],
    today: str,
    *,
    anew: bool = False,
    drop: bool = False,
    redate: bool = False,
    test: str | None = None,
) -> tuple[Document, list[str | None]]:
    """Return the document after a recording, and of each call the test that made it in this run.

    What a test has made in the run takes the place of what it made itself, and no other's.

    Args:
        document: as it was; one without calls where there was none.
        old: its calls.
        new: the calls made now, in their order.
        today: the day of the recording.
        anew: the answers of a call that was made now are those of now; if not, the k-th answer
            takes the place of the k-th, and further ones stay.
        drop: calls that were not made are dropped.
        redate: all that was recorded is of today, whether it has changed or not.
        test: other tests may have the cassette, too: of those dropped, only what this one has
            made in the run is.
    """
    old, new = _by_test(old, new)
    made: dict[str, list[New]] = {}
    for one in new:
        made.setdefault(one.params_hash, []).append(one)
    before: dict[str, list[_Call]] = {}
    for params_hash, node, maker in old:
        rest = {name: item for name, item in node.items() if name != "recorded"}
        call = _Call(rest, document.recorded_of(node), kept=True, test=maker)
        before.setdefault(params_hash, []).append(call)
    lists: dict[str, list[_Call]] = {}
    for params_hash in {**before, **made}:
        was, now = before.get(params_hash, []), made.get(params_hash, [])
        calls = [_combined(was, at, one, today, redate=redate) for at, one in enumerate(now)]
        lists[params_hash] = [call for call in calls if call is not None]
        more = was[len(now) :]
        if drop or (anew and now):
            more = [call for call in more if test is not None and call.test != test]
        lists[params_hash] += more
    found = _laid_out([one.params_hash for one in old], _in_order(new), lists)
    return _dated(document, found, today, anyway=redate), [call.test for call in found]


def _by_test(old: Sequence[Old], new: Sequence[New]) -> tuple[list[Old], list[New]]:
    """Return the calls of tests that have made them in this run under hashes of their own."""

    def own(params_hash: str, test: str) -> str:
        return f"{params_hash} {test}"

    left = Counter(own(one.params_hash, one.test) for one in old if one.test is not None)
    before = [
        one if one.test is None else one._replace(params_hash=own(one.params_hash, one.test))
        for one in old
    ]
    now = []
    for one in new:
        theirs = own(one.params_hash, one.test)
        if one.node is not None and left[theirs]:
            left[theirs] -= 1
            one = one._replace(params_hash=theirs)
        now.append(one)
    return before, now


def _laid_out(
    old: Sequence[str], new: Sequence[str], lists: Mapping[str, Sequence[_Call]]
) -> list[_Call]:
    """Return calls in their places: the k-th of a call is for the k-th of its answers."""
    left = Counter(old)
    order = list(old)
    for params_hash in new:
        if left[params_hash]:
            left[params_hash] -= 1
        else:
            order.append(params_hash)
    ahead = {params_hash: iter(calls) for params_hash, calls in lists.items()}
    found = [next(ahead[params_hash], None) for params_hash in order]
    return [call for call in found if call is not None]


def _in_order(new: Sequence[New]) -> list[str]:
    here = [one.params_hash for one in new if one.order is None]
    elsewhere = sorted((one.order, one.params_hash) for one in new if one.order is not None)
    return [*here, *(params_hash for _, params_hash in elsewhere)]


def _combined(was: Sequence[_Call], at: int, one: New, today: str, *, redate: bool) -> _Call | None:
    held = was[at] if at < len(was) else None
    if one.node is None:
        return held._replace(day=today) if held and one.confirmed else held
    if held is None:
        return _Call(one.node, today, kept=False, test=one.test)
    node = _merged(held.node, one.node)
    same = printed(node) == printed(held.node)
    return _Call(node, held.day if same and not redate else today, kept=same, test=one.test)


def _merged(old: Node, new: Node) -> Node:
    """Return a call as it is now, each part as it was if it says the same."""
    merged = {**new, "request": _request(old["request"], new["request"])}
    if "responses" in new:
        before = old.get("responses", [])
        merged["responses"] = [
            _response(before[at], one) if at < len(before) else one
            for at, one in enumerate(new["responses"])
        ]
    return merged


def _request(old: Node, new: Node) -> Node:
    same = old["method"] == new["method"] and _headers(old) == _headers(new)
    # It is the same call, so what else differs does not count. But a secret may have been kept
    # before its name was given, and is to go.
    return old if same and _masks(old) >= _masks(new) else new


def _masks(request: Node) -> int:
    return printed(request).count(PLACEHOLDER)


def _headers(request: Node) -> str:
    headers = [
        header
        for header in request.get("headers", [])
        if not str(header).lower().startswith("accept-encoding:")
    ]
    return _MADE.sub("", printed(headers))


def _response(old: Node, new: Node) -> Node:
    return old if printed(_saying(old)) == printed(_saying(new)) else new


def _saying(response: Node) -> Node:
    """Return an answer with its content's checksum in the place of its body.

    How it was compressed says nothing, nor whether what undoes that was there to show it.
    """
    made = (response.get("body") or {}).get("bytes", {})
    checksum = made.get("content") or made.get("sha256")
    return {**response, "body": checksum} if checksum else response


def _dated(document: Document, calls: Sequence[_Call], today: str, *, anyway: bool) -> Document:
    """Return the document with these calls; its own day stays as long as one of them does.

    Args:
        anyway: all that is of today counts as new.
    """
    recorded = document.recorded
    kept = not anyway and any(call.kept for call in calls)
    if calls and not kept and all(call.day == today for call in calls):
        recorded = today
    nodes = [
        call.node if call.day == recorded else {"recorded": call.day, **call.node} for call in calls
    ]
    return replace(document, recorded=recorded, calls=nodes)
