"""What a recording changes in a cassette."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.formats.cassette.document import Document, printed
from mxm_dataio.formats.cassette.merge import New, Old, splice

TODAY, BEFORE = "2025-02-02", "2025-01-01"


def node(name: str, answer: str = "1") -> Any:
    request = {"method": "GET", "url": f"http://a.test/{name}", "headers": ["A: b"]}
    return {"request": request, "responses": [{"status": "HTTP/1.1 200 OK", "body": body(answer)}]}


def body(text: str) -> Any:
    return {"bytes": {"sha256": text.zfill(64)}, "text": [text]}


def old(*names: str) -> list[Old]:
    return [Old(name[0], node(name[0], name[1:])) for name in names]


def new(*names: str) -> list[New]:
    return [New(name[0], node(name[0], name[1:])) for name in names]


def spliced(before: list[Old], now: list[New], **options: Any) -> list[str]:
    """Return the calls, by name and answer, with ``!`` where they are of another day."""
    document = Document("s", BEFORE, calls=[one.node for one in before])
    made, _ = splice(document, before, now, TODAY, **options)
    assert made.recorded in (BEFORE, TODAY)
    return [
        node["request"]["url"][-1]
        + node["responses"][0]["body"]["text"][0]
        + ("!" if made.recorded_of(node) == TODAY else "")
        for node in made.calls
    ]


@pytest.mark.parametrize(
    ("before", "now", "options", "after"),
    [
        ([], ["b1", "a1"], {}, ["b1!", "a1!"]),
        # The k-th answer takes the k-th's place, further ones stay, new ones come behind.
        (["a1", "a2", "b1"], ["a3"], {}, ["a3!", "a2", "b1"]),
        (["a1", "b1"], ["a1", "a2"], {}, ["a1", "b1", "a2!"]),
        (["a1", "b1"], ["c1", "b1"], {}, ["a1", "b1", "c1!"]),
        # Anew: a call's answers are those of now.
        (["a1", "a2", "b1"], ["a3"], {"anew": True}, ["a3!", "b1"]),
        (["a1", "b1"], ["b1", "a1"], {"anew": True}, ["a1", "b1"]),
        (["a1", "b1", "a2"], ["a3", "a4", "a5"], {"anew": True}, ["a3!", "b1", "a4!", "a5!"]),
        (["a1", "b1"], ["b1"], {"anew": True, "drop": True}, ["b1"]),
        (["a1", "b1"], [], {"anew": True, "drop": True}, []),
        (["a1", "b1"], ["a1", "b1"], {"redate": True}, ["a1!", "b1!"]),
    ],
)
def test_what_is_new_takes_its_place(
    before: list[str], now: list[str], options: Any, after: list[str]
) -> None:
    assert spliced(old(*before), new(*now), **options) == after


def test_what_was_served_stays_and_what_was_confirmed_is_of_today() -> None:
    now = [New("a", None), *new("a3"), New("b", None, confirmed=True)]
    assert spliced(old("a1", "a2", "b1"), now) == ["a1", "a3!", "b1!"]


def test_other_threads_calls_stand_behind_by_what_they_ask() -> None:
    now = [
        New("d", node("d", "1"), order="d"),
        *new("m1"),
        New("c", node("c", "1"), order="c"),
        New("m", node("m", "2"), order="b"),
        *new("e1"),
    ]
    # The answers of one call keep their order, whichever thread asked.
    assert spliced([], now) == ["m1!", "e1!", "m2!", "c1!", "d1!"]


def test_the_documents_day_stays_as_long_as_one_call_does() -> None:
    document = Document("s", BEFORE, calls=[node("a"), node("b")])
    before = [Old(one["request"]["url"][-1], one) for one in document.calls]
    made, _ = splice(document, before, new("a2", "b1"), TODAY, anew=True)
    assert made.recorded == BEFORE
    assert [one.get("recorded") for one in made.calls] == [TODAY, None]
    made, _ = splice(document, before, new("a2", "b2"), TODAY, anew=True)
    assert made.recorded == TODAY
    assert [one.get("recorded") for one in made.calls] == [None, None]


def _with(**parts: Any) -> Any:
    made = node("a")
    made["request"].update(parts.pop("request", {}))
    made["responses"][0].update(parts.pop("response", {}))
    return {**made, **parts}


GZIP = {"sha256": "a" * 64, "content": "c" * 64, "compressed": ["gzip", 6, 8, 15, "00"]}


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (_with(), _with(), True),
        (_with(), _with(request={"url": "http://a.test/a?nonce=2"}), True),
        (_with(), _with(request={"body": {"text": ["other bytes, same identity"]}}), True),
        (_with(), _with(request={"url": "http://a.test/a?pin=REDACTED"}), False),
        (_with(), _with(request={"headers": ["A: c"]}), False),
        (
            _with(request={"headers": ["Content-Type: multipart/form-data; boundary=x"]}),
            _with(request={"headers": ["Content-Type: multipart/form-data; boundary=y"]}),
            True,
        ),
        (
            _with(request={"headers": ["User-Agent: python-requests/2.28", "Accept-Encoding: x"]}),
            _with(request={"headers": ["User-Agent: python-requests/2.34"]}),
            True,
        ),
        (
            _with(request={"headers": ["User-Agent: mine/1"]}),
            _with(request={"headers": ["User-Agent: mine/2"]}),
            False,
        ),
        (_with(), _with(response={"status": "HTTP/1.1 201 Made"}), False),
        (_with(), _with(response={"body": body("2")}), False),
        (
            _with(response={"body": {"bytes": GZIP, "text": ["x"]}}),
            _with(response={"body": {"bytes": {**GZIP, "sha256": "b" * 64}, "text": ["x"]}}),
            True,
        ),
        (
            _with(response={"body": {"bytes": {"sha256": "a" * 64}, "base64": ["AA=="]}}),
            _with(response={"body": {"bytes": {"sha256": "a" * 64}, "text": ["\0"]}}),
            True,
        ),
        (_with(), _with(status="partial"), False),
        (_with(), _with(responses=[]), False),
        (
            _with(response={"body": {"json": {"a": 1}}}),
            _with(response={"body": {"json": {"a": True}}}),
            False,
        ),
    ],
)
def test_what_says_the_same_is_left_as_it_was(before: Any, now: Any, same: bool) -> None:
    document = Document("s", BEFORE, calls=[before])
    made, _ = splice(document, [Old("a", before)], [New("a", now)], TODAY, anew=True)
    assert (printed(made.calls[0]) == printed(before)) is same
    assert made.recorded == (BEFORE if same else TODAY)


CALLS = st.lists(st.sampled_from(["a1", "a2", "b1", "b2", "c1"]), max_size=8)


@given(CALLS, CALLS, st.booleans(), st.booleans())
def test_recording_the_same_again_changes_nothing(
    before: list[str], now: list[str], anew: bool, drop: bool
) -> None:
    document = Document("s", BEFORE, calls=[one.node for one in old(*before)])
    made, _ = splice(document, old(*before), new(*now), TODAY, anew=anew, drop=drop)
    held = [Old(one["request"]["url"][-1], one) for one in made.calls]
    again, _ = splice(made, held, new(*now), "2031-01-01", anew=anew, drop=drop)
    assert again.text() == made.text()
    # No answer of now is lost, and each call has its answers in their order.
    for name in "abc":
        made_now = [one for one in now if one[0] == name]
        found = [n["responses"][0]["body"]["text"][0] for n in made.calls
                 if n["request"]["url"][-1] == name]  # fmt: skip
        assert found[: len(made_now)] == [one[1:] for one in made_now]
