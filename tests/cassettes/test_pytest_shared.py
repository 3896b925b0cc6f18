"""Cassettes that several tests have: recorded, recorded anew and pruned without loss."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.effort import rounds, sampled
from tests.support.pytests import bare, run
from tests.support.servers import Connection, RawServer, answer

pytest_plugins = ["pytester"]

HEAD = """
import os, pathlib, time
import pytest, requests

HERE = pathlib.Path(__file__).parent
V = os.environ.get("V", "")

def get(path):
    answer = requests.get(os.environ["URL"] + path, timeout=5).json()
    assert answer["path"] == path
    return answer["count"]
"""


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    bare(monkeypatch)
    monkeypatch.delenv("V", raising=False)

    def count(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            body = json.dumps({"path": request.target, "count": made.hits}).encode()
            connection.send(answer(200, body, headers=[("Content-Type", "application/json")]))

    with RawServer(count) as made:
        monkeypatch.setenv("URL", made.url)
        yield made


def write(pytester: pytest.Pytester, text: str, name: str = "test_it") -> Path:
    return pytester.makepyfile(**{name: HEAD + text})


def calls(pytester: pytest.Pytester, name: str) -> list[str]:
    """Return the paths of a cassette's calls."""
    path = pytester.path / "cassettes" / f"{name}.json"
    document = json.loads(path.read_text())
    return ["/" + node["request"]["url"].split("/", 3)[3] for node in document["calls"]]


def counts(pytester: pytest.Pytester, name: str) -> list[int]:
    """Return which answer of the server each call of a cassette has."""
    path = pytester.path / "cassettes" / f"{name}.json"
    document = json.loads(path.read_text())
    return [node["responses"][0]["body"]["json"]["count"] for node in document["calls"]]


MODULE = """
pytestmark = pytest.mark.dataio(scope="module")

@pytest.mark.parametrize("i", range(6))
def test_p(i):
    time.sleep(0.02)
    get(f"/p{i}{V if i == 0 else ''}")
"""
ALL = [f"/p{i}" for i in range(6)]


# -- recording -----------------------------------------------------------------------------------


def test_workers_write_one_cassette(pytester: pytest.Pytester, server: RawServer) -> None:
    write(pytester, MODULE)
    modes = rounds(("once",), ("once", "rewrite", "all"))
    for mode in modes:
        run(pytester, "-n", "2", f"--dataio-mode={mode}", passed=6)
        assert sorted(calls(pytester, "test_it/module")) == ALL, mode
    hits = server.hits
    assert hits == 6 * len(modes)
    run(pytester, "--dataio-mode=none", passed=6)
    assert server.hits == hits


def test_a_cassette_is_recorded_by_all_that_run_though_one_has_ended(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    # Module and class are left and entered again, as where tests run in an order drawn at random.
    text = """
    @pytest.mark.dataio(scope="class")
    class TestA:
        def test_1(self): get("/1")
        def test_2(self): get("/same")
        def test_3(self): get("/3")

    class TestB:
        def test_1(self): pass
        def test_2(self): pass

    @pytest.mark.dataio
    class TestNamed:
        @pytest.fixture
        def dataio_cassette_name(self): return "named"
        def test_1(self): get("/one")
        def test_2(self): get("/two")
    """
    write(pytester, text.replace("\n    ", "\n"))
    pytester.makeconftest(
        """
        def pytest_collection_modifyitems(items):
            order = ["TestA::test_1", "TestB::test_1", "TestA::test_2", "TestB::test_2"]
            items.sort(key=lambda item: (order + [item.nodeid.partition("::")[2]]).index(
                item.nodeid.partition("::")[2]))
        """
    )
    for mode in ("once", "rewrite", "all", "rewrite"):
        run(pytester, f"--dataio-mode={mode}", passed=7)
        assert calls(pytester, "test_it/TestA") == ["/1", "/same", "/3"]
        assert calls(pytester, "test_it/named") == ["/one", "/two"]
    assert server.hits == 20
    run(pytester, "--dataio-mode=none", "--dataio-prune", passed=7)
    run(pytester, "--dataio-mode=none", passed=7)


def test_the_command_that_a_miss_prints_leaves_the_calls_of_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pytester, MODULE)
    run(pytester, passed=6)
    before = counts(pytester, "test_it/module")
    monkeypatch.setenv("V", "?v=2")
    printed = run(pytester, "--dataio-mode=none", passed=5, failed=1).stdout.str()
    (command,) = re.findall(r"^record it again: pytest (.*)$", printed, re.MULTILINE)
    printed = run(pytester, *shlex.split(command), passed=1).stdout.str()
    assert "cassettes/test_it/module.json: 6 calls not made, kept: " in printed
    assert calls(pytester, "test_it/module") == [*ALL, "/p0?v=2"]
    assert counts(pytester, "test_it/module")[:6] == before
    run(pytester, "--dataio-mode=none", passed=6)
    # All together drop it.
    run(pytester, "--dataio-mode=rewrite", passed=6)
    assert sorted(calls(pytester, "test_it/module")) == sorted([*ALL[1:], "/p0?v=2"])
    run(pytester, "--dataio-mode=none", passed=6)


