"""The comparison of other projects' suites: it finds what differs, and can't be talked round."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.conformance import bakeoff, results, table
from tests.conformance.endings import Difference, Run, differences, excuse, mask, read
from tests.conformance.suites import ENDS, REQUIREMENTS, SUITES, Suite
from tests.support import CHECKOUT

SUITE = Suite("urllib3", "1.0", "newest", ("test",), excluded={"test/b.py::large": "too large"})


def line(test: str, outcome: str, error: str = "", when: str = "call") -> str:
    return json.dumps({"id": test, "when": when, "outcome": outcome, "error": error})


def ended(**endings: str) -> Run:
    return Run(endings=endings)


# -- what a log says -------------------------------------------------------------------------


def test_the_first_phase_that_does_not_pass_decides() -> None:
    log = [
        line("good", "passed", when="setup"),
        line("good", "passed"),
        line("good", "passed", when="teardown"),
        line("bad", "passed", when="setup"),
        line("bad", "failed", "ValueError: no"),
        line("bad", "passed", when="teardown"),
        line("unready", "failed", "OSError: no", when="setup"),
        line("unready", "passed", when="teardown"),
        line("untidy", "passed"),
        line("untidy", "failed", "ResourceWarning: open", when="teardown"),
        line("both", "failed", "ValueError: no"),
        line("both", "failed", "OSError: open", when="teardown"),
        line("odd", "skipped", "Skipped: no IPv6", when="setup"),
    ]
    assert read(log).endings == {
        "good": "passed",
        "bad": "failed: ValueError: no",
        "unready": "failed: OSError: no (in setup)",
        "untidy": "failed: ResourceWarning: open (in teardown)",
        "both": "failed: ValueError: no; failed: OSError: open (in teardown)",
        "odd": "skipped: Skipped: no IPv6 (in setup)",
    }


def test_what_was_left_out_or_not_recorded_is_no_ending() -> None:
    run = read(
        [
            line("a", "passed"),
            line("b", "left out", when="collect"),
            line("a", "problem", "the disk is full", when="capture"),
        ]
    )
    assert run.endings == {"a": "passed"}
    assert run.left_out == ["b"]
    assert run.problems == ["a: the disk is full"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<Pool object at 0x7f652d561e70>", "<Pool object at 0x7f01>"),
        ("assert [<warni...7fafbd320ed0>] == []", "assert [<warni...7f1954faa990>] == []"),
        ("HTTPPool(host='localhost', port=38909): no", "HTTPPool(host='localhost', port=8080): no"),
        ("http://127.0.0.1:38909/, not [::1]:38910", "http://127.0.0.1:8080/, not [::1]:8089"),
        ("('127.0.0.1', 38909)", "('127.0.0.1', 41000)"),
        ("assert 0.51234 < 0.5", "assert 0.60001 < 0.5"),
        ("/tmp/pytest-of-me/pytest-3/x", "/tmp/pytest-of-me/pytest-41/x"),
    ],
)
def test_what_no_two_runs_share_is_masked(one: str, other: str) -> None:
    assert mask(one) == mask(other) != one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("assert 500 == 200", "assert 404 == 200"),
        ("ValueError: no", "TypeError: no"),
        ("assert b'abc' == b'abcd'", "assert b'ab' == b'abcd'"),
        ("assert 2 == 1", "assert 3 == 1"),
        ("http://127.0.0.1/a", "http://127.0.0.2/a"),
        ("assert '0.5' in 'a'", "assert '0.6' in 'a'"),
    ],
)
def test_what_means_something_is_not_masked(one: str, other: str) -> None:
    assert mask(one) != mask(other)


# -- the comparison --------------------------------------------------------------------------


def test_runs_that_end_alike_do_not_differ() -> None:
    assert differences(ended(a="passed", b="failed: no"), ended(b="failed: no", a="passed")) == []


@pytest.mark.parametrize(
    ("plain", "captured"),
    [
        ("passed", "failed: ValueError: no"),
        ("failed: ValueError: no", "passed"),
        ("failed: ValueError: no", "failed: TypeError: no"),
        ("failed: ValueError: no", "failed: ValueError: yes"),
        ("failed: ValueError: no", "failed: ValueError: no (in setup)"),
        ("passed", "skipped: Skipped: no IPv6"),
        ("skipped: Skipped: no IPv6", "skipped: Skipped: no server"),
        ("passed", "failed: ResourceWarning: open (in teardown)"),
    ],
)
def test_another_ending_is_a_difference(plain: str, captured: str) -> None:
    found = differences(ended(a=plain, b="passed"), ended(a=captured, b="passed"))
    assert found == [Difference("a", plain, captured)]


def test_a_test_missing_from_either_run_is_a_difference() -> None:
    found = differences(ended(a="passed", b="passed"), ended(b="passed", c="passed"))
    assert found == [Difference("a", "passed", None), Difference("c", None, "passed")]


FOUND = [Difference("a", "passed", "failed: no"), Difference("gone", "passed", None)]


def again(*runs: Run, asked: list[list[str]] | None = None) -> list[Callable[[list[str]], Run]]:
    """Plain runs with given endings, noting what they are asked for."""

    def one(run: Run, tests: list[str]) -> Run:
        if asked is not None:
            asked.append(tests)
        return run

    return [partial(one, run) for run in runs]


def test_only_a_plain_run_with_the_same_ending_excuses() -> None:
    assert excuse(FOUND, again(ended(a="passed"), ended(a="failed: no"))) == {"a"}
    assert excuse(FOUND, again(ended(a="passed"), ended(a="failed: other"), ended())) == set()
    assert excuse(FOUND, again()) == set()


def test_a_test_that_did_not_run_is_never_excused() -> None:
    assert excuse(FOUND, again(ended(), ended(a="failed: no"))) == {"a"}


def test_only_what_is_open_is_run_again() -> None:
    asked: list[list[str]] = []
    excuse(FOUND, again(ended(a="failed: no"), ended(), asked=asked))
    assert asked == [["a", "gone"], ["gone"]]
    asked.clear()
    assert excuse([], again(ended(), asked=asked)) == set()
    assert asked == []


# -- what is run -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_nothing_is_left_out_without_a_reason(reason: str) -> None:
    with pytest.raises(ValueError, match="without a reason"):
        Suite("urllib3", "1.0", "newest", ("test",), excluded={"test/a.py::b": reason})


def test_both_projects_are_run_at_both_ends() -> None:
    for end in ENDS:
        projects = {suite.project for suite in SUITES if suite.end == end and not suite.shipped}
        assert projects == {"requests", "urllib3"}
    assert all(mode != "plain" for suite in SUITES for mode in suite.modes)
    assert all("mount" in suite.modes for suite in SUITES if suite.project == "requests")


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_what_a_suite_needs_is_pinned(suite: Suite) -> None:
    for requirement in suite.requirements:
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; python_version [<>]=? \"3\.\d+\")?", requirement)
    if not suite.shipped:
        assert f"{suite.project}=={suite.version}" in suite.requirements
    names = [requirement.partition("==")[0].lower() for requirement in suite.requirements]
    assert {"pytest", "pytest-timeout", "requests", "urllib3"} <= {*names}
    assert len(names) == len({*names})
    assert "flaky" not in names, "it would run a failed test again"


def test_what_python_does_not_ship_is_not_there() -> None:
    shipped = next(suite for suite in SUITES if suite.shipped)
    assert replace(shipped, paths=("json.decoder",)).there
    assert not replace(shipped, paths=("json.decoder", "json.test_decoder")).there
    assert not replace(shipped, paths=("no_such.test_decoder",)).there


def test_every_file_of_requirements_is_a_suite_s() -> None:
    assert {path.stem for path in REQUIREMENTS.iterdir()} == {suite.name for suite in SUITES}


# -- what comes of it ------------------------------------------------------------------------


def conclude(excused: set[str]) -> results.Result:
    plain = ended(a="passed", b="failed: no", c="skipped: why", d="passed", gone="passed")
    plain.left_out = ["test/b.py::large[1]", "test/b.py::large[2]"]
    captured = ended(a="passed", b="failed: no", c="skipped: why", d="failed: no")
    captured.calls, captured.seconds = 7, 1.26
    found = differences(plain, captured)
    return results.conclude(SUITE, "hook", plain, captured, found, excused)


def test_a_result_counts_every_test_once() -> None:
    result = conclude({"d"})
    assert (result.tests, result.passed, result.alike, result.skipped) == (4, 1, 1, 1)
    assert (result.differing, result.unsteady) == (["gone"], ["d"])
    assert result.tests == result.passed + result.alike + len(result.differing + result.unsteady)
    assert result.left_out == {
        "test/b.py::large[1]": "too large",
        "test/b.py::large[2]": "too large",
    }
    assert (result.calls, result.seconds) == (7, 1.3)


def result(suite: Suite, mode: str, tests: int, differing: list[str]) -> results.Result:
    return results.Result(
        suite=suite.project,
        version=suite.version,
        end=suite.end,
        python="3.11",
        mode=mode,  # type: ignore[arg-type]
        tests=tests,
        passed=tests - len(differing),
        alike=0,
        skipped=3,
        calls=9,
        seconds=1.0,
        differing=differing,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of two runs, one of them made twice, and one of a suite that is no more."""
    newest, other = SUITES[0], SUITES[1]
    results.write(result(other, "hook", 1234, []), tmp_path / "results")
    results.write(result(newest, "hook", 9, ["a", "b"]), tmp_path / "results")
    results.write(result(newest, "hook", 10, ["a"]), tmp_path / "results")
    results.write(result(SUITE, "hook", 5, []), tmp_path / "results")
    return tmp_path / "results"


