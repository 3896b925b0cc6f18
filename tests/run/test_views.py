"""``run``: what counts of a program's calls, and what is left out, in its options."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mxm_dataio import Status
from tests.support.running import Programs
from tests.support.servers import RawServer

# Asks for the page of an argument, in another way each time; its child asks for another page.
PROGRAM = """
    import random, subprocess, sys, requests
    url = sys.argv[1]
    print(requests.get(f"{url}/a?n={random.random()}").text, flush=True)
    sys.exit(subprocess.run([sys.executable, "jobs/child.py", url]).returncode)
"""
CHILD = """
    import random, sys, requests
    print(requests.get(sys.argv[1] + f"/b?n={random.random()}").text)
"""
# A library that phones home in a thread, and would not have the program fail for it.
TELEMETRY = """
    import random, sys, threading, requests
    url = sys.argv[1]
    def phone():
        for _ in range(3):
            try:
                home = url.replace("127.0.0.1", "localhost") + "/t"
                requests.post(home, json={"n": random.random()})
            except Exception as exc:
                print(type(exc).__name__)
    thread = threading.Thread(target=phone)
    thread.start()
    thread.join()
    print(requests.get(f"{url}/a").text)
"""


@pytest.fixture
def nested(programs: Programs) -> Programs:
    programs.write("app/prog.py", PROGRAM.replace("jobs/", "app/jobs/"))
    programs.write("app/jobs/child.py", CHILD)
    programs.write(
        "app/views.py",
        """
        import requests

        def same(call):
            return call.without("n")

        class Views:
            @staticmethod
            def same(call):
                return call.without("n")

        number = 3
        """,
    )
    return programs


@pytest.mark.parametrize(
    "options",
    [
        "--ignore-param n",
        "--view views:same",
        pytest.param("--view views:Views.same", marks=pytest.mark.long),
        pytest.param('--view {"*":"views:same"}', marks=pytest.mark.long),
        pytest.param('--ignore-param {"*":["n"]}', marks=pytest.mark.long),
    ],
)
def test_what_does_not_count_does_not_in_a_programs_children_either(
    options: str, server: RawServer, nested: Programs
) -> None:
    done = nested.run("app/prog.py", server.url, options=options)
    assert (done.status, done.out, done.said) == (0, "a\nb\n", "")
    assert all("n=0." in request.url for request in nested.requests())
    hits = server.hits
    again = nested.run("app/prog.py", server.url, options=f"{options} --mode replay")
    assert (again.status, again.out, again.said) == (0, "a\nb\n", "")
    assert server.hits == hits


def test_in_the_environment(server: RawServer, nested: Programs) -> None:
    assert nested.run("app/prog.py", server.url).status == 0
    hits = server.hits
    for name, value in {"VIEW": "views:same", "IGNORE_PARAMS": "n"}.items():
        given = {f"MXM_DATAIO_{name}": value}
        again = nested.run("app/prog.py", server.url, options="--mode replay", **given)
        assert (again.status, again.out, again.said) == (0, "a\nb\n", "")
    # Without run: each process for itself, by its environment alone.
    plain = nested.plainly(
        "app/prog.py", server.url, MXM_DATAIO_AUTO="1", MXM_DATAIO_MODE="replay",
        MXM_DATAIO_ROOT=str(nested.root), MXM_DATAIO_VIEW="views:same",
    )  # fmt: skip
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "a\nb\n", "")
    assert server.hits == hits


@pytest.mark.long
def test_another_host_or_body(server: RawServer, programs: Programs) -> None:
    programs.write(
        "prog.py",
        """
        import random, sys, requests
        requests.get(sys.argv[1] + "/a")
        print(requests.post(sys.argv[1] + "/b", data=str(random.random())).text)
        """,
    )
    options = "--no-match-host --ignore-body-of */b"
    assert programs.run("prog.py", server.url, options=options).status == 0
    done = programs.run("prog.py", "http://other.example:99", options=f"{options} --mode replay")
    assert (done.status, done.out, done.said) == (0, "b\n", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--view nosuch:same", "--view nosuch:same: it can't be imported: No module named"),
        ("--view views:nosuch", "--view views:nosuch: it can't be imported: module 'views' has no"),
        ("--view views:number", "--view views:number: it is no function"),
        ("--view views", "--view views: no function, nor the name of one: module:function"),
        ("--view prog:same", "--view prog:same: it can't be imported: it is in the program itself"),
        ("--view broken:same", "--view broken:same: it can't be imported: division by zero"),
        ("--ignore-param $.a[", "--ignore-param '$.a[': '$.a[' is no place in JSON"),
    ],
)
def test_what_is_not_understood_is_told_before_the_program_starts(
    options: str, said: str, programs: Programs
) -> None:
    programs.write("prog.py", "print('started')")
    programs.write("views.py", "number = 3")
    programs.write("broken.py", "1 / 0")
    for mode in ("", " --mode record"):
        done = programs.run("prog.py", options=options + mode)
        assert (done.status, done.out) == (2, "")
        assert done.said.startswith(f"mxm-dataio: error: {said}")


# -- left out ------------------------------------------------------------------------------------


def coverage_of(programs: Programs, *words: str) -> subprocess.CompletedProcess[str]:
    root = ["--root", str(programs.root)]
    return programs.plainly("-m", "mxm_dataio.cli", "coverage", *root, *words)


def test_a_thread_that_phones_home_is_left_out(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", TELEMETRY)
    port = server.url.rpartition(":")[2]
    options = "--ignore-host localhost --require-full-coverage"
    done = programs.run("prog.py", server.url, options=options)
    assert (done.status, done.out, done.said) == (0, "a\n", "")
    assert programs.called() == ["a"]
    (session,) = programs.sessions()
    assert session.coverage == ()
    assert [(one.name, one.times) for one in session.left_out] == [(f"localhost:{port}", 3)]
    assert (done.summary["coverage"], done.summary["left_out"]) == ([], {f"localhost:{port}": 3})
    hits = server.hits
    again = programs.run("prog.py", server.url, options=f"{options} --mode replay")
    assert (again.status, again.out) == (0, "LeftOutError\n" * 3 + "a\n")
    assert (again.said, again.summary["missed"]) == ("", 0)
    assert again.summary["left_out"] == {f"localhost:{port}": 3}
    assert server.hits == hits
    options += " --allow-host localhost --mode replay"
    passed = programs.run("prog.py", server.url, options=options)
    assert (passed.status, passed.out, passed.said) == (0, "a\n", "")
    assert server.hits == hits + 3


@pytest.mark.long
def test_what_is_said_of_it(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", TELEMETRY)
    words = ["-m", "mxm_dataio.run", "--root", programs.root, "--ignore-host", "localhost"]
    done = programs.plainly(*words, "prog.py", server.url)
    port = server.url.rpartition(":")[2]
    assert f"mxm-dataio: left out: 3 calls to localhost:{port}\n" in done.stderr
    told = coverage_of(programs)
    assert told.returncode == 0
    assert "left out, as it was told to: 3 calls\n" in told.stdout
    assert f"  localhost:{port}  3\n" in told.stdout
    assert "not captured: nothing that was seen" in told.stdout
    lines = [json.loads(line) for line in coverage_of(programs, "--json").stdout.splitlines()]
    (left,) = [line for line in lines if line["type"] == "left_out"]
    assert (left["name"], left["times"]) == (f"localhost:{port}", 3)
    assert (lines[-1]["ok"], lines[-1]["unseen"], lines[-1]["left_out"]) == (True, 0, 3)


@pytest.mark.long
def test_an_error_that_is_not_caught_fails_the_program(
    server: RawServer, programs: Programs
) -> None:
    assert programs.run("get.py", f"{server.url}/a").status == 0
    options = "--ignore-host loopback --mode replay"
    done = programs.run("get.py", f"{server.url}/a", options=options)
    assert done.status == 1
    assert "LeftOutError: GET" in done.said
    assert "in replay too, --allow-host loopback" in done.said


@pytest.mark.long
def test_a_program_that_is_killed_has_told_what_was_left_out(
    server: RawServer, programs: Programs
) -> None:
    programs.write(
        "prog.py",
        """
        import os, sys, requests
        for name in ("a", "b", "b"):
            host = "localhost" if name == "b" else "127.0.0.1"
            requests.get(sys.argv[1].replace("127.0.0.1", host) + f"/{name}")
        os.kill(os.getpid(), 9)
        """,
    )
    programs.run("prog.py", server.url, options="--ignore-host localhost")
    (session,) = programs.sessions()
    assert session.coverage == ()
    assert [one.times for one in session.left_out] == [2]


@pytest.mark.long
def test_a_view_that_raises_says_so_once(server: RawServer, nested: Programs) -> None:
    nested.write("app/views.py", "def same(call):\n    raise LookupError('thought wrong')\n")
    done = nested.run("--", sys.executable, "app/prog.py", server.url, options="--view views:same")
    assert (done.status, done.out) == (0, "a\nb\n")
    # Once in each process.
    said = "mxm-dataio: warning: the view 'views:same' raised LookupError for GET"
    assert done.said.count(said) == 2
    assert [session.status for session in nested.sessions()] == [Status.INCOMPLETE] * 2
    assert nested.run("app/prog.py", server.url, options="--mode replay").status == 1
