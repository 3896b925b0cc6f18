"""Who ended a child process under ``run``: its parent, itself, or nobody knows who."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mxm_dataio import Status
from tests.support.running import Programs
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes = {f"/{name}": answer(200, name.encode()) for name in "abc"}
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


ENDINGS = """
    import concurrent.futures, multiprocessing, os, signal, subprocess, sys, time, requests
    url, how = sys.argv[1:]

    def work(name):
        return requests.get(url + "/" + name).text

    def work_and_wait(name, done):
        work(name)
        done.set()
        time.sleep(60)

    def work_and_note(name):
        work(name)
        open("noted", "w").close()
        time.sleep(60)

    def work_and_end(number):
        work("a")
        os.kill(os.getpid(), number)

    def child(command):
        code = f"import requests, time; requests.get({url + '/a'!r}); print(flush=True); " + command
        made = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
        )
        made.stdout.readline()
        return made

    if __name__ == "__main__":
        if how in ("terminate", "kill", "daemon"):
            done = multiprocessing.Event()
            process = multiprocessing.Process(
                target=work_and_wait, args=("a", done), daemon=how == "daemon"
            )
            process.start()
            done.wait()
            if how != "daemon":
                getattr(process, how)()
                process.join()
        elif how == "pool":
            with multiprocessing.Pool(1) as pool:
                pool.apply_async(work_and_note, ("a",))
                while not os.path.exists("noted"):
                    time.sleep(0.01)
        elif how == "executor":
            with concurrent.futures.ProcessPoolExecutor(1) as pool:
                list(pool.map(work, "abc"))
        elif how == "popen":
            child("time.sleep(60)").terminate()
        elif how == "twice":
            made = child("signal.signal(15, lambda *_: print(flush=True)); time.sleep(60)".replace(
                "signal.signal", "__import__('signal').signal"))
            time.sleep(0.3)
            made.terminate()
            made.stdout.readline()
            made.kill()
            made.wait()
        elif how == "group":
            for _ in range(9):
                # Gone before: their numbers are known, and are nobody's.
                subprocess.run([sys.executable, "-c", ""], check=True)
            made = child("time.sleep(60)")
            os.killpg(os.getpgid(made.pid), signal.SIGTERM)
            made.wait()
        elif how == "asked":
            made = child("print(1, flush=True); time.sleep(60)")
            made.send_signal(0)
            subprocess.run(["kill", "-9", str(made.pid)])
            made.wait()
        else:
            process = multiprocessing.Process(target=work_and_end, args=(int(how),))
            process.start()
            process.join()
"""


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("pool", -15),
        pytest.param("terminate", -15, marks=pytest.mark.long),
        ("kill", -9),
        ("popen", -15),
        ("group", -15),
        pytest.param("daemon", -15, marks=pytest.mark.long),
        pytest.param("twice", -9, marks=pytest.mark.long),
        ("9", None),
        pytest.param("15", None, marks=pytest.mark.long),
        pytest.param("11", None, marks=pytest.mark.long),
        # By another program, of which nobody knows.
        ("asked", None),
    ],
)
def test_who_ended_a_child(
    how: str, number: int | None, server: RawServer, programs: Programs
) -> None:
    programs.write("prog.py", ENDINGS)
    done = programs.run("prog.py", server.url, how)
    assert (done.status, done.said) == (0, "")
    root, child = programs.sessions()
    assert (root.status, root.exit_status) == (Status.COMPLETE, 0)
    assert (child.status, child.exit_status) == (Status.INTERRUPTED, number)
    assert child.ended_by_parent == (number is not None)
    told = done.summary
    assert (told["interrupted"], told["ended_by_parent"]) == ((1, 0) if number is None else (0, 1))


def test_a_worker_that_was_let_go_ended_by_itself(server: RawServer, programs: Programs) -> None:
    programs.write("prog.py", ENDINGS)
    done = programs.run("prog.py", server.url, "executor")
    assert (done.status, done.said) == (0, "")
    assert [one.status for one in programs.sessions()] == [Status.COMPLETE] * 2
    assert (done.summary["interrupted"], done.summary["ended_by_parent"]) == (0, 0)
