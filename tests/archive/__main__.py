"""What an archive takes and withstands, measured against a real S3 on loopback (SeaweedFS).

    python -m tests.archive             # make archive
    python -m tests.archive --short     # fewer of everything, and no bounds of time

One line a figure; exit status 1 if one is out of its bounds. The machine is to be idle.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from . import figures as pushing
from . import measure
from .figures import Figures
from .servers import seaweed, settings


def main() -> int:
    """Do as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.archive", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer of everything")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="of the steps, these")
    given = parser.parse_args()
    short, figures = given.short, Figures(bound=not given.short)
    # Those that fork come first: obstore's threads do not outlive a fork.
    steps: dict[str, Callable[[Path], None]] = {
        "push": lambda folder: pushing.push_of_ten_thousand(figures, folder, 50 if short else 500),
        "pushers": lambda folder: pushing.pushers_at_once(figures, folder, 8 if short else 32, 10),
        "memory": lambda folder: pushing.memory(figures, folder, short),
        "kills": lambda folder: pushing.kills(figures, folder, 100 if short else 2000),
        "flips": lambda folder: measure.every_byte(figures, folder, 50 if short else None),
        "network": lambda folder: measure.network(figures, folder, 2 if short else 20),
        "replay": lambda folder: measure.replay(figures, folder, 50 if short else 500),
        "index": lambda _: measure.look_up(figures, 100_000 if short else 5_000_000),
        "engines": lambda folder: measure.same_counts(figures, folder),
    }
    if unknown := set(given.only or ()) - steps.keys():
        parser.error(f"no such step: {', '.join(unknown)}; there are {', '.join(steps)}")
    warnings.simplefilter("ignore", DeprecationWarning)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="mxm-archive-") as place,
        seaweed(Path(place) / "weed") as endpoint,
    ):
        os.environ.update(settings(endpoint))
        for name, step in steps.items():
            if given.only is None or name in given.only:
                (Path(place) / name).mkdir()
                step(Path(place) / name)
    sys.stdout.write(f"in {time.monotonic() - began:.0f} s\n")
    return int(figures.wrong)


if __name__ == "__main__":
    sys.exit(main())
