"""Child processes under ``run``: each has a session of its own, and its part of one order."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from mxm_dataio import Session, Status
from tests.support.running import Programs
from tests.support.servers import RawServer
from tests.support.waiting import eventually

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def both(programs: Programs, server: RawServer, *words: object, said: str = "") -> list[Session]:
    """Record a program, replay it without the server, and return the sessions, the root first.

    Args:
        said: what each line is to say that the replay says.
    """
    done = programs.run(*words, PATH=PATH)
    assert (done.status, done.said) == (0, ""), done.said
    found = programs.sessions()
    hits = server.hits
    again = programs.run(*words, options="--mode replay", PATH=PATH)
    assert (again.status, again.out) == (0, done.out)
    assert bool(again.said) == bool(said)
    assert all(said in line for line in again.said.splitlines())
    assert (again.summary["calls"], again.summary["missed"]) == (done.summary["calls"], 0)
    assert server.hits == hits
    assert len(programs.sessions()) == len(found)
    root, *children = found
    assert (root.id, root.parent_id) == (root.root_id, None)
    assert {child.root_id for child in children} <= {root.id}
    assert done.summary["sessions"] == len(found)
    assert len(programs.called()) == done.summary["calls"]
    return found


@pytest.mark.long
def test_children_by_subprocess(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, subprocess, sys, requests
        url = sys.argv[1]
        for command in ([sys.executable], ["python3"], ["python3", "-B"]):
            print(subprocess.run([*command, "get.py", url + "/a"], capture_output=True, check=True))
        print(requests.get(url + "/b").text, flush=True)
        subprocess.run("python3 get.py %s/c" % url, shell=True, check=True)
        os.system("python3 get.py %s/d" % url)
        os.waitpid(os.posix_spawnp("python3", ["python3", "get.py", url + "/e"], os.environ), 0)
        print(os.spawnlp(os.P_WAIT, "python3", "python3", "get.py", url + "/f"))
        """,
    )
    root, *children = both(programs, server, "prog.py", server.url)
    assert programs.called() == sorted("aaabcdef")
    assert {child.parent_id for child in children} == {root.id}
    assert {child.program for child in children} == {"get.py"}
    assert {child.status for child in children} == {Status.COMPLETE}
    assert len({child.pid for child in children}) == 7
    assert {child.source for child in children} == {"prog"}


@pytest.mark.parametrize(
    ("method", "loads"),
    [
        ("spawn", "at-the-top"),
        ("forkserver", "in-the-worker"),
        pytest.param("fork", "at-the-top", marks=pytest.mark.long),
        pytest.param("forkserver", "at-the-top", marks=pytest.mark.long),
        pytest.param("spawn", "in-the-worker", marks=pytest.mark.long),
        pytest.param("fork", "in-the-worker", marks=pytest.mark.long),
    ],
)
def test_a_pool_of_workers(method: str, loads: str, server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        f"""
        import multiprocessing, sys
        {"import requests" if loads == "at-the-top" else ""}
        def work(url):
            import requests
            with requests.Session() as session:
                return session.get(url).text
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            pool = context.Pool(2)
            print(pool.map(work, [sys.argv[1] + "/" + name for name in "abcdef"], chunksize=1))
            pool.close()
            pool.join()
        """,
    )
    root, *children = both(programs, server, "prog.py", server.url)
    assert programs.called() == list("abcdef")
    # A worker may have had nothing to do.
    assert 1 <= len(children) <= 2
    assert {child.status for child in children} == {Status.COMPLETE}
    assert {child.parent_id for child in children} == {root.id}


@pytest.mark.long
def test_workers_that_are_terminated(server: RawServer, programs: Programs) -> None:
    """As a pool's ``with`` does: they end amid their sessions, which are sealed none the less."""
    programs.write(
        "prog.py",
        """
        import multiprocessing, sys, requests
        def work(url):
            return requests.get(url).text
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(work, [sys.argv[1] + "/" + name for name in "abcdef"]))
        """,
    )
    root, *children = both(programs, server, "prog.py", server.url)
    assert programs.called() == list("abcdef")
    assert all(child.ended_at for child in children)
    # One may have seen that there is no more to do.
    assert {child.status for child in children if not child.ended_by_parent} <= {Status.COMPLETE}
    assert (root.status, root.exit_status) == (Status.COMPLETE, 0)


