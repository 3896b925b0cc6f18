"""Calls as nodes of JSON: nothing is lost but what is said, and what is malformed is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from mxm_dataio.formats.cassette import json_text
from mxm_dataio.formats.cassette.derived import DERIVING
from mxm_dataio.formats.cassette.reading import Setting, asked_of, to_recording
from mxm_dataio.formats.cassette.schema import check
from mxm_dataio.formats.cassette.writing import to_node
from mxm_dataio.formats.recordings import Recording, checksum_of
from mxm_dataio.formats.volatile import NOTHING, Volatile
from mxm_dataio.models import Exchange, Request, Response
from tests.support.exchanges import comparable, recordings


def again(recording: Recording, volatile: Volatile = NOTHING, **options: Any) -> Recording:
    """Return a recording once it was a node in JSON."""
    written = to_node(recording, volatile=volatile, **options)
    node = json_text.loads(json.dumps(written.node))
    check(node)

    def beside(checksum: str, size: int) -> bytes:
        assert len(written.beside[checksum]) == size
        return written.beside[checksum]

    return to_recording(node, asked_of(node, DERIVING, beside), "id", Setting(beside=beside))


@settings(max_examples=30)
@given(recordings())
def test_what_a_node_keeps_comes_back(recording: Recording) -> None:
    assert comparable(again(recording)) == comparable(recording)


def test_a_header_that_reads_like_the_mark_for_the_size_comes_back() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"
    sent = (("Content-Length", "{size}"),)
    asking = Request("1", "", "s", "http://a.test/", url="http://a.test/", headers=sent)
    answer = Response("1", url="http://a.test/", status_code=200, head=head, complete=True)
    answer = replace(answer, checksum=checksum_of(b"abc"), size=3, method="GET")
    recording = Recording(Exchange(asking, (answer,)), {checksum_of(b"abc"): b"abc"})
    found = again(recording).exchange
    assert found.responses[0].head == head
    assert found.request.headers == sent


@settings(max_examples=30)
@given(recordings())
def test_a_node_written_again_is_the_same(recording: Recording) -> None:
    first = to_node(recording, volatile=Volatile()).node
    second = to_node(again(recording, Volatile()), volatile=Volatile()).node
    assert json.dumps(second) == json.dumps(first)
