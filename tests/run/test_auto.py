"""``MXM_DATAIO_AUTO``: a process that nobody starts for this has a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import urllib3

from mxm_dataio import Status
from tests.support.running import GET, Programs
from tests.support.servers import RawServer


def auto(programs: Programs, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program with capture switched on; upper-case names are settings."""
    settings = {f"MXM_DATAIO_{name}": value for name, value in more.items() if name.isupper()}
    environment = {"MXM_DATAIO_AUTO": "1", "MXM_DATAIO_ROOT": str(programs.root), **settings}
    return programs.plainly(*words, **environment)


def test_a_process_is_recorded_and_replayed(server: RawServer, programs: Programs) -> None:
    url = f"{server.url}/n"
    done = auto(programs, "get.py", url, url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n2\n", "")
    (session,) = programs.sessions()
    assert (session.source, session.program) == ("get", "get.py")
    assert (session.status, session.parent_id) == (Status.COMPLETE, None)
    # Nobody sees how it ends.
    assert session.exit_status is None
    done = auto(programs, "get.py", url, url, MODE="replay")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n2\n", "")
    assert server.hits == 2


@pytest.mark.long
def test_a_process_without_calls_has_no_session(programs: Programs) -> None:
    done = auto(programs, "-c", "import json, sqlite3, threading; print('x')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
    assert not programs.root.exists()


@pytest.mark.parametrize("word", ["", "0", "no", "Off", "false"])
@pytest.mark.long
def test_it_can_be_left_off(word: str, server: RawServer, programs: Programs) -> None:
    done = auto(programs, "get.py", f"{server.url}/a", AUTO=word)
    assert (done.stdout, done.stderr) == ("a\n", "")
    assert not programs.root.exists()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"AUTO": "yess"}, "MXM_DATAIO_AUTO='yess': set it to 1, or leave it out"),
        ({"AUTO": '{"version": 2}'}, "another release's"),
        ({"ROT": "x"}, "unknown setting 'rot' in the environment; did you mean 'root'?"),
        pytest.param({"AUTO": "{not json"}, "holds no link", marks=pytest.mark.long),
        pytest.param({"AUTO": '{"version": 1}'}, "holds no link", marks=pytest.mark.long),
        pytest.param({"MODE": "recrod"}, "did you mean 'record'?", marks=pytest.mark.long),
        pytest.param({"CONFIG": "nosuch.toml"}, "can't be read", marks=pytest.mark.long),
        pytest.param(
            {"AS_OF": "yesterday"}, "neither a date nor an instant", marks=pytest.mark.long
        ),
    ],
)
def test_what_is_wrong_is_told_and_breaks_nothing(
    settings: dict[str, str], why: str, server: RawServer, programs: Programs
) -> None:
    done = auto(programs, "get.py", f"{server.url}/a", **settings)
    assert (done.returncode, done.stdout) == (0, "a\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("mxm-dataio: warning: this process is not captured: ")
    assert why in line
    assert not programs.root.exists()


def test_a_replay_that_can_not_be_had_ends_the_process(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py", "import requests\nprint('before')\nrequests.Session()\nprint('never')"
    )
    done = auto(programs, "prog.py", MODE="replay")
    assert (done.returncode, done.stdout) == (2, "before\n")
    assert done.stderr.startswith("mxm-dataio: error: nothing is recorded under")
    assert done.stderr.endswith("; this process is to replay, and ends before it reaches the "
                                "network\n")  # fmt: skip
    done = auto(programs, "get.py", f"{server.url}/a", MODE="none", AUTO="yess")
    assert (done.returncode, done.stdout) == (2, "")
    assert server.hits == 0


@pytest.mark.long
def test_a_miss_that_was_swallowed_is_told_at_the_end(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        "import sys, requests\ntry:\n    requests.get(sys.argv[1])\nexcept Exception: print('on')",
    )
    auto(programs, "get.py", f"{server.url}/a", SOURCE="prog")
    done = auto(programs, "prog.py", f"{server.url}/b", MODE="replay")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "error: 1 call was not in the recording and the program went on" in done.stderr


@pytest.mark.long
def test_arguments_by_variables(server: RawServer, programs: Programs) -> None:
    auto(programs, "get.py", f"{server.url}/n", SOURCE="prices", AS_OF="2025-10-07")
    auto(programs, "get.py", f"{server.url}/n", SOURCE="prices", AS_OF="2025-10-08")
    first, second = programs.sessions()
    assert (first.source, first.as_of, second.as_of) == ("prices", "2025-10-07", "2025-10-08")
    for more, out in (
        ({"AS_OF": "2025-10-07"}, "1\n"),
        ({}, "2\n"),
        ({"SESSION": first.id}, "1\n"),
    ):
        done = auto(programs, "get.py", f"{server.url}/n", MODE="replay", SOURCE="prices", **more)
        assert (done.stdout, done.stderr) == (out, "")


@pytest.mark.long
def test_settings_are_relative_to_where_the_process_started(
    server: RawServer, programs: Programs
) -> None:
    programs.write("settings.json", '{"root": "there", "ignore_params": ["nonce"]}')
    programs.write(
        "prog.py",
        """
        import os, subprocess, sys
        os.mkdir("else")
        os.chdir("else")
        import requests
        print(requests.get(sys.argv[1] + "/a?nonce=1").text, flush=True)
        subprocess.run([sys.executable, "../get.py", sys.argv[1] + "/b?nonce=2"], check=True)
        """,
    )
    done = programs.plainly(
        "prog.py", server.url, MXM_DATAIO_AUTO="1", MXM_DATAIO_CONFIG="settings.json"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")
    programs.root = programs.folder / "there"
    assert [dict(request.params) for request in programs.requests()] == [{}, {}]
    assert not (programs.folder / "else" / "there").exists()


def test_children_are_its_own(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import multiprocessing, os, subprocess, sys
        import requests
        def get(url):
            return requests.get(url).text
        if __name__ == "__main__":
            url = sys.argv[1]
            print(get(url + "/n"), flush=True)
            subprocess.run([sys.executable, "get.py", url + "/n"], check=True)
            for method in ("spawn", "fork"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(pool.apply(get, [url + "/n"]), flush=True)
                    pool.close()
                    pool.join()
            os.execv(sys.executable, [sys.executable, "get.py", url + "/n"])
        """,
    )
    done = auto(programs, "prog.py", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n2\n3\n4\n5\n", "")
    root, *children = programs.sessions()
    assert {child.parent_id for child in children} == {root.id}
    assert {one.status for one in (root, *children)} == {Status.COMPLETE}
    # The last has taken the first one's place, and ended it.
    assert children[-1].pid == root.pid
    assert root.ended_at is not None
    done = auto(programs, "prog.py", server.url, MODE="replay")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n2\n3\n4\n5\n", "")
    assert server.hits == 5


@pytest.mark.long
def test_a_replay_leaves_no_folder(server: RawServer, programs: Programs) -> None:
    away = programs.folder / "tmp"
    away.mkdir()
    auto(programs, "get.py", f"{server.url}/a")
    environment = {"MXM_DATAIO_AUTO": "1", "MXM_DATAIO_ROOT": str(programs.root)}
    done = programs.plainly(
        "get.py", f"{server.url}/a", **environment, MXM_DATAIO_MODE="replay", TMPDIR=str(away)
    )
    assert (done.stdout, done.stderr) == ("a\n", "")
    assert list(away.iterdir()) == []


@pytest.mark.long
def test_one_that_is_killed_is_interrupted_and_its_calls_are_there(
    server: RawServer, programs: Programs
) -> None:
    programs.write("prog.py", GET + "    import os; os.kill(os.getpid(), 9)")
    done = auto(programs, "prog.py", f"{server.url}/a")
    assert (done.returncode, done.stdout) == (-9, "a\n")
    (session,) = programs.sessions()
    assert (session.status, programs.called()) == (Status.INTERRUPTED, ["a"])


@pytest.mark.long
def test_an_unhandled_error_fails_the_session(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", GET + "    1 / 0")
    done = auto(programs, "prog.py", f"{server.url}/a")
    assert done.returncode == 1
    (session,) = programs.sessions()
    assert session.status is Status.FAILED


@pytest.mark.skipif(
    urllib3.__version__.startswith("1."),
    reason="threads that load urllib3 1.26.0 beside http.client wait for each other for ever, by "
    "the importer of its own copy of six, captured or not",
)
def test_nothing_is_lost_where_threads_load_at_once(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import sys, threading
        url = sys.argv[1]
        gate = threading.Barrier(9)
        def work(n):
            gate.wait()
            if n % 3 == 1:
                import urllib3
                got = urllib3.PoolManager().request("GET", url + "/a").data
            elif n % 3 == 2:
                import urllib.request
                with urllib.request.urlopen(url + "/a") as answer:
                    got = answer.read()
            else:
                import requests
                got = requests.get(url + "/a").content
            assert got == b"a"
        threads = [threading.Thread(target=work, args=(n,)) for n in range(9)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
    )
    done = auto(programs, "prog.py", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert programs.called() == ["a"] * 9


@pytest.mark.long
def test_a_fork_before_the_first_call(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, sys
        children = []
        for name in "abc":
            child = os.fork()
            if not child:
                import requests
                print(requests.get(f"{sys.argv[1]}/{name}").text, flush=True)
                sys.exit()
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        """,
    )
    done = auto(programs, "prog.py", server.url)
    assert (sorted(done.stdout.split()), done.stderr) == (["a", "b", "c"], "")
    found = programs.sessions()
    assert [one.parent_id for one in found] == [None] * 3
    assert {one.status for one in found} == {Status.COMPLETE}


@pytest.mark.long
def test_what_was_loaded_before_the_program_is_seen(server: RawServer, programs: Programs) -> None:
    """Another tool's .pth file may have loaded requests before ours was read."""
    programs.write("early/sitecustomize.py", "import requests")
    code = "import sys, requests; print(requests.get(sys.argv[1]).text)"
    done = programs.plainly(
        "-c", code, f"{server.url}/a", PYTHONPATH=str(programs.folder / "early"),
        MXM_DATAIO_AUTO="1", MXM_DATAIO_ROOT=str(programs.root),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("a\n", "")
    assert programs.called() == ["a"]


@pytest.mark.long
def test_warnings_of_the_programs_own_are_left_alone(server: RawServer, programs: Programs) -> None:
    """A failure of ours is no warning of Python's: the program may have made these errors."""
    programs.root.mkdir()
    (programs.root / "dataio.sqlite").write_bytes(b"x" * 5000)
    for flags in ([], ["-W", "error"], ["-X", "dev"]):
        quiet = ["-W", "ignore:::urllib3", "-W", "ignore::ImportWarning"] if flags else []
        done = auto(programs, *flags, *quiet, "get.py", f"{server.url}/a")
        assert (done.returncode, done.stdout) == (0, "a\n")
        (line,) = done.stderr.splitlines()
        assert line.startswith("mxm-dataio: warning: this process is not captured: ")


def test_the_line_in_site_packages_does_nothing_unasked(programs: Programs) -> None:
    code = "import sys; print([n for n in sys.modules if n.startswith('mxm')], len(sys.meta_path))"
    done = programs.plainly("-c", code)
    count = len([one for one in sys.meta_path if type(one).__name__ != "AssertionRewritingHook"])
    assert done.stdout.startswith("[] ")
    assert int(done.stdout.split()[-1]) <= count
    assert os.environ.get("MXM_DATAIO_AUTO") is None
