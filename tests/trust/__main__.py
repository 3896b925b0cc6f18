"""Nothing lost, nothing leaked, nothing forged: each of it tried, and the figures printed.

    python -m tests.trust [--long]

The short form takes some six minutes on two cores; the long one, an hour, kills 5,000 processes and
flips every byte.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# What is tried, by the module that does it, and how much of it in the short and the long form.
_TRIALS = (
    ("kills: processes that record, killed at random instants", "kills", "--kills=300"),
    ("writers: eight processes of eight threads on one root", "writers", "--calls=60"),
    ("mutations: flipped bytes of a small store, and `verify`", "mutations", "--step=7"),
    (
        "fuzz: parsers of the wire, of stores and of files from elsewhere",
        "fuzz",
        "--seconds=120 --seed=1523576247",
    ),
    ("secrets: planted wherever HTTP has a place, sought on disk", "secrets", ""),
)
_LONG = {
    "kills": "--kills=5000", "writers": "--calls=2000", "mutations": "--step=1",
    "fuzz": "--seconds=1800", "secrets": "",
}  # fmt: skip


def main() -> int:
    """Run all trials; return 1 if one of them found something wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trust", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--long", action="store_true", help="thousands of each")
    options = parser.parse_args()
    wrong = []
    for title, name, amount in _TRIALS:
        print(f"== {title}", flush=True)
        given = _LONG[name] if options.long else amount
        command = [sys.executable, "-m", f"tests.trust.{name}", *given.split()]
        if subprocess.run(command).returncode:
            wrong.append(name)
    print(f"wrong: {', '.join(wrong)}" if wrong else "all held", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
