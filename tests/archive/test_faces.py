"""``mxm-dataio push`` and ``mxm-dataio run --push``: what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive
from tests.support import CHECKOUT
from tests.support.servers import Connection, RawServer

from .archives import names, objects
from .servers import settings
from .test_push import lose_a_body

SCRIPT = """
import http.server, sys, threading, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read()
print("done")
sys.exit(7)
"""


def mxm(*words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run(
        [sys.executable, "-m", "mxm_dataio", *map(str, words)],
        cwd=CHECKOUT, env={**os.environ, **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["push", "run"])
def test_pandas_is_not_loaded(root: Path, folder: str, command: str) -> None:
    pytest.importorskip("pandas")
    words = ["push", folder, "--root", str(root)]
    if command == "run":
        words = ["run", "--push", folder, "--root", str(root), "-m", "this"]
    program = (
        "import sys\nfrom mxm_dataio.__main__ import main\ntry:\n    main()\nfinally:\n"
        "    assert 'pyarrow' in sys.modules\n    assert 'pandas' not in sys.modules\n"
        "    import pandas, pyarrow; pyarrow.table({'a': [1]}).to_pandas()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert Archive(folder).verify().ok


# -- push --------------------------------------------------------------------------------------


def test_push(root: Path, folder: str) -> None:
    done = mxm("push", folder, "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"pushed 3 sessions with 8 calls to {folder}: 6 objects, ")
    done = mxm("push", "--root", root, "--json", MXM_DATAIO_PUSH=folder)
    assert json.loads(done.stdout) == {
        "type": "push", "url": folder, "sessions": 0, "calls": 0, "objects": 0, "bytes": 0,
        "there": 3, "problems": [],
    }  # fmt: skip


def test_push_leaves_out_what_is_damaged(root: Path, folder: str) -> None:
    lose_a_body(root)
    done = mxm("push", folder, "--root", root)
    assert done.returncode == 1
    assert "was not pushed: the payload" in done.stdout
    assert "pushed 2 sessions" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name the archive: mxm-dataio push s3://bucket/prefix"),
        (["data"], "no URL of an archive"),
        (["s3://user:hidden@bucket"], "credentials and endpoints come from the environment"),
        (["file:///tmp/x", "--jobs", "0"], "0 is not in the range"),
        (["file:///proc/nowhere"], "can't be made"),
    ],
)
def test_push_called_wrongly(root: Path, words: list[str], says: str) -> None:
    done = mxm("push", *words, "--root", root)
    assert done.returncode == 2
    assert says in done.stderr
    assert "hidden" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_push_to_who_is_not_there(root: Path) -> None:
    there = settings("http://someone:hidden@127.0.0.1:1")
    done = mxm("push", "s3://bucket/p", "--root", root, **there)
    assert done.returncode == 2
    assert "s3://bucket/p/archive.json can't be read: Connection refused" in done.stderr or (
        "can't be listed: Connection refused" in done.stderr
    )
    assert not any(one in done.stderr for one in ("hidden", *list(there.values())[1:3]))


def test_without_the_libraries(root: Path, tmp_path: Path) -> None:
    (tmp_path / "obstore.py").write_text("raise ImportError")
    done = mxm("push", "s3://bucket/p", "--root", root, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "pip install 'mxm-dataio[archive]'" in done.stderr


# -- run -----------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "scraper.py").write_text(SCRIPT)
    return tmp_path / "scraper.py"


def test_run_pushes_once_its_program_has_ended(script: Path, tmp_path: Path, folder: str) -> None:
    done = mxm("run", "--root", tmp_path / "root", "--push", folder, script)
    assert (done.returncode, done.stdout) == (7, "done\n")
    assert f"pushed 1 session to {folder}" in done.stderr
    (session,) = Archive(folder).sessions("scraper")
    assert session.exit_status == 7
    done = mxm("run", "--root", tmp_path / "root", "--json", script, MXM_DATAIO_PUSH=folder)
    assert json.loads(done.stderr)["pushed"] == f"pushed 1 session to {folder}"
    assert Archive(folder).verify().ok
    assert len(names(folder, "sessions")) == 2


def test_run_by_a_file_of_settings(script: Path, tmp_path: Path, folder: str) -> None:
    (tmp_path / "settings.toml").write_text(f'push = "{folder}"\n')
    where = {"MXM_DATAIO_CONFIG": str(tmp_path / "settings.toml")}
    done = mxm("run", "-q", "--root", tmp_path / "root", script, **where)
    assert (done.returncode, done.stderr) == (7, "")
    assert len(names(folder, "sessions")) == 1


@pytest.mark.parametrize("quiet", [[], ["--quiet"], ["--json"]])
def test_a_push_that_fails_changes_no_exit_status(
    script: Path, tmp_path: Path, quiet: list[str]
) -> None:
    root = tmp_path / "root"
    done = mxm("run", *quiet, "--root", root, "--push", "file:///proc/nowhere/at all", script)
    assert (done.returncode, done.stdout) == (7, "done\n")
    assert "warning: the archive file:///proc/nowhere/at all can't be made" in done.stderr
    later = f"later: mxm-dataio push 'file:///proc/nowhere/at all' --root {root}"
    assert later in done.stderr


def test_run_without_the_libraries(script: Path, tmp_path: Path) -> None:
    (tmp_path / "obstore.py").write_text("raise ImportError")
    done = mxm(
        "run", "--root", tmp_path / "root", "--push", "s3://bucket/p", script,
        PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 7
    assert "pip install 'mxm-dataio[archive]'; to push later: mxm-dataio push" in done.stderr


def test_run_is_told_of_a_url_that_is_none_before_its_program_starts(
    script: Path, tmp_path: Path
) -> None:
    for words, environ in (
        (["--push", "s3://user:hidden@bucket"], {}),
        ([], {"MXM_DATAIO_PUSH": "s3://user:hidden@bucket"}),
    ):
        done = mxm("run", *words, "--root", tmp_path / "root", script, **environ)
        assert (done.returncode, done.stdout) == (2, "")
        assert "credentials and endpoints come from the environment" in done.stderr
        assert "hidden" not in done.stderr


def test_no_credential_is_in_what_is_written(
    script: Path, tmp_path: Path, s3: str, moto: str
) -> None:
    where = settings(moto.replace("http://", "http://someone:h1dden-word@"))
    root = tmp_path / "root"
    done = mxm("run", "--root", root, "--push", s3, script, **where)
    assert done.returncode == 7
    assert "pushed 1 session" in done.stderr
    secrets = ("h1dden-word", where["AWS_SECRET_ACCESS_KEY"], where["AWS_ACCESS_KEY_ID"])
    written = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    for secret in secrets:
        assert secret not in done.stderr
        assert not any(secret.encode() in content for content in written)
        assert not any(secret.encode() in content for content in objects(s3).values())


# -- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_whose_push_hangs_ends_at_once_when_it_is_told(
    script: Path, tmp_path: Path, number: int
) -> None:
    asked = threading.Event()

    def handle(connection: Connection) -> None:
        connection.read_request()
        asked.set()
        connection.receive()

    with RawServer(handle) as server:
        command = [sys.executable, "-m", "mxm_dataio", "run", "--root", str(tmp_path / "root")]
        with subprocess.Popen(
            [*command, "--push", "s3://bucket/p", str(script)],
            env={**os.environ, **settings(f"http://127.0.0.1:{server.port}")},
            stderr=subprocess.PIPE, text=True,
        ) as run:  # fmt: skip
            assert asked.wait(30)
            run.send_signal(number)
            _, said = run.communicate(timeout=20)
    assert run.returncode == 7
    assert "the push to s3://bucket/p was broken off; later: mxm-dataio push" in said
    assert "is complete, exit 7" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["push", "URL", "--root", "ROOT"], "what was pushed counts, and the next push goes on"),
        (["pull", "URL", "--root", "ROOT"], "what was pulled counts, and the next pull goes on"),
        (["prune", "URL", "--older-than", "2y"], "the next prune goes on"),
        (["index", "URL"], "the index is as it was"),
    ],
)
def test_what_hangs_ends_at_once(root: Path, words: list[str], why: str) -> None:
    asked = threading.Event()
    words = [{"URL": "s3://bucket/p", "ROOT": str(root)}.get(word, word) for word in words]

    def handle(connection: Connection) -> None:
        connection.read_request()
        asked.set()
        connection.receive()

    with RawServer(handle) as server, subprocess.Popen(
        [sys.executable, "-m", "mxm_dataio", *words],
        env={**os.environ, **settings(f"http://127.0.0.1:{server.port}")},
        stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert asked.wait(30)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=20)
    assert command.returncode == 130
    assert said == f"Aborted: {why}\n"
