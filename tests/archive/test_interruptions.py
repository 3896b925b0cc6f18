"""Pushes that are killed, and pushes through a network that fails."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive, object_store
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.effort import rounds
from tests.support.servers import RawServer
from tests.trust.small import end, record, session

from .archives import head, names
from .network import Unreliable
from .servers import settings


@pytest.fixture
def several(root: Path) -> Path:
    """Return a root with some sessions more, and large bodies."""
    with RecordingStore(root) as store:
        for number in range(5):
            held = session()
            store.begin(held)
            for call in range(20):
                record(store, held, f"a{call}", os.urandom(100))
            record(store, held, "large", os.urandom(70_000 + number), b"y" * (2 << 20))
            end(store, held)
    return root


@pytest.mark.parametrize("place", ["folder", pytest.param("s3", marks=pytest.mark.long)])
def test_a_push_that_is_killed_is_completed_by_the_next(
    request: pytest.FixtureRequest, place: str, several: Path
) -> None:
    url = request.getfixturevalue(place)
    run = subprocess.run(
        [
            sys.executable, "-m", "tests.archive.kills", several, url,
            "--kills", str(rounds(12, 200)), "--seed", str(random.randrange(10**6)),
        ],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr + run.stdout
    assert "all whole" in run.stdout


@pytest.mark.parametrize("seed", range(rounds(2, 30)))
def test_a_network_that_drops_delays_and_refuses(
    s3: str, moto: str, several: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(object_store, "_LONGEST_WAIT", 0.1)
    unreliable = Unreliable(moto, seed)
    with RawServer(unreliable) as server:
        for name, value in settings(f"http://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        pushed = Archive(s3).push(several)
    assert pushed.ok
    assert pushed.sessions + pushed.there == 8
    assert len(set(unreliable.done)) > 3
    for name, value in settings(moto).items():
        monkeypatch.setenv(name, value)
    assert Archive(s3).push(several).objects == 0
    found = Archive(s3).verify(against=[head(several)])
    assert found.ok, found.findings
    assert found.notes == ()
    assert len(names(s3, "sessions")) == 8


RECORDER = """
import os, signal, sys
from pathlib import Path
from mxm_dataio.storage.recording_store import RecordingStore
from tests.trust.small import record, session

store = RecordingStore(Path(sys.argv[1]))
held = session()
store.begin(held)
for number in range(3):
    record(store, held, f"a{number}", b"x" * 10 ** number)
print(held.id, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_a_session_whose_process_was_killed_arrives(memory: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDER, str(tmp_path / "root")]
    with subprocess.Popen(
        [*command, "lives"], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        alive = living.stdout.readline().strip()
        killed = subprocess.run(
            [*command, "killed"], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        dead = killed.stdout.strip()
        assert killed.returncode < 0
        pushed = Archive(memory).push(tmp_path / "root")
        assert (pushed.sessions, pushed.calls) == (1, 3)
        (session,) = Archive(memory).sessions()
        assert (session.id, session.status) == (dead, "interrupted")
        living.kill()
    assert Archive(memory).push(tmp_path / "root").sessions == 1
    assert {one.id for one in Archive(memory).sessions()} == {alive, dead}
    assert Archive(memory).verify(against=[head(tmp_path / "root")]).ok
