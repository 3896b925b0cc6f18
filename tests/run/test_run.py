"""``run``: what it records of a program and tells of it, how it ends, and where it refuses."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import Status
from mxm_dataio.integrity.proofs import Head
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.effort import crossed
from tests.support.running import GET, Programs
from tests.support.servers import RawServer

# Each run is three interpreters; these tell of one thing each.
LONG = pytest.mark.long


# -- recorded and replayed -----------------------------------------------------------------------


def test_a_program_is_recorded_and_replayed(server: RawServer, programs: Programs) -> None:
    plain = programs.plainly("get.py", f"{server.url}/a", f"{server.url}/b")
    done = programs.run("get.py", f"{server.url}/a", f"{server.url}/b")
    assert (done.status, done.out, done.said) == (0, plain.stdout, "")
    (session,) = programs.sessions()
    assert (session.source, session.program, session.exit_status) == ("get", "get.py", 0)
    assert (session.status, session.parent_id, session.root_id) == (
        Status.COMPLETE, None, session.id,
    )  # fmt: skip
    assert session.pid != os.getpid()
    assert programs.called() == ["a", "b"]
    told = done.summary
    assert (told["id"], told["calls"], told["sessions"]) == (session.id, 2, 1)
    assert (told["status"], told["exit_status"], told["warnings"]) == ("complete", 0, [])
    assert Head.parse(told["head"]).size == 1
    hits = server.hits
    again = programs.run("get.py", f"{server.url}/a", f"{server.url}/b", options="--mode replay")
    assert (again.status, again.out, again.said) == (0, plain.stdout, "")
    assert (again.summary["calls"], again.summary["missed"]) == (2, 0)
    assert server.hits == hits
    assert len(programs.sessions()) == 1


@pytest.mark.long
def test_the_summary_in_words(server: RawServer, programs: Programs) -> None:
    words = ["-m", "mxm_dataio.run", "--root", programs.root, "get.py", f"{server.url}/a"]
    done = programs.plainly(*words)
    (session,) = programs.sessions()
    first, head = done.stderr.splitlines()
    assert first == (
        f"mxm-dataio: session {session.id} is complete, exit 0: 1 call, "
        f"source 'get' under {programs.root}"
    )
    assert Head.parse(head).size == 1
    words.insert(2, "--quiet")
    assert programs.plainly(*words).stderr == ""
    words[2:3] = ["--mode", "replay"]
    assert programs.plainly(*words).stderr == (
        f"mxm-dataio: replayed 1 call, missed 0, exit 0, source 'get' under {programs.root}\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("nosuch.py",),
        ("no/such.py", "--an", "argument"),
        pytest.param(("folder",), marks=LONG),
        ("-m", "nosuch"),
        pytest.param(("-mnosuch",), marks=LONG),
        pytest.param(("-m", "json.nosuch"), marks=LONG),
        pytest.param(("-m", "json.tool.nosuch"), marks=LONG),
        ("-m", "xml"),
    ],
)
def test_a_program_that_is_not_there_fails_as_without_and_leaves_nothing(
    words: tuple[str, ...], programs: Programs
) -> None:
    (programs.folder / "folder").mkdir()
    plain = programs.plainly(*words)
    assert plain.returncode
    for options in (["--json"], [], ["--source", "s"]):
        root = ["--root", programs.root]
        done = programs.plainly("-m", "mxm_dataio.run", *root, *options, *words)
        assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
        assert done.stderr == plain.stderr
    assert not programs.root.exists()


def test_a_command_that_is_not_there_leaves_nothing(programs: Programs) -> None:
    done = programs.run("--", "nosuch-command")
    assert (done.status, done.said) == (
        127, "mxm-dataio: error: nosuch-command: No such file or directory\n",
    )  # fmt: skip
    assert not programs.root.exists()


def test_a_module_that_only_its_package_can_find_is_recorded(
    server: RawServer, programs: Programs
) -> None:
    programs.write("odd/__init__.py", "__path__.append(__path__[0] + '/../elsewhere')")
    programs.write(
        "elsewhere/prog.py", "import sys, requests; requests.get(sys.argv[1]); sys.exit(3)"
    )
    done = programs.run("-m", "odd.prog", f"{server.url}/a")
    assert (done.status, done.said) == (3, "")
    (session,) = programs.sessions()
    assert (session.status, session.exit_status, session.program) == (
        Status.COMPLETE, 3, "-m odd.prog",
    )  # fmt: skip
    assert programs.called() == ["a"]


@pytest.mark.parametrize(
    ("end", "exit_status", "status"),
    [
        ("sys.exit(3)", 3, Status.COMPLETE),
        ("os.kill(os.getpid(), 9)", -9, Status.INTERRUPTED),
        pytest.param("pass", 0, Status.COMPLETE, marks=LONG),
        pytest.param("1 / 0", 1, Status.FAILED, marks=LONG),
        pytest.param("raise KeyboardInterrupt", -2, Status.INTERRUPTED, marks=LONG),
        pytest.param("os._exit(4)", 4, Status.INTERRUPTED, marks=LONG),
        pytest.param("os.kill(os.getpid(), 15)", -15, Status.INTERRUPTED, marks=LONG),
    ],
)
def test_how_a_program_ends_is_recorded_and_passed_on(
    end: str, exit_status: int, status: Status, server: RawServer, programs: Programs
) -> None:
    programs.write("prog.py", f"import os, sys, requests\nrequests.get(sys.argv[1])\n{end}\n")
    done = programs.run("prog.py", f"{server.url}/a")
    assert done.status == exit_status
    (session,) = programs.sessions()
    assert (session.status, session.exit_status) == (status, exit_status)
    # Whatever became of the process, its session is ended and sealed, and its call is there.
    assert session.ended_at is not None
    assert done.summary["head"].split()[2] == "1"
    assert programs.called() == ["a"]


@pytest.mark.long
def test_a_program_without_calls_has_a_session(programs: Programs) -> None:
    programs.write("prog.py", "import sys; sys.exit(5)")
    done = programs.run("prog.py")
    (session,) = programs.sessions()
    assert (done.status, done.summary["calls"]) == (5, 0)
    assert (session.status, session.exit_status) == (Status.COMPLETE, 5)


@pytest.mark.long
def test_calls_of_threads_and_at_exit_are_seen(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import atexit, sys, threading
        url = sys.argv[1]
        def get(name):
            import requests
            print(requests.get(f"{url}/{name}").text)
        # Registered before anything of requests is loaded.
        atexit.register(get, "a")
        def late():
            threading.main_thread().join()
            get("b")
        threading.Thread(target=late).start()
        get("c")
        """,
    )
    done = programs.run("prog.py", server.url)
    assert (done.status, done.out, done.said) == (0, "c\nb\na\n", "")
    assert programs.called() == ["a", "b", "c"]
    hits = server.hits
    again = programs.run("prog.py", server.url, options="--mode replay")
    assert (again.out, again.summary["missed"]) == (done.out, 0)
    assert server.hits == hits