def test_forked_children(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, sys, requests
        url = sys.argv[1]
        print(requests.get(url + "/a").text, flush=True)
        for name, end in (("b", sys.exit), ("c", os._exit), ("", sys.exit)):
            child = os.fork()
            if not child:
                if name:
                    print(requests.get(f"{url}/{name}").text, flush=True)
                end(0)
            os.waitpid(child, 0)
        print(requests.get(url + "/d").text)
        """,
    )
    root, *children = both(programs, server, "prog.py", server.url)
    assert programs.called() == list("abcd")
    # One made no call, and has no session.
    assert [child.status for child in children] == [Status.COMPLETE, Status.INTERRUPTED]
    assert [child.parent_id for child in children] == [root.id, root.id]


@pytest.mark.long
def test_grandchildren(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import subprocess, sys, requests
        url, depth = sys.argv[1], int(sys.argv[2])
        print(depth, requests.get(url + "/n").text, flush=True)
        if depth:
            subprocess.run([sys.executable, "prog.py", url, str(depth - 1)], check=True)
        print(depth, requests.get(url + "/n").text, flush=True)
        """,
    )
    found = both(programs, server, "prog.py", server.url, 2)
    assert [one.parent_id for one in found] == [None, found[0].id, found[1].id]


def test_the_kth_call_gets_the_kth_answer_whichever_process_makes_it(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        """
        import subprocess, sys, requests
        url = sys.argv[1] + "/n"
        for _ in range(2):
            subprocess.run([sys.executable, "get.py", url, url], check=True)
            print(requests.get(url).text, flush=True)
        """,
    )
    both(programs, server, "prog.py", server.url)
    assert programs.called() == ["n"] * 6


@pytest.mark.long
def test_processes_at_once_on_one_root(server: RawServer, programs: Programs) -> None:
    """Recorded at once, and each answer served once."""
    programs.write(
        "prog.py",
        """
        import subprocess, sys
        url = sys.argv[1] + "/n"
        children = [
            subprocess.Popen([sys.executable, "get.py", *[url] * 20], stdout=-1) for _ in range(4)
        ]
        lines = [line for child in children for line in child.communicate()[0].split()]
        print(sorted(map(int, lines)) == list(range(1, 81)))
        """,
    )
    done = programs.run("prog.py", server.url)
    assert (done.status, done.out, done.said) == (0, "True\n", "")
    again = programs.run("prog.py", server.url, options="--mode replay")
    assert (again.status, again.out, again.said) == (0, "True\n", "")
    assert Counter(session.status for session in programs.sessions()) == {Status.COMPLETE: 5}
    assert server.hits == 80


# -- exec ----------------------------------------------------------------------------------------


