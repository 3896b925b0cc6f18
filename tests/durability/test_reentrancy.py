"""What a signal's handler or a finalizer does to a store, amid what its own thread is doing there.

The handler may run wherever something is called: here at each call, one after the other, that the
store makes to record, to move, to look up and to end a session.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import pytest
import requests

from mxm_dataio import BusyError, IngestSession, Status, StoreError
from mxm_dataio.api import capture_of
from mxm_dataio.config.choices import Durability
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.replay.policy import Serve
from mxm_dataio.replay.turns import Places, SharedTurns
from mxm_dataio.storage import writer as writer_module
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import utc_now
from tests.support.effort import crossed
from tests.support.servers import RawServer, answer, responder
from tests.unit.test_store import record, session

_ROOMS = (
    "ahead.py", "catalog.py", "database.py", "journal.py", "lookup.py", "payloads.py", "served.py",
    "store.py",
)  # fmt: skip


class Interrupted:
    """Runs a handler once, before or behind the n-th call that the store makes in this thread.

    It is there, and as loops go round, that Python looks for signals and collects garbage.
    """

    def __init__(self, number: int, handler: Callable[[], object]) -> None:
        self._number = number
        self._handler = handler
        self.count = 0
        self.met = False

    def __enter__(self) -> Interrupted:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "c_call" and getattr(arg, "__name__", "") == "__exit__":
            # Python looks behind the call of a C function, not before: not where one that is to
            # release a lock has not begun.
            return
        name = frame.f_code.co_filename
        if "mxm_dataio" not in name or not name.endswith(_ROOMS):
            return
        self.count += 1
        if self.count == self._number:
            sys.setprofile(None)
            self.met = True
            self._handler()


class Trial:
    """A store, and what is done to it; whatever comes amid it, all that was recorded is there."""

    def __init__(self, root: Path, durability: Durability) -> None:
        self.root = root
        self.store = RecordingStore(root, durability=durability)
        self.made: list[str] = []
        self.held = replace(session(), status=Status.RUNNING)
        self.store.begin(self.held)
        for _ in range(6):
            self.call()

    def call(self, size: int = 10) -> None:
        content = f"{len(self.made):0{size}}".encode()
        self.made.append(record(self.store, self.held, content, limit=1 << 20))

    def steps(self) -> None:
        """Do what a session does: record, large ones too, look up, settle."""
        self.call()
        self.call(100_000)
        self.call()
        assert self.store.session(self.held.id) is not None
        self.call()
        self.store.settle()

    def found(self, broken_off: int = 0) -> None:
        self.store.settle()
        ended = replace(self.held, status=Status.COMPLETE, ended_at=utc_now())
        self.store.end(ended)
        self.store.close()
        with RootStore(self.root, readonly=True) as store:
            found = [one.request.id for one in store.exchanges(self.held.id)]
        assert len(found) == len(set(found)) <= len(self.made) + broken_off
        assert set(found) >= set(self.made)
        assert not list((self.root / "journal").glob("*.journal"))
        assert not verify_root(self.root).findings


def handlers(trial: Trial) -> dict[str, Callable[[], object]]:
    def looks() -> None:
        # What it can't be told now it is told so.
        with contextlib.suppress(BusyError):
            trial.store.catalog.session(trial.held.id)
            trial.store.exchange(trial.made[0])

    def another() -> None:
        with contextlib.suppress(StoreError), RecordingStore(trial.root) as store:
            other = replace(session(), status=Status.RUNNING)
            store.begin(other)
            record(store, other, b"of another store", limit=9)
            with contextlib.suppress(BusyError):
                store.settle()
            with contextlib.suppress(BusyError):
                store.end(replace(other, status=Status.COMPLETE, ended_at=utc_now()))

    def moves() -> None:
        trial.call()
        with contextlib.suppress(BusyError):
            trial.store.move()

    return {"call": trial.call, "looks": looks, "moves": moves, "another": another}


@pytest.mark.parametrize(
    ("handler", "durability"),
    crossed(["call", "looks", "moves", "another"], get_args(Durability), 2),
)
@pytest.mark.parametrize(
    "step", [pytest.param(67, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
)
def test_between_any_two_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    handler: str,
    step: int,
    durability: Durability,
) -> None:
    monkeypatch.setattr(writer_module, "_FULL", 4)
    monkeypatch.setattr(writer_module, "_STEP", 2)
    monkeypatch.setattr(writer_module, "_STEP_EVERY", 1)
    monkeypatch.setattr("mxm_dataio.storage.catalog.patience.PATIENCE", 0.02)
    number, met = 1, True
    while met:
        trial = Trial(tmp_path / f"{number}", durability)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Interrupted(number, handlers(trial)[handler]) as interrupted:
                trial.steps()
            met = interrupted.met
            if handler == "another" and met:
                # It waits for the lock in vain where this thread holds it.
                warnings.simplefilter("ignore")
            trial.found()
        number += step
    assert number > 300


# Between the opening of a file and the ``with`` that it stands in; it is closed as it is dropped.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*FileIO")
@pytest.mark.parametrize(
    "step", [pytest.param(31, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt])
def test_a_handler_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], step: int
) -> None:
    """What it raises reaches the program, and no call that was recorded is lost, or there twice."""
    monkeypatch.setattr(writer_module, "_FULL", 4)
    monkeypatch.setattr(writer_module, "_STEP", 2)
    monkeypatch.setattr(writer_module, "_STEP_EVERY", 1)

    def handle(_number: int, _frame: object) -> None:
        raise error("the program's own")

    was = signal.signal(signal.SIGUSR1, handle)
    try:
        number, met = 1, True
        while met:
            trial = Trial(tmp_path / f"{number}", "process")
            raised = ""
            interrupted = Interrupted(number, lambda: signal.raise_signal(signal.SIGUSR1))
            try:
                with interrupted:
                    trial.steps()
            except (TimeoutError, KeyboardInterrupt) as exc:
                raised = str(exc)
            met = interrupted.met
            assert not met or raised == "the program's own"
            trial.call()
            trial.found(broken_off=1)
            number += step
    finally:
        signal.signal(signal.SIGUSR1, was)
    assert number > 300


def test_a_finalizer_s_call_amid_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As garbage is collected at almost every step."""
    monkeypatch.setattr(writer_module, "_FULL", 4)
    trial = Trial(tmp_path / "root", "process")
    busy = False

    class Dropped:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal busy
            if not busy:
                busy = True
                trial.call()
                busy = False

    threshold = gc.get_threshold()
    gc.set_threshold(20)
    try:
        for _ in range(150):
            Dropped()
            trial.call()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(trial.made) > 200
    trial.found()


