"""Who opened a session: by that it captures, speaks and ends.

The program here, by a ``with`` block; a process that is captured from its start, in
:mod:`mxm_dataio.run.session`.
"""

from __future__ import annotations

import atexit
import sys
import warnings
from collections.abc import Callable, Iterable
from contextvars import Token
from typing import TYPE_CHECKING

from ..config.faces import PYTHON, Face
from ..errors import DataIOWarning
from ..interception import STDLIB, interceptors, modules
from ..models import Mode, Session
from ..replay.policy import Decision, Pass
from .active import sessions

if TYPE_CHECKING:
    from ..interception import Interceptor
    from .capture import Capture
    from .problems import Problems


class Opener:
    """The program itself, which opens and closes the session.

    Args:
        face: in whose words messages say what to do.

    Attributes:
        face: that.
        steps_back: the session leaves calls to any other, even one on another root.
        parent: the session of the process that started this one, if it had any.
    """

    steps_back = False
    parent: Session | None = None

    def __init__(self, face: Face = PYTHON) -> None:
        self.face = face

    @property
    def keeps_row(self) -> bool:
        """Say whether this process writes the session's row, and ends it."""
        return True

    def makers(self, capture: Capture) -> Iterable[Callable[[], Interceptor | None]]:
        """Return what makes the interceptors that a session needs as it is opened."""
        wanted = interceptors if capture.hook else ()
        return [make for make in wanted if modules[make] != STDLIB or capture.settings.stdlib]

    def take_place(self, capture: Capture) -> Token[Capture | None] | None:
        """Have a session capture, here and where nothing else does; return what undoes it."""
        return sessions.push(capture) if capture.hook else None

    def row(self, session: Session, parent: Session | None) -> Session:
        """Return the row of a session that begins in this process."""
        return session

    def adopted(self, close: Callable[[], None]) -> None:
        """Take a session that a forked child has begun: have it end as the process does."""
        # A process of multiprocessing skips atexit and runs its own finalizers.
        if "multiprocessing.util" in sys.modules:
            sys.modules["multiprocessing.util"].Finalize(None, close, exitpriority=0)
        atexit.register(close)

    def ended(self, mode: Mode) -> Decision:
        """Return what to do with a call that came as the session ended, in another thread."""
        return Pass()

    def missing(self) -> None:
        """Know that a miss is about to be noted."""

    def noted(self) -> None:
        """Know that there is a problem or a miss more."""

    def warn(self, warning: DataIOWarning, stacklevel: int) -> None:
        """Say a warning, of the frame so many above the caller's."""
        warnings.warn(warning, stacklevel=stacklevel)

    def raise_misses(self, problems: Problems, exc: BaseException | None) -> None:
        """Raise what the program has swallowed; see :meth:`.Problems.raise_misses`."""
        problems.raise_misses(exc)
