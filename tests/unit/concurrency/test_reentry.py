"""Telling what a function calls from what interrupts it."""

from __future__ import annotations

import functools
import gc
import itertools
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mxm_dataio.concurrency.reentry import note_handlers, within
from mxm_dataio.process import new_id


class TestWithin:
    def outer(self, call: Callable[[], bool]) -> bool:
        return call()

    def asked(self) -> bool:
        return within(TestWithin.outer.__code__)

    def test_what_is_called(self) -> None:
        assert self.outer(self.asked)
        assert self.outer(lambda: self.asked())
        assert not self.asked()

    def test_another_thread_s(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            assert not self.outer(lambda: pool.submit(self.asked).result())

    @pytest.mark.parametrize("kind", ["function", "method", "partial", "object", "once", "lambda"])
    def test_a_signal_s_handler(self, kind: str) -> None:
        found: list[bool] = []

        class Handling:
            def handle(self, *_args: Any) -> None:
                found.append(within(TestWithin.outer.__code__))

            __call__ = handle

        def function(_number: int, _frame: object) -> None:
            found.append(within(TestWithin.outer.__code__))

        def once(number: int, _frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            found.append(within(TestWithin.outer.__code__))

        handlers: dict[str, Any] = {
            "function": function,
            "method": Handling().handle,
            "partial": functools.partial(lambda _more, *args: function(*args), 1),
            "object": Handling(),
            "once": once,
            "lambda": lambda *args: function(*args),
        }
        was = signal.signal(signal.SIGUSR1, handlers[kind])
        # As each call does.
        note_handlers()
        try:
            self.outer(lambda: bool(signal.raise_signal(signal.SIGUSR1)))
        finally:
            signal.signal(signal.SIGUSR1, was)
        assert found == [False]

    @pytest.mark.parametrize("kind", ["del", "finalize", "collector"])
    def test_a_finalizer(self, kind: str) -> None:
        found: list[bool] = []

        def ask(*_args: Any) -> None:
            found.append(within(TestWithin.outer.__code__))

        class Dropped:
            if kind == "del":

                def __del__(self) -> None:
                    ask()

        def drop() -> bool:
            one = Dropped()
            if kind == "finalize":
                weakref.finalize(one, ask)
            del one
            gc.collect()
            return True

        if kind == "collector":
            gc.callbacks.append(ask)
        try:
            self.outer(drop)
        finally:
            if kind == "collector":
                gc.callbacks.remove(ask)
        assert found
        assert not any(found)


def test_ids_are_unique_and_ascend_at_any_point() -> None:
    """In threads, and in a handler amid the making of another."""
    made: list[list[str]] = [[] for _ in range(4)]
    amid: list[str] = []

    def make(into: list[str]) -> None:
        for _ in range(20_000):
            into.append(new_id())

    was = signal.signal(signal.SIGALRM, lambda *_: amid.append(new_id()))
    threads = [threading.Thread(target=make, args=(one,)) for one in made[1:]]
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for thread in threads:
            thread.start()
        make(made[0])
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, was)
        for thread in threads:
            thread.join()
    every = [*made, amid]
    # One handler may interrupt another as that keeps what it has made.
    assert all(one == sorted(one) for one in made)
    assert len({*itertools.chain(*every)}) == sum(map(len, every))
    assert amid
