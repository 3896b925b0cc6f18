"""A call of another recorder's is identified and redacted as a live one."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from mxm_dataio import IngestSession
from mxm_dataio.api import capture_of
from mxm_dataio.formats.foreign.conversion import Converted, Interaction, converted
from mxm_dataio.formats.recordings import checksum_of
from mxm_dataio.models import Status
from mxm_dataio.redaction import DEFAULT

KEY = "k-93748201-aa71f0"


def interaction(**changes: Any) -> Interaction:
    return Interaction(
        "calls[0]", "GET", "http://a.test/x?b=2&a=1", (("Accept", "text/csv"),), b"", 200, "OK",
        (("Content-Type", "text/plain"), ("Content-Length", "1")), b"x",
    )._replace(**changes)  # fmt: skip


def convert(*interactions: Interaction, **options: Any) -> Converted:
    return converted(interactions, **options)


def test_a_recording_is_whole() -> None:
    recordings, changes, dropped = convert(interaction(recorded_at="2024-01-01T00:00:00.000000Z"))
    exchange, payloads = recordings[0]
    request, (answer,) = exchange.request, exchange.responses
    assert (changes, dropped) == ([], [])
    assert (request.id, request.session_id, request.source) == ("", "", "")
    assert (request.endpoint, request.params) == ("http://a.test/x", {"a": "1", "b": "2"})
    assert (request.status, request.body_checksum, request.duration) == (
        Status.COMPLETE,
        None,
        None,
    )
    assert (request.started_at, answer.started_at) == ("2024-01-01T00:00:00.000000Z",) * 2
    assert (
        answer.head == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n"
    )
    assert (answer.status_code, answer.reason, answer.http_version) == (200, "OK", "HTTP/1.1")
    assert (answer.complete, answer.framing, answer.failure) == (True, None, None)
    assert payloads == {answer.checksum: b"x"}


CALLS = [
    interaction(),
    interaction(url="HTTP://A.test:80/x?a=%31&b=2#f", headers=(("ACCEPT", "text/csv"),)),
    interaction(headers=(("Range", "bytes=0-1"), ("User-Agent", "x"))),
    interaction(url=f"http://u:p@a.test/x?api_key={KEY}&b="),
    interaction(
        method="POST", body=b"n=1&password=hunter22", url="http://a.test/p",
        headers=(("Content-Type", "application/x-www-form-urlencoded"),),
    ),
    interaction(
        method="POST", body=b'{"b": [1, 2.50], "token": "t-84f1"}', url="http://a.test/p",
        headers=(("Content-Type", "application/json"), ("SOAPAction", "go")),
    ),
    interaction(method="PUT", body=b"\x00\xff", url="http://a.test/p", headers=()),
    # What is known since a call before: the key is masked in path and body.
    interaction(url=f"http://a.test/{KEY}/", method="POST", body=KEY.encode()),
]  # fmt: skip


@pytest.mark.parametrize("redaction", [DEFAULT, None, DEFAULT.adding(lambda p, n, v: v.lower())])
@pytest.mark.filterwarnings("ignore::mxm_dataio.DataIOWarning")
def test_the_identity_is_that_of_a_live_call(redaction: Any) -> None:
    found = convert(*CALLS, redaction=redaction)
    ingest = IngestSession(source="s", redaction=redaction)
    for call, recording in zip(CALLS, found.recordings, strict=True):
        live = capture_of(ingest).identify(call.method, call.url, call.headers, call.body)
        request = recording.exchange.request
        assert request.params_hash == live.params_hash(live.counting(()))
        assert request.base_hash == live.params_hash()
        assert request.params_hash == checksum_of(request.identity.encode())


def test_what_the_answer_varies_on_does_not_count() -> None:
    headers = (("Vary", "Accept-Encoding, User-Agent"),)
    plain, varies = convert(interaction(), interaction(answer_headers=headers)).recordings
    assert varies.exchange.request.params_hash == plain.exchange.request.params_hash
    assert varies.exchange.request.base_hash == plain.exchange.request.params_hash
    assert varies.exchange.responses[0].header("Vary") == "Accept-Encoding, User-Agent"


def test_secrets_do_not_stay() -> None:
    calls = [
        interaction(
            url=f"http://a.test/?api_key={KEY}", headers=(("Authorization", f"Bearer {KEY}"),),
            content=f'{{"asked": "{KEY}"}}'.encode(),
            answer_headers=(
                ("Content-Type", "application/json"), ("Content-Length", "30"),
                ("Set-Cookie", "sessionid=b94a8fe5ccb19ba6; Path=/"), ("X-Asked", KEY),
            ),
        ),
        interaction(
            method="POST", body=b"session=b94a8fe5ccb19ba6",
            content=gzip.compress(b"your session is b94a8fe5ccb19ba6"),
            answer_headers=(("Content-Type", "text/plain"), ("Content-Encoding", "gzip")),
        ),
    ]  # fmt: skip
    recordings, changes, _ = convert(*calls)
    for recording in recordings:
        payloads = [_plain(data) for data in recording.payloads.values()]
        text = repr(recording.exchange) + repr(payloads)
        assert KEY not in text
        assert "b94a8fe5ccb19ba6" not in text
        assert b"REDACTED" in b"".join(payloads)
    first = recordings[0].exchange.responses[0]
    assert first.header("Content-Length") == str(first.size) == "21"
    assert first.original_checksum == checksum_of(calls[0].content)
    assert changes == [
        "calls[0]: secrets masked in the answer's body",
        "calls[0]: secrets masked in the answer's body",
    ]


def _plain(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_without_redaction_all_stays() -> None:
    call = interaction(url=f"http://a.test/?api_key={KEY}", content=KEY.encode())
    recording = convert(call, redaction=None).recordings[0]
    assert KEY in recording.exchange.request.url
    assert KEY.encode() in recording.payloads.values()
    assert recording.exchange.responses[0].original_checksum is None


def test_equal_calls_stay_and_keep_their_order() -> None:
    found = convert(*[interaction(content=b"%d" % n) for n in range(5)]).recordings
    assert [next(iter(one.payloads.values())) for one in found] == [b"0", b"1", b"2", b"3", b"4"]


def test_what_is_lost_is_dropped_and_named() -> None:
    found = convert(interaction(lost="it is gone"), interaction(doubts=("maybe not",)))
    assert len(found.recordings) == 1
    assert found.dropped == ["calls[0]: it is gone"]
    assert found.changes == ["calls[0]: maybe not"]


@pytest.mark.parametrize(
    ("reason", "said"), [(None, "Not Found"), ("", ""), ("Nope", "Nope"), ("é", "é")]
)
def test_the_reason_is_the_standard_one_where_the_file_has_none(
    reason: str | None, said: str
) -> None:
    recording = convert(interaction(status=404, reason=reason)).recordings[0]
    assert recording.exchange.responses[0].reason == said


def test_an_uploads_chunks_are_undone() -> None:
    call = interaction(
        method="POST", headers=(("Transfer-Encoding", "chunked"),), body=b"2\r\n{}\r\n0\r\n\r\n"
    )
    found = convert(call)
    request = found.recordings[0].exchange.request
    assert found.changes == ["calls[0]: the request's body freed of its chunks"]
    assert (request.body_checksum, request.body_size) == (checksum_of(b"{}"), 2)
    assert json.loads(request.identity)["body"] == {"json": {}}
