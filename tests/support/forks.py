"""Work in a forked child, of which nothing comes back into the test but how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable


def started(work: Callable[[], object]) -> int:
    """Run work in a forked child, and return its id; it ends with 0, or with 1 if work raised."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child
