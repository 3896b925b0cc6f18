"""A command whose output is not read to its end, or can't be written, ends as other tools do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mxm_dataio.cli.demo_scraper import Demonstrated
from tests.support import CHECKOUT
from tests.support.effort import sampled

COMMANDS = [
    "--help",
    "--version",
    "requests --help",
    "run --help",
    "sessions",
    "sessions --json",
    "requests",
    "requests --json",
    "requests --json latest",
    "show latest",
    "show latest --json",
    "stats",
    "coverage latest",
    "verify",
    "verify --json",
    "head",
    "prove latest",
    "diff latest latest --json",
    "report latest -o -",
    "prune --json",
    "completion bash",
]


def started(root: Path, words: str, stdout: int) -> tuple[int, str]:
    environ = dict(os.environ, MXM_DATAIO_ROOT=str(root), PYTHONUNBUFFERED="")
    done = subprocess.run(
        [sys.executable, "-m", "mxm_dataio", *words.split()], stdout=stdout, stderr=subprocess.PIPE,
        cwd=CHECKOUT, env=environ, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", sampled(COMMANDS, 2))
def test_a_reader_that_has_enough(demonstrated: tuple[Path, Demonstrated], words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert started(demonstrated[0], words, writing) == (141, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("words", sampled(COMMANDS, 4))
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(demonstrated: tuple[Path, Demonstrated], words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        status, said = started(demonstrated[0], words, full.fileno())
    assert status == 1
    assert said == "mxm-dataio: error: the output can't be written: No space left on device\n"


def test_no_output_at_all(demonstrated: tuple[Path, Demonstrated]) -> None:
    for words in ("sessions", "requests --json", "show latest"):
        done = subprocess.run(
            f"{sys.executable} -m mxm_dataio {words} --root {demonstrated[0]} >&-",
            shell=True, stderr=subprocess.PIPE, text=True, check=False, cwd=CHECKOUT,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
