"""What was recorded under a view is found under it, and under any that tells less apart."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.identity import Identity, identify
from mxm_dataio.identity.matching import Matcher, RequestBody
from mxm_dataio.identity.view import Call
from mxm_dataio.redaction import DEFAULT

NAMES = st.sampled_from(["a", "ts", "id", "Meta", "n.m"])
VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["", "x", "é", "7"]), st.booleans())
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
PATHS = st.sampled_from(["/", "/v1/a", "/v1/7", "/v1/a/7.txt", "/%7Ex/a%2Fb"])
HOSTS = st.sampled_from(["a.test", "b.test:81", "[::1]:8080"])
# One step of a view: what is in the language of names, and what is a function.
STEPS = st.one_of(
    st.tuples(st.just("without"), NAMES),
    st.tuples(st.just("without"), st.sampled_from(["$.ts", "$.*.id", "/Meta/0", "$.a[*].ts"])),
    st.tuples(
        st.just("without"), st.sampled_from(["header:accept", "header:x-run", "header:range"])
    ),
    st.tuples(st.just("without"), st.sampled_from(["path:/v1/*", "path:7", "path:*.txt"])),
    st.tuples(st.just("replace"), st.sampled_from(["host", "path", "method", "params", "text"])),
)
FIXED = {"host": "c.test", "path": "/c", "method": "PUT", "params": {"q": 1}, "text": None}


@st.composite
def calls(draw: st.DrawFn) -> tuple[Identity, RequestBody | None]:
    pairs = draw(st.lists(st.tuples(NAMES, VALUES.map(str)), max_size=3))
    headers = [("Accept", "x/y")] if draw(st.booleans()) else []
    headers += [("Range", "bytes=0-")] if draw(st.booleans()) else []
    headers += [("X-Run", draw(st.sampled_from("12")))]
    body: bytes | None = None
    kind = draw(st.sampled_from(["", "application/json", "text/xml", "text/plain"]))
    if kind == "application/json":
        body = json.dumps(draw(TREES)).encode()
    elif kind:
        body = f"<r><ts>{draw(VALUES)}</ts>x</r>".encode()
    url = f"http://{draw(HOSTS)}{draw(PATHS)}"
    headers += [("Content-Type", kind)] if kind else []
    made = identify("POST", url, params=pairs, headers=headers, body=body)
    return made, body and RequestBody(body, kind, "", DEFAULT.uncounted())


def view_of(steps: list[tuple[str, str]]) -> Any:
    def view(call: Call) -> Call:
        for step, what in steps:
            call = call.without(what) if step == "without" else call.replace(**{what: FIXED[what]})
        return call

    return view


@given(
    calls(),
    st.lists(STEPS, max_size=3),
    st.lists(STEPS, max_size=3),
    st.sets(st.sampled_from(["x-run", "accept"])),
)
def test_what_was_recorded_is_found_again(
    asked: tuple[Identity, RequestBody | None],
    steps: list[tuple[str, str]],
    more: list[tuple[str, str]],
    vary: set[str],
) -> None:
    identity, body = asked
    recording, replaying = Matcher(view=view_of(steps)), Matcher(view=view_of(steps + more))
    # As it is recorded, with the headers that its answer varies on.
    recorded = recording.seen(identity, lambda: body)
    document = recorded.document(recorded.counting(vary)).decode()
    # By the same view it has the same hash, and by one that goes on from it, another's.
    again, names = recording.seen_again(document, lambda: body, "")
    assert again.document(names).decode() == document
    asks = replaying.seen(identity, lambda: body)
    found, names = replaying.seen_again(document, lambda: body, "")
    assert found.params_hash(names) == asks.params_hash(asks.counting(names))


@given(calls(), st.lists(NAMES, max_size=2))
def test_names_said_before_and_afterwards_are_the_same(
    asked: tuple[Identity, RequestBody | None], names: list[str]
) -> None:
    identity, body = asked
    matcher = Matcher(names)
    ignore = DEFAULT.uncounted(matcher.names.anywhere)
    content = None if body is None else body.body
    headers = [("Content-Type", body.content_type)] if body is not None else []
    headers += list(identity.headers.items())
    url = identity.endpoint
    pairs = [(name, value) for name, value in identity.params]
    before = identify("POST", url, params=pairs, headers=headers, body=content, ignore=ignore)
    afterwards, _ = matcher.seen_again(identity.document().decode(), lambda: body, "")
    assert before.document() == afterwards.document()