def test_the_program_becomes_another(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, sys, requests
        url = sys.argv[1]
        print(requests.get(url + "/a").text, flush=True)
        os.execvp("python3", ["python3", "get.py", url + "/b"])
        """,
    )
    root, child = both(programs, server, "prog.py", server.url)
    assert (root.status, root.program, root.exit_status) == (Status.COMPLETE, "prog.py", 0)
    assert (child.status, child.program, child.parent_id) == (Status.COMPLETE, "get.py", root.id)
    assert child.pid == root.pid
    assert programs.called() == ["a", "b"]


@pytest.mark.long
def test_a_child_becomes_another(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py", "import subprocess, sys\nsubprocess.run([sys.executable, *sys.argv[1:]])"
    )
    programs.write(
        "becomes.py",
        """
        import os, sys, requests
        print(requests.get(sys.argv[1]).text, flush=True)
        half = requests.get(sys.argv[1], stream=True)
        half.raw.read(0)
        os.execvp(sys.argv[2], sys.argv[2:])
        """,
    )
    urls = [f"{server.url}/{name}" for name in "ab"]
    python = ["python3", "get.py", urls[1]]
    root, first, second = both(programs, server, "prog.py", "becomes.py", urls[0], *python)
    assert first.pid == second.pid
    assert (first.program, second.program) == ("becomes.py", "get.py")
    assert (first.parent_id, second.parent_id) == (root.id, first.id)
    assert (first.status, second.status) == (Status.COMPLETE, Status.COMPLETE)
    assert programs.called() == ["a", "a", "b"]
    # One that is no Python, and knows nothing of it.
    done = programs.run("prog.py", "becomes.py", urls[0], "echo", "echoed", PATH=PATH)
    assert (done.out, done.said) == ("a\nechoed\n", "")
    *_, child = programs.sessions()
    assert (child.program, child.status) == ("becomes.py", Status.COMPLETE)
    assert child.ended_at is not None


@pytest.mark.long
def test_a_child_that_lost_something_and_becomes_another_is_incomplete(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py", "import subprocess, sys\nsubprocess.run([sys.executable, *sys.argv[1:]])"
    )
    programs.write(
        "becomes.py",
        """
        import glob, os, sys, requests
        requests.get(sys.argv[1])
        import mxm_dataio.storage.journal
        def full(*_):
            raise OSError(28, "No space left on device")
        mxm_dataio.storage.journal.os.write = full
        requests.get(sys.argv[1])
        os.execvp("echo", ["echo", "echoed"])
        """,
    )
    done = programs.run("prog.py", "becomes.py", f"{server.url}/a")
    assert done.out == "echoed\n"
    *_, child = programs.sessions()
    assert (child.status, programs.called()) == (Status.INCOMPLETE, ["a"])
    assert "No space left" in child.warnings[0]


@pytest.mark.long
def test_one_that_fails_to_become_another_goes_on(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, sys, requests
        url = sys.argv[1]
        print(requests.get(url + "/a").text)
        # In no folder of PATH, and one that is there and none.
        for command in (["nosuch-command"], ["./text"]):
            try:
                os.execvp(command[0], command)
            except OSError as exc:
                print(exc.errno)
        print(requests.get(url + "/b").text)
        if len(sys.argv) == 2:
            import subprocess
            subprocess.run([sys.executable, "prog.py", url, "child"], check=True)
        """,
    )
    programs.write("text", "\\x7fELF no program")
    (programs.folder / "text").chmod(0o755)
    said = "coverage: replay started ./text: what a child process fetches can't be refused"
    found = both(programs, server, "prog.py", server.url, said=said)
    assert [one.status for one in found] == [Status.COMPLETE] * 2
    assert programs.called() == ["a", "a", "b", "b"]


# -- commands ------------------------------------------------------------------------------------


def test_a_command_whose_pythons_are_children(server: RawServer, programs: Programs) -> None:
    url = server.url
    script = f"python3 get.py {url}/a; echo between; python3 -m get {url}/b; python3 -c 'print(1)'"
    root, *children = both(programs, server, "--", "sh", "-c", script)
    assert (root.program, root.source, root.exit_status) == ("sh", "sh", 0)
    assert [child.program for child in children] == ["get.py", "-m get"]
    assert {child.parent_id for child in children} == {root.id}
    done = programs.run("--", "sh", "-c", f"python3 get.py {url}/c; kill -TERM $$", PATH=PATH)
    assert done.status == -15
    *_, root, _ = programs.sessions()
    assert (root.exit_status, root.status) == (-15, Status.INTERRUPTED)


@pytest.mark.long
def test_a_command_in_a_shell_that_the_program_replaces(
    server: RawServer, programs: Programs
) -> None:
    script = f"exec python3 get.py {server.url}/a"
    (root,) = both(programs, server, "--", "sh", "-c", script)
    assert root.status is Status.COMPLETE


@pytest.mark.long
def test_a_run_within_a_run_is_its_own(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import subprocess, sys
        command = [sys.executable, "-m", "mxm_dataio.run", "-q", "--root", "inner", "get.py"]
        subprocess.run([*command, sys.argv[1]], check=True)
        """,
    )
    done = programs.run("prog.py", f"{server.url}/a")
    assert (done.status, done.out, done.said) == (0, "a\n", "")
    assert programs.called() == []
    programs.root = programs.folder / "inner"
    (session,) = programs.sessions()
    assert (session.parent_id, session.root_id) == (None, session.id)
    assert programs.called() == ["a"]


# -- children that can't be captured -------------------------------------------------------------


@pytest.mark.long
def test_a_child_without_the_environment_is_not_captured_and_not_harmed(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        """
        import subprocess, sys
        subprocess.run([sys.executable, "get.py", sys.argv[1]], env={}, check=True)
        subprocess.run([sys.executable, "-E", "get.py", sys.argv[1]], check=True)
        """,
    )
    done = programs.run("prog.py", f"{server.url}/a")
    assert (done.status, done.out, done.said) == (0, "a\na\n", "")
    # By -E an interpreter ignores its own variables alone.
    assert programs.called() == ["a"]


@pytest.mark.long
def test_a_python_of_another_environment_is_not_harmed(
    server: RawServer, programs: Programs
) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    code = "import sys; print('mxm_dataio' in sys.modules)"
    done = programs.plainly("-c", f"import subprocess\nsubprocess.run([{base!r}, '-c', {code!r}])")
    if done.stdout != "False\n":
        pytest.skip("the base interpreter has this package installed itself")
    programs.write(
        "prog.py",
        f"""
        import subprocess
        print(subprocess.run([{base!r}, "-c", {code!r}], capture_output=True))
        """,
    )
    plain = programs.plainly("prog.py")
    done = programs.run("prog.py")
    assert (done.status, done.out, done.said) == (0, plain.stdout, "")


def test_a_child_that_fails_to_begin_marks_the_run(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import os, subprocess, sys
        os.environ["MXM_DATAIO_NONSENSE"] = "1"
        subprocess.run([sys.executable, "get.py", sys.argv[1]], check=True)
        """,
    )
    done = programs.run("prog.py", f"{server.url}/a")
    assert (done.status, done.out) == (0, "a\n")
    assert "this process is not captured: unknown setting 'nonsense'" in done.said
    assert done.summary["status"] == "incomplete"
    assert "a process was not captured: unknown setting" in done.summary["warnings"][0]
    (session,) = programs.sessions()
    assert session.status is Status.INCOMPLETE


