"""The fuzzing of the parsers in a short form; `make trust` goes on for longer."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trust import fuzz
from tests.trust.parsers import PARSERS, Parser


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("examples", [20, pytest.param(5_000, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_each_parser_keeps_to_what_it_owes(name: str, examples: int) -> None:
    one = PARSERS[name]

    @settings(max_examples=examples)
    @given(one.inputs)
    def check(value: object) -> None:
        one.check(value)

    check()


@pytest.fixture
def _alarm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_alarm")
def test_a_fault_is_found_and_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(value: int) -> None:
        if value > 70:
            raise KeyError("planted")

    monkeypatch.setitem(fuzz.PARSERS, "planted", Parser("planted", st.integers(), check))
    assert fuzz.main(["--seconds", "2", "--only", "planted", "--seed", "1", "--shrink"]) == 1
    said = capsys.readouterr().out
    assert "KeyError: 'planted'" in said
    assert "value=71" in said
    assert "1 parsers: " in said
    assert "1 faults found (seed 1" in said


@pytest.mark.usefixtures("_alarm")
def test_so_is_an_input_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(value: bool) -> None:
        if value:
            time.sleep(60)

    monkeypatch.setattr(fuzz, "_PATIENCE", 0.2)
    monkeypatch.setitem(fuzz.PARSERS, "slow", Parser("slow", st.booleans(), check))
    assert fuzz.main(["--seconds", "2", "--only", "slow"]) == 1
    assert "TimeoutError" in capsys.readouterr().out


@pytest.mark.usefixtures("_alarm")
def test_so_is_one_that_takes_more_than_its_size_allows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(value: bool) -> None:
        began = time.thread_time()
        while value and time.thread_time() < began + 0.2:
            pass

    monkeypatch.setattr(fuzz, "_ANY", 0.1)
    monkeypatch.setitem(fuzz.PARSERS, "slow", Parser("slow", st.booleans(), check))
    assert fuzz.main(["--seconds", "2", "--only", "slow"]) == 1
    assert "seconds for 4 characters" in capsys.readouterr().out


@pytest.mark.usefixtures("_alarm")
def test_without_a_fault_it_goes_on_for_as_long_as_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = time.monotonic()
    assert fuzz.main(["--seconds", "0.5", "--only", "prefixes", "--each"]) == 0
    assert time.monotonic() - start >= 0.5
    assert "0 faults found" in capsys.readouterr().out
