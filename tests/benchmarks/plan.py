"""How much is measured: rounds, calls and sizes of a quick, an ordinary and a full run."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .contestants import CONTESTANTS, ours
from .server import Server

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of each.

    Attributes:
        rounds: turns of each contestant with small answers.
        calls: a turn's, when recording and replaying.
        threads: that record at once.
        stored: calls in the large store.
        size_rounds: turns of the large and the small store.
        body: bytes of the big body.
        peer_body: the same for the other recorders, of which several hold it in memory.
        body_rounds: turns with the big body.
        cost_rounds: fresh interpreters.
        tests: of a suite that the pytest plugin replays.
        plugin_rounds: turns of that suite.
        peers: others than this project and what it is measured against take part.
    """

    rounds: int = 11
    calls: int = 500
    threads: int = 8
    stored: int = 100_000
    size_rounds: int = 11
    body: int = 512 * MIB
    peer_body: int = 512 * MIB
    body_rounds: int = 5
    cost_rounds: int = 11
    tests: int = 1_000
    plugin_rounds: int = 5
    peers: bool = True


QUICK = Amounts(
    rounds=5,
    calls=150,
    stored=3_000,
    size_rounds=5,
    body=32 * MIB,
    body_rounds=3,
    cost_rounds=3,
    tests=200,
    plugin_rounds=3,
    peers=False,
)
ORDINARY = Amounts()
FULL = Amounts(rounds=21, stored=1_000_000, size_rounds=21, body=4096 * MIB, body_rounds=5)

SMALL_STORE = 1_000


@dataclass(slots=True)
class Bench:
    """What every measurement needs.

    Attributes:
        server: which is asked.
        root: folder for all files.
        amounts: how much.
    """

    server: Server
    root: Path
    amounts: Amounts
    _names: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def folder(self, *, large: bool = False) -> Iterator[Path]:
        """Make an empty folder, and remove it at the end if what is in it is large.

        Others stay until the run ends: ext4 takes no inode again that was deleted in the last
        minutes, and with thousands of those to look past a new file costs ten times as much.
        """
        path = self.root / f"work-{next(self._names)}"
        path.mkdir()
        try:
            yield path
        finally:
            if large:
                shutil.rmtree(path)

    def settle(self) -> None:
        """Have the disk done with what came before, so that no turn waits for another's."""
        os.sync()

    def urls(self, count: int) -> list[str]:
        """Return URLs, each of an answer of its own."""
        return [f"{self.server.url}/item/{number}" for number in range(count)]

    def takers(self, keys: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return who takes part, and why others do not."""
        wanted = keys if self.amounts.peers else ours(keys)
        missing = {key: "not installed" for key in wanted if not CONTESTANTS[key].installed()}
        return tuple(key for key in wanted if key not in missing), missing


def say(text: str) -> None:
    """Tell who waits what is being done."""
    print(text, file=sys.stderr, flush=True)
