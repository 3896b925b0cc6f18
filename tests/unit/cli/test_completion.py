"""``mxm-dataio completion``, and what a shell that runs it gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from mxm_dataio.cli import main
from tests.trust.small import fill
from tests.unit.cli.running import run


def offered(*words: str, incomplete: str = "") -> list[str]:
    complete = ShellComplete(main, {}, "mxm-dataio", "_MXM_DATAIO_COMPLETE")
    return [one.value for one in complete.get_completions(list(words), incomplete)]


def test_commands_and_options() -> None:
    assert offered(incomplete="s") == ["sessions", "show", "stats", "sql"]
    assert offered() == main.list_commands(None)
    assert "--source" in offered("sessions", incomplete="--so")


def test_sessions_and_sources(tmp_path: Path) -> None:
    ids = fill(tmp_path)
    found = offered("show", "--root", str(tmp_path))
    assert found == ["latest", *(one[-8:] for one in ids[::-1])]
    assert offered("show", "--root", str(tmp_path), incomplete="lat") == ["latest"]
    assert offered("requests", "--root", str(tmp_path), incomplete=ids[0][:30])[-1] == ids[0]
    assert offered("diff", "latest", "--root", str(tmp_path), incomplete=ids[1][-5:]) == []
    assert offered("sessions", "--root", str(tmp_path), "--source") == ["market"]
    assert offered("sessions", "--root", str(tmp_path), "--source", incomplete="x") == []


def test_where_nothing_is_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXM_DATAIO_ROOT", str(tmp_path / "none"))
    assert offered("show") == ["latest"]
    (tmp_path / "dataio.sqlite").write_bytes(b"no database" * 100)
    assert offered("show", "--root", str(tmp_path)) == ["latest"]
    monkeypatch.setenv("MXM_DATAIO_NONSENSE", "1")
    assert offered("show") == ["latest"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts(shell: str) -> None:
    shown = run("completion", shell)
    assert shown.exit_code == 0
    assert "_MXM_DATAIO_COMPLETE" in shown.stdout
    assert run("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(tmp_path: Path) -> None:
    fill(tmp_path)
    program = tmp_path / "mxm-dataio"
    program.write_text(
        f"#!{sys.executable}\nfrom mxm_dataio.cli import main\nmain(prog_name='mxm-dataio')\n"
    )
    program.chmod(0o755)
    script = (
        'eval "$(mxm-dataio completion bash)"\n'
        "COMP_WORDS=(mxm-dataio ses); COMP_CWORD=1\n"
        "_mxm_dataio_completion mxm-dataio\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("sessions\n", 0), done.stderr
