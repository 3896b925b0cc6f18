"""What went wrong in a session: calls that were not recorded, and calls that replay missed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from ..errors import DataIOWarning, ReplayMissError, StoreError
from ..replay.misses import swallowed

# Problems that are kept, each a line of the session's record.
_KEPT = 100


class Problems:
    """The problems and misses of one session.

    Args:
        source: the session's.
        strict: a problem raises.
        clean: takes what is secret from a text.
        warn: says a warning, of the frame so many above its own.
        changed: is told after each.

    Attributes:
        problems: what was not recorded and why, in words without secrets.
        misses: the calls that replay did not find.
        unsaid: a warning that is to be said as the session ends.
    """

    def __init__(
        self,
        source: str,
        *,
        strict: bool,
        clean: Callable[[str], str],
        warn: Callable[[DataIOWarning, int], None],
        changed: Callable[[], None],
    ) -> None:
        self._source = source
        self._strict = strict
        self._clean = clean
        self._warn = warn
        self._changed = changed
        self._count = itertools.count()
        self.problems: list[str] = []
        self.misses: list[ReplayMissError] = []
        self.unsaid: DataIOWarning | None = None
        self._raised: BaseException | None = None

    def add(self, text: str) -> bool:
        """Keep a problem, without a word now; say whether it is the first."""
        return self._kept(text) is not None

    def problem(self, exc: BaseException, stacklevel: int, *, raises: bool = False) -> None:
        """Keep a problem, and warn of the first one, or raise it when ``strict``.

        Args:
            stacklevel: the frame that the warning is about, counted from the caller's own: 1.
            raises: raise it in any case, and as the session ends if the program has swallowed it.
        """
        warning = self._kept(str(exc))
        if raises:
            self._raised = self._raised or exc
        if self._strict or raises:
            raise exc
        if warning is not None:
            try:
                self._warn(warning, stacklevel + 2)
            except DataIOWarning:
                # Where warnings are errors it is the session that fails, not the program's call.
                self.unsaid = warning

    def passed_by(self, text: str) -> None:
        """Keep that a call went past what is captured, to be warned of at the end.

        The program may look at the warnings of its own calls.

        Raises:
            StoreError: when ``strict``.
        """
        warning = self._kept(text)
        if self._strict:
            raise StoreError(text)
        if warning is not None:
            self.unsaid = warning

    def missed(self, error: ReplayMissError) -> None:
        """Keep a miss, so that it can't be swallowed."""
        self.misses.append(error)
        self._changed()

    def raise_misses(self, exc: BaseException | None) -> None:
        """Raise what the program has swallowed, or add it to the exception that is under way.

        Raises:
            ReplayMissError: for all of them.
            DataIOError: a problem that was to be raised.
        """
        if self._raised is not None and exc is None:
            raise self._raised
        if not self.misses or isinstance(exc, ReplayMissError):
            return
        error = swallowed(self.misses)
        if exc is not None and not isinstance(exc, SystemExit):
            exc.add_note(str(error))
            return
        raise error from self.misses[0]

    def say(self, stacklevel: int) -> None:
        """Say the warning that waited for the end."""
        unsaid, self.unsaid = self.unsaid, None
        if unsaid is not None:
            self._warn(unsaid, stacklevel + 2)

    def begin_anew(self) -> None:
        """Forget them, in a forked child: they are the parent's."""
        self.problems, self.misses = [], []
        self._count = itertools.count()

    def _kept(self, text: str) -> DataIOWarning | None:
        """Keep a problem; return the warning that is due if it is the first."""
        text = self._clean(text)
        count = next(self._count)
        if count < _KEPT:
            self.problems.append(text)
        self._changed()
        if count:
            return None
        return DataIOWarning(f"{text}; session {self._source!r} is incomplete from here on")
