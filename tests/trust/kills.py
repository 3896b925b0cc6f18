"""Kill a recording process at random instants, and look whether all that it had read is there.

    python -m tests.trust.kills --kills 300 --seed 1

Each round forks victims (see :mod:`tests.trust.victim`) on a root that is fresh or has seen kills
before, kills them at an instant drawn by lot, and checks the store in processes of their own:
every exchange that was told of is there exactly once, whole; nothing else is; the store opens
without repair, also for two at once or for reading only; a new session records and replays.
Exit status 1 if anything is wrong; the root is kept then, and named.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import requests

from mxm_dataio import IngestSession
from mxm_dataio.errors import DataIOError, DataIOWarning
from mxm_dataio.storage.root_store import RootStore

from .ledger import Found, Told, check_folder, check_store, litter
from .source import Asked, serve
from .victim import Life, live

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST = 0.3
_PATIENCE = 60.0


@dataclass
class Victim:
    """A process that records, and its children.

    Attributes:
        word: kill it once it has told this ("" for: from its fork).
        delay: and so many seconds later.
    """

    life: Life
    word: str
    delay: float
    pid: int = 0
    pipe: int = -1
    due: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    told: Told = field(default_factory=Told)
    over: bool = False


@dataclass
class Root:
    """A store that victims share, and what they have told."""

    path: Path
    kills: int = 0
    known: set[str] = field(default_factory=lambda: {"after"})
    unchecked: dict[str, Told] = field(default_factory=dict)
    checked: dict[str, Told] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)


class Harness:
    """Rounds of kills.

    Args:
        folder: where the roots are made.
        seed: of everything drawn by lot; the instants themselves are the scheduler's too.
    """

    def __init__(self, folder: Path, seed: str) -> None:
        self._folder = folder
        self._seed = seed
        self._origin, self._stop = serve()
        self._round = 0
        self.kills = 0
        self.found = Found()
        self.litter = 0
        self.kept: list[Path] = []
        if sys.platform == "linux":
            # Children of a victim that is gone are ours to wait for.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def close(self) -> None:
        """End the source."""
        self._stop()

    def run(self, kills: int, progress: Callable[[str], None]) -> bool:
        """Kill so many processes; say whether everything was found."""
        shown = time.monotonic()
        while self.kills < kills and not self.kept:
            root = Root(Path(tempfile.mkdtemp(prefix="root-", dir=self._folder)) / "store")
            # Some kills hit a fresh root, others one that has seen many.
            for _ in range(random.Random(f"{self._seed} {self._round}").choice((1, 1, 3, 25))):
                if self.kills < kills and not self.found.problems:
                    self._one_round(root)
                if time.monotonic() > shown + 10:
                    shown = time.monotonic()
                    progress(self.line())
            self._leave(root)
        return not self.found.problems

    def line(self) -> str:
        """Return the figures so far."""
        found = self.found
        lost = found.reported - found.whole
        return (
            f"{self.kills:,} kills: {found.reported:,} exchanges reported as read, "
            f"{found.whole:,} found whole; {lost} lost; {found.beyond:,} more were whole before "
            f"they could be reported; {found.sessions:,} sessions; {self.litter} temporary files "
            f"left by the dead and swept; {len(found.problems)} problems"
        )

    # -- a round -----------------------------------------------------------------------------

    def _one_round(self, root: Root) -> None:
        pick = random.Random(f"{self._seed} {self._round} round")
        victims = [self._victim(pick, n) for n in range(pick.choice((1, 1, 1, 1, 2, 3)))]
        self._round += 1
        for victim in victims:
            root.known.add(victim.life.name)
            self._start(victim, root, victims)
        self._watch(victims)
        for victim in victims:
            root.unchecked[victim.life.name] = victim.told
            root.kills += 1
            self.kills += 1
        problems = check_folder(root.path, root.verified, opened=False)
        # Else the next victim is the first that opens the store again.
        if pick.random() < 0.8:
            problems += self._check(root, pick)
        self._note(root, problems, [asdict(v.life) | {"delay": v.delay} for v in victims])

    def _victim(self, pick: random.Random, number: int) -> Victim:
        small = pick.random() < 0.5
        life = Life(
            name=f"v{self._round}-{number}",
            seed=f"{self._seed} {self._round}",
            threads=pick.choice((1, 2, 4)),
            calls=pick.choice((2, 10, 10_000)),
            mode=pick.choice(("record", "record", "record", "auto")),
            mounted=pick.random() < 0.4,
            spool_limit=pick.choice((1_000, 66_000, 1 << 20)),
            children=pick.choice((0, 0, 0, 0, 1, 2)),
            torn=pick.random() < 0.2,
            full=pick.choice((4, 16)) if small else 0,
            step=pick.choice((1, 5)),
            every=pick.choice((1, 3)),
        )
        word, longest = pick.choice(
            (
                ("", _LONGEST),
                ("", _LONGEST),
                ("", 0.05),
                ("opening", 0.02),
                ("closing", 0.02),
                ("began", 0.1),
            )
        )
        return Victim(life, word, pick.random() * longest)

    def _start(self, victim: Victim, root: Root, others: list[Victim]) -> None:
        victim.pipe, out = os.pipe()
        victim.pid = os.fork()
        if not victim.pid:
            for other in others:
                if other.pipe >= 0:
                    os.close(other.pipe)
            try:
                os.setpgid(0, 0)
                live(victim.life, root.path, self._origin, _teller(out))
            finally:
                os._exit(1)
        os.close(out)
        with contextlib.suppress(OSError):
            # Whoever is first; before this there is no group to kill.
            os.setpgid(victim.pid, victim.pid)
        # The word may be long in coming.
        victim.due = time.monotonic() + (_LONGEST if victim.word else victim.delay)

    def _watch(self, victims: list[Victim]) -> None:
        """Kill each at its instant; return when all are dead, with what they told."""
        left = {victim.pipe: victim for victim in victims}
        while left:
            now = time.monotonic()
            for victim in left.values():
                if not victim.over and (victim.due <= now or victim.told.trouble):
                    self._kill(victim)
            dues = [victim.due for victim in left.values() if not victim.over]
            wait = max(0.0, min([*dues, now + 1]) - time.monotonic())
            for pipe in select.select(list(left), [], [], wait)[0]:
                data = os.read(pipe, 1 << 16)
                if data:
                    _take(left[pipe], data)
                else:
                    os.close(pipe)
                    _reap(left.pop(pipe))

    def _kill(self, victim: Victim) -> None:
        victim.over = True
        if victim.life.children and victim.delay * 1000 % 2 < 1:
            # The parent alone; its children go on for a moment.
            os.kill(victim.pid, signal.SIGKILL)
            os.waitpid(victim.pid, 0)
            time.sleep(victim.delay / 2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(victim.pid, signal.SIGKILL)

    # -- the check ---------------------------------------------------------------------------

    def _check(self, root: Root, pick: random.Random) -> list[str]:
        """Check what was told on a root since the last time; return what is wrong."""
        root.known.add(f"after {self._round}")
        self.litter += litter(root.path)
        how = pick.choice(("write", "write", "read", "both", "twice"))
        openers = {"write": (False,), "read": (True,), "both": (True, False), "twice": (False,) * 2}
        said = [_forked(lambda r=r: _opener(root, r)) for r in openers[how]]  # type: ignore[misc]
        first = [_answer(one) for one in said]
        again = _answer(_forked(lambda: _again(root, self._origin, f"after {self._round}")))
        self.found.add(Found(**first[0]))
        problems = [problem for one in [*first[1:], again] for problem in one["problems"]]
        problems += check_folder(root.path, root.verified, opened=True)
        root.checked |= root.unchecked
        root.unchecked = {}
        return problems

    def _leave(self, root: Root) -> None:
        """Check a root once more as a whole, and delete it unless something is wrong."""
        if not self.found.problems:
            pick = random.Random(f"{self._seed} {self._round} last")
            problems = self._check(root, pick) if root.unchecked else []
            if root.kills > 1:
                everything = Root(root.path, known=root.known, unchecked=root.checked)
                problems += _answer(_forked(lambda: _opener(everything, True)))["problems"]
            self._note(root, problems, [])
        if self.found.problems:
            self.kept.append(root.path)
        else:
            shutil.rmtree(root.path.parent)

    def _note(self, root: Root, problems: list[str], plan: list[dict[str, object]]) -> None:
        self.found.problems += problems
        if self.found.problems:
            print(f"round {self._round - 1} on {root.path}: {json.dumps(plan)}", file=sys.stderr)
            for problem in self.found.problems[:20]:
                print(f"  {problem}", file=sys.stderr)


def _teller(pipe: int) -> Callable[[str], None]:
    # As it is now: the victim may be one whose journals are torn.
    write = os.write

    def tell(line: str) -> None:
        write(pipe, f"{line}\n".encode())

    return tell


def _take(victim: Victim, data: bytes) -> None:
    *lines, rest = (bytes(victim.buffer) + data).split(b"\n")
    victim.buffer[:] = rest
    for line in lines:
        text = line.decode()
        victim.told.take(text)
        if victim.word and text.startswith(victim.word):
            victim.word = ""
            victim.due = time.monotonic() + victim.delay


def _reap(victim: Victim) -> None:
    """Wait for a victim and its children, so that none is a process any more."""
    if not victim.over:
        victim.told.trouble.append("it ended by itself")
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-victim.pid, 0)


def _opener(root: Root, readonly: bool) -> Found:
    """Open the store as the first after a kill, and check what is in it."""
    told = root.unchecked
    try:
        store = RootStore(root.path, readonly=readonly)
    except DataIOError as exc:
        nothing = "nothing is recorded" in str(exc) or "of schema version 0" in str(exc)
        if nothing and readonly and not any(one.began for one in told.values()):
            # Killed before there was anything to read.
            return Found()
        raise
    with store:
        return check_store(store, told, root.known)


def _again(root: Root, origin: str, source: str) -> Found:
    """Record a session as ever, and replay it and one exchange of the dead."""
    found = Found()
    asked = Asked("get", 5_000, 77, source.replace(" ", "-"))
    url = f"{origin}{asked.path}"
    with IngestSession(source, root.path) as ingest:
        if requests.get(url).content != asked.body:
            found.problems.append("a new session reads something else")
    if ingest.session.status != "complete":
        found.problems.append(f"a new session is {ingest.session}")
    replayed = [(source, url)]
    for name, told in root.unchecked.items():
        replayed += [(name, one) for one in sorted(told.read) if "/get/" in one][-1:]
    for name, one in replayed:
        with IngestSession(name, root.path, "replay"):
            if requests.get(one).content != Asked.of(one).body:
                found.problems.append(f"{one} is replayed as something else")
    return found


def _forked(work: Callable[[], Found]) -> tuple[int, int]:
    """Start work in a child; return its process and the pipe with its answer."""
    pipe, out = os.pipe()
    child = os.fork()
    if not child:
        warnings.simplefilter("error", DataIOWarning)
        try:
            found = work()
        except BaseException:
            found = Found(problems=[traceback.format_exc()])
        data = memoryview(json.dumps(asdict(found)).encode())
        while data:
            data = data[os.write(out, data) :]
        os._exit(0)
    os.close(out)
    return child, pipe


def _answer(forked: tuple[int, int]) -> dict[str, list[str]]:
    child, pipe = forked
    with os.fdopen(pipe, "rb") as file:
        if select.select([file], [], [], _PATIENCE)[0]:
            data = file.read()
        else:
            os.kill(child, signal.SIGKILL)
            data = json.dumps(asdict(Found(problems=["opening the store hangs"]))).encode()
    os.waitpid(child, 0)
    answer: dict[str, list[str]] = json.loads(data)
    return answer


@contextlib.contextmanager
def harness(seed: str, folder: Path | None = None) -> Iterator[Harness]:
    """Yield a harness, whose roots are deleted behind it but for those where it failed."""
    made = Path(tempfile.mkdtemp(prefix="kills-", dir=folder))
    running = Harness(made, seed)
    try:
        yield running
    finally:
        running.close()
        if not running.kept:
            shutil.rmtree(made)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", default=None, help="of what is drawn by lot; by default another")
    parser.add_argument("--folder", type=Path, default=None, help="where the stores are made")
    options = parser.parse_args(arguments)
    seed = options.seed or os.urandom(4).hex()
    print(f"seed {seed}", flush=True)
    with harness(seed, options.folder) as running:
        sound = running.run(options.kills, lambda line: print(line, flush=True))
        print(running.line())
        for path in running.kept:
            print(f"kept: {path}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
