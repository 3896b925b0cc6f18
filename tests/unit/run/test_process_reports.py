"""What the processes of a run leave for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxm_dataio.models import Unseen
from mxm_dataio.run.process_reports import ENDED, RUNNING, SERVED, Report, all_of, failed, served

REPORT = Report(
    "01-a", 7, "prog.py", ENDED, "complete", 2, ("GET x\nnearest", "GET ü"), ("w",),
    (Unseen("connection", "h:1", 3, "__main__"), Unseen("library", "pycurl")),
)  # fmt: skip


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    bare = Report("01-b", 8, "-", RUNNING, "running")
    for report in (bare, REPORT):
        report.write(tmp_path)
    assert all_of(tmp_path) == [REPORT, bare]


def test_a_later_one_takes_an_earlier_ones_place(tmp_path: Path) -> None:
    REPORT._replace(state=RUNNING).write(tmp_path)
    REPORT.write(tmp_path)
    assert all_of(tmp_path) == [REPORT]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"session": "x"}', "\x00"])
def test_what_is_none_is_left_out(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    REPORT.write(tmp_path)
    assert all_of(tmp_path) == [REPORT]
    with pytest.raises(ValueError, match=r"no report|column|char"):
        Report.read(tmp_path / "x.json")


def test_processes_that_could_not_be_captured(tmp_path: Path) -> None:
    assert failed(tmp_path) == []
    for pid, text in ((7, "no room"), (8, "no room"), (9, "")):
        (tmp_path / f"{pid}.failed").write_text(text)
    assert failed(tmp_path) == ["a process was not captured: no room",
                                "a process was not captured: "]  # fmt: skip


def test_calls_that_were_served(tmp_path: Path) -> None:
    assert served(tmp_path) == 0
    (tmp_path / SERVED).write_bytes(b"a\nb\nc\n")
    assert served(tmp_path) == 3
