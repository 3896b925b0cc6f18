"""What a child process is called, and whether it captures its own calls."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..process import AUTO

_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
# Words that a command may follow, and those which the shell does itself, with all behind them.
_BEFORE = frozenset(
    (
        "!", "{", "do", "elif", "else", "if", "then", "time", "until", "while",
    )
)  # fmt: skip
_BUILTINS = frozenset(
    (
        ":", "[", "alias", "break", "case", "cd", "continue", "done", "echo", "esac",
        "exit", "export", "false", "fi", "for", "function", "in", "kill", "local", "printf",
        "pwd", "read", "return", "set", "shift", "test", "trap", "true", "type", "ulimit",
        "umask", "unset", "wait", "}",
    )
)  # fmt: skip
_WORD = re.compile(r"[\w./+-]{1,64}")
_ASSIGNMENT = re.compile(r"\w+=")
_BEHIND = re.compile(r"^[;&|()]+$")
# Words in a command may come from anywhere, then.
_NESTED = re.compile(r"[`\n]|\$\(|<<|\b(eval|exec|source|xargs|env|sudo|nohup|timeout)\b|^\s*\.\s")
# What has a Python capture itself as it starts, in site-packages or on PYTHONPATH; the options by
# which it takes no notice of either, and those by which it takes none of PYTHONPATH.
_PTH = "mxm_dataio.pth"
_WITHOUT_SITE, _WITHOUT_ENVIRONMENT = "S", "EI"
_SHEBANG = 256


def name_of(executable: str, arguments: tuple[str, ...]) -> str:
    """Return what to call a child process: its executable, and what a shell runs.

    Arguments are left out, since they may be secret.
    """
    command = _command(executable, arguments)
    if command is None:
        return executable
    words = list(dict.fromkeys(_programs(command)))
    return f"{Path(executable).name} ({', '.join(words)})" if words else executable


def is_captured(
    executable: str, arguments: tuple[str, ...], environment: Mapping[Any, Any] | None = None
) -> bool:
    """Say whether a child is a Python like this one, told by its environment to capture itself.

    Args:
        environment: that it is given; ``None``: that of this process.
    """
    known = os.environ if environment is None else environment
    if not any(os.fsdecode(name) == AUTO and value for name, value in known.items()):
        return False
    command = _command(executable, arguments)
    if command is None:
        return _is_python(executable, arguments)
    if _NESTED.search(command):
        return False
    parts = list(_commands(command))
    return bool(parts) and all(_is_python(part[0], tuple(part)) for part in parts)


def _command(executable: str, arguments: tuple[str, ...]) -> str | None:
    """Return what a shell is to run, if a shell it is."""
    if Path(executable).name not in _SHELLS or len(arguments) < 3 or arguments[1] != "-c":
        return None
    return arguments[2]


def _programs(command: str) -> Iterator[str]:
    for words in _commands(command):
        if _WORD.fullmatch(words[0]):
            yield words[0]


def _commands(command: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, without what the shell does itself."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    builtin = False
    try:
        for word in [*lexer, ";"]:
            if _BEHIND.match(word):
                if words:
                    yield words
                words, builtin = [], False
            elif words:
                words.append(word)
            elif not (builtin or word in _BEFORE or _ASSIGNMENT.match(word)):
                builtin = word in _BUILTINS
                words = [] if builtin else [word]
    except ValueError:
        # A quote without its end: the shell will say so.
        return


def _is_python(executable: str, arguments: tuple[str, ...]) -> bool:
    path = shutil.which(executable)
    if path is None:
        return False
    if _is_this_python(path):
        return not _isolated(arguments[1:])
    words = _interpreter(Path(path))
    interpreter = shutil.which(words[0]) if words else None
    return (
        interpreter is not None and _is_this_python(interpreter) and not _isolated(tuple(words[1:]))
    )


def _is_this_python(path: str) -> bool:
    """Say whether a path is this Python, in this environment: the folder makes that."""
    own = Path(sys.executable or "/")
    found = Path(path)
    return found.parent.resolve() == own.parent.resolve() and found.resolve() == own.resolve()


def _isolated(options: tuple[str, ...]) -> bool:
    """Say whether a Python with these options does not capture itself."""
    isolating = _WITHOUT_SITE if _installed() else _WITHOUT_SITE + _WITHOUT_ENVIRONMENT
    takes = False
    for option in options:
        if takes:
            takes = False
            continue
        if not option.startswith("-") or option in ("-", "--") or option.startswith("--"):
            return False
        for letter in option[1:]:
            if letter in isolating:
                return True
            if letter in "cm":
                return False
            if letter in "WX":
                takes = option.endswith(letter)
                break
    return False


def _installed() -> bool:
    return any(Path(folder, _PTH).is_file() for folder in site.getsitepackages())


def _interpreter(path: Path) -> list[str]:
    """Return the words of a script's first line (``#!/usr/bin/env python3``)."""
    try:
        with path.open("rb") as file:
            line = file.readline(_SHEBANG)
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    words = os.fsdecode(line[2:]).split()
    return words[1:] if words and Path(words[0]).name == "env" else words
