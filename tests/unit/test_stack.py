"""Which of the open sessions captures a call."""

from __future__ import annotations

import contextvars
import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mxm_dataio.stack import Stack
from tests.forks import started


class Opened:
    def __init__(self) -> None:
        self.is_open = True
        self.told: list[str] = []

    def before_fork(self) -> None:
        self.told.append("before")

    def after_fork(self) -> None:
        self.told.append("after")


@pytest.fixture(scope="module")
def stack() -> Stack[Opened]:
    # One for all: what it has registered to be told of forks stays for ever.
    return Stack("tested")


@pytest.fixture(autouse=True)
def _in_a_context_of_its_own(stack: Stack[Opened]) -> Iterator[None]:
    yield
    for one in stack:
        stack.remove(one)
        one.is_open = False
        stack.restore(None)


def elsewhere(stack: Stack[Opened]) -> Opened | None:
    """Return what captures in a thread, whose context is new."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(stack.active).result()


def close(stack: Stack[Opened], one: Opened, token: contextvars.Token[Opened | None]) -> None:
    stack.remove(one)
    one.is_open = False
    stack.restore(token)


def test_the_last_is_uppermost_and_those_below_come_back(stack: Stack[Opened]) -> None:
    assert stack.active() is None
    outer, inner = Opened(), Opened()
    first = stack.push(outer)
    second = stack.push(inner)
    assert list(stack) == [outer, inner]
    assert stack.active() is elsewhere(stack) is inner
    close(stack, inner, second)
    assert stack.active() is elsewhere(stack) is outer
    close(stack, outer, first)
    assert stack.active() is elsewhere(stack) is None


def test_a_context_has_its_own(stack: Stack[Opened]) -> None:
    mine, theirs = Opened(), Opened()
    context = contextvars.Context()
    stack.push(mine)
    context.run(stack.push, theirs)
    assert stack.active() is mine
    assert context.run(stack.active) is elsewhere(stack) is theirs
    inner = Opened()
    token = stack.push(inner)
    assert stack.active() is elsewhere(stack) is inner
    close(stack, inner, token)
    assert stack.active() is mine
    assert context.run(stack.active) is elsewhere(stack) is theirs


def test_one_that_is_inserted_is_below_all(stack: Stack[Opened]) -> None:
    late, first = Opened(), Opened()
    token = stack.push(first)
    stack.insert(late)
    assert stack.active() is elsewhere(stack) is first
    close(stack, first, token)
    assert stack.active() is elsewhere(stack) is late


def test_those_that_are_closed_in_the_order_they_were_opened_in_are_gone(
    stack: Stack[Opened],
) -> None:
    outer, inner = Opened(), Opened()
    first = stack.push(outer)
    second = stack.push(inner)
    close(stack, outer, first)
    close(stack, inner, second)
    assert stack.active() is None
    left = weakref.ref(outer)
    del outer, first, second  # tokens hold what was before
    assert left() is None


def test_one_that_is_closed_in_another_context_is_gone_there(stack: Stack[Opened]) -> None:
    one = Opened()
    context = contextvars.copy_context()
    token = context.run(stack.push, one)
    close(stack, one, token)
    assert stack.active() is context.run(stack.active) is None


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_open_ones_are_told_of_forks_and_others_are_not(stack: Stack[Opened]) -> None:
    opened, ended = Opened(), Opened()
    stack.opened(opened)
    stack.opened(ended)
    stack.ended(ended)
    lock = stack.lock

    def child() -> None:
        assert stack.lock is not lock
        assert opened.told == ["before", "after"]
        assert ended.told == []

    with lock:
        assert os.waitpid(started(child), 0)[1] == 0
    assert opened.told == ["before"]
    assert stack.lock is lock
