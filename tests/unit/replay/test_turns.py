"""How far a replay has been served, shared by processes."""

from __future__ import annotations

import multiprocessing
import resource
import threading
from pathlib import Path

import pytest

from mxm_dataio.errors import StoreError
from mxm_dataio.replay.turns import Places, SharedTurns
from tests.support import forks

HASH, OTHER = "a" * 64, "b" * 64


def take(shared: SharedTurns, known: Places, count: int, source: str = "s") -> list[int]:
    """Take turns: each takes the number behind the last that any process took."""
    taken = []
    for _ in range(count):
        with shared.turn():
            number = int(known.served.get(HASH, "0")) + 1
            shared.note(source, HASH, str(number), ("2025-01-01", "root"))
        taken.append(number)
    return taken


def joined(path: Path, count: int, into: str) -> None:
    shared = SharedTurns(path)
    taken = take(shared, shared.join("s", Places({}, {})), count)
    Path(into).write_text(" ".join(map(str, taken)))


def test_processes_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    processes = [
        context.Process(target=joined, args=(tmp_path / "served", 200, str(file))) for file in files
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    taken = [int(number) for file in files for number in file.read_text().split()]
    assert sorted(taken) == list(range(1, 601))


def test_forked_children_share_a_file_without_a_name() -> None:
    shared = SharedTurns()
    known = shared.join("s", Places({}, {}))
    take(shared, known, 3)

    def child() -> None:
        shared.renew()
        assert len(take(shared, known, 50)) == 50

    children = [forks.started(child) for _ in range(2)]
    take(shared, known, 50)
    assert [forks.ended(child) for child in children] == [0, 0]
    assert take(shared, known, 1) == [154]


def test_threads_take_turns() -> None:
    shared = SharedTurns()
    known = shared.join("s", Places({}, {}))
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(take(shared, known, 100))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 401))


def test_sources_are_kept_apart_whatever_their_names(tmp_path: Path) -> None:
    one, two = SharedTurns(tmp_path / "served"), SharedTurns(tmp_path / "served")
    names = ["s", "two words", "zwölf\nZeilen", "\\n", ""]
    for number, name in enumerate(names):
        one.join(name, Places({}, {}))
        with one.turn():
            one.note(name, HASH, str(number), None)
    for number, name in enumerate(names):
        known = two.join(name, Places({}, {}))
        assert known.served == {HASH: str(number)}
        assert known.settled == {}


def test_who_joins_tells_what_it_was_served_before(tmp_path: Path) -> None:
    one, two = SharedTurns(tmp_path / "served"), SharedTurns(tmp_path / "served")
    mine = Places({HASH: "1", OTHER: "7"}, {HASH: ("2025-01-01", "root")})
    assert one.join("s", mine) == mine
    assert two.join("s", Places({}, {})) == mine


def test_the_session_that_answers_stays_settled(tmp_path: Path) -> None:
    shared = SharedTurns(tmp_path / "served")
    known = shared.join("s", Places({}, {}))
    with shared.turn():
        shared.note("s", HASH, "1", ("2025-01-01", "first"))
        shared.note("s", HASH, "2", ("2025-01-02", "second"))
    assert known == Places({HASH: "2"}, {HASH: ("2025-01-01", "first")})


def test_much_is_read_in_steps(tmp_path: Path) -> None:
    one, two = SharedTurns(tmp_path / "served"), SharedTurns(tmp_path / "served")
    one.join("s", Places({f"{n:064}": f"{n}" for n in range(3000)}, {}))
    assert len(two.join("s", Places({}, {})).served) == 3000


def test_a_line_that_was_broken_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "served"
    path.write_bytes(b"a" * 64 + b" 1 2025")
    with pytest.raises(StoreError, match="can't be shared"):
        SharedTurns(path).join("s", Places({}, {}))


def test_a_disk_that_is_full_is_an_error(tmp_path: Path) -> None:
    shared = SharedTurns(tmp_path / "served")

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with pytest.raises(StoreError, match="No space left"), shared.turn():
            shared.note("s", HASH, "1", None)

    assert forks.forked(child) == 0
    with pytest.raises(StoreError, match="can't be shared"):
        shared.join("s", Places({}, {}))
