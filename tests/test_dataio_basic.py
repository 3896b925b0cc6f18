"""The basic example, against a mocked network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import responses

from mxm_dataio import IngestSession, ReplayMissError, Status
from mxm_dataio.storage.recording_store import RecordingStore

URL = "https://data.example/v8/chart/CSPX.L"


def test_basic_example(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with (
        responses.RequestsMock() as mocked,
        IngestSession(root=root, source="yahoo", as_of="2025-10-07") as sess,
    ):
        mocked.get(URL, json={"close": [1.5, 2.5]}, headers={"ETag": '"v1"'})
        resp = sess.request(endpoint=URL, params={"interval": "1d"}, kind="daily_bars")

    content = b'{"close": [1.5, 2.5]}'
    assert (root / "dataio.sqlite").is_file()
    assert resp.checksum == hashlib.sha256(content).hexdigest()
    assert resp.bytes_path == root / "responses" / f"{resp.checksum}.bin"
    assert resp.bytes_path.read_bytes() == content
    assert resp.status_code == 200
    assert resp.size == len(content)
    assert resp.complete
    assert resp.header("etag") == '"v1"'

    with RecordingStore(root) as store:
        (session,) = store.sessions("yahoo")
        (exchange,) = store.exchanges(session.id)
    assert session.status is Status.COMPLETE
    assert session.as_of == "2025-10-07"
    assert exchange.request.kind == "daily_bars"
    assert exchange.request.params == {"interval": "1d"}
    assert exchange.request.endpoint == URL
    assert exchange.answer == resp

    with IngestSession(root=root, source="yahoo", mode="replay") as sess:
        again = sess.request(endpoint=URL, params={"interval": "1d"})
        assert again == resp
        assert sess.content(again) == content
        with pytest.raises(ReplayMissError, match="interval: asked '1h', recorded '1d'"):
            sess.request(endpoint=URL, params={"interval": "1h"})
        sess.misses.clear()
