"""Figures per host, compared with the same worked out one by one."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest

from mxm_dataio.models import Status
from mxm_dataio.reading.statistics import PERCENTILES, figures
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import session


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101])
def test_percentiles(tmp_path: Path, count: int) -> None:
    drawn = random.Random(count)
    durations = [drawn.random() for _ in range(count)]
    first_bytes = [drawn.random() for _ in range(count)]
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        for one, other in zip(durations, first_bytes, strict=True):
            call(store, held, "https://h/a", 200, duration=one, first_byte=other)
        call(store, held, "https://h/a", status=Status.FAILED, duration=None)
        with store.catalog.snapshot() as db:
            (host,), total = figures(db)
    for found in (host, total):
        assert found.durations == {p: percentile(durations, p) for p in PERCENTILES}
        assert found.first_bytes == {p: percentile(first_bytes, p) for p in PERCENTILES}


def test_hosts_and_what_is_kept_once(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        first, second = session(), session()
        for held in (first, second):
            store.begin(held)
        served = call(store, first, "https://one.example/a", 503, 200, body=b"x" * 10)
        call(store, first, "https://one.example/b", 404, body=b"y" * 5, upload=b"x" * 10)
        call(store, second, "https://two.example/c", None, status=Status.FAILED, started=2e9)
        call(store, second, "https://two.example/d", 200, body=b"x" * 10, started=2e9)
        call(store, second, "https://two.example/e", served_from=served, duration=None)
        call(store, second, "closes", status=Status.PARTIAL, source="share")
        with store.catalog.snapshot() as db:
            hosts, total = figures(db, progress=lambda *_: None)
        assert [(one.host, one.calls, one.attempts, one.errors) for one in hosts] == [
            ("two.example", 3, 2, 1), ("one.example", 2, 3, 1), ("(share)", 1, 0, 0),
        ]  # fmt: skip
        two, one, share = hosts
        assert two.ends == Counter({"2xx": 1, "failed": 1, "stored": 1})
        assert share.ends == Counter(partial=1)
        assert (one.size, one.kept, one.saved) == (35, 15, 1 - 15 / 35)
        assert (two.size, two.kept) == (10, 10)
        assert (share.saved, share.durations[50], share.first_bytes) == (None, 1.0, {})
        assert (total.calls, total.attempts, total.errors) == (6, 5, 2)
        # What is equal at two hosts is kept once.
        assert (total.size, total.kept) == (45, 15)
        for selected, calls in [
            ({"sessions": [first.id]}, 2), ({"source": "share"}, 1), ({"since": 1.5e9}, 2),
            ({"sessions": []}, 0), ({"sessions": [second.id], "since": 1.5e9}, 2),
        ]:  # fmt: skip
            with store.catalog.snapshot() as db:
                assert figures(db, **selected)[1].calls == calls, selected  # type: ignore[arg-type]
