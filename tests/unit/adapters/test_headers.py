"""What a call takes of the program's own objects."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict
from urllib3._collections import HTTPHeaderDict

from mxm_dataio.adapters.headers import header_pairs


class Own(CaseInsensitiveDict):  # type: ignore[type-arg]
    """A program's, which shows other items than it keeps."""

    def items(self) -> Any:
        return [("Shown", "1")]


PAIRS = (("Accept", "*/*"), ("X-Mine", "1"))


@pytest.mark.parametrize(
    "headers",
    [
        dict(PAIRS),
        OrderedDict(PAIRS),
        list(PAIRS),
        CaseInsensitiveDict(PAIRS),
        HTTPHeaderDict(PAIRS),
        {b"Accept": b"*/*", "X-Mine": 1},
    ],
    ids=lambda headers: type(headers).__name__,
)
def test_the_pairs_of_any_headers(headers: Any) -> None:
    assert header_pairs(headers) == PAIRS
    assert header_pairs(headers) == tuple(
        (_text(n), _text(v)) for n, v in getattr(headers, "items", headers.__iter__)()
    )


def test_requests_own_are_read_past_their_items_and_a_subclass_s_are_not() -> None:
    # Fails where requests keeps its pairs otherwise.
    headers = CaseInsensitiveDict({"A": "1"})
    headers["a"] = "2"
    assert list(headers._store.values()) == [("a", "2")] == list(header_pairs(headers))
    assert header_pairs(Own({"Kept": "2"})) == (("Shown", "1"),)
    assert header_pairs(None) == header_pairs({}) == ()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
