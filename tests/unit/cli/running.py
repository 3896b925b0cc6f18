"""Runs commands as a pipe and a terminal see them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mxm_dataio.cli import main, output

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def run(*arguments: object) -> Result:
    """Run a command into a pipe; anything but an exit is a failure of the test."""
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(*arguments: object) -> list[list[str]]:
    """Run a command that finds all well; return the fields of its lines."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert "\x1b" not in result.stdout
    return [line.split("\t") for line in result.stdout.splitlines()]


def values(*arguments: object) -> list[dict[str, Any]]:
    """Run a command with ``--json``; return its lines."""
    return [json.loads(line) for line in run(*arguments, "--json").stdout.splitlines()]


Screen = Callable[..., list[str]]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return what runs a command on a terminal, and returns its lines without colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")

    def shown(*arguments: object, width: int = 80, status: int = 0) -> list[str]:
        monkeypatch.setattr(output, "width", lambda: width)
        result = run(*arguments)
        assert result.exit_code == status, result.output
        assert "\x1b[" in result.stdout
        lines = ESCAPE.sub("", result.stdout).splitlines()
        assert not any("\x1b" in line for line in lines)
        return lines

    return shown


def fits(lines: list[str], width: int = 80) -> bool:
    """Say whether no line is wider than the terminal."""
    return max(map(len, lines)) <= width
