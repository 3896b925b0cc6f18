"""The benchmarks' statistics and report; nothing here is timed."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import contestants, costs, jobs, server
from tests.benchmarks.bodies import make_body
from tests.benchmarks.ratios import Rounds, Spread, turns
from tests.benchmarks.report import Group, Line, Report, figure
from tests.benchmarks.worker import Worker, WorkError

# -- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], (3.0, 3.0, 3.0, 1)),
        ([1.0, 2.0], (1.5, 1.25, 1.75, 2)),
        ([5.0, 1.0, 3.0, 2.0, 4.0], (3.0, 2.0, 4.0, 5)),
        ([1.0, 1.0, 1.0, 100.0], (1.0, 1.0, 25.75, 4)),
    ],
)
def test_the_spread_is_median_and_quartiles(
    values: list[float], expected: tuple[float, float, float, int]
) -> None:
    spread = Spread.of(values)
    assert (spread.median, spread.low, spread.high, spread.count) == expected


def test_no_values_have_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        Spread.of([])


def test_each_takes_a_turn_in_each_round_and_another_is_first() -> None:
    taken = list(turns("abc", 4))
    rounds = [[key for number, key in taken if number == at] for at in range(4)]
    assert rounds == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert list(turns((), 3)) == []


def test_ratios_are_of_the_same_round() -> None:
    rounds = Rounds()
    for number, base, own in ((1, 1.0, 2.0), (2, 10.0, 30.0)):
        rounds.note("base", number, base)
        rounds.note("own", number, own)
    rounds.note("own", 3, 7.0)
    assert rounds.over("own", "base") == (2.0, 3.0)
    assert rounds.above("own", "base") == (1.0, 20.0)
    assert rounds.over("absent", "base") == rounds.over("own", "absent") == ()


# -- lines and groups ------------------------------------------------------------------------


def _rounds() -> Rounds:
    rounds = Rounds(failures={"betamax": "Fault: it broke"})
    for number in (1, 2, 3):
        rounds.note("requests", number, 1.0)
        rounds.note("hook", number, 1.0 + number / 10)
        rounds.note("vcrpy", number, 9.0)
        rounds.note("betamax", number, 5.0)
    return rounds


def test_lines_have_targets_for_this_project_alone() -> None:
    keys = ("requests", "hook", "vcrpy", "betamax", "warcio")
    lines = {line.name: line for line in Line.over(_rounds(), keys, "requests", target=1.25)}
    assert list(lines) == ["plain requests", "mxm-dataio, hook", "vcrpy", "betamax"]
    hook = lines["mxm-dataio, hook"]
    assert (hook.samples, hook.target, hook.own, hook.gated) == ((1.1, 1.2, 1.3), 1.25, True, True)
    assert hook.met is True
    assert lines["vcrpy"].target is None
    assert lines["vcrpy"].met is None
    assert (lines["betamax"].samples, lines["betamax"].failure) == ((), "Fault: it broke")


def test_differences_leave_out_the_baseline() -> None:
    lines = Line.above(_rounds(), ("requests", "hook"), "requests", target=0.1)
    assert [line.name for line in lines] == ["mxm-dataio, hook"]
    assert lines[0].samples == pytest.approx((0.1, 0.2, 0.3))
    assert lines[0].met is False
    assert not lines[0].lost


@pytest.mark.parametrize(
    ("median", "gated", "met", "lost"),
    [
        (1.0, True, True, False),
        (1.01, True, False, False),
        (2.0, True, False, False),
        (2.01, True, False, True),
        (2.01, False, False, False),
    ],
)
def test_a_quick_run_fails_beyond_twice_the_target(
    median: float, gated: bool, met: bool, lost: bool
) -> None:
    line = Line("ours", (median,), target=1.0, gated=gated, own=True)
    assert (line.met, line.lost) == (met, lost)


def test_a_gated_line_without_a_figure_is_a_loss() -> None:
    line = Line("ours", target=1.0, gated=True, own=True, failure="its process ended")
    assert (line.met, line.lost) == (False, True)
    report = Report((Group("record", "Record", "×", (line,)),))
    assert report.losses == ["Record: ours"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.0, "×", "1.00×"),
        (12.34, "×", "12.3×"),
        (4096.4, "MiB", "4,096 MiB"),
        (-0.5, "ms", "-0.50 ms"),
        (99.96, "ms", "100 ms"),
        (1000, "bytes", "1,000 bytes"),
        (0.25, "", "0.25"),
    ],
)
def test_figures_have_three_or_four_digits(value: float, unit: str, text: str) -> None:
    assert figure(value, unit) == text


# -- report ----------------------------------------------------------------------------------


def _report() -> Report:
    lines = (
        Line("plain requests", (1.0, 1.0)),
        Line("mxm-dataio, hook", (1.5, 1.7), target=1.25, gated=True, own=True),
        Line("betamax", failure="Fault: a|b"),
    )
    disk = (Line("lengths of the files", (900.0,), target=1024.0, own=True),)
    return Report(
        (Group("record", "Record a call", "×", lines), Group("disk", "Disk", "bytes", disk)),
        {"server": "nginx/1.2.3"},
    )


def test_the_text_has_each_figure_with_its_target() -> None:
    assert _report().text() == (
        "server: nginx/1.2.3\n"
        "\n"
        "Record a call\n"
        "  plain requests    1.00×  1.00–1.00\n"
        "  mxm-dataio, hook  1.60×  1.55–1.65  ≤ 1.25×  missed\n"
        "  betamax           fails                              Fault: a|b\n"
        "\n"
        "Disk\n"
        "  lengths of the files  900 bytes    ≤ 1,024 bytes  met\n"
    )


def test_the_table_for_the_readme() -> None:
    assert _report().markdown() == (
        "| | median | quartiles | target | |\n"
        "|---|---:|---|---|---|\n"
        "| **Record a call** | | | | |\n"
        "| plain requests | 1.00× | 1.00–1.00 |  |  |\n"
        "| **mxm-dataio, hook** | 1.60× | 1.55–1.65 | ≤ 1.25× | missed |\n"
        "| betamax | fails |  |  |  |\n"
        "| **Disk** | | | | |\n"
        "| **lengths of the files** | 900 bytes |  | ≤ 1,024 bytes | met |\n"
    )


def test_a_saved_report_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bench.json"
    _report().save(path)
    assert Report.load(path) == _report()
    document = json.loads(path.read_text())
    line = document["groups"][0]["lines"][1]
    assert (line["median"], line["low"], line["high"]) == pytest.approx((1.6, 1.55, 1.65))
    assert line["met"] is False
    document["format"] = 99
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="format 99"):
        Report.load(path)


def test_groups_are_shown_by_name() -> None:
    assert [group.key for group in _report().showing(["disk"]).groups] == ["disk"]
    with pytest.raises(ValueError, match="no group 'dusk'; there are record, disk"):
        _report().showing(["dusk"])


def test_a_saved_run_is_printed_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    _report().save(path)
    assert program.main(["--read", str(path), "--markdown", "--show", "disk"]) == 0
    assert capsys.readouterr().out == _report().showing(["disk"]).markdown()
    # 1.6 is not more than twice 1.25, and disk is no ratio.
    assert program.main(["--read", str(path), "--quick"]) == 0
    far = Report((Group("r", "Record", "×", (Line("x", (2.6,), target=1.25, gated=True),)),))
    far.save(path)
    assert program.main(["--read", str(path), "--quick"]) == 1
    assert program.main(["--read", str(path)]) == 0
    assert "more than twice the target: Record: x" in capsys.readouterr().err
    near = Line("x", (2.3, 2.4, 2.7, 2.9), target=1.25, gated=True)
    Report((Group("r", "Record", "×", (near,)),)).save(path)
    assert program.main(["--read", str(path), "--quick"]) == 0


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib, of the extra bench")
    from tests.benchmarks.plot import plot

    plot(_report(), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


# -- what is measured is done ----------------------------------------------------------------


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[server.Threaded]:
    (tmp_path / "files").mkdir()
    made = server.Threaded(tmp_path / "files")
    yield made
    made.close()


def test_the_servers_answers_are_distinct_and_counted(threaded: server.Threaded) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    bodies = set()
    for number in range(3):
        with opener.open(f"{threaded.url}/item/{number}") as answer:
            bodies.add(answer.read())
    assert len(bodies) == 3
    assert all(body == body[:32] * 32 for body in bodies)
    assert threaded.hits == 3


@pytest.mark.parametrize("kind", ["requests", "mounted", "hook", "urllib3", "urllib3-hook"])
def test_recording_and_replay_are_checked(
    kind: str, threaded: server.Threaded, tmp_path: Path
) -> None:
    work = jobs.Jobs(contestants.CONTESTANTS[kind]())
    urls = [f"{threaded.url}/item/{number}" for number in range(6)]
    folder = tmp_path / "store"
    folder.mkdir()
    for threads in (1, 3):
        before = threaded.hits
        taken = work.record(str(folder), urls, threads)
        assert threaded.hits == before + 6
        assert 0 < taken["inside"] <= taken["whole"]
    if contestants.CONTESTANTS[kind].keeps:
        work.prepare(str(folder), urls)
        before = threaded.hits
        work.replay(str(folder))
        assert threaded.hits == before
        work._answers = {**work._answers, urls[0]: b"other"}
        with pytest.raises(jobs.NotDoneError, match="other bytes"):
            work.replay(str(folder))


def test_a_call_that_was_not_stored_is_noticed(threaded: server.Threaded, tmp_path: Path) -> None:
    class Forgetful(contestants.Contestant):
        keeps = True

    with pytest.raises(jobs.NotDoneError, match="stored 0 of 1 calls"):
        jobs.Jobs(Forgetful()).record(str(tmp_path), [f"{threaded.url}/item/0"])


@pytest.mark.parametrize(
    ("bodies", "why"),
    [([b"x" * 32 * 31], "other bytes"), ([b"x" * 1024] * 2, "twice")],
)
def test_other_answers_than_the_servers_are_noticed(bodies: list[bytes], why: str) -> None:
    with pytest.raises(jobs.NotDoneError, match=why):
        jobs._check_items(bodies)


def test_the_null_adapter_answers(tmp_path: Path) -> None:
    work = jobs.Jobs(contestants.Null())
    work.prepare(str(tmp_path), ["http://a.example/1", "http://a.example/2"])
    assert work.replay(str(tmp_path))["inside"] > 0


def test_a_filled_store_replays(threaded: server.Threaded, tmp_path: Path) -> None:
    work = jobs.Jobs(contestants.Mounted())
    assert work.fill(str(tmp_path), threaded.url, 20) == {"count": 20}
    assert threaded.hits == 1
    work.replay_some(str(tmp_path), threaded.url, [19, 1, 7])
    assert threaded.hits == 1


def test_a_body_is_streamed_recorded_and_replayed(
    threaded: server.Threaded, tmp_path: Path
) -> None:
    size = (2 << 20) + 5
    digest = make_body(tmp_path / "files" / "big.bin", size)
    work = jobs.Jobs(contestants.Mounted())
    store = tmp_path / "store"
    options = {
        "small": f"{threaded.url}/item/0",
        "url": f"{threaded.url}/body/big.bin",
        "size": size,
        "limit": 0,
    }
    taken = work.record_body(str(store), digest=digest, **options)
    assert 0 < taken["first"] <= taken["inside"] <= taken["whole"]
    assert taken["peak"] > 1 << 20
    before = threaded.hits
    work.replay_body(str(store), **options)
    assert threaded.hits == before
    with pytest.raises(jobs.NotDoneError, match="bytes, not"):
        work.replay_body(str(store), **{**options, "size": size + 1})
    with pytest.raises(jobs.NotDoneError, match="another checksum"):
        work.record_body(str(store), digest="0" * 64, **options)
    (tmp_path / "files" / "big.bin").write_bytes(b"x" * size)
    with pytest.raises(jobs.NotDoneError, match="other bytes at 0"):
        work.record_body(str(store), digest=digest, **options)


def test_a_worker_works_in_a_process_of_its_own(threaded: server.Threaded, tmp_path: Path) -> None:
    with Worker("requests") as worker:
        urls = [f"{threaded.url}/item/{number}" for number in range(2)]
        assert worker.ask("record", folder=str(tmp_path), urls=urls)["inside"] > 0
        with pytest.raises(WorkError, match="NotImplementedError"):
            worker.ask("replay", folder=str(tmp_path))
        assert worker.ask("record", folder=str(tmp_path), urls=urls)["whole"] > 0


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    # It accepts, and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent, Worker("requests") as worker:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(WorkError, match="took over"):
            worker.ask("record", folder=str(tmp_path), urls=[url], patience=0.2)


def test_disk_use_counts_all_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 100)
    (tmp_path / "two").write_bytes(b"x" * 5)
    (tmp_path / "two-shm").write_bytes(b"x" * 7)
    length, blocks = costs.disk_use(tmp_path)
    assert length == 105
    assert blocks % 512 == 0


def test_who_takes_part_in_a_quick_run() -> None:
    assert contestants.ours(contestants.RECORD) == (
        "requests",
        "urllib3",
        "mounted",
        "hook",
        "urllib3-hook",
    )
    assert contestants.ours(contestants.REPLAY) == ("null", "mounted", "hook", "urllib3-hook")
