"""What is left out of a cassette, and what never is."""

from __future__ import annotations

import pytest

from mxm_dataio import ConfigError
from mxm_dataio.formats.volatile import ANSWERS, NOTHING, REQUESTS, Volatile

NOW = 1_750_000_000.0  # 2025-06-15
KEPT = ["Content-Type: a", "ETag: b", "Retry-After: 1", "Last-Modified: c", "X-Total: 3", "Vary: d"]
GONE = ["Date: a", "AGE: 1", "x-request-id: 7", "X-RateLimit-Left: 4", "CF-Ray: x", "x-b3-Id: 1"]


def test_what_changes_goes_and_all_else_stays_in_its_order() -> None:
    mixed = [line for pair in zip(KEPT, GONE, strict=True) for line in pair]
    assert Volatile().answer(mixed, NOW) == KEPT
    assert NOTHING.answer(mixed, NOW) == mixed


def test_a_folded_line_goes_with_its_header() -> None:
    assert Volatile().answer(["Date: a", " folded", "X: b", "\tfolded"], NOW) == [
        "X: b",
        "\tfolded",
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            "Set-Cookie: a=b; Expires=Wed, 01 Jan 2031 00:00:00 GMT; Secure",
            "Set-Cookie: a=b; Secure",
        ),
        ("set-cookie: a=b; expires=Wed, 01 Jan 2031 00:00:00 GMT", "set-cookie: a=b"),
        # One in the past takes the cookie away: without it, it would be set.
        ("Set-Cookie: a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Set-Cookie: a=b; Expires=never; Path=/", None),
        ("Set-Cookie: a=b; Max-Age=60", None),
        ("X-Cookie: a=b; Expires=Wed, 01 Jan 2031 00:00:00 GMT", None),
    ],
)
def test_a_cookie_does_not_expire_in_replay(line: str, kept: str | None) -> None:
    assert Volatile().answer([line], NOW) == [kept or line]
    assert NOTHING.answer([line], NOW) == [line]


def test_requests_have_a_list_of_their_own() -> None:
    headers = (("traceparent", "a"), ("Age", "b"), ("Idempotency-Key", "c"), ("Accept", "d"))
    assert Volatile().request(headers) == (("Age", "b"), ("Accept", "d"))


def test_names_are_added_and_taken_away() -> None:
    volatile = Volatile().adding(answers=["X-Total"], requests=["X-Me*"]).without(answers=["ETAG"])
    assert volatile.answer(KEPT, NOW) == [line for line in KEPT if line[:7] != "X-Total"]
    assert volatile.request((("X-Mean", "a"), ("X-No", "b"))) == (("X-No", "b"),)
    assert volatile.without(answers=ANSWERS | {"x-total"}, requests=REQUESTS | {"x-me*"}) == NOTHING


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Content-Type", "vary"])
def test_what_replay_needs_can_not_be_left_out(name: str) -> None:
    with pytest.raises(ConfigError, match=name.lower()):
        Volatile().adding(answers=[name])