@pytest.mark.long
def test_a_process_that_outlives_the_run_goes_on_by_itself(
    server: RawServer, programs: Programs
) -> None:
    """A daemon: it begins when the run's folder is gone."""
    programs.write(
        "prog.py",
        """
        import subprocess, sys, requests
        subprocess.Popen([sys.executable, "late.py", sys.argv[1]], start_new_session=True,
                         stdout=-3, stderr=open("said", "w"))
        print(requests.get(sys.argv[1]).text)
        """,
    )

    programs.write(
        "late.py",
        """
        import os, sys, time
        while os.path.exists(os.environ["MXM_DATAIO_RUN"]):
            time.sleep(0.05)
        import requests
        with open("late", "w") as file:
            file.write(requests.get(sys.argv[1]).text)
        """,
    )

    def late() -> str:
        path = programs.folder / "late"
        assert eventually(lambda: path.exists() and path.read_text())
        got = path.read_text()
        path.unlink()
        return got

    for mode in ("record", "replay"):
        done = programs.run("prog.py", f"{server.url}/n", options=f"--mode {mode}")
        assert (done.status, done.out) == (0, "1\n")
        # In replay it counts from the first on again.
        assert late() == ("2" if mode == "record" else "1")
        assert (programs.folder / "said").read_text() == ""
    assert server.hits == 2


# -- where the package is on PYTHONPATH alone ----------------------------------------------------


@pytest.fixture
def carried(programs: Programs) -> str:
    """A PYTHONPATH for a Python that has neither this package nor requests installed."""
    import mxm_dataio

    shutil.copytree(Path(str(mxm_dataio.__file__)).parent, programs.folder / "away" / "mxm_dataio")
    site = Path(__import__("requests").__file__).parent.parent
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer", "chardet"):
        if (site / name).exists():
            (programs.folder / "away" / name).symlink_to(site / name)
    return str(programs.folder / "away")


@pytest.mark.long
def test_on_pythonpath_alone(server: RawServer, programs: Programs, carried: str) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    programs.write("custom/sitecustomize.py", "import sys; sys.customized = True")
    programs.write(
        "prog.py",
        """
        import os, subprocess, sys, requests
        url = sys.argv[1]
        print([p for p in sys.path if p.endswith("/site")], getattr(sys, "customized", None))
        print("sitecustomize" in sys.modules, sys.modules.get("sitecustomize"))
        print(requests.get(url + "/a").text, flush=True)
        if len(sys.argv) == 2:
            subprocess.run([sys.executable, "prog.py", url, "child"], check=True)
        """,
    )
    import subprocess

    for path in (carried, os.pathsep.join([carried, str(programs.folder / "custom")])):
        environment = programs.environment(PYTHONPATH=path)
        outs = []
        for mode in ("", "record", "replay"):
            run = [*programs.command(), "--mode", mode] if mode else []
            done = subprocess.run(
                [base, *run, "prog.py", server.url], cwd=programs.folder, env=environment,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            outs.append(done.stdout)
        assert outs[0] == outs[1] == outs[2]
        assert programs.called() == ["a", "a"]
        _, child = programs.sessions()
        assert child.status is Status.COMPLETE
        shutil.rmtree(programs.root)
