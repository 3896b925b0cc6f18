"""``mxm-dataio``: the terminal's face of the library, for which ``[cli]`` installs click and rich.

Exit status: 0, fine; 1, something wrong was found; 2, called wrongly, or there is nothing to read.
Results go to standard output, with ``--json`` as JSON lines; progress and errors to standard error.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

try:
    import click
except ImportError:
    sys.stderr.write("mxm-dataio: the command line needs: pip install mxm-dataio[cli]\n")
    raise SystemExit(2) from None

from .commands.common import MISUSED, WRONG, fail
from .errors import DataIOError, IntegrityError

# Command → its module and its name there, in the order in which help lists them.
_COMMANDS = {
    "verify": ("verify", "verify_command"),
    "head": ("heads", "head"),
    "prove": ("heads", "prove"),
    "coverage": ("coverage", "coverage_command"),
    "export": ("exporting", "export"),
    "import": ("importing", "import_command"),
    "report": ("report", "report_command"),
}


class _Group(click.Group):
    """The commands, each loaded when it is called: one is not to wait for what another needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f".commands.{module}", __package__), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; our errors end it with their message and status, not with a traceback."""
        try:
            return super().invoke(ctx)
        except DataIOError as exc:
            fail(str(exc), WRONG if isinstance(exc, IntegrityError) else MISUSED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mxm-dataio", message="%(prog)s %(version)s")
def main() -> None:
    """Run, read, check and prove what mxm-dataio has recorded."""


if __name__ == "__main__":
    main()
