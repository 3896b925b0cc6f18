"""``python docs/tools/fill.py FOLDER``: the pages as they are built, with what the code says.

Into ``reference/cli.md`` goes the help of each command, as the command prints it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from click.testing import CliRunner

from mxm_dataio.cli.main import main as command_line

DOCS = Path(__file__).parents[1]
MARK = "<!-- The help of each command stands here"
WIDTH = 90


def main(folder: Path) -> None:
    """Copy the pages, and fill in what is made from the code."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("tools"))
    page = folder / "reference" / "cli.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.partition(MARK)[0] + commands(), encoding="utf-8")


def commands() -> str:
    """Return the help of every command as Markdown."""
    names = command_line.list_commands(None)
    return "\n".join(f"## {name}\n\n```text\n{printed(name)}\n```\n" for name in names)


def printed(name: str) -> str:
    """Return what a command prints of itself."""
    done = CliRunner().invoke(
        command_line, [name, "--help"], prog_name="mxm-dataio", terminal_width=WIDTH
    )
    assert done.exit_code == 0, done.output
    return done.output.rstrip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
