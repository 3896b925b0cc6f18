"""Calls as nodes of JSON: nothing is lost but what is said, and what is malformed is refused."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from mxm_dataio.formats import json_text
from mxm_dataio.formats.calls import DERIVING, Setting, asked, check, to_node, to_recording
from mxm_dataio.formats.volatile import NOTHING, Volatile
from mxm_dataio.recordings import Recording
from tests.exchanges import comparable, recordings


def again(recording: Recording, volatile: Volatile = NOTHING, **options: Any) -> Recording:
    """Return a recording once it was a node in JSON."""
    written = to_node(recording, volatile=volatile, **options)
    node = json_text.loads(json.dumps(written.node))
    check(node)

    def beside(checksum: str, size: int) -> bytes:
        assert len(written.beside[checksum]) == size
        return written.beside[checksum]

    return to_recording(node, asked(node, DERIVING, beside), "id", Setting(beside=beside))


@given(recordings())
def test_what_a_node_keeps_comes_back(recording: Recording) -> None:
    assert comparable(again(recording)) == comparable(recording)


@given(recordings())
def test_a_node_written_again_is_the_same(recording: Recording) -> None:
    first = to_node(recording, volatile=Volatile()).node
    second = to_node(again(recording, Volatile()), volatile=Volatile()).node
    assert json.dumps(second) == json.dumps(first)
