"""Nothing that was recorded moves a terminal's cursor: C0 and C1 controls are escaped."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mxm_dataio.models import Failure, Status, Unseen
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.recorded import Recorder, Try
from tests.unit.cli.running import Screen, run

# CSI, OSC and string terminator, each in one character.
EVIL = "\x9b2J\x9d0;x\x9c\x85\x1b[2J"
SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
BODIES = {
    "text/plain": EVIL.encode(),
    "text/html; charset=iso-8859-1": EVIL.encode("latin-1"),
    "text/plain; charset=windows-1252": b"\x81\x8d\x8f\x90\x9d",
    "application/json": b'{"a": "' + EVIL.replace("\x1b", "").encode() + b'"}',
    "application/x-ndjson": EVIL.encode() + b"\n" + EVIL.encode(),
    "application/xml": f"<a>{EVIL}</a>".encode(),
    "": b"\x00" + EVIL.encode("latin-1"),
    "text/css": "tab\tstays \x80".encode(),
}


@pytest.fixture
def ids(root: Path) -> list[str]:
    made = []
    with RecordingStore(root) as store:
        for _ in range(2):
            recorder = Recorder.begin(store, source=f"s{EVIL}", program=f"p{EVIL}", as_of="2025")
            for at, (media, body) in enumerate(BODIES.items()):
                headers = [("Content-Type", media), ("X", EVIL), (f"N{EVIL}", "1"), ("Tab", "a\tb")]
                made.append(
                    recorder.call(
                        f"http://h.test/{EVIL}/{at}",
                        Try(503, b"x", headers),
                        Try(200, body, headers, first_byte=0.01 * len(made)),
                        at=float(at),
                        headers=headers,
                        upload=body,
                        method=f"G{EVIL}",
                    )
                )
            failure = Failure(f"e{EVIL}", f"m{EVIL}")
            recorder.call("http://h.test/f", Try(None, failure=failure), status=Status.FAILED,
                          failure=failure)  # fmt: skip
            recorder.end(9, warnings=(f"w{EVIL}",), coverage=[Unseen(f"k{EVIL}", EVIL, 1, EVIL)])
    return made


def test_in_a_pipe(root: Path, ids: list[str], tmp_path: Path) -> None:
    for words in commands(ids):
        for more in ((), ("--json",)):
            done = run(*words, *more, "--root", root)
            assert SHOWN.search(done.stdout.replace("\r\n", "\n")) is None, words
            assert SHOWN.search(done.stderr) is None, words
            assert done.stdout, words
    assert "Tab: a\tb" in run("show", ids[0], "--root", root).stdout
    assert "tab\tstays \\x80" in run("show", ids[len(BODIES) - 1], "--root", root).stdout
    page = tmp_path / "page.html"
    run("report", "latest", "-o", page, "--root", root)
    assert SHOWN.search(page.read_text()) is None


def test_on_a_terminal(root: Path, ids: list[str], screen: Screen) -> None:
    for words in commands(ids):
        if words[0] in ("sessions", "requests", "stats", "show"):
            for line in screen(*words, "--root", root):
                assert SHOWN.search(line) is None, words


def commands(ids: list[str]) -> list[tuple[str, ...]]:
    return [
        ("sessions",), ("requests",), ("requests", "latest"), ("stats",), ("coverage", "latest"),
        ("verify",), ("head",), ("show", "latest"), ("diff", "latest~1", "latest"),
        ("diff", ids[0], ids[-1]), ("forget", ids[0]), ("prune",),
        *[("show", id) for id in ids], ("show", ids[0], "--all"),
    ]  # fmt: skip


def test_a_payload_itself_is_for_pipes(root: Path, ids: list[str], screen: Screen) -> None:
    for id in ids[: len(BODIES)]:
        done = run("show", id, "--raw", "--root", root)
        assert done.exit_code == 0
    with pytest.raises(AssertionError, match="changes how the terminal works"):
        screen("show", ids[0], "--raw", "--root", root)
    for id in ids[1:3]:
        with pytest.raises(AssertionError, match="changes how the terminal works"):
            screen("show", id, "--raw", "--root", root)


def test_what_run_says() -> None:
    code = f"from mxm_dataio.process import say; say({'a ' + EVIL!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "mxm-dataio: a \\x9b2J\\x9d0;x\\x9c\\x85\\x1b[2J\n"
