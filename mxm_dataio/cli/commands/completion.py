"""``mxm-dataio completion``: what makes a shell complete its commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_MXM_DATAIO_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that has a shell complete commands, options, session ids and sources.

    \b
    Examples:
      echo 'eval "$(mxm-dataio completion bash)"' >> ~/.bashrc
      echo 'eval "$(mxm-dataio completion zsh)"' >> ~/.zshrc
      mxm-dataio completion fish > ~/.config/fish/completions/mxm-dataio.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "mxm-dataio", _VARIABLE).source())
