"""Ids: unique, and ascending in a process."""

from __future__ import annotations

import os
import threading
import time
import uuid

import pytest

from mxm_dataio import process
from mxm_dataio.process import new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    text = new_id()
    after = time.time_ns() // 1_000_000
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    # The fraction may have been stepped past the clock by an earlier id of the same instant.
    assert before <= parsed.int >> 80 <= after + 1


def test_ids_ascend() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_ascend_when_the_clock_stands_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ids stepped ahead of the clock are forgotten after the test.
    monkeypatch.setattr(process, "_last", 0)
    now = time.time_ns()
    made = [new_id()]
    for clock in [now, now, now - 10**9, now - 10**12, now]:
        monkeypatch.setattr(process, "wall_time_ns", lambda clock=clock: clock)
        made += [new_id() for _ in range(5000)]
    assert made == sorted(set(made))


def test_ids_of_threads_are_unique_and_ascend_in_each() -> None:
    made: list[list[str]] = [[] for _ in range(8)]
    start = threading.Barrier(len(made))

    def make(into: list[str]) -> None:
        start.wait()
        into += [new_id() for _ in range(2000)]

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for some in made for one in some}) == 8 * 2000
    assert all(some == sorted(some) for some in made)


def test_forked_children_have_ids_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """At one instant, too: they draw anew, not what the parent had drawn ahead."""
    now = time.time_ns()
    monkeypatch.setattr(process, "_last", 0)
    monkeypatch.setattr(process, "wall_time_ns", lambda: now)
    new_id()
    monkeypatch.setattr(process, "_last", 0)
    made = []
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, new_id().encode())
            os._exit(0)
        os.waitpid(child, 0)
        made.append(os.read(reader, 64).decode())
        os.close(reader)
        os.close(writer)
    made.append(new_id())
    assert len({one[-12:] for one in made}) == 4
    assert len({one[:18] for one in made}) == 1
