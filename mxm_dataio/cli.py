"""``mxm-dataio``: the terminal's face of the library, for which ``[cli]`` installs click and rich.

Exit status: 0, fine; 1, something wrong was found; 2, called wrongly, or there is nothing to read.
Results go to standard output, with ``--json`` as JSON lines; progress and errors to standard error.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

try:
    import click
except ImportError:
    sys.stderr.write("mxm-dataio: the command line needs: pip install mxm-dataio[cli]\n")
    raise SystemExit(2) from None

from . import proofs, verify
from .config import load
from .errors import DataIOError, IntegrityError
from .proofs import Consistency, Head, Inclusion
from .store import Store
from .utils import counted

WRONG, MISUSED = 1, 2

_LARGEST_PROOF = 1 << 20


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; our errors end it with their message and status, not with a traceback."""
        try:
            return super().invoke(ctx)
        except DataIOError as exc:
            _fail(str(exc), WRONG if isinstance(exc, IntegrityError) else MISUSED)


def _root_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda _ctx, _param, value: load({"root": value}).root,
        help="Folder of the store.  [default: as for sessions, MXM_DATAIO_ROOT]",
    )(command)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def _heads(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[Head, ...] | None:
    """Return the heads of an option: a head's line, or a file of such lines."""
    if value is None:
        return None
    try:
        lines = [value]
        if not value.startswith("mxm-dataio-head"):
            text = Path(value).read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line.strip()]
        return tuple(Head.parse(line) for line in lines)
    except OSError as exc:
        raise click.BadParameter(
            f"neither a head nor a file of heads: {value} ({exc.strerror})"
        ) from None
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mxm-dataio", message="%(prog)s %(version)s")
def main() -> None:
    """Read, check and prove what mxm-dataio has recorded."""


# -- verify ------------------------------------------------------------------------------------


@main.command("verify")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.option(
    "--against",
    callback=_heads,
    metavar="HEAD",
    help="A head printed earlier, or a file of them: the store must continue each.",
)
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Check a proof made by prove instead; needs no store.",
)
@_root_option
@_json_option
def verify_command(
    sessions: tuple[str, ...],
    against: tuple[Head, ...] | None,
    proof: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Check that what is stored is what was recorded.

    Re-derives the hash chain and the seal of every session, or of those that are named (by id, or
    its beginning), and reads every payload.

    \b
    Example:
      mxm-dataio verify --against heads.txt
    """
    if proof is not None:
        if sessions:
            raise click.UsageError("a proof names its session itself: leave out SESSION")
        _check_proof(proof, against or (), as_json)
        return
    with _progress() as progress:
        found = verify.verify_root(root, sessions, against=against or (), progress=progress)
    for finding in found.findings:
        if as_json:
            _line("finding", **_finding(finding))
        else:
            _say_finding(finding)
    for note in found.notes:
        if as_json:
            _line("note", what=note)
        else:
            click.echo(f"note: {note}")
    if as_json:
        _line(
            "verified", ok=found.ok, sessions=found.sessions, calls=found.calls,
            payloads=found.payloads, bytes=found.size, head=str(found.head) if found.head else None,
            findings=len(found.findings) + found.more,
        )  # fmt: skip
    else:
        _say_summary(found)
    if not found.ok:
        raise SystemExit(WRONG)


def _finding(finding: verify.Finding) -> dict[str, Any]:
    return {
        "what": finding.what, "session": finding.session, "request": finding.request,
        "method": finding.method, "url": finding.url,
        "path": str(finding.path) if finding.path else None,
    }  # fmt: skip


def _say_finding(finding: verify.Finding) -> None:
    where = []
    if finding.request is not None:
        where.append(f"{finding.method} {finding.url}\n  request {finding.request}")
    if finding.session is not None:
        where.append(f"session {finding.session}")
    if where:
        click.secho(_printable("\n  ".join(where)), bold=True)
    click.echo(("  " if where else "") + click.style(_printable(finding.what), fg="red"))


def _say_summary(found: verify.Verified) -> None:
    read = (
        f"{counted(found.sessions, 'session')}, {counted(found.calls, 'call')}, "
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
        _line("proof", ok=ok, holds=proof.holds(), session=session, heads=[str(h) for h in ends])
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
            click.echo(_printable(f"  {name:<10} {session[name]}"))
        click.echo(f"  {'calls':<10} {proof.count}, the last with hash {proof.chain.hex()}")
        click.echo(f"is ended session {proof.leaf + 1} of the store whose head is")
        click.echo(str(proof.head))
    else:
        click.echo(f"the store of\n{proof.head}\nbegins with the whole of that of\n{proof.earlier}")
    if not known:
        click.echo("compare that with the head that was published, or give it with --against")


# -- heads and proofs --------------------------------------------------------------------------


@main.command()
@_root_option
@_json_option
def head(root: Path, as_json: bool) -> None:
    """Print one line that stands for every session that has ended.

    Publish it daily, where it can't be taken back: from then on what it stands for can't be
    changed unnoticed, not even by one who writes all hashes of the store anew.

    \b
    Example:
      mxm-dataio head >> heads.txt
    """
    with Store(root, readonly=True) as store:
        made = proofs.head_of(store)
    if as_json:
        _line("head", head=str(made), size=made.size, root=made.root.hex())
    else:
        click.echo(str(made))


@main.command()
@click.argument("session", required=False)
@click.option(
    "--from",
    "earlier",
    callback=_heads,
    metavar="HEAD",
    help="Prove that the store continues that of a head printed earlier.",
)
@_root_option
def prove(session: str | None, earlier: tuple[Head, ...] | None, root: Path) -> None:
    """Print a proof, in JSON, that a session is among those that a head stands for.

    It is checked without the store: mxm-dataio verify --proof FILE --against HEAD. It holds the
    session's own row (source, dates, host, warnings) and nothing of its calls.

    \b
    Examples:
      mxm-dataio prove 0198a7c2 > proof.json
      mxm-dataio prove --from "mxm-dataio-head 1 12 4be2…" > continued.json
    """
    if (session is None) == (earlier is None):
        raise click.UsageError("give either a SESSION or --from HEAD")
    with Store(root, readonly=True) as store:
        if session is not None:
            proof: Inclusion | Consistency = proofs.include(store, store.session_id(session))
        else:
            assert earlier is not None
            if len(earlier) != 1:
                raise click.UsageError("give one head with --from")
            proof = proofs.go_on(store, earlier[0])
    click.echo(proof.text())


# -- output ------------------------------------------------------------------------------------


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"Error: {_printable(message)}", err=True)
    raise SystemExit(status)


def _line(type: str, **values: Any) -> None:
    click.echo(json.dumps({"type": type, **values}))


def _printable(text: str) -> str:
    """Return a text that moves no cursor: it may be a server's, or a forger's."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()


@contextlib.contextmanager
def _progress() -> Iterator[verify.Progress | None]:
    """Yield what shows progress on a terminal, for what takes more than a moment."""
    if not _on_a_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(f"checking {what}")
            shown.update(tasks[what], completed=done, total=max(total, 1))

        yield show


if __name__ == "__main__":
    main()
