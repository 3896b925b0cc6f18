"""What the commands share: options, and how they come to a store.

Loaded with every command, so that what only some need is loaded where they do.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config.archive_urls import ArchiveRoot, said
from ..errors import ConfigError, StoreError
from .output import progress_bar
from .units import short

if TYPE_CHECKING:
    from ..integrity.proofs import Head
    from ..models import Exchange, Session
    from ..storage.root_store import RootStore


_OFFERED = 50

# -- options -----------------------------------------------------------------------------------


def _root_option(*, archives: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def given(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path:
        from ..config.settings import load

        root = load({"root": value}).root
        if isinstance(root, ArchiveRoot) and not archives:
            raise click.BadParameter(f"this takes a folder, and no archive ({root.url})")
        return root

    return click.option(
        "--root",
        type=click.Path(file_okay=False),
        callback=given,
        is_eager=True,
        help="Folder of the store"
        + (", or the URL of an archive" if archives else "")
        + ".  [default: as for sessions, MXM_DATAIO_ROOT]",
    )


def archive_url(text: str) -> str:
    """Return the URL of an archive, for :func:`means`."""
    from ..config.archive_urls import checked

    return checked(text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command has that reads a store: ``--root`` and ``--json``."""
    return _root_option(archives=True)(json_option(command))


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same to one that is of a folder alone, and of no archive."""
    return _root_option(archives=False)(json_option(command))


def source_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--source", shell_complete=complete_source, metavar="NAME", help=help)


def means(convert: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return what makes an option's value of what was given, if something was."""

    def made(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        try:
            return None if value is None else convert(value)
        except (ConfigError, ValueError) as exc:
            raise click.BadParameter(str(exc)) from None

    return made


def heads_of(value: str) -> tuple[Head, ...]:
    """Return the heads of an option: a head's line, or a file of such lines."""
    from ..integrity.proofs import Head

    lines = [value]
    if not value.startswith("mxm-dataio-head"):
        try:
            text = Path(value).read_text(encoding="utf-8")
        except OSError as exc:
            raise ConfigError(
                f"neither a head nor a file of heads: {value} ({exc.strerror})"
            ) from None
        lines = [line for line in text.splitlines() if line.strip()]
    return tuple(Head.parse(line) for line in lines)


against_option = click.option(
    "--against",
    callback=means(heads_of),
    metavar="HEAD",
    help="A head printed earlier, or a file of them: the store must continue each.",
)


def _instant(text: str) -> float:
    from ..storage.catalog.selection import instant_of

    return instant_of(text, time.time())


def since_option(noun: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--since",
        callback=means(_instant),
        metavar="WHEN",
        help=f"Only {noun} that began since: 2h, 30d, or 2025-10-07 (UTC).",
    )


class Command(click.Command):
    """A command for which ``-1`` names the newest session, ``-2`` the one before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have such numbers be arguments, not options."""
        return super().parse_args(ctx, [_numbered(one) for one in args])


def _numbered(argument: str) -> str:
    match = re.fullmatch(r"-([1-9][0-9]{0,8})", argument)
    return f"latest~{int(match[1]) - 1}" if match else argument


# -- completion --------------------------------------------------------------------------------


def complete_session(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Return ids that begin so: of sessions, whole or by their ends, the newest first."""
    from click.shell_completion import CompletionItem

    found = [CompletionItem("latest", help="the newest session")]
    for session in _sessions_for_completion(ctx):
        about = f"{session.source or session.kind}, {session.started_at[:16].replace('T', ' ')}"
        found += [CompletionItem(id, help=about) for id in (short(session.id), session.id)]
    whole = len(incomplete) > 8
    return [
        one
        for one in found
        if one.value.startswith(incomplete) and (whole or len(one.value) <= 8 or incomplete)
    ]


def complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return sources that begin so."""
    sources = {session.source for session in _sessions_for_completion(ctx, None)}
    return sorted(one for one in sources if one and one.startswith(incomplete))


def _sessions_for_completion(ctx: click.Context, count: int | None = _OFFERED) -> Sequence[Session]:
    """Return the newest sessions; none, if anything hinders: a shell wants no message."""
    from ..config.settings import load
    from ..errors import DataIOError
    from ..storage.catalog.catalog import SQLiteCatalog
    from ..storage.layout import DATABASE

    with contextlib.suppress(DataIOError, OSError):
        root = ctx.params.get("root") or load({}).root
        # Not by way of the store, which would move what waits in journals.
        with contextlib.closing(SQLiteCatalog(root / DATABASE, readonly=True)) as catalog:
            return catalog.sessions()[::-1][:count]
    return []


# -- the store ---------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(root: Path, *, every: bool = False, source: str | None = None) -> Iterator[RootStore]:
    """Open a store to read from; that of an archive has what it is asked for by name.

    Args:
        every: all sessions are read; those of an archive are fetched first.
        source: of those that have calls of it.
    """
    if isinstance(root, ArchiveRoot):
        from ..archive.archived_store import ArchivedStore

        with ArchivedStore(root) as store:
            if every:
                with progress_bar("fetching") as progress:
                    store.cache.pull_all(source, progress)
            yield store
        return
    from ..storage.root_store import RootStore

    with RootStore(root, readonly=True, patient=True) as store:
        yield store


def complete(store: RootStore, session_id: str) -> None:
    """Have all bodies of a session at hand, and of those of its processes."""
    if isinstance(store.root, ArchiveRoot):
        from ..archive.archived_store import ArchivedStore

        assert isinstance(store, ArchivedStore)
        store.cache.pull_bodies(session_id)


def named(store: RootStore, name: str) -> Session | Exchange:
    """Return the session or the call that a text names.

    Raises:
        StoreError: neither, or several.
    """
    ids = store.catalog.ids(name)
    calls = store.catalog.ids(name, calls=True)
    if name.startswith("latest") or (ids and not calls):
        session = store.session(store.session_id(name))
        assert session is not None
        return session
    if ids:
        raise StoreError(
            f"sessions and calls begin or end with {name}: {', '.join(ids + calls)}: give more of "
            "the id",
            path=store.root,
        )
    if not calls:
        raise StoreError(f"no session and no call {name} is recorded in {said(store.root)}")
    exchange = store.exchange(store.request_id(name))
    assert exchange is not None
    return exchange