@pytest.mark.long
def test_modules_packages_code_and_commands(server: RawServer, programs: Programs) -> None:
    programs.write("pack/__init__.py", "")
    programs.write("pack/__main__.py", GET)
    url = f"{server.url}/a"
    code = "import sys, urllib3; print(urllib3.PoolManager().request('GET', sys.argv[1]).data)"
    cases: list[tuple[tuple[object, ...], str, str]] = [
        (("-m", "pack", url), "-m pack", "pack"),
        (("-c", code, url), "-c", "c"),
        (("./get.py", url), "./get.py", "get"),
        (("pack", url), "pack", "pack"),
        (("pack/__main__.py", url), "pack/__main__.py", "pack"),
        (("--", sys.executable, "get.py", url), sys.executable, Path(sys.executable).stem),
    ]
    for words, program, source in cases:
        assert programs.run(*words).status == 0
        session = programs.sessions()[-1]
        assert (session.program, session.source) == (program, source)
        assert session.parent_id is None
    assert len(programs.sessions()) == len(cases)
    assert programs.called() == ["a"] * len(cases)


@pytest.mark.long
def test_options_reach_the_session(server: RawServer, programs: Programs) -> None:
    url = f"{server.url}/b"
    options = "--source prices --as-of 2025-10-07 --durability power --max-body 1000 -q"
    done = programs.run("get.py", url, options=options)
    assert (done.status, done.said) == (0, "")
    (session,) = programs.sessions()
    assert (session.source, session.as_of) == ("prices", "2025-10-07")
    assert programs.requests()[0].as_of == "2025-10-07"
    # What is not after its date, of its own source.
    for options, status in (
        ("--source prices --as-of 2025-10-07", 0),
        ("--source prices --as-of 2025-10-06", 1),
        ("--source other", 1),
    ):
        again = programs.run("get.py", url, options=f"--mode replay {options}")
        assert (again.status, again.summary["missed"]) == (status, status)
    # A session by the beginning of its id, which says the mode and the source.
    again = programs.run("get.py", url, options=f"--session {session.id[:-1]}")
    assert (again.status, again.summary["mode"], again.summary["source"]) == (0, "replay", "prices")
    assert server.hits == 1


