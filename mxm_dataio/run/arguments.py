"""What ``run`` is asked to do: its options, and the program.

The program waits for this, so it loads little.
"""

from __future__ import annotations

import os
import sys

from ..process import AS_OF, SESSION, SOURCE, output_ended, say

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

MISUSED = 2
FULL = "require-full-coverage"
# Option → what stands for its value, if it has one, and help.
_OPTIONS = {
    "--source": ("NAME", "data source; by default the program's name"),
    "--root": ("DIR", "folder of the store"),
    "--mode": ("MODE", "record (default), replay, auto, off, once"),
    "--as-of": ("DATE", "date the data stand for; in replay the latest that counts"),
    "--session": ("ID", "replay exactly this session: latest, latest~1, or (part of) its id"),
    "--ttl": ("TIME", "for which auto takes an answer as fresh: 90s, 15m, 1h, 30d"),
    "--reuse": ("WHAT", "status (404, 4xx) or method that auto may serve; repeatable"),
    "--stale-if-error": ("TIME", "for which a stale answer serves if its source fails, or yes"),
    "--ignore-param": ("NAME", "what does not count: ts, $.meta.ts, path:/tmp/*; repeatable"),
    "--ignore-host": ("HOST", "host whose calls are neither recorded nor missed; repeatable"),
    "--ignore-body-of": ("PATTERN", "URLs of which method and URL alone count; repeatable"),
    "--match-header": ("NAME", "header that counts besides; repeatable"),
    "--no-match-host": ("", "host and port do not count"),
    "--view": ("MODULE:FUNCTION", "what calls are compared by, as view= of a session"),
    "--allow-host": ("HOST", "host that uncaptured or left out calls reach in replay; repeatable"),
    f"--{FULL}": ("", "exit 1 if anything went past capture"),
    "--no-stdlib": ("", "leave out http.client and urllib.request"),
    "--durability": ("WHAT", "process (default) or power: what each call survives"),
    "--max-body": ("BYTES", "keep so much of an answer's body"),
    "--push": ("URL", "push to this archive once the program has ended: s3://bucket/prefix"),
    "--quiet": ("", "print no summary"),
    "--json": ("", "print the summary as one line of JSON"),
}  # fmt: skip
# Those that may be repeated, and the settings that they are.
_LISTS = {
    "--allow-host": "allowed_hosts", "--ignore-param": "ignore_params", "--reuse": "reuse",
    "--ignore-host": "ignore_hosts", "--ignore-body-of": "ignore_body_of",
    "--match-header": "match_headers",
}  # fmt: skip
# Those without a value that switch a setting off.
_OFF = {"no-stdlib": "stdlib", "no-match-host": "match_host"}
_SHORT = {"-q": "--quiet"}
_ARGUMENTS = {"source": SOURCE, "as-of": AS_OF, "session": SESSION}
_NAME = "mxm-dataio run"
_USAGE = f"usage: {_NAME} [options] (script.py | -m module | -c code | -- command) ARGS"
_HELP = """
Run a program, unchanged, and record the calls that it and the Python processes it starts make,
or replay them. The program's exit status is passed on.
"""
_MORE = """
Examples:
  mxm-dataio run --source prices scraper.py 2025-10-07
  mxm-dataio run --mode replay -m package.tool --flag
  mxm-dataio run -- ./nightly.sh

Exit status 1 also stands for a replay in which a call was missed, and for coverage that is not full
where that is required; 2 for a run that could not start."""


