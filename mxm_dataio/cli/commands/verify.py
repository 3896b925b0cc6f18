"""``mxm-dataio verify``: what is stored is what was recorded."""

from __future__ import annotations

from pathlib import Path

import click

from ...config.archive_urls import ArchiveRoot
from ...errors import IntegrityError
from ...integrity import proofs
from ...integrity.findings import Finding, Progress, Verified
from ...integrity.proofs import Consistency, Head, Inclusion
from ...integrity.verify import verify_root
from ...reading import values
from ...utils import counted
from ..options import against_option, store_options
from ..output import WRONG, print_line, printable, progress_bar, wrapped

_LARGEST_PROOF = 1 << 20


@click.command("verify")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@against_option
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Check a proof made by prove instead; needs no store.",
)
@store_options
def verify_command(
    sessions: tuple[str, ...],
    against: tuple[Head, ...] | None,
    proof: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Check that what is stored is what was recorded.

    Re-derives the hash chain and the seal of every session, or of those that are named (by id, or
    its beginning), and reads every payload. An archive is read whole, and its objects alone
    count.

    \b
    Example:
      mxm-dataio verify --against heads.txt
    """
    if proof is not None:
        if sessions:
            raise click.UsageError("a proof names its session itself: leave out SESSION")
        _check_proof(proof, against or (), as_json)
        return
    with progress_bar() as progress:
        if isinstance(root, ArchiveRoot):
            found = _verify_archive(root.url, sessions, against or (), progress)
        else:
            found = verify_root(root, sessions, against=against or (), progress=progress)
    for finding in found.findings:
        if as_json:
            print_line("finding", **values.finding(finding))
        else:
            _say_finding(finding)
    for note in found.notes:
        if as_json:
            print_line("note", what=note)
        else:
            click.echo(wrapped(f"note: {note}", "  "))
    if as_json:
        print_line(
            "verified", ok=found.ok, sessions=found.sessions, calls=found.calls,
            payloads=found.payloads, bytes=found.size, head=str(found.head) if found.head else None,
            findings=len(found.findings) + found.more, pruned=found.pruned,
        )  # fmt: skip
    else:
        _say_summary(found)
    if not found.ok:
        raise SystemExit(WRONG)


def _verify_archive(
    url: str, sessions: tuple[str, ...], against: tuple[Head, ...], progress: Progress | None
) -> Verified:
    if sessions:
        raise click.UsageError("an archive is verified as a whole: leave out SESSION, or pull it")
    from ...archive import Archive

    with Archive(url) as archive:
        return archive.verify(against, progress)


def _say_finding(finding: Finding) -> None:
    where = []
    if finding.request is not None:
        where.append(f"{finding.method} {finding.url}\n  request {finding.request}")
    if finding.session is not None:
        where.append(f"session {finding.session}")
    if where:
        click.secho(printable("\n  ".join(where)), bold=True)
    margin = "  " if where else ""
    click.secho(wrapped(margin + printable(finding.what), margin), fg="red")


def _say_summary(found: Verified) -> None:
    pruned = f" ({found.pruned:,} of them pruned)" if found.pruned else ""
    read = (
        f"{counted(found.sessions, 'session')}{pruned}, {counted(found.calls, 'call')}, "
        f"{counted(found.payloads, 'payload')} ({found.size:,} bytes)"
    )
    if found.ok:
        click.echo(f"{read}: " + click.style("all as recorded", fg="green"))
    else:
        count = counted(len(found.findings) + found.more, "finding")
        shown = f" (the first {len(found.findings)} are shown)" if found.more else ""
        click.echo(f"{read}: " + click.style(f"{count}{shown}", fg="red", bold=True))
    if found.head is not None:
        click.echo(str(found.head))


def _check_proof(path: str, against: tuple[Head, ...], as_json: bool) -> None:
    try:
        with click.open_file(path, "rb") as file:
            content = file.read(_LARGEST_PROOF + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(f"{path} can't be read: {exc}") from None
    if len(content) > _LARGEST_PROOF:
        raise IntegrityError(f"{path} is too long for a proof")
    proof = proofs.parse(text)
    ends = [proof.head, proof.earlier] if isinstance(proof, Consistency) else [proof.head]
    fits = not against or any(head in ends for head in against)
    ok = proof.holds() and fits
    if as_json:
        session = proof.session if isinstance(proof, Inclusion) else None
        print_line(
            "proof", ok=ok, holds=proof.holds(), session=session, heads=[str(h) for h in ends]
        )
    elif not proof.holds():
        click.secho("the proof does not hold", fg="red", bold=True)
    elif not fits:
        click.secho("the proof holds, for another head than the one given:", fg="red", bold=True)
        for head in ends:
            click.echo(str(head))
    else:
        _say_proof(proof, bool(against))
    if not ok:
        raise SystemExit(WRONG)


def _say_proof(proof: Inclusion | Consistency, known: bool) -> None:
    click.secho("the proof holds", fg="green")
    if isinstance(proof, Inclusion):
        session = proof.session
        for name in ("id", "source", "as_of", "started_at", "ended_at", "status"):
            click.echo(printable(f"  {name:<10} {session[name]}"))
        click.echo(f"  {'calls':<10} {proof.count}, the last with hash {proof.chain.hex()}")
        click.echo(f"is ended session {proof.leaf + 1} of the store whose head is")
        click.echo(str(proof.head))
    else:
        click.echo(f"the store of\n{proof.head}\nbegins with the whole of that of\n{proof.earlier}")
    if not known:
        click.echo("compare that with the head that was published, or give it with --against")
