"""What a run has recorded goes to an archive, once its program has ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Iterator

from ..concurrency.background import waited_for
from ..errors import DataIOError
from ..process import say
from ..utils import counted

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def push(url: str, root: str | os.PathLike[str]) -> str | None:
    """Push a root's sessions; what fails is told, and how to push later.

    Returns:
        In words, what was pushed; ``None``: it failed.

    Raises:
        KeyboardInterrupt: it was broken off, which was told; its threads may not have ended.
    """
    later = shlex.join(["mxm-dataio", "push", url, "--root", os.fspath(root)])
    try:
        with _stoppable():
            from ..archive import Archive, parquet

            parquet.spare_pandas()

            found = waited_for(lambda: Archive(url).push(root))
    except KeyboardInterrupt:
        say(f"warning: the push to {url} was broken off; later: {later}")
        raise
    except (DataIOError, OSError) as exc:
        say(f"warning: {exc}; to push later: {later}")
    else:
        for problem in found.problems:
            say(f"warning: {problem}")
        return f"pushed {counted(found.sessions, 'session')} to {url}"
    return None


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Have signals break off what is done: until now they were the program's, and held back."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _STOPPING}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
