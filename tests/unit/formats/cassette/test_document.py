"""The text of a cassette: the same for the same, readable, and refused where it is not sound."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio import IntegrityError
from mxm_dataio.formats import detect, module_of
from mxm_dataio.formats.cassette import document as cassette
from mxm_dataio.formats.cassette import files
from mxm_dataio.formats.cassette.document import Document, parse, read
from mxm_dataio.formats.recordings import Recording
from mxm_dataio.formats.volatile import NOTHING
from tests.support.exchanges import comparable, recordings

CALL: dict[str, Any] = {
    "request": {"method": "GET", "url": "http://a.test/?b=1", "headers": ["A: b"]},
    "responses": [
        {
            "status": "HTTP/1.1 200 OK",
            "headers": ["Content-Type: application/json", "Content-Length: {size}"],
            "body": {"json": {"a": [1, 2.50, {"sha256": "of theirs"}], "bytes": {"x": 1}}},
        }
    ],
}


def document(*calls: Any) -> Document:
    return Document("shop", "2025-10-07", calls=list(calls))


def test_a_text_has_a_member_a_line_but_how_bytes_are_made_on_one() -> None:
    call = json.loads(json.dumps(CALL))
    call["responses"][0]["body"]["bytes"] = {"sha256": "0" * 64, "style": "python"}
    assert document(call).text() == (
        '{\n  "mxm-dataio cassette": 1,\n  "source": "shop",\n  "recorded": "2025-10-07",\n'
        '  "calls": [\n    {\n      "request": {\n        "method": "GET",\n'
        '        "url": "http://a.test/?b=1",\n        "headers": [\n          "A: b"\n        ]\n'
        '      },\n      "responses": [\n        {\n          "status": "HTTP/1.1 200 OK",\n'
        '          "headers": [\n            "Content-Type: application/json",\n'
        '            "Content-Length: {size}"\n          ],\n          "body": {\n'
        '            "json": {\n              "a": [\n                1,\n                2.5,\n'
        '                {\n                  "sha256": "of theirs"\n                }\n'
        '              ],\n              "bytes": {\n                "x": 1\n              }\n'
        '            },\n            "bytes": {"sha256": "' + "0" * 64 + '", "style": "python"}\n'
        "          }\n        }\n      ]\n    }\n  ]\n}\n"
    )


def test_what_does_not_show_or_turns_a_text_round_is_escaped() -> None:
    call = {"request": {"method": "GET", "url": "\u202e\x7f\ud800\u200b\ufeff\u2028\x1b é日本😀"}}
    text = document(call).text()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "é日本😀" in text
    assert parse(text.encode(), "x").calls == [call]


@settings(max_examples=12)
@given(st.lists(recordings(), max_size=3))
def test_calls_come_back_from_a_file(calls: list[Recording]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.json")
        write(path, calls)
        text = path.read_text()
        with path.open("rb") as fp:
            found = read(fp)
        assert [comparable(one) for one in found] == [comparable(one) for one in calls]
        write(path, found)
        assert path.read_text() == text


def write(path: Path, calls: list[Recording]) -> None:
    made = Document("any", "2025-01-01")
    beside: dict[str, bytes] = {}
    for call in calls:
        beside |= made.add(call, NOTHING)
    files.save(path, made, beside, b"")


def test_its_format_is_recognised() -> None:
    text = document(CALL).text().encode()
    assert detect(text) == "cassette"
    assert detect(b'{"mxm-dataio cassette": 2}') == "cassette"
    assert detect(b'{"http_interactions": []}') != "cassette"
    assert module_of("cassette") is cassette


def test_a_day_of_its_own_counts_for_a_call() -> None:
    made = document({"recorded": "2025-12-01", **CALL}, CALL)
    found = list(cassette.recordings(made, "x"))
    assert [one.exchange.request.started_at[:10] for one in found] == ["2025-12-01", "2025-10-07"]
    assert [one.exchange.request.as_of for one in found] == ["2025-12-01", "2025-10-07"]


# -- what is refused -----------------------------------------------------------------------------


def with_call(**parts: Any) -> str:
    return document({**CALL, **parts}).text()


def with_response(**parts: Any) -> str:
    return with_call(responses=[{**CALL["responses"][0], **parts}])


def top(**members: Any) -> str:
    return json.dumps({**json.loads(document(CALL).text()), **members})


REFUSED = {
    "empty": ("", "is no JSON: Expecting value in line 1, column 1"),
    "half": (document(CALL).text()[:200], "is no JSON: .* in line "),
    "a list": ("[]", "is no cassette"),
    "another tool's": ('{"http_interactions": []}', "mxm-dataio import"),
    "yaml": ("interactions:\n- request: {}\n", "mxm-dataio import"),
    "newer": (top(**{cassette.MARK: 2}), "version 2.*upgrade"),
    "no version": (top(**{cassette.MARK: "1"}), "which is none"),
    "version 0": (top(**{cassette.MARK: 0}), "which is none"),
    "version true": (top(**{cassette.MARK: True}), "which is none"),
    "unknown": (top(comment="x"), "unknown member 'comment'"),
    "no calls": (json.dumps({cassette.MARK: 1, "source": "s", "recorded": "x"}), "no 'calls'"),
    "calls": (top(calls={}), "calls is of the wrong kind: dict"),
    "day": (top(recorded="7 October"), "recorded is no day"),
    "call's day": (with_call(recorded="x"), r"calls\[0\]\.recorded is no day"),
    "twice": ('{"mxm-dataio cassette": 1, "source": "a", "source": "b"}', "'source' stands twice"),
    "nan": ('{"mxm-dataio cassette": NaN}', "NaN is no JSON"),
    "deep": ('{"mxm-dataio cassette": 1, "calls": ' + "[" * 100_000, "can't be read|is no JSON"),
    "no request": (document({"responses": []}).text(), r"calls\[0\]: has no 'request'"),
    "no url": (with_call(request={"method": "GET"}), r"calls\[0\]\.request: has no 'url'"),
    "call": (document(["no call"]).text(), r"calls\[0\]: is no object"),
    "call's member": (with_call(oops=1), r"calls\[0\]: has an unknown member 'oops'"),
    "status": (with_call(status="fine"), r"calls\[0\]\.status: is no status"),
    "failure": (with_call(failure={}), r"calls\[0\]\.failure: has no 'class'"),
    "complete": (with_response(complete=1), r"responses\[0\]\.complete: is of the wrong kind: int"),
    "truncated": (with_response(truncated=True), r"truncated: is of the wrong kind: bool"),
    "body": (with_response(body=[]), r"responses\[0\]\.body: is of the wrong kind: list"),
    "body's member": (with_response(body={"xml": ""}), r"body: has an unknown member 'xml'"),
    "bytes' member": (with_response(body={"bytes": {"md5": ""}}), r"body\.bytes: has an unknown"),
    "framing": (with_response(framing={"chunks": []}), r"framing: has no 'tail'"),
}  # fmt: skip
# Found when the call is asked for.
REFUSED_LATE = {
    "no bytes": (with_response(body={}), r"calls\[0\]\.responses\[0\]\.body: has none of json"),
    "edited": (
        with_response(body={"bytes": {"sha256": "0" * 64}, "text": ["x"]}),
        r"calls\[0\]\.responses\[0\]\.body\.bytes\.sha256: .*damaged or edited",
    ),
    "a path": (
        with_response(body={"bytes": {"sha256": "../../etc/passwd", "beside": 1}}),
        r"bytes\.sha256: is no SHA-256",
    ),
    "absent": (with_response(body={"bytes": {"sha256": "0" * 64, "beside": 1}}), "can't be read"),
    "header": (with_response(headers=["A: \u20ac"]), r"responses\[0\]\.headers: has no bytes"),
    "headers": (with_response(headers=[1]), r"responses\[0\]\.headers: is not a list of lines"),
    "trailers": (with_response(trailers=["\u20ac"]), "has no bytes"),
    "chunks": (with_response(framing={"chunks": [[1]], "tail": ""}), "chunks: is no list of sizes"),
    "sizes": (with_response(framing={"chunks": [[-1, 1]], "tail": ""}), r"chunks: has sizes"),
    "many": (with_response(framing={"chunks": [[1, 1 << 40]], "tail": ""}), "more chunks than"),
    "huge": (with_response(framing={"chunks": [[1, 1 << 60]], "tail": ""}), r"chunks: has sizes"),
    "request's header": (
        with_call(request={"method": "GET", "url": "http://a/", "headers": ["no colon"]}),
        r"calls\[0\]\.request\.headers\[0\]: is no header",
    ),
    "request's body": (
        with_call(request={"method": "GET", "url": "http://a/", "body": {"text": [1]}}),
        r"calls\[0\]\.request\.body\.text: is not a list of lines",
    ),
    "identity": (with_call(identity={"v": 1}), r"calls\[0\]\.identity: is no identity"),
    "identity's text": (with_call(identity="{"), r"calls\[0\]\.identity: is no identity"),
    "identity's number": (
        with_call(identity={"v": 1, "endpoint": "a", "params": [], "headers": [], "body": 2**70}),
        r"calls\[0\]\.identity: is no identity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_is_refused_with_file_and_place(name: str) -> None:
    text, why = REFUSED[name]
    with pytest.raises(IntegrityError, match=why) as caught:
        parse(text.encode("utf-8", "surrogatepass"), "some/file.json")
    assert "some/file.json" in str(caught.value)
    assert caught.value.path == Path("some/file.json")


@pytest.mark.parametrize("name", REFUSED_LATE)
def test_what_is_malformed_within_a_call_is_refused_when_it_is_read(name: str) -> None:
    text, why = REFUSED_LATE[name]
    made = parse(text.encode(), "some/file.json")
    with pytest.raises(IntegrityError, match=why) as caught:
        list(cassette.recordings(made, "some/file.json"))
    assert "some/file.json" in str(caught.value)


def test_what_is_no_utf8_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IntegrityError, match="no UTF-8"):
        parse(b'{"\xff"', "x")
    monkeypatch.setattr(cassette, "_LARGEST", 100)
    with pytest.raises(IntegrityError, match="larger than 100 bytes"):
        parse(document(CALL).text().encode(), "x")


TEXT = document(CALL, {**CALL, "identity": {"endpoint": "a", "params": [], "headers": []}}).text()


@given(st.data())
def test_any_damage_is_refused_or_read_but_never_another_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    end = data.draw(st.integers(at, min(len(TEXT), at + 60)))
    put = data.draw(st.sampled_from(["", "0", '"', "null", "[]", "{}", "-1", "true", "\\", "é"]))
    damaged = (TEXT[:at] + put + TEXT[end:]).encode()
    with contextlib.suppress(IntegrityError):
        list(cassette.recordings(parse(damaged, "x"), "x"))