def test_a_test_s_own_cassette_loses_what_it_makes_no_more(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pytester, '@pytest.mark.dataio\ndef test_a(): get("/a" + V)\ndef test_b(): pass\n')
    write(pytester, "def test_c(): pass\n", "test_other")
    run(pytester, passed=3)
    monkeypatch.setenv("V", "?v=2")
    run(pytester, "test_it.py::test_a", "--dataio-mode=rewrite", passed=1)
    assert calls(pytester, "test_it/test_a") == ["/a?v=2"]


@pytest.mark.parametrize("sharer", ["marker", "block", "folder"])
def test_a_test_s_own_cassette_keeps_what_others_may_have_it_for(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, sharer: str
) -> None:
    write(pytester, '@pytest.mark.dataio\ndef test_a(): get("/a" + V)\n')
    place, others = "test_it/test_a", {
        "marker": '@pytest.mark.dataio("../test_it/test_a.json")\ndef test_a(): get("/a")\n',
        "block": "from mxm_dataio import use_cassette\ndef test_a():\n"
        "    with use_cassette(HERE / 'cassettes' / 'test_it' / ('test' + '_a.json')): get('/a')\n",
        "folder": '@pytest.mark.dataio\ndef test_a(): get("/a")\n',
    }  # fmt: skip
    if sharer == "folder":
        place = "all/test_a"
        pytester.makeconftest(
            "import pathlib, pytest\n@pytest.fixture(scope='session')\n"
            "def dataio_cassette_dir(): return pathlib.Path('cassettes/all')\n"
        )
    write(pytester, others[sharer], "test_other")
    run(pytester, passed=2)
    monkeypatch.setenv("V", "?v=2")
    for choice in (["test_it.py::test_a"], *rounds((), (["test_it.py"],)), ["-k", "test_it"]):
        left = {"deselected": 1} if choice[0] == "-k" else {}
        run(pytester, *choice, "--dataio-mode=rewrite", passed=1, **left)
        run(pytester, *choice, "--dataio-mode=none", "--dataio-prune", passed=1, **left)
        assert set(calls(pytester, place)) == {"/a", "/a?v=2"}
        run(pytester, "--dataio-mode=none", passed=2)


