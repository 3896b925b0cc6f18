"""Signal handlers and the collection of garbage put off for a moment."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest

from mxm_dataio.undisturbed import Undisturbed
from tests.forks import started


class TestUndisturbed:
    def test_handlers_run_behind_it(self) -> None:
        came: list[int] = []
        was = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
        try:
            with Undisturbed():
                with Undisturbed():
                    signal.raise_signal(signal.SIGUSR1)
                    signal.raise_signal(signal.SIGUSR1)
                assert came == []
                assert not gc.isenabled()
            assert came == [signal.SIGUSR1]
            signal.raise_signal(signal.SIGUSR1)
            assert len(came) == 2
        finally:
            signal.signal(signal.SIGUSR1, was)
        assert gc.isenabled()

    def test_what_a_handler_raises_is_raised_behind_it(self) -> None:
        reached = []
        with pytest.raises(KeyboardInterrupt), Undisturbed():
            reached.append(signal.raise_signal(signal.SIGINT))
        assert reached
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_each_runs_though_another_raises(self) -> None:
        came: list[int] = []

        def raising(number: int, _frame: object) -> None:
            came.append(number)
            raise ValueError(number)

        numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]
        were = [signal.signal(number, raising) for number in numbers]
        try:
            with pytest.raises(ValueError), Undisturbed():  # noqa: PT011
                list(map(signal.raise_signal, numbers))
            assert [signal.getsignal(number) for number in numbers] == [raising] * 3
        finally:
            for number, was in zip(numbers, were, strict=True):
                signal.signal(number, was)
        assert came == numbers

    def test_elsewhere_than_in_the_main_thread(self) -> None:
        came: list[int] = []
        was = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with Undisturbed():
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            entered.wait(10)
            signal.raise_signal(signal.SIGUSR1)
            assert came == [signal.SIGUSR1]
        finally:
            leave.set()
            thread.join()
            signal.signal(signal.SIGUSR1, was)
        assert gc.isenabled()

    def test_a_child_forked_by_another_thread_is_not_in_it(self) -> None:
        was = signal.signal(signal.SIGUSR1, lambda *_: None)
        found: list[int] = []

        def fork() -> None:
            child = started(lambda: _check(gc.isenabled() and _plain(signal.SIGUSR1)))
            found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        try:
            with Undisturbed():
                thread = threading.Thread(target=fork)
                thread.start()
                thread.join()
        finally:
            signal.signal(signal.SIGUSR1, was)
        assert found == [0]


def _plain(number: int) -> bool:
    return getattr(signal.getsignal(number), "__name__", "") == "<lambda>"


def _check(right: bool) -> None:
    assert right
