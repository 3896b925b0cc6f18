"""What a child process is called, and which ones capture themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mxm_dataio.coverage.child_processes import is_captured, name_of

AUTO = {"MXM_DATAIO_AUTO": "source=x", "PATH": "/bin:/usr/bin"}
PYTHON = sys.executable

COMMANDS = {
    "curl -s http://user:secret@x | jq . > out": "sh (curl, jq)",
    "cd /x && curl y": "sh (curl)",
    "TOKEN=secret curl y": "sh (curl)",
    "echo secret": "/bin/sh",
    "for i in 1 2; do curl $i; done": "sh (curl)",
    "if [ -f x ]; then wget y; else curl z; fi": "sh (wget, curl)",
    "curl 'unterminated": "/bin/sh",
    "(curl a; curl b) &": "sh (curl)",
    "x=$(curl a)": "sh (curl)",
    "'two words' --x": "/bin/sh",
    "/usr/bin/curl x": "sh (/usr/bin/curl)",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_shell_runs_is_named_without_its_arguments(command: str) -> None:
    assert name_of("/bin/sh", ("/bin/sh", "-c", command)) == COMMANDS[command]


def test_any_other_is_its_executable() -> None:
    assert name_of("curl", ("curl", "-H", "Authorization: secret")) == "curl"
    assert name_of("/bin/bash", ("bash", "script.sh", "-c")) == "/bin/bash"


CAPTURED = [
    (PYTHON,),
    (PYTHON, "-c", "import requests", "-I"),
    (PYTHON, "-m", "package", "-E"),
    (PYTHON, "-u", "-W", "-I", "-X", "dev", "script.py"),
    ("/bin/sh", "-c", f"{PYTHON} script.py"),
    ("/bin/sh", "-c", f"cd /tmp && X=1 {PYTHON} -c 'import requests'"),
]
NOT_CAPTURED = [
    ("curl", "http://x"),
    ("no-such-program",),
    (PYTHON, "-I", "script.py"),
    (PYTHON, "-sE", "script.py"),
    (PYTHON, "-uS", "-c", "pass"),
    ("/bin/sh", "-c", f"curl x | {PYTHON} script.py"),
    ("/bin/sh", "-c", f"{PYTHON} script.py $(curl x)"),
    ("/bin/sh", "-c", f"{PYTHON} -I script.py"),
    ("/bin/sh", "-c", "true"),
    ("/bin/sh", "script.sh"),
]


@pytest.mark.parametrize("arguments", CAPTURED)
def test_a_python_like_this_one_captures_itself(arguments: tuple[str, ...]) -> None:
    assert is_captured(arguments[0], arguments, AUTO)
    assert is_captured(arguments[0], arguments, {k.encode(): v for k, v in AUTO.items()})
    assert not is_captured(arguments[0], arguments, {"PATH": "/bin"}), "it is not told to"
    assert not is_captured(arguments[0], arguments, {"MXM_DATAIO_AUTO": ""})


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is on PYTHONPATH alone."""
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize("arguments", NOT_CAPTURED)
def test_others_do_not(arguments: tuple[str, ...]) -> None:
    assert not is_captured(arguments[0], arguments, AUTO)


@pytest.mark.usefixtures("uninstalled")
def test_where_it_is_installed_an_isolated_one_does(tmp_path: Path) -> None:
    isolated, bare = (PYTHON, "-I", "-c", "pass"), (PYTHON, "-IS", "-c", "pass")
    assert not is_captured(PYTHON, isolated, AUTO)
    (tmp_path / "mxm_dataio.pth").touch()
    assert is_captured(PYTHON, isolated, AUTO)
    assert not is_captured(PYTHON, bare, AUTO)


def test_the_environment_is_this_process_s_if_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MXM_DATAIO_AUTO", raising=False)
    assert not is_captured(PYTHON, (PYTHON,))
    monkeypatch.setenv("MXM_DATAIO_AUTO", "1")
    assert is_captured(PYTHON, (PYTHON,))


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize(
    ("line", "captures"),
    [
        (f"#!{PYTHON}\n", True),
        (f"#!{PYTHON} -I\n", False),
        (f"#!/usr/bin/env {PYTHON}\n", True),
        ("#!/bin/sh\n", False),
        ("#!\n", False),
        ("\x7fELF", False),
    ],
)
def test_a_script_is_what_runs_it(line: str, captures: bool, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(line)
    script.chmod(0o755)
    assert is_captured(str(script), (str(script),), AUTO) is captures


def test_a_python_of_another_environment_does_not(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    other = tmp_path / "bin" / Path(PYTHON).name
    other.symlink_to(Path(PYTHON).resolve())
    assert not is_captured(str(other), (str(other),), AUTO)
