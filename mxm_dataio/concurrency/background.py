"""Work in a thread of its own, for which the main thread waits so that signals reach it.

A handler of Python's runs between two of the main thread's own steps. One that is blocked in a
library's code, for a network that does not answer, is not interrupted before that returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def waited_for(work: Callable[[], _T]) -> _T:
    """Return what work returns, or raise what it raises.

    What a signal's handler raises (``KeyboardInterrupt``) comes at once; the work goes on then, and
    the process is to end by :func:`os._exit`.
    """
    done = threading.Event()
    results: list[_T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as exc:
            problems.append(exc)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    done.wait()
    if problems:
        raise problems[0]
    return results[0]
