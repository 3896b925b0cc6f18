"""What pytest shows of an error of ours: the way to where the project made the call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

_ERRORS = "mxm_dataio.errors"
_OURS = "mxm_dataio."
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STDLIB = f"{Path(os.__file__).parent}{os.sep}"


def cut_frames(excinfo: pytest.ExceptionInfo[BaseException], config: pytest.Config) -> None:
    """Leave out of the traceback of an error of ours what is behind the project's own code.

    That is this package, and the client that called it, whose arguments may be secret: of the
    function that raised pytest shows all. With ``--full-trace`` it is there.
    """
    if config.getoption("fulltrace"):
        return
    for exc in _chain(excinfo.value):
        if any(cls.__module__ == _ERRORS for cls in type(exc).__mro__):
            exc.__traceback__ = cut = _to_own(exc.__traceback__)
            if exc is excinfo.value:
                excinfo.traceback = type(excinfo.traceback)(cut or ())


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _to_own(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback up to its last frame that is the project's; nothing if none is."""
    if traceback is None:
        return None
    frame, following = traceback.tb_frame, _to_own(traceback.tb_next)
    path = frame.f_code.co_filename
    library = path.startswith((_STDLIB, "<")) or any(part in path for part in _LIBRARIES)
    if following is None and (library or str(frame.f_globals.get("__name__")).startswith(_OURS)):
        return None
    return TracebackType(following, frame, traceback.tb_lasti, traceback.tb_lineno)