@pytest.mark.long
def test_settings_of_the_environment_and_of_a_file(server: RawServer, programs: Programs) -> None:
    programs.write("settings.json", '{"root": "from-file", "ignore_params": ["nonce"]}')
    words = ["-m", "mxm_dataio.run", "--json", "get.py", f"{server.url}/a?nonce=1"]
    where = {"MXM_DATAIO_CONFIG": "settings.json", "MXM_DATAIO_SOURCE": "named"}
    assert programs.plainly(*words, **where).returncode == 0
    programs.root = programs.folder / "from-file"
    (request,) = programs.requests()
    assert (request.source, dict(request.params)) == ("named", {})
    words[-1] = f"{server.url}/a?nonce=2"
    done = programs.plainly(*words, **where, MXM_DATAIO_MODE="replay")
    assert (done.returncode, done.stdout) == (0, "a\n")
    assert server.hits == 1


@pytest.mark.long
def test_sources_by_rule(server: RawServer, programs: Programs) -> None:
    port = server.url.rpartition(":")[2]
    rules = f"127.0.0.1:{port}=here, *.example.com=there"
    programs.run("get.py", f"{server.url}/a", MXM_DATAIO_SOURCES=rules)
    assert [request.source for request in programs.requests()] == ["here"]
    again = programs.run(
        "get.py", f"{server.url}/a", options="--mode replay", MXM_DATAIO_SOURCES=rules
    )
    assert (again.status, server.hits) == (0, 1)


@pytest.mark.long
def test_modes_auto_once_and_off(server: RawServer, programs: Programs) -> None:
    url = f"{server.url}/n"
    assert programs.run("get.py", url, options="--mode once").out == "1\n"
    assert programs.run("get.py", url, options="--mode once").out == "1\n"
    assert programs.run("get.py", url, url, options="--mode auto").out == "1\n1\n"
    assert server.hits == 1
    done = programs.run("get.py", url, options="--mode off")
    assert (done.status, done.out, done.said) == (0, "2\n", "")
    assert [session.mode for session in programs.sessions()] == ["record", "auto"]


BESIDE = """
    import socket, subprocess, sys, httpx, requests
    url, port = sys.argv[1], int(sys.argv[1].rpartition(":")[2])
    print(requests.get(url + "/a").text)
    try:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"GET /b HTTP/1.0\\r\\n\\r\\n")
            while raw.recv(1000):
                pass
        print(httpx.get(url + "/c").text)
    except Exception as exc:
        print(type(exc).__name__)
    print(subprocess.run(["echo", "echoed"], capture_output=True, text=True).stdout)
    """


