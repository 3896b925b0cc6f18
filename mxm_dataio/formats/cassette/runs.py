"""What one run of tests does with its cassettes, known to all of its processes.

Several tests may have one cassette: that of a class or a module, or one that they name. So a
cassette that the run itself has made is no old recording, what one test has recorded in the run
is not replaced by another's, and what is superfluous is known only when all have ended (see
:mod:`mxm_dataio.pytest_plugin.usage`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol


class Call(NamedTuple):
    """A call of a cassette, and whether it was used.

    Attributes:
        mark: what tells it from the others; see :func:`mxm_dataio.formats.cassette.files.marks`.
        params_hash: of its identity: calls that have the same answer one after the other.
        played: it has answered.
        text: its method and URL.
    """

    mark: str
    params_hash: str
    played: bool
    text: str


class Used(NamedTuple):
    """What was done with a cassette while it was open.

    Attributes:
        path: of the cassette.
        tests: node ids of those that ran meanwhile.
        how: ``replay``, or ``rewrite``; with anything else, what was not asked for means nothing.
        calls: that were in it when it was opened.
        made: the marks of the calls that the run has recorded.
        shared: it was replayed beside the session's own.
        only: node id of the one test whose name the file has; empty if others may have it, too.
        marked: a test's marker or fixture opened it, not its own code.
        written: its end has changed the file.
    """

    path: str
    tests: tuple[str, ...] = ()
    how: str = ""
    calls: tuple[Call, ...] = ()
    made: tuple[str, ...] = ()
    shared: bool = False
    only: str = ""
    marked: bool = False
    written: bool = False


@dataclass(slots=True)
class State:
    """What the run has done to one cassette so far.

    Attributes:
        there: it was, before the run.
        clock: the instant at which the run's tests record it, if they freeze the clock.
        made: mark of each call that was recorded in the run → node id of the test that made it.
    """

    there: bool
    clock: str = ""
    made: dict[str, str] = field(default_factory=dict)


class Progress(Protocol):
    """Where a process is in its tests.

    Attributes:
        ran: node ids of the tests that have begun.
        phase: of the last of them: ``setup``, ``call`` or ``teardown``; empty between tests.
    """

    ran: list[str]
    phase: str


class Run:
    """A run of tests, as one of its processes sees it.

    Args:
        progress: where this process is.
        root: the project's folder.
        folder: what the run's processes share; ``None`` if there is one alone.
        details: what each cassette's calls were used for is to be known.
        offline: nothing is to be recorded where no other mode is given.
        reason: why, in words, if nobody has said so.

    Attributes:
        used: what was done in this process.
    """

    def __init__(
        self,
        progress: Progress,
        root: Path,
        folder: Path | None = None,
        *,
        details: bool = False,
        offline: bool = False,
        reason: str = "",
    ) -> None:
        self.progress = progress
        self.root = Path(os.path.realpath(root))
        self.details = details
        self.offline = offline
        self.reason = reason
        self.used: list[Used] = []
        self._folder = folder
        self._states: dict[Path, State] = {}

    @property
    def test(self) -> str:
        """The node id of the test that runs; empty between tests."""
        return self.progress.ran[-1] if self.progress.phase else ""

    def concerns(self, path: Path) -> bool:
        """Say whether a file is one of the project's."""
        return Path(os.path.realpath(path)).is_relative_to(self.root)

    @contextlib.contextmanager
    def turn(self, path: Path) -> Iterator[bool]:
        """Hold off the run's other processes that would record a cassette, until this one has.

        Yields:
            whether the run has recorded it before.
        """
        with contextlib.ExitStack() as stack:
            if self._folder is not None:
                name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
                file = stack.enter_context((self._folder / f"{name}.turn").open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)
            with self.state(path) as state:
                made = bool(state.made)
            yield made

    @contextlib.contextmanager
    def state(self, path: Path) -> Iterator[State]:
        """Hold what the run has done to a cassette; changes are kept."""
        path = Path(os.path.realpath(path))
        if self._folder is None:
            if path not in self._states:
                self._states[path] = State(os.path.lexists(path))
            yield self._states[path]
            return
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        with (self._folder / name).open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            was = file.read()
            state = State(**json.loads(was)) if was else State(os.path.lexists(path))
            yield state
            now = json.dumps(asdict(state))
            if now != was:
                file.seek(0)
                file.truncate()
                file.write(now)
