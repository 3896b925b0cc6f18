"""The one lock of a process for what its sessions share in memory: stores, look-ups, hooks.

A signal's handler or a finalizer may make a call at any point of another, with whatever that
holds: of two locks, one thread would hold the first and want the second, another the reverse. So
there is one, and it is re-entrant. A call's own (:mod:`mxm_dataio.adapters.call`) and those for
syncing come before it, and whoever has this one does not wait for them; see :func:`held`.
"""

from __future__ import annotations

import _thread

from ..process import after_fork

lock = _thread.RLock()


def held() -> bool:
    """Say whether this very thread has it, which it has been interrupted with."""
    # What threading.Condition asks it for.
    return lock._is_owned()  # type: ignore[attr-defined, no-any-return]


def _renew() -> None:
    """Have another in a forked child: a thread of the parent may have held it."""
    global lock
    lock = _thread.RLock()


after_fork(_renew)
