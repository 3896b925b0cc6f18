"""Who waits for a task of an event loop: whose frames are not below it, and name the caller.

No documented way tells before Python 3.14 (``asyncio.capture_call_graph``), and a task factory of
ours would change the program. So the frames of suspended coroutines are looked through for the one
that holds the task, here alone; where asyncio is another, nobody is found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any


def waiting_for_task() -> list[FrameType]:
    """Return the frames that wait for this task, as far as they can be found, inwards."""
    try:
        return _task_group() or _staggered()
    except Exception:
        # Not in a task, or other releases than those that are known.
        return []


def _task_group() -> list[FrameType]:
    """Return the frames of the task that has made this one in a task group of anyio's."""
    anyio = sys.modules.get("anyio")
    if anyio is None:
        return []
    parent = anyio.get_current_task().parent_id
    for task in anyio.get_running_tasks():
        if task.id == parent:
            return list(_suspended(task.coro))
    return []


def _staggered() -> list[FrameType]:
    """Return the frames that have this task race against others (RFC 8305)."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return []
    current = asyncio.current_task()
    for task in asyncio.all_tasks():
        frames = list(_suspended(task.get_coro()))
        for frame in frames:
            if frame.f_code.co_name == "staggered_race":
                held = [v for v in frame.f_locals.values() if isinstance(v, (list, set))]
                if any(current in tasks for tasks in held):
                    return frames
    return []


def _suspended(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames of a coroutine that waits, from the outermost inwards."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