def test_what_went_past_is_told(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", BESIDE)
    done = programs.run("prog.py", server.url)
    assert (done.status, done.out) == (0, "a\nc\nechoed\n\n")
    target = server.url.partition("//")[2]
    seen = [(one["kind"], one["name"], one["caller"]) for one in done.summary["coverage"]]
    assert seen == [
        ("connection", target, "__main__"),
        ("connection", target, "httpx"),
        ("process", "echo", "__main__"),
    ]
    (session,) = programs.sessions()
    assert session.coverage is not None
    assert [(one.kind, one.name, one.caller) for one in session.coverage] == seen
    words = ["-m", "mxm_dataio.run", "--require-full-coverage", "--root", programs.root, "prog.py"]
    in_words = programs.plainly(*words, server.url)
    assert (in_words.returncode, in_words.stdout) == (1, done.out)
    lines = in_words.stderr.splitlines()
    assert lines[0] == "mxm-dataio: error: not all was captured: 3 things went past"
    assert [line for line in lines if ": not captured: " in line] == [
        f"mxm-dataio: not captured: connection {target} by __main__",
        f"mxm-dataio: not captured: connection {target} by httpx",
        "mxm-dataio: not captured: process echo by __main__",
    ]


@pytest.mark.long
def test_what_goes_past_is_refused_in_replay(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", BESIDE)
    programs.run("prog.py", server.url)
    hits = server.hits
    done = programs.run("prog.py", server.url, options="--mode replay")
    assert (done.status, done.out) == (1, "a\nReplayMissError\nechoed\n\n")
    assert done.summary["missed"] == 1
    assert "was refused: replay is offline" in done.summary["misses"][0]
    assert server.hits == hits
    options = "--mode replay --allow-host loopback"
    done = programs.run("prog.py", server.url, options=options)
    assert (done.status, done.out) == (0, "a\nc\nechoed\n\n")
    assert server.hits == hits + 2


# -- replay --------------------------------------------------------------------------------------


def test_a_miss_that_was_swallowed_fails_the_run(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import sys, requests
        for url in sys.argv[1:]:
            try:
                print(requests.get(url).text)
            except Exception:
                print("went on")
        """,
    )
    programs.run("prog.py", f"{server.url}/a")
    words = [*programs.command("--mode replay --quiet"), "prog.py", f"{server.url}/a"]
    words.remove("--json")
    done = programs.plainly(*words, f"{server.url}/b", f"{server.url}/c")
    assert (done.returncode, done.stdout) == (1, "a\nwent on\nwent on\n")
    first, second, *_ = done.stderr.splitlines()
    assert first == "mxm-dataio: error: 2 calls were not in the recording; the first:"
    assert second.startswith(f"GET {server.url}/b is not recorded in source 'prog'")
    assert server.hits == 1


@pytest.mark.long
def test_a_failing_program_keeps_its_status_in_a_replay_with_misses(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        "import sys, requests\ntry:\n    requests.get(sys.argv[1])\nexcept Exception:\n"
        "    sys.exit(42)",
    )
    programs.run("get.py", f"{server.url}/a", options="--source prog")
    done = programs.run("prog.py", f"{server.url}/b", options="--mode replay")
    assert (done.status, done.summary["missed"]) == (42, 1)
    words = programs.command("--mode replay --quiet")
    words.remove("--json")
    plain = programs.plainly(*words, "prog.py", f"{server.url}/b")
    assert (plain.returncode, plain.stderr) == (
        42, "mxm-dataio: error: 1 call was not in the recording\n",
    )  # fmt: skip


@pytest.mark.long
def test_a_replay_reaches_no_network_even_behind_its_end(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        """
        import sys, urllib3
        class Late:
            def __init__(self, pool):
                self.pool = pool
            def __del__(self):
                try:
                    self.pool.urlopen("GET", "/a")
                except Exception as exc:
                    print(type(exc).__name__)
        late = Late(urllib3.connection_from_url(sys.argv[1]))
        late.pool.urlopen("GET", "/b")
        """,
    )
    # Of a recording it is no part any more; so late, urllib3 itself reads no answer.
    programs.run("prog.py", server.url)
    assert programs.called() == ["b"]
    assert [request.path for request in server.requests] == ["/b", "/a"]
    done = programs.run("prog.py", server.url, options="--mode replay")
    assert done.out == "ReplayMissError\n"
    assert server.hits == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--mode replay", "nothing is recorded under"),
        ("--mode replai", "did you mean 'replay'"),
        pytest.param("--session 0199", "nothing is recorded under", marks=LONG),
        pytest.param("--durability often", "unknown (there are process, power)", marks=LONG),
        pytest.param("--as-of yesterday", "neither a date nor an instant", marks=LONG),
        pytest.param("--max-body -1", "not negative", marks=LONG),
        pytest.param("--sorce x", "did you mean --source?", marks=LONG),
        pytest.param("--json=yes", "takes no value", marks=LONG),
        pytest.param("--source", "needs a value", marks=LONG),
    ],
)
def test_what_can_not_be_had_is_refused_before_the_program_starts(
    options: str, why: str, programs: Programs
) -> None:
    programs.write("prog.py", "print('ran')")
    words = [] if options == "--source" else ["prog.py"]
    done = programs.run(*words, options=options)
    assert (done.status, done.out) == (2, "")
    assert why in done.said
    assert not programs.root.exists()


@pytest.mark.long
def test_a_session_that_is_not_there_or_of_another_source(
    server: RawServer, programs: Programs
) -> None:
    programs.run("get.py", f"{server.url}/a")
    (session,) = programs.sessions()
    done = programs.run("get.py", f"{server.url}/a", options="--session ffff")
    assert (done.status, done.out) == (2, "")
    assert "no session ffff is recorded" in done.said
    done = programs.run(
        "get.py", f"{server.url}/a", options=f"--session {session.id} --source other"
    )
    assert (done.status, done.out) == (2, "")
    assert "recorded the source 'get', not 'other'" in done.said


@pytest.mark.long
def test_a_setting_that_is_none_is_refused(programs: Programs) -> None:
    done = programs.run("get.py", MXM_DATAIO_ROT="x")
    assert done.status == 2
    assert "unknown setting 'rot' in the environment; did you mean 'root'?" in done.said


@pytest.mark.parametrize("words", [[], ["--"], ["-m"], ["-c"]])
@pytest.mark.long
def test_without_a_program_nothing_runs(words: list[str], programs: Programs) -> None:
    done = programs.run(*words)
    assert done.status == 2
    assert "usage: mxm-dataio run" in done.said


@pytest.mark.long
def test_help(programs: Programs) -> None:
    done = programs.plainly("-m", "mxm_dataio.run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("usage: mxm-dataio run", "--require-full-coverage", "mxm-dataio run --mode"):
        assert word in done.stdout


# -- it never breaks the program -----------------------------------------------------------------


def fails(programs: Programs, *words: object, **more: str) -> str:
    """Run a program that can't be captured; it has to be as ever, and the rest is returned."""
    plain = programs.plainly("get.py", *words)
    done = programs.run("get.py", *words, **more)
    assert (done.status, done.out) == (plain.returncode, plain.stdout)
    assert done.summary["status"] == "incomplete"
    assert done.summary["warnings"]
    return done.said


def test_a_root_that_can_not_be_made(server: RawServer, programs: Programs) -> None:
    programs.root = programs.folder / "get.py" / "root"
    said = fails(programs, f"{server.url}/a")
    assert "can't be made" in said


@pytest.mark.long
def test_a_database_that_is_none(server: RawServer, programs: Programs) -> None:
    programs.root.mkdir()
    (programs.root / "dataio.sqlite").write_bytes(b"no database" * 1000)
    done = programs.run("get.py", f"{server.url}/a")
    assert (done.status, done.out) == (1, "a\n")
    said = done.said
    assert "is damaged or no SQLite database" in said
    assert (programs.root / "dataio.sqlite").read_bytes() == b"no database" * 1000
    done = programs.run("get.py", f"{server.url}/a", options="--mode replay")
    assert (done.status, done.out) == (2, "")


def test_a_view_in_the_database_is_named_and_nothing_is_recorded(
    server: RawServer, programs: Programs
) -> None:
    RecordingStore(programs.root).close()
    with contextlib.closing(sqlite3.connect(programs.root / "dataio.sqlite")) as db:
        db.execute("CREATE VIEW v AS SELECT 1")
    done = programs.run("get.py", f"{server.url}/a")
    assert (done.status, done.out) == (1, "a\n")
    assert (done.summary["id"], done.summary["status"]) == (None, None)
    with contextlib.closing(sqlite3.connect(programs.root / "dataio.sqlite")) as db:
        db.execute(re.findall(r"is removed with (DROP VIEW v);", done.said)[0])
    assert programs.run("get.py", f"{server.url}/a").status == 0
    # Its own status goes before.
    programs.write("bad.py", "raise SystemExit(7)")
    with contextlib.closing(sqlite3.connect(programs.root / "dataio.sqlite")) as db:
        db.execute("CREATE VIEW v AS SELECT 1")
    assert programs.run("bad.py").status == 7


@pytest.mark.long
def test_a_journal_that_can_not_be_written(server: RawServer, programs: Programs) -> None:
    programs.run("get.py", f"{server.url}/a")
    shutil.rmtree(programs.root / "journal", ignore_errors=True)
    (programs.root / "journal").touch()
    said = fails(programs, f"{server.url}/a")
    assert said.count("warning") == 1
    assert "was not recorded" in said
    *_, session = programs.sessions()
    assert session.status is Status.INCOMPLETE


@pytest.mark.parametrize("mode", [pytest.param("record", marks=LONG), "replay"])
def test_a_urllib3_that_is_none(mode: str, server: RawServer, programs: Programs) -> None:
    """The program's own module of that name, or a release that nobody knows."""
    programs.run("get.py", f"{server.url}/a", options="--source s")
    programs.write("own/urllib3.py", "__version__ = '9.0'\ndef f(): return 'its own'")
    programs.write("own/prog.py", "import urllib3\nprint(urllib3.f())")
    done = programs.run("own/prog.py", options=f"--source s --mode {mode}")
    assert "calls through urllib3 9.0 can't be captured" in done.said
    if mode == "record":
        assert (done.status, done.out, done.summary["status"]) == (0, "its own\n", "incomplete")
    else:
        assert (done.status, done.out) == (2, "")


@pytest.mark.long
def test_an_interpreter_that_reads_no_site_packages(server: RawServer, programs: Programs) -> None:
    words = [*programs.command(), "-c", "print('ran')"]
    site = next(p for p in sys.path if p.endswith("site-packages"))
    paths = os.pathsep.join([str(CHECKOUT), site])
    done = programs.plainly("-S", *words, PYTHONPATH=paths)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == (
        "mxm-dataio: warning: the interpreter's option -S leaves out what captures: nothing is "
        "captured\n"
    )
    programs.run("get.py", f"{server.url}/a", options="--source c")
    words[3:3] = ["--mode", "replay"]
    done = programs.plainly("-S", *words, PYTHONPATH=paths)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-S leaves out what captures; the program would reach the network" in done.stderr


@pytest.mark.long
def test_no_folder_for_the_run(server: RawServer, programs: Programs) -> None:
    """There is none to be had where nobody may write."""
    script = """
        import os, sys
        from mxm_dataio.run import launcher as run
        def refuse(*_):
            raise OSError(30, "Read-only file system")
        run.os.mkdir = refuse
        sys.exit(run.main(sys.argv[1:]))
        """
    programs.write("without.py", script)
    words = ["--root", programs.root, "get.py", f"{server.url}/a"]
    done = programs.plainly("without.py", *words)
    assert (done.returncode, done.stdout) == (0, "a\n")
    assert "no folder for the run can be made (Read-only file system)" in done.stderr
    programs.run("get.py", f"{server.url}/a")
    done = programs.plainly("without.py", "--mode", "replay", *words)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_of_the_programs_is_not_taken_for_one_of_the_standard_librarys(
    server: RawServer, programs: Programs
) -> None:
    """Nor the other way round, though what captures needs these and the program does not."""
    programs.write("sub/prog.py", GET + "    import sqlite3, mmap\n    print(sqlite3.x, mmap.x)\n")
    for name in ("sqlite3", "mmap", "fcntl"):
        programs.write(f"sub/{name}.py", "x = 'its own'")
    done = programs.run("sub/prog.py", f"{server.url}/a")
    assert (done.status, done.out, done.said) == (0, "a\nits own its own\n", "")
    assert programs.called() == ["a"]


@pytest.mark.long
def test_a_command_that_is_none(programs: Programs) -> None:
    done = programs.run("--", "nosuch-command", "x")
    assert done.status == 127
    assert "nosuch-command: No such file or directory" in done.said
    programs.write("plain.txt", "no program")
    assert programs.run("--", "./plain.txt").status == 126


@pytest.mark.long
def test_a_command_without_python_is_told(server: RawServer, programs: Programs) -> None:
    done = programs.run("--", "sh", "-c", "echo out; exit 3")
    assert (done.status, done.out) == (3, "out\n")
    assert done.summary["status"] == "incomplete"
    assert "no Python process was captured" in done.summary["warnings"][0]
    programs.run("get.py", f"{server.url}/a", options="--source sh")
    done = programs.run("--", "sh", "-c", "echo out", options="--mode replay")
    assert (done.status, done.out) == (1, "out\n")


@pytest.mark.long
def test_a_session_of_the_programs_own_goes_before(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import sys, requests
        from mxm_dataio import IngestSession
        url = sys.argv[1]
        requests.get(url + "/a")
        for order in ("b", "c"):
            with IngestSession("mine", "mine", hook=True) as ingest:
                print(requests.get(url + "/" + order).text, ingest.session.program)
            print(ingest.session.status)
        requests.get(url + "/d")
        """,
    )
    done = programs.run("prog.py", server.url)
    assert (done.status, done.out, done.said) == (0, "b \ncomplete\nc \ncomplete\n", "")
    assert programs.called() == ["a", "d"]
    programs.root = programs.folder / "mine"
    assert programs.called() == ["b", "c"]


@pytest.mark.long
def test_a_session_of_the_programs_own_that_was_first(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        """
        import sys
        from mxm_dataio import IngestSession
        with IngestSession("mine", "mine") as ingest:
            import requests
            print(requests.get(sys.argv[1] + "/b").text)
        requests.get(sys.argv[1] + "/a")
        """,
    )
    done = programs.run("prog.py", server.url)
    assert (done.status, done.out, done.said) == (0, "b\n", "")
    assert programs.called() == ["a"]


# -- signals -------------------------------------------------------------------------------------

WAITS = """
    import os, signal, sys, time, requests
    requests.get(sys.argv[1])
    def told(number, frame):
        # Not print: it may be within one.
        os.write(1, b"got %s\\n" % signal.Signals(number).name.encode())
        if number == signal.SIGTERM:
            sys.exit(7)
    if len(sys.argv) > 2:
        for name in sys.argv[2:]:
            signal.signal(getattr(signal, name), told)
    os.write(1, b"%d\\n" % os.getpid())
    end = time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(0.05)
"""


class Waiting:
    """A program under capture that waits for signals."""

    def __init__(self, programs: Programs, url: str, *handled: str, **more: Any) -> None:
        programs.write("waits.py", WAITS)
        self.run = subprocess.Popen(
            [sys.executable, *programs.command(), "waits.py", url, *handled],
            cwd=programs.folder, env=programs.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
        )  # fmt: skip
        assert self.run.stdout is not None
        self.pid = int(self.run.stdout.readline())

    def line(self) -> str:
        assert self.run.stdout is not None
        return self.run.stdout.readline().strip()


def test_signals_are_passed_on(server: RawServer, programs: Programs) -> None:
    waiting = Waiting(programs, f"{server.url}/a", "SIGUSR1", "SIGHUP", "SIGTERM", "SIGINT")
    for name in ("SIGUSR1", "SIGHUP", "SIGINT"):
        waiting.run.send_signal(getattr(signal, name))
        assert waiting.line() == f"got {name}"
    waiting.run.terminate()
    out, _ = waiting.run.communicate(timeout=30)
    assert (waiting.run.returncode, out) == (7, "got SIGTERM\n")
    (session,) = programs.sessions()
    assert (session.status, session.exit_status) == (Status.COMPLETE, 7)


@pytest.mark.parametrize(
    ("name", "to"), crossed(["SIGTERM", "SIGINT", "SIGHUP"], ["run", "program"], 2)
)
@pytest.mark.long
def test_a_signal_ends_both(name: str, to: str, server: RawServer, programs: Programs) -> None:
    waiting = Waiting(programs, f"{server.url}/a")
    number = getattr(signal, name)
    os.kill(waiting.run.pid if to == "run" else waiting.pid, number)
    _, err = waiting.run.communicate(timeout=30)
    assert waiting.run.returncode == -number
    assert ("KeyboardInterrupt" in err) == (name == "SIGINT")
    (session,) = programs.sessions()
    assert (session.status, session.exit_status) == (Status.INTERRUPTED, -number)
    assert programs.called() == ["a"]


def test_the_program_does_not_outlive_a_run_that_is_killed(
    server: RawServer, programs: Programs
) -> None:
    waiting = Waiting(programs, f"{server.url}/a")
    waiting.run.kill()
    # Its end closes the pipe.
    waiting.run.communicate(timeout=30)
    (session,) = programs.sessions()
    assert session.status is Status.INTERRUPTED
    assert programs.called() == ["a"]


def test_the_terminals_interrupt_comes_once(server: RawServer, programs: Programs) -> None:
    programs.write("waits.py", WAITS)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(programs.folder)
        command = [sys.executable, *programs.command(), "waits.py", f"{server.url}/a"]
        os.execve(sys.executable, [*command, "SIGINT", "SIGTERM"], programs.environment())
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 1024)

    until(b"\n")
    program = int(seen.split()[0])
    os.write(terminal, b"\x03")
    until(b"got SIGINT")
    # A second would come at once.
    time.sleep(0.3)
    os.kill(program, signal.SIGTERM)
    until(b"got SIGTERM")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert (status, seen.count(b"SIGINT")) == (7, 1)


@pytest.mark.long
def test_stop_and_go_on(server: RawServer, programs: Programs) -> None:
    waiting = Waiting(programs, f"{server.url}/a", "SIGUSR1", "SIGTERM")
    os.kill(waiting.pid, signal.SIGSTOP)
    # Who waits for the run is to see it stopped too, as a shell does.
    _, status = os.waitpid(waiting.run.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(waiting.run.pid, signal.SIGCONT)
    waiting.run.send_signal(signal.SIGUSR1)
    assert waiting.line() == "got SIGUSR1"
    waiting.run.terminate()
    waiting.run.communicate(timeout=30)
    assert waiting.run.returncode == 7


@pytest.mark.long
def test_a_reader_sees_the_end_when_the_program_closes_its_output(
    server: RawServer, programs: Programs
) -> None:
    programs.write("prog.py", "import os, time\nos.write(1, b'x')\nos.close(1)\ntime.sleep(20)")
    run = subprocess.Popen(
        [sys.executable, *programs.command(), "prog.py"],
        cwd=programs.folder, env=programs.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.stdout is not None
    assert run.stdout.read() == b"x"
    assert run.poll() is None
    run.kill()
    run.wait()
    run.stdout.close()


@pytest.mark.long
def test_nothing_is_left_of_a_run(server: RawServer, programs: Programs) -> None:
    away = programs.folder / "tmp"
    away.mkdir()
    programs.run("get.py", f"{server.url}/a", TMPDIR=str(away))
    programs.run("get.py", f"{server.url}/a", options="--mode replay", TMPDIR=str(away))
    assert list(away.iterdir()) == []
    with RecordingStore(programs.root) as store:
        assert list((store.root / "running").iterdir()) == []
        assert list((store.root / "journal").iterdir()) == []
