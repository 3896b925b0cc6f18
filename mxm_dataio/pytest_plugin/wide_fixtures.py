"""Fixtures wider than a test that make calls: which cassette has what they set up and tear down.

Such a fixture is set up once for many tests, whichever comes first, and under pytest-xdist once in
each process. So its calls are in no test's cassette, but in two of its own: one for its set-up,
which is written as soon as that is done, and one for its end. What the first has recorded in a run
the others replay, so that all have the same answers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..formats.cassette.names import cassette_name
from ..formats.cassette.runs import Run
from .session import TestSession
from .usage import default_folder

# pytest's own, which call what unittest and pytest name so in classes and modules.
_CALLS = re.compile(r"_(?:unittest|xunit)_(setUpClass|setup_class|setup_module)_fixture_")
_ENDS = {
    "setUpClass": "tearDownClass",
    "setup_class": "teardown_class",
    "setup_module": "teardown_module",
}


def may_call(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Say whether a fixture runs code of the project's, or of a plugin that is not pytest's own."""
    module = str(getattr(fixturedef.func, "__module__", ""))
    return not module.startswith("_pytest.") or _CALLS.match(fixturedef.argname) is not None


def places(
    fixturedef: pytest.FixtureDef[Any], request: Any, folder: Callable[[], Path], cls: str
) -> list[Path]:
    """Return the cassettes of a fixture's set-up and of its end.

    Args:
        folder: returns the folder of the module's cassettes.
        cls: the name of the class that it is set up for; empty for a wider scope.
    """
    name = fixturedef.argname
    called = _CALLS.match(name)
    if called is not None:
        set_up, end = called[1], _ENDS[called[1]]
    else:
        name += f"[{_parameter(request)}]" if hasattr(request, "param") else ""
        set_up, end = f"fixture.{name}", f"fixture.{name}.teardown"
    if fixturedef.scope in ("class", "module"):
        where = folder()
    else:
        where = _beside(request.config.rootpath / fixturedef.baseid.partition("::")[0])
    return [where / f"{cassette_name(one, cls)}.json" for one in (set_up, end)]


def _beside(defined: Path) -> Path:
    """Return the folder for a fixture of the whole run, by the file or folder that has it."""
    return default_folder(defined if defined.is_file() else defined / "conftest.py")


def _parameter(request: Any) -> str:
    plain = isinstance(request.param, (str, int, float, bool, type(None)))
    return str(request.param if plain else request.param_index)


@contextlib.contextmanager
def recorded(
    path: Path,
    mode: str,
    run: Run,
    opened: Callable[[Path, str], TestSession],
    warn: Callable[[str], None],
) -> Iterator[None]:
    """Have the calls of a fixture's set-up, or of its end, in a cassette.

    Args:
        mode: as the options have it.
        opened: makes the session of a cassette and a mode.
        warn: takes what is to be said of it.

    Raises:
        ReplayMissError: a miss was met and swallowed.
    """
    skipped: BaseException | None = None
    with run.turn(path) as again:
        session = opened(path, "new_episodes" if again and mode != "none" else mode)
        try:
            with session:
                if session.warning:
                    warn(session.warning)
                try:
                    yield
                except pytest.skip.Exception as exc:
                    # No failure: in replay it is to get as far.
                    skipped = exc
        except BaseException as exc:
            if session.concerns(exc):
                exc.add_note(f"record it again: {session.again}")
            raise
        if session.warning:
            warn(session.warning)
    if skipped is not None:
        raise skipped