def test_each_test_s_calls_replace_its_own(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.dataio(scope="class", exhausted="error")
class TestA:
    def test_1(self): get("/same")
    def test_2(self): get("/same"), get("/same")
"""
    write(pytester, text)
    run(pytester, passed=2)
    each = ["-n", "2", "--dist", "each"]
    for options in (["-n", "2"], *rounds([], [each]), ["-k", "test_2"]):
        chosen = {"passed": 4 if "each" in options else 2}
        if "-k" in options:
            chosen = {"passed": 1, "deselected": 1}
        for mode in ("rewrite",) if "-n" in options else ("rewrite", "all"):
            run(pytester, f"--dataio-mode={mode}", *options, **chosen)
            assert calls(pytester, "test_it/TestA") == ["/same"] * 3
        run(pytester, "--dataio-mode=none", passed=2)
    # Workers each begin with the first of three.
    run(pytester, "--dataio-mode=none", "--dataio-prune", "-n", "2", passed=2)
    assert calls(pytester, "test_it/TestA") == ["/same"] * 3


def test_tests_that_share_a_cassette_share_its_clock(pytester: pytest.Pytester) -> None:
    pytest.importorskip("time_machine")
    text = """
pytestmark = pytest.mark.dataio(scope="module", freeze=True)

@pytest.mark.parametrize("i", range(4))
def test_now(i):
    get(f"/{i}?at={time.time()}")
"""
    write(pytester, text)
    run(pytester, "-n", "2", passed=4)
    run(pytester, "--dataio-mode=none", passed=4)
    run(pytester, "--dataio-mode=rewrite", "-k", "1", passed=1, deselected=3)
    run(pytester, "--dataio-mode=none", passed=4)


# -- tests that do not pass ----------------------------------------------------------------------

SHARED = """
pytestmark = pytest.mark.dataio(scope="module")
def test_a(): get("/a")
{}
def test_c(): get("/c")
"""


@pytest.mark.parametrize(
    ("between", "outcome", "kept"),
    sampled(
        [
            ("def test_b():\n    get('/b')\n    pytest.skip('late')", "skipped", ["/b"]),
            ("@pytest.mark.skip\ndef test_b(): pass", "skipped", []),
            ("@pytest.mark.xfail\ndef test_b():\n    get('/b')\n    assert 0", "xfailed", ["/b"]),
            ("def test_b(): pytest.importorskip('nosuch')", "skipped", []),
            ("def test_b():\n    get('/b')\n    assert 0", "failed", []),
            ("@pytest.mark.xfail(run=False)\ndef test_b(): assert 0", "xfailed", []),
            ("class TestOther:\n    def test_b(self): assert 0", "failed", []),
        ],
        2,
    ),
)
def test_a_test_that_does_not_pass_spoils_no_other_s_recording(
    pytester: pytest.Pytester, between: str, outcome: str, kept: list[str]
) -> None:
    write(pytester, SHARED.format(between))
    for mode in ("once", "rewrite", "all"):
        run(pytester, f"--dataio-mode={mode}", passed=2, **{outcome: 1})
        assert calls(pytester, "test_it/module") == ["/a", *kept, "/c"]
    run(pytester, "--dataio-mode=none", "--dataio-prune", passed=2, **{outcome: 1})
    assert calls(pytester, "test_it/module") == ["/a", *kept, "/c"]


def test_what_a_test_has_recorded_stays_while_it_fails_or_is_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SHARED.format(
        "def test_b():\n    if V == 'skip': pytest.skip('now')\n    assert V != 'fail'\n"
        "    get('/b')\n    assert V != 'late'"
    )
    write(pytester, text)
    run(pytester, passed=3)
    for v, outcome in (("skip", "skipped"), ("fail", "failed"), ("late", "failed")):
        monkeypatch.setenv("V", v)
        for options in (["rewrite"], ["none", "--dataio-prune"]):
            run(pytester, f"--dataio-mode={options[0]}", *options[1:], passed=2, **{outcome: 1})
    run(pytester, "--dataio-mode=rewrite", *rounds((), ("-n", "2")), passed=2, failed=1)
    monkeypatch.setenv("V", "fail")
    run(pytester, "--dataio-mode=rewrite", "-x", passed=1, failed=1)
    monkeypatch.delenv("V")
    for chosen in (["-k", "not _b"], ["--deselect", "test_it.py::test_b"]):
        run(pytester, "--dataio-mode=rewrite", *chosen, passed=2, deselected=1)
        run(pytester, "--dataio-mode=none", "--dataio-prune", *chosen, passed=2, deselected=1)
    assert sorted(calls(pytester, "test_it/module")) == ["/a", "/b", "/c"]
    run(pytester, "--dataio-mode=none", passed=3)


def test_a_worker_that_crashes_has_nothing_dropped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
pytestmark = pytest.mark.dataio(scope="module")
@pytest.mark.parametrize("i", range(4))
def test_p(i):
    get(f"/p{i}")
    if i == 2 and V: os._exit(3)
"""
    write(pytester, text)
    run(pytester, passed=4)
    monkeypatch.setenv("V", "crash")
    for mode, *more in rounds(
        (["rewrite", "--dataio-prune"],), (["rewrite"], ["none", "--dataio-prune"])
    ):
        run(pytester, "-n", "2", f"--dataio-mode={mode}", *more, passed=3, failed=1)
    assert sorted(calls(pytester, "test_it/module")) == ALL[:4]


# -- misses --------------------------------------------------------------------------------------


def test_a_miss_fails_its_own_test_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
pytestmark = pytest.mark.dataio(scope="module")

@pytest.fixture
def after():
    yield
    try: get("/after" + V)
    except Exception: pass

def test_a(): get("/a" + V)
def test_b(): get("/b")
def test_c():
    try: get("/c" + V)
    except Exception: pass
    assert not V
def test_d(): get("/d")
def test_e(after): pass
def test_f(): get("/f")
"""
    write(pytester, text)
    run(pytester, passed=6)
    monkeypatch.setenv("V", "?v=2")
    printed = run(pytester, "--dataio-mode=none", passed=4, failed=2, errors=1).stdout.str()
    for told in (
        "FAILED test_it.py::test_a",
        "FAILED test_it.py::test_c",
        "ERROR test_it.py::test_e",
    ):
        assert told in printed
    assert printed.count("record it again: pytest test_it.py::test_a ") == 1
    assert printed.count("record it again: pytest test_it.py::test_c ") == 1


# -- names ---------------------------------------------------------------------------------------

NESTED = """
pytestmark = pytest.mark.dataio
class TestGet:
    class TestUser:
        def test_ok(self): get("/get")
class TestDelete:
    class TestUser:
        def test_ok(self): get("/delete")
class TestPlain:
    def test_ok(self): get("/plain")
@pytest.mark.dataio(scope="class")
class TestOut:
    class TestUser:
        def test_ok(self): get("/out")
"""


def test_classes_of_one_name_have_cassettes_of_their_own(pytester: pytest.Pytester) -> None:
    write(pytester, NESTED)
    run(pytester, "--dataio-mode=rewrite", passed=4)
    run(pytester, "--dataio-mode=none", passed=4)
    names = {path.stem for path in pytester.path.rglob("*.json")}
    assert names == {
        "TestGet.TestUser.test_ok", "TestDelete.TestUser.test_ok", "TestPlain.test_ok",
        "TestOut.TestUser",
    }  # fmt: skip


def test_a_cassette_of_the_old_name_is_found(pytester: pytest.Pytester, server: RawServer) -> None:
    write(pytester, NESTED)
    run(pytester, passed=4)
    folder = pytester.path / "cassettes/test_it"
    (folder / "TestGet.TestUser.test_ok.json").rename(folder / "TestUser.test_ok.json")
    (folder / "TestOut.TestUser.json").rename(folder / "TestUser.json")
    hits = server.hits
    run(pytester, "--dataio-prune", "-k", "not Delete", passed=3, deselected=1)
    run(pytester, passed=4)
    assert server.hits == hits
    run(pytester, "-k", "TestGet", "--dataio-mode=rewrite", passed=1, deselected=3)
    run(pytester, "--dataio-mode=none", "--dataio-prune", passed=4)
    assert not (folder / "TestUser.test_ok.json").exists()
    assert (folder / "TestUser.json").exists()


# -- pruning -------------------------------------------------------------------------------------

CLASS = """
@pytest.mark.dataio(scope="class")
class TestC:
    @pytest.mark.parametrize("i", range(6))
    def test_p(self, i): get(f"/c{i}")
"""


@pytest.mark.parametrize(
    "options", [["-k", "0 or 1"], ["test_it.py::TestC::test_p[0]"], ["-n", "2"]]
)
def test_pruning_leaves_what_other_tests_and_workers_use(
    pytester: pytest.Pytester, options: list[str]
) -> None:
    write(pytester, CLASS)
    run(pytester, passed=6)
    for mode in rounds(("none",), ("none", "rewrite")) if "-n" in options else ("none", "rewrite"):
        passed = {"-k": 2, "-n": 6}.get(options[0], 1)
        left = {"deselected": 4} if options[0] == "-k" else {}
        run(pytester, f"--dataio-mode={mode}", "--dataio-prune", *options, passed=passed, **left)
        assert len(calls(pytester, "test_it/TestC")) == 6
    run(pytester, "--dataio-mode=none", passed=6)


CODE = """
from mxm_dataio import use_cassette
MODE = os.environ.get("V") or "once"

@pytest.mark.dataio
def test_a(): get("/a")

@use_cassette(HERE / "cassettes/test_it/deco.json", mode=MODE)
def test_deco(): get("/deco")

def test_block():
    with use_cassette(HERE / "cassettes/test_it/block.json", mode=MODE): get("/block")
    with use_cassette(HERE / f"cassettes/{'root'}.json", mode=MODE): get("/root")

@use_cassette("cassettes/test_it", mode=MODE)
class TestDecorated:
    def test_it(self): get("/class")

def test_more_maker():
    with use_cassette(HERE / "cassettes/test_it/more.json", mode=MODE): get("/more")

@pytest.mark.dataio("more.json")
def test_more():
    get("/more")
    get("/own")
"""


def test_cassettes_that_code_names_are_some_test_s(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pytester, CODE)
    (pytester.path / "cassettes").mkdir()
    (pytester.path / "cassettes/package.json").write_text('{"data": "of another kind"}')
    run(pytester, passed=6)
    run(pytester, passed=6)
    before = sorted(pytester.path.rglob("*.json"))
    for mode in ("none", "off", "rewrite"):
        monkeypatch.setenv("V", mode)
        given = f"--dataio-mode={mode}"
        run(pytester, given, "--dataio-prune", passed=6)
        run(pytester, given, "--dataio-prune", "-k", "test_a", passed=1, deselected=5)
        if mode in rounds(("none",), ("none", "rewrite")):
            run(pytester, given, "--dataio-prune", "-n", "2", passed=6)
        assert sorted(pytester.path.rglob("*.json")) == before
    monkeypatch.setenv("V", "none")
    run(pytester, "--dataio-mode=none", passed=6)


def test_a_cassette_that_a_forked_child_replays_is_in_use(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.dataio
def test_a():
    if V:
        pid = os.fork()
        if not pid:
            get("/a")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    else:
        get("/a")
    get("/b")
"""
    write(pytester, text)
    run(pytester, passed=1)
    os.environ["V"] = "fork"
    try:
        run(pytester, "--dataio-mode=none", "--dataio-prune", passed=1)
    finally:
        del os.environ["V"]
    assert calls(pytester, "test_it/test_a") == ["/a", "/b"]


# -- folders -------------------------------------------------------------------------------------


def test_a_test_may_go_to_another_folder(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makeconftest(
        "import pytest\n@pytest.fixture(scope='session')\n"
        "def dataio_cassette_dir(): return 'kept/cassettes'\n"
    )
    text = f"""
from mxm_dataio import use_cassette
@pytest.mark.dataio
def test_a():
    os.chdir({str(tmp_path)!r})
    get("/a")
@pytest.mark.dataio("test_a.json")
def test_b(): get("/a"), get("/b")
def test_c(monkeypatch):
    monkeypatch.chdir(HERE)
    with use_cassette("kept/block"):
        os.chdir({str(tmp_path)!r})
        get("/c")
"""
    write(pytester, text)
    here = Path.cwd()
    try:
        for mode in ("once", "rewrite", "none"):
            os.chdir(pytester.path)
            run(pytester, f"--dataio-mode={mode}", passed=3)
    finally:
        os.chdir(here)
    found = sorted(
        path.relative_to(pytester.path).as_posix() for path in pytester.path.rglob("*.json")
    )
    assert found == ["kept/block.json", "kept/cassettes/test_a.json", "kept/cassettes/test_b.json"]
    assert list(tmp_path.rglob("*.json")) == []
