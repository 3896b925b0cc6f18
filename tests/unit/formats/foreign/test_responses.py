"""What the recorder of ``responses`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import formats
from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import documents, responses
from mxm_dataio.formats.foreign.conversion import Interaction


def read(**response: Any) -> Interaction:
    given = {
        "auto_calculate_content_length": False, "body": "x", "content_type": "text/plain",
        "headers": {"X": "1"}, "method": "GET", "status": 200, "url": "http://a.test/x", **response,
    }  # fmt: skip
    value = {"responses": [{"response": {k: v for k, v in given.items() if v is not None}}]}
    document = documents.parse_document(json.dumps(value).encode(), Path("a.json"))
    return next(responses.interactions(document))


def test_a_response() -> None:
    assert read() == Interaction(
        "responses[0].response", "GET", "http://a.test/x", (), b"", 200, None,
        (("X", "1"), ("Content-Type", "text/plain")), b"x",
    )  # fmt: skip


def test_what_older_versions_leave_out() -> None:
    found = read(headers=None, content_type=None, body=None)
    assert (found.answer_headers, found.content) == ((), b"")


def test_the_type_is_there_once() -> None:
    found = read(headers={"content-type": "text/html", "X": "1"})
    assert found.answer_headers == (("X", "1"), ("Content-Type", "text/plain"))


@pytest.mark.parametrize(
    ("content_type", "body", "content"),
    [
        ("text/html; charset=ISO-8859-1", "é", b"\xe9"),
        ('text/html; charset="iso-8859-15"', "€", b"\xa4"),
        # What requests reads text without a charset as.
        ("text/plain", "Ã©", "é".encode()),
        ("text/plain", "€", "€".encode()),
        ("application/json", "é", "é".encode()),
        ("application/octet-stream", "é", "é".encode()),
        ("text/plain; charset=nope", "é", "é".encode()),
        (None, "é", "é".encode()),
    ],
)
def test_a_text_has_the_bytes_that_requests_decoded(
    content_type: str | None, body: str, content: bytes
) -> None:
    assert read(content_type=content_type, body=body).content == content


def test_doubts() -> None:
    assert read(body="a\ufffd").doubts[0].startswith("bytes of its body were kept as text")
    assert read(method="POST").doubts == (
        "this format keeps no request body: a POST that sends one is a miss",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "a"}, "responses[0].response.url: 'a' is no absolute http URL"),
        ({"status": []}, "responses[0].response.status: a list where a number is to be"),
        ({"content_type": []}, "responses[0].response.content_type: a list where a text"),
        ({"body": {}}, "responses[0].response.body: a mapping where a text is to be"),
    ],
)
def test_the_place_of_what_is_wrong(change: dict[str, Any], said: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(**change)
    assert str(caught.value).startswith(f"a.json: {said}")


def test_it_is_told_by_how_it_begins() -> None:
    assert formats.detect(b"responses:\n- response:\n") == "responses"
    assert formats.detect(b'{"responses": []}') == "responses"
    assert formats.detect(b"answers: []") is None
