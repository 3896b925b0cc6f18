"""What is said where nobody takes a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mxm_dataio import process
from mxm_dataio.process import put, say


def test_it_goes_past_what_stands_for_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr(process, "_STANDARD", process._standard())
    say("zwölf \udce4")
    put("as it is")
    assert capfd.readouterr().err == "mxm-dataio: zwölf \\udce4\nas it is\n"


@pytest.mark.parametrize("place", ["file", "socket", "pipe"])
def test_what_the_program_has_opened_in_its_place_is_left_alone(place: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    program = f"""
import os, socket
from mxm_dataio.process import say
say("before")
os.close(2)
if {place!r} == "file":
    assert os.open({str(path)!r}, os.O_RDWR | os.O_CREAT) == 2
    say("x")
    assert os.fstat(2).st_size == 0
elif {place!r} == "socket":
    ours, theirs = socket.socketpair()
    assert ours.fileno() == 2
    say("x")
    ours.close()
    assert theirs.recv(9) == b""
else:
    assert os.open(os.devnull, os.O_RDWR) == 2
    read, write = os.pipe()
    os.dup2(write, 2)
    say("x")
    os.close(write)
    os.close(2)
    assert os.read(read, 9) == b""
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("fine\n", "mxm-dataio: before\n")


def test_where_there_is_none_it_is_not_said() -> None:
    kept = os.dup(2)
    try:
        os.close(2)
        say("x")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
