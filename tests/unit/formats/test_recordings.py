"""Recordings: from a store's entries and back."""

from __future__ import annotations

import pytest
from hypothesis import given

from mxm_dataio.formats.recordings import (
    Recording,
    checksum_of,
    checksums,
    entry_of,
    exchange_of,
    head_of,
)
from mxm_dataio.http.heads import parse_head
from mxm_dataio.models import Headers
from mxm_dataio.storage.entries import InSession
from tests.support.exchanges import comparable, recordings


@given(recordings())
def test_a_call_comes_back_from_the_entry_it_is_written_as(recording: Recording) -> None:
    entry = entry_of(recording, InSession("s", "r", "any", "2025-01-01"), "id")
    found = Recording(exchange_of(entry), entry.payloads)
    assert comparable(found) == comparable(recording)
    assert found.exchange.request.root_id == "r"
    assert found.exchange.request.duration == recording.exchange.request.duration
    assert [one.timings for one in found.exchange.responses] == [
        one.timings for one in recording.exchange.responses
    ]
    assert set(checksums(found.exchange)) <= set(recording.payloads)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Host", "a.test"), ("X", "é"), ("X", "")),
        (("X", "€ beyond Latin-1"),),
    ],
)
def test_headers_come_back_from_a_head(headers: Headers) -> None:
    assert parse_head(head_of(headers))[2] == headers


def test_a_checksum_is_sha256() -> None:
    assert checksum_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
