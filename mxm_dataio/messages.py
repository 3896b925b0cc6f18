"""What is said on standard error where there is no caller to take a warning or an error."""

from __future__ import annotations

import os


def say(text: str) -> None:
    """Say something past whatever a program has put in place of ``sys.stderr``. Never raises."""
    put(f"mxm-dataio: {text}")


def put(line: str) -> None:
    """Print a line as it is. Never raises."""
    try:
        os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
