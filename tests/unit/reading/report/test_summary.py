"""A report as JSON values."""

from __future__ import annotations

import json
from pathlib import Path

from mxm_dataio.models import Failure, Status, Unseen
from mxm_dataio.reading import values
from mxm_dataio.reading.report.gather import gather
from mxm_dataio.reading.report.values import summary
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.recorded import Recorder, Try

AT = "2025-10-08T00:00:00.000000Z"


def test_all_of_it_is_json_and_bounded(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store, program="p" * 5000)
        for number in range(600):
            main.call(f"https://{number}.example/", Try(404 if number % 2 else 200))
        main.end(
            10,
            warnings=["w" * 5000] * 300,
            coverage=[Unseen("connection", f"{n}.example:1", 1, "m") for n in range(1200)],
        )
        report = gather(store, main.session.id)
    found = json.loads(json.dumps(summary(report, AT), allow_nan=False))
    assert found["made"]["at"] == AT
    assert (len(found["hosts"]), found["more_hosts"]) == (500, 100)
    assert (len(found["coverage"]), found["more_coverage"]) == (1000, 200)
    (part,) = found["parts"]
    assert len(part["warnings"]) == 100
    assert part["warnings"][0] == f"{'w' * 2000}… (3,000 more)"
    assert part["program"].startswith("p" * 2000)
    assert found["totals"]["calls"] == 600
    assert found["totals"]["errors"] == 300
    assert found["failing"][0]["what"] == "404 Not Found"
    assert found["failing"][0]["calls"] == 300
    assert found["verified"]["ok"] is True
    assert part["chain"]["records"] == 600


def test_a_call(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        failure = Failure("requests.exceptions.ConnectionError", "refused")
        main.call(
            "https://data.example/", Try(503, b"busy"), Try(None, failure=failure),
            status=Status.FAILED, failure=failure,
        )  # fmt: skip
        main.end(1)
        report = gather(store, main.session.id)
        (exchange,) = report.listed
        found = json.loads(json.dumps(values.call(store, exchange)))
    assert report.wrong == {main.calls[0]: "ConnectionError"}
    assert (found["id"], found["status"]) == (main.calls[0], "failed")
    assert found["failure"] == {"class": failure.error_class, "message": "refused"}
    assert [one["status_code"] for one in found["attempts"]] == [503, None]
    assert found["attempts"][0]["headers"] == [["Content-Type", "application/json"]]