class Options:
    """The options, as they were given.

    Attributes:
        values: by name, without the dashes.
        lists: of those that may be repeated, by setting.
        flags: those that have no value.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.flags: set[str] = set()

    def argument(self, name: str) -> str | None:
        """Return an argument of the sessions' that is no setting, else the environment's."""
        return self.values.get(name) or os.environ.get(_ARGUMENTS[name]) or None

    def settings(self) -> dict[str, Any]:
        """Return the settings that are given."""
        found: dict[str, Any] = {
            name.replace("-", "_"): value
            for name, value in self.values.items()
            if name not in _ARGUMENTS
        }
        # A value may hold several, with commas between.
        found |= {name: ",".join(given) for name, given in self.lists.items()}
        return found | {name: False for flag, name in _OFF.items() if flag in self.flags}


class Program:
    """What is to run.

    Attributes:
        label: the script, ``-m module`` or command, without its arguments.
        path: the executable.
        arguments: its own name first.
        python: it is a program of this interpreter's.
    """

    def __init__(self, label: str, path: str, arguments: Sequence[str], *, python: bool) -> None:
        self.label = label
        self.path = path
        self.arguments = list(arguments)
        self.python = python

    @property
    def code(self) -> str:
        """What an interpreter is to run, as :func:`label_of` has it; ``-`` of another command."""
        if self.python:
            return self.label
        is_python = os.path.basename(self.label).startswith("python")
        return label_of(interpreter(self.arguments)[2]) if is_python else "-"

    @property
    def folder(self) -> str:
        """The first entry of its ``sys.path``, as far as that is known."""
        code = self.code
        if code.startswith("-"):
            return os.getcwd()
        path = os.path.realpath(code)
        # A folder, or an archive, is its own.
        own = os.path.isdir(path) or path.endswith((".pyz", ".zip"))
        return path if own else os.path.dirname(path)


# -- the command line --------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> tuple[Options, Program]:
    """Return the options of a command line, and the program behind them.

    Raises:
        SystemExit: help was asked for, or it can't be understood; that was printed.
    """
    options = Options()
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word in ("--", "-") or not word.startswith("-") or word[:2] in ("-m", "-c"):
            break
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in ("-h", "--help"):
            _help()
        if name not in _OPTIONS:
            _misused(f"no such option: {name}{_nearest(name)}")
        at += 1
        if not _OPTIONS[name][0]:
            if equals:
                _misused(f"{name} takes no value")
            options.flags.add(name[2:])
            continue
        if not equals:
            if at == len(arguments):
                _misused(f"{name} needs a value: {_OPTIONS[name][0]}")
            value = arguments[at]
            at += 1
        if name in _LISTS:
            options.lists.setdefault(_LISTS[name], []).append(value)
        else:
            options.values[name[2:]] = value
    program = _program(arguments[at:])
    if program.python and "quiet" not in options.flags:
        _warn_behind(arguments[:at], arguments[at:], options)
    return options, program


def _warn_behind(before: Sequence[str], words: Sequence[str], options: Options) -> None:
    """Warn of options of ours that stand behind the program, which gets them."""
    given = {*options.values, *options.flags}
    at = 2 if words[0] in ("-m", "-c") else 1
    ours: list[str] = []
    left = list(words[:at])
    while at < len(words):
        word = words[at]
        name, equals, _ = word.partition("=")
        at += 1
        if word == "--":
            left += words[at - 1 :]
            break
        if name not in _OPTIONS or name[2:] in given or (not _OPTIONS[name][0] and equals):
            left.append(word)
            continue
        ours.append(word)
        if _OPTIONS[name][0] and not equals:
            ours += words[at : at + 1]
            at += 1
    if ours:
        import shlex  # for a warning alone

        say(
            f"warning: the program gets {shlex.join(ours)}, which stands behind it; if it is for "
            f"{_NAME}: {_NAME} {shlex.join([*before, *ours, *left])}"
        )


def _program(words: Sequence[str]) -> Program:
    first, *rest = words or ("",)
    if first == "--":
        if not rest or not rest[0]:
            _misused("name a command behind the --")
        return Program(rest[0], rest[0], rest, python=False)
    if first in ("-m", "-c") and not rest:
        _misused(f"name what to run behind {first}")
    if not first:
        _misused("name a program to run")
    name, flags, _ = interpreter(sys.orig_argv)
    return Program(label_of(words), sys.executable, (name, *flags, *words), python=True)


def label_of(words: Sequence[str]) -> str:
    """Return what an interpreter runs by these words, without arguments."""
    first, *rest = words or ("-",)
    if first[:2] == "-m":
        return f"-m {first[2:] or ''.join(rest[:1])}"
    return "-c" if first[:2] == "-c" else first


def interpreter(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Return name and options with which an interpreter was called, and the words behind them."""
    flags: list[str] = []
    before: list[str] = []
    at = 1
    while at < len(arguments):
        word = arguments[at]
        if not word.startswith("-") or word in ("-", "--"):
            break
        at += 1
        takes = word == "--check-hash-based-pycs"
        if not word.startswith("--"):
            # Letters may stand together; behind one of these comes its value.
            ends = next((i for i, letter in enumerate(word) if letter in "mcWX"), 0)
            if ends and word[ends] in "mc":
                flags += [word[:ends]] * (ends > 1)
                before = [f"-{word[ends:]}"]
                break
            takes = ends > 0 and ends == len(word) - 1
        flags.append(word)
        if takes:
            flags += arguments[at : at + 1]
            at += 1
    return arguments[0], flags, [*before, *arguments[at:]]


def _help() -> NoReturn:
    short = {name: f"{letter}, " for letter, name in _SHORT.items()}
    lines = [
        f"  {short.get(name, '')}{name} {value}".rstrip().ljust(27) + help
        for name, (value, help) in _OPTIONS.items()
    ]
    try:
        print("\n".join([_USAGE, _HELP, *lines, "  -h, --help".ljust(27) + "print this", _MORE]))
        sys.stdout.flush()
    except OSError as exc:
        raise SystemExit(output_ended(exc)) from None
    raise SystemExit(0)


def _misused(why: str) -> NoReturn:
    say(f"error: {why}\n{_USAGE}\nTry '{_NAME} --help'.")
    raise SystemExit(MISUSED)


def _nearest(name: str) -> str:
    import difflib  # for an error alone

    found = difflib.get_close_matches(name, list(_OPTIONS), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def default_source(program: str) -> str:
    """Return the name of a source after the program that calls it: its own, without an ending."""
    name = program.removeprefix("-m ")
    if name == program:
        folder, base = os.path.split(name.rstrip("/"))
        base = os.path.splitext(base)[0]
        name = os.path.basename(folder) if base == "__main__" else base
    return name.removesuffix(".__main__").strip("-") or "program"
