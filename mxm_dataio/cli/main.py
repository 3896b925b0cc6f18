"""``mxm-dataio``: the terminal's face of the library, for which ``[cli]`` installs click and rich.

Exit status: 0, fine; 1, something wrong was found; 2, called wrongly, or there is nothing to read.
Results go to standard output, with ``--json`` as JSON lines; progress and errors to standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

try:
    import click
except ImportError:
    sys.stderr.write("mxm-dataio: the command line needs: pip install 'mxm-dataio[cli]'\n")
    raise SystemExit(2) from None

from ..errors import DataIOError, IntegrityError
from ..process import output_ended
from .output import MISUSED, WRONG, fail

# Command → its module, its name there, and the first line of its help, in the order in which help
# lists them: to list them loads none of them.
_COMMANDS = {
    "run": ("run", "run_command", "Run a program, unchanged, and record its calls or replay them"),
    "sessions": ("sessions", "sessions", "List the sessions, oldest first"),
    "requests": ("requests", "requests", "List calls, of a session or all"),
    "show": ("show", "show", "Show a session, or a call with its headers, times and bodies"),
    "diff": ("diff", "diff", "Compare two sessions, or two calls"),
    "stats": ("stats", "stats", "Print calls, errors, bytes and latencies, host by host"),
    "sql": ("sql", "sql", "Ask in SQL, of calls and sessions as tables"),
    "coverage": (
        "coverage",
        "coverage_command",
        "Say what a session captured, and what went past it",
    ),
    "report": ("report", "report_command", "Write a page on a session"),
    "verify": ("verify", "verify_command", "Check that what is stored is what was recorded"),
    "head": ("heads", "head", "Print one line that stands for every session that has ended"),
    "prove": ("heads", "prove", "Print a proof that a session is among those of a head"),
    "export": ("export", "export", "Write a session to a cassette, or as a table"),
    "import": ("import_", "import_command", "Convert recordings of other tools"),
    "push": ("push", "push", "Push sessions that have ended to a shared archive"),
    "index": ("index", "index", "Find calls of a shared archive by their hash sooner"),
    "pull": ("pull", "pull", "Pull sessions from a shared archive into a root"),
    "forget": ("forget", "forget", "Have one recorded call answer none any more"),
    "prune": ("prune", "prune", "Delete sessions, and payloads that no record names"),
    "demo": ("demo", "demo", "Record a small scraper, stop its server, and replay it"),
    "completion": ("completion", "completion", "Print a script that has a shell complete these"),
}


class _Group(click.Group):
    """The commands, each loaded when it is called: one is not to wait for what another needs."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f".commands.{module}", __package__), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, _, about) in _COMMANDS.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return the commands and options that begin so."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=about)
            for name, (_, _, about) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the command line, and print help if that is asked for."""
        if sys.stdout is None:
            # Closed by who has called it. It has the number, which no other file is to get.
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        with _output():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; our errors end it with their message and status, not with a traceback."""
        with _output():
            try:
                return super().invoke(ctx)
            except DataIOError as exc:
                fail(str(exc), WRONG if isinstance(exc, IntegrityError) else MISUSED)


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """End as other tools do where the output can't be written."""
    try:
        yield
        sys.stdout.flush()
    except OSError as exc:
        # Of a file it would name that.
        if exc.filename is not None:
            raise
        raise SystemExit(output_ended(exc)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mxm-dataio", message="%(prog)s %(version)s")
def main() -> None:
    """Run, read, check and prove what mxm-dataio has recorded."""
