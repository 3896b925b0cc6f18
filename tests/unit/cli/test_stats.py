"""``mxm-dataio stats``."""

from __future__ import annotations

from pathlib import Path

from mxm_dataio.cli.demo_scraper import Demonstrated
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, rows, run, values


def test_into_a_pipe(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    host, total = rows("stats", "--root", root)
    assert host[0].startswith("127.0.0.1:")
    assert total[0] == "total"
    assert host[1:] == total[1:]
    assert host[1:4] == ["15", "16", "1"]
    assert host[4:10] == ["0", "13", "1", "1", "0", "0"]
    assert len(host) == 19
    times = [float(value) for value in host[13:]]
    assert times[:3] == sorted(times[:3])
    assert times[3:] == sorted(times[3:])
    assert min(times) > 0


def test_as_json(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, done = demonstrated
    host, total = values("stats", done.recorded[-8:], "--root", root)
    assert (host["type"], total["type"]) == ("host", "total")
    assert host["ends"] == {"2xx": 13, "3xx": 1, "4xx": 1}
    assert host["duration"]["p50"] <= host["duration"]["p99"]
    assert total["bytes"] >= total["bytes_kept"] > 0


def test_on_a_terminal(demonstrated: tuple[Path, Demonstrated], screen: Screen) -> None:
    root, _ = demonstrated
    for width in (80, 140):
        lines = screen("stats", "--root", root, width=width)
        assert fits(lines, width)
        # Of one host: it is said once.
        assert lines[0].startswith("at 127.0.0.1:")
        assert lines[1].split() == [
            "calls", "attempts", "errors", "2xx", "3xx", "4xx", "bytes", "saved",
        ]  # fmt: skip
        assert lines[3].split()[0] == "15"
        assert lines[5].split()[-4:] == ["byte", "p50", "p90", "p99"]
    assert fits(screen("stats", "--root", root, width=70), 70)


def test_several_hosts_on_a_terminal(root: Path, store: RecordingStore, screen: Screen) -> None:
    one = session()
    store.begin(one)
    for host in "ab":
        call(store, one, f"https://{host}/", 200)
    end(store, one)
    lines = screen("stats", "--root", root)
    assert [line.split()[0] for line in lines[:1] + lines[2:5]] == ["host", "a", "b", "total"]
    assert [line.split()[0] for line in lines[6:7] + lines[8:]] == ["host", "a", "b", "total"]


def test_which(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    for options, calls in (
        (("latest",), 15), (("latest", "latest"), 15), (("--source", "demo"), 15),
        (("--source", "none"), 0), (("--since", "2000-01-01"), 15), (("--since", "3000-01-01"), 0),
    ):  # fmt: skip
        assert values("stats", *options, "--root", root)[-1]["calls"] == calls, options
    assert rows("stats", "--source", "none", "--root", root) == [
        ["total", *["0"] * 11, "-", *["-"] * 6]
    ]
    assert run("stats", "none", "--root", root).exit_code == 2
