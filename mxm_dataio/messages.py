"""What is said on standard error where there is no caller to take a warning or an error."""

from __future__ import annotations

import os
import stat


def say(text: str) -> None:
    """Say something past whatever a program has put in place of ``sys.stderr``. Never raises."""
    put(f"mxm-dataio: {text}")


def put(line: str) -> None:
    """Print a line as it is, unless the program has put a file or socket of its own in the place.

    What it opens after it has closed standard error gets that number. It can't be told from a log
    that is put there on purpose; what there is to say is in the session's warnings, too.
    Never raises.
    """
    try:
        found = os.fstat(2)
        if (found.st_dev, found.st_ino) == _STANDARD or stat.S_ISCHR(found.st_mode):
            os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def _standard() -> tuple[int, int] | None:
    """Return which file standard error is: as the process begins, which loads this."""
    try:
        found = os.fstat(2)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_STANDARD = _standard()
