"""``mxm-dataio import``: recordings of other tools become cassettes, or sessions of a store."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ...errors import ConfigError, DataIOError, StoreError
from ...formats import FORMATS, importing
from ...formats.destinations import Destinations, cases_of
from ...formats.foreign.conversion import Converted
from ...formats.importing import AUTO, Item
from ...identity.matching import Matcher
from ...redaction.rules import DEFAULT
from ...storage.recording_store import RecordingStore
from ...utils import counted
from ..options import json_option
from ..output import WRONG, print_line, printable


def _tests(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Destinations:
    if value is None:
        return Destinations()
    with click.open_file(str(value), encoding="utf-8") as lines:
        found = cases_of(lines, Path())
    if not found:
        raise click.BadParameter(f"{value} lists no test, as pytest --collect-only -q does")
    return Destinations(found)


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([AUTO, *FORMATS]),
    default=AUTO,
    show_default=True,
    help="Format of the files.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The cassette, NAME.json, or a folder for all.  [default: beside each file]",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Put them into this store instead, a session for each file.",
)
@click.option(
    "--source", help="Source of these sessions.  [default: the cassette's own, the file's name]"
)
@click.option(
    "--tests",
    "destinations",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    callback=_tests,
    metavar="FILE",
    help="What pytest --collect-only -q printed here: each cassette goes to its own test's place.",
)
@click.option(
    "--ignore-param",
    "ignore_params",
    multiple=True,
    metavar="NAME",
    help="What does not count when calls are compared: t, $.meta.ts, header:X-Run, xml:Id, "
    "path:/a/*.",
)
@click.option("--no-redaction", is_flag=True, help="Keep secrets as they stand in the files.")
@click.option("--force", is_flag=True, help="Replace cassettes that are there already.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Say what was changed to make a call replay.")
@json_option
def import_command(
    paths: tuple[Path, ...],
    format_name: str,
    output: Path | None,
    root: Path | None,
    source: str | None,
    destinations: Destinations,
    ignore_params: tuple[str, ...],
    no_redaction: bool,
    force: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Convert what vcrpy, betamax or the recorder of responses has recorded.

    Each file becomes a cassette beside it; folders are looked through. The files stay. A file
    that is malformed is named with the place in it, and hinders no other.

    \b
    Examples:
      mxm-dataio import tests --dry-run
      mxm-dataio import cassettes/old.yaml -o new.json
      mxm-dataio import betamax/ --root recordings --source github
    """
    if root is not None and output is not None:
        raise click.UsageError("give either -o or --root")
    if source is not None and root is None:
        raise click.UsageError("--source names the sessions of a store: give --root as well")
    found = list(importing.found_in(paths))
    if output is not None and output.suffix == ".json" and len(found) != 1:
        raise click.UsageError(f"{output} is one cassette, for {len(found)} files: give a folder")
    items = importing.planned(
        found, format_name, destinations=None if root is not None else destinations,
        output=output, force=force,
    )  # fmt: skip
    redaction = None if no_redaction else DEFAULT
    try:
        matcher = Matcher(ignore_params)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--ignore-param") from None
    summary = _Summary(as_json, verbose, dry_run)
    with _store(root, dry_run) as store:
        for item in items:
            if item.problem or item.skipped:
                summary.left(item)
                continue
            try:
                converted = importing.read(item, redaction, matcher)
                session = None
                if converted.recordings and not dry_run:
                    session = _write(item, converted, store, source)
            except ConfigError:
                raise
            except DataIOError as exc:
                summary.left(item._replace(problem=str(exc)))
            else:
                summary.converted(item, converted, session)
    summary.end()


@contextlib.contextmanager
def _store(root: Path | None, dry_run: bool) -> Iterator[RecordingStore | None]:
    if root is None or dry_run:
        yield None
        return
    with RecordingStore(root, patient=True) as store:
        yield store


def _write(
    item: Item, converted: Converted, store: RecordingStore | None, source: str | None
) -> str | None:
    """Write a file's calls; return the session's id, if they went into a store."""
    if store is not None:
        origin = f"{item.file} ({item.format})"
        default = item.file.stem
        return importing.put(store, source or "", converted.recordings, origin, default=default)
    for path in item.cassettes:
        try:
            importing.write_cassette(path, converted.recordings)
        except OSError as exc:
            raise StoreError(f"{path} can't be written: {exc.strerror or exc}", path=path) from exc
    return None


class _Summary:
    """Says what became of each file, and of all."""

    def __init__(self, as_json: bool, verbose: bool, dry_run: bool) -> None:
        self._as_json = as_json
        self._verbose = verbose
        self._dry_run = dry_run
        self._files = self._calls = self._changed = self._dropped = 0
        self._skipped: list[Item] = []
        self._problems = 0

    def left(self, item: Item) -> None:
        """Tell of a file that was not converted."""
        if item.problem:
            self._problems += 1
        else:
            self._skipped.append(item)
        if self._as_json:
            self._print(item, None, None)
        elif item.problem:
            click.secho(f"Error: {printable(item.problem)}", fg="red", err=True)
        elif self._verbose:
            click.echo(printable(f"{item.file}: {item.skipped}"))

    def converted(self, item: Item, converted: Converted, session: str | None) -> None:
        """Tell of a file that was."""
        self._files += 1
        self._calls += len(converted.recordings)
        self._changed += len(converted.changes)
        self._dropped += len(converted.dropped)
        if self._as_json:
            self._print(item, converted, session)
            return
        target = ", ".join(map(str, item.cassettes)) or (f"session {session}" if session else "")
        calls = counted(len(converted.recordings), "call")
        if not converted.recordings:
            target = ""
        click.echo(printable(f"{item.file}{' -> ' if target else ''}{target}: {calls}"))
        for line in converted.dropped:
            click.secho(printable(f"  left out: {line}"), fg="yellow")
        for line in converted.changes if self._verbose else ():
            click.echo(printable(f"  {line}"))

    def _print(self, item: Item, converted: Converted | None, session: str | None) -> None:
        found: dict[str, Any] = {"file": str(item.file), "format": item.format or None}
        if converted is not None:
            found |= {
                "cassettes": [str(path) for path in item.cassettes], "session": session,
                "calls": len(converted.recordings), "changes": converted.changes,
                "dropped": converted.dropped,
            }  # fmt: skip
        else:
            found |= {"problem": item.problem or None, "skipped": item.skipped or None}
        print_line("file", **found)

    def end(self) -> None:
        """Tell of all; end with the status that says whether something was wrong."""
        if self._as_json:
            print_line(
                "imported", files=self._files, calls=self._calls, changes=self._changed,
                dropped=self._dropped, skipped=len(self._skipped), problems=self._problems,
                dry_run=self._dry_run,
            )  # fmt: skip
        else:
            self._say()
        if self._problems:
            raise SystemExit(WRONG)

    def _say(self) -> None:
        done = "would be imported" if self._dry_run else "imported"
        said = f"{counted(self._calls, 'call')} of {counted(self._files, 'file')} {done}"
        if self._changed:
            hint = "" if self._verbose else ": --verbose says what"
            said += f"; {counted(self._changed, 'change')} made so that they replay{hint}"
        if self._dropped:
            said += f"; {counted(self._dropped, 'call')} left out"
        if self._problems:
            said += f"; {counted(self._problems, 'file')} not"
        click.secho(printable(said), bold=True, fg="red" if self._problems else None)
        for why, count in Counter(item.skipped for item in self._skipped).items():
            click.echo(f"{counted(count, 'file')} skipped: {why}")
