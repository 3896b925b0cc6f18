"""``mxm-dataio run``: a program under capture, unchanged."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from ...run.launcher import main


class _Run(click.Command):
    """Hands on all that is behind its name, ``--`` and what looks like options included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take nothing."""
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the program, and end as it did."""
        raise SystemExit(main(ctx.args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Leave it to the shell, which knows files and commands."""
        return []


run_command = _Run(
    "run", short_help="Run a program, unchanged, and record its calls or replay them."
)
