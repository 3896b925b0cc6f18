"""Which of the open sessions captures a call."""

from __future__ import annotations

import asyncio
import contextvars
import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mxm_dataio.concurrency import mutex
from mxm_dataio.ingest.active import Stack
from tests.support.forks import started


class Opened:
    def __init__(self, *, is_off: bool = False) -> None:
        self.is_open = True
        self.suspended = False
        self.is_off = is_off
        self.told: list[str] = []

    def before_fork(self) -> None:
        self.told.append("before")

    def after_fork(self) -> None:
        self.told.append("after")


class UndecidedError(Exception):
    pass


@pytest.fixture(scope="module")
def stack() -> Stack[Opened]:
    # One for all: what it has registered to be told of forks stays for ever.
    return Stack("tested", UndecidedError)


@pytest.fixture(autouse=True)
def _in_a_context_of_its_own(stack: Stack[Opened]) -> Iterator[None]:
    yield
    for one in stack:
        stack.remove(one)
        one.is_open = False
        stack.restore(one, None)


def elsewhere(stack: Stack[Opened]) -> Opened | None:
    """Return what captures in a thread, whose context is new."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(stack.active).result()


def close(stack: Stack[Opened], one: Opened, token: contextvars.Token[Opened | None]) -> None:
    stack.remove(one)
    one.is_open = False
    stack.restore(one, token)


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
    # In one thread, one after the other: fixtures in a loop's context and in the test's.
    context.run(stack.push, theirs)
    assert stack.active() is mine
    assert context.run(stack.active) is elsewhere(stack) is theirs
    inner = Opened()
    token = stack.push(inner)
    assert stack.active() is elsewhere(stack) is inner
    close(stack, inner, token)
    assert stack.active() is mine
    assert context.run(stack.active) is elsewhere(stack) is theirs


class Beside:
    """A thread that opens and closes sessions when it is told to."""

    def __init__(self, stack: Stack[Opened]) -> None:
        self._stack = stack
        self._thread = ThreadPoolExecutor(1)
        self._tokens: dict[Opened, contextvars.Token[Opened | None]] = {}

    def open(self, one: Opened) -> None:
        self._tokens[one] = self._thread.submit(self._stack.push, one).result()

    def close(self, one: Opened) -> None:
        self._thread.submit(close, self._stack, one, self._tokens.pop(one)).result()

    def active(self) -> Opened | None:
        return self._thread.submit(self._stack.active).result()

    def context(self) -> contextvars.Context:
        return self._thread.submit(contextvars.copy_context).result()


@pytest.fixture
def beside(stack: Stack[Opened]) -> Beside:
    return Beside(stack)


def test_of_two_side_by_side_none_is_chosen(stack: Stack[Opened]) -> None:
    first, second, a, b, inner = Beside(stack), Beside(stack), Opened(), Opened(), Opened()
    first.open(a)
    assert elsewhere(stack) is a
    second.open(b)
    second.open(inner)
    assert (first.active(), second.active()) == (a, inner)
    with pytest.raises(UndecidedError) as caught:
        elsewhere(stack)
    assert caught.value.args == ((a, inner),)
    copied = second.context()
    assert copied.run(stack.active) is inner
    second.close(inner)
    assert copied.run(lambda: second.active()) is b
    # A pool of the first's may be at work when that has ended.
    first.close(a)
    with pytest.raises(UndecidedError) as caught:
        elsewhere(stack)
    assert caught.value.args == ((b,),)
    assert second.active() is b
    second.close(b)
    assert elsewhere(stack) is None
    first.open(last := Opened())
    assert elsewhere(stack) is last
    first.close(last)


def test_the_main_thread_s_is_around_all(stack: Stack[Opened], beside: Beside) -> None:
    outer, theirs = Opened(), Opened()
    token = stack.push(outer)
    beside.open(theirs)
    with pytest.raises(UndecidedError):
        elsewhere(stack)
    beside.close(theirs)
    assert elsewhere(stack) is outer
    beside.open(theirs := Opened())
    close(stack, outer, token)
    with pytest.raises(UndecidedError):
        elsewhere(stack)
    assert beside.active() is theirs
    beside.close(theirs)


def test_a_copied_context_outlives_its_session(stack: Stack[Opened], beside: Beside) -> None:
    ended, other = Opened(), Opened()
    beside.open(ended)
    context = beside.context()
    beside.close(ended)
    second = Beside(stack)
    second.open(other)
    with ThreadPoolExecutor(1) as pool, pytest.raises(UndecidedError):
        pool.submit(context.run, stack.active).result()
    second.close(other)
    token = stack.push(outer := Opened())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.run, stack.active).result() is outer
    close(stack, outer, token)


def test_those_that_let_all_pass_are_no_rivals(stack: Stack[Opened]) -> None:
    first, second = Beside(stack), Beside(stack)
    first.open(a := Opened(is_off=True))
    second.open(b := Opened(is_off=True))
    assert elsewhere(stack) is b
    first.close(a)
    second.close(b)


def test_tasks_are_side_by_side(stack: Stack[Opened]) -> None:
    async def task(one: Opened, barrier: asyncio.Barrier) -> None:
        token = stack.push(one)
        await barrier.wait()
        assert stack.active() is one
        assert await asyncio.to_thread(stack.active) is one
        with pytest.raises(UndecidedError):
            await asyncio.get_running_loop().run_in_executor(None, stack.active)
        await barrier.wait()
        close(stack, one, token)

    async def both() -> None:
        barrier = asyncio.Barrier(2)
        await asyncio.gather(task(Opened(), barrier), task(Opened(), barrier))

    asyncio.run(both())


def test_a_fixture_s_task_that_is_done_is_around_what_comes_later(stack: Stack[Opened]) -> None:
    async def fixture() -> None:
        stack.push(Opened())

    async def test() -> None:
        token = stack.push(inner := Opened())
        assert await asyncio.get_running_loop().run_in_executor(None, stack.active) is inner
        close(stack, inner, token)

    with asyncio.Runner() as runner:
        runner.run(fixture())
        runner.run(test())


def test_a_suspended_one_captures_nothing(stack: Stack[Opened]) -> None:
    wide, test = Opened(), Opened()
    token = stack.push(wide)
    copied = contextvars.copy_context()
    stack.remove(wide)
    wide.suspended = True
    stack.restore(wide, token)
    assert stack.active() is copied.run(stack.active) is None
    token = stack.push(test)
    assert stack.active() is copied.run(stack.active) is elsewhere(stack) is test
    wide.suspended = False
    stack.push(wide)
    assert stack.active() is copied.run(stack.active) is wide
    close(stack, test, token)
    assert stack.active() is wide


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
    lock = mutex.lock

    def child() -> None:
        assert mutex.lock is not lock
        assert opened.told == ["before", "after"]
        assert ended.told == []

    with lock:
        assert os.waitpid(started(child), 0)[1] == 0
    assert opened.told == ["before"]
    assert mutex.lock is lock
