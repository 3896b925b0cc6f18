"""A moment in which no signal's handler runs in this thread.

Loaded as a process starts: it loads nothing that is not there already.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal hands on, which loads more

# What the processor raises is not to wait: it could only end the process.
_AT_ONCE = frozenset(
    getattr(_signal, name, 0) for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")
)


class Undisturbed:
    """Has signals wait while it is entered; what is installed for them stays as it is.

    For a moment without which a call would be no session's. It does not hold for what the system
    hands to another thread, and Python then to the main one: nothing is to break if a handler
    comes all the same, as a finalizer may.
    """

    def __enter__(self) -> None:
        self._was: set[int] | None = None
        if hasattr(_signal, "pthread_sigmask"):
            waiting = _signal.valid_signals() - _AT_ONCE
            self._was = _signal.pthread_sigmask(_signal.SIG_BLOCK, waiting)

    def __exit__(self, *exc_info: object) -> None:
        if self._was is not None:
            # The handlers of those that came run in here, and may raise.
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self._was)
