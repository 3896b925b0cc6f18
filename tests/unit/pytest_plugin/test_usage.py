"""What a run tells of its cassettes; above all, what it must not take for superfluous."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mxm_dataio.formats.cassette.files import load, marks
from mxm_dataio.formats.cassette.runs import Call, Used
from mxm_dataio.pytest_plugin.project import Project
from mxm_dataio.pytest_plugin.usage import Collected, Usage, default_folder, lines, prune


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def record(path: Path, *urls: str) -> Path:
    calls = [{"request": {"method": "GET", "url": f"http://h/{url}"}} for url in urls]
    document = {"mxm-dataio cassette": 1, "source": "s", "recorded": "2025-01-01", "calls": calls}
    return touch(path, json.dumps(document))


def urls(path: Path) -> list[str]:
    document = load(path, needed=True)[1]
    assert document is not None
    return [node["request"]["url"].rpartition("/")[2] for node in document.calls]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("test_a", "test_b"):
        touch(tmp_path / f"{name}.py", "def test_one(): pass\ndef test_two(): pass\n")
    touch(tmp_path / "conftest.py")
    for name in ("test_a/test_one", "test_a/test_gone", "test_b/test_two", "test_c/three"):
        record(tmp_path / "cassettes" / f"{name}.json", "0", "1", "2")
    touch(tmp_path / "cassettes" / "test_a" / "note.txt")
    touch(tmp_path / "cassettes" / "test_a" / "data.json", "{}")
    return tmp_path


def used(
    tree: Path, module: str, name: str, *left: int, how: str = "replay", **more: object
) -> Used:
    path = tree / "cassettes" / module / f"{name}.json"
    told = marks(load(path, needed=True)[1].calls)  # type: ignore[union-attr]
    calls = tuple(
        Call(mark, f"hash {place % 3}", place not in left, f"GET http://h/{place}")
        for place, mark in enumerate(told)
    )
    if how == "rewrite":
        made = tuple(call.mark for call in calls if call.played)
        more = {"made": made, **more}
        calls = tuple(call._replace(played=False) for call in calls)
    test = f"{module}.py::{name}"
    given = {"tests": (test,), "calls": calls, "only": test, "marked": True, **more}
    return Used(str(path), how=how, **given)  # type: ignore[arg-type]


def usage(tree: Path) -> Usage:
    """Return that of a run of two tests that have passed and used all that was recorded."""
    made = Usage(Project(tree, ["test_*.py"], [".*"]))
    for module, name in (("test_a", "test_one"), ("test_b", "test_two")):
        file = str(tree / f"{module}.py")
        made.files.add(file)
        test = Collected(f"{module}.py::{name}", file, (name, "module"))
        made.tests[test.id] = test
        made.outcomes[test.id] = "passed"
        made.used.append(used(tree, module, name))
    return made


def dropped(tree: Path, made: Usage) -> dict[str, list[str]]:
    """Return what would be dropped: cassette → its calls."""
    return {
        one.path.relative_to(tree / "cassettes").as_posix(): [text[-1] for _, text in one.calls]
        for one in made.superfluous()
        if not one.why
    }


GONE: dict[str, list[str]] = {"test_a/test_gone.json": [], "test_c/three.json": []}


def test_what_no_test_has_any_more(tree: Path) -> None:
    assert dropped(tree, usage(tree)) == GONE


def test_what_other_programs_keep_beside_is_not_ours(tree: Path) -> None:
    made = usage(tree)
    list(prune(made, tree))
    left = {path.name for path in (tree / "cassettes").rglob("*") if path.is_file()}
    assert left == {"test_one.json", "test_two.json", "note.txt", "data.json"}
    assert not (tree / "cassettes/test_c").exists()


def test_no_cassette_is_gone_while_a_test_has_not_run(tree: Path) -> None:
    made = usage(tree)
    del made.outcomes["test_a.py::test_one"]
    assert dropped(tree, made) == {}
    assert made.unjudged() == [str(tree / "test_a.py")]
    made = usage(tree)
    made.files.discard(str(tree / "test_b.py"))
    assert dropped(tree, made) == {}
    assert made.unjudged() == [str(tree / "test_b.py")]
    touch(tree / "part" / "test_c.py")
    made = usage(tree)
    assert dropped(tree, made) == {}
    assert made.unjudged() == [str(tree / "part" / "test_c.py")]


@pytest.mark.parametrize("file", ["test_b.py", "conftest.py", "helper.py"])
def test_no_cassette_is_gone_that_a_text_names(tree: Path, file: str) -> None:
    touch(tree / file, "LOGIN = 'cassettes/test_c/three.json'\n")
    assert dropped(tree, usage(tree)) == {"test_a/test_gone.json": []}


def test_a_call_is_superfluous_if_no_test_has_used_it(tree: Path) -> None:
    made = usage(tree)
    made.used[0] = used(tree, "test_a", "test_one", 0, 2)
    assert dropped(tree, made) == {"test_a/test_one.json": ["0", "2"], **GONE}
    # Another process, or another test that shares it.
    made.used.append(used(tree, "test_a", "test_one", 1, 2, shared=True))
    assert dropped(tree, made) == {"test_a/test_one.json": ["2"], **GONE}
    list(prune(made, tree))
    assert urls(tree / "cassettes/test_a/test_one.json") == ["0", "1"]


def test_uses_of_one_call_add_up(tree: Path) -> None:
    # The same call three times, and two workers of which each has begun with the first.
    path = record(tree / "cassettes/test_a/test_one.json", "0", "1", "2", "0", "1", "2", "0")
    made = usage(tree)
    for left in ((3, 4, 5, 6), (3, 4, 5, 6)):
        made.used.append(used(tree, "test_a", "test_one", *left))
    del made.used[0]
    assert dropped(tree, made) == {"test_a/test_one.json": ["6"], **GONE}
    list(prune(made, tree))
    assert urls(path) == ["0", "1", "2", "0", "1", "2"]


def test_calls_are_told_by_what_they_are_not_by_their_places(tree: Path) -> None:
    made = usage(tree)
    made.used[0] = used(tree, "test_a", "test_one", 1)
    # Another process has written to the file since.
    path = record(tree / "cassettes/test_a/test_one.json", "new", "0", "new", "2", "1", "0")
    list(prune(made, tree))
    assert urls(path) == ["new", "0", "new", "2", "0"]


@pytest.mark.parametrize("outcome", ["failed", "was skipped", "failed as expected", ""])
def test_nothing_is_judged_that_a_test_has_which_did_not_pass(tree: Path, outcome: str) -> None:
    made = usage(tree)
    made.used = [used(tree, "test_a", "test_one", 1), used(tree, "test_b", "test_two", 1)]
    made.outcomes["test_a.py::test_one"] = outcome
    if not outcome:
        del made.outcomes["test_a.py::test_one"]
    assert dropped(tree, made).get("test_a/test_one.json") is None
    # It can't have the other's by any name.
    assert dropped(tree, made)["test_b/test_two.json"] == ["1"]


def test_nor_is_what_a_test_without_a_marker_has_that_did_not_pass(tree: Path) -> None:
    made = usage(tree)
    file = str(tree / "test_b.py")
    made.tests["test_b.py::test_code"] = Collected("test_b.py::test_code", file)
    made.used[0] = used(tree, "test_a", "test_one", 1, tests=("test_b.py::test_code",), only="")
    for outcome in ("passed", "was skipped"):
        made.outcomes["test_b.py::test_code"] = outcome
        opened = used(tree, "test_a", "test_one", shared=True)._replace(calls=())
        made.used = [made.used[0], opened, used(tree, "test_b", "test_two")]
        assert ("test_a/test_one.json" in dropped(tree, made)) is (outcome == "passed")


def test_it_may_have_another_s_cassette_by_a_name_a_marker_or_code(tree: Path) -> None:
    for change in ("name", "marker", "text", "code", "helper"):
        made = usage(tree)
        touch(tree / "test_a.py")
        made.used[1] = used(tree, "test_b", "test_two", 1)
        made.outcomes["test_a.py::test_one"] = "was skipped"
        assert dropped(tree, made)["test_b/test_two.json"] == ["1"]
        test = made.tests["test_a.py::test_one"]
        if change == "name":
            test = test._replace(file=str(tree / "test_b.py"), names=("test_two",))
        elif change == "marker":
            test = test._replace(shared=("test_two.json",))
        elif change == "text":
            touch(tree / "test_a.py", 'NAME = "../test_b/test_two"')
        else:
            file = "test_a.py" if change == "code" else "helper.py"
            touch(tree / file, "with use_cassette(HERE / f'{name}.json'): ...")
        made.tests[test.id] = test
        made.project = Project(tree, ["test_*.py"], [])
        assert "test_b/test_two.json" not in dropped(tree, made), change


def test_a_file_of_which_some_tests_were_not_collected(tree: Path) -> None:
    made = usage(tree)
    made.used = [used(tree, "test_a", "test_one", 1), used(tree, "test_b", "test_two", 1)]
    made.files.discard(str(tree / "test_a.py"))
    # By its name the one cassette is of the test that has run.
    assert dropped(tree, made) == {"test_a/test_one.json": ["1"], "test_b/test_two.json": ["1"]}
    made.used[0] = made.used[0]._replace(only="")
    assert dropped(tree, made) == {"test_b/test_two.json": ["1"]}


@pytest.mark.parametrize("how", ["", "once", "new_episodes", "all"])
def test_only_replay_and_rewrite_show_what_is_superfluous(tree: Path, how: str) -> None:
    made = usage(tree)
    made.used[0] = used(tree, "test_a", "test_one", 1, how=how)
    assert dropped(tree, made) == GONE
    made.used.append(used(tree, "test_a", "test_one", 1))
    assert dropped(tree, made) == GONE


def test_after_recording_anew_only_what_was_not_made_goes(tree: Path) -> None:
    made = usage(tree)
    made.used = [
        used(tree, "test_a", "test_one", 1, how="rewrite"), used(tree, "test_b", "test_two", 1),
    ]  # fmt: skip
    assert list(prune(made, tree, rewritten=True)) == []
    assert urls(tree / "cassettes/test_a/test_one.json") == ["0", "2"]
    assert urls(tree / "cassettes/test_b/test_two.json") == ["0", "1", "2"]
    assert (tree / "cassettes/test_a/test_gone.json").exists()
    made.used[0] = used(tree, "test_a", "test_one", 1, how="rewrite")
    made.outcomes["test_a.py::test_one"] = "has failed"
    (said,) = prune(made, tree, rewritten=True)
    assert said == (
        "cassettes/test_a/test_one.json: 1 call not made, kept: test_a.py::test_one has failed"
    )


def test_nothing_is_dropped_if_a_process_has_not_told(tree: Path) -> None:
    made = usage(tree)
    made.used[0] = used(tree, "test_a", "test_one", 1)
    made.broken = "a worker is gone"
    assert dropped(tree, made) == {}
    assert "nothing was judged: a worker is gone" in list(lines(made, tree))


def test_it_travels_between_processes(tree: Path) -> None:
    made = usage(tree)
    made.used[1] = used(tree, "test_b", "test_two", 0)
    other = Usage(made.project)
    other.load(json.loads(json.dumps(made.dump())))
    other.outcomes = made.outcomes
    assert (other.used, other.tests, other.files) == (made.used, made.tests, made.files)
    assert list(lines(other, tree)) == [
        "cassettes/test_b/test_two.json: 1 never replayed by test_b.py::test_two",
        "    GET http://h/0",
        "cassettes/test_a/test_gone.json: no test has this cassette any more",
        "cassettes/test_c/three.json: no test has this cassette any more",
    ]


def test_the_default_folder() -> None:
    assert default_folder(Path("/x/test_a.py")) == Path("/x/cassettes/test_a")
