"""What a run tells of its cassettes; above all, what it must not take for superfluous."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxm_dataio.pytest_usage import Module, Usage, Used, default_folder, lines


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("test_a.py", "test_b.py", "conftest.py"):
        touch(tmp_path / name)
    for name in ("test_a/one", "test_a/gone", "test_b/two", "test_c/three"):
        touch(tmp_path / "cassettes" / f"{name}.json")
    touch(tmp_path / "cassettes" / "test_a" / "note.txt")
    return tmp_path


def used(tree: Path, module: str, name: str, **more: object) -> Used:
    test = f"{module}.py::{name}"
    path = tree / "cassettes" / module / f"{name}.json"
    return Used(str(path), test, **{"passed": True, "replayed": True, **more})  # type: ignore[arg-type]


def usage(tree: Path, *, whole: bool = True) -> Usage:
    made = Usage(whole=whole)
    for module, test in (("test_a", "one"), ("test_b", "two")):
        path = str(tree / f"{module}.py")
        made.modules[path] = Module(path, (f"{module}.py::{test}",), True)
        made.used.append(used(tree, module, test))
    return made


def names(tree: Path, made: Usage) -> list[str]:
    return [path.relative_to(tree / "cassettes").as_posix() for path in made.gone()]


def test_what_no_test_has_any_more(tree: Path) -> None:
    assert names(tree, usage(tree)) == ["test_a/gone.json", "test_c/three.json"]


def test_a_module_of_which_a_test_has_not_run_is_not_judged(tree: Path) -> None:
    made = usage(tree)
    del made.used[0]
    assert names(tree, made) == []
    assert made.unjudged() == [str(tree / "test_a.py")]
    made = usage(tree)
    path = str(tree / "test_a.py")
    made.modules[path] = made.modules[path]._replace(whole=False)
    assert names(tree, made) == []


def test_a_folder_that_modules_share_is_judged_only_if_all_were_collected(tree: Path) -> None:
    for whole in (False, True):
        made = usage(tree, whole=whole)
        touch(tree / "shared" / "elsewhere.json")
        mine = touch(tree / "shared" / "mine.json")
        made.used.append(Used(str(mine), "test_a.py::one"))
        assert ((tree / "shared" / "elsewhere.json") in made.gone()) is whole
        assert mine not in made.gone()


def test_calls_are_superfluous_only_where_the_test_passed_in_replay(tree: Path) -> None:
    left = ((1, "GET http://h/2"),)
    for passed, replayed in ((True, True), (False, True), (True, False)):
        made = Usage()
        made.used.append(used(tree, "test_a", "one", unused=left, passed=passed, replayed=replayed))
        assert bool(made.unused()) is (passed and replayed)


def test_it_travels_between_processes(tree: Path) -> None:
    made = usage(tree)
    made.used.append(used(tree, "test_b", "two", unused=((0, "GET u"),)))
    other = Usage(whole=True)
    other.load(made.dump())
    assert (other.used, other.modules) == (made.used, made.modules)
    assert list(lines(other, tree)) == [
        "cassettes/test_b/two.json: 1 never replayed by test_b.py::two",
        "    GET u",
        "cassettes/test_a/gone.json: no test has this cassette any more",
        "cassettes/test_c/three.json: no test has this cassette any more",
    ]


def test_the_default_folder() -> None:
    assert default_folder(Path("/x/test_a.py")) == Path("/x/cassettes/test_a")
