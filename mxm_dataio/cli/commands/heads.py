"""``mxm-dataio head`` and ``prove``: what to publish, and what to show for it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...integrity import proofs
from ...integrity.proofs import Consistency, Head, Inclusion
from ..options import folder_options, heads_of, means, reading
from ..output import print_line


@click.command()
@folder_options
def head(root: Path, as_json: bool) -> None:
    """Print one line that stands for every session that has ended.

    Publish it daily, where it can't be taken back: from then on what it stands for can't be
    changed unnoticed, not even by one who writes all hashes of the store anew.

    \b
    Example:
      mxm-dataio head >> heads.txt
    """
    with reading(root) as store:
        made = proofs.head_of(store)
    if as_json:
        print_line("head", head=str(made), size=made.size, root=made.root.hex())
    else:
        click.echo(str(made))


@click.command()
@click.argument("session", required=False)
@click.option(
    "--from",
    "earlier",
    callback=means(heads_of),
    metavar="HEAD",
    help="Prove that the store continues that of a head printed earlier.",
)
@folder_options
def prove(session: str | None, earlier: tuple[Head, ...] | None, root: Path, as_json: bool) -> None:
    """Print a proof, in JSON, that a session is among those that a head stands for.

    It is checked without the store: mxm-dataio verify --proof FILE --against HEAD. It holds the
    session's own row (source, dates, host, warnings) and nothing of its calls. With --json it is
    one line.

    \b
    Examples:
      mxm-dataio prove 0198a7c2 > proof.json
      mxm-dataio prove --from "mxm-dataio-head 1 12 4be2…" > continued.json
    """
    if (session is None) == (earlier is None):
        raise click.UsageError("give either a SESSION or --from HEAD")
    with reading(root) as store:
        if session is not None:
            proof: Inclusion | Consistency = proofs.include(store, store.session_id(session))
        else:
            assert earlier is not None
            if len(earlier) != 1:
                raise click.UsageError("give one head with --from")
            proof = proofs.go_on(store, earlier[0])
    if as_json:
        print_line("proof", **json.loads(proof.text()))
    else:
        click.echo(proof.text())