def test_turns_of_a_replay(tmp_path: Path) -> None:
    """Between any two lines; what one knows in the end, the other knows."""
    number, met = 1, True
    while met:
        path = tmp_path / f"{number}"
        shared, other = SharedTurns(path), SharedTurns(path)
        known, theirs = shared.join("s", Places({}, {})), other.join("s", Places({}, {}))
        taken: list[int] = []

        def take(
            served: SharedTurns = shared, known: Places = known, taken: list[int] = taken
        ) -> None:
            with served.turn():
                following = int(known.served.get("h", "0")) + 1
                served.note("s", "h", str(following), None)
            taken.append(following)

        with Interrupted(number, take) as interrupted:
            take()
            take(other, theirs)
            take()
        met = interrupted.met
        # (Which of two within one turn is first is for Lookup to say.)
        with shared.turn(), other.turn():
            assert known.served == theirs.served
        shared.close()
        other.close()
        number += 1


@pytest.mark.parametrize("shared", [False, True])
def test_no_answer_is_handed_out_twice(tmp_path: Path, shared: bool) -> None:
    number, met = 0, True
    routes = {"/": lambda request: answer(200, b"content")}
    root = tmp_path / "root"
    with RawServer(responder(routes)) as server:
        url = server.url
        with IngestSession("s", root):
            for _ in range(4):
                requests.get(url)
    with RecordingStore(root) as store:
        made = [one.id for one in store.requests(store.sessions()[0].id)]
    while met:
        number += 3
        with IngestSession("s", root, "replay") as ingest:
            if shared:
                capture_of(ingest).before_fork()
            identity = capture_of(ingest).identify("GET", url + "/")
            found: list[str] = []

            def ask(
                ingest: IngestSession = ingest, identity: Any = identity, found: list[str] = found
            ) -> None:
                decision = capture_of(ingest).decide(identity)
                assert isinstance(decision, Serve)
                found.append(decision.stored.request.id)

            with Interrupted(number, ask) as interrupted:
                for _ in range(3):
                    ask()
            met = interrupted.met
        assert sorted(found) == made[: len(found)]
        assert len(found) == 3 + met
    assert number > 60


def test_a_store_that_is_dropped_does_not_spoil_the_next(tmp_path: Path) -> None:
    for _ in range(3):
        store = RecordingStore(tmp_path / "root")
        store.begin(session())
        del store
        gc.collect()
    with RecordingStore(tmp_path / "root") as store:
        store.begin(session())
        assert len(store.sessions()) == 4


def test_threads_and_handlers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_FULL", 8)
    trial = Trial(tmp_path / "root", "process")
    over = threading.Event()

    def others() -> None:
        while not over.is_set():
            trial.call()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for number in range(1, 200, 7):
            with Interrupted(number, trial.call):
                trial.call()
    finally:
        over.set()
        thread.join()
    trial.found()