def test_results_add_up_over_runs_and_the_last_one_counts(folder: Path) -> None:
    found = [(r.suite, r.version, r.tests, r.differing) for r in results.load(folder)]
    newest, other = SUITES[0], SUITES[1]
    assert found == [
        (newest.project, newest.version, 10, ["a"]),
        (other.project, other.version, 1234, []),
    ]


def test_the_table_has_a_line_for_each_result(folder: Path) -> None:
    newest, other = SUITES[0], SUITES[1]
    assert table.table(results.load(folder)).splitlines() == [
        "| suite | version | Python | mode | tests | differ | fail alike | skipped | left out |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        f"| {newest.project} | {newest.version} | 3.11 | hook | 10 | 1 | 0 | 3 | 0 |",
        f"| {other.project} | {other.version} | 3.11 | hook | 1,234 | 0 | 0 | 3 | 0 |",
    ]


def test_the_table_is_written_between_its_markers_and_checked(folder: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    assert table.main(["--check", str(readme)], folder) == 1
    assert table.main(["--write", str(readme)], folder) == 0
    assert table.main(["--check", str(readme)], folder) == 0
    text = readme.read_text()
    made = table.table(results.load(folder))
    assert text == f"before\n{table.BEGIN}\n{made}\n{table.END}\nafter\n"
    readme.write_text(text.replace("| 10 | 1 |", "| 10 | 0 |"))
    assert table.main(["--check", str(readme)], folder) == 1


def test_a_file_without_the_markers_is_refused(folder: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    with pytest.raises(ValueError, match="conformance:begin"):
        table.main(["--write", str(readme)], folder)
    assert readme.read_text() == "nothing\n"


def test_no_results_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table.main([], tmp_path / "none") == 1
    assert "no results" in capsys.readouterr().err


# -- the bake-off's table --------------------------------------------------------------------

REPORT = """<testsuites><testsuite>
<testcase classname="tests.capture.test_hook" name="a"/>
<testcase classname="tests.capture.test_hook.TestMiss" name="b"><skipped message="x"/></testcase>
<testcase classname="tests.clients.test_aws" name="c"><failure message="x">no</failure></testcase>
<testcase classname="tests.bakeoff.test_wire" name="d"><error message="x">no</error></testcase>
</testsuite></testsuites>"""


def test_outcomes_are_counted_by_module(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    assert bakeoff.counted(tmp_path / "report.xml") == {
        "capture.test_hook": {"passed": 1, "skipped": 1},
        "clients.test_aws": {"failure": 1},
        "bakeoff.test_wire": {"error": 1},
    }


def test_a_failure_is_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    lines = bakeoff.table({"here": bakeoff.counted(tmp_path / "report.xml")}).splitlines()
    assert lines[:2] == ["| behaviours | here |", "| --- | ---: |"]
    cells = dict(line.strip("| ").split(" | ") for line in lines[2:])
    assert cells["the hook and mounted sessions"] == "1 (1 skipped)"
    assert cells["real clients"] == cells["pools and connections"] == "**1 fail**"
    assert cells["redirects and retries"] == "-"


def test_every_three_way_test_is_in_a_row() -> None:
    named = {module for row in bakeoff.ROWS.values() for module in row}
    tests = CHECKOUT / "tests"
    files = [*tests.glob("bakeoff/test_*.py"), *tests.glob("clients/test_*.py")]
    assert {file.relative_to(tests).with_suffix("").as_posix() for file in files} <= {
        module.replace(".", "/") for module in named
    }
