"""What the processes of one run leave in its folder, for ``run`` to read at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, Self

from ..models import Unseen
from ..utils import new_id

# The file by which a replay's processes take turns; see :mod:`mxm_dataio.replay.turns`.
SERVED = "served"
RUNNING, LEFT, ENDED = "running", "left", "ended"
_SUFFIX = ".json"


class Report(NamedTuple):
    """What a process says of its session, in the run's folder.

    Attributes:
        session: its id.
        state: ``running``, ``left`` (for another program, by ``os.exec…``) or ``ended``.
        misses: the first of the calls that replay did not find, in words.
        missed: how many these were.
    """

    session: str
    pid: int
    program: str
    state: str
    status: str
    missed: int = 0
    misses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    coverage: tuple[Unseen, ...] | None = None
    left_out: tuple[Unseen, ...] = ()

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.session}-{self.pid}{_SUFFIX}"

    def write(self, folder: Path) -> None:
        """Leave it in a folder, in place of an earlier one."""
        path = folder / self.name
        # Of its own: another thread, or a signal's handler, may write at the same time.
        hidden = path.with_suffix(f".{new_id()}.tmp")
        hidden.write_text(json.dumps(self._asdict()), encoding="ascii")
        hidden.rename(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the report of a file; raises ``OSError`` or ``ValueError`` if it is none."""
        try:
            data = json.loads(path.read_text(encoding="ascii"))
            made = cls(**data)
            coverage = made.coverage
            return made._replace(
                misses=tuple(made.misses),
                warnings=tuple(made.warnings),
                coverage=None if coverage is None else tuple(Unseen(*one) for one in coverage),
                left_out=tuple(Unseen(*one) for one in made.left_out),
            )
        except (TypeError, LookupError) as exc:
            raise ValueError(f"{path} is no report: {exc}") from exc


def served(folder: Path) -> int:
    """Return how many calls were answered from the store, in all processes."""
    try:
        with (folder / SERVED).open("rb") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


def failed(folder: Path) -> list[str]:
    """Return why processes could not be captured, each reason once."""
    found = (path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.failed")))
    return list(dict.fromkeys(f"a process was not captured: {text}" for text in found))


def stopped(folder: Path) -> dict[int, int]:
    """Return which processes another of the run has sent a signal to end them, and which."""
    found = {}
    for path in folder.glob("*.stopped"):
        text = path.read_text("ascii")
        if text.isdecimal() and path.stem.isdecimal():
            found[int(path.stem)] = int(text)
    return found


def all_of(folder: Path) -> list[Report]:
    """Return the reports in a folder that can be read, the oldest session's first."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(Report.read(path))
        except (OSError, ValueError):
            continue
    return found
