"""Signals put off for a moment."""

from __future__ import annotations

import signal
import threading

import pytest

from mxm_dataio.concurrency.undisturbed import Undisturbed


def test_handlers_run_behind_it() -> None:
    came: list[int] = []
    was = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        installed = signal.getsignal(signal.SIGUSR1)
        with Undisturbed():
            with Undisturbed():
                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            assert came == []
            assert signal.getsignal(signal.SIGUSR1) is installed
        assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, was)


def test_what_a_handler_raises_is_raised_behind_it() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), Undisturbed():
        reached.append(signal.pthread_kill(threading.get_ident(), signal.SIGINT))
    assert reached
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_what_the_program_blocks_stays_blocked() -> None:
    was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        with Undisturbed():
            pass
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == was | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, was)
