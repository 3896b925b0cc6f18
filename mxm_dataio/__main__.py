"""``mxm-dataio``, and ``python -m mxm_dataio``.

``run`` needs none of what the other commands do, and the program that it starts is not to wait for
that.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the command line names."""
    if sys.argv[1:2] == ["run"]:
        from .run.launcher import main as run

        raise SystemExit(run(sys.argv[2:]))
    from .cli.main import main as cli

    cli(prog_name="mxm-dataio")


if __name__ == "__main__":
    main()
