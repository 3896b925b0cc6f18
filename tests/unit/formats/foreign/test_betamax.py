"""Cassettes of betamax, old and new."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import formats
from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import betamax, documents
from mxm_dataio.formats.foreign.conversion import Interaction


def read(value: Any) -> list[Interaction]:
    content = json.dumps(value).encode()
    return list(betamax.interactions(documents.parse_document(content, Path("a.json"))))


def cassette(response: dict[str, Any] | None = None, **changes: Any) -> Any:
    return {
        "http_interactions": [
            {
                "request": {
                    "body": {"string": "a=1", "encoding": "utf-8"},
                    "headers": {"Accept": ["*/*"]},
                    "method": "POST",
                    "uri": "http://a.test/x",
                },
                "response": {
                    "body": {"string": "é", "encoding": "ISO-8859-1"},
                    "headers": {"X": ["1", "2"]},
                    "status": {"code": 200, "message": "OK"},
                    "url": "http://a.test/x",
                    **(response or {}),
                },
                "recorded_at": "2014-04-11T20:30:30",
                **changes,
            }
        ],
        "recorded_with": "betamax/0.9.0",
    }


def test_an_interaction() -> None:
    assert read(cassette()) == [
        Interaction(
            "http_interactions[0]", "POST", "http://a.test/x", (("Accept", "*/*"),), b"a=1", 200,
            "OK", (("X", "1"), ("X", "2")), b"\xe9", "2014-04-11T20:30:30.000000Z",
        )
    ]  # fmt: skip


def test_the_oldest_shape() -> None:
    request = {"body": "", "headers": {"Accept": "*/*"}, "method": "GET", "uri": "http://a.test/x"}
    response = {
        "body": {"string": "x", "encoding": None}, "headers": {"X": "1"}, "status_code": 404,
        "status": None,
    }  # fmt: skip
    found = read(cassette(response, request=request))[0]
    assert (found.headers, found.body) == ((("Accept", "*/*"),), b"")
    assert (found.status, found.reason, found.answer_headers) == (404, None, (("X", "1"),))


def test_compressed_and_exact_bodies() -> None:
    packed = gzip.compress(b"x")
    body = {"base64_string": base64.b64encode(packed).decode(), "encoding": "utf-8"}
    assert read(cassette({"body": body}))[0].content == packed


def test_a_compressed_body_that_was_kept_as_text_is_lost() -> None:
    headers = {"Content-Encoding": ["br"]}
    body = {"string": "\u0001\ufffd", "encoding": None}
    assert read(cassette({"headers": headers, "body": body}))[0].lost == (
        "its compressed body was kept as text, and can't be read any more"
    )
    # Without U+FFFD it is what it was decoded to.
    assert not read(cassette({"headers": headers}))[0].lost


def test_bytes_that_were_replaced_are_told_of() -> None:
    found = read(cassette({"body": {"string": "a\ufffd", "encoding": "utf-8"}}))[0]
    assert not found.lost
    assert found.doubts == (
        "bytes of its body were kept as text: U+FFFD stands where one was lost",
    )


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2014-04-11T20:30:30", "2014-04-11T20:30:30.000000Z"),
        ("2014-04-11T20:30:30Z", "2014-04-11T20:30:30.000000Z"),
        ("2014-04-11T20:30:30+02:00", "2014-04-11T18:30:30.000000Z"),
        (None, ""),
    ],
)
def test_the_instant_of_the_recording(text: str | None, instant: str) -> None:
    assert read(cassette(recorded_at=text))[0].recorded_at == instant


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"http_interactions": None}, "http_interactions is missing"),
        (cassette(recorded_at="yesterday"), "http_interactions[0].recorded_at: 'yesterday' is no"),
        (cassette(recorded_at="0001-01-01T00:00:00+23:59"), "http_interactions[0].recorded_at: "),
        (
            cassette({"body": {"string": "é", "encoding": "nope"}}),
            "http_interactions[0].response.body.string: no coding is named 'nope'",
        ),
        (cassette({"status": {"code": 7}}), "http_interactions[0].response.status.code: 7 is no"),
    ],
)  # fmt: skip
def test_the_place_of_what_is_wrong(value: Any, said: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(value)
    assert str(caught.value).startswith(f"a.json: {said}")


def test_it_is_told_by_how_it_begins() -> None:
    assert formats.detect(json.dumps(cassette()).encode()) == "betamax"
    assert formats.detect(b'{"recorded_with": "betamax", "http_interactions": []}') == "betamax"
    assert formats.detect(b"http_interactions:\n- request:") == "betamax"
