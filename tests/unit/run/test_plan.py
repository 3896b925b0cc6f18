"""What ``run`` is asked to do, by its command line."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from mxm_dataio import process
from mxm_dataio.config.faces import RUN as BY_RUN
from mxm_dataio.run import arguments
from mxm_dataio.run.arguments import (
    Options,
    Program,
    default_source,
    interpreter,
    label_of,
    parse,
)
from mxm_dataio.run.plan import plain


@pytest.fixture(autouse=True)
def _called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-m", "mxm_dataio.run", "…"])
    for name in list(os.environ):
        if name.startswith("MXM_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("words", "label", "arguments"),
    [
        (["prog.py", "-q", "--root", "x"], "prog.py", ["prog.py", "-q", "--root", "x"]),
        (["-m", "pack.tool", "-m", "x"], "-m pack.tool", ["-m", "pack.tool", "-m", "x"]),
        (["-mpack"], "-m pack", ["-mpack"]),
        (["-c", "code", "--json"], "-c", ["-c", "code", "--json"]),
        (["-ccode"], "-c", ["-ccode"]),
        (["-", "x"], "-", ["-", "x"]),
        (["./--odd", "--"], "./--odd", ["./--odd", "--"]),
    ],
)
def test_what_is_behind_the_program_is_its_own(
    words: list[str], label: str, arguments: list[str]
) -> None:
    for before in ([], ["--source", "s"], ["-q", "--root=r", "--json"], ["--source", "-m"]):
        options, program = parse([*before, *words])
        assert (program.label, program.path, program.python) == (label, sys.executable, True)
        assert program.arguments == ["python", "-X", "dev", *arguments]
        assert ("quiet" in options.flags) == ("-q" in before)


def test_a_command() -> None:
    options, program = parse(["--json", "--", "sh", "-c", "x", "--"])
    assert (program.label, program.path, program.python) == ("sh", "sh", False)
    assert program.arguments == ["sh", "-c", "x", "--"]
    assert options.flags == {"json"}


def test_options() -> None:
    options, _ = parse(
        ["--source=a=b", "--as-of", "2025-10-07", "--allow-host", "unix", "--allow-host=loopback",
         "--require-full-coverage", "--no-stdlib", "--source", "last", "prog.py"]
    )  # fmt: skip
    assert options.values == {"source": "last", "as-of": "2025-10-07"}
    assert options.settings()["allowed_hosts"] == "unix,loopback"
    assert options.flags == {"require-full-coverage", "no-stdlib"}


@pytest.mark.parametrize(
    ("words", "code", "folder"),
    [
        (["app/prog.py"], "app/prog.py", "app"),
        (["app/script"], "app/script", "app"),
        (["app"], "app", "app"),
        (["app.pyz"], "app.pyz", "app.pyz"),
        (["link.py"], "link.py", "app"),
        (["-m", "app.prog"], "-m app.prog", "."),
        (["-c", "code"], "-c", "."),
        (["-"], "-", "."),
        (["--", "python3", "-X", "dev", "app/prog.py"], "app/prog.py", "app"),
        (["--", "/usr/bin/python", "-m", "prog"], "-m prog", "."),
        (["--", "./nightly.sh", "app/prog.py"], "-", "."),
    ],
)
def test_where_a_program_finds_its_modules(
    words: list[str], code: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "link.py").symlink_to(tmp_path / "app" / "prog.py")
    _, program = parse(words)
    assert (program.code, program.folder) == (code, str(tmp_path / folder))


def test_what_counts() -> None:
    options, _ = parse(
        ["--ignore-host", "a.test", "--ignore-host=loopback", "--no-match-host", "--ignore-param",
         "$.meta.ts", "--ignore-body-of", "*/rpc", "--view", "views:same", "prog.py"]
    )  # fmt: skip
    assert options.settings() == {
        "ignore_hosts": "a.test,loopback", "match_host": False, "ignore_params": "$.meta.ts",
        "ignore_body_of": "*/rpc", "view": "views:same",
    }  # fmt: skip
    # Each message that names one of these says what can be typed.
    for name, value, typed in (
        ("ignore_hosts", ["a", "b"], "--ignore-host a --ignore-host b"),
        ("ignore_body_of", ["*/rpc"], "--ignore-body-of '*/rpc'"),
        ("match_host", False, "--no-match-host"),
        ("view", "views:same", "--view views:same"),
    ):
        assert BY_RUN.says(name, value) == typed


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("prog.py --mode replay x", "--mode replay prog.py x"),
        ("--root r prog.py a --json --ttl=1h", "--root r --json --ttl=1h prog.py a"),
        ("-m prog --as-of 2025-01-01", "--as-of 2025-01-01 -m prog"),
        ("-c pass --source 'a b'", "--source 'a b' -c pass"),
        ("prog.py --page 2", ""),
        ("--mode record prog.py --mode x", ""),
        ("-q prog.py --mode x", ""),
        ("prog.py -- --mode x", ""),
        ("-- python prog.py --mode x", ""),
        ("-m prog --", ""),
        ("prog.py --require-full-coverage=1", ""),
    ],
)
def test_options_behind_the_program(
    line: str, moved: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STANDARD", process._standard())
    _, program = parse(shlex.split(line))
    # The program gets them, whatever is said.
    assert program.arguments[-1] == shlex.split(line)[-1]
    said = capfd.readouterr().err
    assert (f"mxm-dataio run: mxm-dataio run {moved}\n" if moved else "") in said
    assert bool(said) == bool(moved)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "name a program to run"),
        (["--quiet"], "name a program to run"),
        (["--"], "name a command behind the --"),
        (["-m"], "name what to run behind -m"),
        (["--sources", "x", "prog.py"], "no such option: --sources; did you mean --source?"),
        (["-x", "prog.py"], "no such option: -x"),
        (["--root"], "--root needs a value: DIR"),
        (["--json=1", "prog.py"], "--json takes no value"),
    ],
)
def test_what_can_not_be_understood(
    words: list[str],
    why: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_STANDARD", process._standard())
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"mxm-dataio: error: {why}")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_names_every_option(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--source", "x", word, "prog.py"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in arguments._OPTIONS:
        assert f"{name} " in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("line", "flags", "label"),
    [
        ("python prog", "", "prog"),
        ("/bin/python3 -O -m mod x", "-O", "-m mod"),
        ("python -Bm mod", "-B", "-m mod"),
        ("python -OBumod -X x", "-OBu", "-m od"),
        ("python -W error -Xdev -X utf8 -m mod", "-W error -Xdev -X utf8", "-m mod"),
        ("python -uW error script -I", "-uW error", "script"),
        (
            "python --check-hash-based-pycs never -I script",
            "--check-hash-based-pycs never -I",
            "script",
        ),
        ("python -c code -O", "", "-c"),
        ("python -Ic code", "-I", "-c"),
        ("python - -O", "", "-"),
        ("python", "", "-"),
        ("python -i", "-i", "-"),
    ],
)
def test_how_the_interpreter_was_called(line: str, flags: str, label: str) -> None:
    words = line.split()
    name, found, rest = interpreter(words)
    assert (name, found, label_of(rest)) == (words[0], flags.split(), label)


@pytest.mark.parametrize(
    ("program", "source"),
    [
        ("scraper.py", "scraper"),
        ("/srv/jobs/nightly-prices.py", "nightly-prices"),
        ("./folder", "folder"),
        ("folder/", "folder"),
        ("folder/__main__.py", "folder"),
        ("app.pyz", "app"),
        ("-m pack", "pack"),
        ("-m pack.sub.tool", "pack.sub.tool"),
        ("-m pack.__main__", "pack"),
        ("-c", "c"),
        ("-", "program"),
        ("", "program"),
        ("/usr/bin/curl", "curl"),
        ("multiprocessing", "multiprocessing"),
    ],
)
def test_the_source_is_named_after_the_program(program: str, source: str) -> None:
    assert default_source(program) == source


def test_what_the_command_line_says_alone() -> None:
    program = Program("prog.py", "python", ["python"], python=True)
    options, _ = parse(["--root", "~/r", "--allow-host", "unix", "--no-stdlib", "prog.py"])
    made = plain(options, program)
    assert made is not None
    assert (made.mode, made.source, made.as_of, made.session) == ("record", "prog", None, None)
    assert made.settings == {
        "root": os.path.expanduser("~/r"), "stdlib": False, "watch": True,  # noqa: PTH111
        "allowed_hosts": "unix",
    }  # fmt: skip


def test_the_root_is_absolute_and_may_be_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("prog.py", "python", ["python"], python=True)
    monkeypatch.setenv("MXM_DATAIO_ROOT", "below")
    monkeypatch.setenv("MXM_DATAIO_SOURCE", "named")
    made = plain(Options(), program)
    assert made is not None
    assert made.settings["root"] == os.path.abspath("below")  # noqa: PTH100
    assert made.source == "named"
    monkeypatch.delenv("MXM_DATAIO_ROOT")
    monkeypatch.setenv("MXM_DATA_ROOT", "/data")
    made = plain(Options(), program)
    assert made is not None
    assert made.settings["root"] == "/data/dataio"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--mode", "replay"], {}),
        (["--as-of", "2025-10-07"], {}),
        (["--session", "01"], {}),
        ([], {"MXM_DATAIO_TTL": "1"}),
        ([], {"MXM_DATAIO_CONFIG": "x"}),
        ([], {"MXM_DATAIO_TYPO": "x"}),
    ],
)
def test_what_more_there_is_is_looked_at_before(
    words: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    options, program = parse([*words, "prog.py"])
    assert plain(options, program) is None
