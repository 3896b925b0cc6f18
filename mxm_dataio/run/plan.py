"""What a run is to do: its mode, and the settings of the program's sessions.

The program waits for this. So as long as the command line and the environment say all, nothing is
loaded that makes settings of files, or looks into a store.
"""

from __future__ import annotations

import os

from ..process import AUTO, DEFAULTS, PREFIX, RUN, SOURCE, default_root, say
from .arguments import MISUSED, default_source

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from typing import Any

    from ..storage.root_store import RootStore
    from .arguments import Options, Program

_SIMPLE = frozenset({f"{PREFIX}ROOT", SOURCE, AUTO, RUN})


class RunPlan:
    """What a run is to do.

    Attributes:
        mode: ``record``, ``replay``, ``auto`` or ``off``.
        settings: of the program's sessions, as JSON has them; the root at least.
        as_of, session: the arguments of an ``IngestSession``.
    """

    def __init__(
        self,
        mode: str,
        source: str,
        settings: dict[str, Any],
        *,
        as_of: str | None = None,
        session: str | None = None,
    ) -> None:
        self.mode = mode
        self.source = source
        self.settings = settings
        self.as_of = as_of
        self.session = session


def plan_of(options: Options, program: Program) -> RunPlan:
    """Return what a run is to do.

    Raises:
        SystemExit: something is wrong with the settings, or there is nothing to replay; that was
            printed.
    """
    plan = plain(options, program)
    if plan is not None:
        return plan
    from ..errors import DataIOError

    try:
        return _resolved(options, program)
    except (DataIOError, ValueError) as exc:
        say(f"error: {exc}")
        raise SystemExit(MISUSED) from None


def plain(options: Options, program: Program) -> RunPlan | None:
    """Return the plan, if that takes no more than the command line; else ``None``.

    It does, for a program that is to be recorded, with nothing in the environment but where to.
    """
    if {*options.values, *options.lists} - {"source", "root", "allowed_hosts"}:
        return None
    if any(name.startswith(PREFIX) and name not in _SIMPLE for name in os.environ):
        return None
    settings = {**DEFAULTS, **options.settings()}
    root = settings.get("root") or os.environ.get(f"{PREFIX}ROOT") or default_root(os.environ)
    if "://" in root:
        return None
    # The program may go to another folder before its first call.
    settings["root"] = os.path.abspath(os.path.expanduser(root))
    return RunPlan("record", _source(options, program), settings)


def _source(options: Options, program: Program) -> str:
    return options.argument("source") or default_source(program.label)


def _resolved(options: Options, program: Program) -> RunPlan:
    """Return the plan, by all that settings are made of and by what is to be replayed."""
    from dataclasses import replace

    from ..config import settings as config
    from ..config.archive_urls import ArchiveRoot
    from ..config.faces import RUN as BY_RUN
    from ..config.functions import of_program
    from ..ingest.place import place_of, to_read
    from ..ingest.sources import matching_of
    from ..models import Mode
    from ..storage.layout import DATABASE
    from ..storage.root_store import RootStore
    from ..utils import as_of_text
    from .handoff import settings_json

    session, as_of = options.argument("session"), options.argument("as-of")
    given = options.settings()
    if session and not given.get("mode"):
        given["mode"] = "replay"
    with of_program(program.folder, program.code.removeprefix("-m ")):
        settings = config.load(given, defaults=DEFAULTS, face=BY_RUN)
    settings = replace(settings, root=settings.root.absolute())
    plan = RunPlan(
        settings.mode, _source(options, program), settings_json(settings),
        as_of=as_of_text(as_of) if as_of else None, session=session,
    )  # fmt: skip
    place_of(settings, session, BY_RUN)
    matching_of(settings, BY_RUN)
    archived = isinstance(settings.root, ArchiveRoot)
    mode = config.mode_of(settings.mode, recorded=archived)
    if settings.mode == config.ONCE and not archived and (settings.root / DATABASE).exists():
        with RootStore(settings.root, readonly=True) as store:
            recorded = bool(store.sessions(plan.source))
        mode = config.mode_of(config.ONCE, recorded=recorded)
    plan.mode = mode.value
    if mode is Mode.REPLAY or session:
        # What can't be replayed is to be told before the program starts.
        with to_read(settings.root, BY_RUN) as store:
            _look_up(plan, store, named=options.argument("source") is not None)
    return plan


def _look_up(plan: RunPlan, store: RootStore, *, named: bool) -> None:
    """Find the one session to replay, and its source if none was named."""
    if not plan.session:
        return
    found = store.session(store.session_id(plan.session, plan.source if named else None))
    assert found is not None
    if named and found.source != plan.source:
        from ..errors import ConfigError

        raise ConfigError(
            f"session {found.id} recorded the source {found.source!r}, not {plan.source!r}"
        )
    plan.session, plan.source = found.id, found.source
