"""What went past a session is the same in the report, in ``coverage`` and in its warnings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mxm_dataio.cli import main
from tests.support.running import Programs
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/": answer(200, b"hello")})) as running:
        yield running


def lines(root: Path, *words: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(main, [*words, "--root", str(root), "--json"])
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_library_counts_once_everywhere(server: RawServer, tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    # In place of the one that connects without Python's sockets.
    programs.write("pycurl.py", "")
    programs.write(
        "prog.py",
        """
        import importlib, socket, subprocess, sys
        import pycurl, requests
        requests.get(sys.argv[1])
        del sys.modules["pycurl"]
        importlib.import_module("pycurl")
        for _ in range(2):
            socket.create_connection(("127.0.0.1", int(sys.argv[1].rpartition(":")[2]))).close()
        if len(sys.argv) == 2:
            subprocess.run([sys.executable, "prog.py", sys.argv[1], "child"], check=True)
        """,
    )
    done = programs.run("prog.py", server.url)
    assert (done.status, done.said) == (0, "")
    *_, total = lines(programs.root, "coverage")
    unseen = [one for one in lines(programs.root, "coverage") if one["type"] == "unseen"]
    reported, *_ = lines(programs.root, "report")
    assert len(reported["coverage"]) == total["unseen"] == len(done.summary["coverage"]) == 2
    assert reported["coverage"] == done.summary["coverage"]
    assert {(one["kind"], one["name"]) for one in unseen} == {
        (one["kind"], one["name"]) for one in reported["coverage"]
    }
    (library,) = [one for one in reported["coverage"] if one["kind"] == "library"]
    assert (library["name"], library["times"]) == ("pycurl", 1)
    assert {one["times"] for one in unseen if one["kind"] == "library"} == {1}
    for session in programs.sessions():
        (warning,) = session.warnings
        assert warning.count("pycurl") == 1
        assert warning.count("×") == 1
        assert sys.executable not in warning
