"""Kill pushes at random instants, and look whether the next completes them.

    python -m tests.archive.kills ROOT URL --kills 2000 --seed 1

Each round pushes to an archive of its own, is killed at an instant drawn by lot, and pushes again:
then all is there, once, and the archive verifies. The object store is that of the environment.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# Before the first fork, so that each child is quick; nothing of it has threads before it is used.
import obstore  # noqa: F401
import pyarrow.compute
import pyarrow.parquet  # noqa: F401

from mxm_dataio.archive import Archive, parquet
from mxm_dataio.integrity.proofs import Head, head_of
from mxm_dataio.storage.root_store import RootStore

_LONGEST = 0.35
# As the command does; with the first array of the process.
parquet.spare_pandas()
parquet.batch(parquet.columns_of(text="a"), [("",)])


def forked(work: Callable[[], object]) -> int:
    """Run work in a child, and return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except SystemExit as exc:
        status = int(exc.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def complete(root: Path, url: str, head: Head, sessions: int) -> None:
    """Push again, and check the archive."""
    with Archive(url) as archive:
        pushed = archive.push(root)
        assert pushed.ok, pushed.problems
        assert pushed.sessions + pushed.there == sessions
        again = archive.push(root)
        assert (again.sessions, again.objects, again.there) == (0, 0, sessions)
        found = archive.verify(against=[head])
        assert found.ok, found.findings
        assert not found.notes, found.notes
        assert found.sessions == sessions


def kill(root: Path, url: str, kills: int, seed: int) -> int:
    """Do so; return how many pushes were killed before their end."""
    with RootStore(root, readonly=True) as store:
        head = head_of(store)
    draw = random.Random(seed)
    broken = 0
    for number in range(kills):
        place = f"{url}/{seed}-{number}"
        victim = forked(lambda place=place: Archive(place).push(root))
        time.sleep(draw.uniform(0, _LONGEST))
        os.kill(victim, signal.SIGKILL)
        broken += os.WIFSIGNALED(os.waitpid(victim, 0)[1])
        whole = forked(lambda place=place: complete(root, place, head, head.size))
        if os.waitpid(whole, 0)[1]:
            raise SystemExit(f"round {number} of seed {seed} is not whole: {place}")
    return broken


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("url")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    broken = kill(given.root, given.url, given.kills, given.seed)
    sys.stdout.write(f"{given.kills} pushes, {broken} of them killed before their end: all whole\n")


if __name__ == "__main__":
    main()
